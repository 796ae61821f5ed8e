"""Run many experiments, such as `python -m stages.grid model=mlp,cnn split=kfold 'split.fold=range(0,5)'`.

python -m stages.grid WORDS [--jobs 2]   run all that the words make and that has not finished yet
python -m stages.grid WORDS --dry-run    say what that would be: cells, hours, disk
python -m stages.grid list               the grids of this project
python -m stages.grid resume NAME        go on with one
python -m stages.grid delete NAME        delete its experiments and their runs

It can be killed at any moment; started again, it ends what it has left behind, and does what is left.
`--name NAME` names a grid; else its words do. A cell whose experiment has finished is never run again.
"""

import hashlib
import os
import re
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from stages.core.errors import EncoreError, did_you_mean
from stages.core.workspace import root
from stages.entry.command import run_command

if TYPE_CHECKING:
    from stages.experiments.grid import Outcome
    from stages.experiments.record import Record

COMMANDS = ("list", "resume", "delete")
MOST_JOBS = 64
DIGITS = 6  # of the words' hash, in the name of a grid that got none


@dataclass
class Asked:
    """What the command line asks for."""

    words: list[str] = field(default_factory=list)
    command: str = "run"
    name: str = ""
    jobs: int = 1
    is_dry_run: bool = False


def asked(arguments: Sequence[str]) -> Asked:
    """Read the command line.

    Raises
    ------
    EncoreError
        If an option is unknown, or has no or a wrong value.
    """
    asked = Asked()
    left = iter(arguments)
    for argument in left:
        if argument == "--dry-run":
            asked.is_dry_run = True
        elif argument == "--jobs":
            asked.jobs = _number(next(left, ""))
        elif argument == "--name":
            asked.name = _name(next(left, ""))
        elif argument.startswith("-"):
            known = ("--jobs", "--dry-run", "--name")
            raise EncoreError(
                f"{argument}: not an option; options: {', '.join(known)}{did_you_mean(argument, known)}"
            )
        elif "=" in argument:
            asked.words.append(argument)
        elif argument in COMMANDS and asked.command == "run":
            asked.command = argument
            if argument != "list":
                asked.name = _name(next(left, ""))
        else:
            raise EncoreError(
                f"{argument}: should be KEY=VALUE, or one of {', '.join(COMMANDS)}"
                f"{did_you_mean(argument, COMMANDS)}"
            )
    if (asked.command == "run") != bool(asked.words):
        raise EncoreError("give the words of a grid, such as model=mlp,cnn train.seed=0,1, or `list`")
    return asked


def _number(value: str) -> int:
    if not value.isdecimal() or not 1 <= int(value) <= MOST_JOBS:
        raise EncoreError(f"--jobs {value}: should be a number from 1 to {MOST_JOBS}")
    return int(value)


