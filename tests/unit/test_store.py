"""The HDF5 schema: what other tools find in the files, and that what is written is what is read."""

import json

import h5py
import numpy as np
import pytest

from stages import store

N_SEGMENTS, N_BINS, N_FRAMES = 30, 5, 7
VALUES = np.random.default_rng(0).standard_normal((N_SEGMENTS, N_BINS, N_FRAMES)).astype(np.float32)
ROWS = [(f"трек {i // 3}.wav", i % 3, ("rock", "", "jazz")[i // 3 % 3]) for i in range(N_SEGMENTS)]


@pytest.fixture
def path(tmp_path):
    with store.create_features(
        tmp_path / "features.h5",
        {"mel": (N_BINS, N_FRAMES), "mfcc": (N_BINS, N_FRAMES)},
        {
            "mel": ("mel_frequency_hz", np.arange(N_BINS) * 100.0),
            "mfcc": ("mfcc_coefficient", np.arange(5.0)),
        },
        np.arange(N_FRAMES) / 10,
        ROWS,
        {"sample_rate_hz": 22050, "hop_length": 512, "include": ["mel", "mfcc"], "pad_mode": "constant"},
    ) as file:
        file["mel"][:] = VALUES
    return tmp_path / "features.h5"


def test_layout_of_features(path):
    with h5py.File(path) as file:
        for name in ("mel", "mfcc"):
            assert file[name].shape == (N_SEGMENTS, N_BINS, N_FRAMES)
            assert file[name].dtype == np.float32
        assert file["track_id"].asstr()[:].tolist() == [row[0] for row in ROWS]
        assert file["segment"][:].tolist() == [row[1] for row in ROWS]
        assert file["label"][:].tolist() == [{"jazz": 0, "rock": 1, "": -1}[row[2]] for row in ROWS]
        assert list(file.attrs["labels"]) == ["jazz", "rock"]
        assert (file.attrs["sample_rate_hz"], file.attrs["hop_length"]) == (22050, 512)
        assert file.attrs["pad_mode"] == "constant"
        assert json.loads(file.attrs["include"]) == ["mel", "mfcc"]


def test_axes_are_named_and_scaled(path):
    with h5py.File(path) as file:
        assert [axis.label for axis in file["mel"].dims] == ["segment", "mel_frequency_hz", "time_s"]
        assert [axis.label for axis in file["mfcc"].dims] == ["segment", "mfcc_coefficient", "time_s"]
        assert file["mel"].dims[1]["mel_frequency_hz"][:].tolist() == [0, 100, 200, 300, 400]
        np.testing.assert_allclose(file["mel"].dims[2]["time_s"][:], np.arange(N_FRAMES) / 10)
        assert file["mel"].dims[2][0] == file["mfcc"].dims[2][0] == file["time_s"]


@pytest.mark.parametrize(
    "rows", [[], [0], [29], [3, 4, 5], [0, 2, 4], [0, 1, 5, 6, 7, 20, 29], list(range(N_SEGMENTS))]
)
def test_any_rows_come_back(path, rows):
    with store.Features(path) as features:
        values = features.read("mel", np.array(rows, np.intp))
    assert values.dtype == np.float32
    assert np.array_equal(values, VALUES[rows])


def test_random_rows_come_back(path):
    random = np.random.default_rng(0)
    with store.Features(path) as features:
        for _ in range(50):
            rows = np.flatnonzero(random.random(N_SEGMENTS) < random.random())
            assert np.array_equal(features.read("mel", rows), VALUES[rows])


def test_features_know_what_they_are(path):
    with store.Features(path) as features:
        assert features.names == ["mel", "mfcc"]
        assert features.labels == ["jazz", "rock"]
        assert features.shape("mel") == (N_BINS, N_FRAMES)
        assert features.scale("mel", 1).tolist() == [0, 100, 200, 300, 400]
        assert features.track_id[0] == "трек 0.wav"
        assert json.loads(json.dumps(features.attributes)) == {
            "schema": store.SCHEMA,
            "sample_rate_hz": 22050,
            "hop_length": 512,
            "include": '["mel", "mfcc"]',
            "pad_mode": "constant",
        }


def test_runs_are_cut_where_numbers_jump():
    cut = [run.tolist() for run in store.runs(np.array([1, 2, 3, 7, 9, 10]))]
    assert cut == [[1, 2, 3], [7], [9, 10]]


def test_waveforms_come_back_at_full_scale_one(tmp_path):
    exact = np.array([-32768, 0, 16384], np.int16)
    floats = np.array([0.1, -0.2], np.float32)
    with store.create_audio(tmp_path / "audio.h5", 8000) as file:
        store.append_waveform(file, 0, "a", exact)
        store.append_waveform(file, 1, "b", floats)
    assert store.read_sample_rate_hz(tmp_path / "audio.h5") == 8000
    with store.open_audio(tmp_path / "audio.h5") as file:
        assert file["waveform/000000"].dtype == np.int16
        assert file["waveform/000001"].attrs["track_id"] == "b"
        assert store.read_waveform(file, 0).tolist() == [-1.0, 0.0, 0.5]
        assert np.array_equal(store.read_waveform(file, 1), floats)
        assert store.read_waveform(file, 0).dtype == np.float32
