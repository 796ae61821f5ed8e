"""The figure of a search: which settings mattered, and where the good values are."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from stages.plots.figures import INK

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST = 3  # settings that get a picture of their own
PALE = "#8d99ae"


def search(
    importance: Mapping[str, float],
    values: Mapping[str, Sequence[Any]],
    scores: Sequence[float],
    is_log: Mapping[str, bool],
) -> "Figure":
    """Draw the importance of each setting, and the score of each trial over the most important ones.

    Parameters
    ----------
    importance : mapping of str to float
        By setting, the largest first; they sum to 1.
    values : mapping of str to sequence
        Of each setting in each trial; text where the setting is a choice.
    scores : sequence of float
        Validation accuracy of each trial.
    is_log : mapping of str to bool
        Whether a setting was searched on a logarithmic scale.
    """  # fmt: skip
    from matplotlib.figure import Figure

    shown = [*importance][:MOST]
    width = 3.2 * (1 + len(shown))
    figure = Figure(figsize=(width, 3.4), layout="constrained")
    bars, *axes = figure.subplots(1, 1 + len(shown))
    names = [*importance][::-1]
    bars.barh(names, [importance[name] for name in names], color=PALE, height=0.6)
    bars.set_xlabel("importance (fANOVA)")
    bars.set_xlim(0, 1)
    for axis, name in zip(axes, shown, strict=True):
        _scatter(axis, values[name], scores, is_log[name])
        axis.set_xlabel(name, parse_math=False)
        axis.sharey(axes[0])
    if axes:
        axes[0].set_ylabel("validation accuracy")
    for axis in (bars, *axes):
        axis.spines[["top", "right"]].set_visible(False)
    return figure


def _scatter(axes: "Axes", values: Sequence[Any], scores: Sequence[float], is_log: bool) -> None:
    """Draw the trials over one setting, the best one dark."""
    best = max(range(len(scores)), key=scores.__getitem__)
    places: Sequence[Any] = values
    if isinstance(values[0], str):
        choices = sorted(set(values))
        places = [choices.index(value) for value in values]
        axes.set_xticks(range(len(choices)), choices, parse_math=False)
        axes.set_xlim(-0.5, len(choices) - 0.5)
    if is_log:
        axes.set_xscale("log")
    axes.plot(places, scores, "o", color=PALE, markersize=5, alpha=0.7)
    axes.plot(places[best], scores[best], "o", color=INK, markersize=7)
    axes.grid(alpha=0.3)
