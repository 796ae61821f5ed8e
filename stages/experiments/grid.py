"""The cells of a grid: which of them can start, and what they have come to."""

import re
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from stages.experiments import processes
from stages.experiments.cells import Cell
from stages.experiments.git import experiments, git
from stages.experiments.record import Record
from stages.experiments.runner import log_of
from stages.experiments.shared import Shared
from stages.experiments.slot import Slot, reason
from stages.experiments.terminal import Show
from stages.tracking.groups import Group

GIVE_UP = 2  # cells that fail in a stage with the same inputs: the others that need it are not tried
STARTED = re.compile(r"^Running stage '(\w+)'", re.MULTILINE)
FAILED = re.compile(r"failed to reproduce '(\w+)'")


@dataclass
class Outcome:
    """What a grid has come to.

    Attributes
    ----------
    finished : list of str
        Cells that have an experiment, and a finished run if they are tracked.
    failed : dict of str to str
        Why, by cell.
    stages : Counter
        How many times each stage ran.
    """

    finished: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    stages: Counter[str] = field(default_factory=Counter)


class Grid:
    """Those cells of a grid that have not finished; see `stages.experiments.runner.Work`.

    Parameters
    ----------
    cells : sequence of Cell
    folder : Path
        Of the grid.
    there : sequence of str
        Names of the cells that have finished.
    group : Group or None
        Their runs in MLflow; None: they are not tracked.
    show : Show
        Gets how many have ended, and the names of those that run.
    """

    def __init__(
        self,
        cells: Sequence[Cell],
        folder: Path,
        there: Sequence[str],
        group: Group | None,
        show: Show,
    ):
        self.outcome = Outcome([*there])
        self._waiting = [cell for cell in cells if cell.name not in there]
        self._folder, self._group, self._show = folder, group, show
        self._shared = Shared(cell for cell in cells if cell.name in there)
        self._broken: dict[str, list[str]] = {}  # reasons, by key of the stage that failed
        self.changed([])

    def next(self, running: Sequence[Cell]) -> Cell | None:
        """Return a cell that shares with none of those that run an output which is still to be made."""
        cell = next((cell for cell in self._waiting if self._shared.may_start(cell, running)), None)
        if cell:
            self._waiting.remove(cell)
        return cell

    def tags(self, cell: Cell) -> Mapping[str, str]:
        """Return the tags of a cell's run in MLflow."""
        return self._group.tags(cell.name) if self._group else {}

    def changed(self, running: Sequence[Cell]) -> None:
        """Show what runs."""
        n_failed = len(self.outcome.failed)
        names = [f"{n_failed} failed"] * (n_failed > 0) + [cell.name for cell in running]
        self._show(len(self.outcome.finished) + n_failed, ", ".join(names))

    def ended(self, cell: Cell, slot: Slot, why: str, said: str) -> str:
        """Take note of the end of a cell; return why it has failed, if it has."""
        self.outcome.stages.update(STARTED.findall(said))
        if not why and self._group:
            why = self._assert_run(self._group, cell, slot)
        if not why:
            self._shared.add(cell)
            self.outcome.finished.append(cell.name)
            return ""
        self.outcome.failed[cell.name] = why
        if stage := FAILED.search(said):
            whys = self._broken.setdefault(cell.keys[stage[1]], [])
            whys.append(why)
            if len(whys) == GIVE_UP:
                self._give_up(cell.keys[stage[1]], why)
        return why

    def _assert_run(self, group: Group, cell: Cell, slot: Slot) -> str:
        """Log the cell's run from its outputs if DVC had all of them; return why that fails, if it does."""
        if group.take(cell.name):
            return ""
        log = log_of(self._folder, cell).with_suffix(".evaluate.log")
        status = slot.evaluate(cell.name, log, self.tags(cell))
        return "" if group.take(cell.name) else f"MLflow has no run of it: {reason(log, status)}"

    def _give_up(self, key: str, why: str) -> None:
        """Fail those cells at once that need what two have failed to make."""
        hopeless = [cell for cell in self._waiting if key in cell.keys.values()]
        for cell in hopeless:
            self._waiting.remove(cell)
            self.outcome.failed[cell.name] = why
            log_of(self._folder, cell).with_suffix(".failed").write_text(why, "utf-8")


def finished(cells: Sequence[Cell], project: Path, group: Group | None) -> list[str]:
    """Return the names of cells that have an experiment, and a finished run if there is a group."""
    experiment_of = experiments(project)
    there = [cell.name for cell in cells if cell.name in experiment_of]
    return group.finished(there) if group else there


def delete(project: Path, record: Record, group: Group) -> tuple[int, int]:
    """Delete what no other grid has: experiments in DVC, and runs in MLflow; return how many of each."""
    processes.end(record.folder)
    others = {name for other in Record.all(project) if other.name != record.name for name in other.cells}
    there = experiments(project)
    references = [there[name] for name in record.all_cells if name in there and name not in others]
    for reference in references:
        git(project, "update-ref", "-d", reference)
    n_runs = group.delete()
    shutil.rmtree(record.folder)
    return len(references), n_runs
