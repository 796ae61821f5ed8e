"""The train stage: it is repeatable to the bit, uses only the train split, and refuses leaks."""

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import ClassVar

import h5py
import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from models.one_hot import OneHotInput
from stages import train
from stages.core.runtime import runtime
from stages.core.tables import Assignment, Epoch, read_rows
from stages.splitting import examples
from stages.storage.feature_file import Features
from stages.tracking import client
from stages.training import batches, loop
from stages.training.checkpoints import ABANDONED_S, Checkpoint
from stages.training.content_key import content_key
from stages.training.schedule_params import SCHEDULES
from stages.training.trained import TrainedModel
from tests.synthetic import (
    REPO,
    edit_params,
    edited_features,
    line_of,
    run_stage,
    start_stage,
    write_arrays,
    write_features,
    write_params,
    write_split,
)

pytestmark = pytest.mark.slow

SMALL = ("train.epochs=3", "model.feature=mfcc")


def trained(*overrides: str) -> dict[str, bytes]:
    """Files of data/model after a training."""
    write_params(*SMALL, *overrides)
    train.main()
    folder = Path("data/model")
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def data(workspace):
    write_features({"train": 4, "valid": 1, "test": 1})
    return workspace


@pytest.mark.parametrize("model", ["cnn", "lstm"])
def test_two_fresh_workspaces_give_the_same_bytes(tmp_path, monkeypatch, model):
    runs = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        monkeypatch.setenv("DVC_ROOT", str(tmp_path / name))
        write_features({"train": 4, "valid": 1, "test": 1})
        torch.manual_seed(len(runs))  # earlier random numbers must not matter
        np.random.seed(len(runs))  # noqa: NPY002
        runs.append(trained(f"model=bare/{model}"))
    assert set(runs[0]) == {"model.json", "weights.safetensors", "rounds.safetensors", "history.csv"}
    assert runs[0] == runs[1]


def test_another_seed_gives_other_weights(data):
    first = trained("train.seed=0")
    second = trained("train.seed=1")
    assert first["weights.safetensors"] != second["weights.safetensors"]


def test_workers_and_device_auto_change_no_byte(data):
    assert trained("runtime.workers=1") == trained("runtime.workers=2", "runtime.device=auto")


@pytest.mark.parametrize(("window", "scaler"), [(1 << 30, "example"), (10 * 13 * 16 * 4, "bins")])
def test_streaming_changes_no_byte(data, monkeypatch, window, scaler):
    monkeypatch.setattr(batches, "WINDOW_BYTES", window)
    monkeypatch.setattr(batches, "CHUNK", 4)
    monkeypatch.setattr(batches, "FORWARD_BYTES", 4 * 13 * 16 * 4)
    options = ("train.batch_size=5", "augment=[noise,mixup]", f"train.scaler={scaler}")
    resident = trained(*options, "runtime.memory_gb=4")
    kinds = []
    streamed = batches.Streamed.__init__

    def spy(self, *arguments):
        kinds.append(len(arguments[1]))
        streamed(self, *arguments)

    monkeypatch.setattr(batches.Streamed, "__init__", spy)
    split_gb = 36 * 13 * 16 * 4 / 1e9  # size of the train split; the validation split is a quarter
    assert trained(*options, "runtime.memory_gb=0") == resident
    assert kinds == [36, 9], "nothing was streamed"
    for memory_gb, wanted in ((0.9 * split_gb, [36]), (1.1 * split_gb, [])):
        kinds.clear()
        assert trained(*options, f"runtime.memory_gb={memory_gb:.9f}") == resident
        assert kinds == wanted


CHOICES = [
    *(f"schedule={name}" for name in ("linear", "cosine_restarts", "step", "exponential")),
    *(f"schedule={name} schedule.warmup_epochs=0.5" for name in ("constant", "cosine", "plateau")),
    "loss=binary_cross_entropy loss.label_smoothing=0.1 loss.class_weights=balanced",
    "augment=[specaugment,mixup]",
    "augment=[specaugment,mixup,noise,gain,shift,time_resized_crop] loss=binary_cross_entropy",
    "augment=gain train.scaler=none",
    "augment=[noise,time_resized_crop] train.scaler=example",
    "train.optimizer=sgd train.momentum=0.9 train.weight_decay=0.01 train.learning_rate=0.01",
    "train.optimizer=adamw train.weight_decay=0.1 train.clip_norm=1.0 train.l1=0.0001",
    "train.ema_decay=0.9 train.accumulate=2 train.rounds=2 train.monitor=valid_accuracy train.patience=null",
]


def test_choices_have_every_schedule():
    assert all(any(f"schedule={name}" in choice for choice in CHOICES) for name in SCHEDULES)


