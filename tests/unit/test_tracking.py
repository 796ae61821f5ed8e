"""MLflow: one run for each training, found by its content key; if tracking fails, training goes on."""

import dataclasses
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import psutil
import pytest
import torch
from PIL import Image

from stages import ui
from stages.core.errors import EncoreError
from stages.core.tables import Epoch, write_rows
from stages.entry.registry import SECTIONS
from stages.tracking import client as tracking_client
from stages.tracking import process, view
from stages.tracking import store as store_module
from stages.tracking.client import Tracking
from stages.tracking.dataset import dataset_input
from stages.tracking.logged_models import log_array_model
from stages.tracking.process import Tracker
from stages.training.description import Description
from stages.training.scaler import Scaler
from stages.training.trained import TrainedModel, build
from tests import synthetic
from tests.synthetic import REPO, composed, write_features

pytestmark = pytest.mark.slow

HISTORY = [Epoch(1, 2.0, 0.2, 2.1, 0.1, 1e-3), Epoch(2, 1.0, 0.6, 1.5, 0.4, 1e-4)]
MANY = [Epoch(n, 1 / n, 0.5, 2 / n, 0.5, 1e-3) for n in range(1, 6)]
SHAPE = (13, 16)
SCORES = {
    f"{section}/{name}": 0.75
    for section in ("test", "test_baseline", "test_minus_baseline")
    for name in ("accuracy", "accuracy_ci95_low", "accuracy_ci95_high", "macro_f1", "p")
}


def description(content_key: str) -> Description:
    scaler = Scaler(name="bins", mean=[1.0] * 13, std=[2.0] * 13)
    return synthetic.description(scaler=scaler, kept_epoch=2, content_key=content_key)


@pytest.fixture(autouse=True)
def _silent_wait(monkeypatch):
    """A busy machine may need longer than users should wait without a message."""
    monkeypatch.setattr(tracking_client, "SILENT_WAIT_S", 120.0)


