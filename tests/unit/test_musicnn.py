"""The feature musicnn equals its authors' code on TensorFlow, and fits in like any other."""

import csv
from collections import defaultdict
from pathlib import Path

import h5py
import numpy as np
import pytest

from stages import decode, extract, fetch, segment, split, train
from stages.core.errors import EncoreError
from stages.core.params import check
from stages.features import musicnn, musicnn_network
from stages.features.catalogue import extract as features_of
from stages.features.musicnn import TAGS, Musicnn
from stages.features.params import FeaturesParams, build
from stages.features.spectra import Segments
from stages.inference.prediction import predict
from stages.splitting import examples
from stages.splitting.inputs import as_one_frame
from stages.storage.feature_file import Features
from stages.training.trained import TrainedModel
from tests.musicnn_signals import RATE_HZ, signals
from tests.synthetic import BARE, REPO, composed_sections, line_of, noise, write_music, write_params

pytestmark = pytest.mark.slow

SIGNALS = signals()


def published() -> dict[tuple[str, str], list[tuple[int, int, float, float]]]:
    """Patch, index, value and largest magnitude of the patch, by signal and layer."""
    rows = defaultdict(list)
    with (REPO / "tests/musicnn_reference.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            place = int(row["patch"]), int(row["index"])
            rows[row["signal"], row["layer"]].append((*place, float(row["value"]), float(row["largest"])))
    return rows


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize("signal", SIGNALS)
@pytest.mark.parametrize("layer", ["tag_logits", "penultimate", "max_pool"])
def test_it_equals_the_authors_code(signal, layer):
    feature = Musicnn(sample_rate_hz=RATE_HZ, layer=layer)
    ours = feature.of(Segments(SIGNALS[signal][None]))[0]
    rows = published()[signal, layer]
    patch, index, value, largest = (np.array(column) for column in zip(*rows, strict=True))
    found = ours[patch, index]
    if layer == "tag_logits":
        found, value = sigmoid(found), sigmoid(value)
    bound = 1e-5 * largest if layer == "max_pool" else 1e-4
    assert (np.abs(found - value) <= bound).all()


def of(samples: np.ndarray, rate_hz: int = RATE_HZ, layer: str = "max_pool") -> np.ndarray:
    """Columns of segments (n_segments, length), as (n_segments, n_patches, n_values)."""
    return Musicnn(sample_rate_hz=rate_hz, layer=layer).of(Segments(samples))


def test_at_another_rate_the_tags_are_nearly_the_same():
    """A resampler changes little of a probability: .002 on average of music (measured by others)."""
    import soxr

    for name in ("chord", "mixture"):
        expected = sigmoid(of(SIGNALS[name][None], layer="tag_logits"))
        at_44 = soxr.resample(SIGNALS[name], RATE_HZ, 44_100)[None]
        different = np.abs(sigmoid(of(at_44, 44_100, "tag_logits")) - expected)
        assert different.max() < 0.15
        assert different.mean() < 0.01


@pytest.mark.parametrize(
    ("length", "n_columns"), [(47_616, 1), (48_000, 1), (95_487, 1), (95_488, 2), (160_000, 3)]
)
def test_each_patch_of_three_seconds_gives_a_column(length, n_columns):
    feature = Musicnn(sample_rate_hz=RATE_HZ, layer="penultimate")
    feature.check_music(length)
    values = features_of(noise(length), [0], length, {"x": feature})["x"]
    assert values.shape == (1, 200, n_columns)
    np.testing.assert_allclose(feature.time_s(length), [1.488 + 2.992 * i for i in range(n_columns)])
    np.testing.assert_array_equal(
        values[:, :, 0], features_of(noise(length)[:48_000], [0], length, {"x": feature})["x"][:, :, 0]
    )


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 22_050, 48_000])
def test_the_shortest_segment_is_refused_or_has_a_column(rate_hz):
    feature = Musicnn(sample_rate_hz=rate_hz, layer="tag_logits")
    n = next(n for n in range(rate_hz * 2, rate_hz * 4) if len(feature.time_s(n)))
    assert of(noise(n)[None], rate_hz, "tag_logits").shape == (1, 1, 50)
    feature.check_music(n)
    with pytest.raises(ValueError, match=r"segments of at least 2\.976 s, but segment\.length_s is 2\.9"):
        feature.check_music(n - 2)


def test_segments_and_threads_do_not_affect_each_other():
    both = np.stack([SIGNALS["chord"][:48_000], SIGNALS["drums"][:48_000]])
    np.testing.assert_array_equal(of(both)[1:], of(both[1:]))


def test_silence_has_finite_values():
    assert np.isfinite(of(np.zeros((1, 48_000), np.float32))).all()


