"""The result in a few lines, for the terminal."""

from typing import Any

from stages.reports.card.markup import interval

MOST = 17  # characters of a name


def headline(metrics: dict[str, Any], model: str) -> list[str]:
    """Return the scores of model, linear baseline and largest class on test tracks, as lines of a table."""
    lines = [f"{'per test track':<18}{'accuracy':>9}  {'95 % interval':<15}{'macro-F1':>9}{'balanced':>10}"]
    for name, scores in (
        (model, metrics["test"]["track"]),
        ("linear baseline", metrics["baseline"]["track"]),
    ):
        lines.append(
            f"{name:<18}{scores['accuracy']:>9.3f}  {interval(scores):<15}"
            f"{scores['macro_f1']:>9.3f}{scores['balanced_accuracy']:>10.3f}"
        )
    largest = metrics["largest_class"]
    lines.append(f"{_short('always ' + largest['label']):<18}{largest['accuracy']:>9.3f}")
    return lines


def _short(name: str) -> str:
    return name if len(name) <= MOST else f"{name[: MOST - 1]}…"
