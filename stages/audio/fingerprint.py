"""Acoustic fingerprints, which survive lossy coding, resampling and gain.

The sub-fingerprints of J. Haitsma and T. Kalker, "A Highly Robust Audio Fingerprinting System", ISMIR
2002: one 32-bit word a frame, each bit the sign of how the energy difference of two neighbouring bands
changes from the frame before.
"""

import numpy as np
from numpy.typing import NDArray

RATE_HZ = 5512.5  # a quarter of 22,050 Hz; the bands end far below its half
N_FFT = 2048  # 0.37 s, as published
HOP_LENGTH = 128  # 23.2 ms
N_BANDS = 33
LOWEST_HZ, HIGHEST_HZ = 300.0, 2000.0
SILENCE = 1e-8  # of the loudest frame's energy
STEADY = 1e-4


def fingerprint(samples: NDArray[np.float32], sample_rate_hz: int) -> NDArray[np.uint32]:
    import soxr

    resampled = soxr.resample(samples, sample_rate_hz, RATE_HZ)
    if len(resampled) < N_FFT:
        return np.empty(0, np.uint32)
    highest_hz = min(HIGHEST_HZ, 0.45 * sample_rate_hz)
    edges = np.round(np.geomspace(LOWEST_HZ, highest_hz, N_BANDS + 1) * N_FFT / RATE_HZ).astype(int)
    energies, totals = _energies(resampled, edges)
    steps = np.diff(energies, axis=1)
    changes = np.diff(steps, axis=0)
    pairs = energies[:, :-1] + energies[:, 1:]
    bits = changes > STEADY * (pairs[1:] + pairs[:-1])
    words = np.packbits(bits, axis=1).view(np.uint32)[:, 0]
    words[energies[1:].sum(axis=1) <= SILENCE * totals.max()] = 0
    return words


def _energies(samples, edges):
    import scipy.fft

    window = np.hanning(N_FFT).astype(np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(samples, N_FFT)[::HOP_LENGTH]
    e = np.empty((len(frames), N_BANDS), np.float32)
    t = np.empty(len(frames), np.float32)
    for first in range(0, len(frames), 64):
        rows = slice(first, first + 64)
        block = frames[rows] * window
        s = scipy.fft.rfft(block, axis=1)
        t[rows] = np.square(block).sum(axis=1) * N_FFT / 2
        s = s[:, edges[0] : edges[-1]]
        e[rows] = np.add.reduceat(s.real**2 + s.imag**2, edges[:-1] - edges[0], axis=1)
    return e, t
