"""Music to make an index of: a folder, or the project's own, with the genres and artists that are known."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from stages.asking.files import music_files
from stages.asking.scoring import genres
from stages.core.errors import EncoreError, some
from stages.core.tables import RawTrack, read_rows
from stages.core.user_tables import spelled
from stages.entry import caller
from stages.sources.music_below import group_of

OWN = "dataset"  # the word for the project's own music
MUSIC, TRACKS = Path("data/raw/music"), Path("data/raw/tracks.csv")


class Piece(NamedTuple):
    """A file of a collection.

    Attributes
    ----------
    path : Path
    below : str
        Its path below the folder of the collection.
    genre, artist : str
        Empty: unknown.
    """

    path: Path
    below: str
    genre: str
    artist: str


class Collection(NamedTuple):
    """Music in a folder.

    Attributes
    ----------
    folder : Path
        Absolute.
    pieces : list of Piece
    notes : list of str
        What else is there, in lines.
    lost : list of str
        What cannot be used, and why, in lines.
    """

    folder: Path
    pieces: list[Piece]
    notes: list[str]
    lost: list[str]


def collection(word: str, labels: Sequence[str], artists: str | None) -> Collection:
    """List the music of a collection.

    Parameters
    ----------
    word : str
        A folder, whose first sub-folders are genres: those that the model knows, in whatever spelling; or the
        word `OWN`.
    labels : sequence of str
        The genres that the model knows; empty: there is no model, and every sub-folder is one.
    artists : str or None
        Regular expression that is searched in each path below the folder; what its named groups match is the
        artist.

    Raises
    ------
    EncoreError
        If there is no such folder, no music in it, or no sense in the pattern.
    """
    if word == OWN:
        tracks, root = read_rows(TRACKS, RawTrack), MUSIC.absolute()
        return Collection(
            root, [Piece(root / row.path, row.path, row.label, row.group) for row in tracks], [], []
        )
    _check(artists)
    root = caller.given(word).absolute()
    if root.exists() and not root.is_dir():
        raise EncoreError(f"{word}: is a file; an index is made of a folder")
    files, notes = music_files([word])
    folders = {file.genre_folder for file in files}
    genre_of = genres(folders, labels, []).genre_of if labels else {name: spelled(name) for name in folders}
    pieces, lost = [], []
    for file in files:
        try:
            file.below.encode()
        except UnicodeEncodeError:  # a database of texts cannot hold it
            lost.append(f"{some([file.below])}: its name is not UTF-8; rename it")
            continue
        genre, artist = genre_of.get(file.genre_folder, ""), group_of(file.below, artists)
        pieces.append(Piece(file.path, file.below, genre, artist))
    return Collection(root, pieces, notes, lost)


def _check(pattern: str | None) -> None:
    try:
        if pattern is None or re.compile(pattern).groupindex:
            return
        reason = "has no named group, such as (?P<artist>[^/]+)"
    except re.error as error:
        reason = f"is no regular expression ({error})"
    raise EncoreError(f"--artists: {pattern!r} {reason}")
