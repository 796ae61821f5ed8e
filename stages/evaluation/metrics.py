"""How good predictions are, per segment and per track."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stages.core.tables import Confused
from stages.evaluation.predictions import Predictions


def accuracy_interval(
    correct: NDArray[np.bool_], track_id: NDArray[np.str_], n_resamples: int, seed: int
) -> tuple[float, float]:
    """Compute a 95 % percentile bootstrap interval of accuracy (Efron, 1979).

    Tracks are resampled with replacement. The segments of a track are not independent, so a bootstrap
    sample contains all of them or none.

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
    """Compute accuracy with its interval, macro-F1 and balanced accuracy.

    Macro-F1 is the mean F1 of the classes that occur or are predicted; balanced accuracy is the mean
    recall of the classes that occur.
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
    """Compute `score` of tracks and of segments."""
    return {
        "track": score(predictions.by_track(), n_resamples, seed),
        "segment": score(predictions, n_resamples, seed),
    }


def largest_class(train: Iterable[str], test: Sequence[str]) -> tuple[str, float]:
    """Return the class with the most tracks in train, and the accuracy of always predicting it.

    Parameters
    ----------
    train, test : iterable of str
        The class of each track.
    """
    count = Counter(train)
    largest = min(count, key=lambda label: (-count[label], label))
    return largest, list(test).count(largest) / len(test)


def confusion(predictions: Predictions) -> NDArray[np.int64]:
    """Count predictions in an array (n_classes, n_classes): a row per true class, a column per predicted."""
    n_classes = predictions.probability.shape[1]
    counts = np.zeros((n_classes, n_classes), np.int64)
    np.add.at(counts, (predictions.label, predictions.predicted), 1)
    return counts


def confusion_table(tracks: Mapping[str, Predictions], labels: Sequence[str]) -> Iterator[Confused]:
    """Yield the rows of confusion.csv: every pair of classes of every split.

    Parameters
    ----------
    tracks : mapping of str to Predictions
        By split.
    labels : sequence of str
        Names of the known classes.
    """
    for split, predictions in tracks.items():
        for row, label in zip(confusion(predictions), labels, strict=True):
            for n, predicted in zip(row, labels, strict=True):
                yield Confused(split, label, predicted, int(n))


def _by_class(counts: NDArray[np.int64]) -> tuple[NDArray[np.float64], ...]:
    """Compute precision, recall and F1 of each class of a confusion matrix; 0 where nothing is counted."""
    hits, n, n_predicted = counts.diagonal(), counts.sum(axis=1), counts.sum(axis=0)
    ratios = ((hits, n_predicted), (hits, n), (2 * hits, n + n_predicted))
    return tuple(numerator / np.maximum(denominator, 1) for numerator, denominator in ratios)


@dataclass(frozen=True)
class ClassScores:
    """A row of classes.csv; `n` is the number of tracks of the class."""

    label: str
    precision: float
    recall: float
    f1: float
    n: int


def class_table(predictions: Predictions, labels: Sequence[str]) -> list[ClassScores]:
    """Compute precision, recall and F1 of each class."""
    counts = confusion(predictions)
    return [
        ClassScores(label, float(precision), float(recall), float(f1), int(n))
        for label, precision, recall, f1, n in zip(
            labels, *_by_class(counts), counts.sum(axis=1), strict=True
        )
    ]
