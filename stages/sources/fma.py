"""The Free Music Archive: clips of 30 s with a published split, downloaded or from the user's own copy."""

import csv
import io
import re
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import ClassVar, Literal

from stages.core.errors import EncoreError
from stages.core.tables import RawTrack
from stages.core.user_tables import SEPARATORS, read_pairs
from stages.core.workspace import new_folder, work_cache
from stages.sources import archive
from stages.sources.choice import candidates, choose, wanted_classes
from stages.sources.disk import disk_errors_in_one_line
from stages.sources.download import download, sha1_of
from stages.sources.params import SourceParams, absolute
from stages.sources.source import Published

SERVER = "https://os.unil.cloud.switch.ch/fma"
FAULTS = Path(__file__).parents[2] / "data" / "facts" / "fma_faults.csv"

# As the README of github.com/mdeff/fma gives them; a subset contains those before it.
METADATA = "fma_metadata"
N_TRACKS = {"small": 8_000, "medium": 25_000, "large": 106_574}
SHA1 = {
    "fma_metadata": "f0df49ffe5f2a6008d7dc83c6915b31835dfe733",
    "fma_small": "ade154f733639d52e35e32f5593efe5be76c6d70",
    "fma_medium": "c67b69ea232021025fca9231fc1c7c1a063ab50b",
    "fma_large": "497109f4dd721066b5ce5e5f250ec604dc78939e",
}
SPLIT_SIZES = {"small": {"train": 6_400, "valid": 800, "test": 800}}  # as the README and the paper give them
SPLITS = {"training": "train", "validation": "valid", "test": "test"}

# The columns of tracks.csv that we read, each by what stands in its three header lines.
TRACK_ID = ("", "", "track_id")
SUBSET = ("set", "subset", "")
SPLIT = ("set", "split", "")
GENRE = ("track", "genre_top", "")
ARTIST = ("artist", "id", "")
COLUMNS: tuple[tuple[str, ...], ...] = (TRACK_ID, SUBSET, SPLIT, GENRE, ARTIST)

LONGEST_FIELD = 1 << 24  # characters; biographies pass the csv module's limit of 131,072
MAX_CLIP_BYTES = 64_000_000  # some fifty times a clip of 30 s


class FmaParams(SourceParams):
    """Parameters of the FMA source.

    Attributes
    ----------
    subset : str
        How much of it: small, medium or large.
    path, metadata_path : str or None
        Absolute paths of a copy of the clips (fma_small) and of the metadata (fma_metadata, or its
        tracks.csv); None: downloaded.
    """

    publishes_split: ClassVar[bool] = True
    name: Literal["fma"]
    subset: Literal["small", "medium", "large"]
    path: str | None = None
    metadata_path: str | None = None


class Fma:
    """Clips of 30 s from the Free Music Archive; the label is the top genre, the group the artist."""

    name = "fma"
    licence = "metadata: CC BY 4.0; audio: the licence each artist chose, most of them Creative Commons"
    citation = (
        "M. Defferrard, K. Benzi, P. Vandergheynst and X. Bresson, FMA: A Dataset for Music Analysis, "
        "ISMIR, 2017, arXiv:1612.01840"
    )
    caveat = (
        "FMA has several subsets: its numbers compare only with numbers on the same one and the same split."
    )

    def __init__(self, params: FmaParams):
        self.params = params
        self._clips = f"fma_{params.subset}"
        self._place = f"FMA {params.subset}"

    def published(self) -> Published:
        """Return FMA's numbers, and the tracks of its metadata if that is on this machine."""
        metadata = _folder_of(METADATA, self.params.metadata_path, "metadata_path")
        tracks = None
        if metadata is not None or _archive(METADATA).exists():
            with _opened(METADATA, metadata) as root:
                tracks = _read_tracks(root, self.params.subset)
        return Published(
            tracks=tracks,
            n_tracks=N_TRACKS[self.params.subset],
            split_sizes=SPLIT_SIZES.get(self.params.subset, {}),
            sha1={f"{name}.zip": SHA1[name] for name in (METADATA, self._clips)},
            original=_folder_of(self._clips, self.params.path, "path"),
        )

    def fetch(self, into: Path) -> list[RawTrack]:
        """Copy or unpack the chosen clips as they are, all or none; track_id is the file's name.

        Raises
        ------
        EncoreError
            If a copy is not where it is said to be, a class of `classes` is not in the subset, the
            server does not deliver, an archive is damaged, or the disk is full.
        """
        needs = (
            f"no room for the clips of {self._clips} in data/raw and in DVC's cache "
            "(dataset.fraction takes fewer of them)"
        )
        with disk_errors_in_one_line(into, needs):
            metadata = _folder_of(METADATA, self.params.metadata_path, "metadata_path")
            clips = _folder_of(self._clips, self.params.path, "path")
            with _opened(METADATA, metadata) as root:
                tracks = _read_tracks(root, self.params.subset)
            # Before the download, so that a wrong class costs no gigabytes.
            labels = (track.label for track in candidates(tracks, self.params))
            wanted_classes(labels, self.params, self._place)
            with _opened(self._clips, clips) as root, new_folder(into) as folder:
                there = _those_in(root, tracks)
                from tqdm import tqdm

                bar = tqdm(choose(there, self.params, self._place), "fetch", unit="track", disable=None)
                return [_copy(root, track, folder) for track in bar]


