"""The Free Music Archive: clips of 30 s with a published split, downloaded or from a copy of one's own."""

import csv
import errno
import hashlib
import io
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Literal

from stages.core.errors import EncoreError
from stages.core.tables import RawTrack, read_rows
from stages.core.workspace import new_folder, work_cache
from stages.sources import Contents
from stages.sources.choice import choose, wanted_classes
from stages.sources.download import download
from stages.sources.params import SourceParams, absolute

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
SPLITS = {"training": "train", "validation": "valid", "test": "test"}

# The columns of tracks.csv that we read, each by what stands in its three header lines.
TRACK_ID = ("", "", "track_id")
SUBSET = ("set", "subset", "")
SPLIT = ("set", "split", "")
GENRE = ("track", "genre_top", "")
ARTIST = ("artist", "id", "")

LONGEST_FIELD = 1 << 24  # characters; biographies pass the csv module's limit of 131,072
LARGEST_CLIP = 64_000_000  # bytes, some fifty times a clip of 30 s

# What zipfile raises for damaged archives.
DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError)


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

    name: Literal["fma"]
    subset: Literal["small", "medium", "large"]
    path: str | None = None
    metadata_path: str | None = None


@dataclass(frozen=True)
class Fault:
    """What is wrong with a clip (``data/facts/fma_faults.csv``)."""

    track_id: str
    fault: str


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
        self.expected = Contents(
            n_tracks=N_TRACKS[params.subset],
            checksums={f"{name}.zip": f"sha1:{SHA1[name]}" for name in (METADATA, self._clips)},
        )

    def fetch(self, into: Path) -> list[RawTrack]:
        """Copy or unpack the chosen clips as they are, all or none; track_id is the file's name.

        Raises
        ------
        EncoreError
            If a copy is not where it is said to be, a class of `classes` is not in the subset, the
            server does not deliver, an archive is damaged, or the disk is full.
        """
        try:
            metadata = _folder_of(METADATA, self.params.metadata_path, "metadata_path")
            clips = _folder_of(self._clips, self.params.path, "path")
            with _opened(METADATA, metadata) as root:
                known = _read_tracks(root, self.params.subset)
            # known before the download, so that a slip costs no gigabytes
            wanted_classes(_labels(known), self.params, self._place)
            with _opened(self._clips, clips) as root, new_folder(into) as folder:
                there = {
                    track_id: track for track_id, track in known.items() if (root / track.path).is_file()
                }
                _report_missing(sorted(known.keys() - there.keys()), len(known), root)
                from tqdm import tqdm

                chosen = choose(_labels(there), self.params, self._place)
                bar = tqdm(chosen, "fetch", unit="track", disable=None)
                return [_copy(root, there[track_id], folder) for track_id in bar]
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise EncoreError(
                    f"disk full: no room for the clips of {self._clips} in data/raw and in DVC's cache; make "
                    "room, or take less with dataset.fraction, and run again; what is downloaded is kept"
                ) from None
            raise EncoreError(f"{error.filename or into}: {error.strerror or error}") from None


def _labels(tracks: dict[str, RawTrack]) -> dict[str, str]:
    return {track_id: track.label for track_id, track in tracks.items()}


def _folder_of(name: str, copy: str | None, key: str) -> Path | None:
    """What a user's path stands for: FMA's folder `name`, one that holds it, or the file tracks.csv."""
    if copy is None:
        return None
    path = absolute(copy, key)
    if name == METADATA and path.is_file():
        return path
    if not path.is_dir():
        raise EncoreError(f"dataset.{key}: no folder {path}; it should be your copy of {name}")
    return path / name if (path / name).is_dir() else path


