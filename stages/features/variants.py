"""Variants of music to learn from: at another pitch, or at another pace.

Both are librosa's phase vocoder. A segment of a variant begins where the original's music begins in it and
is as long as every segment: sped up it takes in some of the music that follows, slowed down it ends earlier.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

N_FFT = 2048  # librosa's, which warns of less music than that


@dataclass(frozen=True)
class Variant:
    """A way to alter a waveform.

    Attributes
    ----------
    kind : {'pitch_shift', 'time_stretch'}
        Function of `librosa.effects`.
    amount : float
        In semitones, or how many times as fast.
    """

    kind: Literal["pitch_shift", "time_stretch"]
    amount: float

    @property
    def name(self) -> str:
        """Such as ``pitch_shift=2.0``."""
        return f"{self.kind}={self.amount}"

    @property
    def rate(self) -> float:
        """How many times as fast the music goes by."""
        return self.amount if self.kind == "time_stretch" else 1.0

    def reach(self, length: int) -> int:
        """How far into the original, in samples, a segment of `length` samples or its variant reaches."""
        return math.ceil(length * max(1.0, self.rate))

    def of(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """The waveform of `N_FFT` samples or more altered, (round(n_samples / rate),), as loud as before."""
        from librosa import effects

        altered: NDArray[np.float32]
        if self.kind == "time_stretch":
            altered = effects.time_stretch(samples, rate=self.amount)
        else:
            altered = effects.pitch_shift(samples, sr=1, n_steps=self.amount)  # at whatever sample rate
        before, after = (np.square(x).mean(dtype=np.float64) for x in (samples, altered))
        if after > 0:  # a phase vocoder cancels some of what it moves, here 3 dB of most music
            altered *= np.float32(math.sqrt(before / after))
        return altered


def vary(
    samples: NDArray[np.float32], starts: Sequence[int], length: int, variant: Variant
) -> tuple[NDArray[np.float32], list[int]]:
    """Segments of music under a variant.

    Parameters
    ----------
    samples : ndarray of float32 (n_samples,)
        Full scale 1; music that belongs together.
    starts : sequence of int
        Where the segments begin, ascending.
    length : int
        Of each, in samples.
    variant : Variant

    Returns
    -------
    samples : ndarray of float32
    starts : list of int
        Where the segments begin there: no later than their length before the end, if there is so much.
    """
    missing = N_FFT - len(samples)
    altered = variant.of(np.pad(samples, (0, missing)) if missing > 0 else samples)
    latest = max(0, len(altered) - length)
    return altered, [min(round(start / variant.rate), latest) for start in starts]
