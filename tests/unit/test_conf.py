"""conf/: every choice composes and is valid, and params.yaml is what conf/ composes to."""

import pytest
from ruamel.yaml import YAML

from tests.synthetic import REPO, composed_sections
from tests.unit.test_params import CHECKS

GIVEN = {
    ("dataset", "folder"): ["dataset.path=/some/music"],
    ("split", "file"): ["split.path=/some/split.csv"],
}
CHOICES = sorted(
    (path.parent.relative_to(REPO / "conf").as_posix(), path.stem)
    for path in (REPO / "conf").glob("*/*.yaml")
)
EXPERIMENTS = [choice for group, choice in CHOICES if group == "experiment"]


def test_params_yaml_is_what_conf_composes_to():
    yaml = YAML(typ="safe", pure=True)
    if not (REPO / "params.yaml").exists():
        pytest.skip("params.yaml is not there yet")
    assert yaml.load(REPO / "params.yaml") == composed_sections(), "run `make params`"


def test_groups_are_the_sections_of_params():
    assert {group for group, _ in CHOICES} - {"experiment"} == set(CHECKS)
    assert set(composed_sections()) == set(CHECKS)


@pytest.mark.parametrize(("group", "choice"), [pair for pair in CHOICES if pair[0] != "experiment"])
def test_every_choice_composes_and_is_valid(group, choice):
    overrides = [f"{group}={choice}", *GIVEN.get((group, choice), [])]
    values = composed_sections(*overrides)
    for section, check in CHECKS.items():
        check(values[section])


def test_every_experiment_composes_and_is_valid():
    for choice in EXPERIMENTS:
        values = composed_sections(f"+experiment={choice}")
        for section, check in CHECKS.items():
            check(values[section])


@pytest.mark.parametrize(
    ("override", "key", "watched"),
    [
        ("dataset=folder", "dataset", "/some/music"),
        ("split=file", "split", "/some/split.csv"),
    ],
)
def test_what_the_user_names_is_watched(override, key, watched):
    group, _, choice = override.partition("=")
    assert composed_sections(override, *GIVEN[group, choice])[key]["watch"] == watched


@pytest.mark.parametrize(
    ("group", "choice"), [p for p in CHOICES if p[0] in {"dataset", "split"} and p not in GIVEN]
)
def test_built_in_choices_watch_a_file_of_the_project(group, choice):
    """DVC crashes where a templated dependency is null or not there."""
    assert (REPO / composed_sections(f"{group}={choice}")[group]["watch"]).is_file()


@pytest.mark.parametrize(("group", "choice"), GIVEN)
def test_a_path_not_given_is_watched_by_a_file_that_is_there(group, choice):
    """`dvc exp run -S dataset=folder` alone must reach the stage, which then asks for the path."""
    assert (REPO / composed_sections(f"{group}={choice}")[group]["watch"]).is_file()