@pytest.mark.parametrize("choice", CHOICES)
def test_every_option_trains_a_model_that_separates_the_classes(workspace, choice):
    write_features({"train": 4, "valid": 1, "test": 1}, unit="dB")
    options = ("train.epochs=6", "train.batch_size=8", "model.dropout=0.0", "train.keep=last")
    trained(*options, *choice.split())
    history = read_rows(Path("data/model/history.csv"), Epoch)
    assert all(math.isfinite(row.train_loss + row.valid_loss) for row in history)
    assert history[-1].valid_accuracy > 0.9
    model = TrainedModel.load(Path("data/model"))
    with Features(examples.FEATURES) as features:
        test = examples.load(features, "mfcc", examples.read_split(), "test")
        probability = model.predict(test.read())
    np.testing.assert_allclose(probability.sum(axis=1), 1)
    assert (probability.argmax(axis=1) == test.label).mean() > 0.9


class TestCheckpoint:
    """The checkpoint of a training in the work cache."""

    HOW = ("train.epochs=6", "train.rounds=2", "augment=mixup", "train.ema_decay=0.9")

    def stop(self, monkeypatch, at: int, *overrides: str) -> None:
        """Interrupt a training at the end of an epoch."""

        def log_epoch(self, row: Epoch, seconds: float | None = None) -> None:
            if row.epoch == at:
                raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(client.Tracking, "log_epoch", log_epoch)
            with pytest.raises(KeyboardInterrupt):
                trained(*self.HOW, *overrides)
        assert not list(Path("data/model").glob("*"))

    def test_stopped_training_resumes_to_the_same_bytes_and_deletes_its_checkpoint(self, data, monkeypatch):
        whole = trained(*self.HOW, "model=bare/lstm")
        shutil.rmtree("data/model")
        for at in (1, 5, 6, 7, 12):
            self.stop(monkeypatch, at, "model=bare/lstm")
            assert len(list(Path(".encore/checkpoints").iterdir())) == 1
        assert trained(*self.HOW, "model=bare/lstm") == whole
        assert list(Path(".encore/checkpoints").iterdir()) == []

    def test_resume_with_streaming_gives_the_same_bytes(self, data, monkeypatch):
        whole = trained(*self.HOW)
        shutil.rmtree("data/model")
        self.stop(monkeypatch, 5)
        assert trained(*self.HOW, "runtime.memory_gb=0") == whole

    def test_other_parameters_start_from_the_beginning(self, data, monkeypatch):
        whole = trained(*self.HOW, "train.seed=1")
        shutil.rmtree("data/model")
        self.stop(monkeypatch, 5)
        assert trained(*self.HOW, "train.seed=1") == whole
        assert len(list(Path(".encore/checkpoints").iterdir())) == 1, "the other training can still resume"

    def test_other_data_starts_from_the_beginning(self, data, monkeypatch):
        self.stop(monkeypatch, 5)
        write_features({"train": 4, "valid": 1, "test": 1}, seed=5)
        after = trained(*self.HOW)
        shutil.rmtree(".encore")
        assert trained(*self.HOW) == after

    def test_next_training_deletes_abandoned_checkpoints(self, data, monkeypatch):
        self.stop(monkeypatch, 5)
        (abandoned,) = Path(".encore/checkpoints").iterdir()
        os.utime(abandoned, (time.time() - ABANDONED_S - 60,) * 2)
        trained("train.seed=1")
        assert not abandoned.exists()

    def test_unwritable_work_cache_changes_no_byte(self, data):
        whole = trained(*self.HOW)
        shutil.rmtree(".encore")
        Path(".encore").write_text("in the way")
        assert trained(*self.HOW) == whole

    def test_locked_checkpoint_of_the_same_training_is_not_touched(self, data):
        whole = trained(*self.HOW)
        with Checkpoint(json.loads(whole["model.json"])["content_key"]) as theirs:
            theirs.save({"history": "theirs"})
            assert trained(*self.HOW) == whole
            assert theirs.load() == {"history": "theirs"}