def _folder_of(name: str, copy: str | None, key: str) -> Path | None:
    """Return what a user's path means: FMA's folder `name`, one that contains it, or the file tracks.csv."""
    if copy is None:
        return None
    path = absolute(copy, key)
    if name == METADATA and path.is_file():
        return path
    if not path.is_dir():
        raise EncoreError(f"dataset.{key}: no folder {path}; it should be your copy of {name}")
    return path / name if (path / name).is_dir() else path


def _archive(name: str) -> Path:
    return work_cache("downloads") / f"{name}.zip"


@contextmanager
def _opened(name: str, folder: Path | None) -> Iterator[Path | zipfile.Path]:
    """Open FMA's folder `name`: the user's, or the one in the archive, which is downloaded if missing."""
    if folder is not None:
        yield folder
        return
    from filelock import FileLock

    path = _archive(name)
    # Queued experiments share the cache: one downloads, the others wait for it.
    with FileLock(work_cache("locks") / "fma.lock"):
        download(f"{SERVER}/{name}.zip", SHA1[name], path)
    try:
        with archive.opened(path) as opened:
            yield zipfile.Path(opened, f"{name}/")
    except archive.UnusableError as error:
        if sha1_of(path) == SHA1[name]:
            raise  # the fault is not in the archive
        raise archive.deleted(path, error) from None


def _read_tracks(root: Path | zipfile.Path, subset: str) -> list[RawTrack]:
    """Read the tracks of `subset` from tracks.csv; hash and size of the clips are not known yet."""
    table = root if root.is_file() else root / "tracks.csv"
    if not table.is_file():
        raise EncoreError(f"dataset.metadata_path: no tracks.csv in {root}; give FMA's folder fma_metadata")
    subsets = list(N_TRACKS)[: list(N_TRACKS).index(subset) + 1]
    faults = read_pairs(FAULTS, "track_id", "fault", "facts")
    tracks = []
    with table.open("rb") as file, _long_fields_allowed():
        for row in _read_rows(io.TextIOWrapper(file, "utf-8-sig", newline=""), table):
            if row[SUBSET] in subsets:
                track_id = row[TRACK_ID].zfill(6)
                tracks.append(
                    RawTrack(
                        track_id=track_id,
                        path=f"{track_id[:3]}/{track_id}.mp3",
                        label=row[GENRE],
                        group=row[ARTIST],
                        split=SPLITS.get(row[SPLIT], ""),
                        fault=faults.get(track_id, ""),
                        source=Fma.name,
                    )
                )
    if not tracks:
        raise EncoreError(f"{table}: has no track of FMA {subset}; give FMA's own tracks.csv")
    return tracks


@contextmanager
def _long_fields_allowed() -> Iterator[None]:
    before = csv.field_size_limit(LONGEST_FIELD)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _read_rows(text: io.TextIOWrapper, table: Path | zipfile.Path) -> Iterator[dict[tuple[str, ...], str]]:
    """Yield the columns that are needed, of every track."""
    lines = csv.reader(text)
    try:
        first = text.readline()
        lines = csv.reader(chain([first], text), delimiter=max(SEPARATORS, key=first.count))
        header = [tuple(map(str.strip, names)) for names in zip(*islice(lines, 3), strict=False)]
        for column in COLUMNS:
            if column not in header:
                named = " ".join(filter(None, column))
                raise EncoreError(f"{table}: no column {named!r}; give FMA's own tracks.csv")
        for line in lines:
            fields = dict(zip(header, line, strict=True))
            row = {column: fields[column].strip() for column in COLUMNS}
            if not re.fullmatch("[0-9]{1,6}", row[TRACK_ID]):  # it becomes a file's name
                raise ValueError
            yield row
    except (csv.Error, ValueError):  # among them what is no UTF-8
        raise EncoreError(
            f"{table}: not as FMA writes it about line {lines.line_num}; give FMA's own tracks.csv"
        ) from None


def _those_in(root: Path | zipfile.Path, tracks: Iterable[RawTrack]) -> list[RawTrack]:
    """Return the tracks whose clip is in `root`, and print which are not; `EncoreError` if none is."""
    there: list[RawTrack] = []
    missing: list[RawTrack] = []
    for track in tracks:
        (there if (root / track.path).is_file() else missing).append(track)
    if not there:
        raise EncoreError(f"dataset.path: {root} has no clip of the subset, such as 000/000002.mp3")
    if missing:
        names = sorted(track.track_id for track in missing)
        first = ", ".join(names[:5]) + (", …" if names[5:] else "")
        n_all = len(there) + len(missing)
        print(f"  warning: {len(missing)} of {n_all} tracks are not in {root}: {first}")
    return there


def _copy(root: Path | zipfile.Path, track: RawTrack, folder: Path) -> RawTrack:
    """Copy a clip; return its row, now with hash and size."""
    clip = root / track.path
    try:
        with clip.open("rb") as packed:
            sha256, n_bytes = archive.copy(packed, folder / track.path, MAX_CLIP_BYTES)
    except archive.TooLargeError:
        raise EncoreError(
            f"{clip}: over {MAX_CLIP_BYTES / 1e6:.0f} MB, too large for a clip of 30 s; use FMA's own file"
        ) from None
    return replace(track, sha256=sha256, bytes=n_bytes)
