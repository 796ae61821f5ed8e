"""Variants of music for training: at another pitch, or at another tempo.

Both use librosa's phase vocoder. A segment of a variant begins at the same music as the original segment and
has the same length: if it is sped up, it contains some of the music that follows; if it is slowed down, it
ends earlier in the music.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

N_FFT = 2048  # of librosa's phase vocoder, which warns of fewer samples


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
        """How many times as fast the music is."""
        return self.amount if self.kind == "time_stretch" else 1.0

    def reach(self, length: int) -> int:
        """Return how many samples of the original a segment of `length` samples or its variant needs."""
        return math.ceil(length * max(1.0, self.rate))

    def of(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Alter a waveform of `N_FFT` samples or more; return (round(n_samples / rate),), as loud."""
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
    """Alter the music of segments.

    Parameters
    ----------
    samples : ndarray of float32 (n_samples,)
        Full scale 1; continuous music.
    starts : sequence of int
        Where the segments begin, ascending.
    length : int
        Of each, in samples.
    variant : Variant

    Returns
    -------
    samples : ndarray of float32
    starts : list of int
        Where the segments begin there: early enough for the last to be complete, if there is enough music.
    """
    missing = N_FFT - len(samples)
    altered = variant.of(np.pad(samples, (0, missing)) if missing > 0 else samples)
    latest = max(0, len(altered) - length)
    return altered, [min(round(start / variant.rate), latest) for start in starts]