@pytest.fixture(scope="module")
def store(module_workspace):
    """A workspace with a tracking store at its root; stages run in a copy elsewhere, as under --temp."""
    elsewhere = module_workspace / ".dvc" / "tmp" / "exps" / "temporary"
    elsewhere.mkdir(parents=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(elsewhere)
        Path("params.yaml").write_text(composed(), "utf-8")
        write_features({"train": 1, "valid": 1, "test": 1})
        yield module_workspace


def client():
    return process.connect()[0]


def run_of(content_key: str):
    found, experiment_id = process.connect()
    runs = found.search_runs([experiment_id], f"tags.content_key = '{content_key}'")
    assert len(runs) == 1
    return runs[0]


def started(
    content_key: str, killed: str = "", epochs: Sequence[Epoch] = (), seconds: float | None = None
) -> Tracker:
    """Return a tracker after what train sends it; in this process, which is quicker."""
    tracker = Tracker()
    tracker.start(content_key, killed)
    for epoch in epochs:
        tracker.log_epoch(dataclasses.asdict(epoch), seconds)
    return tracker


def complete(
    content_key: str, tmp_path: Path, tracker: Any = None, tracks: Sequence[str] = ()
) -> TrainedModel:
    torch.manual_seed(0)
    trained = TrainedModel(description(content_key), build(description(content_key)))
    evaluation, pictures, model = tmp_path / "evaluation", tmp_path / "pictures", tmp_path / "model"
    (evaluation / "figures").mkdir(parents=True)
    for name in ("curves.png", "confusion_test.png"):
        Image.new("RGB", (900, 300)).save(evaluation / "figures" / name)
    (evaluation / "metrics.json").write_text("{}")
    (evaluation / "README.md").write_text("![Loss](figures/curves.png)\n")
    for path in (
        "spectrograms.png",
        "pages/classes/jazz.png",
        *(f"pages/tracks/{name}.png" for name in tracks),
    ):
        (pictures / path).parent.mkdir(parents=True, exist_ok=True)
        (pictures / path).write_bytes(b"\x89PNG")
    model.mkdir()
    for folder in (evaluation, pictures, model):
        (folder / "mine.txt").write_text("a user's own file beside the outputs")
    trained.save(model)
    write_rows(model / "history.csv", HISTORY, Epoch)
    folders = (evaluation, pictures, model)
    tracker = tracker or Tracker()
    tracker.complete(SCORES, *folders)
    return trained


@pytest.mark.usefixtures("store")
class TestRun:
    """A run from its start by train to its completion by evaluate."""

    def test_data_are_a_dataset_however_often_the_run_is_continued(self, tmp_path):
        run_id = self.killed("data", 1)
        started("data", run_id)
        complete("data", tmp_path)
        (found,) = run_of("data").inputs.dataset_inputs
        assert found.dataset.name == "sample"
        assert [(tag.key, tag.value) for tag in found.tags] == [("mlflow.data.context", "train, valid, test")]
        one, other = (dataset_input("sample", {"split.csv": md5}).dataset.digest for md5 in ("0c", "1f"))
        assert one != other

    def test_a_description_of_a_person_stays(self, tmp_path):
        run = started("described")
        complete("described", tmp_path / "first")
        ours = run_of("described").data.tags["mlflow.note.content"]
        assert "MLP: **0.750** (0.750 to 0.750)" in ours
        assert f"get-artifact?path=note%2Fconfusion_test.png&run_uuid={run.run_id}" in ours
        client().set_tag(run.run_id, "mlflow.note.content", "the best so far")
        complete("described", tmp_path / "second")
        assert run_of("described").data.tags["mlflow.note.content"] == "the best so far"
        assert len(client().list_artifacts(run.run_id, "images")) == 2, "the picture, and a small one"

    def test_the_machine_is_watched_however_short_a_training_is(self):
        run = started("watched")
        for _ in range(2):  # the second time as after a kill
            with run.watch():
                pass
        for name in ("system_memory_usage_megabytes", "cpu_utilization_percentage"):
            points = client().get_metric_history(run.run_id, f"system/{name}")
            assert [point.step for point in points] == [1, 2], name

    def test_run_has_flat_parameters_tags_and_epochs(self):
        started("aaa1", epochs=HISTORY)
        found = run_of("aaa1")
        assert found.info.status == "RUNNING"
        assert found.data.params["model.channels"] == "[32, 64, 64]"
        assert found.data.params["features.mel.n_mels"] == "128"
        assert found.data.params["train.learning_rate"] == "0.003"
        assert found.data.params["schedule.name"] == "cosine"
        assert found.data.params["loss.name"] == "cross_entropy"
        assert found.data.params["augment.mixup"] == "0.3"
        assert found.data.params["runtime.device"] == "auto"
        assert found.data.tags["model"] == "CNN"
        assert found.data.tags["dataset"] == "sample"
        assert len(found.data.tags["data.features.h5.md5"]) == 32
        assert len(found.data.tags["data.split.csv.md5"]) == 32
        losses = client().get_metric_history(found.info.run_id, "valid_loss")
        assert [(point.step, point.value) for point in losses] == [(1, 2.1), (2, 1.5)]
        rates = client().get_metric_history(found.info.run_id, "learning_rate")
        assert [(point.step, point.value) for point in rates] == [(1, 1e-3), (2, 1e-4)]

    def test_parameters_of_every_section_that_makes_another_experiment_are_logged(self):
        started("aaa4")
        logged = {key.partition(".")[0] for key in run_of("aaa4").data.params}
        assert logged == set(SECTIONS) - {"pictures", "tracking"}

    def test_seconds_of_an_epoch_are_logged_if_known(self):
        run = started("aaa3", epochs=HISTORY[:1])
        run.log_epoch(dataclasses.asdict(HISTORY[1]), 12.5)
        seconds = client().get_metric_history(run.run_id, "seconds")
        assert [(point.step, point.value) for point in seconds] == [(2, 12.5)]

    def test_git_commit_and_experiment_name_are_tags(self, monkeypatch):
        monkeypatch.setenv("DVC_EXP_NAME", "moody-lion")
        monkeypatch.setenv("DVC_EXP_BASELINE_REV", "c0ffee")
        started("aaa2")
        found = run_of("aaa2")
        assert found.data.tags["dvc.exp_name"] == "moody-lion"
        assert found.data.tags["mlflow.source.git.commit"] == found.data.tags["git.commit"] == "c0ffee"

    def killed(self, key: str, n_epochs: int, status: str = "") -> str:
        """Return the run of a training that logged some epochs and did not finish."""
        run = started(key, epochs=MANY[:n_epochs], seconds=0.5)
        if status:
            run.end(status)
        return run.run_id

    def logged(self, run_id: str, name: str) -> list[int]:
        return sorted(point.step for point in client().get_metric_history(run_id, name))

    @pytest.mark.parametrize("n_epochs", [0, 1, 3])
    @pytest.mark.parametrize("status", ["", "KILLED", "FAILED"])
    def test_killed_training_continues_in_its_run(self, n_epochs, status):
        key = f"goes-on-{n_epochs}-{status}"
        run_id = self.killed(key, n_epochs, status)
        run = started(key, run_id, epochs=MANY[:3])  # those of the checkpoint are sent again
        for epoch in MANY[3:]:
            run.log_epoch(dataclasses.asdict(epoch), 0.5)
        found = run_of(key)
        assert found.info.run_id == run.run_id == run_id
        assert found.info.status == "RUNNING"
        for name in ("train_loss", "valid_loss", "learning_rate"):
            assert self.logged(run_id, name) == [1, 2, 3, 4, 5], name
        assert self.logged(run_id, "seconds") == [*range(1, n_epochs + 1), 4, 5]

    def test_continued_run_is_completed_like_any_other(self, tmp_path):
        run_id = self.killed("goes-on", 1, "KILLED")
        started("goes-on", run_id, HISTORY)
        complete("goes-on", tmp_path)
        found = run_of("goes-on")
        assert (found.info.run_id, found.info.status) == (run_id, "FINISHED")
        assert found.data.metrics["test/accuracy"] == 0.75

    @pytest.mark.parametrize(
        ("words", "name"),
        [
            (("model=lstm", "train.seed=3"), "lstm · sample · seed 3"),
            (("model=encore_cnn", "split=kfold", "split.fold=2"), "encore_cnn · sample · fold 2 · seed 0"),
        ],
    )
    def test_the_name_says_what_a_person_compares(self, words, name):
        self.under(*words)
        started(name)
        found = run_of(name)
        self.under()
        assert found.info.run_name == name
        assert found.data.tags["split"] == ("kfold" if "fold" in name else "grouped")
        assert found.data.tags["seed"] == name[-1]

    def test_continued_run_gets_the_name_of_the_new_experiment(self, monkeypatch):
        monkeypatch.setenv("DVC_EXP_NAME", "moody-lion")
        run_id = self.killed("renamed", 1)
        monkeypatch.setenv("DVC_EXP_NAME", "jolly-newt")
        started("renamed", run_id)
        found = run_of("renamed")
        assert found.data.tags["dvc.exp_name"] == "jolly-newt"

    def under(self, *overrides: str) -> None:
        Path("params.yaml").write_text(composed(*overrides), "utf-8")

    def test_run_with_other_parameters_is_not_continued(self):
        run_id = self.killed("other-parameters", 2)
        self.under("evaluate.seed=5")
        try:
            run = started("other-parameters", run_id, MANY[:1])
        finally:
            self.under()
        assert run.run_id not in ("", run_id)
        assert self.logged(run_id, "train_loss") == [1, 2]
        assert self.logged(run.run_id, "train_loss") == [1]

    def test_run_is_continued_under_other_runtime_parameters(self):
        run_id = self.killed("other-machine", 2)
        self.under("runtime.workers=3", "runtime.memory_gb=0")
        try:
            run = started("other-machine", run_id, MANY[2:3])
        finally:
            self.under()
        assert run.run_id == run_id
        assert self.logged(run_id, "train_loss") == [1, 2, 3]

    @pytest.mark.parametrize("gone", ["deleted", "unknown", "no id"])
    def test_missing_run_is_replaced_by_a_new_one(self, gone, capfd):
        run_id = self.killed(f"gone-{gone}", 2)
        client().delete_run(run_id)
        killed = {"deleted": run_id, "unknown": "0" * 32, "no id": "../x\n\0"}[gone]
        run = started(f"gone-{gone}", killed, MANY)
        assert run_of(f"gone-{gone}").info.run_id == run.run_id != run_id
        assert self.logged(run.run_id, "train_loss") == [1, 2, 3, 4, 5]
        assert "warning" not in capfd.readouterr().err

    def test_evaluate_completes_the_open_run(self, tmp_path, store):
        run = started("ccc1", epochs=HISTORY[:1])
        trained = complete("ccc1", tmp_path)
        found = run_of("ccc1")
        assert found.info.run_id == run.run_id
        assert found.info.status == "FINISHED"
        assert found.data.metrics["test/accuracy"] == 0.75
        losses = client().get_metric_history(run.run_id, "train_loss")
        assert [point.step for point in losses] == [1, 2], (
            "epochs that train did not log come from history.csv"
        )
        artifacts = store / "mlartifacts" / run.run_id / "artifacts"
        files = [path for path in artifacts.rglob("*") if path.is_file() and path.parent.name != "images"]
        assert sorted(path.relative_to(artifacts).as_posix() for path in files) == [
            "confusion_test.png",
            "curves.png",
            "evaluation/README.md",
            "evaluation/card.html",
            "evaluation/figures/confusion_test.png",
            "evaluation/figures/curves.png",
            "evaluation/metrics.json",
            "note/confusion_test.png",
            "note/curves.png",
            "pages/classes/jazz.png",
            "spectrograms.png",
        ]
        assert found.info.artifact_uri.startswith((store / "mlartifacts").as_uri())

        import mlflow

        x = np.random.default_rng(0).standard_normal((7, *SHAPE)).astype(np.float32)
        loaded = mlflow.pyfunc.load_model(f"runs:/{run.run_id}/model")
        np.testing.assert_allclose(loaded.predict(x), trained.predict(x))
        assert loaded.predict(x[:1]).shape == (1, 3), "other batch sizes work too"

    def test_logged_model_of_codes_takes_codes_only(self, tmp_path):
        run = started("ccc4")
        on_codes = synthetic.description(settings={"n_levels": 8}, content_key="ccc4")
        TrainedModel(on_codes, build(on_codes)).save(tmp_path)
        log_array_model(run.run_id, tmp_path)

        import mlflow

        loaded = mlflow.pyfunc.load_model(f"runs:/{run.run_id}/model")
        x = np.random.default_rng(0).integers(0, 8, (7, *SHAPE), dtype=np.uint8)
        assert loaded.predict(x).shape == (7, 3)
        with pytest.raises(mlflow.exceptions.MlflowException, match="uint8"):
            loaded.predict(x.astype(np.float32))

    def test_model_restored_from_the_cache_gets_a_new_run(self, tmp_path):
        complete("ccc2", tmp_path)
        found = run_of("ccc2")
        assert found.info.status == "FINISHED"
        assert found.data.params["train.seed"] == "0"
        assert found.data.metrics["test/accuracy"] == 0.75
        assert [p.step for p in client().get_metric_history(found.info.run_id, "train_loss")] == [1, 2]

    def test_completing_twice_leaves_one_run(self, tmp_path):
        for name in ("first", "second"):
            (tmp_path / name).mkdir()
            complete("ccc3", tmp_path / name)
        assert run_of("ccc3").info.status == "FINISHED"

    def test_more_pictures_are_added_to_the_same_run(self, tmp_path, store):
        complete("ccc5", tmp_path / "before")
        text = composed("pictures.tracks=[jazz/00.wav]", "pictures.duration_s=5.0")
        Path("params.yaml").write_text(text, "utf-8")
        try:
            complete("ccc5", tmp_path / "after", tracks=["jazz_00.wav"])
        finally:
            Path("params.yaml").write_text(composed(), "utf-8")
        artifacts = store / "mlartifacts" / run_of("ccc5").info.run_id / "artifacts"
        assert [path.name for path in (artifacts / "pages/tracks").iterdir()] == ["jazz_00.wav.png"]

    def test_store_is_at_the_root_not_where_the_stage_runs(self, store):
        assert (store / "mlflow.db").is_file()
        assert not [p.name for p in Path().iterdir() if p.name.startswith("ml")]

    def test_long_parameters_and_infinite_losses_are_logged(self, monkeypatch):
        text = composed().replace("seed: 0\n  epochs", "seed: 0\n  note: " + "x" * 20_000 + "\n  epochs")
        Path("params.yaml").write_text(text, "utf-8")
        try:
            started("ddd1", epochs=[Epoch(1, float("nan"), 0.0, float("inf"), 0.0, 1e-3)])
        finally:
            Path("params.yaml").write_text(composed(), "utf-8")
        assert run_of("ddd1").data.params["train.note"].startswith("xxx")
        assert "train_loss" in run_of("ddd1").data.metrics


@pytest.mark.usefixtures("store")
class TestProcess:
    """The process that logs to MLflow, and what is sent to it."""

    def test_what_train_and_evaluate_send_is_in_the_store(self, tmp_path, capfd):
        with Tracking("on") as tracking:
            tracking.start("ppp1", note=tmp_path / "note")
            tracking.log_epoch(HISTORY[0], 2.5)
            tracking.log_epoch(HISTORY[1])
        with Tracking("on") as tracking:
            complete("ppp1", tmp_path, tracking)
        found = run_of("ppp1")
        assert (tmp_path / "note").read_text() == found.info.run_id
        assert found.info.status == "FINISHED"
        losses = client().get_metric_history(found.info.run_id, "valid_loss")
        assert [(point.step, point.value) for point in losses] == [(1, 2.1), (2, 1.5)]
        assert found.data.metrics["seconds"] == 2.5
        assert found.data.metrics["test/accuracy"] == 0.75
        assert capfd.readouterr() == ("", "")

    @pytest.mark.parametrize(("error", "status"), [(ValueError, "FAILED"), (KeyboardInterrupt, "KILLED")])
    def test_failed_training_is_marked_and_its_error_raised(self, error, status):
        key = f"bbb{status}"

        def train():
            with Tracking("on") as tracking:
                tracking.start(key)
                raise error

        with pytest.raises(error):
            train()
        assert run_of(key).info.status == status

    def test_a_mistake_before_the_run_waits_for_nothing(self, capfd):
        def train():
            with Tracking("on") as tracking:
                processes.append(tracking._process)
                raise EncoreError("wrong")

        processes: list[subprocess.Popen[str]] = []
        with pytest.raises(EncoreError):
            train()
        assert processes[0].returncode == -signal.SIGKILL
        assert capfd.readouterr() == ("", "")

    def test_process_continues_the_run_of_a_killed_training(self, tmp_path):
        killed = started("ppp2", epochs=MANY[:2]).run_id
        with Tracking("on") as tracking:
            tracking.start("ppp2", killed, tmp_path / "gone" / "note")
            for epoch in MANY:
                tracking.log_epoch(epoch)
        found = run_of("ppp2")
        assert found.info.run_id == killed
        losses = client().get_metric_history(killed, "train_loss")
        assert [point.step for point in losses] == [1, 2, 3, 4, 5]

    def test_unlogged_events_of_a_killed_training_are_dropped(self, tmp_path):
        """The resumed training sends them again, to another process."""
        code = """
import os, signal, sys
from stages.tracking.client import Tracking
from stages.tracking.dataset import dataset_input
tracking = Tracking("on")
print(tracking._process.pid, flush=True)
tracking.start("ppp3")
os.kill(os.getpid(), signal.SIGKILL)
"""
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONPATH": str(REPO)},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert done.returncode == -signal.SIGKILL
        pid, waited_s = int(done.stdout), 0.0
        while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.1)
            waited_s += 0.1
            assert waited_s < 60, "the tracking process outlives the training"
        found, experiment_id = process.connect()
        assert not found.search_runs([experiment_id], "tags.content_key = 'ppp3'")

    def test_events_have_the_time_at_which_they_were_sent(self):
        """The seconds that MLflow takes to start do not count."""
        with Tracking("on") as tracking:
            before = time.time()
            tracking.start("ppp5")
            tracking.log_epoch(HISTORY[0])
            time.sleep(0.3)
            tracking.log_epoch(HISTORY[1])
            after = time.time()
        run_id = run_of("ppp5").info.run_id
        first, second = client().get_metric_history(run_id, "valid_loss")
        begun = run_of("ppp5").info.start_time / 1000
        assert before - 0.001 <= begun <= first.timestamp / 1000 <= second.timestamp / 1000 - 0.3 <= after

    def test_training_does_not_wait_for_unlogged_events(self, tmp_path):
        """The pipe does not fill up while MLflow is starting."""
        with Tracking("on") as tracking:
            tracking.start("ppp6")
            for epoch in MANY[:1] * 2000:
                tracking.log_epoch(epoch)
            assert not process.connect()[0].search_runs(["1"], "tags.content_key = 'ppp6'")
            tracking._process.kill()

    def test_long_wait_for_mlflow_is_explained(self, capfd, monkeypatch):
        monkeypatch.setattr(tracking_client, "SILENT_WAIT_S", 0.0)
        with Tracking("on") as tracking:
            tracking.start("ppp8")
        assert capfd.readouterr().err == "waiting for MLflow to log the rest of this run\n"
        assert run_of("ppp8").data.tags["content_key"] == "ppp8"

    def test_process_that_cannot_be_started_gives_a_warning(self, capfd, monkeypatch):
        monkeypatch.setattr(sys, "executable", "/nowhere/python")
        with Tracking("on") as tracking:
            tracking.start("ppp7")
            tracking.log_epoch(HISTORY[0])
        assert capfd.readouterr().err.startswith("warning: MLflow tracking is off for this run: ")

    def test_process_that_dies_gives_a_warning(self, capfd):
        with Tracking("on") as tracking:
            tracking.start("ppp4")
            tracking._process.kill()
            tracking._process.wait()
            for epoch in MANY:
                tracking.log_epoch(epoch)
        lines = capfd.readouterr().err.splitlines()
        assert lines == [f"warning: MLflow tracking ended with status {-signal.SIGKILL}"]

    def test_nothing_is_tracked_when_tracking_is_off(self, tmp_path, capfd):
        before = len(client().search_runs(["1"]))
        with Tracking("off") as tracking:
            tracking.start("eee1", note=tmp_path / "note")
            tracking.log_epoch(HISTORY[0])
            complete("eee1", tmp_path, tracking)
        assert len(client().search_runs(["1"])) == before
        assert not (tmp_path / "note").exists()
        assert capfd.readouterr() == ("", "")


