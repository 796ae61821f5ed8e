"""What a model takes of a segment: the frames of one feature, or statistics over time of one or several."""

from collections.abc import Iterable
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Field

from stages.core.params import allows, once_each

LIST = Annotated[list[str], Field(min_length=1), AfterValidator(once_each)]
# a name: the feature's frames; a list: statistics of each
NAMES = Annotated[str | LIST, allows("the name of a feature, or a list of names, each once")]


def names_of(given: str | list[str]) -> list[str]:
    """Return the names of the features that a parameter of type `NAMES` lists."""
    return [given] if isinstance(given, str) else given


def statistics(arrays: Iterable[NDArray[Any]]) -> NDArray[np.float64]:
    """Compute the mean over time of each bin, and the standard deviation, of features side by side.

    Parameters
    ----------
    arrays : iterable of ndarray (n_segments, n_bins, n_frames)
        Those of one frame only have means.

    Returns
    -------
    ndarray of float64 (n_segments, n_statistics)
        First the means and then the standard deviations of the first feature, then those of the next.
    """
    parts = []
    for x in arrays:
        parts.append(x.mean(axis=2, dtype=np.float64))
        if x.shape[2] > 1:
            parts.append(x.std(axis=2, dtype=np.float64))
    return np.concatenate(parts, axis=1)


def as_one_frame(arrays: Iterable[NDArray[Any]]) -> NDArray[np.float32]:
    """Return `statistics` as a network takes them, (n_segments, n_statistics, 1)."""
    return statistics(arrays).astype(np.float32)[:, :, None]