def test_music_of_a_low_rate_gets_a_remark():
    assert Musicnn(sample_rate_hz=16_000, layer="max_pool").remark() == ""
    assert (
        "at 8000 Hz its highest bands are empty" in Musicnn(sample_rate_hz=8_000, layer="max_pool").remark()
    )


def test_its_section_has_no_framing():
    section = {**composed_sections(*BARE)["features"], "include": ["musicnn"]}
    section["musicnn"] = {"layer": "max_pool", "framing": None}
    with pytest.raises(EncoreError, match=r"features\.musicnn\.framing: unknown key"):
        check(section, FeaturesParams, "features")


class TestWeights:
    """The files of the wheel are taken only if they are what they should be."""

    @pytest.fixture(autouse=True)
    def _anew(self):
        musicnn_network._network.cache_clear()
        yield
        musicnn_network._network.cache_clear()

    def test_other_files_are_refused(self, monkeypatch):
        monkeypatch.setitem(musicnn_network.SHA256, ".index", "0" * 64)
        assert "not the file of musicnn 0.1.0" in line_of(lambda: of(SIGNALS["chord"][None]))

    def test_a_missing_package_is_named(self, monkeypatch):
        monkeypatch.setattr(musicnn_network, "PACKAGE", "no-such-package")
        assert "pip install --no-deps" in line_of(lambda: of(SIGNALS["chord"][None]))


HOW = (
    "dataset=folder",
    "audio.sample_rate_hz=16000",
    "segment.length_s=3.0",
    "split=stratified",
    "features.include=[mfcc,musicnn]",
    "features.musicnn.layer=tag_logits",
    "model=linear",
    "model.feature=[mfcc,musicnn]",
)


@pytest.fixture
def _decoded(workspace):
    write_music(workspace / "music", seconds=6.2)
    write_params(*HOW, f"dataset.path={workspace / 'music'}")
    for stage in (fetch, decode, segment, split):
        stage.main()


@pytest.mark.usefixtures("_decoded")
class TestStages:
    """In the pipeline, beside other features."""

    def test_it_is_an_array_with_its_tags(self):
        extract.main()
        with h5py.File("data/features/features.h5") as file:
            stored = file["musicnn"]
            assert stored.shape == (36, 50, 1)
            assert [name.decode() for name in stored.dims[1][0]] == list(TAGS)
            assert stored.dims[2][0][:].tolist() == [pytest.approx(1.488)]
            assert stored.attrs["unit"] == b"logit"
            assert stored.attrs["layer"] == b"tag_logits"
            assert b"Million Song Dataset" in stored.attrs["trained_on"]

    def test_processes_give_the_same_bytes(self, monkeypatch):
        extract.main()
        alone = Path("data/features/features.h5").read_bytes()
        monkeypatch.setattr("stages.parallel.ordered.MANY", 2)
        write_params(*HOW, f"dataset.path={Path.cwd() / 'music'}", "runtime.workers=2")
        monkeypatch.setattr("stages.storage.cache.folder", lambda: Path("elsewhere"))
        extract.main()
        assert Path("data/features/features.h5").read_bytes() == alone

    def test_a_second_run_computes_nothing(self, monkeypatch):
        extract.main()
        before = Path("data/features/features.h5").read_bytes()
        monkeypatch.setattr(musicnn.Musicnn, "_compute", None)
        extract.main()
        assert Path("data/features/features.h5").read_bytes() == before

    def test_a_model_on_statistics_of_both_learns_and_says_what_it_has_heard(self, monkeypatch, capsys):
        monkeypatch.setattr("stages.features.musicnn.TRAINED_ON", ["other songs"])
        extract.main()
        train.main()
        out = capsys.readouterr().out
        assert "train: musicnn is pre-trained on other songs; overlap with this music unknown" in out
        assert "validation accuracy 1.000" in out
        with Features(examples.FEATURES) as features:
            track_id = str(features.track_id[0])
            rows = np.flatnonzero(features.track_id == features.track_id[0])
            x = as_one_frame(features.read(name, rows) for name in ("mfcc", "musicnn"))
        expected = TrainedModel.load(Path("data/model")).predict(x).mean(axis=0)
        found = predict(Path("data/raw/music", track_id))
        assert list(found.values()) == pytest.approx(expected.tolist(), abs=1e-5)


def test_every_layer_can_be_asked_for():
    section = {**composed_sections(*BARE)["features"], "include": ["musicnn"]}
    for layer, n_values in (("max_pool", 753), ("penultimate", 200), ("tag_logits", 50)):
        section["musicnn"] = {"layer": layer}
        feature = build(check(section, FeaturesParams, "features"), 22050, 66150)["musicnn"]
        assert len(feature.bins()[1]) == n_values == of(noise(48_000)[None], layer=layer).shape[2]
