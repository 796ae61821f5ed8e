"""Logs runs to MLflow, in a process that `stages.tracking.client` starts; no stage imports MLflow itself.

There is one run for each training: `train` starts it, `evaluate` completes it. Evaluate finds it by the
content key of the training, because no file that DVC hashes may contain a run's id. If DVC restored the model
from its cache and there is no run, `evaluate` creates one from the files. If tracking fails, it prints a
warning, and training goes on.
"""

import hashlib
import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import asdict
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING

from stages.core.errors import in_one_line
from stages.core.params import flat, read
from stages.core.tables import Epoch, read_rows
from stages.core.workspace import work_cache, work_cache_path
from stages.entry.command import run_command
from stages.entry.registry import SECTIONS
from stages.tracking import note, registering, store, view
from stages.tracking.dataset import dataset_input
from stages.tracking.logged_models import log_array_model
from stages.tracking.machine import watched
from stages.tracking.names import context, model_class, parts
from stages.tracking.page import page
from stages.training.description import Description

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

# More pictures, or a name that it is registered by, do not make another experiment.
NOT_LOGGED = {"pictures", "tracking"}
# What is logged of the folders of three stages: files that a user keeps beside the outputs are not.
RAW, SOURCE = Path("data/raw"), "source.json"
PICTURES = ("pages", "spectrograms.png")
EVALUATION = (
    "README.md",
    "classes.csv",
    "confusion.csv",
    "figures",
    "metrics.json",
    "novelty.csv",
    "predictions.csv",
    "retrieval.csv",
)
MAX_VALUE = 500  # characters of a parameter; MLflow rejects the whole batch if one is longer


