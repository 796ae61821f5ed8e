"""Finished runs in MLflow: what they were, and their results."""

import csv
import json
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from stages.core.errors import EncoreError, did_you_mean, in_one_line
from stages.core.workspace import new_folder, work_cache
from stages.tracking.client import MLFLOW
from stages.tracking.logged_models import download
from stages.tracking.names import GRID, grids_of
from stages.tracking.process import connect

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

EXPERIMENT = "dvc.exp_name"  # a tag
NAME = "name"  # the run's name, beside tags and parameters
NEEDED = ("predictions.csv", "confusion.csv", "metrics.json")  # of the folder evaluation
BETWEEN_VALUES = re.compile(r",(?![^\[]*\])")  # not within a list


@dataclass(frozen=True)
class Finished:
    """A run that evaluate has completed.

    Attributes
    ----------
    run_id, name, commit : str
    started : str
        Local time, such as 2026-01-31 12:00.
    metrics : mapping of str to float
    tags, parameters : mapping of str to str
        Of Encore, and of the user.
    """

    run_id: str
    name: str
    commit: str
    started: str
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    parameters: Mapping[str, str]

    @property
    def about(self) -> dict[str, str]:
        """Everything by which it can be chosen."""
        return {**self.tags, **self.parameters, "commit": self.commit, NAME: self.name}

    def values(self, key: str) -> list[str]:
        """Return the values that it can be chosen by: one, or of `grid` several, or none."""
        if key == GRID:
            return grids_of(self.tags)
        return [plain(self.about[key])] if key in self.about else []


@dataclass(frozen=True)
class Results:
    """The results of a run.

    Attributes
    ----------
    seconds : float
        Of the training.
    predictions : list of dict
        The rows of predictions.csv.
    largest_class : str
    n_train : int
        Number of training tracks.
    """

    seconds: float
    predictions: list[dict[str, str]]
    largest_class: str
    n_train: int


class Store:
    """MLflow's store of the project's runs, or the one that MLFLOW_TRACKING_URI names.

    Raises
    ------
    EncoreError
        If it cannot be reached.
    """

    def __init__(self) -> None:
        with answering():
            self._client, runs = _finished()
        # others are a user's own
        self.runs = [_described(run) for run in runs if "content_key" in run.data.tags]

    def chosen(self, wanted: Mapping[str, Sequence[str]]) -> list[Finished]:
        """Return the runs whose tags and parameters have one of the wanted values, the latest first.

        Parameters
        ----------
        wanted : mapping of str to sequence of str
            By tag (``model``), parameter (``split.name``), ``commit`` or ``name``; without spaces and quotes.

        Raises
        ------
        EncoreError
            If there is no such run, or no run has a key.
        """
        if not self.runs:
            raise EncoreError("no run has finished yet; `encore run` makes one")
        known = {key for run in self.runs for key in run.about}
        for key, values in wanted.items():
            if key not in known:
                raise EncoreError(f"no run has {key}{did_you_mean(key, known)}")
            there = sorted({value for run in self.runs for value in run.values(key)})
            for value in values:
                if value not in there:
                    raise EncoreError(f"{key}={value}: no such run; there are {', '.join(there[:10])}")
        chosen = [
            run for run in self.runs if all({*run.values(key)} & {*values} for key, values in wanted.items())
        ]
        if not chosen:
            raise EncoreError("no run has all of these values together")
        return chosen

    def model(self, wanted: str) -> tuple[Finished, Path, Path]:
        """Fetch the model of a run into the work cache.

        Parameters
        ----------
        wanted : str
            The run's id, its name, or that of its experiment in DVC.

        Returns
        -------
        run : Finished
        model, metrics : Path
            See `stages.tracking.logged_models.download`.

        Raises
        ------
        EncoreError
            If there is no such run, or several have that name, or it has lost its model.
        """
        found = [run for run in self.runs if wanted in (run.run_id, run.name, run.tags.get(EXPERIMENT))]
        if not found:
            names = sorted({run.name for run in self.runs})
            raise EncoreError(
                f"{wanted}: no finished run{did_you_mean(wanted, names)}; `encore runs` lists them"
            )
        if len(found) > 1:
            ids = (f"{run.run_id} ({run.started}, {run.tags.get(EXPERIMENT, 'dvc repro')})" for run in found)
            raise EncoreError(f"{wanted}: {len(found)} runs are called so; give an id: {', '.join(ids)}")
        (run,) = found
        folder = work_cache("models") / run.run_id
        with new_folder(folder) as fetched:
            paths = download(self._client, run.run_id, run.name, fetched)
            model, metrics = (folder / path.relative_to(fetched) for path in paths)
        return run, model, metrics

    def results(self, run: Finished) -> Results:
        """Read the results of a run.

        Raises
        ------
        EncoreError
            If they are missing, damaged or of an older version.
        """
        from mlflow import MlflowException

        try:
            seconds = sum(metric.value for metric in self._client.get_metric_history(run.run_id, "seconds"))
            with TemporaryDirectory() as folder:
                paths = [
                    self._client.download_artifacts(run.run_id, f"evaluation/{name}", folder)
                    for name in NEEDED
                ]
                return read_results(run, Path(paths[0]).parent, seconds)
        except (OSError, MlflowException):
            raise _unusable(run, "has lost its results") from None


