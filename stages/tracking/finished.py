"""Finished runs in MLflow: what they were, and where their results are."""

import csv
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stages.core.errors import EncoreError, did_you_mean
from stages.tracking.client import MLFLOW
from stages.tracking.process import connect

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

NAME = "name"  # the run's name, beside tags and parameters


@dataclass(frozen=True)
class Finished:
    """A run that evaluate has completed.

    Attributes
    ----------
    name : str
    started_ms : int
        Since 1970.
    about : mapping of str to str
        Its tags and parameters.
    seconds : float
        Of the training.
    predictions : list of dict
        The rows of predictions.csv.
    largest_class : str
    n_train : int
        Number of training tracks.
    """

    name: str
    started_ms: int
    about: Mapping[str, str]
    seconds: float
    predictions: list[dict[str, str]]
    largest_class: str
    n_train: int


def finished_runs(wanted: Mapping[str, Sequence[str]]) -> list[Finished]:
    """Return the finished runs whose tags and parameters have one of the wanted values, the latest first.

    Parameters
    ----------
    wanted : mapping of str to sequence of str
        By tag (``model``), parameter (``split.name``), or ``name``.

    Raises
    ------
    EncoreError
        If there is no such run, no run has a key, or the results of one are missing or of an older version.
    """
    for setting, value in MLFLOW.items():  # before MLflow is imported
        os.environ.setdefault(setting, value)
    client, experiment_id = connect()
    runs: list[Run] = []
    token = None
    while token != "":
        page = client.search_runs(
            [experiment_id],
            "attributes.status = 'FINISHED'",
            order_by=["attributes.start_time DESC"],
            page_token=token,
        )
        runs += page
        token = page.token or ""
    runs = [run for run in runs if "content_key" in run.data.tags]  # others are a user's own
    if not runs:
        raise EncoreError("no run has finished yet; `dvc exp run` makes one")
    known = {key for run in runs for key in _about(run)}
    for key in wanted:
        if key not in known:
            raise EncoreError(f"no run has {key}{did_you_mean(key, known)}")
    for key, values in wanted.items():
        there = sorted({_about(run).get(key, "") for run in runs})
        for value in values:
            if value not in there:
                raise EncoreError(f"{key}={value}: no such run; there are {', '.join(there[:10])}")
    chosen = [run for run in runs if all(_about(run).get(key) in values for key, values in wanted.items())]
    if not chosen:
        raise EncoreError("no run has all of these values together")
    return [_read(client, run) for run in chosen]


def _about(run: "Run") -> dict[str, str]:
    tags = {key: value for key, value in run.data.tags.items() if not key.startswith("mlflow.")}
    commit = run.data.tags.get("mlflow.source.git.commit", "")
    return {**run.data.params, **tags, "commit": commit, NAME: str(run.info.run_name)}


def _read(client: "MlflowClient", run: "Run") -> Finished:
    from mlflow import MlflowException

    run_id, name = run.info.run_id, str(run.info.run_name)
    seconds = sum(metric.value for metric in client.get_metric_history(run_id, "seconds"))
    try:
        folder = Path(client.download_artifacts(run_id, "evaluation"))
        predictions, confused = (_rows(folder / f"{table}.csv") for table in ("predictions", "confusion"))
        metrics = json.loads((folder / "metrics.json").read_text("utf-8"))
    except (OSError, MlflowException, ValueError):
        raise EncoreError(
            f"run {name} ({run_id}) has lost its results; delete it in MLflow's page, or choose others by "
            "KEY=VALUE"
        ) from None
    if not predictions or "unit" not in predictions[0]:
        raise EncoreError(
            f"run {name} ({run_id}) is of an older version, without what compare needs; run it again, or "
            "choose others by KEY=VALUE"
        )
    return Finished(
        name=name,
        started_ms=run.info.start_time,
        about=_about(run),
        seconds=seconds,
        predictions=predictions,
        largest_class=metrics["largest_class"]["label"],
        n_train=sum(int(row["n"]) for row in confused if row["split"] == "train"),
    )


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
