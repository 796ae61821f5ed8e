"""Reverberation: the synthesiser has none, and is digitally silent between notes."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DULLNESS = 0.6  # pole of the one-pole low-pass that takes the hiss off the reverberation
IMPULSE_SEED = 1  # one room shape for all; size and level differ


def reverberated(
    samples: "NDArray[np.float32]", sample_rate_hz: int, decay_s: float, wet_db: float
) -> "NDArray[np.float64]":
    """Return samples in a room whose sound falls by 60 dB in `decay_s`, `wet_db` relative to the dry sound.

    Parameters
    ----------
    samples : float32 array, shape (n,)
        Dry sound.
    sample_rate_hz : int
        Its rate.
    decay_s : float
        Reverberation time of the exponentially decaying noise that stands for the room (Moorer, *About this
        reverberation business*, Computer Music Journal 3(2), 1979).
    wet_db : float
        Energy of the reverberation relative to the dry sound.
    """
    import numpy as np
    from scipy.signal import fftconvolve, lfilter

    time_s = np.arange(round(decay_s * sample_rate_hz)) / sample_rate_hz
    noise = np.random.default_rng(IMPULSE_SEED).standard_normal(len(time_s))
    impulse = lfilter([1 - DULLNESS], [1, -DULLNESS], noise) * 10 ** (-3 * time_s / decay_s)
    impulse *= 10 ** (wet_db / 20) / np.sqrt(np.sum(np.square(impulse)))
    dry = samples.astype(np.float64)
    wet: NDArray[np.float64] = dry + fftconvolve(dry, impulse)[: len(dry)]
    return wet
