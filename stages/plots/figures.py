"""The figures of an evaluation, and how every figure is saved."""

import warnings
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stages.plots.style import BLUE, INK, RED, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from stages.core.tables import Epoch

MOST_CLASSES = 20  # of a confusion matrix
MOST_BARS = 20
MOST_CHARACTERS = 40  # of a class in a figure
N_BINS = 40  # of a histogram
PLAIN: dict[str, Any] = {"parse_math": False}  # a class may be named $x


def save(figure: "Figure", path: Path) -> None:
    """Write a PNG without the library's version: the same figure gives the same bytes."""
    with warnings.catch_warnings():
        # the font in matplotlib, which is the same everywhere, shows boxes for CJK and some other scripts
        warnings.filterwarnings("ignore", message=r"Glyph \d+ .* missing from font")
        # Pillow's default is meant for photographs and makes flat areas 10 % larger
        smaller = {"compress_type": zlib.Z_DEFAULT_STRATEGY}
        figure.savefig(path, format="png", dpi=110, metadata={"Software": None}, pil_kwargs=smaller)


def confusions(counts: NDArray[np.int64], labels: Sequence[str], title: str) -> "Figure":
    """Draw the confusion matrix, or of many classes what is confused most.

    Parameters
    ----------
    counts : ndarray of int (n_classes, n_classes)
        A row per true class, a column per predicted class.
    labels : sequence of str
    title : str
    """
    labels = [short(label, MOST_CHARACTERS) for label in labels]
    return (_confusion_matrix if len(labels) <= MOST_CLASSES else _most_confused)(counts, labels, title)


