"""Markdown as GitHub shows it."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from stages.core.params import flat


def escaped(text: str) -> str:
    """A name or sentence that someone else wrote, shown as it is, also in a cell of a table."""
    return re.sub(r"([\\`*_{}\[\]<>|~$&#!])", r"\\\1", " ".join(text.split()))


def bullets(lines: Iterable[str]) -> str:
    """A list."""
    return "\n".join(f"- {line}" for line in lines)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; cells are Markdown."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, ["---"] * len(header), *rows))


def figure(name: str, caption: str) -> list[str]:
    """A picture of ``figures/`` and what it shows, a sentence; two blocks."""
    return [f"![{caption}](figures/{name}.png)", f"*{caption}*"]


def counted(n: int, one: str, many: str = "") -> str:
    """``1 track``, ``2 tracks``."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def code(settings: Mapping[str, Any]) -> str:
    """Settings as code, in the order of their names; what is null is not in effect, and left out."""
    in_effect = sorted((key, value) for key, value in flat(settings).items() if value is not None)
    return ", ".join(f"`{key}={value}`" for key, value in in_effect)


def in_brackets(text: str) -> str:
    """`text` in brackets with a space before; nothing, if it is empty."""
    return f" ({text})" if text else ""
