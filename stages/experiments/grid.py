"""Runs the cells of a grid: one copy of the project for each of those that run at a time."""

import json
import re
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stages.core.errors import EncoreError
from stages.core.workspace import replaced
from stages.experiments import processes
from stages.experiments.cells import Cell
from stages.experiments.git import experiments, git
from stages.experiments.slot import Slot, reason
from stages.tracking.groups import Group

GRIDS = Path(".dvc/tmp/grids")  # git and DVC leave it alone; each project has its own
POLL_S = 0.1
GIVE_UP = 2  # cells that fail in a stage with the same inputs: the others that need it are not tried
STARTED = re.compile(r"^Running stage '(\w+)'", re.MULTILINE)
FAILED = re.compile(r"failed to reproduce '(\w+)'")


@dataclass
class Record:
    """What a grid is, as it is kept on the disk.

    Attributes
    ----------
    folder : Path
    words : list of str
        Such as ``model=mlp,cnn``.
    cells : list of str
        Names of the cells at the last start.
    """

    folder: Path
    words: list[str]
    cells: list[str] = field(default_factory=list)

    @classmethod
    def load(cls, folder: Path) -> "Record":
        """Read a grid.

        Raises
        ------
        EncoreError
            If there is none of that name.
        """
        try:
            known: dict[str, Any] = json.loads((folder / "grid.json").read_bytes())
        except (OSError, ValueError):
            there = ", ".join(sorted(path.name for path in folder.parent.glob("*"))) or "no grid"
            raise EncoreError(f"{folder.name}: no grid of that name; there is {there}") from None
        return cls(folder, known["words"], known["cells"])

    @classmethod
    def all(cls, project: Path) -> list["Record"]:
        """Return the grids of a project by name."""
        return [cls.load(path.parent) for path in sorted((project / GRIDS).glob("*/grid.json"))]

    @property
    def name(self) -> str:
        """Name of the grid."""
        return self.folder.name

    def save(self) -> None:
        """Write it to the disk."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with replaced(self.folder / "grid.json") as path:
            path.write_text(json.dumps({"words": self.words, "cells": self.cells}), "utf-8")

    def failures(self) -> dict[str, str]:
        """Return why cells failed at the last start, by name."""
        failed = sorted(self.folder.glob("*.failed"))
        return {path.stem: path.read_text("utf-8") for path in failed if path.stem in self.cells}

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the grid, so that no other process runs or deletes it.

        Raises
        ------
        EncoreError
            If one does.
        """
        from filelock import FileLock, Timeout

        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self.folder / "lock", timeout=0):
                yield
        except Timeout:
            raise EncoreError(f"{self.name}: another process runs this grid; end that one first") from None


@dataclass
class Outcome:
    """What a run of a grid has come to.

    Attributes
    ----------
    finished : list of str
        Cells that have an experiment, and their run if they are tracked.
    failed : dict of str to str
        Why, by cell.
    runs : dict of str to Run
        Of tracked cells that have finished.
    stages : Counter
        How many times each stage ran.
    """

    finished: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    runs: dict[str, Any] = field(default_factory=dict)
    stages: Counter[str] = field(default_factory=Counter)


