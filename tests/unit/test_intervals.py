"""Intervals cover as often as they say, where tracks of an artist are alike, and equal those of others."""

from collections.abc import Iterator
from itertools import product

import numpy as np
import pytest
from scipy import stats

from stages.evaluation.intervals import (
    accuracy_interval,
    bootstrap_interval,
    difference_interval,
    difference_p,
    sums_by_unit,
)

DRAWS = 5000
ALIKE = 0.3  # the correlation of a unit's tracks
KINDS = ("equal", "uneven")


def drawn(kind: str, n_units: int, accuracy: float, lead: float) -> Iterator[tuple[np.ndarray, ...]]:
    """Units, and whether two systems are right on their tracks; the second one is better by `lead`."""
    random = np.random.default_rng([n_units, round(100 * accuracy), KINDS.index(kind)])
    sizes = np.full(n_units, 4) if kind == "equal" else np.round(np.geomspace(1, 12, n_units)).astype(int)
    unit = np.repeat(np.arange(n_units), sizes)
    strength = (1 - ALIKE) / ALIKE
    for _ in range(DRAWS):
        own = random.beta(accuracy * strength, (1 - accuracy) * strength, n_units)[unit]
        first = random.random(len(unit)) < own
        # where the first is wrong, the second is right more often, and the other way round
        flipped = random.random(len(unit)) < np.where(first, 0.1, (0.1 * accuracy + lead) / (1 - accuracy))
        yield unit, first, first ^ flipped


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "n_units"), list(product(KINDS, (20, 30, 40, 60))))
@pytest.mark.parametrize("accuracy", [0.6, 0.8])
def test_coverage(kind, n_units, accuracy):
    lead = 0.05
    share = difference = 0
    for unit, first, second in drawn(kind, n_units, accuracy, lead):
        low, high = accuracy_interval(first, unit)
        share += low <= accuracy <= high
        low, high = difference_interval(second.astype(float) - first, unit)
        difference += low <= lead <= high
    covered = share / DRAWS, difference / DRAWS
    print(
        f"{kind} {n_units} units, accuracy {accuracy}: accuracy {covered[0]:.3f}, difference {covered[1]:.3f}"
    )
    least, most = (0.93, 0.97) if kind == "equal" and n_units >= 40 else (0.91, 0.99)
    assert least <= min(covered)
    assert max(covered) <= most


def test_of_units_of_one_track_it_is_the_t_interval_of_the_logit():
    correct = np.arange(50) < 35
    low, high = accuracy_interval(correct, np.arange(50))
    error = np.std(correct, ddof=1) / np.sqrt(50) / (0.7 * 0.3)
    expected = stats.t.interval(0.95, 49, loc=np.log(0.7 / 0.3), scale=error)
    assert (low, high) == pytest.approx(tuple(1 / (1 + np.exp(-np.array(expected)))), abs=1e-12)


def test_segments_of_a_unit_widen_the_interval():
    correct = np.repeat(np.arange(40) < 24, 10)  # the ten of a unit are all right or all wrong
    low, high = accuracy_interval(correct, np.repeat(np.arange(40), 10))
    low_apart, high_apart = accuracy_interval(correct, np.arange(400))
    assert (high - low) / (high_apart - low_apart) == pytest.approx(np.sqrt(10), rel=0.1)
    assert (low, high) == pytest.approx(accuracy_interval(np.arange(40) < 24, np.arange(40)))


@pytest.mark.parametrize(("hits", "n_units"), [(20, 20), (0, 20), (12, 12)])
def test_where_all_units_agree_it_is_the_exact_binomial_one(hits, n_units):
    found = accuracy_interval(np.repeat(np.arange(n_units) < hits, 3), np.repeat(np.arange(n_units), 3))
    expected = stats.binomtest(hits, n_units).proportion_ci(method="exact")
    assert found == pytest.approx((expected.low, expected.high), abs=1e-12)


