"""Filters of the card's template: Markdown as GitHub shows it."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from stages.core.params import flat

SPECIAL = re.compile(r"([\\`*_{}\[\]<>|~$&#!])")
MARKER = re.compile(r"^(\d*)([-+=.)])")  # at its start a line would become a list or a heading


def escaped(text: str) -> str:
    """Return a name or sentence from outside so that Markdown shows it as it is, also in a table."""
    return MARKER.sub(r"\1\\\2", SPECIAL.sub(r"\\\1", " ".join(text.split())))


def code(text: str) -> str:
    """Return a code span, whose fence is longer than any run of backticks in the text."""
    line = " ".join(text.split())
    fence = "`" * (1 + max(map(len, re.findall("`+", line)), default=0))
    space = " " if "`" in line else ""
    return f"{fence}{space}{line}{space}{fence}"


def assignments(settings: Mapping[str, Any]) -> str:
    """Return settings as code, in the order of their names, without those that are null."""
    in_effect = sorted((key, value) for key, value in flat(settings).items() if value is not None)
    return ", ".join(code(f"{key}={value}") for key, value in in_effect)


def named(labels: Sequence[str], most: int = 8) -> str:
    """Return escaped names, at most so many, and how many more there are."""
    shown = ", ".join(map(escaped, labels[:most]))
    return shown if len(labels) <= most else f"{shown} and {len(labels) - most:,} more"


def counted(n: int, one: str, many: str = "") -> str:
    """Return ``1 track``, ``2 tracks``."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def listed(counts: Mapping[str, int]) -> str:
    """Return ``1 clipped, 2 silent``, by name; what does not occur is left out."""
    return ", ".join(f"{n:,} {what}" for what, n in sorted(counts.items()) if n)


def in_brackets(text: str) -> str:
    """Return text in brackets after a space; nothing, if it is empty."""
    return f" ({text})" if text else ""


def integer(n: int) -> str:
    """Return a count with separators of thousands."""
    return f"{n:,}"


def score(value: float) -> str:
    """Return a score with three digits."""
    return f"{value:.3f}"


def share(value: float | None) -> str:
    """Return a score of a class with two digits; a hyphen where it is undefined."""
    return "-" if value is None else f"{value:.2f}"


def percent(value: float) -> str:
    """Return ``12.3 %`` of 0.123."""
    return f"{100 * value:.1f} %"


def interval(scores: Mapping[str, float]) -> str:
    """Return the 95 % interval of accuracy."""
    return f"{score(scores['accuracy_ci95_low'])} to {score(scores['accuracy_ci95_high'])}"


def quoted(text: str) -> str:
    """Return a text as a string of JSON, and so of YAML."""
    return json.dumps(text, ensure_ascii=False)


FILTERS: dict[str, Callable[..., str]] = {
    function.__name__: function
    for function in (escaped, counted, listed, in_brackets, integer, score, share, percent, interval, quoted)
}


def template(path: Path) -> Template:
    """Load a template of Markdown, which has all filters of this module."""
    environment = Environment(  # noqa: S701  (Markdown, not HTML: names go through `escaped`)
        loader=FileSystemLoader(path.parent),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= FILTERS
    return environment.get_template(path.name)