def _confusion_matrix(counts: NDArray[np.int64], labels: Sequence[str], title: str) -> "Figure":
    """Draw counts in cells, shaded by share of the true class."""
    from matplotlib.figure import Figure

    names = 0.09 * max(map(len, labels))  # inches, as are all sizes
    size = 0.5 * len(labels) + 1.2
    figure = Figure(figsize=(max(size + names + 1, 4.5), size + 0.8 * names), layout="constrained")
    axes = figure.subplots()
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    image = axes.imshow(share, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for row, column in np.argwhere(counts > 0):
        shade = "white" if share[row, column] > 0.55 else INK
        axes.text(column, row, f"{counts[row, column]:,}", ha="center", va="center", color=shade)
    axes.set_xticks(range(len(labels)), labels, rotation=45, ha="right", rotation_mode="anchor", **PLAIN)
    axes.set_yticks(range(len(labels)), labels, **PLAIN)
    between = np.arange(1, len(labels)) - 0.5
    axes.set_xticks(between, minor=True)
    axes.set_yticks(between, minor=True)
    axes.tick_params(which="minor", length=0)
    axes.grid(which="minor", color="white")
    axes.set(title=title, xlabel="predicted class", ylabel="true class")
    figure.colorbar(image, label="share of the true class", fraction=0.046)
    return figure


def _most_confused(counts: NDArray[np.int64], labels: Sequence[str], title: str) -> "Figure":
    """Draw the largest confusions, and the classes with the lowest recall."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    n, right = counts.sum(axis=1), counts.diagonal()
    wrong = counts - np.diag(right)
    order = np.argsort(-wrong, axis=None, kind="stable")[:MOST_BARS]
    pairs = [
        (row, column)
        for row, column in zip(*np.unravel_index(order, wrong.shape), strict=True)
        if wrong[row, column]
    ]
    recall = right / np.maximum(n, 1)
    lowest = [i for i in np.lexsort((-n, recall)) if n[i]][:MOST_BARS]
    names = 0.16 * max(map(len, labels))  # at both sides
    figure = Figure(figsize=(6 + names, 0.22 * (len(pairs) + len(lowest)) + 2), layout="constrained")
    upper, lower = figure.subplots(2, 1, height_ratios=(len(pairs) or 1, len(lowest)))
    figure.suptitle(title)
    if pairs:
        _bars(
            upper,
            [labels[row] for row, _ in pairs],
            [wrong[pair] for pair in pairs],
            [f"as {labels[column]}: {wrong[row, column]:,} of {n[row]:,}" for row, column in pairs],
        )
        upper.set_title(f"The {len(pairs)} largest of {np.count_nonzero(wrong):,} confusions", size=11)
        upper.set_xlabel("tracks")
        upper.xaxis.set_major_locator(MaxNLocator(integer=True))
    else:
        upper.set_title("No confusions", size=11)
        upper.set_axis_off()
    _bars(
        lower,
        [labels[i] for i in lowest],
        [recall[i] for i in lowest],
        [f"{right[i]:,} of {n[i]:,}" for i in lowest],
    )
    lower.set_title(f"The {len(lowest)} of {len(labels)} classes with the lowest recall", size=11)
    lower.set(xlabel="recall", xlim=(0, 1))
    return figure


def _bars(axes: "Axes", names: Sequence[str], values: Sequence[float], notes: Sequence[str]) -> None:
    """Draw a bar for each name, from the top down, and its note at the right."""
    axes.barh(range(len(names)), values, color=BLUE, height=0.7)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_yticks(range(len(names)), names, size=9, **PLAIN)
    beside = axes.secondary_yaxis("right")
    beside.set_yticks(range(len(names)), notes, size=9, **PLAIN)
    for one in (axes, beside):
        one.tick_params(axis="y", length=0)
    axes.grid(axis="x", alpha=0.3)


def curves(history: Sequence["Epoch"], kept: int) -> "Figure":
    """Draw loss and accuracy over epochs, and mark the epoch that was kept."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(9, 3.8), layout="constrained")
    epochs = [row.epoch for row in history]
    marker = "o" if len(epochs) == 1 else ""  # one epoch has no line
    panels: list[Axes] = list(figure.subplots(1, 2))
    for axes, name in zip(panels, ("loss", "accuracy"), strict=True):
        for split, label, colour, line in (
            ("train", "train", RED, "--"),
            ("valid", "validation", BLUE, "-"),
        ):
            values = [getattr(row, f"{split}_{name}") for row in history]
            axes.plot(epochs, values, line, color=colour, marker=marker, label=label)
        axes.axvline(kept, color=INK, linewidth=1, linestyle=":", label=f"kept: epoch {kept}")
        axes.set(title=f"{name.capitalize()} per segment", xlabel="epoch", ylabel=name)
        axes.set_xlim(epochs[0] - 0.5, epochs[-1] + 0.5)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.grid(alpha=0.25)
        axes.legend(frameon=False)
    panels[0].set_ylim(bottom=0)
    panels[1].set_ylim(0, 1)
    return figure


def novelties(by_split: Mapping[str, NDArray[np.float64]], limit: float) -> "Figure":
    """Draw a histogram of the tracks' novelty in each split, and mark the threshold.

    Parameters
    ----------
    by_split : mapping of str to ndarray (n_tracks,)
    limit : float
        The threshold.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(7.2, 1.1 + 1.7 * len(by_split)), layout="constrained")
    edges = np.histogram_bin_edges(np.concatenate([*by_split.values(), [limit]]), N_BINS)
    panels = figure.subplots(len(by_split), 1, sharex=True, squeeze=False).ravel()
    for axes, (split, novelty) in zip(panels, by_split.items(), strict=True):
        is_new = novelty > limit
        axes.hist(
            [novelty[~is_new], novelty[is_new]],
            edges,
            stacked=True,
            color=[BLUE, RED],
            hatch=["", "////"],
            edgecolor="white",
            label=["known", "new"],
        )
        axes.axvline(limit, color=INK, linewidth=1, linestyle=":", label=f"threshold: {limit:.3g}")
        axes.set_title(
            f"{split} tracks: {len(novelty):,}; above the threshold: {is_new.sum():,} "
            f"({100 * is_new.mean():.1f} %)",
            loc="left",
            size=10,
        )
        axes.set_ylabel("tracks")
        axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.grid(axis="y", alpha=0.25)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    panels[-1].set_xlabel("novelty")
    figure.suptitle("Novelty of tracks")
    return figure