class Tracker:
    """The store, and the run of one training in it.

    Attributes
    ----------
    run_id : str
        Empty: no run has been started.
    now_ms : int
        When the next event happened, in milliseconds since 1970.
    """

    def __init__(self) -> None:
        is_own = not os.environ.get("MLFLOW_TRACKING_URI")
        # the beginning of the place of each run's artifacts
        self._place = store.artifacts_uri() if is_own else ""
        self._client, self._experiment_id = connect()
        self._n_logged = 0  # epochs that the run already has
        self.run_id = ""
        self.now_ms = int(time.time() * 1000)

    def start(self, content_key: str, killed: str = "", note: str | None = None) -> None:
        """Start a run, or continue the one in which this training was killed; see `Tracking.start`."""
        from mlflow.entities import Param

        tags = _tags(content_key)
        if not (killed and self._continue(killed, tags)):
            name = tags["mlflow.runName"]
            self.run_id = self._client.create_run(self._experiment_id, self.now_ms, tags, name).info.run_id
            if note:
                with suppress(OSError):  # the work cache may be deleted at any time
                    Path(note).write_text(self.run_id, "utf-8")
            self._client.log_batch(self.run_id, params=[Param(*item) for item in _parameters().items()])
        data = {key: value for key, value in tags.items() if key.startswith("data.")}
        self._client.log_inputs(self.run_id, [dataset_input(tags["dataset"], data)])

    def _continue(self, killed: str, tags: Mapping[str, str]) -> bool:
        """Continue the run of a training that was killed; False if it is gone or has other parameters."""
        from mlflow import MlflowException

        try:
            found = self._client.get_run(killed)
        except MlflowException:
            return False
        is_same = _result_parameters(found.data.params) == _result_parameters(_parameters())
        if found.info.lifecycle_stage != "active" or not is_same or not self._is_here(found):
            return False
        for key, value in tags.items():
            self._client.set_tag(killed, key, value)
        self._client.update_run(killed, status="RUNNING")
        self._select(killed)
        return True

    def _is_here(self, run: "Run") -> bool:
        """Whether a run's artifacts are in this project, not in one that only mlflow.db was copied from."""
        return str(run.info.artifact_uri).startswith(self._place)

    def _select(self, run_id: str) -> None:
        """Make a run, which may have epochs already, the one that is logged to."""
        logged = self._client.get_metric_history(run_id, "valid_loss")
        self._n_logged = max((metric.step for metric in logged), default=0)
        self.run_id = run_id

    def log_epoch(self, row: Mapping[str, float], seconds: float | None = None) -> None:
        """Log a row of the history, unless the run already has that epoch."""
        metrics = dict(row) | ({} if seconds is None else {"seconds": seconds})
        epoch = int(metrics.pop("epoch"))
        if epoch > self._n_logged:
            self._log_metrics(metrics, epoch)

    def _log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        from mlflow.entities import Metric

        points = [Metric(name, value, self.now_ms, step) for name, value in metrics.items()]
        self._client.log_batch(self.run_id, points)

    def _log_outputs(self, folder: Path, names: Sequence[str], place: str = "") -> None:
        """Log the outputs of a stage, and no other file that lies beside them in `folder`."""
        for path in (folder / name for name in names):
            if path.is_dir():
                self._client.log_artifacts(self.run_id, str(path), f"{place}/{path.name}".strip("/"))
            elif path.exists():
                self._client.log_artifact(self.run_id, str(path), place or None)

    def _describe(self, model: str, scores: Mapping[str, float], figures: Path) -> None:
        """Set the run's description, with its pictures, unless a person has written one."""
        from mlflow import Image

        if not note.is_ours(self._client.get_run(self.run_id).data.tags.get(note.TAG, "")):
            return
        for name in note.PICTURES:
            picture = Image(str(figures / name))
            height = round(picture.image.height * note.WIDTH / picture.image.width)
            small = picture.resize((note.WIDTH, height))
            self._client.log_image(self.run_id, small, artifact_file=f"{note.PLACE}/{name}")
        self._client.set_tag(self.run_id, note.TAG, note.note(model, scores, self.run_id))

    def _show(self, picture: Path) -> None:
        """Log a picture for MLflow's charts of several runs, unless it is there."""
        from mlflow import Image

        if not self._client.list_artifacts(self.run_id, "images"):
            self._client.log_image(self.run_id, Image(str(picture)), key=view.PICTURE)

    def watch(self) -> AbstractContextManager[None]:
        """Log how busy the machine is, until the context ends."""
        return watched(self._client, self.run_id)

    def end(self, status: str) -> None:
        """Set the final status of the run, if there is one."""
        if self.run_id:
            self._client.set_terminated(self.run_id, status, self.now_ms)

    def complete(
        self,
        metrics: Mapping[str, float],
        evaluation: str,
        pictures: str,
        model: str,
        register: str | None = None,
    ) -> None:
        """Add the results of `evaluate` to the run of the training; see `Tracking.complete`."""
        description = Description.load(Path(model))
        key = f"tags.content_key = '{description.content_key}'"
        found = self._client.search_runs([self._experiment_id], key, order_by=["start_time DESC"])
        # A run whose other parameters differ (of the baseline, the evaluation) belongs to another experiment.
        wanted = _result_parameters(_parameters())
        matching = [
            run for run in found if _result_parameters(run.data.params) == wanted and self._is_here(run)
        ]
        matching.sort(
            key=lambda run: run.data.tags.get("dvc.exp_name", "") != os.environ.get("DVC_EXP_NAME", "")
        )
        if matching:
            self._select(matching[0].info.run_id)
            for tag, value in context().items():
                if tag not in matching[0].data.tags:  # a run of one grid may become one of another, too
                    self._client.set_tag(self.run_id, tag, value)
        else:
            self.start(description.content_key)
        for epoch in read_rows(Path(model, "history.csv"), Epoch):  # those that are not logged yet
            self.log_epoch(asdict(epoch))
        self._log_metrics(metrics)
        # MLflow's comparison of runs shows the artifacts at the top side by side: figures and overview.
        self._client.log_artifacts(self.run_id, str(Path(evaluation, "figures")))
        self._log_outputs(Path(pictures), PICTURES)
        self._log_outputs(Path(evaluation), EVALUATION, "evaluation")
        self._log_outputs(RAW, [SOURCE], "evaluation")  # the licence of the music
        self._client.log_text(self.run_id, page(Path(evaluation, "README.md")), "evaluation/card.html")
        self._describe(description.model, metrics, Path(evaluation, "figures"))
        self._show(Path(evaluation, "figures/confusion_test.png"))
        log_array_model(self.run_id, Path(model))
        self.end("FINISHED")
        if register:
            self._register(register, description.content_key)

    def _register(self, name: str, content_key: str) -> None:
        """Register the run, which is complete whatever comes of it."""
        try:
            print(registering.register(name, self.run_id), flush=True)
        except Exception as error:
            afterwards = f"encore register {shlex.quote(name)} content_key={content_key}"
            print(
                f"warning: the run is not registered as {name}: {in_one_line(error)[:300]}; mend that, then "
                f"`{afterwards}`",
                file=sys.stderr,
            )