def test_killed_training_resumes_to_the_same_bytes_in_the_same_run(tmp_path, monkeypatch):
    """It is killed at its first epoch, maybe before it has a run, and later; one run has each epoch once."""
    options = (
        "train.epochs=8",
        "train.rounds=2",
        "train.patience=null",
        "train.batch_size=4",
        "train.ema_decay=0.9",
        "schedule=cosine",
        "augment=[specaugment,mixup,noise]",
    )
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for folder in (whole, killed):
        folder.mkdir()
        monkeypatch.chdir(folder)
        monkeypatch.setenv("DVC_ROOT", str(folder))
        write_features({"train": 4, "valid": 1, "test": 1})
        write_params(*options, f"runtime.tracking={'on' if folder == killed else 'off'!r}")
        if folder == whole:
            train.main()
    checkpoints = killed / ".encore/checkpoints"

    def changes(process: subprocess.Popen[str], when: str) -> None:
        seen = {path: path.stat().st_mtime_ns for path in checkpoints.glob(when)}
        while all(path.stat().st_mtime_ns == seen.get(path) for path in checkpoints.glob(when)):
            assert process.poll() is None, process.communicate()[1]
            time.sleep(0.01)

    for has_run in (False, True):
        with start_stage("train", killed) as process:
            try:
                changes(process, "*/state.pt")
                if has_run:  # MLflow takes seconds to start, the training perhaps less
                    process.send_signal(signal.SIGSTOP)
                    while not list(checkpoints.glob("*/run_id")):
                        time.sleep(0.01)
                    process.send_signal(signal.SIGCONT)
                    changes(process, "*/state.pt")
            finally:
                process.kill()
        assert process.returncode == -signal.SIGKILL
        assert not (killed / "data/model").exists(), "the training was faster than the test"
    done = run_stage("train", killed)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1
    assert "warning" not in done.stderr
    names = sorted(path.name for path in (whole / "data/model").iterdir())
    assert names == ["history.csv", "model.json", "rounds.safetensors", "weights.safetensors"]
    for name in names:
        assert (killed / "data/model" / name).read_bytes() == (whole / "data/model" / name).read_bytes(), name
    assert list(checkpoints.iterdir()) == []

    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{killed}/mlflow.db")
    (run,) = client.search_runs(["1"])
    assert run.info.status == "RUNNING", "evaluate completes it"
    for name in ("train_loss", "valid_loss", "learning_rate"):
        steps = [point.step for point in client.get_metric_history(run.info.run_id, name)]
        assert sorted(steps) == list(range(1, 17)), name
    seconds = [point.step for point in client.get_metric_history(run.info.run_id, "seconds")]
    assert len(set(seconds)) == len(seconds) >= 13, "an epoch that was not reported has none"


@pytest.mark.parametrize(
    "options",
    [
        ("train.batch_size=1", "train.optimizer=sgd"),  # one of the two processes has no segment
        (
            "train.batch_size=5",
            "train.accumulate=7",
            "train.optimizer=sgd",
            "train.momentum=0.9",
            "train.learning_rate=0.05",
            "train.clip_norm=0.5",
            "train.l1=0.0001",
            "train.ema_decay=0.5",
            "train.rounds=2",
            "loss.class_weights=balanced",
            "loss.label_smoothing=0.1",
            "runtime.memory_gb=0",
            "runtime.tracking='on'",
        ),
    ],
    ids=["batches of one", "accumulated"],
)
def test_two_processes_take_the_same_steps_as_one(data, options):
    alone = ("model.dropout=0.0", "train.epochs=4", *options)
    trained(*alone, "runtime.tracking='off'")
    one = Path("data/model").rename("one")
    write_params(*SMALL, *alone, "runtime.devices=2")
    done = run_stage("train", data)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("train: MLP, ")
    assert done.stdout.count("\n") == 1, "both processes print"
    assert "warning" not in done.stderr.lower()
    two = Path("data/model")
    descriptions = [json.loads((folder / "model.json").read_text("utf-8")) for folder in (two, one)]
    for description in descriptions:  # rounding may differ in the weights, so their checksum may
        del description["weights_sha256"], description["crc32"]
    assert descriptions[0] == descriptions[1]
    assert sorted(path.name for path in two.iterdir()) == sorted(path.name for path in one.iterdir())
    history, wanted = (read_rows(folder / "history.csv", Epoch) for folder in (two, one))
    assert len(history) == len(wanted)
    for row, same in zip(history, wanted, strict=True):
        for name in ("train_loss", "valid_loss", "train_accuracy", "valid_accuracy", "learning_rate"):
            assert getattr(row, name) == pytest.approx(getattr(same, name), rel=1e-5), (row.epoch, name)
    weights, same = (load_file(folder / "weights.safetensors") for folder in (two, one))
    for name, value in weights.items():
        np.testing.assert_allclose(value, same[name], rtol=1e-3, atol=1e-5)
    assert list(Path(".encore/checkpoints").iterdir()) == []
    assert not list(Path("data").glob(".*"))
    if "runtime.tracking='on'" in options:
        from mlflow import MlflowClient

        assert len(MlflowClient(f"sqlite:///{data}/mlflow.db").search_runs(["1"])) == 1


