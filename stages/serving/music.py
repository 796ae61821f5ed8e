"""The dataset's tracks: a list that is read once, of the only files that the server plays."""

import csv
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from stages.core.errors import EncoreError
from stages.core.tables import Assignment, Novelty, RawTrack, read_plain_rows, read_rows
from stages.core.workspace import root
from stages.evaluation.predictions import read_tracks

FILES, TRACKS, SPLIT = Path("data/raw/music"), Path("data/raw/tracks.csv"), Path("data/split/split.csv")
PREDICTIONS, NOVELTY = "predictions.csv", "novelty.csv"  # beside metrics.json
ID_DIGITS = 16
NOT_EVALUATED = (
    "this model was not evaluated on the music in data/; `make repro`, or serve the model of a run"
)


def tables(metrics: Path) -> list[Path]:
    """Return the tables that `Music` reads: the dataset's, and those of an evaluation."""
    return [TRACKS, SPLIT, metrics, metrics.with_name(PREDICTIONS), metrics.with_name(NOVELTY)]


def id_of(track_id: str) -> str:
    """Return what a track is called in addresses: it says nothing about a path."""
    return hashlib.sha256(track_id.encode()).hexdigest()[:ID_DIGITS]


@dataclass(frozen=True)
class Evaluated:
    """What the evaluation has of a test track.

    Attributes
    ----------
    unit : str
        Its artist or work, where they are known, else its recording.
    label : str
        The class that the prediction was compared with.
    predicted, baseline : str
        The most probable class for the model, and for the linear baseline.
    probability : dict of str to float
        By class.
    novelty : float
    """

    unit: str
    label: str
    predicted: str
    baseline: str
    probability: Mapping[str, float]
    novelty: float


@dataclass(frozen=True)
class Track:
    """A track.

    Attributes
    ----------
    id : str
        See `id_of`.
    raw : RawTrack
    label : str
        Its class; empty: unlabelled.
    split : str
        As split.csv says; empty: it was dropped.
    evaluated : Evaluated or None
        None: it is no test track of the evaluation.
    """

    id: str
    raw: RawTrack
    label: str
    split: str
    evaluated: Evaluated | None

    @property
    def is_wrong(self) -> bool | None:
        """Whether the prediction differs from the label; None: there is none."""
        return None if self.evaluated is None else self.evaluated.predicted != self.label

    @property
    def confidence(self) -> float:
        """The probability of the predicted class; 0: there is none."""
        return max(self.evaluated.probability.values()) if self.evaluated else 0.0


class Music:
    """The tracks of the project's dataset.

    Parameters
    ----------
    metrics : Path or None
        metrics.json of the model's evaluation, which has the predictions beside it; None: there is none.

    Attributes
    ----------
    tracks : dict of str to Track
        By id, in the order of track_id.
    reason : str
        Why there is nothing to be listened to; empty: there is.
    note : str
        What of the labels was other in the evaluation, in a sentence; empty: nothing.

    Raises
    ------
    EncoreError
        If a table is damaged.
    """

    def __init__(self, metrics: Path | None):
        raw = read_rows(TRACKS, RawTrack) if TRACKS.is_file() else []
        assigned = {row.track_id: row for row in read_rows(SPLIT, Assignment)} if SPLIT.is_file() else {}
        evaluated = _evaluated(metrics) if metrics else {}
        is_other = bool(evaluated) and not evaluated.keys() <= {track.track_id for track in raw}
        if not raw:
            self.reason = "there is no music in data/raw; `dvc repro` fetches it"
        else:
            self.reason = "" if evaluated and not is_other else NOT_EVALUATED
        self.tracks: dict[str, Track] = {}
        for track in sorted(raw, key=lambda track: track.track_id):
            place = assigned.get(track.track_id)
            found = None if is_other else evaluated.get(track.track_id)
            split = place.split if place else ""
            one = Track(id_of(track.track_id), track, track.label, split, found)
            self.tracks[one.id] = one

        self.note = _relabelled(self.judged())

    @cached_property
    def by_path(self) -> Mapping[str, Track]:
        """The tracks by their path below data/raw/music."""
        return {track.raw.path: track for track in self.tracks.values()}

    @cached_property
    def sha256(self) -> Mapping[str, str]:
        """The SHA-256 of each track's file, by track_id."""
        return {track.raw.track_id: track.raw.sha256 for track in self.tracks.values()}

    def judged(self) -> Sequence[Track]:
        """Return the test tracks, the most confidently wrong first, and the most confidently right last."""
        tested = [track for track in self.tracks.values() if track.evaluated]
        return sorted(
            tested,
            key=lambda track: (
                not track.is_wrong,
                -track.confidence if track.is_wrong else track.confidence,
                track.raw.track_id,
            ),
        )


def file_of(track: Track) -> Path:
    """Return the file of a track.

    Raises
    ------
    EncoreError
        If it is not there, or a link leads out of the dataset and of DVC's cache.
    """
    try:
        path = (FILES / track.raw.path).resolve(strict=True)
    except (OSError, RuntimeError, ValueError):  # a loop of links; a name with a zero byte
        raise EncoreError(f"{track.raw.path}: is not in {FILES}; `dvc checkout` brings it back") from None
    allowed = (FILES.resolve(), (root() / ".dvc/cache").resolve())
    if not any(path.is_relative_to(folder) for folder in allowed) or not path.is_file():
        raise EncoreError(f"{track.raw.path}: is no file of the dataset; `dvc checkout` brings it back")
    return path


def _relabelled(tested: Sequence[Track]) -> str:
    n = sum(track.evaluated is not None and track.evaluated.label != track.label for track in tested)
    if not n:
        return ""
    tracks = "1 test track has another label" if n == 1 else f"{n} test tracks have other labels"
    return (
        f"{tracks} in data/raw than when this model was evaluated: the list has those of data/raw, "
        "accuracies those of the evaluation."
    )


def _evaluated(metrics: Path) -> dict[str, Evaluated]:
    """Read the tables beside metrics.json, by track_id; empty if they are missing."""
    table, novelty = metrics.with_name(PREDICTIONS), metrics.with_name(NOVELTY)
    if not (table.is_file() and novelty.is_file()):
        return {}
    tested = read_tracks(table)
    try:
        novelty_of = {row.track_id: row.novelty for row in read_plain_rows(novelty, Novelty)}
        novelties = [novelty_of[row.track_id] for row in tested]
    except (KeyError, TypeError, ValueError, csv.Error):
        raise EncoreError(f"{novelty}: is damaged; delete the file, and run `dvc repro`") from None
    return {
        row.track_id: Evaluated(
            unit=row.unit,
            label=row.label,
            predicted=row.predicted,
            baseline=row.baseline,
            probability=row.probability,
            novelty=value,
        )
        for row, value in zip(tested, novelties, strict=True)
    }
