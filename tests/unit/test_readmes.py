"""The READMEs: links lead somewhere, the first one stays short, and conf/README.md has every option."""

import ast
import re
import subprocess
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token
from ruamel.yaml import YAML

from stages.entry.registry import SECTIONS
from stages.sources.choices import SOURCES
from stages.splitting.params import SCHEMES
from stages.training.loss_params import LOSSES
from stages.training.model_params import constructor, model_modules
from stages.training.schedule_params import SCHEDULES
from tests.campaigns.readme import LEFT_OUT, READMES, commands
from tests.synthetic import REPO

PAGES = sorted(
    subprocess.run(
        ["git", "ls-files", "-z", "*.md"], cwd=REPO, capture_output=True, text=True, check=True
    ).stdout.split("\0")[:-1]
)
LONGEST, WIDEST, LARGEST_BYTES = 150, 120, 200_000
CONF = REPO / "conf"
GROUPS = sorted(folder.name for folder in CONF.iterdir() if folder.is_dir() and folder.name != "experiment")
OF_CHOICES = {"dataset": [params for params, _ in SOURCES.values()], "split": SCHEMES.values()}
OF_CHOICES |= {"loss": LOSSES.values(), "schedule": SCHEDULES.values()}
LARGEST_BOUND = 1e6  # greater ones are the largest whole number of some type


def tokens(path: str) -> list[Token]:
    """All tokens of a page, those inside paragraphs and cells, too."""
    parsed = MarkdownIt("gfm-like", {"linkify": False}).parse((REPO / path).read_text("utf-8"))
    return [part for token in parsed for part in (token, *(token.children or []))]


def anchors(path: str) -> set[str]:
    """The names that GitHub gives to the headings of a page."""
    found = tokens(path)
    texts = [after.content for token, after in pairwise(found) if token.type == "heading_open"]
    return {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in texts}


def targets(path: str) -> Iterator[str]:
    """What a page links to, and the pictures in it, but for other sites."""
    for token in tokens(path):
        target = str(token.attrs.get("href") or token.attrs.get("src") or "")
        if target and not re.match(r"https?:", target):
            yield target


@pytest.mark.parametrize("path", PAGES)
def test_links_lead_somewhere(path: str) -> None:
    for target in targets(path):
        file, _, anchor = target.partition("#")
        place = (REPO / path).parent / file if file else REPO / path
        assert place.exists(), f"{path}: {target}"
        if anchor:
            assert anchor in anchors(place.resolve().relative_to(REPO).as_posix()), f"{path}: {target}"


def test_pictures_are_small_and_each_is_shown() -> None:
    shown = {((REPO / path).parent / target).resolve() for path in PAGES for target in targets(path)}
    pictures = list((REPO / "tests/screenshots").iterdir())
    assert pictures
    assert [picture.name for picture in pictures if picture not in shown] == []
    assert [picture.name for picture in pictures if picture.stat().st_size > LARGEST_BYTES] == []


def test_the_first_page_is_short_and_leads_to_the_others() -> None:
    lines = (REPO / "README.md").read_text("utf-8").splitlines()
    assert len(lines) <= LONGEST
    assert [line for line in lines if len(line) > WIDEST and not line.startswith("![")] == []
    assert set(READMES[1:]) <= set(targets("README.md"))


def test_what_is_left_out_of_make_readme_is_printed() -> None:
    printed = commands("\n".join((REPO / path).read_text("utf-8") for path in READMES))
    assert len(printed) > len(LEFT_OUT)
    assert [command for command in LEFT_OUT if command not in printed] == []


def options() -> dict[str, list[str]]:
    """The rows of conf/README.md by the key in their first cell."""
    lines = (CONF / "README.md").read_text("utf-8").splitlines()
    rows = [re.split(r" *\| *", line.strip("| ")) for line in lines if line.startswith("| `")]
    return {cells[0].strip("`"): cells[1:] for cells in rows}