def test_model_json_has_all_that_is_needed(data):
    described = json.loads(trained()["model.json"])
    assert described["model"] == "MLP"
    assert described["kwargs"]["input_shape"] == [13, 16]
    assert described["kwargs"]["n_classes"] == 3
    assert described["labels"] == ["blues", "jazz", "rock"]
    assert described["recipe"]["train"]["scaler"] == "bins"
    assert described["recipe"]["schedule"]["name"] == "constant"
    assert described["recipe"]["loss"]["name"] == "cross_entropy"
    assert set(described["recipe"]["augment"].values()) == {None}
    assert described["kept_epoch"] == 3
    assert described["input"]["feature"] == "mfcc"
    assert described["input"]["settings"]["mfcc"]["hop_length"] == 256
    assert len(described["scaler"]["mean"]) == len(described["scaler"]["std"]) == 13
    assert len(read_rows(Path("data/model/history.csv"), Epoch)) == 3


def test_kept_epoch_is_that_of_the_saved_weights(data, capsys):
    options = ("train.epochs=30", "train.patience=5", "train.learning_rate=0.01")
    with edited_features() as file:  # learning the classes makes validation worse
        wrong = ["/valid-" in name for name in file["track_id"].asstr()[:]]
        file["label"][:] = np.where(wrong, (file["label"][:] + 1) % 3, file["label"][:])
    for keep in ("best", "last"):
        described = json.loads(trained(*options, f"train.keep={keep}")["model.json"])
        history = read_rows(Path("data/model/history.csv"), Epoch)
        best = min(history, key=lambda row: row.valid_loss).epoch
        assert len(history) == best + 5 < 30
        kept = {"best": best, "last": len(history)}[keep]
        assert described["kept_epoch"] == kept
        assert f"kept epoch {kept} of {len(history)}," in capsys.readouterr().out
        model = TrainedModel.load(Path("data/model"))
        with Features(examples.FEATURES) as features:
            valid = examples.load(features, "mfcc", examples.read_split(), "valid")
            chance = model.predict(valid.read())[np.arange(len(valid)), valid.label]
        assert -np.log(chance).mean() == pytest.approx(history[kept - 1].valid_loss, rel=1e-4)


def test_weights_of_each_round_are_in_one_file(data):
    files = trained("train.epochs=2", "train.rounds=3", "train.keep=last")
    assert set(files) == {"model.json", "weights.safetensors", "history.csv", "rounds.safetensors"}
    all_rounds = load_file("data/model/rounds.safetensors")
    weights = load_file("data/model/weights.safetensors")
    rounds = [{name: all_rounds[f"round_{number:02d}.{name}"] for name in weights} for number in (1, 2, 3)]
    assert len(all_rounds) == 3 * len(weights)
    for name, value in weights.items():
        assert np.array_equal(rounds[2][name], value)
        assert not np.array_equal(rounds[0][name], rounds[1][name])
    TrainedModel.load(Path("data/model")).model.load_state_dict(
        {name: torch.from_numpy(value) for name, value in rounds[0].items()}
    )
    assert len(read_rows(Path("data/model/history.csv"), Epoch)) == 6
    trained("train.epochs=2")
    assert load_file("data/model/rounds.safetensors") == {}, "of one round the weights are the model's"


def test_scaler_does_not_depend_on_the_block_size(data, monkeypatch):
    whole = json.loads(trained()["model.json"])
    monkeypatch.setattr(examples, "BLOCK", 5)
    parts = json.loads(trained()["model.json"])
    for key in ("mean", "std"):
        np.testing.assert_allclose(parts["scaler"][key], whole["scaler"][key], rtol=1e-10)


@pytest.mark.parametrize("kind", ["example", "none"])
def test_other_scalers_have_no_mean_and_std(data, kind):
    described = json.loads(trained(f"train.scaler={kind}")["model.json"])
    assert described["scaler"] == {"name": kind, "mean": [], "std": []}


@pytest.mark.parametrize(("kind", "is_ignored"), [("bins", False), ("example", True)])
def test_only_the_example_scaler_ignores_the_level_of_a_segment(data, kind, is_ignored):
    """Its weights are the same for segments that are louder by powers of two."""
    before = trained(f"train.scaler={kind}", "train.epochs=1")
    with edited_features() as file:
        level = 2.0 ** np.random.default_rng(0).integers(-3, 4, len(file["mfcc"]))
        file["mfcc"][:] = file["mfcc"][:] * level[:, None, None]
    after = trained(f"train.scaler={kind}", "train.epochs=1")
    assert (before["weights.safetensors"] == after["weights.safetensors"]) == is_ignored


