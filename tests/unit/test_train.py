"""The train stage: repeatable to the bit, blind to validation and test, deaf to leaks."""

import json
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from models.one_hot import OneHotInput
from stages import examples, train
from stages.store import Features
from stages.tables import Assignment, Epoch, read_rows
from stages.trained import TrainedModel
from tests.synthetic import (
    REPO,
    edit_params,
    line_of,
    write_arrays,
    write_features,
    write_params,
    write_split,
)

SMALL = ("train.epochs=3", "model.feature=mfcc")


def trained(*overrides: str) -> dict[str, bytes]:
    """Files of data/model after a training."""
    write_params(*SMALL, *overrides)
    train.main()
    return {path.name: path.read_bytes() for path in Path("data/model").iterdir()}


@pytest.fixture
def data(workspace):
    write_features({"train": 4, "valid": 1, "test": 1})
    return workspace


@pytest.mark.parametrize("model", ["mlp", "cnn", "lstm"])
def test_two_fresh_folders_give_the_same_bits(tmp_path, monkeypatch, model):
    runs = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        monkeypatch.setenv("DVC_ROOT", str(tmp_path / name))
        write_features({"train": 4, "valid": 1, "test": 1})
        torch.manual_seed(len(runs))  # what came before must not matter
        np.random.seed(len(runs))  # noqa: NPY002
        runs.append(trained(f"model={model}"))
    assert set(runs[0]) == {"model.json", "weights.safetensors", "history.csv"}
    assert runs[0] == runs[1]


def test_another_seed_gives_other_weights(data):
    first = trained("train.seed=0")
    second = trained("train.seed=1")
    assert first["weights.safetensors"] != second["weights.safetensors"]


def test_workers_and_tracking_change_no_byte(data):
    assert trained("runtime.workers=1") == trained("runtime.workers=2", "runtime.device=auto")


def test_model_file_says_all_that_is_needed(data):
    described = json.loads(trained()["model.json"])
    assert described["model"] == "MLP"
    assert described["kwargs"]["input_shape"] == [13, 16]
    assert described["kwargs"]["n_classes"] == 3
    assert described["labels"] == ["blues", "jazz", "rock"]
    assert described["feature"] == "mfcc"
    assert described["feature_parameters"]["hop_length"] == 256
    assert len(described["mean"]) == len(described["std"]) == 13
    assert len(read_rows(Path("data/model/history.csv"), Epoch)) == 3


def test_scaler_is_that_of_the_train_side_alone(data):
    described = json.loads(trained()["model.json"])
    with h5py.File("data/features/features.h5", "r+") as file:
        track_id = file["track_id"].asstr()[:]
        learned = np.array(["/train-" in name for name in track_id])
        values = file["mfcc"][:]
        np.testing.assert_allclose(described["mean"], values[learned].mean(axis=(0, 2)), atol=1e-5)
        np.testing.assert_allclose(described["std"], values[learned].std(axis=(0, 2)), atol=1e-5)
        values[~learned] = 1000 * values[~learned] + 77
        file["mfcc"][:] = values
    again = json.loads(trained()["model.json"])
    assert (again["mean"], again["std"]) == (described["mean"], described["std"])


def test_a_bin_that_never_moves_is_not_divided_by_zero(data):
    with h5py.File("data/features/features.h5", "r+") as file:
        file["mfcc"][:, 4] = -100.0
    trained()
    assert all(np.isfinite(value).all() for value in load_file("data/model/weights.safetensors").values())


def test_test_side_never_touches_the_weights(data):
    first = trained()["weights.safetensors"]
    with h5py.File("data/features/features.h5", "r+") as file:
        test = np.array(["/test-" in name for name in file["track_id"].asstr()[:]])
        values = file["mfcc"][:]
        values[test] = 5.0
        file["mfcc"][:] = values
    assert trained()["weights.safetensors"] == first


class TestCodes:
    """A feature of codes: 11 levels in the features file, whatever the parameters say."""

    @pytest.fixture
    def codes(self, data):
        with Features(examples.FEATURES) as features:
            rows = np.arange(len(features.label))
            values = np.clip(np.round(features.read("mfcc", rows)) + 5, 0, 10).astype(np.uint8)
            labels = [features.labels[index] for index in features.label]
            table = list(zip(features.track_id, features.segment, labels, strict=True))
        write_arrays(examples.FEATURES, {"mel_levels": values}, table, n_levels=11, hop_length=128)
        return values

    @pytest.mark.parametrize("model", ["mlp", "cnn", "lstm"])
    @pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
    def test_every_model_trains_on_them(self, codes, model, precision):
        options = (f"model={model}", "model.feature=mel_levels", f"train.precision={precision}")
        described = json.loads(trained(*options)["model.json"])
        assert described["kwargs"]["input_shape"] == [13, 16]
        assert described["feature_parameters"]["n_levels"] == 11
        assert described["feature_parameters"]["hop_length"] == 128, "its own goes before that of the others"
        assert described["mean"] == described["std"] == []
        first = next(iter(TrainedModel.load(Path("data/model")).model.parameters()))
        assert first[0].numel() == 11 * {"mlp": 13 * 16, "cnn": 3 * 3, "lstm": 13}[model]

    def test_what_is_trained_knows_the_classes(self, codes):
        trained("model.feature=mel_levels", "train.epochs=10")
        with Features(examples.FEATURES) as features:
            assert features.read("mel_levels", np.arange(1)).dtype == np.uint8
            label = features.label
        model = TrainedModel.load(Path("data/model"))
        assert (model.predict(codes).argmax(axis=1) == label).mean() > 0.9

    def test_they_are_expanded_a_batch_at_a_time(self, codes, monkeypatch):
        seen = []
        expand = OneHotInput.expand

        def spy(self, x):
            seen.append((x.dtype, len(x)))
            return expand(self, x)

        monkeypatch.setattr(OneHotInput, "expand", spy)
        trained("model.feature=mel_levels", "train.batch_size=8")
        assert {dtype for dtype, _ in seen} == {torch.uint8}
        assert {n for _, n in seen} == {8, 4, 9}, "batches, the last batch, the validation side"