class TestElsewhere:
    """A store that the user chose, or that does not work."""

    @pytest.fixture
    def params(self, workspace):
        Path("params.yaml").write_text(composed(), "utf-8")
        write_features({"train": 1, "valid": 1, "test": 1})
        return workspace

    def survives(self, capfd, key: str, tmp_path: Path) -> list[str]:
        """Train and evaluate with a store that fails: nothing raises; return the warnings."""
        with Tracking("on") as tracking:
            tracking.start(key)
            tracking.log_epoch(HISTORY[0])
            complete(key, tmp_path / "made", tracking)
        lines = capfd.readouterr().err.splitlines()
        assert len(lines) == 1
        assert all(line.startswith("warning: MLflow tracking failed") for line in lines), lines
        return lines

    def test_file_that_is_not_a_database_gives_a_warning(self, params, monkeypatch, capfd):
        (params / "broken.db").write_text("this is not a database, whatever its name says" * 100)
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{params}/broken.db")
        self.survives(capfd, "fff1", params)
        assert not (params / "mlflow.db").exists(), "MLFLOW_TRACKING_URI was not respected"

    def test_unreachable_server_gives_a_warning_soon(self, params, monkeypatch, capfd):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        self.survives(capfd, "fff2", params)

    def test_unwritable_folder_gives_a_warning(self, params, monkeypatch, capfd):
        (params / "file").write_text("")
        monkeypatch.setenv("DVC_ROOT", str(params / "file"))
        self.survives(capfd, "fff3", params)


