"""Fingerprints of synthetic melodies: which changes they survive, and which tracks have none."""

import subprocess
import sys
from functools import cache

import numpy as np
import pytest
import soxr

from stages.audio.fingerprint import HOP_LENGTH, N_FFT, NOTHING, RATE_HZ, fingerprint
from tests.synthetic import REPO


@cache
def melody(seed):
    """Ten seconds of random notes with harmonics over faint noise, at 22,050 Hz."""
    rng = np.random.default_rng(seed)
    samples = 0.003 * rng.standard_normal(220_500)
    time_s = np.arange(11025) / 22050
    for start in range(0, len(samples) - len(time_s), 2756):
        hz = 110 * 2 ** (rng.integers(0, 37) / 12) * np.arange(1, 8)[:, np.newaxis]
        strengths = rng.uniform(0.02, 0.1, 7) / np.arange(1, 8)
        note = strengths @ np.sin(2 * np.pi * hz * time_s) * np.exp(-4 * time_s)
        first = start + rng.integers(0, 2000)
        samples[first : first + len(note)] += note[: len(samples) - first]
    return samples.astype(np.float32)


def error_rate(first, second):
    length = min(len(first), len(second))
    assert length > 100
    return np.bitwise_count(first[:length] ^ second[:length]).mean() / 32


def test_one_word_per_step():
    words = fingerprint(melody(0), 22050)
    assert words.dtype == np.uint32
    assert len(words) == (10 * RATE_HZ - N_FFT) // HOP_LENGTH


def test_unrelated_melodies_differ_in_half_of_the_bits():
    assert 0.45 < error_rate(fingerprint(melody(0), 22050), fingerprint(melody(1), 22050)) < 0.55


@pytest.mark.parametrize("rate_hz", [6000, 44100, 192000])
def test_resampling_hardly_changes_it(rate_hz):
    resampled = soxr.resample(melody(0), 22050, rate_hz)
    assert error_rate(fingerprint(melody(0), 22050), fingerprint(resampled, rate_hz)) < 0.02


@pytest.mark.parametrize("gain", [0.01, 0.5, 2])
def test_gain_hardly_changes_it(gain):
    louder = np.float32(gain) * melody(0)
    assert error_rate(fingerprint(melody(0), 22050), fingerprint(louder, 22050)) < 0.01


def test_cutting_whole_steps_shifts_it():
    """512 samples at 22,050 Hz are one step."""
    later = fingerprint(melody(0)[43 * 512 :], 22050)
    assert error_rate(fingerprint(melody(0), 22050)[43:], later) < 0.01


def test_noise_changes_few_bits():
    noise = np.random.default_rng(0).standard_normal(len(melody(0))).astype(np.float32)
    noisy = melody(0) + 0.01 * noise
    assert error_rate(fingerprint(melody(0), 22050), fingerprint(noisy, 22050)) < 0.2


@pytest.mark.parametrize("rate_hz", [1000, 4000])
def test_low_rates_have_narrower_bands(rate_hz):
    first, second = (fingerprint(soxr.resample(melody(seed), 22050, rate_hz), rate_hz) for seed in range(2))
    assert np.count_nonzero(first) == len(first)
    assert 0.4 < error_rate(first, second) < 0.6


@pytest.mark.parametrize("samples", [np.zeros(100_000), np.full(100_000, 0.7), np.full(100_000, -1)])
def test_constant_tracks_have_empty_words(samples):
    words = fingerprint(samples.astype(np.float32), 22050)
    # the step at both ends is audible
    assert len(words) > 150
    assert np.all(words[20:-20] == NOTHING)


def test_silent_parts_have_empty_words():
    samples = melody(0).copy()
    samples[44100:132300] = 1e-6
    words = fingerprint(samples, 22050)
    assert np.all(words[90:230] == NOTHING)
    assert np.all(words[:80] != NOTHING)


@pytest.mark.parametrize("n_samples", [0, 1, 100, 8000])
def test_a_very_short_track_has_no_words(n_samples):
    words = fingerprint(melody(0)[:n_samples], 22050)
    assert words.shape == (0,)
    assert words.dtype == np.uint32


PROBE = """
import hashlib, numpy, sys
from stages.audio.fingerprint import fingerprint
samples = numpy.load(sys.argv[1])
print(hashlib.sha256(fingerprint(samples, 22050).tobytes()).hexdigest())
"""


def test_processes_and_threads_agree(tmp_path):
    np.save(tmp_path / "samples.npy", melody(0))
    hashes = {
        subprocess.run(
            [sys.executable, "-c", PROBE, tmp_path / "samples.npy"],
            env={"PYTHONPATH": str(REPO), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": n_threads},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for n_threads in ("1", "2")
    }
    assert len(hashes) == 1