def test_scaler_uses_only_the_train_split(data):
    described = json.loads(trained()["model.json"])
    with edited_features() as file:
        track_id = file["track_id"].asstr()[:]
        is_train = np.array(["/train-" in name for name in track_id])
        values = file["mfcc"][:]
        np.testing.assert_allclose(described["scaler"]["mean"], values[is_train].mean(axis=(0, 2)), atol=1e-5)
        np.testing.assert_allclose(described["scaler"]["std"], values[is_train].std(axis=(0, 2)), atol=1e-5)
        values[~is_train] = 1000 * values[~is_train] + 77
        file["mfcc"][:] = values
    again = json.loads(trained()["model.json"])
    assert again["scaler"] == described["scaler"]


def test_constant_bin_is_not_divided_by_zero(data):
    with edited_features() as file:
        file["mfcc"][:, 4] = -100.0
    trained()
    assert all(np.isfinite(value).all() for value in load_file("data/model/weights.safetensors").values())


def test_test_split_does_not_affect_the_weights(data):
    first = trained()["weights.safetensors"]
    with edited_features() as file:
        test = np.array(["/test-" in name for name in file["track_id"].asstr()[:]])
        values = file["mfcc"][:]
        values[test] = 5.0
        file["mfcc"][:] = values
    assert trained()["weights.safetensors"] == first