@pytest.fixture(scope="module")
def original(store, tmp_path_factory):
    """The project with a finished run, and that run's id."""
    complete("mmm1", tmp_path_factory.mktemp("made"))
    return store, run_of("mmm1").info.run_id


class TestMoved:
    """The project's folder is moved or copied, or its mlflow.db alone."""

    @pytest.fixture
    def enter(self, monkeypatch):
        """Return a function that makes another folder the project's."""

        def enter(folder: Path) -> None:
            monkeypatch.setenv("DVC_ROOT", str(folder))
            monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)

        return enter

    def places(self, project: Path) -> set[str]:
        """The project's folders that places in its store are in."""
        with closing(sqlite3.connect(project / "mlflow.db")) as database:
            rows = [
                database.execute(f"SELECT {column} FROM {table}") for table, column in store_module.PLACES
            ]
            found = {place for row in rows for (place,) in row if place and place.startswith("file:")}
        return {place.partition("/mlartifacts")[0] for place in found}

    def files(self, project: Path) -> dict[Path, int]:
        """Every artifact of a project, and when it was written."""
        return {path: path.stat().st_mtime_ns for path in (project / "mlartifacts").rglob("*")}

    def test_a_copy_then_a_move_keep_runs_figures_and_models(self, original, tmp_path, enter, capfd):
        import mlflow

        project, run_id = original
        model = client().get_run(run_id).outputs.model_outputs[0].model_id
        source = client().get_logged_model(model).artifact_location
        if not client().search_registered_models():
            client().create_registered_model("mine")
            client().create_model_version("mine", source, run_id, model_id=model)
        before = self.files(project)
        copied, moved = tmp_path / "a copy", tmp_path / "bücher" / "moved"
        shutil.copytree(project, copied)
        for folder, was in ((copied, project), (moved, copied)):
            if folder == moved:
                moved.parent.mkdir()
                copied.rename(moved)
            enter(folder)
            tracker = started(f"new in {folder.name}")
            lines = capfd.readouterr().err.splitlines()
            assert len(lines) == 1
            assert f"artifacts are now in {folder}/mlartifacts" in lines[0]
            tracker._client.log_text(tracker.run_id, "new", "new.txt")
            assert (folder / "mlartifacts" / tracker.run_id / "artifacts/new.txt").is_file()
            assert self.places(folder) == {folder.as_uri()}
            figure = tracker._client.download_artifacts(run_id, "curves.png")
            assert Path(figure).read_bytes().startswith(b"\x89PNG")
            version = tracker._client.get_model_version("mine", "1")
            assert version.source.startswith(folder.as_uri())
            assert mlflow.pyfunc.load_model(f"runs:/{run_id}/model").metadata.run_id == run_id
            assert not was.exists() or self.places(was) == {was.as_uri()}
            capfd.readouterr()
            Tracker()
            assert capfd.readouterr().err == "", "once it is said, it is done"
        assert self.files(project) == before
        assert [path.name for path in tmp_path.iterdir()] == ["bücher"], "folders of odd addresses"

    def test_a_copied_store_alone_leaves_the_original_as_it_is(self, original, tmp_path, enter):
        project, run_id = original
        before = self.files(project)
        shutil.copy(project / "mlflow.db", tmp_path)
        enter(tmp_path)
        complete("mmm1", tmp_path / "made")
        assert self.files(project) == before
        found, experiment_id = process.connect()
        old, new = sorted(
            found.search_runs([experiment_id], "tags.content_key = 'mmm1'"),
            key=lambda run: run.info.start_time,
        )
        assert (old.info.run_id, len(found.list_artifacts(run_id))) == (run_id, 7)
        assert (tmp_path / "mlartifacts" / new.info.run_id / "artifacts/evaluation/README.md").is_file()

    def served(self, monkeypatch) -> tuple[list[list[str]], list[str]]:
        """Return the commands of servers, which end at once, and the addresses that a browser opens."""
        servers: list[list[str]] = []
        opened: list[str] = []

        def start(words: list[str], **_: object) -> subprocess.Popen[bytes]:
            servers.append(words)
            return subprocess.Popen([sys.executable, "-c", ""])

        monkeypatch.setattr(ui, "subprocess", SimpleNamespace(Popen=start))
        monkeypatch.setattr(ui, "_assert_free", lambda: None)
        monkeypatch.setattr(ui, "_wait", lambda _: None)
        monkeypatch.setattr(ui.signal, "signal", lambda *_: None)
        monkeypatch.setattr("webbrowser.open", opened.append)
        monkeypatch.setenv("DISPLAY", ":0")
        return servers, opened

    def test_opening_the_page_is_enough(self, original, tmp_path, enter, monkeypatch, capsys):
        servers, opened = self.served(monkeypatch)
        shutil.copytree(original[0] / "mlartifacts", tmp_path / "mlartifacts")
        shutil.copy(original[0] / "mlflow.db", tmp_path)
        enter(tmp_path)
        ui.main()
        address = capsys.readouterr().out
        assert (
            "http://encore.localhost:5000/#/experiments/1/runs?viewStateShareKey=encore&workflow" in address
        )
        assert opened == [address.strip()]
        assert self.places(tmp_path) == {tmp_path.as_uri()}
        assert servers[0][-1] == f"sqlite:///{tmp_path}/mlflow.db"

    def test_a_store_that_the_user_names_is_left_alone(self, original, tmp_path, enter, monkeypatch):
        project, _ = original
        shutil.copy(project / "mlflow.db", tmp_path)
        enter(tmp_path)
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
        self.served(monkeypatch)
        ui.main()
        Tracker()
        assert self.places(tmp_path) == {project.as_uri()}

    def test_artifacts_are_beside_the_file_that_mlflow_db_links_to(self, original, tmp_path, enter):
        project, _ = original
        (tmp_path / "mlflow.db").symlink_to(project / "mlflow.db")
        enter(tmp_path)
        store_module.relocate()
        assert self.places(project) == {project.as_uri()}

    def test_an_older_experiment_gets_the_view_of_its_runs(self, original):
        found, experiment_id = process.connect()
        found.set_experiment_tag(experiment_id, view.TAG, "{}")
        process.connect()
        tags = found.get_experiment(experiment_id).tags
        assert "metrics.`test/accuracy`" in json.loads(tags[view.TAG])["selectedColumns"]

    def test_without_a_store_the_page_of_all_experiments_is_named(self, tmp_path, enter):
        enter(tmp_path)
        assert view.address("encore") == ""
        assert not (tmp_path / "mlflow.db").exists()

    def test_a_deleted_experiment_is_restored_in_one_line(self, original, capfd):
        found, experiment_id = process.connect()
        found.delete_experiment(experiment_id)
        started("mmm2")
        line = "MLflow: experiment encore was deleted; it is restored, with its runs\n"
        assert capfd.readouterr().err == line
        assert found.get_run(original[1]).info.lifecycle_stage == "active"
        assert run_of("mmm2").info.experiment_id == experiment_id


