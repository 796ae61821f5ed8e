"""Segments that a file of ONNX is compared on: made-up ones, and music of the project where it is there."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stages.core.tables import AudioTrack, read_rows
from stages.storage.audio_file import open_audio, read_sample_rate_hz, read_waveform

AUDIO, TRACKS = Path("data/audio/audio.h5"), Path("data/audio/tracks.csv")
N_TRACKS = 24
FLOOR = 1e-3  # of noise in every signal, as in recordings


def made_up(length: int, rate_hz: int) -> NDArray[np.float32]:
    """Return segments (6, length): noise, chord, beats, one that fades out, a quiet and a clipped one."""
    random = np.random.default_rng(0)
    time_s = np.arange(length) / rate_hz
    white = random.standard_normal((2, length))
    spectrum = np.fft.rfft(white[0])
    noise = np.fft.irfft(spectrum / np.sqrt(np.arange(1, len(spectrum) + 1)), length)
    partials = [(220 * ratio * k, k) for ratio in (1, 1.25, 1.5) for k in range(1, 6)]
    chord = sum((np.sin(2 * np.pi * hz * time_s) / k for hz, k in partials), np.zeros(length))
    beats = noise * np.exp(-20 * (time_s % 0.5))
    shapes = [noise, chord, beats, chord * np.linspace(1, 0, length), 0.01 * noise, 8 * chord]
    loudest = [np.abs(shape).max() for shape in (noise, chord, beats, chord, noise, chord)]
    signals = [0.5 * shape / peak for shape, peak in zip(shapes, loudest, strict=True)]
    made: NDArray[np.float32] = np.clip(np.stack(signals) + FLOOR * white[1], -1, 1).astype(np.float32)
    return made


def of_the_project(length: int, rate_hz: int) -> NDArray[np.float32]:
    """Return the segment in the middle of some tracks (n, length); none where there is no music like that."""
    if not (AUDIO.is_file() and TRACKS.is_file()) or read_sample_rate_hz(AUDIO) != rate_hz:
        return np.empty((0, length), np.float32)
    tracks = read_rows(TRACKS, AudioTrack)
    rows = np.unique(np.linspace(0, len(tracks) - 1, N_TRACKS).round().astype(int)).tolist()
    starts = {row: (tracks[row].n_samples - length) // 2 for row in rows}
    with open_audio(AUDIO) as file:
        found = [
            read_waveform(file, row, start, start + length) for row, start in starts.items() if start >= 0
        ]
    return np.stack(found) if found else np.empty((0, length), np.float32)
