"""How good predictions are, per segment and per track."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Predictions:
    """Class probabilities of segments, or of tracks.

    Attributes
    ----------
    track_id : ndarray of str (n,)
    label : ndarray of int64 (n,)
        The true class; -1: none of those known.
    probability : ndarray of float64 (n, n_classes)
    novelty : ndarray of float64 (n,)
        How unlike all classes.
    """

    track_id: NDArray[np.str_]
    label: NDArray[np.int64]
    probability: NDArray[np.float64]
    novelty: NDArray[np.float64]

    @property
    def predicted(self) -> NDArray[np.int64]:
        """The most probable class, int64 (n,)."""
        predicted: NDArray[np.int64] = self.probability.argmax(axis=1)
        return predicted

    def by_track(self) -> "Predictions":
        """Mean of the segments' probabilities and novelties for each track, tracks in sorted order."""
        track_id, first, inverse, count = np.unique(
            self.track_id, return_index=True, return_inverse=True, return_counts=True
        )
        total = np.zeros((len(track_id), self.probability.shape[1]))
        np.add.at(total, inverse, self.probability)
        novelty = np.bincount(inverse, weights=self.novelty) / count
        return Predictions(track_id, self.label[first], total / count[:, None], novelty)


def accuracy_interval(
    correct: NDArray[np.bool_], track_id: NDArray[np.str_], n_resamples: int, seed: int
) -> tuple[float, float]:
    """95 % percentile bootstrap interval of accuracy (Efron, 1979), tracks resampled with replacement.

    Segments of one track are no independent evidence, so a resample takes or leaves them together.

    Parameters
    ----------
    correct : ndarray of bool (n,)
    track_id : ndarray of str (n,)
    n_resamples, seed : int

    Returns
    -------
    low, high : float
    """
    _, inverse = np.unique(track_id, return_inverse=True)
    n = np.bincount(inverse)
    hits = np.bincount(inverse, weights=correct)
    times = np.random.default_rng(seed).multinomial(len(n), np.full(len(n), 1 / len(n)), size=n_resamples)
    low, high = np.quantile((times @ hits) / (times @ n), [0.025, 0.975])
    return float(low), float(high)


def score(predictions: Predictions, n_resamples: int, seed: int) -> dict[str, float]:
    """Accuracy with its interval, macro-F1 and balanced accuracy.

    The last two are means over classes: of F1 over those that are there or predicted, of recall over those
    that are there.
    """
    correct = predictions.label == predictions.predicted
    low, high = accuracy_interval(correct, predictions.track_id, n_resamples, seed)
    counts = confusion(predictions)
    n, n_predicted = counts.sum(axis=1), counts.sum(axis=0)
    _, recall, f1 = _by_class(counts)
    scores = {
        "accuracy": correct.mean(),
        "accuracy_ci95_low": low,
        "accuracy_ci95_high": high,
        "macro_f1": f1[n + n_predicted > 0].mean(),
        "balanced_accuracy": recall[n > 0].mean(),
    }
    return {name: round(float(value), 6) for name, value in scores.items()}


def score_both(predictions: Predictions, n_resamples: int, seed: int) -> dict[str, dict[str, float]]:
    """`score` of tracks and of segments."""
    return {
        "track": score(predictions.by_track(), n_resamples, seed),
        "segment": score(predictions, n_resamples, seed),
    }


def confusion(predictions: Predictions) -> NDArray[np.int64]:
    """Counts (n_classes, n_classes): true class down, predicted class across."""
    n_classes = predictions.probability.shape[1]
    counts = np.zeros((n_classes, n_classes), np.int64)
    np.add.at(counts, (predictions.label, predictions.predicted), 1)
    return counts


def _by_class(counts: NDArray[np.int64]) -> tuple[NDArray[np.float64], ...]:
    """Precision, recall and F1 of each class of a confusion matrix; 0 where nothing is counted."""
    right, n, n_predicted = counts.diagonal(), counts.sum(axis=1), counts.sum(axis=0)
    shares = ((right, n_predicted), (right, n), (2 * right, n + n_predicted))
    return tuple(part / np.maximum(whole, 1) for part, whole in shares)


@dataclass(frozen=True)
class ClassScores:
    """A row of classes.csv; `n` is how many there are of the class."""

    label: str
    precision: float
    recall: float
    f1: float
    n: int


def class_table(predictions: Predictions, labels: Sequence[str]) -> list[ClassScores]:
    """Precision, recall and F1 of each class."""
    counts = confusion(predictions)
    return [
        ClassScores(label, float(precision), float(recall), float(f1), int(n))
        for label, precision, recall, f1, n in zip(
            labels, *_by_class(counts), counts.sum(axis=1), strict=True
        )
    ]


def write_predictions(path: Path, tracks: Predictions, labels: Sequence[str]) -> None:
    """Write track_id, label, predicted and one probability column for each class."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["track_id", "label", "predicted", *labels])
        for track_id, label, predicted, probability in zip(
            tracks.track_id, tracks.label, tracks.predicted, tracks.probability, strict=True
        ):
            writer.writerow([track_id, labels[label], labels[predicted], *(f"{p:.6f}" for p in probability)])
