"""Find the music that is most like a file, or several, in a folder that was heard once.

encore similar --index ~/music              hear all music in a folder, and in folders in it
encore similar --index dataset              the same of the project's own music
encore similar song.mp3 -k 5                the five tracks of the index that are most like it
encore similar a.mp3 b.mp3 --other-artists  most like both, by other artists

Tracks are compared by what the model's last layer takes, or by statistics of a feature (--feature): by the
cosine, each dimension standardised over the index. A genre in brackets is predicted by the model.
What was heard before is in the work cache: after a change in the folder only new files are heard.
"""

import json
import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from stages.asking import options
from stages.core.errors import EncoreError, some
from stages.entry import caller
from stages.entry.command import run_parsed

if TYPE_CHECKING:
    from stages.inference.embedding import Method
    from stages.inference.similar import Similar
    from stages.inference.track_index import Index

PLACE = Path("data/similar")
SAME = "same recording"
SOME_LOST = 3  # exit status


def main() -> None:
    """Make an index, or answer from one."""
    parser = _parser()
    given = parser.parse_args()
    if bool(given.files) == bool(given.index):
        parser.error("give files to find similar ones, or --index FOLDER to make an index")
    if given.k < 1:
        parser.error(f"-k is {given.k}, should be at least 1")
    for_index, for_files = (given.feature, given.artists), (given.same_genre, given.other_artists)
    if given.files and any(for_index):
        parser.error("--feature and --artists go with --index; files are compared as the index was made")
    if given.index and any(for_files):
        parser.error("--same-genre and --other-artists go with files, not with --index")
    if given.feature and (given.model or given.run):
        parser.error("--feature is without a model")
    place = PLACE if given.at is None else Path(os.path.normpath(caller.given(given.at)))
    sys.exit(_make(given, place) if given.index else _ask(given, place))


def _parser() -> ArgumentParser:
    parser = options.parser(__doc__, "encore similar")
    parser.add_argument(
        "files", nargs="*", metavar="FILE", help="music to find similar tracks for; or a folder of it"
    )
    parser.add_argument("-k", type=int, default=10, metavar="N", help="how many tracks to list (10)")
    parser.add_argument("--same-genre", action="store_true", help="only tracks of the genre of the files")
    parser.add_argument("--other-artists", action="store_true", help="no track of an artist of the files")
    parser.add_argument(
        "--index", metavar="FOLDER", help="make an index of this folder, or of the word dataset"
    )
    parser.add_argument("--at", metavar="PLACE", help=f"folder of the index ({PLACE} in the project)")
    parser.add_argument(
        "--feature", metavar="NAME", help="index by this feature, as params.yaml makes it, no model"
    )
    parser.add_argument(
        "--artists",
        metavar="PATTERN",
        help="regular expression that is searched in each path below the folder; "
        "its named groups are the artist, such as '^(?P<artist>[^/]+)/'",
    )
    return parser


def _make(given: Namespace, place: Path) -> int:
    """Make an index; return the exit status."""
    from stages.asking.collection import collection
    from stages.core.runtime import runtime
    from stages.inference.embedding import Embedded, Method, embed_all
    from stages.inference.track_index import Track, new_index
    from stages.training.description import Description

    method = Method.of_feature(given.feature) if given.feature else _model(given)
    labels = Description.load(Path(method.model)).labels if method.model else []
    music = collection(given.index, labels, given.artists)
    _check_place(place, music.folder)
    options.say(given, *music.notes)
    lost, in_part = [*music.lost], []
    with new_index(place, {"folder": str(music.folder), "method": method.document}) as index:
        files = [(piece.path, piece.below) for piece in music.pieces]
        heard = embed_all(files, method, runtime().cache_gb, "similar")
        for (_, below, genre, artist), one in zip(music.pieces, heard, strict=True):
            if isinstance(one, Embedded):
                track = Track(below, genre, one.genre, artist, one.digest, one.duration_s)
                index.add(track, one.vector, one.fingerprint)
                in_part += [below] if one.note else []
            else:
                lost.append(one)
    _name(lost)
    if in_part:
        options.say(given, f"read only in part: {some(in_part)}")
    if given.json:
        document = {"index": str(place), "folder": str(music.folder), "n_tracks": index.n_tracks}
        print(json.dumps({**document, "left_out": lost}, indent=2))
    else:
        options.say(given, f"{place} has {index.n_tracks} tracks of {music.folder}, by {method.words}")
    if lost:
        _name([f"{len(lost)} of {len(lost) + index.n_tracks} files could not be used"])
    return SOME_LOST if lost else 0


