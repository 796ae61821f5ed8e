"""The one exception for mistakes that a user can correct, and the words of its line."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches


class EncoreError(Exception):
    """What went wrong, where, and what to do, in one line."""


def some(names: Sequence[str]) -> str:
    """Return the first three names, and how many more there are."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]).encode("utf-8", "backslashreplace").decode() + more


def did_you_mean(word: str, names: Iterable[str]) -> str:
    """Return "; did you mean NAME?" with the most similar name, or nothing if none is similar."""
    similar = get_close_matches(word, list(names), n=1)
    return f"; did you mean {similar[0]}?" if similar else ""
