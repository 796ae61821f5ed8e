"""Turns an audio file into one mono waveform at one rate, or says why it cannot."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

SILENCE_PEAK = 1e-4  # -80 dB of full scale: below it a 16-bit file holds no signal to speak of
LOWEST_RATE_HZ = 1000  # a header that claims less is damaged, and resampling from it would fill the memory
BLOCK = 1 << 20  # frames read at a time, because a damaged header may claim any length


@dataclass(frozen=True)
class Decoded:
    """A decoded file.

    Attributes
    ----------
    samples : ndarray of int16 or float32 (n_samples,), or None
        The waveform; None if the file cannot be used. int16 only where the file is 16-bit mono PCM at
        the wanted rate, for there it is exact; elsewhere float32, since rounding after resampling
        costs up to 1.5 dB in the mel spectrum of quiet files.
    verdict : str
        "kept", "unreadable", "empty", "not finite" or "silent".
    reason : str
        The same in a sentence.
    sample_rate_hz, n_channels : int
        Of the file; 0 if it cannot be read.
    duration_s, peak : float
        Of the file, mixed to mono.
    """

    samples: NDArray[Any] | None
    verdict: str
    reason: str
    sample_rate_hz: int = 0
    n_channels: int = 0
    duration_s: float = 0.0
    peak: float = 0.0


def decode(path: Path, sample_rate_hz: int) -> Decoded:
    """Decode, mix to mono and resample one file; never raises for what is in the file."""
    import soundfile

    try:
        with soundfile.SoundFile(path) as file:
            rate_hz, n_channels = file.samplerate, file.channels
            exact = file.subtype == "PCM_16" and rate_hz == sample_rate_hz and n_channels == 1
            blocks = [np.empty((0, n_channels), dtype := "int16" if exact else "float32")]
            while len(block := file.read(BLOCK, dtype=dtype, always_2d=True)):
                blocks.append(block)
    except soundfile.LibsndfileError as error:
        return Decoded(None, "unreadable", f"cannot be decoded: {error.error_string.strip()}")
    if rate_hz < LOWEST_RATE_HZ:
        return Decoded(
            None, "unreadable", f"has an impossible sample rate of {rate_hz} Hz", rate_hz, n_channels
        )
    samples = np.concatenate(blocks)
    if len(samples) * sample_rate_hz < rate_hz:
        return Decoded(None, "empty", "holds no samples", rate_hz, n_channels)
    samples = samples[:, 0] if n_channels == 1 else samples.mean(axis=1)
    peak = float(np.abs(samples.astype(np.float32)).max()) / (32768 if exact else 1)
    about = {
        "sample_rate_hz": rate_hz,
        "n_channels": n_channels,
        "duration_s": len(samples) / rate_hz,
        "peak": peak,
    }
    if not np.isfinite(peak):
        return Decoded(None, "not finite", "holds NaN or infinite samples", **{**about, "peak": 0.0})
    if peak < SILENCE_PEAK:
        return Decoded(
            None, "silent", f"mixed to mono, no sample over {SILENCE_PEAK:g} of full scale", **about
        )
    if rate_hz != sample_rate_hz:
        import soxr

        samples = soxr.resample(samples, rate_hz, sample_rate_hz)
    return Decoded(np.ascontiguousarray(samples), "kept", "", **about)
