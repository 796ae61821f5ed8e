"""The figure of a comparison of models."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from stages.plots.style import GREY, INK, short

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from stages.evaluation.comparison import Row

MOST_CHARACTERS = 80  # of a model's name


def comparison(rows: Sequence["Row"]) -> "Figure":
    """Draw the accuracy of each model with its interval, and its difference to the best beside it."""
    from matplotlib.figure import Figure

    names = [short(row.model, MOST_CHARACTERS) for row in rows]
    width = 7.5 + 0.08 * max(map(len, names))  # inches
    figure = Figure(figsize=(width, 1.5 + 0.3 * len(rows)), layout="constrained")
    figure.suptitle("Models on the same test tracks, with 95 % intervals", size=11)
    left, right = figure.subplots(1, 2, sharey=True)
    for axes, name, shown in ((left, "accuracy", rows), (right, "minus_best", rows[1:])):
        for place, row in enumerate(rows):
            if row in shown:
                value, low, high = (getattr(row, f"{name}{end}") for end in ("", "_ci95_low", "_ci95_high"))
                axes.plot([low, high], [place, place], color=GREY, linewidth=3, solid_capstyle="round")
                axes.plot(value, place, "o", color=INK, markersize=6)
        axes.grid(axis="x", alpha=0.3)
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(axis="y", length=0)
    right.axvline(0, color=INK, linewidth=1)
    left.set_yticks(range(len(rows)), names, parse_math=False)
    left.set_ylim(len(rows) - 0.5, -0.5)
    left.set_xlabel("accuracy")
    right.set_xlabel("accuracy minus that of the best")
    return figure
