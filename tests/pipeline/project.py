"""A copy of the project in a folder, run by the real DVC on a little music made here."""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from dvc.repo import Repo

ROOT = Path(__file__).parents[2]
RATE_HZ = 22050
UNTRACKED = "runtime.tracking=off"
SMALL = (
    "segment.length_s=1.0",
    "pictures.duration_s=1.0",
    "train.epochs=2",
    "evaluate.bootstrap_samples=100",
    "runtime.device=cpu",
)


def write_music(folder: Path) -> None:
    """Three classes of six tracks of four seconds: low and high chords, and noise in bursts."""
    rng = np.random.default_rng(0)
    time_s = np.arange(4 * RATE_HZ) / RATE_HZ
    for label, low_hz in (("low", 110), ("high", 880), ("noise", 0)):
        (folder / label).mkdir(parents=True)
        for i in range(6):
            chord = sum(np.sin(2 * np.pi * (low_hz * (1 + i / 12)) * k * time_s) for k in (1, 1.25, 1.5))
            bursts = rng.standard_normal(len(time_s)) * (np.sin(2 * np.pi * (2 + i) * time_s) > 0)
            samples = (0.2 * chord if low_hz else 0.2 * bursts) + 0.01 * rng.standard_normal(len(time_s))
            soundfile.write(folder / label / f"{i}.wav", samples.astype(np.float32), RATE_HZ)


class Project:
    """A copy of the project, for experiments on a folder of music if one is given.

    Parameters
    ----------
    folder : Path
    music : Path or None
    keep_lock : bool
        Whether the copy has the committed dvc.lock, whose outputs are in no cache of the copy.
    """

    def __init__(self, folder: Path, music: Path | None = None, keep_lock: bool = False):
        self.folder = folder
        self.music = music
        names = ["ls-files", "--cached", "--others", "--exclude-standard", "-z"]
        for name in self.git(*names, cwd=ROOT).split("\0"):
            if name and not name.startswith("tests/") and (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(ROOT / name, folder / name)
        if not keep_lock:
            (folder / "dvc.lock").unlink(missing_ok=True)
        self.git("init", "--quiet")
        self.commit("the project")

    @classmethod
    def existing(cls, folder: Path, music: Path | None) -> "Project":
        """The project that is in `folder` already."""
        project = cls.__new__(cls)
        project.folder, project.music = folder, music
        return project

    def clone(self, folder: Path) -> "Project":
        """Clone the last commit into `folder`, as git does for someone who is new to the project."""
        self.git("clone", "--quiet", str(self.folder), str(folder))
        return Project.existing(folder, self.music)

    def git(self, *words: str, cwd: Path | None = None) -> str:
        name = ("-c", "user.name=t", "-c", "user.email=t@localhost")
        return subprocess.run(
            ["git", *name, *words], cwd=cwd or self.folder, check=True, capture_output=True, text=True
        ).stdout

    def commit(self, message: str) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", message)

    def run(
        self, *words: str, env: dict[str, str] | None = None, timeout_s: float = 280
    ) -> subprocess.CompletedProcess[str]:
        """Run a program of the virtual environment in the project; standard error joins the output."""
        own = {k: v for k, v in os.environ.items() if not k.startswith(("DVC_", "MLFLOW_"))}
        own["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{own['PATH']}"
        return subprocess.run(
            words, cwd=self.folder, env=own | (env or {}), text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout_s,
        )  # fmt: skip

    def dvc(self, *words: str, env: dict[str, str] | None = None, timeout_s: float = 280) -> str:
        done = self.run("dvc", *words, env=env, timeout_s=timeout_s)
        assert done.returncode == 0, done.stdout
        return done.stdout

    def experiment(self, *overrides: str) -> list[str]:
        """Run the small pipeline with `overrides`; return the names of the stages that ran."""
        return stages_run(self.dvc("exp", "run", *self.settings(*overrides)))

    def settings(self, *overrides: str) -> list[str]:
        """The options of `dvc exp run` that make the pipeline small, and `overrides`."""
        settings = ("dataset=folder", f"dataset.path={self.music}", *SMALL, *overrides)
        return [word for setting in settings for word in ("-S", setting)]

    def reset(self) -> None:
        """Go back to the last commit, outputs included."""
        self.git("checkout", "--quiet", ".")
        self.dvc("checkout", "--quiet", "--force")

    def wait_for_queue(self, timeout_s: float = 400) -> None:
        """Wait until no experiment is queued or running."""
        deadline = time.monotonic() + timeout_s
        while {"Queued", "Running"} & {entry["status"] for entry in self.queue()}:
            assert time.monotonic() < deadline, self.dvc("queue", "status")
            time.sleep(2)

    def queue(self) -> list[dict[str, Any]]:
        """The rows of `dvc queue status`, without a process that takes seconds from what is waited for."""
        with Repo(str(self.folder)) as repo:
            entries: list[dict[str, Any]] = repo.experiments.celery_queue.status()
        return entries

    def status(self) -> dict[str, str]:
        """What DVC says of each changed stage, by the stage's name."""
        with Repo(str(self.folder)) as repo:
            changed = repo.status().items()
        return {name.rpartition(":")[2]: str(changes) for name, changes in changed}  # less dvc.yaml's path


def stages_run(output: str) -> list[str]:
    """Names of the stages that a DVC command says it ran."""
    return re.findall(r"^Running stage '(\w+)'", output, flags=re.MULTILINE)
