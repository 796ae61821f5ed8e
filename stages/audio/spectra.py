"""Spectral features of segments, all from one STFT.

Definitions are librosa's (McFee et al., 2015), so that values can be compared: power spectrogram of
Hann-windowed frames centred on their time stamps; mel filters of Slaney's Auditory Toolbox with unit
area; decibels against 1 with 80 dB below each segment's maximum as the floor; MFCC as the orthonormal
DCT-II of mel decibels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray

AMIN = 1e-10
TOP_DB = 80.0
SEGMENTS_PER_CALL = 4  # more fall out of the cache and cost up to twice the time


@dataclass(frozen=True)
class Spectra:
    """What to compute.

    Attributes
    ----------
    sample_rate_hz, n_fft, hop_length : int
        `n_fft` and `hop_length` in samples.
    pad_mode : {'constant', 'reflect'}
        What stands beyond both ends of a segment.
    n_mels, n_mfcc : int
    include : tuple of {'mel', 'mfcc'}
    """

    sample_rate_hz: int
    n_fft: int
    hop_length: int
    pad_mode: str
    n_mels: int
    n_mfcc: int
    include: tuple[str, ...]

    def n_frames(self, length: int) -> int:
        """Frames of a segment of `length` samples, padded by half a window at both ends."""
        return 1 + (length + 2 * (self.n_fft // 2) - self.n_fft) // self.hop_length

    def shapes(self, length: int) -> dict[str, tuple[int, int]]:
        """(n_bins, n_frames) of each feature of a segment of `length` samples."""
        n_bins = {"mel": self.n_mels, "mfcc": self.n_mfcc}
        return {name: (n_bins[name], self.n_frames(length)) for name in self.include}

    def scales(self) -> dict[str, tuple[str, NDArray[np.float64]]]:
        """Name and values of each feature's frequency axis; MFCC are numbered, they have no frequency."""
        import librosa

        mel_hz = librosa.mel_frequencies(self.n_mels + 2, fmax=self.sample_rate_hz / 2)[1:-1]
        axes = {
            "mel": ("mel_frequency_hz", mel_hz),
            "mfcc": ("mfcc_coefficient", np.arange(self.n_mfcc, dtype=np.float64)),
        }
        return {name: axes[name] for name in self.include}

    def time_s(self, length: int) -> NDArray[np.float64]:
        """Centre of each frame of a segment of `length` samples."""
        return np.arange(self.n_frames(length)) * self.hop_length / self.sample_rate_hz


def extract(
    waveform: NDArray[np.float32], cuts: Sequence[tuple[int, int]], spectra: Spectra
) -> dict[str, NDArray[np.float32]]:
    """Features of one track.

    Parameters
    ----------
    waveform : ndarray of float32 (n_samples,)
        Full scale 1.
    cuts : sequence of (start, stop)
        In samples, all of one length; what lies beyond the end is silence.
    spectra : Spectra

    Returns
    -------
    dict of str to ndarray of float32 (n_segments, n_bins, n_frames)
        `mel` in dB, `mfcc` in the units of librosa's.
    """
    length = cuts[0][1] - cuts[0][0]
    beyond = max(stop for _, stop in cuts) - len(waveform)
    if beyond > 0:
        waveform = np.pad(waveform, (0, beyond))
    samples = torch.from_numpy(np.stack([waveform[start:stop] for start, stop in cuts]))
    results = {
        name: np.empty((len(cuts), *shape), np.float32) for name, shape in spectra.shapes(length).items()
    }
    for first in range(0, len(cuts), SEGMENTS_PER_CALL):
        rows = slice(first, first + SEGMENTS_PER_CALL)
        for name, values in _of_batch(samples[rows], spectra).items():
            results[name][rows] = values.numpy()
    return results


def _of_batch(samples: torch.Tensor, spectra: Spectra) -> Mapping[str, torch.Tensor]:
    basis = _basis(spectra)
    stft = torch.stft(
        samples,
        spectra.n_fft,
        spectra.hop_length,
        window=basis.window,
        center=True,
        pad_mode=spectra.pad_mode,
        return_complex=True,
    )
    power = stft.real.square() + stft.imag.square()
    mel_db = 10 * torch.log10(torch.clamp(basis.mel @ power, min=AMIN))
    mel_db = torch.maximum(mel_db, mel_db.amax(dim=(1, 2), keepdim=True) - TOP_DB)
    results = {"mel": mel_db}
    if "mfcc" in spectra.include:
        # In float32 the sum over bands would err by over 1e-3 where all are at the floor.
        results["mfcc"] = (basis.dct @ mel_db.double()).float()
    return {name: results[name] for name in spectra.include}


@dataclass(frozen=True)
class _Basis:
    window: torch.Tensor  # (n_fft,)
    mel: torch.Tensor  # (n_mels, 1 + n_fft // 2)
    dct: torch.Tensor  # (n_mfcc, n_mels), float64


@lru_cache(maxsize=1)
def _basis(spectra: Spectra) -> _Basis:
    import librosa
    import scipy.fft

    mel = librosa.filters.mel(sr=spectra.sample_rate_hz, n_fft=spectra.n_fft, n_mels=spectra.n_mels)
    dct = scipy.fft.dct(np.eye(spectra.n_mels), norm="ortho", axis=0)[: spectra.n_mfcc]
    return _Basis(
        window=torch.hann_window(spectra.n_fft),
        mel=torch.from_numpy(mel.astype(np.float32)),
        dct=torch.from_numpy(dct),
    )
