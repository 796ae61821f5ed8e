"""The pictures of an evaluation, and how any picture becomes a file."""

import warnings
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from stages.core.tables import Epoch

INK = "#22333b"


def save(figure: "Figure", path: Path) -> None:
    """Write a PNG that is the same for the same figure, whatever the version of the library says."""
    with warnings.catch_warnings():
        # matplotlib's own font, which is the same everywhere, shows boxes for CJK and some others
        warnings.filterwarnings("ignore", message=r"Glyph \d+ .* missing from font")
        # Pillow's own strategy is for photographs, and makes flat areas a tenth larger
        smaller = {"compress_type": zlib.Z_DEFAULT_STRATEGY}
        figure.savefig(path, dpi=110, metadata={"Software": None}, pil_kwargs=smaller)


def confusion_matrix(counts: NDArray[np.int64], labels: Sequence[str], title: str) -> "Figure":
    """Counts in cells, shade by share of the true class.

    Parameters
    ----------
    counts : ndarray of int (n_classes, n_classes)
        True class down, predicted class across.
    labels : sequence of str
    title : str
    """
    from matplotlib.figure import Figure

    size = 2.2 + 0.5 * len(labels)
    figure = Figure(figsize=(size + 0.6, size), layout="constrained")
    axes = figure.subplots()
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    image = axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.argwhere(counts > 0):
        shade = "white" if share[row, column] > 0.55 else INK
        axes.text(column, row, str(counts[row, column]), ha="center", va="center", color=shade)
    plain = {"parse_math": False}  # a class may be named $x
    axes.set_xticks(range(len(labels)), labels, rotation=45, ha="right", rotation_mode="anchor", **plain)
    axes.set_yticks(range(len(labels)), labels, **plain)
    axes.set(title=title, xlabel="predicted", ylabel="true")
    figure.colorbar(image, label="share of the true class", fraction=0.046)
    return figure


def curves(history: Sequence["Epoch"], kept: int) -> "Figure":
    """Loss and accuracy over epochs, the epoch that was kept marked."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(9, 3.8), layout="constrained")
    epochs = [row.epoch for row in history]
    panels: list[Axes] = list(figure.subplots(1, 2))
    for axes, name, unit in zip(
        panels, ("loss", "accuracy"), ("mean over segments", "share right"), strict=True
    ):
        axes.plot(epochs, [getattr(row, f"train_{name}") for row in history], color="#8d99ae", label="train")
        axes.plot(
            epochs, [getattr(row, f"valid_{name}") for row in history], color="#d1495b", label="validation"
        )
        axes.axvline(kept, color=INK, linewidth=0.8, linestyle=":", label=f"kept: epoch {kept}")
        axes.set(title=f"{name.capitalize()} per segment", xlabel="epoch", ylabel=unit)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.25)
        axes.legend(frameon=False)
    panels[0].set_ylim(bottom=0)
    panels[1].set_ylim(0, 1)
    return figure


def novelties(by_side: Mapping[str, NDArray[np.float64]], limit: float) -> "Figure":
    """How novel the tracks of each side are: a point each, over the share of the side that is less novel.

    Parameters
    ----------
    by_side : mapping of str to ndarray (n_tracks,)
    limit : float
        The threshold, which is marked.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 3.8), layout="constrained")
    axes = figure.subplots()
    colours = {"test": "#8d99ae", "unknown": "#d1495b", "unlabelled": "#edae49"}
    for side, novelty in by_side.items():
        share = (np.arange(len(novelty)) + 0.5) / len(novelty)
        axes.plot(np.sort(novelty), share, ".-", linewidth=0.8, color=colours[side], label=side)
    axes.axvline(limit, color=INK, linewidth=0.8, linestyle=":", label=f"threshold: {limit:.3g}")
    axes.set(
        title="Novelty of tracks", xlabel="novelty", ylabel="share of tracks that are less novel", ylim=(0, 1)
    )
    axes.grid(alpha=0.25)
    axes.legend(frameon=False)
    return figure


def augmentations(
    before: NDArray[np.float32], after: Mapping[str, NDArray[np.float32]], labels: Sequence[str]
) -> "Figure":
    """Segments as they are, a row each, and beside them what augmentations made of them.

    Parameters
    ----------
    before : ndarray of float32 (n_segments, n_bins, n_frames)
    after : mapping of str to ndarray
        Of the same shape, by name of the augmentation.
    labels : sequence of str (n_segments,)
    """
    from matplotlib.figure import Figure

    columns = {"as it is": before, **after}
    figure = Figure(figsize=(2.6 * len(columns) + 0.6, 2.2 * len(before) + 0.4), layout="constrained")
    rows = figure.subplots(len(before), len(columns), squeeze=False, sharex=True, sharey=True)
    low, high = np.quantile(before, [0.01, 0.99])
    for column, (name, values) in enumerate(columns.items()):
        rows[0][column].set_title(name)
        for row, label in enumerate(labels):
            axes = rows[row][column]
            axes.imshow(values[row], origin="lower", aspect="auto", cmap="magma", vmin=low, vmax=high)
            if column == 0:
                axes.set_ylabel(f"{label}\nbin", parse_math=False)
            if row == len(labels) - 1:
                axes.set_xlabel("frame")
    return figure
