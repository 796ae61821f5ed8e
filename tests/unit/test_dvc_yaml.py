"""dvc.yaml lists what each stage reads: nothing is stale, and little runs again needlessly."""

import ast
from functools import cache
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from stages.storage.closure import import_closure
from tests.synthetic import REPO

PIPELINE = YAML(typ="safe", pure=True).load(REPO / "dvc.yaml")
STAGES = PIPELINE["stages"]
ORDER = ["fetch", "decode", "segment", "split", "extract", "pictures", "baseline", "train", "evaluate"]
CODE, FACTS = ("stages", "models"), "data/facts/"
MOST_LINES = 130


def names(entries: list) -> list[str]:
    """Return the paths of outputs, each given as a path or as {path: options}."""
    return [next(iter(entry)) if isinstance(entry, dict) else entry for entry in entries]


def outs(stage: str) -> list[str]:
    return names([out for kind in ("outs", "metrics", "plots") for out in STAGES[stage].get(kind, [])])


def code_deps(stage: str) -> list[str]:
    return [dep for dep in STAGES[stage]["deps"] if dep.partition("/")[0] in CODE]


def data_deps(stage: str) -> list[str]:
    return [dep for dep in STAGES[stage]["deps"] if dep.startswith("data/") and not dep.startswith(FACTS)]


def earlier_outs(stage: str) -> list[str]:
    return [out for name in ORDER[: ORDER.index(stage)] for out in outs(name)]


def is_below(path: str, folder: str) -> bool:
    """Whether `path` is `folder`, or in it."""
    return f"{path}/".startswith(f"{folder}/")


def closure(stage: str) -> list[str]:
    return [path.as_posix() for path in import_closure(f"stages.{stage}", REPO)]


@cache
def tree(path: str) -> ast.Module:
    return ast.parse((REPO / path).read_text("utf-8"))


def used_names(node: ast.AST) -> set[str]:
    """Return the names of all functions, methods and variables that code refers to."""
    return {
        part.id if isinstance(part, ast.Name) else part.attr
        for part in ast.walk(node)
        if isinstance(part, ast.Name | ast.Attribute)
    }


def sections_read(node: ast.AST) -> set[str]:
    """Return the sections of params.yaml that code loads or reads by name."""
    calls = [call for call in ast.walk(node) if isinstance(call, ast.Call) and call.args]
    return {
        call.args[0].value
        for call in calls
        if isinstance(call.args[0], ast.Constant)
        and getattr(call.func, "id", getattr(call.func, "attr", "")) in {"load", "read"}
    }


def sections_of(stage: str) -> set[str]:
    """Return the sections that a stage's module reads, itself or by functions that it refers to."""
    module = tree(f"stages/{stage}.py")
    functions = [
        node
        for path in closure(stage)
        for node in ast.walk(tree(path))
        if isinstance(node, ast.FunctionDef) and path != f"stages/{stage}.py"
    ]
    sections, reached, waiting = sections_read(module), set(), used_names(module)
    while waiting:
        reached |= waiting
        called = [function for function in functions if function.name in waiting and sections_read(function)]
        sections |= {section for function in called for section in sections_read(function)}
        waiting = {name for function in called for name in used_names(function)} - reached
    return sections


def test_it_is_short_enough_to_read():
    assert len((REPO / "dvc.yaml").read_text("utf-8").splitlines()) <= MOST_LINES


def test_the_stages_are_in_order():
    assert list(STAGES) == ORDER
    assert all(STAGES[stage]["cmd"] == f"python -m stages.{stage}" for stage in ORDER)


@pytest.mark.parametrize("stage", ORDER)
def test_every_imported_file_is_below_a_listed_dependency(stage):
    deps = code_deps(stage)
    assert [path for path in closure(stage) if not any(is_below(path, dep) for dep in deps)] == []


@pytest.mark.parametrize("stage", ORDER)
def test_every_listed_code_dependency_is_imported(stage):
    assert [dep for dep in code_deps(stage) if not any(is_below(path, dep) for path in closure(stage))] == []


@pytest.mark.parametrize("stage", ORDER)
def test_dependencies_exist_and_none_is_listed_twice(stage):
    deps = code_deps(stage)
    assert [dep for dep in deps if not (REPO / dep).exists()] == []
    assert [(dep, other) for dep in deps for other in deps if dep != other and is_below(dep, other)] == []
    assert len(set(STAGES[stage]["deps"])) == len(STAGES[stage]["deps"])


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("stages/storage/hdf5.py", set(ORDER) - {"fetch", "split"}),
        ("stages/storage/audio_file.py", {"decode", "segment", "extract", "pictures"}),
        ("stages/storage/feature_file.py", {"extract", "baseline", "train", "evaluate"}),
        ("stages/storage/cache.py", {"decode", "extract"}),
        ("stages/storage/closure.py", {"decode", "extract", "train"}),
        ("stages/sources/folder.py", {"fetch"}),
        ("stages/audio/decode.py", {"decode"}),
        ("stages/features/spectra.py", {"extract", "pictures"}),
        ("stages/parallel/ordered.py", {"decode", "extract"}),
        ("stages/plots/figures.py", {"pictures", "evaluate"}),
        ("stages/reports/card/__init__.py", {"evaluate"}),
        ("stages/training/loop.py", {"train", "evaluate"}),
        ("models/lstm.py", {"train", "evaluate"}),
        ("stages/inference/prediction.py", set()),
        ("stages/inference/audio_model.py", set()),
        ("stages/tracking/client.py", set()),
    ],
)
def test_an_edit_runs_only_the_stages_that_need_it(path, expected):
    assert (REPO / path).is_file()
    assert {stage for stage in ORDER if any(is_below(path, dep) for dep in code_deps(stage))} == expected