class TestRefusals:
    """One line, and no data/model."""

    def refused(self, *overrides: str, **edits) -> str:
        write_params(*SMALL, *overrides)
        for section, changes in edits.items():
            edit_params(section, **changes)
        line = line_of(train.main)
        assert not Path("data/model").exists()
        assert not list(Path("data").glob(".*"))
        return line

    def test_a_track_on_two_sides(self, data):
        rows = examples.read_split()
        write_split([*rows, Assignment(rows[0].track_id, rows[0].label, rows[0].unit, "test", -1)])
        assert rows[0].track_id in self.refused()

    def test_a_group_on_two_sides(self, data):
        rows = [Assignment(r.track_id, r.label, "Bob Marley", r.split, -1) for r in examples.read_split()]
        write_split(rows)
        assert "Bob Marley" in self.refused()

    @pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
    def test_a_device_that_is_not_there(self, data):
        line = self.refused("runtime.device=cuda")
        assert "runtime.device is 'cuda'" in line
        assert "cpu" in line

    def test_a_feature_that_is_not_there(self, data):
        line = self.refused("model.feature=mel")
        assert "'mel'" in line
        assert "model.feature" in line

    def test_a_model_too_deep_for_the_input(self, data):
        line = self.refused("model=cnn", "model.channels=[4,4,4,4,4]")
        assert "model" in line
        assert "13 bins x 16 frames" in line

    def test_an_unknown_model(self, data):
        assert "model._target_ is 'models.Big'" in self.refused(model={"_target_": "models.Big"})

    def test_nothing_to_validate_on(self, data):
        write_split([row for row in examples.read_split() if row.split != "valid"])
        assert "no track stands in valid" in self.refused()


@pytest.mark.parametrize("precision", ["bf16-mixed", "16-mixed"])
def test_every_precision_that_is_allowed_trains_on_cpu_or_gives_a_line(data, precision):
    write_params(*SMALL, f"train.precision={precision}")
    try:
        train.main()
    except train.EncoreError as refused:
        assert "train.precision" in str(refused)  # noqa: PT017
    else:
        assert Path("data/model/weights.safetensors").exists()


class TestContentKey:
    """Changes with what decides a training, and with nothing else."""

    @pytest.fixture
    def key(self, data):
        """The key in a workspace that has the project's code."""
        for package in ("stages", "models"):
            shutil.copytree(REPO / package, package, ignore=shutil.ignore_patterns("__pycache__"))
        return lambda: train.content_key({"model": {"dropout": 0.3}, "train": {"seed": 0}})

    def test_it_is_the_same_for_the_same(self, key):
        assert key() == key()
        assert train.content_key({"train": {"seed": 0}, "model": {"dropout": 0.3}}) == key()

    def test_parameters_change_it(self, key):
        assert train.content_key({"model": {"dropout": 0.3}, "train": {"seed": 1}}) != key()
        assert train.content_key({"model": {"dropout": 0.4}, "train": {"seed": 0}}) != key()

    @pytest.mark.parametrize(
        "path", ["models/mlp.py", "stages/loop.py", "stages/train.py", "stages/store.py"]
    )
    def test_code_of_the_training_changes_it(self, key, path):
        before = key()
        with Path(path).open("a") as file:
            file.write("# changed\n")
        assert key() != before

    @pytest.mark.parametrize("path", ["stages/tracking.py", "stages/evaluate.py", "stages/sources/folder.py"])
    def test_other_code_does_not(self, key, path):
        before = key()
        with Path(path).open("a") as file:
            file.write("# changed\n")
        assert key() == before

    def test_data_and_split_change_it(self, key):
        before = key()
        rows = examples.read_split()
        write_split(rows[1:])
        other_split = key()
        write_split(rows)
        assert key() == before != other_split
        with h5py.File("data/features/features.h5", "r+") as file:
            file["mfcc"][0, 0, 0] += 1
        assert key() != before

    def test_stages_parameters_reach_it(self, data):
        def key(*overrides: str) -> str:
            return json.loads(trained(*overrides)["model.json"])["content_key"]

        first = key()
        assert key("evaluate.seed=5", "baseline.C=2.0", "runtime.workers=2") == first
        assert len({first, key("train.epochs=4"), key("model.l2=0.1")}) == 3