class TestVariants:
    """Variants of training tracks are used in training; those of other tracks are never used."""

    NAMES = ("pitch_shift=2.0", "time_stretch=0.9")
    PER_SPLIT: ClassVar = {"train": 4, "valid": 1, "test": 1}

    @pytest.fixture
    def varied(self, workspace):
        write_features(self.PER_SPLIT, variants=self.NAMES)

    @pytest.fixture
    def received(self, monkeypatch) -> list[list[tuple[bytes, int]]]:
        """Return the segments, with their classes, of the training and the validation data."""
        splits = []
        init = loop.Training.__init__

        def spy(self, model, recipe, fabric, train, valid, *arguments):
            for split in (train, valid):
                segments = [
                    (x.numpy().tobytes(), int(label))
                    for block in split.in_order()
                    for x, label in zip(*block, strict=True)
                ]
                splits.append(segments)
            init(self, model, recipe, fabric, train, valid, *arguments)

        monkeypatch.setattr(loop.Training, "__init__", spy)
        return splits

    def rows(self, split: str, name: str = "mfcc") -> list[tuple[bytes, int]]:
        with h5py.File(examples.FEATURES) as file:
            return [
                (file[name][i].tobytes(), int(file["label"][i]))
                for i, track in enumerate(file["track_id"].asstr()[:])
                if f"/{split}-" in track
            ]

    @pytest.mark.parametrize("memory_gb", [4, 0])
    def test_only_variants_of_train_tracks_are_used_and_only_in_training(self, varied, received, memory_gb):
        trained("train.scaler=none", f"runtime.memory_gb={memory_gb}")
        used, validated = received
        assert validated == self.rows("valid")
        wanted = [self.rows("train"), *(self.rows("train", f"variants/{name}/mfcc") for name in self.NAMES)]
        assert used == [row for version in wanted for row in version]
        assert len(used) == 3 * 36

    def test_variants_can_be_switched_off(self, varied, received):
        files = trained("train.variants=false")
        assert [len(split) for split in received] == [36, 9]
        assert json.loads(files["model.json"])["recipe"]["train"]["variants"] is False
        write_features(self.PER_SPLIT)
        for switch in ("false", "true"):
            same = trained(f"train.variants={switch}")
            assert same["weights.safetensors"] == files["weights.safetensors"]
            assert same["history.csv"] == files["history.csv"]

    def test_variants_of_other_tracks_change_no_byte(self, varied):
        before = trained()
        with edited_features() as file:
            for i, track in enumerate(file["track_id"].asstr()[:]):
                for name in self.NAMES:
                    if "/train-" not in track:
                        file[f"variants/{name}/mfcc"][i] = np.nan
        after = trained()
        assert after["weights.safetensors"] == before["weights.safetensors"]
        assert after["history.csv"] == before["history.csv"]
        described = [json.loads(files["model.json"]) for files in (before, after)]
        assert described[0]["scaler"] == described[1]["scaler"]
        assert described[0]["content_key"] != described[1]["content_key"]

    def test_scaler_uses_variants_too(self, varied):
        described = json.loads(trained()["model.json"])
        with h5py.File(examples.FEATURES) as file:
            rows = [i for i, track in enumerate(file["track_id"].asstr()[:]) if "/train-" in track]
            places = ("mfcc", *(f"variants/{name}/mfcc" for name in self.NAMES))
            x = np.concatenate([file[place][rows] for place in places]).astype(np.float64)
        np.testing.assert_allclose(described["scaler"]["mean"], x.mean(axis=(0, 2)), rtol=1e-9)
        np.testing.assert_allclose(described["scaler"]["std"], x.std(axis=(0, 2)), rtol=1e-9)
        assert described["input"]["variants"] == [*self.NAMES]

    def test_variants_with_class_weights_streaming_and_resume_give_the_same_bytes(self, varied, monkeypatch):
        how = ("loss.class_weights=balanced", "train.batch_size=7", "augment=mixup", "train.epochs=4")
        whole = trained(*how)
        assert trained(*how, "runtime.memory_gb=0") == whole
        shutil.rmtree("data/model")

        def log_epoch(self, row: Epoch, seconds: float | None = None) -> None:
            if row.epoch == 2:
                raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(client.Tracking, "log_epoch", log_epoch)
            with pytest.raises(KeyboardInterrupt):
                trained(*how)
        assert list(Path(".encore/checkpoints").iterdir())
        assert trained(*how) == whole

    def test_variants_of_codes_are_used_too(self, workspace, received):
        write_features(self.PER_SPLIT)
        with Features(examples.FEATURES) as features:
            codes = np.clip(np.round(features.read("mfcc", np.arange(54))) + 5, 0, 10).astype(np.uint8)
            labels = [features.labels[index] for index in features.label]
            table = list(zip(features.track_id, features.segment, labels, strict=True))
        others = {name: {"mel_levels": (codes + 1) % 11} for name in self.NAMES}
        write_arrays(
            examples.FEATURES, {"mel_levels": codes}, table, "level", others, n_levels=11, hop_length=128
        )
        trained("model.feature=mel_levels", "augment=shift")
        used = self.rows("train", "mel_levels")
        for name in self.NAMES:
            used += self.rows("train", f"variants/{name}/mel_levels")
        assert received == [used, self.rows("valid", "mel_levels")]


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

    @pytest.mark.parametrize(
        ("model", "precision"), [("mlp", "bf16-mixed"), ("cnn", "32-true"), ("lstm", "bf16-mixed")]
    )
    def test_every_model_trains_on_codes(self, codes, model, precision):
        options = (f"model=bare/{model}", "model.feature=mel_levels", f"train.precision={precision}")
        described = json.loads(trained(*options)["model.json"])
        assert described["kwargs"]["input_shape"] == [13, 16]
        assert described["input"]["settings"]["mel_levels"]["n_levels"] == 11
        assert described["input"]["settings"]["mel_levels"]["hop_length"] == 128, (
            "the hop length of this feature"
        )
        assert described["scaler"] == {"name": "none", "mean": [], "std": []}
        first = next(iter(TrainedModel.load(Path("data/model")).model.parameters()))
        assert first[0].numel() == 11 * {"mlp": 13 * 16, "cnn": 3 * 3, "lstm": 13}[model]

    def test_model_on_codes_separates_the_classes(self, codes):
        trained("model.feature=mel_levels", "train.epochs=10")
        with Features(examples.FEATURES) as features:
            assert features.read("mel_levels", np.arange(1)).dtype == np.uint8
            label = features.label
        model = TrainedModel.load(Path("data/model"))
        assert (model.predict(codes).argmax(axis=1) == label).mean() > 0.9

    def test_model_on_shifted_codes_separates_the_classes(self, codes):
        options = ("model.feature=mel_levels", "augment=shift", "train.epochs=10")
        trained(*options)
        with Features(examples.FEATURES) as features:
            label = features.label
        model = TrainedModel.load(Path("data/model"))
        assert (model.predict(codes).argmax(axis=1) == label).mean() > 0.9

    def test_other_augmentations_of_codes_are_refused(self, codes):
        write_params(*SMALL, "model.feature=mel_levels", "augment=[shift,noise]")
        line = line_of(train.main)
        assert line == (
            "params.yaml: augment.noise does not work on codes, which mel_levels is; augment.shift does"
        )
        assert not Path("data/model").exists()

    @pytest.mark.parametrize("scaler", ["bins", "example"])
    def test_codes_are_never_scaled(self, codes, scaler):
        files = trained("model.feature=mel_levels", f"train.scaler={scaler}")
        described = json.loads(files["model.json"])
        assert described["scaler"] == {"name": "none", "mean": [], "std": []}
        assert (
            files["weights.safetensors"]
            == trained("model.feature=mel_levels", "train.scaler=none")["weights.safetensors"]
        )

    def test_streaming_changes_no_byte(self, codes):
        options = ("model.feature=mel_levels", "augment=shift", "train.batch_size=5")
        assert trained(*options) == trained(*options, "runtime.memory_gb=0")

    def test_codes_are_expanded_batch_by_batch(self, codes, monkeypatch):
        seen = []
        expand = OneHotInput.expand

        def spy(self, x):
            seen.append((x.dtype, len(x)))
            return expand(self, x)

        monkeypatch.setattr(OneHotInput, "expand", spy)
        trained("model.feature=mel_levels", "train.batch_size=8")
        assert {dtype for dtype, _ in seen} == {torch.uint8}
        assert {n for _, n in seen} == {8, 4, 9}, "batches, the last batch, the validation split"


