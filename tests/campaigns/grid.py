"""A grid of 45 cells, killed again and again, must come to 45 experiments, 45 finished runs, and no more.

``python -m tests.campaigns.grid [--seed N] [--kills N] [--jobs N]``. At random moments SIGKILL ends the
command, ``dvc`` alone while its stage lives on, a stage, the process that tracks it, or all at once, as when
the machine is switched off. Then the same command is started again until it says that all is done.
"""

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from random import Random

import psutil
from mlflow import MlflowClient

from stages.experiments.processes import MARK
from stages.experiments.record import GRIDS
from tests.pipeline.project import SMALL, Project, write_music

WORDS = ("model=mlp,cnn,lstm", "split=kfold", "split.fold=range(0,5)", "train.seed=0,1,2")
NAME = "campaign"
WHO = {
    "the command": "stages.grid",
    "dvc alone": "dvc exp run",
    "a training": "stages.train",
    "an evaluation": "stages.evaluate",
    "the tracking": "stages.tracking.process",
    "all at once": "",
}


def command(project: Project, jobs: int) -> list[str]:
    """The command that a person types."""
    dataset = ("dataset=folder", f"dataset.path={project.music}")
    words = [*WORDS, *dataset, *SMALL]
    return [sys.executable, "-m", "stages.grid", *words, "--name", NAME, "--jobs", str(jobs)]


def start(project: Project, jobs: int, log: Path) -> "subprocess.Popen[bytes]":
    """Start it, with the code of the project alone."""
    env = {key: value for key, value in os.environ.items() if not key.startswith(("DVC_", "MLFLOW_"))}
    env |= {"PYTHONPATH": str(project.folder), "MLFLOW_DISABLE_TELEMETRY": "true"}
    with log.open("ab") as output:
        return subprocess.Popen(
            command(project, jobs), cwd=project.folder, env=env, stdout=output, stderr=output
        )


def alive(project: Project, runner: int) -> Iterator[tuple[int, str]]:
    """Yield id and command line of the runner and of all processes of its cells."""
    folder = str(project.folder / GRIDS)
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.status() == psutil.STATUS_ZOMBIE:
                continue
            if process.pid == runner or process.environ().get(MARK, "").startswith(folder):
                yield process.pid, " ".join(process.cmdline())


def kill(project: Project, runner: int, rng: Random) -> str:
    """Kill somebody; return who that was, or nothing if there is nobody left."""
    there = list(alive(project, runner))
    who = rng.choice([name for name, words in WHO.items() if any(words in line for _, line in there)] or [""])
    victims = [pid for pid, line in there if WHO[who] in line] if who else []
    for pid in victims if who == "all at once" else victims[:1]:
        with suppress(OSError):
            os.kill(pid, signal.SIGKILL)
    return who


def rows(project: Project) -> int:
    """The number of experiments that `dvc exp show` has."""
    shown = project.dvc("exp", "show", "--csv", "--no-pager")
    return len(re.findall(rf"^.*(?:{'|'.join(('mlp', 'cnn', 'lstm'))})-folder-.*$", shown, re.MULTILINE))


def main() -> None:
    """Run the campaign; the exit status says whether all held."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--jobs", type=int, default=2)
    given = parser.parse_args()
    rng = Random(given.seed)
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name).resolve()
        write_music(scratch / "music")
        (scratch / "project").mkdir()
        project = Project(scratch / "project", scratch / "music")
        project.dvc("config", "--local", "cache.type", "hardlink,copy")
        before = (
            project.git("status", "--porcelain"),
            project.git("rev-parse", "--symbolic-full-name", "HEAD"),
        )
        began, log, killed, n_starts = time.monotonic(), scratch / "log", Counter[str](), 0
        while True:
            runner = start(project, given.jobs, log)
            n_starts += 1
            while runner.poll() is None and killed.total() < given.kills:
                with suppress(subprocess.TimeoutExpired):
                    runner.wait(rng.uniform(2, 30))
                if runner.poll() is None and (who := kill(project, runner.pid, rng)):
                    killed[who] += 1
                    print(f"{time.monotonic() - began:6.0f} s: killed {who}", flush=True)
            if runner.wait() == 0:
                break
            if killed.total() >= given.kills and n_starts > given.kills + 3:
                break
        seconds = time.monotonic() - began
        said = log.read_text("utf-8", "replace")
        print(
            "\n".join(
                line for line in said.splitlines() if line.startswith(("grid:", "stages", NAME, "fail"))
            )
        )
        client = MlflowClient(f"sqlite:///{project.folder / 'mlflow.db'}")
        experiment = client.get_experiment_by_name("encore")
        assert experiment is not None
        runs = client.search_runs([experiment.experiment_id], f"tags.grid = '{NAME}'", max_results=1000)
        cells = [run for run in runs if "cell" in run.data.tags]
        status = Counter(run.info.status for run in cells)
        finished = {run.data.tags["cell"] for run in cells if run.info.status == "FINISHED"}
        expected = 45
        after = project.git("status", "--porcelain"), project.git("rev-parse", "--symbolic-full-name", "HEAD")
        checks = {
            "experiments in DVC": rows(project) == expected,
            "finished runs in MLflow, one for each cell": len(finished) == status["FINISHED"] == expected,
            "no run that still runs": status["RUNNING"] == 0,
            "no process left": not list(alive(project, -1)),
            "no copy left": not list((project.folder / GRIDS).glob("*/slots/*")),
            "the project is untouched": before == after,
        }
        size = sum(
            path.stat().st_size for path in (project.folder / ".dvc/cache").rglob("*") if path.is_file()
        )
        print(
            f"{n_starts} starts, {killed.total()} kills: {dict(killed)}; {seconds:.0f} s; runs {dict(status)}"
        )
        print(f"DVC's cache {size / 1e6:.0f} MB")
        for what, holds in checks.items():
            print(f"{'holds' if holds else 'VIOLATED'}: {what}")
        sys.exit(0 if all(checks.values()) else 1)


if __name__ == "__main__":
    main()
