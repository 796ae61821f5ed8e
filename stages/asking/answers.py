"""Answers about files: as rows of a table, of a CSV, and of JSON."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from typing import TYPE_CHECKING, Any

from stages.asking.files import MusicFile

if TYPE_CHECKING:
    from stages.inference.prediction import Prediction

NAME, GENRE = 40, 16  # characters of a column, at most
NEW = "unlike anything the model learnt from"
HEAD = ("file", "genre", "probability", "second", "second_probability", "novelty", "is_new", "seconds")
TAIL = ("problem", "note")


@dataclass(frozen=True)
class Row:
    """The answer for a file.

    Attributes
    ----------
    file : MusicFile
    prediction : Prediction or None
        None: there is a problem.
    problem : str
        As a predicate.
    threshold : float or None
        The novelty up to which music counts as known; None: it is not known.
    """

    file: MusicFile
    prediction: "Prediction | None"
    problem: str
    threshold: float | None

    @property
    def is_new(self) -> bool | None:
        """Whether the novelty is over the threshold."""
        return None if self.prediction is None else exceeds(self.prediction.novelty, self.threshold)

    @property
    def ranked(self) -> list[tuple[str, float]]:
        """Classes and their probabilities, the most probable first."""
        if self.prediction is None:
            return []
        return sorted(self.prediction.probability.items(), key=lambda item: -item[1])

    @property
    def genre(self) -> str:
        """The most probable class; empty: there is a problem."""
        return self.ranked[0][0] if self.ranked else ""

    def document(self) -> dict[str, Any]:
        """Return what JSON says."""
        if self.prediction is None:
            return {"file": self.file.name, "problem": self.problem}
        return {
            **dict(zip(HEAD, self._values(), strict=True)),
            "probabilities": self.prediction.probability,
            **({"note": self.prediction.note} if self.prediction.note else {}),
        }

    def cells(self, labels: Sequence[str]) -> list[Any]:
        """Return the values of `csv_head`."""
        if self.prediction is None:
            return [self.file.name, *[""] * (len(HEAD) - 1 + len(labels)), self.problem, ""]
        probability = [self.prediction.probability[label] for label in labels]
        return [*self._values(), *probability, "", self.prediction.note]

    def _values(self) -> list[Any]:
        assert self.prediction is not None
        (genre, probability), (second, second_probability) = self.ranked[:2]
        novelty, seconds = self.prediction.novelty, self.prediction.duration_s
        return [self.file.name, genre, probability, second, second_probability, novelty, self.is_new, seconds]


class Table:
    """Lines for the terminal.

    Parameters
    ----------
    names : sequence of str
        Of all files.
    labels : sequence of str
        Of all classes.
    """

    def __init__(self, names: Sequence[str], labels: Sequence[str]):
        self._name = min(NAME, max(map(len, names))) + 2
        self._genre = max(len("genre"), min(GENRE, max(map(len, labels)))) + 2

    def head(self) -> str:
        """Return the line above all."""
        second = f"{'second':<{self._genre}}     "
        return f"{'file':<{self._name}}{'genre':<{self._genre}}probability  {second}novelty"

    def line(self, row: Row) -> str:
        """Return the line of a file."""
        name = f"{ended(printable(row.file.name), self._name - 2):<{self._name}}"
        if row.prediction is None:
            return f"{name}{row.problem}"
        (genre, probability), (second, less) = row.ranked[:2]
        new = "  new" if row.is_new else ""
        note = f"  it {row.prediction.note}" if row.prediction.note else ""
        return (
            f"{name}{self._cell(genre)}{probability:>11.2f}  {self._cell(second)}{less:>4.2f} "
            f"{row.prediction.novelty:>7.2f}{new}{note}"
        )

    def _cell(self, label: str) -> str:
        return f"{short(label, self._genre - 2):<{self._genre}}"


def summary(rows: Sequence[Row], threshold: float | None) -> list[str]:
    """Return lines about all answers together: how many there are, and what `new` means."""
    n_problems = sum(row.prediction is None for row in rows)
    n_new = sum(row.is_new is True for row in rows)
    lines = []
    if len(rows) > 1 or n_problems:
        lines.append(
            f"{len(rows)} files = {len(rows) - n_problems} predicted + {n_problems} that cannot be used"
        )
    if threshold is None:
        lines.append("this model was not evaluated: no threshold says which music is new to it")
    elif n_new:
        lines.append(f"new: {n_new}, with a novelty over {threshold:.3f}: {NEW}")
    return lines


def csv_head(labels: Sequence[str]) -> list[str]:
    """Return the names of the columns; the probability of each class is in one."""
    return [*HEAD, *probability_columns(labels), *TAIL]


def probability_columns(labels: Sequence[str]) -> list[str]:
    """Return the names of the columns that have the probabilities."""
    return [f"probability_{label}" for label in labels]


def exceeds(novelty: float, threshold: float | None) -> bool | None:
    """Return whether a novelty is over the threshold; None: that is not known."""
    return None if threshold is None else novelty > threshold


def csv_line(cells: Sequence[Any]) -> str:
    """Return a row of a CSV, without the end of the line: numbers with six digits, yes, no, or nothing."""
    text = StringIO()
    csv.writer(text).writerow(map(_cell, cells))  # quotes what has a part of its line terminator, \r\n
    return text.getvalue().removesuffix("\r\n")


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.6g}" if isinstance(value, float) else value


def printable(text: str) -> str:
    """Return a name without what would change or break a line of the terminal."""
    return "".join(sign if sign.isprintable() else "�" for sign in text)


def short(text: str, n: int) -> str:
    """Return at most `n` characters of a name, from its beginning."""
    return text if len(text) <= n else f"{text[: n - 1]}…"


def ended(text: str, n: int) -> str:
    """Return at most `n` characters of a path, from its end."""
    return text if len(text) <= n else f"…{text[1 - n :]}"
