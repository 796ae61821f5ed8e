"""An index of tracks: their vectors in a file that is read block by block, all else in a database beside it.

A search takes memory for one block of vectors, one number for each track, and what it finds.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path
from tokenize import TokenError  # of a damaged header of numpy's
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.core.errors import EncoreError
from stages.core.workspace import new_folder
from stages.similarity.nearest import NOBODY, nearest
from stages.similarity.vectors import Scale

SCHEMA = "encore-similar/1"
ABOUT, VECTORS, TRACKS = "index.json", "vectors.npy", "tracks.db"
BLOCK = 1 << 25  # bytes of vectors that are in memory at a time
AGAIN = "make it again with `encore similar --index`"


@dataclass(frozen=True)
class Track:
    """A track of an index.

    Attributes
    ----------
    path : str
        Below the folder of the index.
    label : str
        Its genre, where that is known; else empty.
    predicted : str
        The genre that the model predicts; empty: it is an index of a feature.
    artist : str
        Or album, or work; empty: unknown.
    digest, duration_s
        See `stages.inference.embedding.Embedded`.
    """

    path: str
    label: str
    predicted: str
    artist: str
    digest: str
    duration_s: float

    @property
    def genre(self) -> str:
        """The known genre, else the predicted one."""
        return self.label or self.predicted


TABLES = """
PRAGMA journal_mode=OFF;
PRAGMA synchronous=OFF;
CREATE TABLE tracks (
    row INTEGER PRIMARY KEY, path TEXT, label TEXT, predicted TEXT, artist TEXT, digest TEXT, duration_s REAL
);
CREATE TABLE fingerprints (row INTEGER PRIMARY KEY, words BLOB);
"""
FINISHED = """
CREATE INDEX by_path ON tracks (path);
CREATE INDEX by_digest ON tracks (digest);
"""
WHERE = {
    "path": "SELECT row FROM tracks WHERE path = ?",
    "digest": "SELECT row FROM tracks WHERE digest = ?",
    "artist": "SELECT row FROM tracks WHERE artist = ?",
    "genre": "SELECT row FROM tracks WHERE CASE label WHEN '' THEN predicted ELSE label END = ?",
}


class NewIndex:
    """An index that is being made.

    Parameters
    ----------
    folder : Path
    """

    def __init__(self, folder: Path):
        self._folder, self._size = folder, 0
        self._raw = (folder / "vectors.raw").open("w+b")
        self._database = sqlite3.connect(folder / TRACKS)
        self._database.executescript(TABLES)  # without a journal: what is not finished is thrown away
        self.n_tracks = 0

    def add(self, track: Track, vector: NDArray[np.float32], fingerprint: NDArray[np.uint32]) -> None:
        """Add a track, whose vector (size,) is as it was computed, as the next row."""
        self._size = len(vector)
        self._raw.write(vector.astype("<f4").tobytes())
        values = (self.n_tracks, *astuple(track))
        self._database.execute("INSERT INTO tracks VALUES (?, ?, ?, ?, ?, ?, ?)", values)
        words = fingerprint.astype("<u4").tobytes()
        self._database.execute("INSERT INTO fingerprints VALUES (?, ?)", (self.n_tracks, words))
        self.n_tracks += 1

    def finish(self, about: dict[str, Any]) -> None:
        """Write the vectors, standardised and of length 1, and what the index is."""
        self._raw.flush()
        raw = Path(self._raw.name)
        shape = self.n_tracks, self._size
        scale = Scale.fit(_blocks(raw, shape))
        with (self._folder / VECTORS).open("wb") as file:
            header = {"descr": "<f4", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)
            for block in _blocks(raw, shape):
                file.write(scale.unit(block).astype("<f4").tobytes())
        raw.unlink()
        self._database.commit()
        self._database.executescript(FINISHED)
        scaled_by = {"mean": scale.mean.tolist(), "std": scale.std.tolist()}
        document = {"schema": SCHEMA, **about, "n_tracks": self.n_tracks, "size": self._size, **scaled_by}
        (self._folder / ABOUT).write_text(json.dumps(document, indent=1) + "\n", "ascii")

    def close(self) -> None:
        """Close its files."""
        self._raw.close()
        self._database.close()


@contextmanager
def new_index(place: Path, about: dict[str, Any]) -> Iterator[NewIndex]:
    """Yield an index to be filled; it replaces the one in `place`, if the block ends without an error.

    Parameters
    ----------
    place : Path
        A folder that is new, empty, or an index; or a link to one, which stays a link.
    about : dict
        Plain values that say what was indexed, and how.

    Raises
    ------
    EncoreError
        If `place` has anything else in it, or no track was added.
    """
    if place.exists() and not _is_replaceable(place):
        raise EncoreError(f"{place}: is there already and no index, or more than that; name a new folder")
    try:
        with new_folder(place.resolve()) as folder, closing(NewIndex(folder)) as index:
            yield index
            if not index.n_tracks:
                raise EncoreError("none of the files can be used; there is nothing to make an index of")
            index.finish(about)
    except FileNotFoundError:  # its folder counts as the leftover of a killed process
        raise EncoreError(f"{place}: another process makes it, too; run again when that is done") from None
    except PermissionError as error:
        raise EncoreError(f"{place}: cannot be written: {error.strerror}") from None


def _is_replaceable(place: Path) -> bool:
    """Whether a folder has an index, or nothing; other files in it would be lost."""
    return place.is_dir() and {path.name for path in place.iterdir()} in ({ABOUT, VECTORS, TRACKS}, set())


class Index:
    """An index on the disk, to be searched.

    Parameters
    ----------
    place : Path

    Attributes
    ----------
    about : dict
        What `new_index` was given.
    n_tracks : int
    scale : Scale

    Raises
    ------
    EncoreError
        If there is none, or it is damaged or of another version.
    """

    def __init__(self, place: Path):
        self._place = place
        try:
            self.about: dict[str, Any] = json.loads((place / ABOUT).read_text("utf-8"))
            assert self.about["schema"] == SCHEMA
            assert isinstance(self.about["folder"], str)
            self.n_tracks = int(self.about["n_tracks"])
            self._shape = self.n_tracks, int(self.about["size"])
            self.scale = Scale(np.array(self.about["mean"]), np.array(self.about["std"]))
            assert np.load(place / VECTORS, mmap_mode="r").shape == self._shape
            self._database = sqlite3.connect(f"{(place / TRACKS).resolve().as_uri()}?mode=ro", uri=True)
        except FileNotFoundError:
            raise EncoreError(f"{place}: no index; `encore similar --index FOLDER` makes one") from None
        except (AssertionError, KeyError, TypeError, ValueError, TokenError, sqlite3.Error):
            raise EncoreError(f"{place}: the index is damaged, or of another version; {AGAIN}") from None

    def close(self) -> None:
        """Close its files."""
        self._database.close()

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """Read the vectors, float32 (n, size) of length 1, a block at a time."""
        return _blocks(self._place / VECTORS, self._shape)

    def track(self, row: int) -> Track:
        """Return the track of a row."""
        return Track(*self._one("SELECT * FROM tracks WHERE row = ?", row)[1:])

    def fingerprint(self, row: int) -> NDArray[np.uint32]:
        """Return the fingerprint of a row; see `stages.inference.embedding.Embedded`."""
        words = self._one("SELECT words FROM fingerprints WHERE row = ?", row)[0]
        return np.frombuffer(words, "<u4").astype(np.uint32)

    def rows(self, column: str, values: Iterable[str]) -> NDArray[np.int64]:
        """Return the rows that have one of some values in a column: a key of `WHERE`."""
        try:
            names = {value.encode("utf-8", "backslashreplace").decode() for value in values}
            found = [self._database.execute(WHERE[column], [name]) for name in names]
            return np.fromiter((row for of_value in found for (row,) in of_value), np.int64)
        except sqlite3.Error:
            raise self.damaged() from None

    def nearest(
        self, vector: NDArray[np.float32], k: int, allowed: NDArray[np.bool_]
    ) -> list[tuple[int, float]]:
        """Find the rows whose vectors have the highest cosines with `vector` (size,); equal ones by row.

        Parameters
        ----------
        vector : ndarray of float32 (size,)
            Standardised by `scale`, and of length 1.
        k : int
        allowed : ndarray of bool (n_tracks,)

        Returns
        -------
        list of (row, cosine)
        """
        rows, cosines = nearest(
            self.blocks, vector[None], min(k, self.n_tracks), lambda _, some: allowed[some]
        )
        return [
            (row, cosine)
            for row, cosine in zip(rows[0].tolist(), cosines[0].tolist(), strict=True)
            if row != NOBODY
        ]

    def _one(self, query: str, row: int) -> Any:
        try:
            found = self._database.execute(query, [row]).fetchone()
        except sqlite3.Error:
            raise self.damaged() from None
        if found is None:
            raise self.damaged()
        return found

    def damaged(self) -> EncoreError:
        """Return the error of a damaged index."""
        return EncoreError(f"{self._place}: the index is damaged; {AGAIN}")


def _blocks(path: Path, shape: tuple[int, int]) -> Iterator[NDArray[np.float32]]:
    """Read the rows of float32 with which a file ends."""
    n, size = shape
    first, at_once = path.stat().st_size - 4 * n * size, max(1, BLOCK // (4 * size))
    with path.open("rb") as file:
        file.seek(first)
        for start in range(0, n, at_once):
            count = min(at_once, n - start)
            yield np.fromfile(file, "<f4", count * size).reshape(count, size)
