"""Features equal librosa's on the same samples, and all come from one STFT."""

from pathlib import Path

import librosa
import numpy as np
import pytest
import soundfile
import torch

from stages.audio.spectra import Spectra, extract
from tests.synthetic import REPO, noise, tone

RATE_HZ = 22050
GTZAN_MINI = REPO.parent / "shared/data/gtzan-mini/genres_original"
TRACKS = sorted(GTZAN_MINI.rglob("*.wav"))[::6]


def spectra(**changes) -> Spectra:
    defaults = {
        "sample_rate_hz": RATE_HZ,
        "n_fft": 2048,
        "hop_length": 512,
        "pad_mode": "constant",
        "n_mels": 128,
        "n_mfcc": 13,
        "include": ("mfcc", "mel"),
    }
    return Spectra(**{**defaults, **changes})


def librosas(samples: np.ndarray, wanted: Spectra) -> dict[str, np.ndarray]:
    """The same features of one segment by librosa."""
    power = librosa.feature.melspectrogram(
        y=samples,
        sr=wanted.sample_rate_hz,
        n_fft=wanted.n_fft,
        hop_length=wanted.hop_length,
        n_mels=wanted.n_mels,
        pad_mode=wanted.pad_mode,
    )
    mel = librosa.power_to_db(power, top_db=80)
    mfcc = librosa.feature.mfcc(
        y=samples,
        sr=wanted.sample_rate_hz,
        n_mfcc=wanted.n_mfcc,
        n_fft=wanted.n_fft,
        hop_length=wanted.hop_length,
        n_mels=wanted.n_mels,
        pad_mode=wanted.pad_mode,
    )
    return {"mel": mel, "mfcc": mfcc}


def impulse(n_samples: int) -> np.ndarray:
    return np.eye(1, n_samples, n_samples // 3, dtype=np.float32)[0]


SOUNDS = {
    "music-like noise": noise(3 * RATE_HZ),
    "quiet noise": noise(3 * RATE_HZ, seed=1, level=1e-3),
    "tone": tone(3 * RATE_HZ, 440, RATE_HZ),
    "impulse": impulse(3 * RATE_HZ),
    "silence": np.zeros(3 * RATE_HZ, np.float32),
    "clipping": np.clip(noise(3 * RATE_HZ, seed=2) * 20, -1, 1).astype(np.float32),
    "half silence": np.concatenate([np.zeros(RATE_HZ, np.float32), noise(2 * RATE_HZ)]),
}


def assert_equal_to_librosa(samples: np.ndarray, wanted: Spectra) -> None:
    ours = extract(samples, [(0, len(samples))], wanted)
    for name, theirs in librosas(samples, wanted).items():
        assert ours[name].dtype == np.float32
        assert ours[name][0].shape == theirs.shape
        np.testing.assert_allclose(ours[name][0], theirs, rtol=0, atol=1e-3, err_msg=name)


@pytest.mark.parametrize("pad_mode", ["constant", "reflect"])
@pytest.mark.parametrize("sound", SOUNDS)
def test_equal_to_librosa(sound, pad_mode):
    assert_equal_to_librosa(SOUNDS[sound], spectra(pad_mode=pad_mode))


@pytest.mark.parametrize("n_samples", [1025, 2047, 2049, 33333, 66150])
@pytest.mark.parametrize("pad_mode", ["constant", "reflect"])
def test_equal_to_librosa_at_odd_lengths(n_samples, pad_mode):
    assert_equal_to_librosa(noise(n_samples), spectra(pad_mode=pad_mode))


@pytest.mark.parametrize(
    "changes",
    [
        {"n_fft": 1024, "hop_length": 256},
        {"n_fft": 2048, "hop_length": 2048},
        {"n_fft": 1000, "hop_length": 333},
        {"n_fft": 2049, "hop_length": 441},
        {"n_mels": 40, "n_mfcc": 40},
        {"n_mfcc": 1},
        {"sample_rate_hz": 44100},
    ],
)
def test_equal_to_librosa_at_other_settings(changes):
    assert_equal_to_librosa(noise(66150), spectra(**changes))


@pytest.mark.skipif(not TRACKS, reason="no gtzan-mini beside this checkout")
@pytest.mark.parametrize("path", TRACKS, ids=lambda path: path.stem)
def test_equal_to_librosa_on_real_music(path: Path):
    samples, rate_hz = soundfile.read(path, dtype="float32")
    length = 3 * rate_hz
    cuts = [(i * length, (i + 1) * length) for i in range(len(samples) // length)]
    ours = extract(samples, cuts, spectra(sample_rate_hz=rate_hz))
    for segment in (0, 4, len(cuts) - 1):
        theirs = librosas(samples[slice(*cuts[segment])], spectra(sample_rate_hz=rate_hz))
        for name in theirs:
            np.testing.assert_allclose(ours[name][segment], theirs[name], rtol=0, atol=1e-3, err_msg=name)


def test_all_features_of_a_batch_come_from_one_stft(monkeypatch):
    calls = []
    stft = torch.stft

    def counted(samples, *arguments, **options):
        calls.append(len(samples))
        return stft(samples, *arguments, **options)

    monkeypatch.setattr(torch, "stft", counted)
    length = 8000
    extract(noise(10 * length), [(i * length, (i + 1) * length) for i in range(10)], spectra())
    assert sum(calls) == 10, "some segment was transformed more than once"
    assert len(calls) <= 5, "segments go through in batches"


def test_each_segment_is_on_its_own():
    samples, length = noise(40000), 8000
    cuts = [(i * length, (i + 1) * length) for i in range(5)]
    together = extract(samples, cuts, spectra())
    for index, cut in enumerate(cuts):
        alone = extract(samples, [cut], spectra())
        for name in together:
            np.testing.assert_allclose(together[name][index], alone[name][0], rtol=0, atol=1e-4)


def test_what_lies_beyond_the_end_is_silence():
    samples = noise(9700)
    padded = np.concatenate([samples, np.zeros(300, np.float32)])
    ours = extract(samples, [(0, 5000), (5000, 10000)], spectra())
    theirs = extract(padded, [(0, 5000), (5000, 10000)], spectra())
    assert np.array_equal(ours["mel"], theirs["mel"])


@pytest.mark.parametrize("include", [("mfcc",), ("mel",), ("mel", "mfcc")])
def test_only_what_is_included_is_computed(include):
    wanted = spectra(include=include)
    ours = extract(noise(8000), [(0, 8000)], wanted)
    assert tuple(ours) == include
    assert {name: values.shape[1:] for name, values in ours.items()} == wanted.shapes(8000)
    assert set(wanted.scales()) == set(include)


def test_scales_say_hertz_and_seconds():
    wanted = spectra()
    name, mel_hz = wanted.scales()["mel"]
    assert name == "mel_frequency_hz"
    assert len(mel_hz) == 128
    assert np.all(np.diff(mel_hz) > 0)
    assert 0 < mel_hz[0] < mel_hz[-1] < RATE_HZ / 2
    filters = librosa.filters.mel(sr=RATE_HZ, n_fft=2048)
    peaks_hz = librosa.fft_frequencies(sr=RATE_HZ, n_fft=2048)[filters.argmax(axis=1)]
    np.testing.assert_allclose(mel_hz, peaks_hz, atol=RATE_HZ / 2048)
    time_s = wanted.time_s(66150)
    assert len(time_s) == wanted.shapes(66150)["mel"][1] == 130
    np.testing.assert_allclose(time_s, librosa.frames_to_time(np.arange(130), sr=RATE_HZ, hop_length=512))
