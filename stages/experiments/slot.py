"""A copy of the project in which one cell after another runs, so that nothing happens to the project itself.

`dvc exp run --temp` makes such a copy, too, but prepares it in the project: killed there, it leaves HEAD
detached, changes stashed and params.yaml overwritten; and two that start at once can take each other's words.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from stages.core.errors import EncoreError
from stages.experiments import processes
from stages.experiments.git import experiments, git

KILLED = "killed by signal"  # how the reason of a cell begins whose dvc was


class Slot:
    """A place where cells run, one at a time.

    Parameters
    ----------
    project : Path
        The project's root.
    folder : Path
        Where the copy is, or will be; below ``.dvc/tmp`` of the project, so that the project's work cache and
        MLflow store serve it, too (`stages.core.workspace.root`).
    snapshot : str
        The commit whose files it has; the branch stays at the project's own commit.
    """

    def __init__(self, project: Path, folder: Path, snapshot: str):
        self._project, self.folder, self._snapshot = project, folder, snapshot
        self._head = git(project, "rev-parse", "HEAD")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, name: str, words: Sequence[str], log: Path, tags: Mapping[str, str], target: str) -> None:
        """Start an experiment, up to a stage if `target` names one; the copy is made if there is none."""
        if not self.folder.exists():
            self.make()
        if earlier := experiments(self.folder).get(name):  # of an equal trial; DVC wants each name once
            git(self.folder, "update-ref", "-d", earlier)
        settings = [part for word in words for part in ("-S", word)]
        self._start(
            ["-m", "dvc", "exp", "run", "--name", name, *settings, *target.split()], log, _context(tags)
        )

    def evaluate(self, name: str, log: Path, tags: Mapping[str, str]) -> int:
        """Evaluate once more what the last experiment has left here; return the exit status."""
        experiment = {"DVC_EXP_NAME": name, "DVC_EXP_BASELINE_REV": self._head}
        self._start(["-m", "stages.evaluate"], log, experiment | _context(tags))
        assert self._process is not None
        return self._process.wait()

    def _start(self, words: Sequence[str], log: Path, env: Mapping[str, str]) -> None:
        self._process = processes.start([sys.executable, *words], self.folder, log, self.folder, env)

    def status(self) -> int | None:
        """Return the exit status of what runs; None: it still does."""
        assert self._process is not None
        return self._process.poll()

    def bring_back(self, name: str) -> bool:
        """Give the project an experiment that has ended here; False if there is none."""
        reference = experiments(self.folder).get(name)
        if reference is None:
            return False
        quietly = ("--quiet", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance")
        git(self._project, "fetch", *quietly, str(self.folder), f"+{reference}:{reference}")
        return True

    def remove(self) -> None:
        """End what runs here, and remove the copy."""
        processes.end(self.folder)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _identity(self) -> list[str]:
        """Return who commits in the project, if its own configuration says it."""
        with suppress(EncoreError):  # git's answer if it does not
            return git(
                self._project, "config", "--local", "--get-regexp", r"^user\.(name|email)$"
            ).splitlines()
        return []

    def make(self) -> None:
        """Make the copy."""
        from dvc.repo import Repo

        self.remove()
        partial = self.folder.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.parent.mkdir(parents=True, exist_ok=True)
        git(self._project, "clone", "--quiet", "--shared", "--no-checkout", "--no-tags", ".", str(partial))
        git(partial, "checkout", "--quiet", "--detach", self._head)
        git(partial, "read-tree", "-u", "--reset", self._snapshot)  # all files as in the snapshot
        git(partial, "reset", "--quiet")  # and what differs from the commit is not staged
        for line in self._identity():
            git(partial, "config", *line.split(" ", 1))
        with suppress(FileNotFoundError):
            shutil.copyfile(self._project / ".dvc/config.local", partial / ".dvc/config.local")
        with (
            Repo(str(self._project)) as project,
            Repo(str(partial)) as copy,
            copy.config.edit("local") as config,
        ):
            config.setdefault("cache", {})["dir"] = project.cache.local_cache_dir
        partial.rename(self.folder)


def _context(tags: Mapping[str, str]) -> dict[str, str]:
    return {"MLFLOW_RUN_CONTEXT": json.dumps(dict(tags))}


def reason(log: Path, status: int | None) -> str:
    """Return why a cell has failed: what the stage, else DVC, says last."""
    if status is not None and status < 0:
        return f"{KILLED} {-status}"
    lines = [line.strip() for line in log.read_text("utf-8", "replace").splitlines() if line.strip()]
    said = [line for line in lines if line.startswith("error: ")] or [
        line for line in lines if line.startswith("ERROR: ")
    ]
    return said[-1].partition(": ")[2] if said else (lines[-1] if lines else f"exit status {status}")
