"""Bring segments to the sample rate that a network takes."""

import numpy as np
from numpy.typing import NDArray


def resampled_length(length: int, rate_hz: int, to_hz: int) -> int:
    """Return how many samples a segment of `length` samples has after `resample`."""
    return round(length * to_hz / rate_hz)


def resample(samples: NDArray[np.float32], rate_hz: int, to_hz: int) -> NDArray[np.float32]:
    """Return segments at another sample rate.

    Parameters
    ----------
    samples : ndarray of float32 (n_segments, length)
    rate_hz, to_hz : int

    Returns
    -------
    ndarray of float32 (n_segments, `resampled_length`)
    """
    if rate_hz == to_hz:
        return samples
    import soxr

    length = resampled_length(samples.shape[1], rate_hz, to_hz)
    resampled: NDArray[np.float32] = soxr.resample(samples.T, rate_hz, to_hz, "HQ").T
    missing = length - resampled.shape[1]
    return np.pad(resampled, ((0, 0), (0, missing))) if missing > 0 else resampled[:, :length]
