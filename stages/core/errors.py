"""The one exception for mistakes that a user can correct, and the words of its line."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches


class EncoreError(Exception):
    """What went wrong, where, and what to do, in one line."""


def some(names: Sequence[str]) -> str:
    """Return the first three names, and how many more there are."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]).encode("utf-8", "backslashreplace").decode() + more


def in_one_line(error: Exception) -> str:
    """Return what a library says of its error, without line breaks."""
    return " ".join(str(error).split())


def nearest(word: str, names: Iterable[str]) -> str:
    """Return the most similar name, whatever its case, or nothing if none is similar."""
    by_letters = {name.casefold(): name for name in names}
    return next((by_letters[name] for name in get_close_matches(word.casefold(), by_letters, n=1)), "")


def did_you_mean(word: str, names: Iterable[str]) -> str:
    """Return the end of a line that asks for the most similar name, or nothing if none is similar."""
    similar = nearest(word, names)
    return f"; did you mean {similar}?" if similar else ""
