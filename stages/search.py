"""Search for good settings, such as `python -m stages.search model=cnn 'model.dropout=interval(0.1,0.6)'`.

Each word with several values, a range or an interval is searched; the others are fixed.

python -m stages.search WORDS --trials 20 [--jobs 2] [--rungs 3,10,30]
python -m stages.search resume NAME   go on with one; `list` and `delete NAME` of stages.grid know it, too

Trials are compared by their accuracy on validation segments, and nothing is evaluated on test until the best
one is, once, at the end. With `--rungs` all trials get the first number of epochs, the better ones the next.
"""

import hashlib
import json
import sys
import time
from contextlib import nullcontext
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
MOST_TRIALS = 10_000
DIGITS = 6  # of the words' hash, in the name of a search that got none
FOLDER = Path("data/search")
UNTRACKED = "runtime.tracking=off"  # each trial gets a run from the search


def main() -> None:
    """Run a search, or go on with one."""
    from stages.experiments.record import Record
    from stages.experiments.terminal import asked, enter_project

    wanted = asked(sys.argv[1:], COMMANDS, OPTIONS)
    project = enter_project()
    if wanted.command:
        record = Record.load(project, wanted.name)
        if not record.options:
            raise EncoreError(f"{record.name} is a grid; python -m stages.grid resume {record.name}")
    else:
        options = {"trials": wanted.options.get("trials", "20"), "rungs": wanted.options.get("rungs", "")}
        digest = hashlib.sha256(" ".join([*wanted.words, *options.values()]).encode()).hexdigest()[:DIGITS]
        record = Record.named(project, wanted.name or f"search-{digest}", wanted.words, options)
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
    from stages.experiments.terminal import duration, interruptible, number, shown
    from stages.tracking.groups import Group

    began = time.monotonic()
    n_trials, rungs = number("trials", record.options["trials"], MOST_TRIALS), _rungs(record.options["rungs"])
    space = Space.read(record.words)
    commit = snapshot(project)
    record.save()
    record.end_left()
    study, slots = open_study(record.folder, rungs), record.slots(jobs, project, commit)
    group = None if UNTRACKED in record.words else Group(record.name)
    opened = group.opened(f"A search: {' '.join(record.words)}") if group else nullcontext()
    with interruptible(), opened, Maker(project, commit) as maker:
        with shown("search", n_trials, "trial") as show:
            trials = Search(
                study,
                space,
                rungs,
                n_trials,
                lambda words: maker.make([*words, UNTRACKED], "train")[0],
                group,
                show,
            )
            run(trials, slots, record.folder)
        if trials.n_killed:
            print(f"{record.name}: {trials.n_killed} trials were killed; the same command goes on with them")
            return False
        _save_report(study, group)
        (best,) = maker.make(space.words(study.best_trial.params, rungs[-1]))
        record.cells = [best.name]  # deleted with the search
        record.save()
        is_done = _run_best(record, best, slots, group, project)
    took = duration(time.monotonic() - began)
    print(f"{record.name}: {n_trials} trials; {took}; {FOLDER}/ has all, and a figure")
    return is_done


def _save_report(study: "optuna.Study", group: "Group | None") -> None:
    """Save a table of all trials and the figure of what mattered, and print the best trial."""
    from optuna.distributions import FloatDistribution, IntDistribution
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances
    from optuna.trial import TrialState

    from stages.core.tables import write_plain_rows
    from stages.experiments.search import Tried
    from stages.plots.figures import save
    from stages.plots.search import Setting, search

    done = study.get_trials(states=[TrialState.COMPLETE, TrialState.PRUNED])
    complete = [trial for trial in done if trial.state == TrialState.COMPLETE]
    if not complete:
        raise EncoreError(f"{study.study_name}: no trial has ended well; {FOLDER} is as it was")
    evaluator = FanovaImportanceEvaluator(seed=0)
    varied = len({tuple(trial.params.values()) for trial in complete}) > 1
    importance = (
        get_param_importances(study, evaluator=evaluator)
        if varied
        else dict.fromkeys(complete[0].params, 0.0)
    )
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
