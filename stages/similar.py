"""Find similar music: make an index of a folder once, then ask for the tracks most like a file, or several.

`encore similar --index FOLDER` hears all music in a folder and the folders in it; the word dataset in its
place stands for the project's own music. `encore similar FILE` lists what in the index is most like the file,
or like all of several files. What was heard before is in the work cache: after a change in the folder only
new files are heard.

Tracks are compared by what the model's last layer takes, or by statistics of a feature (--feature), each
dimension standardised over the index, by their cosine. A genre in brackets is predicted by the model.
"""

import json
import os
import re
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from stages.asking import options
from stages.asking.files import music_files
from stages.core.errors import EncoreError, did_you_mean, some
from stages.entry import caller
from stages.entry.command import run_command

if TYPE_CHECKING:
    from stages.inference.embedding import Method
    from stages.inference.similar import Similar
    from stages.inference.track_index import Index

PLACE = Path("data/similar")
DATASET = "dataset"
SAME = "same recording"


class Source(NamedTuple):
    """A file to be indexed, and what is known of it."""

    path: Path
    below: str
    label: str
    artist: str


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
        "--index", metavar="FOLDER", help=f"make an index of this folder, or of the word {DATASET}"
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
    from stages.core.runtime import runtime
    from stages.inference.embedding import Embedded, embed_all
    from stages.inference.track_index import Track, new_index

    method = _feature(given.feature) if given.feature else _model(given)
    root, sources = _dataset() if given.index == DATASET else _folder(given, method)
    _check_place(place, root)
    lost = [f"{some([one.below])}: its name is not UTF-8; rename it" for one in sources if not _is_utf8(one)]
    sources = [source for source in sources if _is_utf8(source)]
    with new_index(place, {"folder": str(root), "method": method.document}) as index:
        files = [(source.path, source.below) for source in sources]
        heard = embed_all(files, method, runtime().cache_gb, "similar")
        for source, one in zip(sources, heard, strict=True):
            if isinstance(one, Embedded):
                known = Track(
                    source.below, source.label, one.genre, source.artist, one.digest, one.duration_s
                )
                index.add(known, one.vector, one.fingerprint)
            else:
                lost.append(one)
    _name(lost)
    if given.json:
        print(
            json.dumps(
                {"index": str(place), "folder": str(root), "n_tracks": index.n_tracks, "left_out": lost}
            )
        )
    else:
        options.say(given, f"{place} has {index.n_tracks} tracks of {root}, by {method.words}")
    if lost:
        _name([f"{len(lost)} of {len(lost) + index.n_tracks} files could not be used"])
    return 3 if lost else 0


def _ask(given: Namespace, place: Path) -> int:
    """Print the tracks that are most like the files; return the exit status."""
    from contextlib import closing

    from stages.core.runtime import runtime
    from stages.inference.embedding import Embedded, embed_all
    from stages.inference.similar import similar
    from stages.inference.track_index import Index

    with closing(Index(place)) as index:
        method = _method_of(index, given, place)
        asked, notes = music_files(given.files)
        files = [(file.path, file.name) for file in asked]
        heard: dict[Path, Embedded] = {}
        lost = []
        for (path, name), one in zip(
            files, embed_all(files, method, runtime().cache_gb, "listen"), strict=True
        ):
            if isinstance(one, Embedded):
                heard[path] = one
                notes += [f"{name} {one.note}"] if one.note else []
            else:
                lost.append(one)
        if not heard:
            raise EncoreError("; ".join(lost))
        options.say(given, *notes)
        _name(lost)
        found = similar(index, heard, given.k, given.same_genre, given.other_artists)
        root = Path(index.about["folder"])
        print(_document(found, root, lost) if given.json else "\n".join(_table(found)))
        if not given.json:
            options.say(given, f"of {index.n_tracks} tracks in {root}, by {method.words}")
    return 3 if lost else 0


def _model(given: Namespace) -> "Method":
    from stages.inference.embedding import Method

    chosen = options.chosen(given)
    return Method.of_model(chosen.folder, chosen.encoder)


def _feature(name: str) -> "Method":
    """Return the method by statistics of a feature, as params.yaml makes it.

    Raises
    ------
    EncoreError
        If there is no such feature, or its settings are wrong.
    """
    from stages.audio.params import AudioParams, RenderParams
    from stages.core.params import check, load, read
    from stages.features.catalogue import CATALOGUE
    from stages.features.params import FeaturesParams, build
    from stages.features.segments import SegmentParams
    from stages.features.writing import stored_as
    from stages.inference.embedding import Method
    from stages.training.description import ModelInput

    if name not in CATALOGUE:
        raise EncoreError(
            f"{name}: no feature{did_you_mean(name, CATALOGUE)}; there are {', '.join(CATALOGUE)}"
        )
    rate_hz = load("audio", AudioParams).sample_rate_hz
    length = round(load("segment", SegmentParams).length_s * rate_hz)
    params = check({**read("features"), "include": [name]}, FeaturesParams, "features")
    settings = dict(stored_as(name, build(params, rate_hz, length)[name], params, length).settings)
    given = ModelInput(
        feature=[name],
        settings=json.loads(json.dumps({name: settings})),
        sample_rate_hz=rate_hz,
        segment_length=length,
        variants=[],
        audio_sha256="",
        made_with="",
    )
    return Method(given, load("render", RenderParams))


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


def _dataset() -> tuple[Path, list[Source]]:
    """Return the project's own music, with its genres and artists."""
    from stages.core.tables import RawTrack, read_rows

    root = Path("data/raw/music").absolute()
    tracks = read_rows(Path("data/raw/tracks.csv"), RawTrack)
    return root, [Source(root / track.path, track.path, track.label, track.group) for track in tracks]


def _folder(given: Namespace, method: "Method") -> tuple[Path, list[Source]]:
    """Return the music in a folder.

    A sub-folder's name is the genre if the model knows that genre, in whatever spelling; without a model it
    always is.
    """
    from stages.asking.scoring import genres
    from stages.core.user_tables import spelled
    from stages.sources.music_below import group_of
    from stages.training.description import Description

    _check_pattern(given.artists)
    root = caller.given(given.index).absolute()
    if root.exists() and not root.is_dir():
        raise EncoreError(f"{given.index}: is a file; an index is made of a folder")
    files, notes = music_files([given.index])
    options.say(given, *notes)
    folders = {file.genre_folder for file in files}
    if method.model:
        genre_of = genres(folders, Description.load(Path(method.model)).labels, []).genre_of
    else:
        genre_of = {name: spelled(name) for name in folders}
    return root, [
        Source(
            file.path, file.below, genre_of.get(file.genre_folder, ""), group_of(file.below, given.artists)
        )
        for file in files
    ]


def _is_utf8(source: Source) -> bool:
    try:
        source.below.encode()
    except UnicodeEncodeError:
        return False
    return True


def _check_pattern(pattern: str | None) -> None:
    try:
        if pattern is None or re.compile(pattern).groupindex:
            return
        reason = "has no named group, such as (?P<artist>[^/]+)"
    except re.error as error:
        reason = f"is no regular expression ({error})"
    raise EncoreError(f"--artists: {pattern!r} {reason}")


def _check_place(place: Path, root: Path) -> None:
    """Raise `EncoreError` if an index would lie among music, or among outputs of the pipeline."""
    inside = place.resolve()
    if inside.is_relative_to(root.resolve()):
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
    run_command(main, takes_words=True)
