"""Compare finished runs, such as `python -m stages.compare model=CNN,LSTM split.name=kfold`.

Each KEY=VALUE,VALUE chooses runs by a tag or a parameter in MLflow, or by `name`. Runs that differ in
split.fold and train.seed alone are one model. The linear baseline and the largest class are always among the
rows. A table and a figure go to data/comparison/.
"""

import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from stages.core.errors import EncoreError
from stages.core.workspace import outputs
from stages.entry.command import run_command

if TYPE_CHECKING:
    from stages.evaluation.comparison import Run
    from stages.tracking.finished import Finished

FOLDER = Path("data/comparison")
OF_A_RUN = ("train.seed", "split.fold")  # what may differ between the runs of a model
# sections that do not change what a model predicts
NO_RESULT = ("runtime.", "evaluate.", "baseline.", "pictures.")
OF_A_MODEL = ("model.", "train.", "schedule.", "loss.", "augment.")  # sections that make a model
MOST = 3  # settings in a name


def main() -> None:
    """Print and save the comparison of the runs that the command line chooses."""
    wanted = _wanted(sys.argv[1:])
    from stages.core.tables import write_plain_rows
    from stages.evaluation.comparison import Row, compare
    from stages.plots.comparison import comparison
    from stages.plots.figures import save
    from stages.reports.comparison import chances, table
    from stages.tracking.finished import finished_runs

    found = finished_runs(wanted)
    names = _names(found)
    latest: dict[tuple[str, ...], Finished] = {}
    for run in found:  # the latest first
        latest.setdefault((names[_identity(run)], *(run.about.get(key, "0") for key in OF_A_RUN)), run)
    rows = compare([_run(model, run) for (model, *_), run in latest.items()])
    with outputs(FOLDER) as folder:
        write_plain_rows(folder / "comparison.csv", rows, Row)
        save(comparison(rows), folder / "comparison.png")
    print("\n".join(table(rows)))
    if len(rows) > 1:
        print()
        print("\n".join(chances(rows)))
    of_model = defaultdict(list)
    for (model, *_), run in latest.items():
        of_model[model].append(run)
    for line in _differences(of_model):
        print(line)
    if n := len(found) - len(latest):
        print(f"compare: {n} older runs of the same content are left out")
    print(f"compare: {FOLDER}/ has the table and a figure")


def _wanted(words: Sequence[str]) -> dict[str, list[str]]:
    wanted = {}
    for word in words:
        key, equals, values = word.partition("=")
        if not equals or not key or not values:
            raise EncoreError(f"{word!r} is not KEY=VALUE, such as model=CNN,LSTM")
        wanted[key] = values.split(",")
    return wanted


def _parameters(run: "Finished") -> dict[str, str]:
    """Return the parameters that make the model: those of a result, but for fold and seed."""
    return {
        key: value
        for key, value in run.about.items()
        if "." in key and not key.startswith((*NO_RESULT, "data.", "dvc.")) and key not in OF_A_RUN
    }


def _identity(run: "Finished") -> tuple[tuple[str, str], ...]:
    return tuple(sorted(_parameters(run).items()))


def _names(runs: Sequence["Finished"]) -> dict[tuple[tuple[str, str], ...], str]:
    """Return a name for each identity: the network, and what tells it from others with the same one."""
    alike = defaultdict(set)
    for run in runs:
        alike[run.about.get("model", "model")].add(_identity(run))
    names = {}
    for network, identities in alike.items():
        values = defaultdict(set)
        for identity in identities:
            for key, value in identity:
                values[key].add(value)
        telling = sorted(key for key in values if len(values[key]) > 1)
        for identity in identities:
            settings = [f"{key}={dict(identity).get(key, '')}" for key in telling]
            more = "…" if len(settings) > MOST else ""
            names[identity] = " ".join([network, *settings[:MOST], more]).strip()
    if len(set(names.values())) < len(names):  # what tells them apart is in none of the first settings
        names = {identity: f"{name} #{i}" for i, (identity, name) in enumerate(names.items(), 1)}
    return names


def _run(model: str, run: "Finished") -> "Run":
    from stages.evaluation.comparison import Run

    columns = ("label", "unit", "predicted", "baseline")
    return Run(
        model=model,
        fold=int(run.about.get("split.fold", 0)),
        seed=int(run.about["train.seed"]),
        n_train=run.n_train,
        seconds=run.seconds,
        largest_class=run.largest_class,
        **{column: {row["track_id"]: row[column] for row in run.predictions} for column in columns},
    )


def _differences(runs: Mapping[str, Sequence["Finished"]]) -> list[str]:
    """Return what else than the model differs: features, segments, code."""
    about = {}
    for model, of_model in runs.items():
        commits = sorted({run.about["commit"][:7] for run in of_model})
        about[model] = {**_parameters(of_model[0]), "commit": ", ".join(commits)}
    keys = sorted({key for of_model in about.values() for key in of_model if not key.startswith(OF_A_MODEL)})
    return [
        f"{key} differs: "
        + "; ".join(f"{model} {of_model.get(key, '-')}" for model, of_model in about.items())
        for key in keys
        if len({of_model.get(key, "-") for of_model in about.values()}) > 1
    ]


if __name__ == "__main__":
    run_command(main, takes_words=True)
