"""The extract stage: features.h5 of every segment in the index."""

import json
from pathlib import Path

import h5py
import librosa
import numpy as np
import pytest

from stages import extract, segment
from tests.synthetic import RATE_HZ, line_of, noise, write_audio, write_params


@pytest.fixture
def cut(workspace):
    """Three tracks, cut into segments of a second; the last segment of the second one is padded."""
    waveforms = {
        "a": (noise(3 * RATE_HZ) * 32767).astype(np.int16),
        "b": noise(2 * RATE_HZ - 100, seed=1),
        "c": noise(5 * RATE_HZ, seed=2),
    }
    write_audio(waveforms)
    write_params()
    segment.main()
    return waveforms


def test_file_holds_every_segment_in_order(cut):
    extract.main()
    with h5py.File("data/features/features.h5") as file:
        assert file["track_id"].asstr()[:].tolist() == ["a"] * 3 + ["b"] * 2 + ["c"] * 5
        assert file["segment"][:].tolist() == [0, 1, 2, 0, 1, 0, 1, 2, 3, 4]
        assert file["mfcc"].shape == (10, 13, 32)
        assert file["mel"].shape == (10, 32, 32)
        assert file["mfcc"].dtype == file["mel"].dtype == np.float32
        assert file["mel"].dims[1][0].shape == (32,)
        assert file["mel"].dims[2][0].shape == (32,)
        attributes = dict(file.attrs)
    assert list(attributes["labels"]) == ["jazz"]
    wanted = {"sample_rate_hz": RATE_HZ, "n_fft": 512, "hop_length": 256, "n_mels": 32, "n_mfcc": 13}
    assert {key: attributes[key] for key in wanted} == wanted
    assert attributes["pad_mode"] == "constant"
    assert attributes["segment_length"] == RATE_HZ
    assert json.loads(attributes["include"]) == ["mfcc", "mel"]


def test_values_are_librosas_of_the_cut_samples(cut):
    extract.main()
    padded = np.pad(cut["b"], (0, 100))
    power = librosa.feature.melspectrogram(
        y=padded[RATE_HZ:], sr=RATE_HZ, n_fft=512, hop_length=256, n_mels=32, pad_mode="constant"
    )
    with h5py.File("data/features/features.h5") as file:
        np.testing.assert_allclose(file["mel"][4], librosa.power_to_db(power, top_db=80), rtol=0, atol=1e-3)


def test_any_number_of_workers_writes_the_same_bytes(cut):
    written = []
    for workers in (1, 2, 1):
        write_params(f"runtime.workers={workers}")
        extract.main()
        written.append(Path("data/features/features.h5").read_bytes())
    assert written[0] == written[1] == written[2]


def test_include_decides_what_is_written(cut):
    write_params("features.include=[mel]")
    extract.main()
    with h5py.File("data/features/features.h5") as file:
        assert "mel" in file
        assert "mfcc" not in file


def test_a_window_that_reflection_cannot_fill_is_refused(cut):
    write_params("features.n_fft=16384", "features.pad_mode=reflect")
    line = line_of(extract.main)
    assert "features.n_fft is 16384" in line
    assert "8000 samples" in line
    assert not Path("data/features").exists()


def test_a_window_longer_than_the_segment_works_with_zeros(cut):
    write_params("features.n_fft=16384")
    extract.main()
    with h5py.File("data/features/features.h5") as file:
        assert np.isfinite(file["mel"][:]).all()


def test_a_window_of_odd_length_works(cut):
    write_params("features.n_fft=511", "features.hop_length=250")
    extract.main()
    with h5py.File("data/features/features.h5") as file:
        assert file["mel"].shape[2] == len(file["time_s"])
