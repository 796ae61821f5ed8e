"""Features as layers of a network, so that a file of ONNX takes the waveform itself.

Each layer does in torch what a class of `stages.features.catalogue` does in numpy, with the numbers of that
class: its filters, window, transform and floors. A feature without a layer here is taken as an input.
"""

import math
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor, nn

from stages.features.catalogue import AMIN, DB_PER_NEPER, Mel, Mfcc, dct, derivative
from stages.features.feature import Feature
from stages.features.spectra import Framing, periodic_window


def front_end(feature: Feature) -> nn.Module | None:
    """Return the layer that makes a feature of waveforms, if there is one.

    Returns
    -------
    Module or None
        It takes float32 (n, length) at full scale 1, and returns float32 (n, n_bins, n_frames).
    """
    if isinstance(feature, Mel):
        return mel_layer(feature)
    return MfccLayer(feature) if isinstance(feature, Mfcc) else None


class PowerLayer(nn.Module):
    """`stages.features.spectra.Segments.power`, frequency first.

    Parameters
    ----------
    framing : Framing
    """

    window: Tensor

    def __init__(self, framing: Framing):
        super().__init__()
        self.n_fft, self.hop_length, self.around = framing.n_fft, framing.hop_length, framing.n_fft // 2
        self.pad_mode = framing.pad_mode
        window = periodic_window(framing.window, framing.n_fft).astype(np.float32)
        self.register_buffer("window", torch.from_numpy(window))

    def forward(self, waveform: Tensor) -> Tensor:
        """Return squared magnitudes (n, 1 + n_fft // 2, n_frames) of waveforms (n, length)."""
        padded = nn.functional.pad(waveform, (self.around, self.around), self.pad_mode)
        spectrum = torch.stft(
            padded, self.n_fft, self.hop_length, window=self.window, center=False, return_complex=True
        )
        return spectrum.real.square() + spectrum.imag.square()


class MelLayer(nn.Module):
    """`stages.features.catalogue.Mel`.

    Parameters
    ----------
    mel : Mel
    """

    weights: Tensor

    def __init__(self, mel: Mel):
        super().__init__()
        self.power = PowerLayer(mel.framing)
        self.top_db, self.ref = mel.top_db, mel.ref
        self.register_buffer("weights", torch.from_numpy(mel.weights().astype(np.float32)))

    def forward(self, waveform: Tensor) -> Tensor:
        """Return decibels (n, n_mels, n_frames) of waveforms (n, length)."""
        power: Tensor = self.weights @ self.power(waveform)
        level = power.clamp(min=AMIN).log() * float(DB_PER_NEPER)
        highest = level.amax(dim=(1, 2), keepdim=True)
        if self.top_db is not None:
            level = torch.maximum(level, highest - self.top_db)
        if isinstance(self.ref, str):
            return level - highest
        return level - 10 * math.log10(max(self.ref, AMIN))


@lru_cache(maxsize=4)
def mel_layer(mel: Mel) -> MelLayer:
    """Return the layer of a mel spectrum, one for equal spectra: ONNX then computes it once."""
    return MelLayer(mel)


class MfccLayer(nn.Module):
    """`stages.features.catalogue.Mfcc`, in double precision like that.

    Parameters
    ----------
    mfcc : Mfcc
    """

    transform: Tensor
    fits: Tensor

    def __init__(self, mfcc: Mfcc):
        super().__init__()
        self.mel = mel_layer(mfcc.mel)
        self.width, self.deltas = mfcc.delta_width, mfcc.deltas
        self.register_buffer("transform", torch.from_numpy(dct(mfcc.mel.n_mels, mfcc.n_mfcc).T.copy()))
        # row i: the derivative at the i-th of as many frames as it is fitted to, of which each has a column
        frames = np.eye(self.width)
        orders = range(1, self.deltas + 1)
        fits = np.array([derivative(frames, self.width, order, axis=0) for order in orders])
        self.register_buffer("fits", torch.from_numpy(fits))

    def forward(self, waveform: Tensor) -> Tensor:
        """Return coefficients, then derivatives, (n, n_mfcc * (1 + deltas), n_frames)."""
        mfcc = self.transform @ self.mel(waveform).double()
        return torch.cat([mfcc, *(self._derivative(mfcc, fit) for fit in self.fits)], dim=1).float()

    def _derivative(self, mfcc: Tensor, fit: Tensor) -> Tensor:
        """Return a derivative over time, whose first and last frames are of one fit each."""
        middle, n_inside = self.width // 2, mfcc.shape[2] - self.width + 1
        inside = torch.stack([fit[middle, i] * mfcc[:, :, i : i + n_inside] for i in range(self.width)]).sum(
            dim=0
        )
        first = mfcc[:, :, : self.width] @ fit[:middle].T
        last = mfcc[:, :, -self.width :] @ fit[middle + 1 :].T
        return torch.cat([first, inside, last], dim=2)
