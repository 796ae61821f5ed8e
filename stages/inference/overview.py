"""A waveform in little: its envelope and its mel spectrum, in fewer columns than a picture has pixels."""

import copy
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from stages.audio.waveform import Sink
from stages.features.catalogue import Mel, extract
from stages.features.spectra import Framing
from stages.inference.listening import Segments

MOST = 2048  # columns; from twice as many on, neighbours become one
FRAMES = 64  # in a piece, which is what is computed at once
HOP_LENGTH, N_FFT, N_MELS = 512, 2048, 96
LOW, HIGH, MEL = 0, 1, 2  # in a row of numbers: the least and the greatest sample, and from there on the mel


class Overview(Sink):
    """Sums a waveform up while it passes.

    Parameters
    ----------
    sample_rate_hz : int
    """

    def __init__(self, sample_rate_hz: int):
        framing = Framing(n_fft=N_FFT, hop_length=HOP_LENGTH, window="hann", pad_mode="reflect")
        self._mel = Mel(
            sample_rate_hz=sample_rate_hz,
            framing=framing,
            n_mels=N_MELS,
            fmin_hz=0.0,
            fmax_hz=None,
            htk=False,
            norm="slaney",
            top_db=None,
            ref=1.0,
        )
        self._piece = FRAMES * HOP_LENGTH
        self._cut = Segments(self._piece, self._piece, self._rows)
        self._n_samples = 0
        self._stride = 1  # frames in a column
        self._fresh = self._columns = np.empty((0, MEL + N_MELS), np.float32)

    def add(self, samples: NDArray[Any]) -> None:
        self._n_samples += len(samples)
        self._cut.add(samples)
        self._fresh = np.concatenate([self._fresh, *self._cut.parts])
        self._cut.parts = []
        n = len(self._fresh) // self._stride
        new = _joined(self._fresh[: n * self._stride], self._stride)
        self._columns, self._fresh = np.concatenate([self._columns, new]), self._fresh[n * self._stride :]
        while len(self._columns) >= 2 * MOST:
            even = len(self._columns) // 2 * 2
            odd = np.repeat(self._columns[even:], self._stride, axis=0)
            self._columns, self._fresh = _joined(self._columns[:even], 2), np.concatenate([odd, self._fresh])
            self._stride *= 2

    def leap(self) -> None:
        self._cut.leap()

    def copy(self) -> Self:
        other = copy.copy(self)
        other._cut = self._cut.copy()
        return other

    def summary(
        self,
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32], NDArray[np.float64], float]:
        """Return what has passed so far.

        Returns
        -------
        low, high : ndarray of float32 (n_columns,)
            The least and the greatest sample of each column, full scale 1.
        mel : ndarray of float32 (n_mels, n_columns)
            Mean level in dB.
        mel_hz : ndarray of float64 (n_mels,)
            Centre of each band.
        column_s : float
            How long a column lasts.
        """
        whole = self.copy()
        whole.add(np.zeros(self._piece, np.float32))  # what has not filled a piece yet is computed with it
        column = HOP_LENGTH * whole._stride
        rows = whole._columns[: -(-self._n_samples // column)].T
        mel_hz = self._mel.bins()[1]
        return rows[LOW], rows[HIGH], rows[MEL:], mel_hz, column / self._mel.sample_rate_hz

    def _rows(self, samples: NDArray[np.float32], starts: Sequence[int]) -> NDArray[np.float32]:
        level = extract(samples, starts, self._piece, {"mel": self._mel})["mel"]
        frames = np.stack([samples[start : start + self._piece] for start in starts]).reshape(-1, HOP_LENGTH)
        ends = np.stack([frames.min(axis=1), frames.max(axis=1)], axis=1)
        mel = level[:, :, :FRAMES].transpose(0, 2, 1).reshape(-1, N_MELS)
        return np.concatenate([ends, mel], axis=1)


def _joined(rows: NDArray[np.float32], n: int) -> NDArray[np.float32]:
    """Make one row of each `n`."""
    groups = rows.reshape(-1, n, rows.shape[1])
    low, high = groups[:, :, LOW].min(axis=1), groups[:, :, HIGH].max(axis=1)
    return np.concatenate([np.stack([low, high], axis=1), groups[:, :, MEL:].mean(axis=1)], axis=1)