def _ask(given: Namespace, place: Path) -> int:
    """Print the tracks that are most like the files; return the exit status."""
    from stages.asking.files import music_files
    from stages.core.runtime import runtime
    from stages.inference.embedding import Embedded, embed_all
    from stages.inference.similar import similar
    from stages.inference.track_index import Index

    with closing(Index(place)) as index:
        method = _method_of(index, given, place)
        asked, notes = music_files(given.files)
        files = [(file.path, file.name) for file in asked]
        answers = embed_all(files, method, runtime().cache_gb, "listen")
        heard: dict[Path, Embedded] = {}
        lost = []
        for (path, name), one in zip(files, answers, strict=True):
            if isinstance(one, Embedded):
                heard[path] = one
                notes += [f"{name} {one.note}"] if one.note else []
            else:
                lost.append(one)
        if not heard:
            _name(lost[:-1])
            raise EncoreError(lost[-1])
        options.say(given, *notes)
        _name(lost)
        found = similar(index, heard, given.k, given.same_genre, given.other_artists)
        root = Path(index.about["folder"])
        print(_document(found, root, lost) if given.json else "\n".join(_table(found)))
        if not given.json:
            options.say(given, f"of {index.n_tracks} tracks in {root}, by {method.words}")
    return SOME_LOST if lost else 0


def _model(given: Namespace) -> "Method":
    from stages.inference.embedding import Method

    chosen = options.chosen(given)
    return Method.of_model(chosen.folder, chosen.encoder)


def _method_of(index: "Index", given: Namespace, place: Path) -> "Method":
    """Return how the files are to be heard: as the index was.

    Raises
    ------
    EncoreError
        If that is not possible any more, or another model is asked for.
    """
    from stages.inference.embedding import Method

    try:
        made = Method.of_document(index.about["method"])
    except (KeyError, TypeError, ValueError):
        raise index.damaged() from None
    if given.model or given.run:
        method = _model(given)
        if not method.is_like(made):
            raise EncoreError(
                f"{place} was made by {made.words}, not by {method.words}; ask without --model and --run, or "
                "make the index again with it"
            )
        return method
    if made.model:
        is_there = (Path(made.model) / "model.json").is_file()
        if not (is_there and made.is_like(Method.of_model(Path(made.model), None))):
            raise EncoreError(
                f"{place} was made by another model than {made.model} has now; make the index again with "
                "`encore similar --index`, or name the model's folder or run"
            )
    return made


def _check_place(place: Path, music: Path) -> None:
    """Raise `EncoreError` if an index would lie among music, or among outputs of the pipeline."""
    inside = place.resolve()
    if inside.is_relative_to(music.resolve()):
        raise EncoreError(f"--at {place}: is in the folder of the music; name another one")
    data = Path("data").resolve()
    if inside.is_relative_to(data) and not inside.is_relative_to(PLACE.resolve()):
        raise EncoreError(
            f"--at {place}: is among the pipeline's outputs; take {PLACE}, or a folder elsewhere"
        )


def _name(lost: Sequence[str]) -> None:
    """Print the files that could not be used, also where it is to be quiet."""
    for line in lost:
        print(line, file=sys.stderr)


def _table(found: "Sequence[Similar]") -> list[str]:
    from stages.asking.answers import printable

    if not found:
        return ["no track fits"]
    genres = [
        one.track.label or (f"({one.track.predicted})" if one.track.predicted else "-") for one in found
    ]
    width = max(len("genre"), *map(len, genres))
    lines = [f"    similar  {'genre':<{width}}  track"]
    for rank, (one, genre) in enumerate(zip(found, genres, strict=True), 1):
        mark = f"  [{SAME}]" if one.same_recording else ""
        lines.append(f"{rank:>3}  {one.cosine:>6.3f}  {genre:<{width}}  {printable(one.track.path)}{mark}")
    return lines


def _document(found: "Sequence[Similar]", root: Path, lost: Sequence[str]) -> str:
    tracks = [
        {
            "rank": rank,
            "similarity": round(one.cosine, 6),
            "path": str(root / one.track.path),
            "genre": one.track.genre,
            "is_predicted": not one.track.label,
            "artist": one.track.artist,
            "same_recording": one.same_recording,
        }
        for rank, one in enumerate(found, 1)
    ]
    return json.dumps({"tracks": tracks, "left_out": [*lost]}, indent=2, ensure_ascii=False)


if __name__ == "__main__":
    run_parsed(main)
