"""Makes a finished run a version of a registered model in MLflow, which takes audio."""

import shlex
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from stages.core.errors import EncoreError, in_one_line
from stages.tracking.logged_models import AUDIO, download, log_audio_model

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

BEST_BY = "valid/accuracy"  # never by test, which is kept to say how good the best one is
PORT = 5001  # beside MLflow's page


def register(name: str, run_id: str) -> str:
    """Register a run in the store that MLflow is connected to, unless the model has a version of it.

    Parameters
    ----------
    name : str
        Of the registered model, which is created if there is none.
    run_id : str
        A run that has the model of arrays and the evaluation's metrics.json: of these the model of audio is
        made, if the run has none yet.

    Returns
    -------
    str
        A line that says which version it is, and how to serve it.

    Raises
    ------
    EncoreError
        If the run has lost its model or its results, MLflow refuses, or as `log_audio_model` says.
    """
    import mlflow

    client = mlflow.MlflowClient()
    try:
        run = client.get_run(run_id)
        of_run = client.search_model_versions(f"run_id = '{run_id}'")
        versions = [int(found.version) for found in of_run if found.name == name]
        verb = "is already" if versions else "is"
        if not versions:
            model_id = _logged(client, run) or _log(client, run)
            with redirect_stderr(StringIO()):  # where it says what the line below does
                versions = [int(mlflow.register_model(f"models:/{model_id}", name).version)]
    except mlflow.MlflowException as error:
        raise EncoreError(f"MLflow does not register run {run_id}: {in_one_line(error)[:200]}") from None
    version = max(versions)
    accuracy = f", validation accuracy {run.data.metrics[BEST_BY]:.3f}" if BEST_BY in run.data.metrics else ""
    address = shlex.quote(f"models:/{name}/{version}")
    place = f"MLFLOW_TRACKING_URI={shlex.quote(mlflow.get_tracking_uri())}"
    return (
        f"{name} version {version} {verb} {run.info.run_name} (run {run_id}{accuracy}); to serve it: "
        f"{place} mlflow models serve --env-manager local --port {PORT} --model-uri {address}"
    )


def _logged(client: "MlflowClient", run: "Run") -> str:
    """Return the id of the model of audio that a run has; empty: it has none."""
    found = client.search_logged_models(
        [run.info.experiment_id], f"source_run_id = '{run.info.run_id}' AND name = '{AUDIO}'"
    )
    ready = [model for model in found if model.status == "READY"]  # not one whose logging was killed
    return str(ready[0].model_id) if ready else ""


def _log(client: "MlflowClient", run: "Run") -> str:
    """Log the model of audio from what the run itself has; return its id."""
    with TemporaryDirectory() as folder:
        model, metrics = download(client, run.info.run_id, str(run.info.run_name), Path(folder))
        return log_audio_model(run.info.run_id, model, metrics)
