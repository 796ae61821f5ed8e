"""Run many experiments, such as `encore grid model=mlp,cnn split=kfold 'split.fold=range(0,5)'`.

encore grid WORDS [--jobs 2]   run all that the words make and that has not finished yet
encore grid WORDS --dry-run    say what that would be: cells, hours, disk
encore grid list               grids and searches of this project
encore grid resume NAME        go on with one
encore grid delete NAME        delete its experiments and their runs

It can be killed at any moment; started again, it ends what it has left behind, and does what is left.
`--name NAME` names a grid; else its words do. A cell whose experiment has finished is never run again.
"""

import hashlib
import shutil
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from stages.core.errors import EncoreError
from stages.entry.command import run_command

if TYPE_CHECKING:
    from stages.experiments.grid import Outcome
    from stages.experiments.record import Record
    from stages.experiments.terminal import Asked

COMMANDS = ("list", "resume", "delete")
OPTIONS = {"jobs": True, "dry-run": False, "name": True}
DIGITS = 6  # of the words' hash, in the name of a grid that got none


def main() -> None:
    """Run, list or delete grids, as the command line says."""
    from stages.experiments.record import Record
    from stages.experiments.terminal import asked, enter_project

    wanted = asked(sys.argv[1:], COMMANDS, OPTIONS)
    project = enter_project()
    if wanted.command == "list":
        print("\n".join(_lines(Record.all(project), project)))
        return
    record = _record(wanted, project)
    if wanted.command != "delete" and record.trials:
        raise EncoreError(f"{record.name} is a search; encore search resume {record.name}")
    if "dry-run" in wanted.options:
        _print_plan(record, wanted.jobs, project)
        return
    with record.alone():
        if wanted.command == "delete":
            _delete(record, project)
        elif not _run(record, wanted.jobs, project):
            sys.exit(1)


def _record(wanted: "Asked", project: Path) -> "Record":
    """Return the grid that the command line means."""
    from stages.experiments.record import Record

    if wanted.command:
        return Record.load(project, wanted.name)
    digest = hashlib.sha256(" ".join(wanted.words).encode()).hexdigest()[:DIGITS]
    return Record.named(project, wanted.name or f"grid-{digest}", wanted.words)


def _print_plan(record: "Record", jobs: int, project: Path) -> None:
    from stages.experiments.cells import Maker
    from stages.experiments.estimate import estimate
    from stages.experiments.git import snapshot
    from stages.experiments.grid import finished
    from stages.experiments.terminal import duration
    from stages.tracking.groups import Group

    with Maker(project, snapshot(project)) as maker:
        cells, sizes = maker.make(record.words), maker.sizes
    group = Group(record.name)
    there = finished(cells, project, group if cells[0].is_tracked else None)
    made, left = ([cell for cell in cells if (cell.name in there) == is_made] for is_made in (True, False))
    for cell in cells:
        print(f"{cell.name:<44} {'finished' if cell.name in there else 'to run':<9} {' '.join(cell.words)}")
    cost = estimate(left, made, group.past(), sizes)
    print(f"\n{record.name}: {len(cells)} cells, {len(made)} finished, {len(left)} to run")
    if cost.seconds is None:
        print("time: not known, since no run on this dataset has finished")
    else:
        print(f"time: about {duration(cost.seconds / min(jobs, max(1, len(left))))} with {jobs} at a time")
    free = shutil.disk_usage(project).free
    print(f"disk: about {cost.bytes / 1e9:.2g} GB of {free / 1e9:.0f} GB free, less what DVC's cache has")


def _run(record: "Record", jobs: int, project: Path) -> bool:
    """Run what is left of a grid; return whether all of it has finished."""
    from stages.experiments.cells import Maker
    from stages.experiments.git import snapshot
    from stages.experiments.grid import Grid, finished
    from stages.experiments.runner import run
    from stages.experiments.terminal import interruptible, shown
    from stages.tracking.groups import Group

    began = time.monotonic()
    commit = snapshot(project)
    with Maker(project, commit) as maker:
        cells = maker.make(record.words)
    record.have([cell.name for cell in cells])
    group = Group(record.name) if cells[0].is_tracked else None
    record.end_left()
    there = finished(cells, project, group)
    opened = group.opened(f"A grid: {' '.join(record.words)}") if group else nullcontext()
    with interruptible(), opened, shown("grid", len(cells), "cell") as show:
        if group:
            group.adopt(there)
        grid = Grid(cells, record.folder, there, group, show)
        run(grid, record.slots(jobs, project, commit), record.folder)
    for line in _summary(record, grid.outcome, time.monotonic() - began):
        print(line)
    if group and not grid.outcome.failed:
        print(f"compare: encore compare grid={record.name}")
    return not grid.outcome.failed


def _summary(record: "Record", outcome: "Outcome", seconds: float) -> list[str]:
    """Return what has come of a grid, in lines."""
    from stages.experiments.terminal import duration

    n = len(record.cells)
    ran = ", ".join(f"{stage} {times}" for stage, times in outcome.stages.items())
    lines = [f"{record.name}: {len(outcome.finished)} of {n} cells finished; {duration(seconds)}"]
    lines += [f"stages run: {ran}"] if ran else []
    lines += [f"failed: {name}: {why}" for name, why in sorted(outcome.failed.items())]
    if outcome.failed:
        lines.append(f"what failed cells printed is in {record.folder}; the same command tries them again")
    return lines


def _lines(records: "Sequence[Record]", project: Path) -> list[str]:
    """Return a line for each grid and search."""
    from stages.experiments.git import experiments

    there = experiments(project)
    lines = [f"{'name':<24}{'cells':>6}{'finished':>10}{'failed':>8}  words"]
    for record in records:
        n_finished = sum(name in there for name in record.cells)
        n_failed = sum(name not in there for name in record.failures())
        counts = f"{len(record.cells):>6}{n_finished:>10}{n_failed:>8}"
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