def _name(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", value):
        raise EncoreError(
            f"{value or 'the name'}: should be letters, digits, dots, _ and -; `list` has the names"
        )
    return value


def main() -> None:
    """Run, list or delete grids, as the command line says."""
    from stages.experiments.record import Record

    wanted = asked(sys.argv[1:])
    project = root()
    if not (project / "conf/config.yaml").is_file():
        raise EncoreError(f"{Path.cwd()}: not in an Encore project")
    os.chdir(project)
    if wanted.command == "list":
        print("\n".join(_lines(Record.all(project), project)))
        return
    record = _record(wanted, project)
    if wanted.is_dry_run:
        _print_plan(record, wanted.jobs, project)
        return
    with record.alone():
        if wanted.command == "delete":
            _delete(record, project)
        elif not _run(record, wanted.jobs, project):
            sys.exit(1)


def _record(wanted: Asked, project: Path) -> "Record":
    """Return the grid that the command line means."""
    from stages.experiments.record import GRIDS, Record

    if wanted.command != "run":
        return Record.load(project / GRIDS / wanted.name)
    digest = hashlib.sha256(" ".join(wanted.words).encode()).hexdigest()[:DIGITS]
    return Record.named(project, wanted.name or f"grid-{digest}", wanted.words)


def _print_plan(record: "Record", jobs: int, project: Path) -> None:
    from stages.experiments.cells import make_cells
    from stages.experiments.estimate import estimate
    from stages.experiments.git import snapshot
    from stages.experiments.grid import finished
    from stages.tracking.groups import Group

    cells = make_cells(record.words, project, snapshot(project))
    group = Group(record.name)
    there = finished(cells, project, group if cells[0].is_tracked else None)
    left = [cell for cell in cells if cell.name not in there]
    made = [cell for cell in cells if cell.name in there]
    for cell in cells:
        print(f"{cell.name:<44} {'finished' if cell.name in there else 'to run':<9} {' '.join(cell.words)}")
    cost = estimate(left, made, group.past(), project)
    free = shutil.disk_usage(project).free
    print(f"\n{record.name}: {len(cells)} cells, {len(made)} finished, {len(left)} to run")
    if cost.seconds is None:
        print("time: not known, since no run on this dataset has finished")
    else:
        print(f"time: about {duration(cost.seconds / min(jobs, max(1, len(left))))} with {jobs} at a time")
    print(f"disk: about {cost.bytes / 1e9:.2g} GB of {free / 1e9:.0f} GB free, less what DVC's cache has")


def _run(record: "Record", jobs: int, project: Path) -> bool:
    """Run what is left of a grid; return whether all of it has finished."""
    from stages.experiments.cells import make_cells
    from stages.experiments.git import snapshot
    from stages.experiments.grid import Grid, finished
    from stages.experiments.runner import run
    from stages.tracking.groups import Group

    began = time.monotonic()
    commit = snapshot(project)
    cells = make_cells(record.words, project, commit)
    record.cells = [cell.name for cell in cells]
    record.save()
    group = Group(record.name) if cells[0].is_tracked else None
    if n_processes := record.end_left(project, commit):
        print(f"grid: ended {n_processes} processes that were left")
    there = finished(cells, project, group)
    note = f"A grid: {' '.join(record.words)}"
    with _interruptible(), _shown(len(cells)) as show, group.opened(note) if group else nullcontext():
        if group:
            group.adopt(there)
        grid = Grid(cells, record.folder, there, group, show)
        run(grid, record.slots(jobs, project, commit), record.folder)
    for line in _summary(record, grid.outcome, time.monotonic() - began):
        print(line)
    return not grid.outcome.failed


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let a polite end of this process, or of its terminal, do what Ctrl-C does."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    except KeyboardInterrupt:
        print("\ngrid: interrupted; all processes are ended, and the same command goes on", file=sys.stderr)
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _shown(n_cells: int) -> "Iterator[Callable[[Outcome, list[str]], None]]":
    """Show a progress bar over cells, whose estimate is that of all that run at a time."""
    from tqdm import tqdm

    with tqdm(
        desc="grid", total=n_cells, unit="cell", disable=None, smoothing=0.0, dynamic_ncols=True
    ) as bar:

        def show(outcome: "Outcome", running: list[str]) -> None:
            if not bar.n:
                bar.initial = bar.n = len(outcome.finished)
            failed = f"{len(outcome.failed)} failed; " if outcome.failed else ""
            bar.n = len(outcome.finished) + len(outcome.failed)
            bar.set_postfix_str(failed + ", ".join(running))

        yield show


def _summary(record: "Record", outcome: "Outcome", seconds: float) -> list[str]:
    """Return what has come of a grid, in lines."""
    n = len(record.cells)
    ran = ", ".join(f"{stage} {times}" for stage, times in outcome.stages.items())
    lines = [f"{record.name}: {len(outcome.finished)} of {n} cells finished; {duration(seconds)}"]
    lines += [f"stages run: {ran}"] if ran else []
    lines += [f"failed: {name}: {why}" for name, why in sorted(outcome.failed.items())]
    if outcome.failed:
        lines.append(f"what failed cells printed is in {record.folder}; the same command tries them again")
    return lines


def duration(seconds: float) -> str:
    """Return a duration in words, such as ``1 h 05 min``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def _lines(records: "Sequence[Record]", project: Path) -> list[str]:
    """Return a line for each grid."""
    from stages.experiments.git import experiments

    there = experiments(project)
    lines = [f"{'grid':<24}{'cells':>6}{'finished':>10}{'failed':>8}  words"]
    for record in records:
        n_finished = sum(name in there for name in record.cells)
        counts = f"{len(record.cells):>6}{n_finished:>10}{len(record.failures()):>8}"
        lines.append(f"{record.name:<24}{counts}  {' '.join(record.words)}")
    return lines


def _delete(record: "Record", project: Path) -> None:
    from stages.experiments.grid import delete
    from stages.tracking.groups import Group

    n_experiments, n_runs = delete(project, record, Group(record.name))
    print(
        f"{record.name}: {n_experiments} experiments and {n_runs} runs are deleted; `dvc gc` frees the disk"
    )


if __name__ == "__main__":
    run_command(main, takes_words=True)
