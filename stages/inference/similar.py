"""The tracks of an index that are most like some files."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stages.audio.duplicates import near_duplicates
from stages.core.errors import EncoreError, some
from stages.inference.embedding import Embedded
from stages.inference.track_index import Index, Track


class UnknownError(EncoreError):
    """The genre or the artist of a file is asked for, and not known."""


@dataclass(frozen=True)
class Similar:
    """A track that is like the files.

    Attributes
    ----------
    track : Track
    cosine : float
        Of the standardised vectors, -1 to 1.
    same_recording : bool
        Whether it has music of one of the files itself, by their waveforms or fingerprints.
    """

    track: Track
    cosine: float
    same_recording: bool


def similar(
    index: Index,
    files: Mapping[Path, Embedded],
    k: int,
    same_genre: bool = False,
    other_artists: bool = False,
) -> list[Similar]:
    """Find the tracks that are most like one or several files, but for these files themselves.

    Several files are sought by the mean of their vectors of length 1.

    Parameters
    ----------
    index : Index
    files : mapping of Path to Embedded
    k : int
    same_genre : bool
        Only tracks of a genre of the files: as the index knows it, or else as the model predicts it.
    other_artists : bool
        No track of an artist of the files, which are found in the index by their place or their waveform.

    Raises
    ------
    UnknownError
        If genre or artist are asked for and not known.
    EncoreError
        If the index is damaged.
    """
    vectors = np.stack([heard.vector for heard in files.values()])
    mean = index.scale.unit(vectors).astype(np.float64).mean(axis=0)
    wanted = (mean / max(np.linalg.norm(mean), np.finfo(np.float64).tiny)).astype(np.float32)
    allowed = np.ones(index.n_tracks, bool)
    themselves = index.rows("path", _places(index, files))
    if same_genre:
        genres = [_genre(index, path, heard) for path, heard in files.items()]
        allowed[:] = False
        allowed[index.rows("genre", genres)] = True
    if other_artists:
        allowed[index.rows("artist", _artists(index, files))] = False
    allowed[themselves] = False
    return [
        Similar(track, cosine, _is_same(index, row, track, files.values()))
        for row, cosine in index.nearest(wanted, k, allowed)
        for track in [index.track(row)]
    ]


def _places(index: Index, files: Iterable[Path]) -> list[str]:
    """Return what the index would call the files that are in its folder."""
    root = Path(index.about["folder"])
    below = []
    for path in files:
        # as it is named, and where a link leads
        for place, folder in ((path.absolute(), root), (path.resolve(), root.resolve())):
            if place.is_relative_to(folder):
                below.append(place.relative_to(folder).as_posix())
    return below


def _itself(index: Index, path: Path, heard: Embedded) -> list[Track]:
    """Return what the index has of a file: at its place, and its copies."""
    rows = [*index.rows("path", _places(index, [path])), *index.rows("digest", [heard.digest])]
    return [index.track(int(row)) for row in rows]


def _genre(index: Index, path: Path, heard: Embedded) -> str:
    known = [track.label for track in _itself(index, path, heard) if track.label]
    genre = known[0] if known else heard.genre
    if not genre:
        raise UnknownError(
            f"the genre of {path} is not known: the index has no such file, and a feature predicts none; "
            "make the index with a model, or leave out --same-genre"
        )
    return genre


def _artists(index: Index, files: Mapping[Path, Embedded]) -> list[str]:
    artists = {
        path: [track.artist for track in _itself(index, path, heard) if track.artist]
        for path, heard in files.items()
    }
    if unknown := [str(path) for path, found in artists.items() if not found]:
        raise UnknownError(
            f"the artist of {some(unknown)} is not known: the index has no such file, or no artist of it; "
            "leave out --other-artists, or make an index with --artists PATTERN"
        )
    return [artist for found in artists.values() for artist in found]


def _is_same(index: Index, row: int, track: Track, files: Iterable[Embedded]) -> bool:
    fingerprint = index.fingerprint(row)
    return any(
        track.digest == heard.digest or bool(near_duplicates([heard.fingerprint, fingerprint]))
        for heard in files
    )
