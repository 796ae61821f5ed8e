"""What changes from one revision to another, as Markdown that GitHub and GitLab show with its chart."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stages.reports.card.markup import code, escaped, score

SCORES = {
    "accuracy": "test.track.accuracy",
    "macro-F1": "test.track.macro_f1",
    "balanced accuracy": "test.track.balanced_accuracy",
    "accuracy of segments": "test.segment.accuracy",
    "accuracy on validation": "valid.track.accuracy",
    "accuracy of the linear baseline": "baseline.track.accuracy",
    "accuracy minus baseline": "minus_baseline.accuracy",
    "AUROC of unknown classes": "open_set.auroc",
}
COLOURS = {"grey": "#8a94a0", "orange": "#d9480f"}  # of the base, and of what is compared with it
MOST_EPOCHS = 25  # that a chart has names for

Change = Mapping[str, Any]  # old and new, as DVC's `diff --json` has them; None or no key: not there


@dataclass(frozen=True)
class Changes:
    """Two revisions and what differs.

    Attributes
    ----------
    base, revision : str
        As git names them; `revision` may be the workspace.
    metrics, params : mapping of str to Change
        By the dotted name; metrics are all, params those that differ.
    curves : mapping of str to sequence of float
        Validation accuracy per segment after each epoch, by revision; none where the outputs are not here.
    page : str
        Where all plots are.
    """

    base: str
    revision: str
    metrics: Mapping[str, Change]
    params: Mapping[str, Change]
    curves: Mapping[str, Sequence[float]]
    page: str


def markdown(changes: Changes) -> str:
    """Return a heading, the scores with their intervals, the parameters that differ, and a chart."""
    base, revision = code(changes.base), code(changes.revision)
    parts = [
        f"## {revision} against {base}",
        _scores(changes.metrics, base, revision),
        "In brackets: the 95 % interval of each by itself; `make compare` has that of a difference of runs.",
        _params(changes.params, base, revision),
    ]
    if changes.curves:
        parts.append(_chart(changes))
        parts.append(f"All plots: {code(changes.page)}")
    if missing := [name for name in (changes.base, changes.revision) if name not in changes.curves]:
        parts.append(
            f"Without plots of {' and '.join(map(code, missing))}: neither DVC's cache nor a remote has the "
            "outputs, which `dvc repro` makes."
        )
    return "\n\n".join(parts) + "\n"


def _scores(metrics: Mapping[str, Change], base: str, revision: str) -> str:
    lines = [f"| per test track | {base} | {revision} | change |", "|---|---|---|---|"]
    for name, key in SCORES.items():
        old, new = (metrics.get(key, {}).get(side) for side in ("old", "new"))
        if old is None and new is None:
            continue
        change = "" if old is None or new is None else f"{new - old:+.3f}"
        lines.append(f"| {name} | {_score(metrics, key, 'old')} | {_score(metrics, key, 'new')} | {change} |")
    return "\n".join(lines)


def _score(metrics: Mapping[str, Change], key: str, side: str) -> str:
    value, low, high = (metrics.get(f"{key}{end}", {}).get(side) for end in ("", "_ci95_low", "_ci95_high"))
    if value is None:
        return "-"
    return score(value) if low is None or high is None else f"{score(value)} ({score(low)} to {score(high)})"


def _params(params: Mapping[str, Change], base: str, revision: str) -> str:
    if not params:
        return "No parameter of a stage differs."
    lines = [f"| parameter | {base} | {revision} |", "|---|---|---|"]
    for name, change in sorted(params.items()):
        old, new = ("-" if change[side] is None else escaped(str(change[side])) for side in ("old", "new"))
        lines.append(f"| {code(name)} | {old} | {new} |")
    return "\n".join(lines)


def _chart(changes: Changes) -> str:
    epochs = max(map(len, changes.curves.values()))
    step = math.ceil(epochs / MOST_EPOCHS)
    drawn = {
        name: colour
        for name, colour in zip((changes.base, changes.revision), COLOURS, strict=True)
        if name in changes.curves
    }
    names = ", ".join(f"{name} {colour}" for name, colour in drawn.items()).replace('"', "'")
    palette = ", ".join(COLOURS[colour] for colour in drawn.values())
    lines = [
        f"%%{{init: {{'themeVariables': {{'xyChart': {{'plotColorPalette': '{palette}'}}}}}}}}%%",
        "xychart-beta",
        f'  title "Validation accuracy per segment: {names}"',
        f'  x-axis "epoch" [{", ".join(map(str, range(1, epochs + 1, step)))}]',
        '  y-axis "accuracy" 0 --> 1',
        *(f"  line [{', '.join(map(str, changes.curves[name][::step]))}]" for name in drawn),
    ]
    return "\n".join(["```mermaid", *lines, "```"])