def connect() -> "tuple[MlflowClient, str]":
    """Return a client and the experiment's id; create the store and the experiment if necessary.

    The store and its artifacts are at the workspace's root, whatever folder a stage runs in. A new SQLite
    store is damaged if several processes create it at the same time or if one is killed meanwhile, so it is
    created under a lock and a temporary name. An experiment that was deleted in MLflow's page is restored.
    """
    import mlflow
    from filelock import FileLock

    given = os.environ.get("MLFLOW_TRACKING_URI", "")
    is_server = bool(given) and not given.startswith(("sqlite:", "file:", "postgresql", "mysql", "mssql"))
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME", store.EXPERIMENT)
    with FileLock(work_cache("locks") / "mlflow.lock", timeout=120):
        if not given:
            _create_store()
            store.relocate()
        mlflow.set_tracking_uri(given or store.sqlite_uri(store.path()))
        client = mlflow.MlflowClient()
        experiment = client.get_experiment_by_name(name)
        if experiment is None:
            artifacts = None if is_server else store.artifacts_uri()
            kind = {"mlflow.experimentKind": "custom_model_development"}  # the UI takes others for GenAI
            return client, client.create_experiment(name, artifacts, {**kind, view.TAG: view.STATE})
        if experiment.lifecycle_stage == "deleted":
            client.restore_experiment(experiment.experiment_id)
            print(f"MLflow: experiment {name} was deleted; it is restored, with its runs", file=sys.stderr)
        if experiment.tags.get(view.TAG) != view.STATE:
            client.set_experiment_tag(experiment.experiment_id, view.TAG, view.STATE)
    return client, experiment.experiment_id


def _create_store() -> None:
    """Create the project's own store, unless it is there."""
    import mlflow

    if not store.path().exists():
        partial = work_cache_path() / "mlflow.db.partial"
        partial.unlink(missing_ok=True)
        mlflow.MlflowClient(store.sqlite_uri(partial))
        partial.rename(store.path())


def _tags(content_key: str) -> dict[str, str]:
    about = {section: read(section) for section in ("model", "dataset", "split", "train")}
    commit = os.environ.get("DVC_EXP_BASELINE_REV") or _git_commit()
    tags = {
        "content_key": content_key,
        "model": model_class(about),
        "dataset": str(about["dataset"]["name"]),
        "split": str(about["split"]["name"]),
        "seed": str(about["train"]["seed"]),
        "dvc.exp_name": os.environ.get("DVC_EXP_NAME", ""),
        "mlflow.runName": " · ".join(parts(about)),
        "mlflow.source.git.commit": commit,
        "git.commit": commit,  # MLflow's page hides its own tags
        **context(),
    }
    for data in ("features/features.h5", "split/split.csv"):
        with Path("data", data).open("rb") as file:
            # MD5, as in dvc.lock
            tags[f"data.{Path(data).name}.md5"] = hashlib.file_digest(file, "md5").hexdigest()
    return {key: value for key, value in tags.items() if value}


def _git_commit() -> str:
    try:
        command = ["git", "rev-parse", "HEAD"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def _parameters() -> dict[str, str]:
    """Return the parameters by flat name, as MLflow stores them."""
    values = flat({section: read(section) for section in SECTIONS if section not in NOT_LOGGED})
    return {key: str(value)[:MAX_VALUE] for key, value in values.items()}


def _result_parameters(parameters: Mapping[str, str]) -> dict[str, str]:
    """Return those that can change a result."""
    return {key: value for key, value in parameters.items() if not key.startswith("runtime.")}


def _read(received: "SimpleQueue[str]") -> None:
    for line in sys.stdin:
        received.put(line)
    received.put("")


def main() -> None:
    """Log what standard input says: the sender's process id, then one method and its arguments a line."""
    received: SimpleQueue[str] = SimpleQueue()
    Thread(target=_read, args=[received]).start()  # the sender never waits for this process to be ready
    lines, tracker = iter(received.get, ""), None
    sender = next(lines, "")
    try:
        tracker = Tracker()
        with ExitStack() as watch:
            for line in lines:
                if (
                    f"{os.getppid()}\n" != sender
                ):  # the sender was killed; if resumed, it sends everything again
                    return
                method, arguments, tracker.now_ms = json.loads(line)
                getattr(tracker, method)(**arguments)
                if method == "start":
                    watch.enter_context(tracker.watch())
    except Exception as error:
        reason = in_one_line(error)[:300]
        print(
            f"warning: MLflow tracking failed and is off for this run: {type(error).__name__}: {reason}",
            file=sys.stderr,
        )
        with suppress(Exception):
            if tracker is not None:
                tracker.end("FAILED")


if __name__ == "__main__":
    run_command(main)
