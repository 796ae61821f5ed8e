"""Vectors of length 1 whose scalar product says how alike two tracks are."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NOTHING = 1e-7  # a deviation below this share of the mean is the rounding of float32


@dataclass(frozen=True)
class Scale:
    """What brings every dimension of a vector to mean 0 and standard deviation 1, before its length to 1.

    Without it the few dimensions with the largest values alone would decide.

    Attributes
    ----------
    mean, std : ndarray of float64 (size,)
    """

    mean: NDArray[np.float64]
    std: NDArray[np.float64]

    @classmethod
    def fit(cls, blocks: Iterable[NDArray[np.floating]]) -> "Scale":
        """Return the scale of vectors that come in blocks (n, size).

        A dimension that is constant gets a standard deviation of 1; so do all of a single vector, which keeps
        its direction: its mean is taken to be 0.
        """
        n, mean, squares = 0, np.zeros(1), np.zeros(1)
        for (
            block
        ) in blocks:  # merged as by Chan, Golub & LeVeque, 1979: in one pass, and without cancellation
            of_block = block.mean(axis=0, dtype=np.float64)
            difference = of_block - mean
            squares = squares + np.square(block - of_block).sum(axis=0, dtype=np.float64)
            squares = squares + np.square(difference) * (n * len(block) / (n + len(block)))
            mean = mean + difference * (len(block) / (n + len(block)))
            n += len(block)
        if n < 2:
            return cls(np.zeros(len(mean)), np.ones(len(mean)))
        std = np.sqrt(squares / n)
        return cls(mean, np.where(std > NOTHING * np.abs(mean), std, 1.0))

    def unit(self, vectors: NDArray[np.floating]) -> NDArray[np.float32]:
        """Return scaled vectors (n, size) of length 1; one that is the mean itself stays 0, like nothing."""
        scaled = (vectors - self.mean) / self.std
        length = np.linalg.norm(scaled, axis=1, keepdims=True)
        return (scaled / np.where(length > 0, length, 1.0)).astype(np.float32)
