"""The CSV tables between stages; each row is a dataclass.

Their last column is a checksum of all that stands before it, from the header on: a byte that has changed on
the disk, or by hand, is noticed when the table is read.
"""

import csv
import dataclasses
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from stages.core.errors import EncoreError
from stages.core.workspace import distrust


@dataclasses.dataclass(frozen=True, kw_only=True)
class RawTrack:
    """A file that a source found (``data/raw/tracks.csv``); hash and size are known once it is fetched."""

    track_id: str
    path: str  # relative to data/raw/music
    label: str  # empty: unlabelled
    group: str  # artist, album or work; empty: unknown
    split: str = ""  # train, valid or test, as the dataset publishes it; empty: not published
    fault: str = ""  # a published fault, such as "replica of disco.00050"; empty: none
    sha256: str = ""
    bytes: int = 0
    source: str


@dataclasses.dataclass(frozen=True)
class AudioTrack:
    """A usable track (``data/audio/tracks.csv``); row i is dataset i of audio.h5."""

    track_id: str
    label: str
    group: str
    recording: str  # track_id of the first track with the same recording, which may be this one
    split: str
    n_samples: int
    n_windows: int  # excerpts of equal length, one after the other; 1: the whole track


@dataclasses.dataclass(frozen=True)
class Quality:
    """Whether a file is used, and why (``data/audio/quality.csv``)."""

    track_id: str
    path: str
    outcome: str  # kept or dropped
    verdict: str  # good, or the most serious finding
    reason: str  # all findings with numbers; empty: none
    same_as: str  # track_id of the first file with the same recording; empty: no earlier one
    encoding: str  # such as WAV/PCM_16 or MIDI; empty: not readable
    sample_rate_hz: int  # of the file; 0: not readable, or MIDI
    n_channels: int
    duration_s: float
    claimed_s: float  # how long the file says it is; 0: it does not say it, or MIDI
    peak: float  # greatest absolute sample, full scale 1
    rms: float
    clipped: float  # share of samples at full scale
    not_finite: float  # share of samples that are NaN or infinite
    dc_offset: float  # mean of the samples, full scale 1


@dataclasses.dataclass(frozen=True)
class Segment:
    """A segment of a track (``data/segments/segments.csv``), in samples; past the track's end, zeros."""

    track_id: str
    segment: int
    start: int
    stop: int


@dataclasses.dataclass(frozen=True)
class SegmentedTrack:
    """A track and its number of segments (``data/segments/tracks.csv``); 0: it is too short."""

    track_id: str
    label: str
    group: str
    recording: str
    split: str
    n_segments: int


@dataclasses.dataclass(frozen=True)
class Assignment:
    """The split of a track (``data/split/split.csv``)."""

    track_id: str
    label: str
    unit: str  # what stays in one split: group or recording; the track, if the split is given
    split: str  # train, valid, test, unknown, unlabelled or excluded
    fold: int  # -1: the scheme has no folds


@dataclasses.dataclass(frozen=True)
class Epoch:
    """An epoch of training (``data/model/history.csv``)."""

    epoch: int
    train_loss: float  # mean over segments as it is minimised, with dropout and augmentation
    train_accuracy: float  # per segment, with dropout and augmentation
    valid_loss: float  # without label smoothing and class weights
    valid_accuracy: float
    learning_rate: float  # of the epoch's last step


@dataclasses.dataclass(frozen=True)
class Novelty:
    """How unlike all known classes a track is (``data/evaluation/novelty.csv``)."""

    track_id: str
    split: str  # test, unknown or unlabelled
    label: str
    nearest: str  # the most probable of the known classes
    novelty: float  # distance to the nearest class, or one minus the highest probability
    is_new: str  # yes: the novelty exceeds the threshold; or no


@dataclasses.dataclass(frozen=True)
class Confused:
    """How many tracks of a class were predicted as a class (``data/evaluation/confusion.csv``)."""

    split: str
    label: str
    predicted: str
    n: int


Row = TypeVar("Row")


CHECKSUM = "crc32"  # name of the last column


def write_rows(path: Path, rows: Iterable[Any], row_type: type[Any]) -> None:
    """Write dataclass rows for `read_rows`: `write_plain_rows` with a column of checksums."""
    write_table(path, _names(row_type), _texts(rows, row_type))


def read_rows(path: Path, row_type: type[Row]) -> list[Row]:
    """Read what `write_rows` wrote.

    Raises
    ------
    EncoreError
        If the table has other columns, or any byte has changed since it was written.
    """
    return list(each_row(path, row_type))


def each_row(path: Path, row_type: type[Row]) -> Iterator[Row]:
    """Read what `write_rows` wrote, one row at a time."""
    lines = read_table(path)
    if (names := next(lines)) != _names(row_type):
        raise EncoreError(
            f"{path}: has the columns {', '.join(names)}, not {', '.join(_names(row_type))}; delete the file "
            "and run `dvc repro`"
        )
    for texts in lines:
        yield _row(dict(zip(names, texts, strict=True)), row_type)


def write_plain_rows(path: Path, rows: Iterable[Any], row_type: type[Any]) -> None:
    """Write dataclass rows as UTF-8 CSV with a header line, floats to six significant digits."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(_names(row_type))
        writer.writerows(_texts(rows, row_type))


def read_plain_rows(path: Path, row_type: type[Row]) -> list[Row]:
    """Read a table that no stage wrote; other columns than those of `row_type` are ignored."""
    with path.open(newline="", encoding="utf-8") as file:
        return [_row(line, row_type) for line in csv.DictReader(file)]


def write_table(path: Path, names: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write texts as UTF-8 CSV with a header line and a column of checksums, for `read_table`."""
    checksum = _checksum(names)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*names, CHECKSUM])
        for texts in rows:
            checksum = _checksum(texts, checksum)
            writer.writerow([*texts, f"{checksum:08x}"])


def read_table(path: Path) -> Iterator[list[str]]:
    """Yield the header and the rows that `write_table` wrote.

    Raises
    ------
    EncoreError
        If any byte has changed since it was written.
    """
    number, checksum = 0, 0
    try:
        with path.open(newline="", encoding="utf-8") as file:
            for number, line in enumerate(csv.reader(file), 1):
                texts, found = line[:-1], line[-1:]
                checksum = _checksum(texts, checksum)
                if found != [CHECKSUM if number == 1 else f"{checksum:08x}"]:
                    raise _changed(path, number)
                yield texts
    except (UnicodeDecodeError, csv.Error):
        raise _changed(path, number + 1) from None
    if number == 0:
        raise _changed(path, 1)


def _changed(path: Path, number: int) -> EncoreError:
    distrust(path)
    return EncoreError(
        f"{path}: line {number} is damaged, or was changed after a stage wrote it; delete the file and run "
        "`dvc repro`"
    )


def _checksum(texts: Sequence[str], before: int = 0) -> int:
    return zlib.crc32("\0".join([*texts, ""]).encode(), before)


def _names(row_type: type[Any]) -> list[str]:
    return [field.name for field in dataclasses.fields(row_type)]


def _texts(rows: Iterable[Any], row_type: type[Any]) -> Iterator[list[str]]:
    names = _names(row_type)
    for row in rows:
        values = (getattr(row, name) for name in names)
        yield [f"{value:.6g}" if isinstance(value, float) else str(value) for value in values]


def _row(texts: Mapping[str, str], row_type: type[Row]) -> Row:
    fields: Any = dataclasses.fields(row_type)  # type: ignore[arg-type]
    return row_type(**{field.name: field.type(texts[field.name]) for field in fields})
