"""Grids and searches in a clone whose pipeline has run, killed in the middle, as people type them.

The tests build on one another.
"""

import csv
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from stages.experiments.processes import MARK
from tests.pipeline.project import SMALL, Project

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
CELLS = ("model=mlp", "train.seed=0,7")  # the first one was queued before: DVC has all of it


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory, shared: Path, explored: Project) -> Project:
    """A copy of the clone in which four models were queued; somebody has begun to edit a file."""
    folder = tmp_path_factory.mktemp("grids") / "encore"
    shutil.copytree(shared / "as_queued", folder, symlinks=True)
    (folder / "CHANGELOG.md").write_text("mine\n")
    return Project.existing(folder, explored.music)


def words(clone: Project, *own: str) -> list[str]:
    return ["dataset=folder", f"dataset.path={clone.music}", *SMALL, *own]


def grid(clone: Project, *own: str, command: str = "grid") -> subprocess.CompletedProcess[str]:
    return clone.run(sys.executable, "-m", f"stages.{command}", *own, env={"PYTHONPATH": str(clone.folder)})


def left(clone: Project) -> Iterator[str]:
    """The processes of cells, by their command lines."""
    for process in psutil.process_iter():
        try:
            is_ours = process.environ().get(MARK, "").startswith(str(clone.folder))
            if is_ours and process.status() != psutil.STATUS_ZOMBIE:
                yield " ".join(process.cmdline())
        except psutil.Error:
            continue


def runs(clone: Project, name: str) -> list[Run]:
    client = MlflowClient(f"sqlite:///{clone.folder / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("encore")
    assert experiment is not None
    return list(client.search_runs([experiment.experiment_id], f"tags.grid = '{name}'"))


def test_a_plan_runs_nothing(clone: Project) -> None:
    said = grid(clone, *words(clone, *CELLS), "--name", "mine", "--jobs", "2", "--dry-run").stdout
    assert "mine: 2 cells, 0 finished, 2 to run" in said
    assert "time: about" in said
    assert "disk: about" in said
    assert not (clone.folder / ".dvc/tmp/grids").exists()


def test_killed_in_a_training_and_started_again(clone: Project) -> None:
    """What is left of the killed one is ended; each cell has one experiment and one finished run."""
    before = clone.git("status", "--porcelain")
    command = [sys.executable, "-m", "stages.grid", *words(clone, *CELLS), "--name", "mine", "--jobs", "2"]
    env = {key: value for key, value in os.environ.items() if not key.startswith(("DVC_", "MLFLOW_"))}
    killed = subprocess.Popen(
        command,
        cwd=clone.folder,
        env=env | {"PYTHONPATH": str(clone.folder)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    while not any("stages.train" in line for line in left(clone)):
        assert time.monotonic() < deadline
        assert killed.poll() is None
        time.sleep(0.1)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert [*left(clone)], "its cells live on"

    said = grid(clone, "resume", "mine", "--jobs", "2")
    assert said.returncode == 0, said.stdout
    assert "mine: ended" in said.stdout
    assert "mine: 2 of 2 cells finished" in said.stdout
    assert not [*left(clone)]
    assert not [*(clone.folder / ".dvc/tmp/grids/mine/slots").glob("*")]
    assert clone.git("status", "--porcelain") == before
    finished = [run for run in runs(clone, "mine") if run.info.status == "FINISHED"]  # others were killed
    cells = {run.data.tags["cell"]: run for run in finished if "cell" in run.data.tags}
    assert sorted(name.rpartition("-")[0] for name in cells) == ["mlp-folder-seed0", "mlp-folder-seed7"]
    parents = [run for run in finished if "cell" not in run.data.tags]
    assert (len(finished), len(parents)) == (2 + 1, 1)
    for run in cells.values():
        assert run.data.tags["mlflow.parentRunId"] == parents[0].info.run_id
        assert "test/accuracy" in run.data.metrics
    assert set(cells) <= set(clone.dvc("exp", "list", "--name-only").split())


def test_what_has_finished_is_not_run_again_and_what_fails_is_named(clone: Project) -> None:
    """Of two cells one is that of the grid before."""
    own = words(clone, "model=mlp", "train.seed=7", "train.learning_rate=0.001,1e30")
    said = grid(clone, *own, "--name", "other")
    assert said.returncode == 1
    assert "other: 1 of 2 cells finished" in said.stdout
    assert "train 1" in said.stdout
    assert "training diverged" in said.stdout
    table = [line.split()[:4] for line in grid(clone, "list").stdout.splitlines()]
    assert table == [
        ["name", "cells", "finished", "failed"],
        ["mine", "2", "2", "0"],
        ["other", "2", "1", "1"],
    ]


def test_a_new_file_of_code_that_git_does_not_know_is_refused(clone: Project) -> None:
    (clone.folder / "models/new.py").write_text("")
    said = grid(clone, *words(clone, *CELLS), "--name", "mine")
    (clone.folder / "models/new.py").unlink()
    assert said.returncode == 1
    assert "models/new.py: git does not know this file" in said.stdout


def test_a_search_looks_at_test_once(clone: Project) -> None:
    """Of three trials of two values at least two are equal."""
    own = words(clone, "model=mlp", "train.learning_rate=0.001,0.004")
    own.remove("train.epochs=2")
    options = ["--trials", "3", "--rungs", "1,2", "--name", "sought", "--jobs", "2"]
    said = grid(clone, *own, *options, command="search")
    assert said.returncode == 0, said.stdout
    assert "best of 3 trials on validation" in said.stdout
    assert "linear baseline" in said.stdout
    with (clone.folder / "data/search/trials.csv").open(newline="") as file:
        trials = [*csv.DictReader(file)]
    assert len(trials) == 3
    of_search = runs(clone, "sought")
    assert sorted(run.data.tags["trial"] for run in of_search if "trial" in run.data.tags) == ["0", "1", "2"]
    tested = [run for run in of_search if any(name.startswith("test") for name in run.data.metrics)]
    assert [run.data.tags.get("cell", "").rpartition("-")[0] for run in tested] == ["mlp-folder-seed0"]
    best = max(trials, key=lambda trial: (trial["state"] == "complete", float(trial["valid_accuracy"])))
    assert best["words"] == f"train.learning_rate={tested[0].data.params['train.learning_rate']}"
    there = clone.dvc("exp", "list", "--name-only").split()
    assert [name for name in there if name == tested[0].data.tags["cell"]], "the best is an experiment"
    assert len([name for name in there if name.startswith("mlp-folder-seed0")]) == 2, "trials are none"
    again = grid(clone, "resume", "sought", command="search")
    assert again.returncode == 0, again.stdout
    assert len(runs(clone, "sought")) == len(of_search)


def test_a_grid_is_deleted_but_for_what_another_one_has(clone: Project) -> None:
    before = set(clone.dvc("exp", "list", "--name-only").split())
    assert "other: 0 experiments and" in grid(clone, "delete", "other").stdout
    assert grid(clone, "resume", "other").stdout.endswith("no grid of that name; there is mine, sought\n")
    finished = [run for run in runs(clone, "mine") if run.info.status == "FINISHED"]
    assert len([run for run in finished if "cell" in run.data.tags]) == 2
    assert "mine: 2 experiments and" in grid(clone, "delete", "mine").stdout
    assert len(before - set(clone.dvc("exp", "list", "--name-only").split())) == 2
    assert not runs(clone, "mine")
