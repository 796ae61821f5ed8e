"""The figure of training segments before and after something is done to them."""

from typing import TYPE_CHECKING

import numpy as np

from stages.plots.panels import draw, label_hz
from stages.plots.style import BLUE, GREY, short

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from stages.evaluation.preview import Preview


def before_and_after(shown: "Preview") -> "Figure":
    """Draw segments, a column each, and below each what becomes of it.

    Segments of several frames are images over seconds. One of one frame is a line over its values, with the
    original dotted behind it.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    rows = {"original": shown.before, **shown.after}
    figure = Figure(figsize=(3.1 * len(shown.labels) + 1.4, 1.7 * len(rows) + 0.9), layout="constrained")
    grid = figure.subplots(len(rows), len(shown.labels), squeeze=False, sharex=True, sharey=True)
    figure.suptitle(shown.title, size=11)
    for axes, label in zip(grid[0], shown.labels, strict=True):
        axes.set_title(short(label, 28), size=10, parse_math=False)
    for axes, name in zip(grid[:, 0], rows, strict=True):
        axes.set_ylabel(name, size=9)
    panels = [
        (axes, values[column], shown.before[column])
        for line, values in zip(grid, rows.values(), strict=True)
        for column, axes in enumerate(line)
    ]
    bins = shown.bins.name.removesuffix("_hz").replace("_", " ")
    if len(shown.time_s) == 1:
        for axes, segment, original in panels:
            axes.plot(original, ":", color=GREY, linewidth=1)
            axes.plot(segment, color=BLUE, linewidth=0.8)
        figure.supxlabel(bins, size=9)
        figure.supylabel(shown.unit, size=9)
    else:
        low, high = np.quantile(shown.before, [0.01, 0.99])
        hop_s = shown.time_s[1] - shown.time_s[0]
        for axes, segment, _ in panels:
            image = draw(axes, segment, shown.time_s[0], hop_s, "magma", 32, (low, high))
        is_hz = shown.bins.name.endswith("_hz")
        figure.supxlabel("time in s", size=9)
        figure.supylabel(f"{bins} in Hz" if is_hz else bins, size=9)
        if is_hz:
            label_hz(grid[0, 0], shown.bins.values, 0.12)
        else:
            grid[0, 0].yaxis.set_major_locator(MaxNLocator(6, integer=True))
        bar = figure.colorbar(image, ax=grid, fraction=0.03, pad=0.01, aspect=12 * len(rows))
        bar.set_label(shown.unit, size=9)
        bar.ax.tick_params(labelsize=8)
    for axes in grid.ravel():
        axes.tick_params(labelsize=8)
    return figure