class TestRefusals:
    """An error of one line, and no data/model."""

    def refused(self, *overrides: str, **edits) -> str:
        write_params(*SMALL, *overrides)
        for section, changes in edits.items():
            edit_params(section, **changes)
        line = line_of(train.main)
        assert not Path("data/model").exists()
        assert not list(Path("data").glob(".*"))
        return line

    def test_track_in_two_splits(self, data):
        rows = examples.read_split()
        write_split([*rows, Assignment(rows[0].track_id, rows[0].label, rows[0].unit, "test", -1)])
        assert rows[0].track_id in self.refused()

    def test_group_in_two_splits(self, data):
        rows = [Assignment(r.track_id, r.label, "Bob Marley", r.split, -1) for r in examples.read_split()]
        write_split(rows)
        assert "Bob Marley" in self.refused()

    @pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
    def test_missing_device(self, data):
        line = self.refused("runtime.device=cuda")
        assert "runtime.device is 'cuda'" in line
        assert "cpu" in line

    def test_missing_feature(self, data):
        line = self.refused("model.feature=mel")
        assert "'mel'" in line
        assert "model.feature" in line

    def test_model_too_deep_for_the_input(self, data):
        line = self.refused("model=bare/cnn", "model.channels=[4,4,4,4,4]")
        assert "model" in line
        assert "13 bins x 16 frames" in line

    def test_unknown_model(self, data):
        assert "model._target_ is 'models.Big'" in self.refused(model={"_target_": "models.Big"})

    def test_gain_of_a_feature_not_in_db(self, data):
        line = self.refused("augment=gain")
        assert line.startswith("params.yaml: augment.gain_db needs a feature in dB")
        assert "mfcc is in 1" in line

    def test_mixup_with_a_metric_loss(self, data):
        assert self.refused("loss=triplet", "augment=mixup") == (
            "params.yaml: augment.mixup does not work with loss=triplet, since a mixture is of no class"
        )

    def test_too_small_batches(self, data):
        assert self.refused("loss=supcon", "train.batch_size=2") == (
            "params.yaml: train.batch_size is 2, should be at least 3 with loss=supcon, which compares "
            "segments of a batch"
        )
        assert self.refused("model=bare/cnn", "model.channels=[4]", "train.batch_size=1") == (
            "params.yaml: train.batch_size is 1, should be at least 2 for CNN, which normalises over a batch"
        )

    def test_warm_up_longer_than_the_training(self, data):
        assert self.refused("schedule.warmup_epochs=3.0") == (
            "params.yaml: schedule.warmup_epochs is 3.0, should be under train.epochs, which is 3"
        )

    def test_diverging_learning_rate(self, data):
        line = self.refused("train.learning_rate=1e30")
        assert line == "training diverged: valid_loss was never a number; lower train.learning_rate"

    def test_no_validation_track(self, data):
        write_split([row for row in examples.read_split() if row.split != "valid"])
        assert "no track is in valid" in self.refused()


@pytest.mark.parametrize("precision", ["bf16-mixed", "16-mixed"])
def test_every_precision_trains_on_cpu_or_is_refused_in_one_line(data, precision):
    write_params(*SMALL, f"train.precision={precision}")
    try:
        train.main()
    except train.EncoreError as refused:
        assert "train.precision" in str(refused)  # noqa: PT017
    else:
        assert Path("data/model/weights.safetensors").exists()