def read_results(run: Finished, evaluation: Path, seconds: float) -> Results:
    """Read the results of a run from a folder ``evaluation``.

    Raises
    ------
    EncoreError
        If they are damaged or of an older version.
    OSError
        If they are missing.
    """
    try:
        predictions, confused = (_rows(evaluation / name) for name in NEEDED[:2])
        largest_class = json.loads((evaluation / NEEDED[2]).read_text("utf-8"))["largest_class"]["label"]
        n_of = Counter({"train": 0, "test": 0})
        for row in confused:
            n_of[row["split"]] += int(row["n"])
    except (ValueError, KeyError):
        raise _unusable(run, "has lost its results") from None
    if predictions and "unit" not in predictions[0]:
        raise _unusable(run, "is of an older version, without what compare needs")
    if not predictions or len(predictions) != n_of["test"]:
        raise _unusable(run, "has lost some of its results")
    return Results(seconds, predictions, largest_class, n_of["train"])


def wanted(words: Sequence[str]) -> dict[str, list[str]]:
    """Return what words such as ``model=CNN,LSTM`` choose, for `Store.chosen`.

    Raises
    ------
    EncoreError
        If one is not KEY=VALUE.
    """
    found: dict[str, list[str]] = {}
    for word in words:
        key, _, text = word.partition("=")
        values = [plain(value) for value in BETWEEN_VALUES.split(text) if plain(value)]
        if not key or not values:
            raise EncoreError(f"{word!r} is not KEY=VALUE, such as model=CNN,LSTM")
        found.setdefault(key, []).extend(values)
    return found


def plain(value: str) -> str:
    """Return a value without spaces and quotes: lists are the same however they are written."""
    return "".join(sign for sign in value if sign not in " '\"")


@contextmanager
def answering() -> Iterator[None]:
    """Set what MLflow reads when it is imported; in the block, say in a line if it does not answer.

    Raises
    ------
    EncoreError
        Which store that is, and what MLflow says.
    """
    for setting, value in MLFLOW.items():
        os.environ.setdefault(setting, value)
    from mlflow import MlflowException

    try:
        yield
    except MlflowException as error:
        given = os.environ.get("MLFLOW_TRACKING_URI", "mlflow.db")
        raise EncoreError(f"MLflow at {given} does not answer: {in_one_line(error)[:200]}") from None


def _finished() -> "tuple[MlflowClient, list[Run]]":
    from mlflow import search_runs

    client, experiment_id = connect()
    runs = search_runs(
        [experiment_id],
        filter_string="attributes.status = 'FINISHED'",
        order_by=["attributes.start_time DESC"],
        output_format="list",
    )
    return client, runs


def _described(run: "Run") -> Finished:
    tags = {key: value for key, value in run.data.tags.items() if not key.startswith("mlflow.")}
    commit = run.data.tags.get("mlflow.source.git.commit", "")
    info, data = run.info, run.data
    started = datetime.fromtimestamp(info.start_time / 1000).strftime("%Y-%m-%d %H:%M")
    return Finished(info.run_id, str(info.run_name), commit, started, data.metrics, tags, dict(data.params))


def _unusable(run: Finished, why: str) -> EncoreError:
    return EncoreError(f"run {run.name} ({run.run_id}) {why}; run it again, or choose others by KEY=VALUE")


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
