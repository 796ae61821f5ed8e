"""The figure of a search: which settings mattered, and where the good values are."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stages.plots.style import BLUE, GREY, RED, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST = 3  # settings that get a picture of their own


@dataclass(frozen=True)
class Setting:
    """A setting that was searched.

    Attributes
    ----------
    name : str
    importance : float
        Those of all settings sum to 1.
    values : sequence
        In each trial; text where the setting is a choice.
    ends : tuple of (float, float) or None
        Of its interval.
    is_log : bool
        Whether that is searched on a logarithmic scale.
    """

    name: str
    importance: float
    values: Sequence[Any]
    ends: tuple[float, float] | None
    is_log: bool


def search(settings: Sequence[Setting], scores: Sequence[float]) -> "Figure":
    """Draw the importance of each setting, and the score of each trial over the most important ones.

    Parameters
    ----------
    settings : sequence of Setting
    scores : sequence of float
        Validation accuracy of each trial.
    """
    from matplotlib.figure import Figure

    ordered = sorted(settings, key=lambda setting: setting.importance)
    shown = ordered[::-1][:MOST]
    figure = Figure(figsize=(3.2 * (1 + len(shown)), max(3.3, 0.4 * len(ordered))), layout="constrained")
    figure.suptitle(
        f"{len(scores)} complete trials by validation accuracy per segment; the diamond is the best", size=11
    )
    bars, *axes = figure.subplots(1, 1 + len(shown))
    bars.barh(
        [setting.name for setting in ordered],
        [setting.importance for setting in ordered],
        color=GREY,
        height=0.5,
    )
    bars.set_xlabel("importance (fANOVA)")
    bars.set_xlim(0, 1)
    bars.set_ylim(-0.8, len(ordered) - 0.2)
    for axis, setting in zip(axes, shown, strict=True):
        _scatter(axis, setting, scores)
        axis.sharey(axes[0])
        axis.tick_params(labelleft=axis is axes[0])
    axes[0].set_ylabel("validation accuracy")
    for axis in (bars, *axes):
        axis.spines[["top", "right"]].set_visible(False)
    return figure


def _scatter(axes: "Axes", setting: Setting, scores: Sequence[float]) -> None:
    """Draw the trials over one setting, and mark the best one."""
    best = max(range(len(scores)), key=scores.__getitem__)
    places: Sequence[Any] = setting.values
    if setting.ends is None:
        choices = sorted(set(setting.values))
        places = [choices.index(value) for value in setting.values]
        names = [short(str(choice), 24) for choice in choices]
        axes.set_xticks(range(len(choices)), names, rotation=30, ha="right", parse_math=False)
        axes.set_xlim(-0.5, len(choices) - 0.5)
    else:
        low, high = setting.ends
        margin = (high / low) ** 0.03 if setting.is_log else 0.03 * (high - low)
        axes.set_xscale("log" if setting.is_log else "linear")
        axes.set_xlim(*((low / margin, high * margin) if setting.is_log else (low - margin, high + margin)))
    axes.plot(places, scores, "o", color=BLUE, markersize=5, alpha=0.6)
    axes.plot(places[best], scores[best], "D", color=RED, markersize=8)
    axes.set_xlabel(setting.name, parse_math=False)
    axes.grid(alpha=0.3)
