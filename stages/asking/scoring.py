"""Music that is sorted into folders by genre: how often the model agrees."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from stages.asking.answers import Row, short
from stages.core.errors import EncoreError, did_you_mean, some
from stages.evaluation.intervals import accuracy_interval

MOST = 12  # classes of a confusion matrix in the terminal; of more, the largest confusions are listed
NARROW, WIDE = 5, 10  # characters of a column
TERMINAL = 80


@dataclass(frozen=True)
class Genres:
    """Which genre of the model each folder stands for.

    Attributes
    ----------
    genre_of : mapping of str to str
        By the folder's name.
    lines : list of str
        What there is to say about it.
    """

    genre_of: Mapping[str, str]
    lines: list[str]


def genres(folders: Iterable[str], labels: Sequence[str], given: Sequence[str]) -> Genres:
    """Find the genre of each folder: as it is given, or by its name, whatever its case and punctuation.

    Parameters
    ----------
    folders : iterable of str
        Of each file; empty: none.
    labels : sequence of str
        The genres that the model knows.
    given : sequence of str
        FOLDER=GENRE.

    Raises
    ------
    EncoreError
        If one of `given` is of another form, or names no folder or no genre.
    """
    n_files = Counter(filter(None, folders))
    by_letters = {_letters(label): label for label in labels}
    found = {name: name if name in labels else by_letters.get(_letters(name), "") for name in n_files}
    genre_of = {name: genre for name, genre in found.items() if genre}
    for pair in given:
        folder, _, genre = pair.rpartition("=")  # names of folders may have an =, too
        if not folder or not genre:
            raise EncoreError(f"--map {pair}: should be FOLDER=GENRE, such as Hip-Hop=hiphop")
        if genre not in labels:
            raise EncoreError(
                f"--map {pair}: the model has no genre {genre}{did_you_mean(genre, labels)}; it has "
                f"{', '.join(labels)}"
            )
        if folder not in n_files:
            raise EncoreError(
                f"--map {pair}: there is no music in a folder {folder}{did_you_mean(folder, n_files)}"
            )
        genre_of[folder] = genre
    lines = [
        f"the folder {folder} counts as {genre}" for folder, genre in genre_of.items() if folder != genre
    ]
    others = sorted(n_files.keys() - genre_of.keys())
    if others and genre_of:
        n = sum(n_files[folder] for folder in others)
        lines.append(
            f"not scored: {n} file{'s' * (n > 1)} in folders that are no genre of the model: {some(others)}; "
            f"--map {others[0]}=GENRE scores them"
        )
    elif others:
        lines.append(f"not scored: no folder has the name of a genre of the model: {some(others)}")
    return Genres(genre_of, lines)


def _letters(name: str) -> str:
    return "".join(sign for sign in name.casefold() if sign.isalnum())


@dataclass(frozen=True)
class Score:
    """How often the model agrees with the folders.

    Attributes
    ----------
    n, n_right : int
        Files that were scored, and that were put into the genre of their folder.
    low, high : float
        95 % interval of the accuracy over files.
    confused : Counter of (str, str)
        Files by true and predicted genre.
    """

    n: int
    n_right: int
    low: float
    high: float
    confused: Counter[tuple[str, str]]

    @classmethod
    def of(cls, rows: Iterable[Row], genre_of: Mapping[str, str]) -> "Score | None":
        """Score rows that have a prediction and a folder with a known genre; None: there are none."""
        pairs = [(genre_of[row.file.genre_folder], row.genre) for row in rows]
        if not pairs:
            return None
        right = np.array([true == predicted for true, predicted in pairs])
        low, high = accuracy_interval(right, np.arange(len(right)).astype(str))
        return cls(len(pairs), int(right.sum()), low, high, Counter(pairs))

    @property
    def accuracy(self) -> float:
        """Share of files in the genre of their folder."""
        return self.n_right / self.n

    def document(self) -> dict[str, Any]:
        """Return what JSON says."""
        return {
            "accuracy": self.accuracy,
            "accuracy_ci95_low": self.low,
            "accuracy_ci95_high": self.high,
            "n": self.n,
            "confusion": [
                {"genre": true, "predicted": predicted, "n": n}
                for (true, predicted), n in sorted(self.confused.items())
            ],
        }

    def lines(self) -> list[str]:
        """Return what the terminal says."""
        head = (
            f"accuracy {self.accuracy:.3f} (95 % interval over files {self.low:.3f} to {self.high:.3f}): "
            f"{self.n_right} of {self.n} files are predicted as the genre of their folder"
        )
        true = sorted({pair[0] for pair in self.confused})
        predicted = sorted({genre for pair in self.confused for genre in pair})
        if len(predicted) <= MOST:
            names = {genre: short(genre, 2 * WIDE) for genre in true}
            first = max(len("genre"), *map(len, names.values()))
            width = min(WIDE, max(NARROW, (TERMINAL - first) // len(predicted)))
            heads = "".join(f"{short(genre, width - 1):>{width}}" for genre in predicted)
            matrix = [f"{'genre':<{first}}{heads}"]
            for genre, name in names.items():
                counts = (self.confused[genre, other] or "·" for other in predicted)
                matrix.append(f"{name:<{first}}" + "".join(f"{n:>{width}}" for n in counts))
            return [head, "files by genre (down) and prediction (across):", *matrix]
        wrong = [(n, *pair) for pair, n in self.confused.items() if pair[0] != pair[1]]
        worst = [
            f"  {true} as {genre} ({n})"
            for n, true, genre in sorted(wrong, key=lambda row: (-row[0], row))[:MOST]
        ]
        return [head, f"largest of {len(wrong)} confusions:", *worst] if wrong else [head]
