"""The HDF5 schema: what other tools find in the files, and that reading inverts writing."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from stages.core.errors import EncoreError
from stages.storage import audio_file, feature_file, hdf5
from tests.synthetic import noise

N_SEGMENTS, N_BINS, N_FRAMES = 30, 5, 7
RANDOM = np.random.default_rng(0)
FLOATS = RANDOM.standard_normal((N_SEGMENTS, N_BINS, N_FRAMES)).astype(np.float32)
CODES = RANDOM.integers(0, 256, (N_SEGMENTS, N_BINS, N_FRAMES + 2)).astype(np.uint8)
VALUES = {"mel": FLOATS, "mfcc": FLOATS[::-1].astype(np.float16), "mel_levels": CODES}
ROWS = [(f"трек {i // 3}.wav", i % 3, ("rock", "", "jazz")[i // 3 % 3]) for i in range(N_SEGMENTS)]
TABLE = feature_file.SegmentTable(
    [row[0] for row in ROWS],
    [row[1] for row in ROWS],
    [2**31 + 66150 * row[1] for row in ROWS],  # an hour at 768 kHz is more
    [row[2] for row in ROWS],
)
MEL_HZ = feature_file.Axis("mel_frequency_hz", np.arange(N_BINS) * 100.0)
TIME_S = feature_file.Axis("time_s", np.arange(N_FRAMES) / 10)
SETTINGS = {"n_fft": 2048, "window": "hann", "fmin_hz": 0.5, "htk": False, "fmax_hz": None, "mel": {"n": 5}}
ARRAYS = {
    "mel": feature_file.Array(np.dtype(np.float32), "dB", MEL_HZ, TIME_S, SETTINGS),
    "mfcc": feature_file.Array(
        np.dtype(np.float16),
        "1",
        feature_file.Axis("mfcc_coefficient", np.array(["C", "C#", "D", "D#", "E"])),
        TIME_S,
        {},
    ),
    "mel_levels": feature_file.Array(
        np.dtype(np.uint8), "level", MEL_HZ, feature_file.Axis("time_s_mel_levels", np.arange(9) / 20), {}
    ),
}
ATTRIBUTES = {"sample_rate_hz": 22050, "hop_length": 512, "include": ["mel", "mfcc"], "pad_mode": "constant"}


def write(path: Path, compression: str = "none", at_once: int = 7) -> Path:
    contents = feature_file.Contents(ARRAYS, TABLE, ATTRIBUTES)
    plain = path.with_suffix(".plain") if compression != "none" else path
    file = feature_file.create_features(plain, contents)
    for first in range(0, N_SEGMENTS, at_once):
        file.write(first, {name: values[first : first + at_once] for name, values in VALUES.items()})
    if compression != "none":
        feature_file.compress_features(plain, path, contents, compression)
    return path


@pytest.fixture(scope="module", params=["none", "lzf", "gzip"])
def path(tmp_path_factory, request):
    return write(tmp_path_factory.mktemp("store") / "features.h5", request.param)


def test_layout_of_features(path):
    with h5py.File(path) as file:
        for name, values in VALUES.items():
            assert file[name].shape == values.shape
            assert file[name].dtype == values.dtype
            np.testing.assert_array_equal(file[name][:], values)
        assert file["track_id"].asstr()[:].tolist() == [row[0] for row in ROWS]
        assert file["segment"][:].tolist() == [row[1] for row in ROWS]
        assert file["start"][:].tolist() == TABLE.start
        assert file["label"][:].tolist() == [{"jazz": 0, "rock": 1, "": -1}[row[2]] for row in ROWS]
        assert list(file.attrs["labels"]) == [b"jazz", b"rock"]
        assert file.attrs["schema"] == b"encore/4"
        assert (file.attrs["sample_rate_hz"], file.attrs["hop_length"]) == (22050, 512)
        assert file.attrs["pad_mode"] == b"constant"
        assert json.loads(file.attrs["include"]) == ["mel", "mfcc"]


def test_axes_are_named_and_scaled(path):
    with h5py.File(path) as file:
        names = {name: [axis.label for axis in file[name].dims] for name in VALUES}
        assert names == {
            "mel": ["segment", "mel_frequency_hz", "time_s"],
            "mfcc": ["segment", "mfcc_coefficient", "time_s"],
            "mel_levels": ["segment", "mel_frequency_hz", "time_s_mel_levels"],
        }
        assert file["mel"].dims[1]["mel_frequency_hz"][:].tolist() == [0, 100, 200, 300, 400]
        np.testing.assert_allclose(file["mel"].dims[2]["time_s"][:], np.arange(N_FRAMES) / 10)
        assert file["mel_levels"].dims[2][0][:].tolist() == (np.arange(9) / 20).tolist()
    with feature_file.Features(path) as features:
        bins, time = features.axes("mel_levels")
        assert (bins.name, bins.values.tolist()) == ("mel_frequency_hz", MEL_HZ.values.tolist())
        assert (time.name, time.values.tolist()) == ("time_s_mel_levels", (np.arange(9) / 20).tolist())
        assert features.axes("mfcc")[0].values.tolist() == ["C", "C#", "D", "D#", "E"]


def test_features_share_an_axis_of_one_name(path):
    with h5py.File(path) as file:
        assert file["mel"].dims[2][0] == file["mfcc"].dims[2][0] == file["time_s"]
        assert file["mel"].dims[1][0] == file["mel_levels"].dims[1][0] == file["mel_frequency_hz"]
        assert set(file) == {
            *VALUES,
            *("track_id", "segment", "start", "label"),
            *("mel_frequency_hz", "mfcc_coefficient", "time_s", "time_s_mel_levels"),
            "crc32",
        }
        assert set(file["crc32"]) == {*VALUES}


def test_each_feature_has_its_unit_and_settings(path):
    with h5py.File(path) as file:
        assert {name: file[name].attrs["unit"] for name in VALUES} == {
            "mel": b"dB",
            "mfcc": b"1",
            "mel_levels": b"level",
        }
        assert (file["mel"].attrs["n_fft"], file["mel"].attrs["window"]) == (2048, b"hann")
        assert not file["mel"].attrs["htk"]
        assert file["mel"].attrs["fmax_hz"] == b"null"
        assert json.loads(file["mel"].attrs["mel"]) == {"n": 5}
    with feature_file.Features(path) as features:
        assert features.settings("mel") == SETTINGS, "nested values too"
        assert type(features.settings("mel")["n_fft"]) is int
        assert features.settings("mfcc") == {}


@pytest.mark.parametrize(
    "rows", [[], [0], [29], [3, 4, 5], [0, 2, 4], [0, 1, 5, 6, 7, 20, 29], list(range(N_SEGMENTS))]
)
def test_any_rows_are_read(path, rows):
    with feature_file.Features(path) as features:
        for name, stored in VALUES.items():
            values = features.read(name, np.array(rows, np.intp))
            assert values.dtype == (np.uint8 if name == "mel_levels" else np.float32)
            assert np.array_equal(values, stored[rows])


@pytest.fixture(scope="module", params=["none", "gzip"])
def with_variants(tmp_path_factory, request):
    """A file whose variants hold the numbers one, and two, higher."""
    path = tmp_path_factory.mktemp("store") / "features.h5"
    contents = feature_file.Contents(ARRAYS, TABLE, ATTRIBUTES, VARIANTS)
    file = feature_file.create_features(path, contents)
    for number, variant in enumerate((None, *VARIANTS)):
        file.write(0, {name: values + values.dtype.type(number) for name, values in VALUES.items()}, variant)
    if request.param != "none":
        plain = path.rename(path.with_suffix(".plain"))
        feature_file.compress_features(plain, path, contents, request.param)
    return path


VARIANTS = ["pitch_shift=2.0", "a=1e-05"]


def test_variants_do_not_change_the_original_features(with_variants, path):
    with h5py.File(with_variants) as file, h5py.File(path) as before:
        assert set(file) == {*before, "variants"}
        for name in set(before) - {"crc32"}:
            assert file[name][:].tobytes() == before[name][:].tobytes() or name == "track_id"
        assert file["track_id"].asstr()[:].tolist() == before["track_id"].asstr()[:].tolist()
        assert file["variants/a=1e-05/mel"].dims[2][0] == file["time_s"]
        assert "variants" not in before.attrs
    with feature_file.Features(with_variants) as features, feature_file.Features(path) as before:
        assert features.variants == VARIANTS, "in their order"
        assert before.variants == []
        assert features.names == before.names
        assert features.attributes == {**before.attributes, "variants": VARIANTS}
        everything = np.arange(N_SEGMENTS)
        for name, values in VALUES.items():
            assert np.array_equal(features.read(name, everything), values)


@pytest.mark.parametrize("asked", [VARIANTS, VARIANTS[:1], VARIANTS[1:], VARIANTS[::-1]])
def test_rows_of_variants_are_numbered_on(with_variants, asked):
    random = np.random.default_rng(0)
    higher = [0, *(1 + VARIANTS.index(variant) for variant in asked)]
    with feature_file.Features(with_variants) as features:
        for name, values in VALUES.items():
            everything = np.concatenate([values + values.dtype.type(number) for number in higher])
            for share in (0.0, 0.1, 0.5, 1.0):
                rows = np.flatnonzero(random.random(len(everything)) < share)
                assert np.array_equal(features.read(name, rows, asked), everything[rows])


def test_random_rows_are_read(path):
    random = np.random.default_rng(0)
    with feature_file.Features(path) as features:
        for _ in range(20):
            rows = np.flatnonzero(random.random(N_SEGMENTS) < random.random())
            assert np.array_equal(features.read("mel", rows), VALUES["mel"][rows])


def test_features_have_names_labels_shapes_and_attributes(path):
    with feature_file.Features(path) as features:
        assert features.names == ["mel", "mel_levels", "mfcc"]
        assert features.labels == ["jazz", "rock"]
        assert features.shape("mel") == (N_BINS, N_FRAMES)
        assert features.shape("mel_levels") == (N_BINS, N_FRAMES + 2)
        assert features.track_id[0] == "трек 0.wav"
        assert json.loads(json.dumps(features.attributes)) == {
            "schema": hdf5.SCHEMA,
            "sample_rate_hz": 22050,
            "hop_length": 512,
            "include": ["mel", "mfcc"],
            "pad_mode": "constant",
        }


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_rows_written_in_parts_are_the_same_numbers(tmp_path, compression):
    one, other = (write(tmp_path / f"{at_once}.h5", compression, at_once) for at_once in (3, N_SEGMENTS))
    with h5py.File(one) as first, h5py.File(other) as second:
        for name in VALUES:
            np.testing.assert_array_equal(first[name][:], second[name][:])


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_equal_features_are_equal_bytes(tmp_path, compression):
    one, again = (write(tmp_path / f"{name}.h5", compression) for name in ("one", "again"))
    assert one.read_bytes() == again.read_bytes()


@pytest.mark.parametrize("compression", ["lzf", "gzip"])
def test_compressed_chunks_are_whole_segments(tmp_path, compression):
    shapes = {"small": (N_BINS, N_FRAMES), "whole": (128, 128), "middle": (13, 130), "great": (128, 1292)}
    arrays = {
        name: feature_file.Array(
            np.dtype(np.float32),
            "1",
            feature_file.Axis(f"{name}_bin", np.arange(float(n_bins))),
            feature_file.Axis(f"{name}_s", np.arange(float(n_frames))),
            {},
        )
        for name, (n_bins, n_frames) in shapes.items()
    }
    contents = feature_file.Contents(arrays, TABLE, {})
    file = feature_file.create_features(tmp_path / "plain", contents)
    file.write(0, {name: np.zeros((N_SEGMENTS, *shape)) for name, shape in shapes.items()})
    feature_file.compress_features(tmp_path / "plain", tmp_path / "features.h5", contents, compression)
    with h5py.File(tmp_path / "features.h5") as made:
        for name, shape in shapes.items():
            assert made[name].chunks[1:] == shape
            assert made[name].compression == compression
            assert made[name].shuffle
        n_in_a_chunk = {name: made[name].chunks[0] for name in shapes}
    assert n_in_a_chunk == {"small": N_SEGMENTS, "whole": 1, "middle": 9, "great": 1}
    assert 9 * 13 * 130 * 4 <= feature_file.CHUNK_BYTES < 10 * 13 * 130 * 4


@pytest.mark.parametrize("damage", ["row", "checksum"])
def test_a_row_that_is_not_what_was_written_is_refused(tmp_path, damage):
    path = write(tmp_path / "features.h5")
    with h5py.File(path, "a") as file:
        if damage == "row":
            file["mel"][4, 2, 1] += 1
        else:
            file["crc32/mel"][4] += 1
    with feature_file.Features(path) as features:
        assert features.read("mel", np.array([3, 5])).shape[0] == 2
        assert features.read("mfcc", np.arange(N_SEGMENTS)).shape[0] == N_SEGMENTS
        with pytest.raises(EncoreError, match=r"features\.h5: damaged.*checksum of mel.*dvc repro"):
            features.read("mel", np.array([3, 4]))


def test_rows_that_are_not_written_are_known(tmp_path):
    path = tmp_path / "features.h5"
    file = feature_file.create_features(path, feature_file.Contents(ARRAYS, TABLE, ATTRIBUTES))
    file.write(3, {"mel": np.zeros((2, N_BINS, N_FRAMES))})
    with feature_file.Features(path) as features:
        assert np.flatnonzero(features.checks("mel")).tolist() == [3, 4]
        assert not features.checks("mfcc").any()


def test_compression_makes_repeated_values_smaller(tmp_path):
    constant = {name: np.ones_like(values) for name, values in VALUES.items()}
    sizes = {}
    for compression in ("none", "lzf", "gzip"):
        path = tmp_path / f"{compression}.h5"
        arrays = {"mel": feature_file.Array(np.dtype(np.float32), "1", MEL_HZ, TIME_S, {})}
        table = feature_file.SegmentTable(*([entries[0]] * 3_000 for entries in vars(TABLE).values()))
        contents = feature_file.Contents(arrays, table, {})
        file = feature_file.create_features(tmp_path / "plain", contents)
        for first in range(0, 3_000, N_SEGMENTS):
            file.write(first, {"mel": constant["mel"]})
        if compression == "none":
            path = tmp_path / "plain"
        else:
            feature_file.compress_features(tmp_path / "plain", path, contents, compression)
        with h5py.File(path) as file:
            sizes[compression] = file["mel"].id.get_storage_size()
    assert sizes["gzip"] < sizes["lzf"] < sizes["none"] / 10


def float16(path: Path) -> feature_file.NewFeatures:
    arrays = {"pitch": feature_file.Array(np.dtype(np.float16), "1", MEL_HZ, TIME_S, {})}
    return feature_file.create_features(path, feature_file.Contents(arrays, TABLE, {}))


def test_float16_rounds(tmp_path):
    float16(tmp_path / "features.h5").write(0, {"pitch": 1000 * FLOATS})
    with feature_file.Features(tmp_path / "features.h5") as features:
        values = features.read("pitch", np.arange(N_SEGMENTS))
    assert values.dtype == np.float32
    np.testing.assert_allclose(values, 1000 * FLOATS, rtol=2**-11)


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("value", [65520.0, -1e9])
def test_values_too_large_for_float16_are_refused_in_one_line(tmp_path, value):
    file = float16(tmp_path / "features.h5")
    file.write(0, {"pitch": np.full((1, N_BINS, N_FRAMES), 65519, np.float32)})  # rounds to 65504
    values = FLOATS.copy()
    values[3, 2, 1] = value
    with pytest.raises(EncoreError) as refused:
        file.write(0, {"pitch": values})
    line = str(refused.value)
    assert "\n" not in line
    for part in (
        "params.yaml: features.dtype is 'float16'",
        "65504",
        "pitch",
        f"{abs(value):.0f}",
        "float32",
    ):
        assert part in line


def rename_schema(path: Path) -> Path:
    with h5py.File(path, "a") as file:
        file.attrs["schema"] = "encore/1"
    return path


def test_features_of_another_schema_are_refused_in_one_line(tmp_path):
    path = rename_schema(write(tmp_path / "features.h5"))
    with pytest.raises(EncoreError, match=r"^\S*features\.h5 .*schema encore/1, not encore/4.*dvc repro"):
        feature_file.Features(path)
    with h5py.File(path, "a"):  # it is not open any more
        pass


def test_audio_of_another_schema_is_refused_in_one_line(tmp_path):
    path = tmp_path / "audio.h5"
    with audio_file.create_audio(path, 8000):
        pass
    rename_schema(path)
    for look in (audio_file.open_audio, audio_file.read_sample_rate_hz):
        with pytest.raises(EncoreError, match=r"^\S*audio\.h5 .*schema encore/1, not encore/4.*dvc repro"):
            look(path)


def test_runs_are_cut_where_numbers_jump():
    cut = [run.tolist() for run in feature_file.runs(np.array([1, 2, 3, 7, 9, 10]))]
    assert cut == [[1, 2, 3], [7], [9, 10]]


def test_waveforms_are_read_at_full_scale_one(tmp_path):
    exact = np.array([-32768, 0, 16384], np.int16)
    floats = np.array([0.1, -0.2], np.float32)
    with audio_file.create_audio(tmp_path / "audio.h5", 8000) as file:
        audio_file.append_waveform(file, 0, "a", exact, "digest of a")
        audio_file.append_waveform(file, 1, "b", floats, "digest of b")
    assert audio_file.read_sample_rate_hz(tmp_path / "audio.h5") == 8000
    with audio_file.open_audio(tmp_path / "audio.h5") as file:
        assert file["waveform/000000"].dtype == np.int16
        assert file["waveform/000001"].attrs["track_id"] == b"b"
        assert audio_file.read_waveform(file, 0).tolist() == [-1.0, 0.0, 0.5]
        assert np.array_equal(audio_file.read_waveform(file, 1), floats)
        assert audio_file.read_waveform(file, 0).dtype == np.float32
        assert [audio_file.read_digest(file, row) for row in (0, 1)] == ["digest of a", "digest of b"]


def test_a_part_of_a_waveform_is_read(tmp_path):
    samples = np.arange(-50, 50, dtype=np.int16)
    with audio_file.create_audio(tmp_path / "audio.h5", 8000) as file:
        audio_file.append_waveform(file, 0, "a", samples, "")
    with audio_file.open_audio(tmp_path / "audio.h5") as file:
        for start, stop in ((0, 10), (5, 100), (90, 200), (99, 100)):
            part = audio_file.read_waveform(file, 0, start, stop)
            assert (32768 * part).tolist() == samples[start:stop].tolist()


@pytest.fixture
def music(tmp_path, monkeypatch):
    """A file of music that audio.h5 refers to, in the current folder."""
    monkeypatch.chdir(tmp_path)
    samples = (noise(150_000) * 32767).astype(np.int16)
    Path("a.wav").write_bytes(b"header" + samples.tobytes())
    there = audio_file.StoredMusic(Path("a.wav"), 6, "<i2", len(samples), audio_file.checks_of(samples))
    with audio_file.create_audio(Path("audio.h5"), 8000) as file:
        audio_file.refer_to_music(file, 0, "a", there, "digest")
    return samples


@pytest.mark.parametrize(("start", "stop"), [(0, None), (5, 9), (65_536, 131_072), (65_530, 150_000)])
def test_music_that_lies_in_its_own_file_is_read(music, start, stop):
    with audio_file.open_audio(Path("audio.h5")) as file:
        part = audio_file.read_waveform(file, 0, start, stop)
        assert (part * 32768).astype(int).tolist() == music[start:stop].tolist()
        assert audio_file.read_digest(file, 0) == "digest"
    assert Path("audio.h5").stat().st_size < 10_000
    with h5py.File("audio.h5") as file:
        assert np.array_equal(file["waveform/000000"][:], music), "other tools read it, too"


@pytest.mark.parametrize("change", ["another byte", "shorter", "gone"])
def test_music_that_has_changed_is_refused_in_one_line(music, change):
    path = Path("a.wav")
    content = bytearray(path.read_bytes())
    content[140_000] ^= 1
    path.write_bytes(content if change == "another byte" else content[:200_000])
    if change == "gone":
        path.unlink()
    with audio_file.open_audio(Path("audio.h5")) as file:
        if change != "gone":
            assert audio_file.read_waveform(file, 0, 0, 100).size == 100, "what has not changed can be read"
        with pytest.raises(EncoreError, match=r"^a\.wav has changed since it was decoded; run `dvc repro`$"):
            audio_file.read_waveform(file, 0)
