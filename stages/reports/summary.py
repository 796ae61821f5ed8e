"""The result in a few lines, for the terminal."""

from typing import Any

from stages.reports.card.markup import interval


def headline(metrics: dict[str, Any], model: str) -> list[str]:
    """Return the scores of the model and the linear baseline on test tracks, as lines of a table."""
    lines = [f"{'per test track':<18}{'accuracy':>9}  {'95 % interval':<15}{'macro-F1':>9}{'balanced':>10}"]
    for name, scores in (
        (model, metrics["test"]["track"]),
        ("linear baseline", metrics["baseline"]["track"]),
    ):
        lines.append(
            f"{name:<18}{scores['accuracy']:>9.3f}  {interval(scores):<15}"
            f"{scores['macro_f1']:>9.3f}{scores['balanced_accuracy']:>10.3f}"
        )
    return lines