@contextmanager
def _opened(name: str, folder: Path | None) -> Iterator[Path | zipfile.Path]:
    """FMA's folder `name`: the user's, or else the one in the archive, which is downloaded where it lacks."""
    if folder is not None:
        yield folder
        return
    from filelock import FileLock

    archive = work_cache("downloads") / f"{name}.zip"
    # Queued experiments share the cache: one downloads, the others wait for it.
    with FileLock(work_cache("locks") / "fma.lock"):
        download(f"{SERVER}/{name}.zip", SHA1[name], archive)
    try:
        with zipfile.ZipFile(archive) as opened:
            yield zipfile.Path(opened, f"{name}/")
    except (*DAMAGE, OSError) as error:
        # Damage makes bz2 raise an OSError without a number and zipfile seek out of bounds (EINVAL);
        # any other OSError is the disk's.
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise
        archive.unlink()
        raise EncoreError(f"{archive}: damaged ({error}); deleted, run again to download it anew") from None


def _read_tracks(root: Path | zipfile.Path, subset: str) -> dict[str, RawTrack]:
    """What tracks.csv says of the tracks of `subset`; how large the clips are is not known yet."""
    table = root if root.is_file() else root / "tracks.csv"
    if not table.is_file():
        raise EncoreError(f"dataset.metadata_path: no tracks.csv in {root}; give FMA's folder fma_metadata")
    subsets = list(N_TRACKS)[: list(N_TRACKS).index(subset) + 1]
    faults = {row.track_id: row.fault for row in read_rows(FAULTS, Fault)}
    tracks = {}
    with table.open("rb") as file, _long_fields_allowed():
        for row in _read_rows(io.TextIOWrapper(file, "utf-8", newline=""), table):
            if row[SUBSET] in subsets:
                track_id = row[TRACK_ID].zfill(6)
                tracks[track_id] = RawTrack(
                    track_id=track_id,
                    path=f"{track_id[:3]}/{track_id}.mp3",
                    label=row[GENRE],
                    group=row[ARTIST],
                    split=SPLITS.get(row[SPLIT], ""),
                    fault=faults.get(track_id, ""),
                    sha256="",
                    bytes=0,
                    source=Fma.name,
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
    """The columns that we need, of every track."""
    lines = csv.reader(text)
    try:
        header = list(zip(*islice(lines, 3), strict=False))
        for column in (TRACK_ID, SUBSET, SPLIT, GENRE, ARTIST):
            if column not in header:
                named = " ".join(filter(None, column))
                raise EncoreError(f"{table}: no column {named!r}; give FMA's own tracks.csv")
        for line in lines:
            row = dict(zip(header, line, strict=True))
            if not re.fullmatch("[0-9]{1,6}", row[TRACK_ID]):  # it becomes a file's name
                raise ValueError
            yield row
    except (csv.Error, ValueError):  # among them what is no UTF-8
        raise EncoreError(
            f"{table}: not as FMA writes it about line {lines.line_num}; give FMA's own tracks.csv"
        ) from None


def _report_missing(track_ids: list[str], n_known: int, root: Path | zipfile.Path) -> None:
    """Say which tracks are not there; raise `EncoreError` if none is."""
    if len(track_ids) == n_known:
        raise EncoreError(f"dataset.path: {root} has no clip of the subset, such as 000/000002.mp3")
    if track_ids:
        first = ", ".join(track_ids[:5]) + (", …" if len(track_ids) > 5 else "")
        print(f"  warning: {len(track_ids)} of {n_known} tracks are not in {root}: {first}")


def _copy(root: Path | zipfile.Path, track: RawTrack, folder: Path) -> RawTrack:
    """Copy a clip; its row, now with hash and size."""
    target = folder / track.path
    target.parent.mkdir(exist_ok=True)
    digest = hashlib.sha256()
    n_bytes = 0
    with (root / track.path).open("rb") as clip, target.open("wb") as file:
        while block := clip.read(1 << 20):
            n_bytes += len(block)
            if n_bytes > LARGEST_CLIP:
                raise EncoreError(
                    f"{root / track.path}: over {LARGEST_CLIP / 1e6:.0f} MB, too large for a clip of 30 s; "
                    "use FMA's own file"
                )
            digest.update(block)
            file.write(block)
    return replace(track, sha256=digest.hexdigest(), bytes=n_bytes)