# Lohr, Sampling: Design and Analysis (1999, ch. 5): marks of 12 classes of 187, by size and mean;
# and grade points of 5 suites of 100, with 4 students each.
CLASSES = {20: 61.5, 24: 58.4, 34: 58.0, 28: 64.9, 19: 55.2, 32: 72.1, 17: 58.2, 21: 66.6}
CLASSES_OF_26 = (64.2, 58.0, 62.3, 67.2)
SUITES = (3.04, 2.84, 2.24, 3.24, 2.77)


@pytest.mark.parametrize(
    ("sizes", "means", "most", "drawn_of", "mean", "error"),
    [
        ([*CLASSES, *[26] * 4], [*CLASSES.values(), *CLASSES_OF_26], 100, 187, 62.57, 1.49),
        ([4] * 5, SUITES, 4, 100, 2.826, 0.164),
    ],
)
def test_the_error_is_that_of_published_examples(sizes, means, most, drawn_of, mean, error):
    """With the correction for a finite population, which we have not: there is more music than was tested."""
    unit = np.repeat(np.arange(len(sizes)).astype(str), sizes)
    low, high = difference_interval(np.repeat(means, sizes) / most, unit)
    half = (high - low) / 2 * most * np.sqrt(1 - len(sizes) / drawn_of)
    assert round((low + high) / 2 * most, 3) == pytest.approx(mean, abs=0.005)
    assert half / stats.t.ppf(0.975, len(sizes) - 1) == pytest.approx(error, abs=0.005)


def test_one_unit_says_nothing():
    assert accuracy_interval(np.array([True, False]), np.array(["a", "a"])) == (0.0, 1.0)
    assert difference_interval(np.array([1.0, 0.0]), np.array(["a", "a"])) == (-1.0, 1.0)
    assert bootstrap_interval(np.ones((1, 2)), lambda total: total[:, 0], 100, 0) == (0.0, 1.0)


@pytest.mark.parametrize("size", [0.1, -1.0])
def test_a_difference_that_all_units_share_is_not_certain(size):
    """Of rounding alone the error is not 0."""
    values, unit = np.full(30, size), np.repeat(["a", "b", "c"], 10)
    low, high = difference_interval(values, unit)
    assert low <= size <= high
    assert low < 0 < high
    assert difference_p(values, unit) == 0.25
    low, high = difference_interval(np.full(100, size), np.arange(100))
    assert (low > 0) == (size > 0)
    assert difference_interval(np.zeros(30), unit) == (0.0, 0.0)
    assert difference_p(np.zeros(30), unit) == 1.0


def test_of_units_of_equal_size_the_difference_is_that_of_their_means():
    values = np.random.default_rng(0).normal(0.1, 1, 60)
    found = difference_interval(values, np.repeat(np.arange(20), 3))
    expected = stats.ttest_1samp(values.reshape(20, 3).mean(axis=1), 0).confidence_interval(0.95)
    assert found == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_the_bootstrap_is_that_of_scipy():
    random = np.random.default_rng(1)
    hits, n = random.integers(0, 4, 40), random.integers(4, 8, 40)
    sums = np.stack([hits, n], axis=1).astype(float)
    found = bootstrap_interval(sums, lambda total: total[:, 0] / total[:, 1], 20_000, 0)
    expected = stats.bootstrap(
        (hits, n), lambda a, b, axis: a.sum(axis=axis) / b.sum(axis=axis), paired=True, vectorized=True,
        n_resamples=20_000, method="percentile", rng=2,
    ).confidence_interval  # fmt: skip
    assert found == pytest.approx((expected.low, expected.high), abs=0.004)


def test_the_memory_of_a_bootstrap_is_bounded(monkeypatch):
    monkeypatch.setattr("stages.evaluation.intervals.AT_ONCE", 100)
    sizes = []

    def statistic(total: np.ndarray) -> np.ndarray:
        sizes.append(len(total))
        return total[:, 0]

    bootstrap_interval(np.ones((40, 2)), statistic, 11, 0)
    assert sizes == [2, 2, 2, 2, 2, 1]


def test_rows_are_added_up_by_unit():
    sums = sums_by_unit(np.array([[1, 2], [3, 4], [5, 6]]), np.array(["b", "a", "b"]))
    assert sums.tolist() == [[3, 4], [6, 8]]