@pytest.mark.parametrize("stage", ORDER)
def test_params_are_the_sections_that_the_stage_reads(stage):
    assert "runtime" not in STAGES[stage]["params"], "runtime changes no result and must trigger nothing"
    only_warns = {"dataset"} if stage == "train" else set()  # of a feature that was trained on it
    assert sections_of(stage) - {"runtime"} - only_warns == set(STAGES[stage]["params"])


@pytest.mark.parametrize("stage", ORDER)
def test_each_data_dependency_is_an_output_of_an_earlier_stage(stage):
    """Never a path inside an output: DVC would look it up in a dvc.lock whose outputs are elsewhere."""
    assert [dep for dep in data_deps(stage) if dep not in earlier_outs(stage)] == []


@pytest.mark.parametrize("stage", [stage for stage in ORDER if stage != "evaluate"])
def test_each_output_is_read_by_a_later_stage(stage):
    read = {dep for name in ORDER[ORDER.index(stage) + 1 :] for dep in data_deps(name)}
    assert [out for out in outs(stage) if out not in read] == []


def test_no_output_is_a_whole_folder_of_a_stage():
    """DVC removes what lies in an output folder; files of a user beside the outputs stay."""
    outputs = [out for stage in ORDER for out in outs(stage)]
    assert len(set(outputs)) == len(outputs)
    assert all(len(Path(out).parts) >= 3 for out in outputs)
    assert [
        (out, other) for out in outputs for other in outputs if out != other and is_below(out, other)
    ] == []


@pytest.mark.parametrize("stage", ORDER)
def test_each_data_path_in_the_code_is_a_dependency_or_an_output(stage):
    """What a stage's module names below data/; other modules are shared by several stages."""
    known = [*data_deps(stage), *outs(stage)]
    for node in ast.walk(tree(f"stages/{stage}.py")):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("data/"):
            path = node.value
            if not any(sign.isspace() for sign in path):
                assert any(is_below(path, name) or is_below(name, path) for name in known), path


def test_facts_that_the_code_reads_are_dependencies_of_fetch():
    code = "".join((REPO / path).read_text("utf-8") for path in closure("fetch"))
    read = {f"{FACTS}{path.name}" for path in (REPO / FACTS).glob("*.csv") if path.name in code}
    watched = "".join(path.read_text("utf-8") for path in (REPO / "conf/dataset").glob("*.yaml"))
    fixed = {dep for dep in STAGES["fetch"]["deps"] if dep.startswith(FACTS)}
    assert fixed == {path for path in read if f"watch_metadata: {path}" not in watched}


def test_files_of_the_users_are_watched():
    watched = {"${dataset.watch}", "${dataset.watch_metadata}", "${dataset.watch_labels}"}
    assert watched <= set(STAGES["fetch"]["deps"])
    assert "${split.watch}" in STAGES["split"]["deps"]
    assert "${features.watch}" in STAGES["extract"]["deps"]


def test_plots_are_outputs():
    outputs = {out for stage in ORDER for out in outs(stage)}
    plotted = {
        path
        for plot in PIPELINE["plots"]
        for path in ([plot] if isinstance(plot, str) else next(iter(plot.values()))["y"])
    }
    assert plotted <= outputs


def test_metrics_are_committed_and_not_cached():
    assert {"data/evaluation/metrics.json": {"cache": False}} in STAGES["evaluate"]["metrics"]


def test_no_output_persists():
    """`persist` would disable the run cache; work worth keeping is in the work cache."""
    for stage in STAGES.values():
        for out in stage["outs"]:
            assert not (isinstance(out, dict) and next(iter(out.values())).get("persist"))


def test_mlflow_gets_all_outputs_of_evaluate_and_pictures_and_of_train_the_model():
    from stages.tracking import logged_models, process

    def below(folder: str, outputs: tuple[str, ...]) -> set[str]:
        return {f"data/{folder}/{name}" for name in outputs}

    assert below("evaluation", process.EVALUATION) == set(outs("evaluate"))
    assert below("pictures", process.PICTURES) == set(outs("pictures"))
    assert below("model", logged_models.MODEL) < set(outs("train"))
