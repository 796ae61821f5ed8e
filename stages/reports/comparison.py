"""A comparison of models as lines for the terminal."""

import math
from collections.abc import Sequence

from stages.evaluation.comparison import ROPE, Row

MOST = 23  # characters of a name


def table(rows: Sequence[Row]) -> list[str]:
    """Return a line for each model, at most 120 characters wide."""
    lines = [
        f"{'per test track':<{MOST}}runs  accuracy  95 % interval  macro-F1  balanced  seed sd  seconds  "
        "minus best  95 % interval"
    ]
    for row in rows:
        interval = f"{row.accuracy_ci95_low:.3f} to {row.accuracy_ci95_high:.3f}"
        line = (
            f"{_short(row.model):<{MOST}}{row.n_runs or '':>4}{row.accuracy:>10.3f}"
            f"  {interval:<14}{row.macro_f1:>9.3f}{row.balanced_accuracy:>10.3f}{_number(row.seed_std):>9}"
            f"{_number(row.seconds, 0):>9}"
        )
        if not math.isnan(row.minus_best):
            ends = f"{row.minus_best_ci95_low:+.3f} to {row.minus_best_ci95_high:+.3f}"
            line += f"{row.minus_best:>+12.3f}  {ends}"
        lines.append(line.rstrip())
    return lines


def chances(rows: Sequence[Row]) -> list[str]:
    """Return how likely each difference to the best is by chance, a line for each model but the best."""
    best, *others = rows
    lines = [f"{_short('against ' + best.model):<{MOST}}     p"]
    if with_folds := any(not math.isnan(row.p_folds) for row in others):
        lines[0] += f"  p over folds  worse  within {ROPE:g}  better"
    for row in others:
        line = f"{_short(row.model):<{MOST}}{_p(row.p):>6}"
        if with_folds:
            line += f"{_p(row.p_folds):>14}{row.worse:>7.2f}{row.equal:>13.2f}{row.better:>8.2f}"
        lines.append(line)
    return lines


def _short(name: str) -> str:
    """Return the beginning and the end of a name, where models of one network differ."""
    most = MOST - 1
    return name if len(name) <= most else f"{name[: most // 3]}…{name[most // 3 + 1 - most :]}"


def _p(value: float) -> str:
    return "<.001" if value < 0.0005 else _number(value)


def _number(value: float, digits: int = 3) -> str:
    return "" if math.isnan(value) else f"{value:.{digits}f}"
