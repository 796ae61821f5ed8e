"""Compare the music in data/raw with its table of tracks and with what its source publishes.

`encore validate` ends with exit status 1 if something differs.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from stages.core.documents import read_document
from stages.core.errors import EncoreError
from stages.core.params import read
from stages.core.tables import RawTrack, read_rows
from stages.core.workspace import work_cache_path
from stages.entry.command import run_command
from stages.sources.choice import chosen
from stages.sources.choices import build
from stages.sources.download import sha1_of
from stages.sources.source import Published, Source

RAW = Path("data/raw")
N_SHOWN = 10  # differences that are printed
PUBLISHED = ("label", "group", "split", "fault")  # columns of tracks.csv that a source may know beforehand


def main() -> None:
    """Print what agrees and what differs; a difference ends in exit status 1."""
    source = build(read("dataset"))
    if not (RAW / "tracks.csv").exists() or not (RAW / "source.json").exists():
        raise EncoreError(f"{RAW}: no music yet; `dvc repro fetch` fetches it")
    name = read_document(RAW / "source.json")["name"]
    if name != source.name:
        raise EncoreError(
            f"{RAW} has music from {name}, params.yaml names {source.name}; `dvc repro fetch` fetches it"
        )
    counts, differences = compare(source, read_rows(RAW / "tracks.csv", RawTrack))
    for line in counts:
        print(f"validate: {line}")
    for line in differences[:N_SHOWN]:
        print(f"  {line}")
    if differences:
        n = f"{len(differences)} difference{'s' if len(differences) > 1 else ''}"
        raise EncoreError(
            f"{n} between {RAW} and what {name} publishes; `dvc repro --force fetch` fetches the music again"
        )


def compare(source: Source, tracks: list[RawTrack]) -> tuple[list[str], list[str]]:
    """Compare the files in data/raw/music and the rows of tracks.csv with what `source` publishes.

    Returns
    -------
    counts, differences : list of str
        A line for each thing that was compared, and one for each difference.
    """
    published = source.published()
    counts, differences = [], []
    for count, found in (
        _files(tracks),
        *_tracks(source, published, tracks),
        *_original(published, tracks),
        *_archives(published),
    ):
        counts.append(count)
        differences += found
    return counts, differences


Compared = tuple[str, list[str]]  # what was compared, and the differences


def _files(tracks: list[RawTrack]) -> Compared:
    """Compare the files with tracks.csv: size, SHA-256, none missing, none more."""
    music = RAW / "music"
    differences = _differing_files(music, tracks)
    n_same = len(tracks) - len(differences)
    listed = {track.path for track in tracks}
    there = (path.relative_to(music).as_posix() for path in music.rglob("*") if not path.is_dir())
    differences += [f"{music / path}: not in tracks.csv" for path in sorted(set(there) - listed)]
    return f"{n_same} of {len(tracks)} files have the size and SHA-256 of tracks.csv", differences


def _original(published: Published, tracks: list[RawTrack]) -> Iterator[Compared]:
    """Compare tracks.csv with the user's folder, where there is one."""
    if published.original is not None:
        differences = _differing_files(published.original, tracks)
        n_same = len(tracks) - len(differences)
        yield f"{n_same} of {len(tracks)} files are the same in {published.original}", differences


def _differing_files(folder: Path, tracks: list[RawTrack]) -> list[str]:
    from tqdm import tqdm

    bar = tqdm(tracks, f"read {folder}", unit="file", leave=False, disable=None)
    return [difference for track in bar for difference in _differing_file(folder / track.path, track)]


def _differing_file(path: Path, track: RawTrack) -> Iterator[str]:
    if not path.is_file():
        yield f"{path}: not there"
    elif path.stat().st_size != track.bytes:
        yield f"{path}: has {path.stat().st_size} bytes, {track.bytes} in tracks.csv"
    else:
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != track.sha256:
                yield f"{path}: another SHA-256 than in tracks.csv"


def _tracks(source: Source, published: Published, tracks: list[RawTrack]) -> Iterator[Compared]:
    """Compare tracks.csv with the published numbers, and with what should have been chosen."""
    params = source.params
    if params.classes is None and params.tracks_per_class is None and params.fraction == 1:
        yield from _numbers(published, tracks)
    if published.tracks is None:
        yield f"the list of tracks of {source.name} is not on this machine: the choice is not compared", []
        return
    wanted = {track.track_id: track for track in chosen(published.tracks, params, source.name)}
    there = {track.track_id: track for track in tracks}
    missing = sorted(wanted.keys() - there.keys() - published.optional)
    differences = [f"{track_id}: not in tracks.csv, should be" for track_id in missing]
    differences += [
        f"{track_id}: in tracks.csv, should not be" for track_id in sorted(there.keys() - wanted.keys())
    ]
    both = sorted(wanted.keys() & there.keys())
    differing = [line for track_id in both for line in _differing_row(wanted[track_id], there[track_id])]
    yield (
        f"{len(both)} of {len(wanted)} tracks are those that dataset.* chooses of {len(published.tracks)}",
        differences + differing,
    )


def _differing_row(wanted: RawTrack, there: RawTrack) -> Iterator[str]:
    for column in PUBLISHED:
        given, expected = getattr(there, column), getattr(wanted, column)
        if given != expected:
            yield f"{there.track_id}: {column} {given!r} in tracks.csv, should be {expected!r}"


def _numbers(published: Published, tracks: list[RawTrack]) -> Iterator[Compared]:
    """Compare how many tracks there are, in all and in each published split."""
    whole = {} if published.n_tracks is None else {"all": published.n_tracks}
    expected = {**whole, **published.split_sizes}
    found = Counter(track.split for track in tracks)
    found["all"] = len(tracks)
    for name, n_tracks in expected.items():
        spare = len(published.optional) if name == "all" else 0
        is_same = n_tracks - spare <= found[name] <= n_tracks
        line = f"{found[name]} tracks in {name}, {n_tracks} published"
        yield line, [] if is_same else [line]


def _archives(published: Published) -> Iterator[Compared]:
    """Compare the downloaded archives with their published checksums."""
    for name, sha1 in published.sha1.items():
        path = work_cache_path() / "downloads" / name
        if not path.exists():
            yield f"{name} is not in {path.parent}: not compared", []
        elif sha1_of(path) == sha1:
            yield f"{name} has the published SHA-1", []
        else:
            yield f"{name} has another SHA-1", [f"{path}: another SHA-1 than published; delete it"]


if __name__ == "__main__":
    run_command(main)
