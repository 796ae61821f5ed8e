"""Variants of a waveform equal librosa's, and segments start at the same music."""

import math
import warnings

import librosa
import numpy as np
import pytest

from stages.features.variants import N_FFT, Variant, vary
from tests.synthetic import RATE_HZ, noise, tone

UP, DOWN = Variant("pitch_shift", 12.0), Variant("pitch_shift", -7.0)
FAST, SLOW = Variant("time_stretch", 1.25), Variant("time_stretch", 0.8)
LENGTH = RATE_HZ


def loudest_hz(samples: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(spectrum.argmax() * RATE_HZ / len(samples))


@pytest.mark.parametrize(("variant", "times"), [(UP, 2.0), (DOWN, 2 ** (-7 / 12)), (FAST, 1.0), (SLOW, 1.0)])
def test_pitch_shift_changes_pitch_and_time_stretch_does_not(variant, times):
    altered = variant.of(tone(3 * RATE_HZ, 440))
    assert loudest_hz(altered[RATE_HZ : 2 * RATE_HZ]) == pytest.approx(440 * times, rel=0.005)


@pytest.mark.parametrize("variant", [UP, DOWN, FAST, SLOW])
def test_length_is_divided_by_the_rate(variant):
    assert variant.rate == {FAST: 1.25, SLOW: 0.8}.get(variant, 1.0)
    for n_samples in (N_FFT, 8001, 20_000):
        altered = variant.of(noise(n_samples))
        assert altered.dtype == np.float32
        assert len(altered) == round(n_samples / variant.rate)
        assert np.isfinite(altered).all()


@pytest.mark.parametrize("variant", [UP, FAST])
def test_equals_librosa_with_the_original_loudness(variant):
    samples = noise(3 * RATE_HZ)
    made = {
        UP: lambda: librosa.effects.pitch_shift(samples, sr=RATE_HZ, n_steps=12),
        FAST: lambda: librosa.effects.time_stretch(samples, rate=1.25),
    }[variant]()
    altered = variant.of(samples)
    assert np.sqrt(np.mean(altered**2)) == pytest.approx(np.sqrt(np.mean(samples**2)), rel=1e-4)
    gain = np.vdot(altered, made) / np.vdot(made, made)
    assert gain > 1.1, "librosa keeps the loudness now"
    np.testing.assert_allclose(altered, gain * made, rtol=0, atol=1e-6)


@pytest.mark.parametrize("variant", [UP, DOWN, FAST, SLOW])
def test_a_segment_begins_at_the_same_music(variant):
    length = 4 * RATE_HZ
    samples, starts = np.zeros(8 * length, np.float32), [0, 2 * length, 5 * length]
    for start in starts:
        samples[start + RATE_HZ : start + 3 * RATE_HZ] = tone(2 * RATE_HZ, 440)
    altered, begin = vary(samples, starts, length, variant)
    for start in begin:
        audible = np.abs(altered[start : start + length]) > 0.02
        # librosa's window is a quarter of a second long here
        assert np.flatnonzero(audible)[[0, -1]] / RATE_HZ == pytest.approx(
            np.array([1, 3]) / variant.rate, abs=0.4
        )


def test_the_last_segment_ends_with_the_music_if_sped_up():
    altered, begin = vary(noise(3 * RATE_HZ), [0, LENGTH, 2 * LENGTH], LENGTH, FAST)
    assert len(altered) == 2.4 * RATE_HZ
    assert begin == [0, 0.8 * LENGTH, 1.4 * LENGTH]


def test_music_shorter_than_a_segment_starts_at_zero():
    altered, begin = vary(noise(LENGTH), [0], LENGTH, FAST)
    assert (len(altered), begin) == (0.8 * LENGTH, [0])


@pytest.mark.parametrize("n_samples", [1, 100, N_FFT - 1, N_FFT])
@pytest.mark.parametrize("variant", [UP, DOWN, FAST, SLOW])
def test_very_short_music_gives_no_warning(n_samples, variant):
    with warnings.catch_warnings(action="error"):
        altered, begin = vary(noise(n_samples), [0], 100, variant)
    assert begin == [0]
    assert np.isfinite(altered).all()


@pytest.mark.parametrize("variant", [UP, DOWN, FAST, SLOW])
def test_silence_stays_silent(variant):
    altered, _ = vary(np.zeros(RATE_HZ, np.float32), [0], LENGTH, variant)
    assert not altered.any()


@pytest.mark.parametrize("amount", [0.25, 0.9, 1.1, 4.0])
def test_reach_covers_the_segment_and_its_variant(amount):
    variant = Variant("time_stretch", amount)
    assert variant.reach(LENGTH) == max(LENGTH, math.ceil(LENGTH * amount))
    assert round(variant.reach(LENGTH) / variant.rate) >= LENGTH
    assert Variant("pitch_shift", amount).reach(LENGTH) == LENGTH
