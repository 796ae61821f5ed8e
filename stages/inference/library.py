"""The project's music as a model hears it: an index of all its tracks, and their places on a map.

It is made once for a model, a list of tracks and the code, and lies in the work cache.
"""

import hashlib
import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stages.core.tables import RawTrack, read_rows, write_rows
from stages.core.workspace import new_folder, work_cache
from stages.inference.embedding import PACKAGES, Embedded, Method, embed_all
from stages.inference.layout import layout, shown
from stages.inference.track_index import Index, Track, new_index
from stages.storage import cache

INDEX, MAP = "index", "map.csv"
KEPT = 5  # libraries, of other models or of earlier music; the longest unused are deleted
LAYING_OUT = "the map is being laid out"


@dataclass(frozen=True)
class Point:
    """A track on the map.

    Attributes
    ----------
    track_id : str
    path : str
        Below the folder of the music.
    label : str
        Empty: unlabelled.
    predicted : str
        The genre that the model predicts.
    x, y : float
        See `stages.inference.layout.layout`.
    """

    track_id: str
    path: str
    label: str
    predicted: str
    x: float
    y: float


@dataclass(frozen=True)
class Library:
    """A library in the work cache.

    Attributes
    ----------
    folder : Path
        It may not be there yet; if it is, it is whole.
    """

    folder: Path

    @classmethod
    def of(cls, method: Method, tracks: Path) -> "Library":
        """Return the one of a model and a list of tracks, whether it is made or not.

        Parameters
        ----------
        method : Method
            By a model, wherever that is.
        tracks : Path
            tracks.csv of data/raw, which has the SHA-256 of each file.
        """
        code = cache.code_key(__name__, [*PACKAGES, "scikit-learn"])
        of_tracks = hashlib.sha256(tracks.read_bytes()).hexdigest()
        return cls(work_cache("library") / cache.entry_key(method.sha256, of_tracks, code)[:32])

    @property
    def is_made(self) -> bool:
        """Whether it is there; then it is marked as used now."""
        try:
            os.utime(self.folder)
        except OSError:
            return False
        return True

    @property
    def index(self) -> Path:
        """The folder of its index; see `stages.inference.track_index.Index`."""
        return self.folder / INDEX

    def counted(self) -> tuple[int, list[str]]:
        """Return how many tracks were heard, and which could not be, and why, in lines."""
        with closing(Index(self.index)) as index:
            return index.n_tracks, [str(line) for line in index.about.get("lost", [])]

    def points(self) -> list[Point]:
        """Return the tracks on the map, in the order of their track_id.

        Raises
        ------
        EncoreError
            If the file is damaged.
        """
        return read_rows(self.folder / MAP, Point)

    def make(
        self,
        method: Method,
        music: Path,
        tracks: Sequence[RawTrack],
        cache_gb: float,
        say: Callable[[str], None],
    ) -> None:
        """Hear all tracks, and lay them out; the folder appears when all of it is done.

        What was heard before is in the work cache, also if this was killed.

        Parameters
        ----------
        method : Method
            By a model.
        music : Path
            The folder that paths of tracks are below.
        tracks : sequence of RawTrack
        cache_gb : float
            See `stages.storage.cache.trim`.
        say : callable
            Takes a line about how far it is.

        Raises
        ------
        EncoreError
            If no track can be heard, or the model cannot be used.
        """
        ordered = sorted(tracks, key=lambda track: track.track_id)
        with new_folder(self.folder) as folder:
            ids = _index(folder / INDEX, method, music, ordered, cache_gb, say)
            say(LAYING_OUT)
            _lay_out(folder, ids)
        _delete_old(self.folder.parent)


def _index(
    place: Path,
    method: Method,
    music: Path,
    tracks: Sequence[RawTrack],
    cache_gb: float,
    say: Callable[[str], None],
) -> list[str]:
    """Make the index; return the track_id of each of its rows."""
    files = [(music / track.path, track.path) for track in tracks]
    ids: list[str] = []
    lost: list[str] = []
    about = {"folder": str(music.absolute()), "method": method.document, "lost": lost}  # written at the end
    with new_index(place, about) as index:
        heard = embed_all(files, method, cache_gb, "hear")
        for n, (track, one) in enumerate(zip(tracks, heard, strict=True), 1):
            if isinstance(one, Embedded):
                row = Track(track.path, track.label, one.genre, track.group, one.digest, one.duration_s)
                index.add(row, one.vector, one.fingerprint)
                ids.append(track.track_id)
            else:
                lost.append(one)
            say(f"{n} of {len(tracks)} tracks")
    return ids


def _lay_out(folder: Path, ids: Sequence[str]) -> None:
    """Write the map of an index."""
    with closing(Index(folder / INDEX)) as index:
        rows = shown(index.n_tracks)
        chosen, start = [], 0
        for block in index.blocks():
            inside = rows[(rows >= start) & (rows < start + len(block))]
            chosen.append(block[inside - start])
            start += len(block)
        places = _places(np.concatenate(chosen)).tolist()
        points = []
        for row, (x, y) in zip(rows.tolist(), places, strict=True):
            track = index.track(row)
            points.append(Point(ids[row], track.path, track.label, track.predicted, x, y))
        write_rows(folder / MAP, points, Point)


def _places(vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the layout of vectors; other labels of the same tracks do not change it."""
    code = cache.code_key(layout.__module__, ["numpy", "scipy", "scikit-learn"])
    key = cache.entry_key("layout", hashlib.sha256(vectors.tobytes()).hexdigest(), code)
    if found := cache.load(key, ["places"]):
        return found[0]["places"]
    places = layout(vectors)
    cache.save(key, {"places": places}, {})
    return places


def _delete_old(folder: Path) -> None:
    """Delete all libraries but those last used."""
    made = [(path.stat().st_mtime, path) for path in folder.iterdir() if not path.name.startswith(".")]
    for _, path in sorted(made, reverse=True)[KEPT:]:
        shutil.rmtree(path, ignore_errors=True)