def leaves(values: dict[str, Any], path: str) -> Iterator[tuple[str, Any]]:
    """Keys in full and their values; a framing is described once for all features."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{path}.{key}")
        else:
            yield "features.NAME.framing" if key == "framing" else f"{path}.{key}", value


def written(group: str) -> list[tuple[str, Any]]:
    """The keys and values in the files of a group, but for those that set other groups, too."""
    yaml = YAML(typ="safe", pure=True)
    texts = [file.read_text("utf-8") for file in sorted((CONF / group).rglob("*.yaml"))]
    documents = [yaml.load(text) or {} for text in texts if "@package _global_" not in text]
    documents.append(yaml.load(CONF / "config.yaml").get(group) or {})
    return [leaf for document in documents for leaf in leaves(document, group)]


def as_yaml(value: Any) -> str:
    """A value as a person writes it."""
    if isinstance(value, list):
        return f"[{', '.join(map(as_yaml, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    return "null" if value is None else str(value)


def allowed(schema: dict[str, Any], defs: dict[str, Any], path: str) -> Iterator[tuple[str, str]]:
    """Each choice and bound that the JSON schema of a section has, by the key in full."""
    if "$ref" in schema:
        schema = defs[schema["$ref"].rpartition("/")[2]]
    for value in (*schema.get("enum", ()), *([schema["const"]] if "const" in schema else ())):
        yield path, str(value)
    for bound in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"):
        if abs(schema.get(bound, LARGEST_BOUND)) < LARGEST_BOUND:
            yield path, f"{schema[bound]:g}"
    for part in (*schema.get("anyOf", ()), *([schema["items"]] if "items" in schema else ())):
        yield from allowed(part, defs, path)
    for key, part in schema.get("properties", {}).items():
        if key != "framing":  # has the bounds of the common one
            yield from allowed(part, defs, f"{path}.{key}")


def allowed_of_models() -> Iterator[tuple[str, str]]:
    """Each choice of an argument of a model."""
    for name, path in model_modules().items():
        for key, annotation in constructor(path, name).items():
            if ast.unparse(annotation).startswith("Literal[") and isinstance(annotation, ast.Subscript):
                values = ast.literal_eval(annotation.slice)
                yield from ((f"model.{key}", value) for value in values)


@pytest.mark.parametrize("group", GROUPS)
def test_each_key_of_a_group_has_a_row_and_no_other_has(group: str) -> None:
    rows = {key for key in options() if key.startswith(f"{group}.")}
    assert {key for key, _ in written(group)} == rows


@pytest.mark.parametrize("group", [group for group in GROUPS if group != "model"])
def test_rows_have_the_values_of_the_files(group: str) -> None:
    rows = options()
    of_choices = group == "augment"  # there the default is off, and a choice is its own value
    for key, value in written(group):
        if not (
            key.endswith((".watch", ".watch_metadata", ".watch_labels")) or (of_choices and value is not None)
        ):
            default, *others = rows[key]
            words = re.split(r"[ ,;()]+", " ".join(others))
            assert as_yaml(value) in (default.strip('"'), *words), f"{key} is {value}"


@pytest.mark.parametrize("group", GROUPS)
def test_rows_have_what_is_allowed(group: str) -> None:
    section = SECTIONS[group]
    sections = [section] if isinstance(section, type) else OF_CHOICES.get(group, [])
    schemas = [one.model_json_schema() for one in sections]
    found = [pair for schema in schemas for pair in allowed(schema, schema.get("$defs", {}), group)]
    found += allowed_of_models() if group == "model" else []
    rows = options()
    assert [
        pair for pair in found if pair[1] not in re.split(r"[ ,;:|()]+", " ".join(rows[pair[0]][1:]))
    ] == []


def test_each_choice_is_named() -> None:
    lines = (CONF / "README.md").read_text("utf-8").splitlines()
    for group in GROUPS:
        (row,) = (line for line in lines if line.startswith(f"| [{group}](#"))
        assert {file.stem for file in (CONF / group).glob("*.yaml")} <= set(re.findall(r"\w+", row))
