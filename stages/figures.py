"""The pictures of an evaluation."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from stages.store import Features

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from stages.tables import Epoch

INK = "#22333b"


def save(figure: "Figure", path: Path) -> None:
    """Write a PNG that is the same for the same figure, whatever the version of the library says."""
    figure.savefig(path, dpi=110, metadata={"Software": None})


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
    axes.set_xticks(range(len(labels)), labels, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(labels)), labels)
    axes.set(title=title, xlabel="predicted", ylabel="true")
    figure.colorbar(image, label="share of the true class", fraction=0.046)
    return figure


def curves(history: Sequence["Epoch"]) -> "Figure":
    """Loss and accuracy over epochs, the kept epoch marked."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(9, 3.8), layout="constrained")
    epochs = [row.epoch for row in history]
    best = min(history, key=lambda row: row.valid_loss).epoch
    panels: list[Axes] = list(figure.subplots(1, 2))
    for axes, name, unit in zip(
        panels, ("loss", "accuracy"), ("cross-entropy in nats", "share right"), strict=True
    ):
        axes.plot(epochs, [getattr(row, f"train_{name}") for row in history], color="#8d99ae", label="train")
        axes.plot(
            epochs, [getattr(row, f"valid_{name}") for row in history], color="#d1495b", label="validation"
        )
        axes.axvline(best, color=INK, linewidth=0.8, linestyle=":", label=f"kept: epoch {best}")
        axes.set(title=f"{name.capitalize()} per segment", xlabel="epoch", ylabel=unit)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.25)
        axes.legend(frameon=False)
    panels[0].set_ylim(bottom=0)
    panels[1].set_ylim(0, 1)
    return figure


def spectrograms(features: Features, columns: int = 5) -> "Figure":
    """The middle segment of each class's first track, as the network sees it.

    Parameters
    ----------
    features : Features
        Open features file; mel is drawn if it is there, else its first feature.
    columns : int
        Panels side by side.
    """
    from matplotlib.figure import Figure

    name = "mel" if "mel" in features.names else features.names[0]
    rows = -(-len(features.labels) // columns)
    columns = min(columns, len(features.labels))
    figure = Figure(figsize=(2.6 * columns + 0.8, 2.4 * rows + 0.5), layout="constrained")
    panels = np.atleast_1d(figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)).ravel()
    time_s, frequency = features.scale(name, 2), features.scale(name, 1)
    for index, axes in enumerate(panels):
        mine = np.flatnonzero(features.label == index)
        if len(mine) == 0:  # the grid has a panel more than there are classes
            axes.set_visible(False)
            continue
        mine = mine[features.track_id[mine] == features.track_id[mine[0]]]
        values = features.read(name, mine[len(mine) // 2 :][:1])[0]
        if name == "mel":
            values = values - values.max()
        image = axes.imshow(
            values,
            origin="lower",
            aspect="auto",
            cmap="magma",
            extent=(0, float(time_s[-1]), -0.5, len(frequency) - 0.5),
            vmin=-80 if name == "mel" else None,
        )
        axes.set_title(features.labels[index], fontsize=10)
        axes.label_outer()
    if name == "mel":
        wanted_hz = [hz for hz in (125, 500, 1000, 2000, 4000, 8000) if hz <= frequency[-1]]
        at = np.interp(wanted_hz, frequency, np.arange(len(frequency)))
        panels[0].set_yticks(at, [f"{hz / 1000:g}k" if hz >= 1000 else f"{hz}" for hz in wanted_hz])
    figure.supxlabel("time in s")
    figure.supylabel("frequency in Hz (mel scale)" if name == "mel" else f"{name} coefficient")
    figure.colorbar(
        image, ax=list(panels), label="dB below the maximum" if name == "mel" else "value", fraction=0.02
    )
    return figure
