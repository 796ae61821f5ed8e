"""dvc.yaml says exactly what each stage reads: never stale, never wasteful."""

import ast

import pytest
from ruamel.yaml import YAML

from stages.storage.closure import import_closure
from tests.synthetic import REPO

STAGES = YAML(typ="safe", pure=True).load(REPO / "dvc.yaml")["stages"]
UNTRACKED = {"stages/tracking/client.py"}  # changes no result
FACTS = "data/facts/"


def names(entries: list) -> list[str]:
    """Paths of outs, each a path or {path: options}."""
    return [next(iter(entry)) if isinstance(entry, dict) else entry for entry in entries]


def outs(stage: str) -> list[str]:
    return names([out for kind in ("outs", "metrics", "plots") for out in STAGES[stage].get(kind, [])])


def code_deps(stage: str) -> list[str]:
    return [dep for dep in STAGES[stage]["deps"] if dep.endswith(".py")]


def data_deps(stage: str) -> list[str]:
    return [dep for dep in STAGES[stage]["deps"] if dep.startswith("data/") and not dep.startswith(FACTS)]


def test_stages_are_the_story():
    story = ["fetch", "decode", "segment", "split", "extract", "pictures", "baseline", "train", "evaluate"]
    assert list(STAGES) == story
    assert all(STAGES[stage]["cmd"] == f"python -m stages.{stage}" for stage in story)


@pytest.mark.parametrize("stage", STAGES)
def test_code_deps_are_the_import_closure(stage):
    closure = {path.as_posix() for path in import_closure(f"stages.{stage}", REPO)} - UNTRACKED
    assert set(code_deps(stage)) == closure
    assert len(code_deps(stage)) == len(closure), "something is listed twice"


@pytest.mark.parametrize("stage", STAGES)
def test_params_are_the_sections_that_the_module_reads(stage):
    read = set()
    modules = [stage, "recipe"] if stage == "train" else [stage]
    text = "\n".join((REPO / "stages" / f"{module}.py").read_text("utf-8") for module in modules)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            function = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            if function in {"load", "read"}:
                read.add(node.args[0].value)
    assert read == set(STAGES[stage]["params"])
    assert "runtime" not in read, "runtime changes no result and must trigger nothing"


@pytest.mark.parametrize("stage", STAGES)
def test_each_data_dep_is_an_earlier_stages_output(stage):
    order = list(STAGES)
    earlier = [out for name in order[: order.index(stage)] for out in outs(name)]
    for dep in data_deps(stage):
        assert any(dep == out or dep.startswith(f"{out}/") for out in earlier), dep


@pytest.mark.parametrize("stage", [stage for stage in STAGES if stage != "evaluate"])
def test_each_output_is_read_by_a_later_stage(stage):
    order = list(STAGES)
    later = [dep for name in order[order.index(stage) + 1 :] for dep in data_deps(name)]
    for out in outs(stage):
        assert any(dep == out or dep.startswith(f"{out}/") for dep in later), out


@pytest.mark.parametrize("stage", STAGES)
def test_each_data_path_in_the_code_is_a_dep_or_an_output(stage):
    """What a stage module names below data/ is in its deps or outs (its rooms are read by several stages)."""
    known = [*data_deps(stage), *outs(stage)]
    for node in ast.walk(ast.parse((REPO / "stages" / f"{stage}.py").read_text("utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("data/"):
            path = node.value.split(" ")[0]
            if "\n" not in node.value and path == node.value:
                assert any(
                    path == name or path.startswith(f"{name}/") or name.startswith(f"{path}/")
                    for name in known
                ), path


def test_facts_that_the_code_reads_are_deps_of_fetch():
    code = "".join((REPO / path).read_text("utf-8") for path in code_deps("fetch"))
    read = {f"{FACTS}{path.name}" for path in (REPO / FACTS).glob("*.csv") if path.name in code}
    watched = "".join(path.read_text("utf-8") for path in (REPO / "conf/dataset").glob("*.yaml"))
    fixed = {dep for dep in STAGES["fetch"]["deps"] if dep.startswith(FACTS)}
    assert fixed == {path for path in read if f"watch_metadata: {path}" not in watched}


def test_music_and_split_files_are_watched():
    assert {"${dataset.watch}", "${dataset.watch_metadata}"} <= set(STAGES["fetch"]["deps"])
    assert "${split.watch}" in STAGES["split"]["deps"]


def test_metrics_are_committed_rather_than_cached():
    assert {"data/evaluation/metrics.json": {"cache": False}} in STAGES["evaluate"]["metrics"]


def test_no_output_persists():
    """`persist` would disable the run cache; work worth keeping lives in the work cache."""
    for stage in STAGES.values():
        for out in stage["outs"]:
            assert not (isinstance(out, dict) and next(iter(out.values())).get("persist"))
