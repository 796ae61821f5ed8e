"""The CSV tables between stages; each row is a dataclass."""

import csv
import dataclasses
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar


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
    learning_rate: float  # after the epoch


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


def write_rows(path: Path, rows: Iterable[Any], row_type: type[Any]) -> None:
    """Write dataclass rows as UTF-8 CSV with a header line, floats to six significant digits."""
    names = [field.name for field in dataclasses.fields(row_type)]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(names)
        for row in rows:
            values = (getattr(row, name) for name in names)
            writer.writerow(f"{value:.6g}" if isinstance(value, float) else value for value in values)


def read_rows(path: Path, row_type: type[Row]) -> list[Row]:
    """Read what `write_rows` wrote."""
    return list(each_row(path, row_type))


def each_row(path: Path, row_type: type[Row]) -> Iterator[Row]:
    """Read what `write_rows` wrote, one row at a time."""
    fields = dataclasses.fields(row_type)  # type: ignore[arg-type]
    with path.open(newline="", encoding="utf-8") as file:
        convert: dict[str, Any] = {field.name: field.type for field in fields}
        for line in csv.DictReader(file):
            yield row_type(**{name: convert[name](line[name]) for name in convert})