class Runner:
    """Runs those cells of a grid that have not finished.

    Parameters
    ----------
    project : Path
    record : Record
    snapshot : str
        The commit whose files cells run.
    group : Group or None
        Their runs in MLflow; None: they are not tracked.
    """

    def __init__(self, project: Path, record: Record, snapshot: str, group: Group | None):
        self._project, self._record, self._snapshot, self._group = project, record, snapshot, group
        self._made: set[str] = set()  # keys of stages whose outputs are in DVC's cache
        self._broken: dict[str, list[str]] = {}  # reasons, by key of the stage that failed

    def end_left(self) -> tuple[int, int]:
        """End what a killed run of this grid has left behind; return how many processes and runs that were."""
        n_processes = processes.end(self._record.folder)
        for path in self._slots.glob("*"):
            self._slot(path.name).remove()
        return n_processes, self._group.close() if self._group else 0

    def run(
        self, cells: Sequence[Cell], jobs: int, on_change: Callable[[Outcome, list[str]], None]
    ) -> Outcome:
        """Run the cells that have not finished.

        Two that need an output which is not there yet never run at a time: the first one makes it.

        Parameters
        ----------
        cells : sequence of Cell
        jobs : int
            How many run at a time.
        on_change : callable
            Gets what has ended, and the names of those that run, whenever that changes.
        """
        outcome = Outcome(runs=finished(cells, self._project, self._group))
        if self._group:
            self._group.adopt(outcome.runs)
        outcome.finished = list(outcome.runs)
        waiting = [cell for cell in cells if cell.name not in outcome.runs]
        free = [self._slot(str(number)) for number in range(jobs)]
        running: dict[Slot, Cell] = {}
        try:
            while waiting or running:
                while free and (cell := self._next(waiting, list(running.values()))):
                    waiting.remove(cell)
                    slot = free.pop()
                    running[slot] = cell
                    slot.start(cell.name, cell.words, self._log(cell), self._tags(cell))
                    on_change(outcome, [cell.name for cell in running.values()])
                for slot, cell in [
                    (slot, cell) for slot, cell in running.items() if slot.status() is not None
                ]:
                    self._end(slot, cell, outcome)
                    del running[slot]
                    free.append(slot)
                    self._give_up(waiting, outcome)
                    on_change(outcome, [cell.name for cell in running.values()])
                time.sleep(POLL_S)
        finally:
            for slot in (*free, *running):
                slot.remove()
            if self._group:
                self._group.close()
        return outcome

    @property
    def _slots(self) -> Path:
        return self._record.folder / "slots"

    def _slot(self, name: str) -> Slot:
        return Slot(self._project, self._slots / name, self._snapshot)

    def _log(self, cell: Cell) -> Path:
        return self._record.folder / f"{cell.name}.log"

    def _tags(self, cell: Cell) -> dict[str, str]:
        return self._group.tags(cell.name) if self._group else {}

    def _next(self, waiting: Sequence[Cell], running: Sequence[Cell]) -> Cell | None:
        in_work = {key for cell in running for key in self._missing(cell)}
        return next((cell for cell in waiting if not in_work & self._missing(cell)), None)

    def _missing(self, cell: Cell) -> set[str]:
        return set(cell.keys.values()) - self._made

    def _end(self, slot: Slot, cell: Cell, outcome: Outcome) -> None:
        log = self._log(cell)
        said = log.read_text("utf-8", "replace")
        outcome.stages.update(STARTED.findall(said))
        processes.end(slot.folder)  # dvc may be dead, and its stage alive
        failure = log.with_suffix(".failed")
        failure.unlink(missing_ok=True)
        why = "" if slot.status() == 0 and slot.bring_back(cell.name) else reason(log, slot.status())
        if not why and self._group:
            why = self._log_run(slot, cell, outcome)
        if not why:
            self._made.update(cell.keys.values())
            outcome.finished.append(cell.name)
            return
        outcome.failed[cell.name] = why
        failure.write_text(why, "utf-8")
        if stage := FAILED.search(said):
            self._broken.setdefault(cell.keys[stage[1]], []).append(why)
        slot.remove()  # what a failed stage has left there is not in DVC's cache

    def _log_run(self, slot: Slot, cell: Cell, outcome: Outcome) -> str:
        """Find the cell's run, or log it from the outputs if DVC had all of them; return why there is none."""
        assert self._group is not None
        if not (run := self._group.run_of(cell.name)):
            log = self._log(cell).with_suffix(".evaluate.log")
            status = slot.evaluate(cell.name, log, self._tags(cell))
            if not (run := self._group.run_of(cell.name)):
                return f"MLflow has no run of it: {reason(log, status)}"
        outcome.runs[cell.name] = run
        return ""

    def _give_up(self, waiting: list[Cell], outcome: Outcome) -> None:
        """Do not try what two cells have failed in, with the same inputs."""
        hopeless = {key: whys[-1] for key, whys in self._broken.items() if len(whys) >= GIVE_UP}
        for cell in [*waiting]:
            if keys := hopeless.keys() & set(cell.keys.values()):
                waiting.remove(cell)
                outcome.failed[cell.name] = why = hopeless[next(iter(keys))]
                self._log(cell).with_suffix(".failed").write_text(why, "utf-8")


def finished(cells: Sequence[Cell], project: Path, group: Group | None) -> dict[str, Any]:
    """Return the finished cells, each with its run in MLflow, or None if there is no group."""
    experiment_of = experiments(project)
    there = [cell.name for cell in cells if cell.name in experiment_of]
    return dict.fromkeys(there) if group is None else dict(group.finished(there))


def delete(project: Path, record: Record, group: Group) -> tuple[int, int]:
    """Delete a grid: its experiments in DVC, and its runs in MLflow; return how many of each."""
    processes.end(record.folder)
    there = experiments(project)
    references = [there[name] for name in record.cells if name in there]
    for reference in references:
        git(project, "update-ref", "-d", reference)
    n_runs = group.delete()
    shutil.rmtree(record.folder)
    return len(references), n_runs