RACER = """
from pathlib import Path
from stages.tracking.client import Tracking
from stages.tracking.dataset import dataset_input
with Tracking("on") as tracking:
    tracking.start("race", note=Path("note"))
assert Path("note").read_text(), "no run was started"
"""


@pytest.fixture(scope="module")
def raced(tmp_path_factory):
    """Two processes that create one store at once: under MLFLOW_TRACKING_URI, far from where they run."""
    folder = tmp_path_factory.mktemp("race")
    (folder / "copy").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder / "copy")
        Path("params.yaml").write_text(composed(), "utf-8")
        write_features({"train": 1, "valid": 1, "test": 1})
    environment = {
        **os.environ,
        "PYTHONPATH": str(REPO),
        "DVC_ROOT": str(folder),
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/named.db",
    }
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER],
            cwd=folder / "copy",
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    return folder, [(racer.communicate(timeout=120)[1], racer.returncode) for racer in racers]


def test_two_processes_can_create_a_store_at_once(raced):
    _, results = raced
    for output, code in results:
        assert code == 0, output
        assert "warning" not in output


def test_store_chosen_by_the_user_is_used(raced):
    folder, _ = raced
    assert (folder / "named.db").is_file()
    assert not (folder / "mlflow.db").exists()


def test_artifacts_of_a_local_store_are_outside_the_temporary_copy(raced, monkeypatch):
    """DVC deletes its temporary copies with everything inside."""
    from mlflow import MlflowClient

    folder, _ = raced
    experiment = MlflowClient(f"sqlite:///{folder}/named.db").get_experiment_by_name("encore")
    assert "/copy/" not in experiment.artifact_location
