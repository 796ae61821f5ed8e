"""Class probabilities of segments and of tracks, and the tables that hold them."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stages.core.errors import EncoreError
from stages.core.tables import read_table, write_table

# `unit`: what intervals count a track with; `baseline`: what the linear baseline predicts
TRACK_COLUMNS = ("track_id", "unit", "label", "predicted", "baseline")


@dataclass(frozen=True)
class Predictions:
    """Class probabilities of segments, or of tracks.

    Attributes
    ----------
    track_id : ndarray of str (n,)
    label : ndarray of int64 (n,)
        The true class; -1: none of the known classes.
    probability : ndarray of float64 (n, n_classes)
    novelty : ndarray of float64 (n,)
        How unlike all known classes.
    """

    track_id: NDArray[np.str_]
    label: NDArray[np.int64]
    probability: NDArray[np.float64]
    novelty: NDArray[np.float64]

    @classmethod
    def of_classifier(
        cls, track_id: NDArray[np.str_], label: NDArray[np.int64], probability: NDArray[np.float64]
    ) -> "Predictions":
        """Return predictions whose novelty is one minus the highest probability."""
        return cls(track_id, label, probability, 1 - probability.max(axis=1))

    @property
    def predicted(self) -> NDArray[np.int64]:
        """The most probable class, int64 (n,)."""
        predicted: NDArray[np.int64] = self.probability.argmax(axis=1)
        return predicted

    def by_track(self) -> "Predictions":
        """Average probabilities and novelties over the segments of each track; tracks are sorted by id."""
        track_id, first, inverse, count = np.unique(
            self.track_id, return_index=True, return_inverse=True, return_counts=True
        )
        total = np.zeros((len(track_id), self.probability.shape[1]))
        np.add.at(total, inverse, self.probability)
        novelty = np.bincount(inverse, weights=self.novelty) / count
        return Predictions(track_id, self.label[first], total / count[:, None], novelty)


def write_tracks(
    path: Path, tracks: Predictions, baseline: Predictions, unit_of: Mapping[str, str], labels: Sequence[str]
) -> None:
    """Write the columns `TRACK_COLUMNS`, and one probability column per class, to six decimals.

    Parameters
    ----------
    path : Path
    tracks, baseline : Predictions
        The model's and the baseline's of the same tracks of known classes.
    unit_of : mapping
        The unit of each track; see `stages.evaluation.intervals`.
    labels : sequence of str
        Names of the known classes.
    """
    rows = zip(
        *(tracks.track_id.tolist(), tracks.label, tracks.predicted, baseline.predicted, tracks.probability),
        strict=True,
    )
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*TRACK_COLUMNS, *labels])
        writer.writerows(
            [track_id, unit_of[track_id], *(labels[i] for i in classes), *(f"{p:.6f}" for p in probability)]
            for track_id, *classes, probability in rows
        )


@dataclass(frozen=True)
class TrackPrediction:
    """A row of what `write_tracks` has written.

    Attributes
    ----------
    track_id, unit : str
    label, predicted, baseline : str
        The true class, and those that model and linear baseline predict.
    probability : dict of str to float
        By class.
    """

    track_id: str
    unit: str
    label: str
    predicted: str
    baseline: str
    probability: Mapping[str, float]


def read_tracks(path: Path) -> list[TrackPrediction]:
    """Read what `write_tracks` has written, by the places of the columns: a class may be called "unit".

    Raises
    ------
    EncoreError
        If it is no such table.
    """
    n = len(TRACK_COLUMNS)
    with path.open(newline="", encoding="utf-8") as file:
        lines = csv.reader(file)
        try:
            labels = next(lines)[n:]
            return [_track(line[:n], dict(zip(labels, map(float, line[n:]), strict=True))) for line in lines]
        except (ValueError, StopIteration, csv.Error):
            raise EncoreError(
                f"{path}: line {lines.line_num} is damaged; delete the file, and run `dvc repro`"
            ) from None


def _track(values: Sequence[str], probability: Mapping[str, float]) -> TrackPrediction:
    track_id, unit, label, predicted, baseline = values
    return TrackPrediction(track_id, unit, label, predicted, baseline, probability)


def write_segments(
    path: Path, segments: Mapping[str, Predictions], labels: Sequence[str], label_of: Mapping[str, str]
) -> None:
    """Write split, track_id, label and one probability column per class, for `read_segments` to read.

    Parameters
    ----------
    path : Path
    segments : mapping of str to Predictions
        By split.
    labels : sequence of str
        Names of the known classes.
    label_of : mapping
        The true class by track_id.
    """
    write_table(
        path,
        ["split", "track_id", "label", *labels],
        (
            [split, track_id, label_of[track_id], *map(repr, probability)]  # exactly
            for split, predictions in segments.items()
            for track_id, probability in zip(
                predictions.track_id.tolist(), predictions.probability.tolist(), strict=True
            )
        ),
    )


def read_segments(path: Path, labels: Sequence[str]) -> dict[str, Predictions]:
    """Read what `write_segments` wrote, by split; floats are the same to the last bit.

    Novelty is one minus the highest probability.

    Parameters
    ----------
    path : Path
    labels : sequence of str
        Names of the known classes.

    Raises
    ------
    EncoreError
        If the table has other classes, or any byte has changed since it was written.
    """
    index = {label: number for number, label in enumerate(labels)}
    lines = read_table(path)
    found = next(lines)[3:]
    if found != list(labels):
        raise EncoreError(
            f"{path}: its classes are {', '.join(found)}, those of the model {', '.join(labels)}; "
            "`dvc repro` updates it"
        )
    predictions = {}
    for split, rows in groupby(lines, key=lambda row: row[0]):
        _, track_id, label, *columns = zip(*rows, strict=True)
        predictions[split] = Predictions.of_classifier(
            np.array(track_id),
            np.array([index.get(name, -1) for name in label]),
            np.array(columns, dtype=np.float64).T,
        )
    return predictions
