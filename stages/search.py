"""Search for good settings, such as `encore search model=cnn 'model.dropout=interval(0.1,0.6)'`.

Each word with several values, a range or an interval is searched; the others are fixed.

encore search WORDS --trials 20 [--jobs 2] [--rungs 3,10,30]
encore search resume NAME   go on with one; with `--trials 40` to more trials

`list` and `delete NAME` of stages.grid know it, too.

Trials are compared by their accuracy on validation segments, and nothing is evaluated on test until the best
one is, once, at the end. With `--rungs` all trials get the first number of epochs, the better ones the next.
"""

import hashlib
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from stages.core.errors import EncoreError
from stages.core.workspace import outputs
from stages.entry.command import run_command

if TYPE_CHECKING:
    import optuna

    from stages.experiments.cells import Cell
    from stages.experiments.record import Record
    from stages.experiments.slot import Slot
    from stages.tracking.groups import Group

COMMANDS = ("resume",)
OPTIONS = {"trials": True, "jobs": True, "rungs": True, "name": True}
TRIALS, MOST_TRIALS = 20, 10_000
DIGITS = 6  # of the words' hash, in the name of a search that got none
FOLDER = Path("data/search")
OF_A_TRIAL = ("runtime.tracking=off", "tracking.register=null")  # each trial gets a run from the search


def main() -> None:
    """Run a search, or go on with one."""
    from stages.experiments.record import Record
    from stages.experiments.terminal import asked, enter_project, number

    wanted = asked(sys.argv[1:], COMMANDS, OPTIONS)
    project = enter_project()
    rungs = wanted.options.get("rungs", "")
    if wanted.command:
        record = Record.load(project, wanted.name)
        if not record.trials:
            raise EncoreError(f"{record.name} is a grid; encore grid resume {record.name}")
        if rungs:
            raise EncoreError("--rungs: a search keeps those that it began with; leave them out")
    else:
        digest = hashlib.sha256(" ".join([*wanted.words, rungs]).encode()).hexdigest()[:DIGITS]
        record = Record.named(project, wanted.name or f"search-{digest}", wanted.words, rungs)
    asked_for = wanted.options.get("trials", str(record.trials or TRIALS))
    record.trials = number("trials", asked_for, MOST_TRIALS)
    with record.alone():
        if not _run(record, wanted.jobs, project):
            sys.exit(1)


def _rungs(text: str) -> list[int]:
    """Return the epochs of each rung; none were given: those of the words, as 0."""
    given = text.split(",") if text else ["0"]
    rungs = [int(one) for one in given if one.isdecimal()]
    if len(rungs) < len(given) or rungs != sorted({*rungs}):
        raise EncoreError(f"--rungs {text}: should be rising numbers of epochs, such as 3,10,30")
    return rungs


def _run(record: "Record", jobs: int, project: Path) -> bool:
    """Run what is left of a search; return whether all of it is done."""
    from stages.experiments.cells import Maker
    from stages.experiments.git import snapshot
    from stages.experiments.runner import run
    from stages.experiments.search import Search, Space, open_study
    from stages.experiments.terminal import duration, interruptible, shown
    from stages.tracking.groups import Group

    began = time.monotonic()
    rungs, space = _rungs(record.rungs), Space.read(record.words)
    commit = snapshot(project)
    record.end_left()
    *slots, reference = record.slots(jobs + 1, project, commit)  # the last one is never run in
    with interruptible(), _made(reference), Maker(project, commit, reference.folder) as maker:
        corners = [maker.make(words)[0] for words in space.corners()]  # a slip is said before a trial runs
        record.have(record.cells)
        study = open_study(record.folder, rungs, maker.code)
        group = Group(record.name) if corners[0].is_tracked else None
        opened = group.opened(f"A search: {' '.join(record.words)}") if group else nullcontext()
        with opened:
            with shown("search", record.trials, "trial") as show:
                trials = Search(
                    study,
                    space,
                    rungs,
                    record.trials,
                    lambda words: maker.make([*words, *OF_A_TRIAL], "train")[0],
                    group,
                    show,
                )
                run(trials, slots, record.folder)
            if trials.n_killed:
                print(
                    f"{record.name}: {trials.n_killed} trials were killed; the same command tries them again"
                )
                return False
            _save_report(study, group)
            (best,) = maker.make(space.words(study.best_trial.params, rungs[-1]))
            record.have([best.name])  # deleted with the search
            is_done = _run_best(record, best, slots, group, project)
    took = duration(time.monotonic() - began)
    print(f"{record.name}: {record.trials} trials; {took}; {FOLDER}/ has all, and a figure")
    return is_done


@contextmanager
def _made(copy: "Slot") -> "Iterator[None]":
    """Make a copy of the project, and remove it in the end."""
    copy.make()
    try:
        yield
    finally:
        copy.remove()


def _save_report(study: "optuna.Study", group: "Group | None") -> None:
    """Save a table of all trials and the figure of what mattered, and print the best trial."""
    from optuna.distributions import FloatDistribution, IntDistribution
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances
    from optuna.trial import TrialState

    from stages.core.tables import write_plain_rows
    from stages.experiments.search import WHY, Tried
    from stages.plots.figures import save
    from stages.plots.search import Setting, search

    for trial in study.get_trials(states=[TrialState.FAIL]):
        print(f"failed: trial {trial.number}: {trial.user_attrs.get(WHY, 'not known')}")
    done = study.get_trials(states=[TrialState.COMPLETE, TrialState.PRUNED])
    complete = [trial for trial in done if trial.state == TrialState.COMPLETE]
    if not complete:
        raise EncoreError(f"{study.study_name}: no trial has ended well; {FOLDER} is as it was")
    try:
        importance = get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=0))
    except (RuntimeError, ValueError):  # one trial, or all equally good: nothing mattered
        importance = dict.fromkeys(complete[0].params, 0.0)
    with outputs(FOLDER) as folder:
        write_plain_rows(folder / "trials.csv", [Tried.of(trial) for trial in done], Tried)
        settings = [
            Setting(
                name,
                importance[name],
                [trial.params[name] for trial in complete],
                (kind.low, kind.high) if isinstance(kind, IntDistribution | FloatDistribution) else None,
                bool(getattr(kind, "log", False)),
            )
            for name, kind in complete[0].distributions.items()
        ]
        save(search(settings, [float(trial.value or 0) for trial in complete]), folder / "search.png")
    if group:
        group.attach(FOLDER / "trials.csv", FOLDER / "search.png")
    best = study.best_trial
    chosen = " ".join(f"{key}={value}" for key, value in best.params.items())
    print(f"best of {len(done)} trials on validation: {best.value:.3f} per segment, with {chosen}")


def _run_best(
    record: "Record", cell: "Cell", slots: "list[Slot]", group: "Group | None", project: Path
) -> bool:
    """Evaluate the best trial, on test too, and print the result; return whether that went well."""
    from stages.experiments.git import experiments, git
    from stages.experiments.grid import Grid, finished
    from stages.experiments.runner import run
    from stages.reports.summary import headline
    from stages.tracking.names import model_class

    grid = Grid([cell], record.folder, finished([cell], project, group), group, lambda done, running: None)
    run(grid, slots, record.folder)
    for why in grid.outcome.failed.values():
        print(f"failed: {cell.name}: {why}")
        return False
    metrics = git(project, "show", f"{experiments(project)[cell.name]}:data/evaluation/metrics.json")
    print("\n".join(headline(json.loads(metrics), model_class(cell.values))))
    print(f"dvc exp apply {cell.name}")
    return True


if __name__ == "__main__":
    run_command(main, takes_words=True)