class TestContentKey:
    """The key changes with what determines a training, and with nothing else."""

    @pytest.fixture
    def key(self, data):
        """Return the key in a workspace with the project's code."""
        for package in ("stages", "models"):
            shutil.copytree(REPO / package, package, ignore=shutil.ignore_patterns("__pycache__"))
        return lambda: content_key({"model": {"dropout": 0.3}, "train": {"seed": 0}})

    def test_key_is_the_same_for_the_same_inputs(self, key):
        assert key() == key()
        assert content_key({"train": {"seed": 0}, "model": {"dropout": 0.3}}) == key()

    def test_parameters_change_the_key(self, key):
        assert content_key({"model": {"dropout": 0.3}, "train": {"seed": 1}}) != key()
        assert content_key({"model": {"dropout": 0.4}, "train": {"seed": 0}}) != key()

    def test_code_of_the_training_changes_the_key(self, key):
        keys = [key()]
        for path in (
            "models/mlp.py",
            "stages/training/augmentation.py",
            "stages/training/batches.py",
            "stages/training/best_epoch.py",
            "stages/training/loop.py",
            "stages/training/loss_params.py",
            "stages/training/recipe.py",
            "stages/training/scaler.py",
            "stages/storage/hdf5.py",
            "stages/train.py",
        ):
            with Path(path).open("a") as file:
                file.write("# changed\n")
            keys.append(key())
            assert keys[-1] not in keys[:-1], path

    def test_other_code_does_not_change_the_key(self, key):
        before = key()
        for path in ("stages/tracking/client.py", "stages/evaluate.py", "stages/sources/fma.py"):
            with Path(path).open("a") as file:
                file.write("# changed\n")
            assert key() == before, path

    def test_data_and_split_change_the_key(self, key):
        before = key()
        rows = examples.read_split()
        write_split(rows[1:])
        other_split = key()
        write_split(rows)
        assert key() == before != other_split
        with edited_features() as file:
            file["mfcc"][0, 0, 0] += 1
        assert key() != before

    def test_all_sections_of_the_stage_change_the_key(self, data):
        def key(*overrides: str) -> str:
            write_params(*SMALL, *overrides)
            with Features(examples.FEATURES) as features:
                return train.prepare(features, runtime()).description.content_key

        first = key()
        assert key("evaluate.seed=5", "baseline.C=2.0", "runtime.workers=2", "runtime.memory_gb=0") == first
        changes = (
            "train.epochs=4",
            "train.rounds=2",
            "model.l2=0.1",
            "schedule=cosine",
            "schedule.warmup_epochs=0.5",
            "loss.label_smoothing=0.1",
            "augment=mixup",
            "augment.mixup=0.3",
            "render.windows=2",
        )
        assert len({first, *(key(*change.split()) for change in changes)}) == 1 + len(changes)


RANKS = """
import sys, torch
from models import EncoreCNN
from stages.training.augmentation import Augmentation
from stages.training.batches import Resident
from stages.training.checkpoints import Checkpoint
from stages.training.device import start
from stages.training.loop import Training
from stages.training.losses import make_loss
from tests.synthetic import class_patterns, recipe

how = recipe(train={"epochs": 4, "batch_size": 27, "patience": None})
fabric = start("cpu", 2, "32-true")
torch.manual_seed(0)
splits = []
for seed in (0, 1):
    x, label = (torch.from_numpy(values) for values in class_patterns(10, (8, 8), seed))
    splits.append(Resident(x, label))
loss = make_loss(how.loss, torch.tensor([10, 10, 10]), fabric.device)
model = EncoreCNN((8, 8), 3, [4, 4, 4], 3, 0.0, [])
training = Training(model, how, fabric, *splits, loss, Augmentation(how.augment, torch.ones(1)))
with Checkpoint("", is_first=False) as nowhere:
    history = training.fit(nowhere, lambda *_: None).history
open(f"{fabric.global_rank}", "w").write("".join(map(repr, history)))
"""


def test_processes_agree_on_the_validation_scores(workspace):
    """Otherwise they would stop at different epochs, or have different learning rates.

    The last three of the 30 segments are too few to share: batch norm would refuse a batch of one.
    """
    Path("ranks.py").write_text(RANKS)
    subprocess.run(
        [sys.executable, "ranks.py"],
        env={**os.environ, "PYTHONPATH": str(REPO)},
        timeout=120,
        check=True,
    )
    assert Path("0").read_text() == Path("1").read_text()


def test_two_failing_processes_report_one_error(workspace):
    write_features({"train": 2, "valid": 1, "test": 1})
    write_params("runtime.devices=2", "train.learning_rate=1e30", "train.epochs=2", "runtime.tracking='off'")
    done = run_stage("train", workspace)
    assert done.returncode == 1
    assert done.stderr.count("error: ") == 1


@pytest.mark.parametrize("model", ["encore_cnn", "cnn"])
def test_batch_norm_works_with_one_segment_too_many(workspace, model):
    write_features({"train": 3, "valid": 1, "test": 1}, shape=(96, 130), segments=1)
    write_params("train.epochs=1", f"model=bare/{model}", "model.feature=mfcc", "train.batch_size=8")
    train.main()
