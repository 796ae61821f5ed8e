"""Compare finished runs, such as `encore compare model=CNN,LSTM split.name=kfold`.

Each KEY=VALUE,VALUE chooses runs by a tag or a parameter in MLflow, by `name` or `grid`. A folder, such as
../other, is another checkout with its outputs, and needs no MLflow. Runs that differ in split.fold and
train.seed alone are one model. The linear baseline and the largest class are always among the rows. A table
and a figure go to data/comparison/, and to the grid's run in MLflow. `--json` prints the table as JSON.
"""

import json
import sys
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from stages.core.workspace import outputs
from stages.entry.caller import given
from stages.entry.command import run_command

if TYPE_CHECKING:
    from stages.evaluation.comparison import Row, Run
    from stages.tracking.finished import Finished, Results

FOLDER = Path("data/comparison")
OF_A_RUN = ("train.seed", "split.fold")  # what may differ between the runs of a model
# Sections that do not change what a model predicts, and sections that make a model.
NO_RESULT = ("runtime.", "evaluate.", "baseline.", "pictures.")
OF_A_MODEL = ("model.", "train.", "schedule.", "loss.", "augment.")
MOST = 3  # settings in a name

Identity = tuple[tuple[str, str], ...]


def main() -> None:
    """Print and save the comparison of the runs that the command line chooses."""
    from stages.core.tables import write_plain_rows
    from stages.evaluation.comparison import Row, compare
    from stages.plots.comparison import comparison
    from stages.plots.figures import save
    from stages.reports.comparison import chances, table
    from stages.tracking.checkouts import finished_in
    from stages.tracking.finished import Store, wanted
    from stages.tracking.groups import Group
    from stages.tracking.names import GRID

    asked = [word for word in sys.argv[1:] if word != "--json"]
    folders = [given(word) for word in asked if "=" not in word and given(word).is_dir()]
    words = [word for word in asked if given(word) not in folders]
    choice = wanted(words)
    here = [finished_in(folder) for folder in folders]
    store = Store() if choice or not folders else None
    found = [run for run, _ in here] + (store.chosen(choice) if store else [])
    names = _names(found)
    latest: dict[tuple[str, ...], Finished] = {}
    for run in found:  # the latest first
        place = (run.parameters.get(key, "0") for key in OF_A_RUN)
        latest.setdefault((names[_identity(run)], *place), run)
    results = {run.run_id: results for run, results in here}
    if store:
        results |= {run.run_id: store.results(run) for run in latest.values() if run.run_id not in results}
    rows = compare([_run(model, run, results[run.run_id]) for (model, *_), run in latest.items()])
    runs = defaultdict(list)
    for (model, *_), run in latest.items():
        runs[model].append(run)
    differences = _differences(runs)
    rows = [replace(row, differs=_differs(row.model, differences)) for row in rows]
    with outputs(FOLDER) as folder:
        write_plain_rows(folder / "comparison.csv", rows, Row)
        save(comparison(rows), folder / "comparison.png")
    if len(grids := choice.get(GRID, [])) == 1:
        Group(grids[0]).attach(FOLDER / "comparison.csv", FOLDER / "comparison.png")
    if len(asked) < len(sys.argv[1:]):
        print(json.dumps([_document(row) for row in rows], indent=2))
        return
    print("\n".join(table(rows)))
    print()
    print("\n".join(chances(rows)))
    for key, values in differences.items():
        print(f"{key} differs: {'; '.join(f'{model} {value}' for model, value in values.items())}")
    if n := len(found) - len(latest):
        print(f"compare: {n} older runs of the same model, fold and seed are left out")
    print(f"compare: {FOLDER}/ has the table and a figure")
    if len(grids) == 1:
        print(f"compare: so has the run {grids[0]} in MLflow, above the runs of this grid")


def _document(row: "Row") -> dict[str, object]:
    """Return a row for JSON, which has no NaN."""
    return {key: None if value != value else value for key, value in asdict(row).items()}


def _identity(run: "Finished") -> Identity:
    """Return the parameters that make the model: those of a result, but for fold and seed."""
    return tuple(
        (key, value)
        for key, value in sorted(run.parameters.items())
        if not key.startswith(NO_RESULT) and key not in OF_A_RUN and ".watch" not in key
    )


def _names(runs: Sequence["Finished"]) -> dict[Identity, str]:
    """Return the name of each model: its network, and the settings in which models of that network differ."""
    alike = defaultdict(set)
    for run in runs:
        alike[run.tags.get("model", "model")].add(_identity(run))
    names: dict[Identity, str] = {}
    taken: Counter[str] = Counter()
    for network, identities in sorted(alike.items()):
        values = defaultdict(set)
        for key, value in (pair for identity in identities for pair in identity):
            values[key].add(value)
        telling = [key for key in sorted(values) if len(values[key]) > 1]
        for identity in sorted(identities):
            settings = [f"{key}={dict(identity).get(key, '')}" for key in telling[:MOST]]
            name = " ".join([network, *settings])
            taken[name] += 1
            names[identity] = name if taken[name] == 1 else f"{name} #{taken[name]}"
    return names


def _run(model: str, run: "Finished", results: "Results") -> "Run":
    from stages.evaluation.comparison import Run

    columns = ("label", "unit", "predicted", "baseline")
    seed, fold = (int(run.parameters.get(key, 0)) for key in OF_A_RUN)
    return Run(
        model=model,
        fold=fold,
        seed=seed,
        n_train=results.n_train,
        seconds=results.seconds,
        largest_class=results.largest_class,
        **{column: {row["track_id"]: row[column] for row in results.predictions} for column in columns},
    )


def _differences(runs: Mapping[str, Sequence["Finished"]]) -> dict[str, dict[str, str]]:
    """Return what else than the model differs, such as features and code: values by key and model."""
    about = {
        model: {
            **dict(_identity(of_model[0])),
            "commit": ", ".join(sorted({run.commit[:7] for run in of_model})),
        }
        for model, of_model in runs.items()
    }
    keys = sorted({key for of_model in about.values() for key in of_model if not key.startswith(OF_A_MODEL)})
    by_key = {key: {model: of_model.get(key, "-") for model, of_model in about.items()} for key in keys}
    return {
        key: values
        for key, values in by_key.items()
        if len({*values.values()}) > 1 or (key == "commit" and any("," in one for one in values.values()))
    }


def _differs(model: str, differences: Mapping[str, Mapping[str, str]]) -> str:
    return "; ".join(f"{key}={values[model]}" for key, values in differences.items() if model in values)


if __name__ == "__main__":
    run_command(main, takes_words=True)
