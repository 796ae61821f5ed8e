"""Filters over frequency: mel bands, pitch classes, notes.

The first two are librosa's, whose import takes as long as hundreds of tracks; tests compare them.
"""

import numpy as np
from numpy.typing import NDArray

A4_HZ, A4_NOTE = 440.0, 69
N_CHROMA = 12
N_NOTES = 128
CHROMA_CENTRE, CHROMA_WIDTH = 5.0, 2.0  # octaves above A0 / 2: which octaves count most
C_ABOVE_A = 3


class SlaneyScale:
    """Linear up to 1000 Hz, then logarithmic; `librosa.hz_to_mel` and `mel_to_hz`."""

    HZ_PER_MEL = 200 / 3
    KNEE_HZ = 1000.0
    KNEE_MEL = KNEE_HZ / HZ_PER_MEL
    GROWTH = np.log(6.4) / 27  # of the logarithm, for each mel beyond the knee

    @classmethod
    def mel(cls, hz: float) -> float:
        """Return the mel of a frequency."""
        if hz < cls.KNEE_HZ:
            return hz / cls.HZ_PER_MEL
        return cls.KNEE_MEL + float(np.log(hz / cls.KNEE_HZ) / cls.GROWTH)

    @classmethod
    def hz(cls, mel: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the frequencies of mels, (n,)."""
        beyond = cls.KNEE_HZ * np.exp(cls.GROWTH * (mel - cls.KNEE_MEL))
        return np.where(mel < cls.KNEE_MEL, cls.HZ_PER_MEL * mel, beyond)


class HtkScale:
    """Logarithmic throughout; the same functions of librosa with ``htk=True``."""

    @staticmethod
    def mel(hz: float) -> float:
        """Return the mel of a frequency."""
        return float(2595 * np.log10(1 + hz / 700))

    @staticmethod
    def hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the frequencies of mels, (n,)."""
        return 700 * (10 ** (mel / 2595) - 1)


def mel_edges_hz(n_mels: int, lowest_hz: float, highest_hz: float, htk: bool) -> NDArray[np.float64]:
    """Return where mel bands begin, peak and end, (n_mels + 2,): each begins at the peak of the one before.

    Equally far apart on the mel scale; `librosa.mel_frequencies`.
    """
    scale = HtkScale if htk else SlaneyScale
    return scale.hz(np.linspace(scale.mel(lowest_hz), scale.mel(highest_hz), n_mels + 2))


def mel(edges_hz: NDArray[np.float64], bins_hz: NDArray[np.float64], unit_area: bool) -> NDArray[np.float64]:
    """Return triangles over the bins, (n_mels, n_bins), of unit area or height; `librosa.filters.mel`.

    Parameters
    ----------
    edges_hz : ndarray (n_mels + 2,)
        From `mel_edges_hz`.
    bins_hz : ndarray (n_bins,)
    unit_area : bool
    """
    begin, peak, end = (edges_hz[i : len(edges_hz) - 2 + i, None] for i in range(3))
    rising, falling = (bins_hz - begin) / (peak - begin), (end - bins_hz) / (end - peak)
    triangles: NDArray[np.float64] = np.maximum(0, np.minimum(rising, falling))
    return triangles * 2 / (end - begin) if unit_area else triangles


def chroma(bins_hz: NDArray[np.float64], tuning: float) -> NDArray[np.float64]:
    """Return the share of each bin in the twelve pitch classes, C first; `librosa.filters.chroma`.

    A bell about each class, as wide as a bin and at least a semitone, after D. Ellis, "Chroma feature
    analysis and synthesis" (2007); bins count less the further they are from the middle octaves.

    Parameters
    ----------
    bins_hz : ndarray (n_bins,)
        Equally far apart, the first at 0 Hz.
    tuning : float
        Deviation of A4 from 440 Hz, in semitones.

    Returns
    -------
    ndarray (12, n_bins)
    """
    lowest_a_hz = A4_HZ * 2 ** (tuning / N_CHROMA) / 16
    step_hz = bins_hz[1]
    above = np.append(bins_hz[1:], bins_hz[-1] + step_hz)  # one more, for the width of the last bin
    semitones = N_CHROMA * np.log2(above / lowest_a_hz)
    semitones = np.concatenate([[semitones[0] - 1.5 * N_CHROMA], semitones])
    width = np.maximum(np.diff(semitones), 1)
    semitones = semitones[:-1]
    half = N_CHROMA // 2
    away = np.remainder(semitones - np.arange(N_CHROMA)[:, None] + half, N_CHROMA) - half
    bells = np.exp(-0.5 * (2 * away / width) ** 2)
    bells /= np.linalg.norm(bells, axis=0)
    bells *= np.exp(-0.5 * ((semitones / N_CHROMA - CHROMA_CENTRE) / CHROMA_WIDTH) ** 2)
    return np.roll(bells, -C_ABOVE_A, axis=0)


def notes(bins_hz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return which bins belong to each MIDI note, (128, n_bins): those at most half a semitone away."""
    edges_hz = A4_HZ * 2 ** ((np.arange(N_NOTES + 1) - 0.5 - A4_NOTE) / N_CHROMA)
    inside = (edges_hz[:-1, None] <= bins_hz) & (bins_hz <= edges_hz[1:, None])
    return inside.astype(np.float64)
