"""95 % intervals over what is independent: artists or works where they are known, else recordings.

The tracks of such a unit, and the segments of a track, share what makes them easy or hard: intervals that
count them one by one are too narrow.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

TAIL = 0.025  # on each side
AT_ONCE = 1 << 22  # numbers of a bootstrap in memory
NONE = 1e-9  # an error up to this is rounding: all units are alike

Interval = tuple[float, float]


def accuracy_interval(correct: NDArray[Any], unit: NDArray[np.str_]) -> Interval:
    """Compute the interval of a share of correct predictions.

    A t interval on the logit with the linearised error of a ratio of sums over units (Cochran, Sampling
    Techniques, 1977, ch. 6) and ``n_units - 1`` degrees of freedom. Where all units have the same share, that
    error is 0; then it is the exact binomial interval (Clopper & Pearson, 1934) of as many predictions as
    there are units.

    Parameters
    ----------
    correct : ndarray of bool, or of shares from 0 to 1 (n,)
        Of tracks or segments; a share may be that of several trainings.
    unit : ndarray of str (n,)

    Returns
    -------
    low, high : float
        0 and 1 if there is one unit.
    """
    from scipy.special import betaincinv, expit, logit

    share, error, n_units = _ratio(correct.astype(np.float64), unit)
    if n_units == 1:
        return 0.0, 1.0
    if error < NONE:
        hits, misses = share * n_units, (1 - share) * n_units
        low = betaincinv(hits, misses + 1, TAIL) if hits else 0.0
        high = betaincinv(hits + 1, misses, 1 - TAIL) if misses else 1.0
    else:
        half = _quantile(n_units - 1) * error / (share * (1 - share))
        low, high = expit(logit(share) - half), expit(logit(share) + half)
    return float(low), float(high)


def difference_interval(difference: NDArray[np.float64], unit: NDArray[np.str_]) -> Interval:
    """Compute the interval of the mean difference of two systems on the same tracks.

    A t interval with the error and the degrees of freedom of `accuracy_interval`. Where all units have the
    same difference, that error is 0: then the share of units with the opposite difference is taken to be as
    high as none in `n_units` allows (Clopper & Pearson, 1934).

    Parameters
    ----------
    difference : ndarray of float64, from -1 to 1 (n,)
        Of each track, such as 1 where only the first system is right and -1 where only the second one is.
    unit : ndarray of str (n,)

    Returns
    -------
    low, high : float
        -1 and 1 if there is one unit.
    """
    mean, error, n_units = _ratio(difference, unit)
    if n_units == 1:
        return -1.0, 1.0
    opposite = 1 - TAIL ** (1 / n_units)
    half = 2 * abs(mean) * opposite if error < NONE else _quantile(n_units - 1) * error
    return float(max(mean - half, -1.0)), float(min(mean + half, 1.0))


def difference_p(difference: NDArray[np.float64], unit: NDArray[np.str_]) -> float:
    """Compute the two-sided p of no difference that belongs to `difference_interval`.

    Where all units have the same difference, it is that of their signs.
    """
    from scipy.special import stdtr

    mean, error, n_units = _ratio(difference, unit)
    if n_units == 1 or mean == 0:
        return 1.0
    return float(2 * stdtr(n_units - 1, -abs(mean) / error) if error >= NONE else 2 * 0.5**n_units)


def bootstrap_interval(
    sums: NDArray[np.float64],
    statistic: Callable[[NDArray[np.float64]], NDArray[Any]],
    n_resamples: int,
    seed: int,
) -> Interval:
    """Compute the percentile bootstrap interval (Efron, 1979) of a statistic of sums over units.

    It is approximate: of 30 to 40 units it covers 90 to 93 %. Of one unit it is 0 to 1.

    Parameters
    ----------
    sums : ndarray of float64 (n_units, n_sums)
        What each unit adds.
    statistic : callable
        It takes an array (n, n_sums), and returns one (n,).
    n_resamples, seed : int
    """
    n_units = len(sums)
    if n_units == 1:
        return 0.0, 1.0
    random = np.random.default_rng(seed)
    at_once = max(1, AT_ONCE // max(sums.shape))
    values = [
        statistic(resampled(n_units, min(at_once, n_resamples - first), random) @ sums)
        for first in range(0, n_resamples, at_once)
    ]
    return percentile_interval(np.concatenate(values))


def resampled(n_units: int, n_resamples: int, random: np.random.Generator) -> NDArray[np.int64]:
    """Return how often each unit is in each resample, (n_resamples, n_units)."""
    return random.multinomial(n_units, np.full(n_units, 1 / n_units), size=n_resamples)


def percentile_interval(values: NDArray[Any]) -> Interval:
    """Return the interval of what a statistic is in each resample (n_resamples,)."""
    low, high = np.quantile(values, [TAIL, 1 - TAIL])
    return float(low), float(high)


def sums_by_unit(values: NDArray[Any], unit: NDArray[np.str_]) -> NDArray[np.float64]:
    """Add up the rows (n, n_sums) of each unit: (n_units, n_sums)."""
    names, place = np.unique(unit, return_inverse=True)
    columns = (np.bincount(place, weights=column, minlength=len(names)) for column in values.T)
    return np.stack(list(columns), axis=1)


def _quantile(degrees: int) -> float:
    """Return what a t variable exceeds with a probability of `TAIL`."""
    from scipy.special import stdtrit  # scipy.stats would take half a second to load

    return float(stdtrit(degrees, 1 - TAIL))


def _ratio(values: NDArray[np.float64], unit: NDArray[np.str_]) -> tuple[float, float, int]:
    """Return the mean of values, its standard error over units, and the number of units."""
    total, n = sums_by_unit(np.stack([values, np.ones(len(values))], axis=1), unit).T
    n_units, mean = len(n), total.sum() / n.sum()
    spread = np.square(total - mean * n).sum() * n_units / max(n_units - 1, 1)
    return float(mean), float(np.sqrt(spread) / n.sum()), n_units
