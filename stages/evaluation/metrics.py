"""How good predictions are, per segment and per track."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.core.tables import Confused
from stages.evaluation.intervals import (
    Interval,
    accuracy_interval,
    bootstrap_interval,
    difference_interval,
    sums_by_unit,
)
from stages.evaluation.predictions import Predictions


def score(
    predictions: Predictions, unit_of: Mapping[str, str], n_resamples: int, seed: int
) -> dict[str, float]:
    """Compute accuracy, macro-F1 and balanced accuracy with their intervals over units.

    Macro-F1 is the mean F1 of the classes that occur or are predicted; balanced accuracy is the mean
    recall of the classes that occur.

    Parameters
    ----------
    predictions : Predictions
    unit_of : mapping
        The unit of each track; see `stages.evaluation.intervals`.
    n_resamples, seed : int
        Of the bootstrap behind the intervals of macro-F1 and balanced accuracy.
    """
    label, predicted, n_classes = predictions.label, predictions.predicted, predictions.probability.shape[1]
    unit, correct = units(predictions, unit_of), label == predicted
    sums = sums_by_unit(_counted(label, predicted, n_classes), unit)
    scores = _with_interval("accuracy", correct.mean(), accuracy_interval(correct, unit))
    macro_f1 = partial(_macro_f1, occurs=np.isin(np.arange(n_classes), label))
    for name, statistic in (("macro_f1", macro_f1), ("balanced_accuracy", _balanced_accuracy)):
        value = statistic(sums.sum(axis=0, keepdims=True))[0]
        scores |= _with_interval(name, value, bootstrap_interval(sums, statistic, n_resamples, seed))
    return scores


def score_both(
    predictions: Predictions, unit_of: Mapping[str, str], n_resamples: int, seed: int
) -> dict[str, dict[str, float]]:
    """Compute `score` of tracks and of segments."""
    return {
        "track": score(predictions.by_track(), unit_of, n_resamples, seed),
        "segment": score(predictions, unit_of, n_resamples, seed),
    }


def compare(first: Predictions, second: Predictions, unit_of: Mapping[str, str]) -> dict[str, float]:
    """Compute how much more often the first of two systems is right on the same tracks.

    Parameters
    ----------
    first, second : Predictions
        Of the same tracks in the same order.
    unit_of : mapping
        The unit of each track.

    Returns
    -------
    dict
        The difference of `accuracy` with its interval, and `p` of McNemar's exact test over tracks (1947).
    """
    from scipy.special import bdtr

    assert (first.track_id == second.track_id).all()
    right, other = (each.label == each.predicted for each in (first, second))
    interval = difference_interval(right.astype(np.float64) - other, units(first, unit_of))
    n_first, n_second = int((right & ~other).sum()), int((other & ~right).sum())
    p = min(1.0, 2 * bdtr(min(n_first, n_second), n_first + n_second, 0.5))
    return {**_with_interval("accuracy", right.mean() - other.mean(), interval), "p": round(float(p), 6)}


def units(predictions: Predictions, unit_of: Mapping[str, str]) -> NDArray[np.str_]:
    """Return the unit of each prediction."""
    return np.array([unit_of[track_id] for track_id in predictions.track_id.tolist()])


def macro_f1_and_balanced_accuracy(
    label: NDArray[np.str_], predicted: NDArray[np.str_]
) -> tuple[float, float]:
    """Compute both as `score` does, of the names of classes (n,)."""
    names, place = np.unique(np.concatenate([label, predicted]), return_inverse=True)
    true, found = np.split(place, 2)
    sums = _counted(true, found, len(names)).sum(axis=0, keepdims=True)
    occurs = np.isin(np.arange(len(names)), true)
    return float(_macro_f1(sums, occurs)[0]), float(_balanced_accuracy(sums)[0])


def _counted(label: NDArray[np.int64], predicted: NDArray[np.int64], n_classes: int) -> NDArray[np.bool_]:
    """Return what each prediction adds to hits, tracks and predictions of each class, (n, 3 * n_classes)."""
    of_class = np.eye(n_classes, dtype=np.bool_)
    true, found = of_class[label], of_class[predicted]
    return np.concatenate([true & found, true, found], axis=1)


def _macro_f1(sums: NDArray[np.float64], occurs: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Compute it of sums of `_counted`, (n, 3 * n_classes).

    A class that occurs, but not in a resample, is left out of that one: its F1 of 0 would be chance.
    """
    hits, n, n_predicted = np.split(sums, 3, axis=1)
    _, _, f1 = _by_class(hits, n, n_predicted)
    return _mean_of(f1, (n > 0) | (~occurs & (n_predicted > 0)))


def _balanced_accuracy(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute it of sums of `_counted`, (n, 3 * n_classes)."""
    hits, n, n_predicted = np.split(sums, 3, axis=1)
    _, recall, _ = _by_class(hits, n, n_predicted)
    return _mean_of(recall, n > 0)


def _mean_of(scores: NDArray[np.float64], classes: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the mean over some of the classes, whose scores are 0 otherwise: (n,) of (n, n_classes)."""
    mean: NDArray[np.float64] = scores.sum(axis=1) / classes.sum(axis=1)
    return mean


def _with_interval(name: str, value: float, interval: Interval) -> dict[str, float]:
    low, high = interval
    numbers = {name: value, f"{name}_ci95_low": low, f"{name}_ci95_high": high}
    return {key: round(float(number), 6) for key, number in numbers.items()}


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


def _by_class(
    hits: NDArray[Any], n: NDArray[Any], n_predicted: NDArray[Any]
) -> tuple[NDArray[np.float64], ...]:
    """Compute precision, recall and F1 of classes, all (..., n_classes); 0 where nothing is counted."""
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
    n = counts.sum(axis=1)
    scores = _by_class(counts.diagonal(), n, counts.sum(axis=0))
    return [
        ClassScores(label, float(precision), float(recall), float(f1), int(n))
        for label, precision, recall, f1, n in zip(labels, *scores, n, strict=True)
    ]
