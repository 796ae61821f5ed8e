"""The figures of an evaluation, and how every figure is saved."""

import warnings
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from stages.plots.style import INK

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from stages.core.tables import Epoch


def save(figure: "Figure", path: Path) -> None:
    """Write a PNG without the library's version: the same figure gives the same bytes."""
    with warnings.catch_warnings():
        # the font in matplotlib, which is the same everywhere, shows boxes for CJK and some other scripts
        warnings.filterwarnings("ignore", message=r"Glyph \d+ .* missing from font")
        # Pillow's default is meant for photographs and makes flat areas 10 % larger
        smaller = {"compress_type": zlib.Z_DEFAULT_STRATEGY}
        figure.savefig(path, format="png", dpi=110, metadata={"Software": None}, pil_kwargs=smaller)


def confusion_matrix(counts: NDArray[np.int64], labels: Sequence[str], title: str) -> "Figure":
    """Draw a confusion matrix: counts in cells, shaded by share of the true class.

    Parameters
    ----------
    counts : ndarray of int (n_classes, n_classes)
        A row per true class, a column per predicted class.
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
    """Draw loss and accuracy over epochs, and mark the epoch that was kept."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(9, 3.8), layout="constrained")
    epochs = [row.epoch for row in history]
    panels: list[Axes] = list(figure.subplots(1, 2))
    for axes, name, unit in zip(
        panels, ("loss", "accuracy"), ("mean over segments", "share correct"), strict=True
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


def novelties(by_split: Mapping[str, NDArray[np.float64]], limit: float) -> "Figure":
    """Draw the cumulative distribution of the tracks' novelty in each split, and mark the threshold.

    Parameters
    ----------
    by_split : mapping of str to ndarray (n_tracks,)
    limit : float
        The threshold.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 3.8), layout="constrained")
    axes = figure.subplots()
    colours = {"test": "#8d99ae", "unknown": "#d1495b", "unlabelled": "#edae49"}
    for split, novelty in by_split.items():
        share = (np.arange(len(novelty)) + 0.5) / len(novelty)
        axes.plot(np.sort(novelty), share, ".-", linewidth=0.8, color=colours[split], label=split)
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
    """Draw segments, a row each, and beside each what augmentations make of it.

    Parameters
    ----------
    before : ndarray of float32 or uint8 (n_segments, n_bins, n_frames)
    after : mapping of str to ndarray
        Of the same shape, by name of the augmentation.
    labels : sequence of str (n_segments,)
    """
    from matplotlib.figure import Figure

    columns = {"original": before, **after}
    figure = Figure(figsize=(2.6 * len(columns) + 0.6, 2.2 * len(before) + 0.4), layout="constrained")
    rows = figure.subplots(len(before), len(columns), squeeze=False, sharex=True, sharey=True)
    low, high = np.quantile(before, [0.01, 0.99])
    for column, (name, values) in enumerate(columns.items()):
        rows[0][column].set_title(name)
        for row, label in enumerate(labels):
            axes = rows[row][column]
            axes.imshow(values[row], origin="lower", aspect="auto", cmap="magma", vmin=low, vmax=high)
            if column == 0:
                axes.set_ylabel(
                    f"{label}\n{'bin' if before.shape[-1] > 1 else 'statistic'}", parse_math=False
                )
            if values.shape[-1] == 1:
                axes.set_xticks([])
            elif row == len(labels) - 1:
                axes.set_xlabel("frame")
    return figure
