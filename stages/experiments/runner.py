"""Runs cells, some at a time: one copy of the project for each of them."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from stages.experiments import processes
from stages.experiments.cells import Cell
from stages.experiments.slot import Slot, reason

POLL_S = 0.1


class Work(Protocol):
    """What is to be run, and what becomes of it."""

    def next(self, running: Sequence[Cell]) -> Cell | None:
        """Return a cell that can start beside those that run; None while none runs: all is done."""

    def tags(self, cell: Cell) -> Mapping[str, str]:
        """Return the tags of a cell's run in MLflow."""

    def ended(self, cell: Cell, slot: Slot, why: str, said: str) -> str:
        """Take note of the end of a cell.

        Parameters
        ----------
        cell : Cell
        slot : Slot
            Where its outputs are.
        why : str
            It has failed; empty: it has an experiment now.
        said : str
            What DVC and its stages have printed.

        Returns
        -------
        str
            Why it has failed; empty: it has not.
        """

    def changed(self, running: Sequence[Cell]) -> None:
        """Show what runs, whenever that changes."""


def log_of(folder: Path, cell: Cell) -> Path:
    """Return where the folder of a grid has what a cell has printed."""
    return folder / f"{cell.name}.log"


def run(work: Work, slots: Sequence[Slot], folder: Path) -> None:
    """Run all of some work; at an error or an interruption, too, no process and no copy is left.

    Parameters
    ----------
    work : Work
    slots : sequence of Slot
        As many as cells run at a time.
    folder : Path
        Where their logs go.
    """
    free, running = [*slots], dict[Slot, Cell]()
    try:
        while True:
            while free and (cell := work.next([*running.values()])):
                slot = free.pop()
                running[slot] = cell
                slot.start(cell.name, cell.words, log_of(folder, cell), work.tags(cell), cell.target)
                work.changed([*running.values()])
            if not running:
                return
            for slot in [slot for slot in running if slot.status() is not None]:
                cell = running.pop(slot)
                _end(work, cell, slot, folder)
                free.append(slot)
                work.changed([*running.values()])
            time.sleep(POLL_S)
    finally:
        for slot in slots:
            slot.remove()


def _end(work: Work, cell: Cell, slot: Slot, folder: Path) -> None:
    processes.end(slot.folder)  # dvc may be dead, and its stage alive
    log, status = log_of(folder, cell), slot.status()
    failure = log.with_suffix(".failed")
    failure.unlink(missing_ok=True)
    # up to a stage before the last one, its metrics would be those of the last commit
    is_there = status == 0 and (cell.target or slot.bring_back(cell.name))
    why = work.ended(cell, slot, "" if is_there else reason(log, status), log.read_text("utf-8", "replace"))
    if why:
        failure.write_text(why, "utf-8")
        slot.remove()  # what a failed stage has left there is not in DVC's cache
