"""Changes between revisions as Markdown, and the recipe for pull requests."""

import re

import pytest
from markdown_it import MarkdownIt
from ruamel.yaml import YAML

from stages.review.changes import Changes, markdown
from tests.synthetic import REPO

METRICS = {
    "test.track.accuracy": {"old": 0.7, "new": 0.75},
    "test.track.accuracy_ci95_low": {"old": 0.5, "new": 0.55},
    "test.track.accuracy_ci95_high": {"old": 0.85, "new": 0.9},
    "open_set.auroc": {"old": None, "new": 0.8},
}
PARAMS = {"model.dropout": {"old": 0.1, "new": None}, "model.name": {"old": "a|b", "new": "c"}}
CURVES = {"main": [0.25, 0.5, 0.75], "workspace": [0.5, 1.0]}


def changes(**other: object) -> Changes:
    values = {"base": "main", "revision": "workspace", "metrics": METRICS, "params": PARAMS, "curves": CURVES}
    return Changes(**values | {"page": "dvc_plots/index.html"} | other)


def tables(text: str) -> list[list[list[str]]]:
    """The cells of each table, as GitHub shows them."""
    found: list[list[list[str]]] = []
    for token in MarkdownIt("gfm-like", {"linkify": False}).parse(text):
        if token.type == "table_open":
            found.append([])
        elif token.type == "tr_open":
            found[-1].append([])
        elif token.type == "inline" and found and token.level >= 3:
            found[-1][-1].append("".join(part.content for part in token.children))
    return found


def chart(text: str) -> dict[str, list[str]]:
    (found,) = re.findall(r"```mermaid\n(.*?)```", text, re.DOTALL)
    return {
        word: re.findall(rf"^  {word} (.*)$", found, re.MULTILINE) for word in ("title", "x-axis", "line")
    }


def test_scores_stand_side_by_side_with_their_intervals():
    scores, _ = tables(markdown(changes()))
    assert scores == [
        ["per test track", "main", "workspace", "change"],
        ["accuracy", "0.700 (0.500 to 0.850)", "0.750 (0.550 to 0.900)", "+0.050"],
        ["AUROC of unknown classes", "-", "0.800", ""],
    ]


def test_parameters_that_differ_are_shown_as_they_are():
    _, params = tables(markdown(changes()))
    assert params[1:] == [["model.dropout", "0.1", "-"], ["model.name", "a|b", "c"]]
    assert "No parameter of a stage differs." in markdown(changes(params={}))


def test_the_chart_has_a_line_for_each_revision():
    drawn = chart(markdown(changes()))
    assert drawn["title"] == ['"Validation accuracy per segment: main grey, workspace orange"']
    assert drawn["x-axis"] == ['"epoch" [1, 2, 3]']
    assert drawn["line"] == ["[0.25, 0.5, 0.75]", "[0.5, 1.0]"]


def test_the_chart_of_many_epochs_leaves_some_out():
    drawn = chart(markdown(changes(curves={"main": [0.5] * 100, "workspace": [0.5] * 50})))
    assert drawn["x-axis"][0].startswith('"epoch" [1, 5, 9')
    assert [line.count(",") + 1 for line in drawn["line"]] == [25, 13]


@pytest.mark.parametrize(("missing", "colour"), [("main", "orange"), ("workspace", "grey")])
def test_a_revision_whose_outputs_are_not_here_is_named(missing, colour):
    left = {name: curve for name, curve in CURVES.items() if name != missing}
    text = markdown(changes(curves=left))
    assert f"Without plots of `{missing}`" in text
    assert chart(text)["title"] == [f'"Validation accuracy per segment: {next(iter(left))} {colour}"']


def test_without_any_outputs_there_is_no_chart_and_no_page():
    text = markdown(changes(curves={}))
    assert "Without plots of `main` and `workspace`" in text
    assert "mermaid" not in text
    assert "dvc_plots" not in text


def test_the_recipe_needs_no_secret_and_calls_targets_that_there_are():
    text = (REPO / ".ci/pull-request.yml").read_text("utf-8")
    assert "secrets." not in text
    steps = YAML(typ="safe", pure=True).load(text)["jobs"]["changes"]["steps"]
    called = {target for step in steps for target in re.findall(r"\bmake (\w+)", step.get("run", ""))}
    targets = set(re.findall(r"^(\w+):", (REPO / "Makefile").read_text("utf-8"), re.MULTILINE))
    assert called == {"repro", "changes"}
    assert called <= targets
