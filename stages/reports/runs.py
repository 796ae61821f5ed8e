"""Finished runs as lines for the terminal."""

from collections.abc import Iterable, Mapping

NAME, EXPERIMENT, SPLIT = 37, 14, 11  # characters of a column


def lines(runs: Iterable[tuple[str, Mapping[str, str], Mapping[str, float], str]]) -> list[str]:
    """Return a head and a line for each run, at most 120 characters wide.

    Parameters
    ----------
    runs : iterable of (str, mapping, mapping, str)
        Name, tags, metrics, and when it started.
    """
    head = (
        f"{'run':<{NAME}}{'split':<{SPLIT}}accuracy  {'95 % interval':<16}minus baseline  "
        f"{'experiment':<{EXPERIMENT}}started"
    )
    return [head, *(_line(*run) for run in runs)]


def _line(name: str, tags: Mapping[str, str], metrics: Mapping[str, float], started: str) -> str:
    accuracy, low, high = (metrics.get(f"test/accuracy{end}") for end in ("", "_ci95_low", "_ci95_high"))
    difference = metrics.get("test_minus_baseline/accuracy")
    interval = "" if low is None or high is None else f"{low:.3f} to {high:.3f}"
    experiment = _cell(tags.get("dvc.exp_name", ""), EXPERIMENT)
    return (
        f"{_cell(name, NAME)}{_cell(tags.get('split', ''), SPLIT)}{_number(accuracy, '.3f'):>8}"
        f"  {interval:<16}{_number(difference, '+.3f'):>14}  {experiment}{started}"
    )


def _cell(text: str, width: int) -> str:
    return f"{text if len(text) < width else text[: width - 2] + '…':<{width}}"


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)
