"""conf/: every choice composes and is valid, and params.yaml is composed from it."""

import pytest
from dvc.utils.hydra import compose_and_dump
from ruamel.yaml import YAML

from stages.entry.registry import SECTIONS, check_all, check_section
from tests.synthetic import REPO, composed, composed_sections

pytestmark = pytest.mark.slow

GIVEN = {
    ("dataset", "folder"): ["dataset.path=/some/music"],
    ("split", "file"): ["split.path=/some/split.csv"],
    ("split", "published"): ["dataset=fma"],
    ("augment", "gain"): ["model.feature=mel"],
    ("loss", "triplet"): ["augment=none"],  # a mixture is of no class
    ("loss", "supcon"): ["augment=none"],
}
CHOICES = sorted(
    (path.parent.relative_to(REPO / "conf").as_posix(), path.stem)
    for path in (REPO / "conf").glob("*/*.yaml")
)
EXPERIMENTS = [choice for group, choice in CHOICES if group == "experiment"]


def test_params_yaml_is_composed_from_conf():
    yaml = YAML(typ="safe", pure=True)
    if not (REPO / "params.yaml").exists():
        pytest.skip("params.yaml is not there yet")
    assert yaml.load(REPO / "params.yaml") == composed_sections(), "run `make params`"


@pytest.mark.parametrize(
    "overrides",
    [
        ("features.mel.n_mels=32", "train.epochs=3"),
        ("split=kfold", "split.fold=1", "augment=[specaugment,mixup]", "augment.mixup=0.3"),
        ("+experiment=uab_cnn", "schedule=cosine", "dataset=folder", "dataset.path='/a b'"),
    ],
)
def test_dvc_composes_the_same(overrides, tmp_path):
    """The tests compose in a quicker way of their own."""
    output = tmp_path / "params.yaml"
    compose_and_dump(output, str(REPO / "conf"), None, "config", str(REPO), list(overrides))
    assert composed(*overrides) == output.read_text("utf-8")


def test_groups_and_sections_are_those_of_the_registry():
    assert {group for group, _ in CHOICES} - {"experiment"} == set(SECTIONS)
    assert set(composed_sections()) == set(SECTIONS)


@pytest.mark.parametrize(("group", "choice"), [pair for pair in CHOICES if pair[0] != "experiment"])
def test_every_choice_composes_and_is_valid(group, choice):
    overrides = [f"{group}={choice}", *GIVEN.get((group, choice), [])]
    check_all(composed_sections(*overrides))


def test_list_of_augmentations_combines_them():
    alone = {name: composed_sections(f"augment={name}")["augment"] for name in ("specaugment", "mixup")}
    both = composed_sections("augment=[specaugment,mixup]")["augment"]
    assert both["specaugment"] == alone["specaugment"]["specaugment"] is not None
    assert both["mixup"] == alone["mixup"]["mixup"] is not None
    assert {name for name, value in both.items() if value is not None} == {"specaugment", "mixup"}
    assert alone["mixup"]["specaugment"] is None


def test_augmentation_can_be_set_by_its_key():
    assert composed_sections("augment.mixup=0.4")["augment"]["mixup"] == 0.4
    assert composed_sections("augment=mixup", "augment.mixup=0.4")["augment"]["mixup"] == 0.4
    assert composed_sections("augment=mixup", "augment.mixup=null") == composed_sections("augment=none")


def test_every_augmentation_has_a_choice_of_its_name():
    choices = {choice for group, choice in CHOICES if group == "augment"} - {"none", "gentle"}
    active = {
        name
        for choice in choices
        for name, value in composed_sections(f"augment={choice}")["augment"].items()
        if value is not None
    }
    assert active == set(composed_sections()["augment"])
    assert len(choices) == len(active)


def test_variants_are_set_by_their_numbers():
    plain = composed_sections()["features"]
    asked = ("features.variants.pitch_shift=[-2,2]", "features.variants.time_stretch=[0.9]")
    values = composed_sections(*asked)["features"]
    assert values == {**plain, "variants": {"pitch_shift": [-2, 2], "time_stretch": [0.9]}}
    check_section("features", values)
    assert (
        composed_sections("features.variants={pitch_shift: [-2, 2], time_stretch: [0.9]}")["features"]
        == values
    )
    assert plain["variants"] == {"pitch_shift": [], "time_stretch": []}


def test_every_experiment_composes_and_is_valid():
    for choice in EXPERIMENTS:
        check_all(composed_sections(f"+experiment={choice}"))


MAY_BE_GIVEN = [
    ("dataset", "folder", "path", "watch"),
    *(("dataset", choice, "labels", "watch_labels") for choice in ("sample", "folder", "gtzan", "fma")),
    ("dataset", "gtzan", "archive", "watch"),
    ("dataset", "fma", "path", "watch"),
    ("dataset", "fma", "metadata_path", "watch_metadata"),
    ("split", "file", "path", "watch"),
]


@pytest.mark.parametrize(("group", "choice", "key", "watch"), MAY_BE_GIVEN)
def test_path_given_by_the_user_is_watched(group, choice, key, watch):
    values = composed_sections(f"{group}={choice}", f"{group}.{key}=/some/thing")
    assert values[group][watch] == "/some/thing"


@pytest.mark.parametrize(("group", "choice"), [pair for pair in CHOICES if pair[0] in {"dataset", "split"}])
def test_without_a_path_files_of_the_project_are_watched(group, choice):
    """DVC crashes if a templated dependency is null, missing, or listed twice."""
    values = composed_sections(f"{group}={choice}")[group]
    watched = [values[key] for key in values if key.startswith("watch")]
    assert watched
    assert len(set(watched)) == len(watched)
    assert all((REPO / path).is_file() for path in watched)
    if group == "dataset":
        stage = (REPO / "dvc.yaml").read_text("utf-8").split("  decode:")[0]
        assert not [path for path in watched if f"- {path}\n" in stage]
