"""Filters over frequency equal librosa's."""

import warnings

import librosa
import numpy as np
import pytest

from stages.features import filters
from stages.features.spectra import Framing
from tests.synthetic import RATE_HZ


def bins_hz(n_fft: int, rate_hz: int) -> np.ndarray:
    return Framing(n_fft=n_fft, hop_length=n_fft, window="hann", pad_mode="constant").frequency_hz(rate_hz)


@pytest.mark.parametrize("unit_area", [True, False])
@pytest.mark.parametrize("htk", [True, False])
@pytest.mark.parametrize(
    ("n_mels", "lowest_hz", "highest_hz"), [(128, 0.0, RATE_HZ / 2), (40, 500.0, 900.0), (1, 0.0, 1000.0)]
)
def test_mel_bands_are_librosas(n_mels, lowest_hz, highest_hz, htk, unit_area):
    edges_hz = filters.mel_edges_hz(n_mels, lowest_hz, highest_hz, htk)
    wanted = librosa.mel_frequencies(n_mels + 2, fmin=lowest_hz, fmax=highest_hz, htk=htk)
    np.testing.assert_allclose(edges_hz, wanted, rtol=1e-12, atol=1e-9)
    ours = filters.mel(edges_hz, bins_hz(2048, RATE_HZ), unit_area)
    with warnings.catch_warnings(action="ignore"):  # about empty bands
        wanted = librosa.filters.mel(
            sr=RATE_HZ,
            n_fft=2048,
            n_mels=n_mels,
            fmin=lowest_hz,
            fmax=highest_hz,
            htk=htk,
            norm="slaney" if unit_area else None,
            dtype=np.float64,
        )
    np.testing.assert_allclose(ours, wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize("tuning", [0.0, -0.5, 0.23])
@pytest.mark.parametrize(("n_fft", "rate_hz"), [(2048, 22050), (1000, 8000), (4096, 44100)])
def test_pitch_classes_are_librosas(n_fft, rate_hz, tuning):
    ours = filters.chroma(bins_hz(n_fft, rate_hz), tuning)
    wanted = librosa.filters.chroma(sr=rate_hz, n_fft=n_fft, tuning=tuning, dtype=np.float64)
    np.testing.assert_allclose(ours, wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize("n_fft", [16, 31, 1025])
def test_pitch_classes_of_few_or_odd_bins_are_librosas(n_fft):
    ours = filters.chroma(bins_hz(n_fft, RATE_HZ), 0.0)
    wanted = librosa.filters.chroma(sr=RATE_HZ, n_fft=n_fft, dtype=np.float64)
    np.testing.assert_allclose(ours, wanted, rtol=0, atol=1e-12)


def test_a_note_has_the_bins_within_half_a_semitone():
    of_notes = filters.notes(np.array([0.0, 427.4, 427.5, 440.0, 452.8, 452.9, 466.2]))
    assert of_notes[69].tolist() == [0, 0, 1, 1, 1, 0, 0]
    assert of_notes[70].tolist() == [0, 0, 0, 0, 0, 1, 1]
    assert of_notes[68].tolist() == [0, 1, 0, 0, 0, 0, 0]
