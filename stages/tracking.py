"""MLflow; the only module that imports it.

One run per training: `train` opens it, `evaluate` completes it. The two find each other by the content
key of the training, because nothing that DVC hashes may hold a run's id. When DVC restored the model
from its cache and no run is there, `evaluate` makes one from the files. Tracking that fails warns and
never ends a training.
"""

import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from stages.params import flat, read
from stages.workspace import root, work_cache, work_cache_path

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from stages.tables import Epoch
    from stages.trained import Description

EXPERIMENT = "encore"
SECTIONS = (  # without `pictures`: one page more makes no other experiment
    "dataset",
    "audio",
    "segment",
    "split",
    "features",
    "baseline",
    "model",
    "train",
    "schedule",
    "loss",
    "augment",
    "evaluate",
    "runtime",
)
MAX_VALUE = 500  # characters of a parameter; MLflow refuses the whole batch over a longer one


class TrackedRun:
    """An MLflow run that is under way, or nothing at all where tracking is off or has failed."""

    def __init__(self, client: "MlflowClient | None" = None, run_id: str = "", n_epochs: int = 0):
        self._client = client
        self.run_id = run_id
        self._n_epochs = n_epochs  # that it has already

    def log_epoch(self, epoch: "Epoch", seconds: float | None = None) -> None:
        """Log a row of the history, unless it was logged before a training was killed."""
        if epoch.epoch > self._n_epochs:
            metrics = {k: v for k, v in asdict(epoch).items() if k != "epoch"}
            self.log_metrics(metrics | ({} if seconds is None else {"seconds": seconds}), epoch.epoch)

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Log metrics at a step."""
        with self.warn_on_failure() as client:
            from mlflow.entities import Metric

            now = int(time.time() * 1000)
            client.log_batch(self.run_id, [Metric(name, value, now, step) for name, value in metrics.items()])

    def end(self, status: str) -> None:
        """Set the final status."""
        with self.warn_on_failure() as client:
            client.set_terminated(self.run_id, status)

    @contextmanager
    def warn_on_failure(self) -> Iterator[Any]:
        """Give the client to a block whose failure is a warning, and the end of tracking this run."""
        try:
            if self._client is not None:
                yield self._client
            else:
                yield _Nobody()
        except Exception as error:
            client, run_id = self._client, self.run_id
            self._client, self.run_id = None, ""
            _warn(error)
            if client is not None:
                with suppress(Exception):
                    client.set_terminated(run_id, "FAILED")


class _Nobody:
    """Takes every call of a client and does nothing."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: None


@contextmanager
def open_run(mode: str, content_key: str, killed: str = "") -> Iterator[TrackedRun]:
    """Open the run of a training.

    Parameters
    ----------
    mode : {'on', 'off'}
    content_key : str
        Of the training.
    killed : str
        Id of the run in which this training was killed; it goes on.

    Yields
    ------
    TrackedRun
        Left open for `complete_run`; marked as failed if the block fails.
    """
    run = _start(content_key, killed) if mode == "on" else TrackedRun()
    try:
        yield run
    except BaseException as error:
        run.end("KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED")
        raise


def complete_run(
    mode: str,
    description: "Description",
    history: Sequence["Epoch"],
    metrics: Mapping[str, float],
    evaluation: Path,
    pictures: Path,
    model: Path,
) -> None:
    """Complete the run of a training with what `evaluate` found.

    Parameters
    ----------
    mode : {'on', 'off'}
    description : Description
        Of the trained model; its content key finds the run.
    history : sequence of Epoch
        Logged only if the run has to be made anew.
    metrics : mapping of str to float
        Test metrics by flat name.
    evaluation, pictures, model : Path
        Folders whose files become artifacts, the last as a pyfunc model.
    """
    if mode == "off":
        return
    try:
        client, experiment_id = _connect()
        key = f"tags.content_key = '{description.content_key}'"
        found = client.search_runs([experiment_id], key, order_by=["start_time DESC"])
    except Exception as error:
        _warn(error)
        return
    # A run whose other parameters differ (of the baseline, of the evaluation) tells of another experiment.
    parameters = _parameters()
    mine = [run for run in found if _result_parameters(run.data.params) == _result_parameters(parameters)]
    mine.sort(key=lambda run: run.data.tags.get("dvc.exp_name", "") != os.environ.get("DVC_EXP_NAME", ""))
    if mine:
        run = TrackedRun(client, mine[0].info.run_id)
    else:
        run = _start(description.content_key)
        for epoch in history:
            run.log_epoch(epoch)
    run.log_metrics(metrics)
    with run.warn_on_failure() as tracked:
        # MLflow's comparison of runs shows the artifacts at the top side by side: figures and overview.
        tracked.log_artifacts(run.run_id, str(evaluation / "figures"))
        tracked.log_artifacts(run.run_id, str(pictures))
        for file in sorted(path for path in evaluation.iterdir() if path.is_file()):
            tracked.log_artifact(run.run_id, str(file), "evaluation")
        if run.run_id:
            _log_model(run.run_id, description, model)
    run.end("FINISHED")


def _start(content_key: str, killed: str = "") -> TrackedRun:
    try:
        client, experiment_id = _connect()
        tags = _tags(content_key)
        if killed and (run := _go_on(client, killed, tags)):
            return run
        run_id = client.create_run(experiment_id, tags=tags, run_name=tags["mlflow.runName"]).info.run_id
    except Exception as error:
        _warn(error)
        return TrackedRun()
    run = TrackedRun(client, run_id)
    with run.warn_on_failure():
        from mlflow.entities import Param

        client.log_batch(run_id, params=[Param(key, value) for key, value in _parameters().items()])
    return run


def _go_on(client: "MlflowClient", killed: str, tags: Mapping[str, str]) -> TrackedRun | None:
    """The run of a training that was killed, if it is still there and of the same parameters."""
    from mlflow.exceptions import MlflowException

    try:
        found = client.get_run(killed)
    except MlflowException:
        return None
    is_same = _result_parameters(found.data.params) == _result_parameters(_parameters())
    if found.info.lifecycle_stage != "active" or not is_same:
        return None
    for key, value in tags.items():
        client.set_tag(killed, key, value)
    client.update_run(killed, status="RUNNING")
    logged = client.get_metric_history(killed, "valid_loss")
    return TrackedRun(client, killed, max((metric.step for metric in logged), default=0))


def _connect() -> "tuple[MlflowClient, str]":
    """A client and the experiment's id, both made if need be.

    The store and its artifacts are at the workspace's root, whatever folder a stage runs in. A fresh
    SQLite store breaks if processes create it at once or one is killed half-way, so it is created under
    a lock and a temporary name.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    # A server that does not answer is given up after seconds; MLflow's own patience is many minutes.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")  # it remarks on all that it does
    import mlflow
    from filelock import FileLock

    given = os.environ.get("MLFLOW_TRACKING_URI", "")
    store, partial = root() / "mlflow.db", work_cache_path() / "mlflow.db.partial"
    is_server = bool(given) and not given.startswith(("sqlite:", "file:", "postgresql", "mysql", "mssql"))
    artifacts = None if is_server else (root() / "mlartifacts").as_uri()
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME", EXPERIMENT)
    with FileLock(work_cache("locks") / "mlflow.lock", timeout=120):
        if not given and not store.exists():
            partial.unlink(missing_ok=True)
            mlflow.MlflowClient(_sqlite(partial))
            partial.rename(store)
        mlflow.set_tracking_uri(given or _sqlite(store))
        client = mlflow.MlflowClient()
        experiment = client.get_experiment_by_name(name)
        if experiment is None:
            kind = {"mlflow.experimentKind": "custom_model_development"}  # else the UI takes it for GenAI
            return client, client.create_experiment(name, artifacts, kind)
    return client, experiment.experiment_id


def _sqlite(path: Path) -> str:
    return f"sqlite:///{quote(str(path))}"


def _tags(content_key: str) -> dict[str, str]:
    model = str(read("model")["_target_"]).removeprefix("models.")
    dataset = str(read("dataset")["name"])
    name = os.environ.get("DVC_EXP_NAME", "")
    tags = {
        "content_key": content_key,
        "model": model,
        "dataset": dataset,
        "dvc.exp_name": name,
        "mlflow.runName": name or f"{model.lower()}-{dataset}-{content_key[:6]}",
        "mlflow.source.git.commit": os.environ.get("DVC_EXP_BASELINE_REV") or _git_commit(),
    }
    for data in ("features/features.h5", "split/split.csv"):
        with Path("data", data).open("rb") as file:
            # MD5, to be found again in dvc.lock
            tags[f"data.{Path(data).name}.md5"] = hashlib.file_digest(file, "md5").hexdigest()
    return {key: value for key, value in tags.items() if value}


def _git_commit() -> str:
    try:
        command = ["git", "rev-parse", "HEAD"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def _log_model(run_id: str, description: "Description", model: Path) -> None:
    import warnings
    from importlib.metadata import version

    import mlflow
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    shape = tuple(description.kwargs["input_shape"])
    signature = ModelSignature(
        inputs=Schema([TensorSpec(description.dtype, (-1, *shape))]),
        outputs=Schema([TensorSpec(np.dtype(np.float64), (-1, len(description.labels)))]),
    )
    here = Path(__file__).parent
    needed = ("mlflow", "numpy", "safetensors", "torch")
    with warnings.catch_warnings(), mlflow.start_run(run_id=run_id):
        warnings.simplefilter("ignore")  # about the optional input example
        mlflow.pyfunc.log_model(
            name="model",
            loader_module="stages.trained",
            data_path=str(model),
            code_paths=[str(here), str(here.parent / "models")],
            signature=signature,
            pip_requirements=[f"{name}=={version(name)}" for name in needed],
        )


def _parameters() -> dict[str, str]:
    """params.yaml by flat name, as MLflow keeps it."""
    values = flat({section: read(section) for section in SECTIONS})
    return {key: str(value)[:MAX_VALUE] for key, value in values.items()}


def _result_parameters(parameters: Mapping[str, str]) -> dict[str, str]:
    """Those that can change a result."""
    return {key: value for key, value in parameters.items() if not key.startswith("runtime.")}


def _warn(error: Exception) -> None:
    reason = " ".join(str(error).split())[:300]
    print(
        f"warning: MLflow tracking failed and is off for this run: {type(error).__name__}: {reason}",
        file=sys.stderr,
    )
