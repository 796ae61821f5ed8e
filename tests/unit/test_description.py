"""model.json: it is typed, and other files are refused."""

import json
from pathlib import Path

import numpy as np
import pydantic
import pytest

from stages.core.documents import read_document, write_document
from stages.training.description import SCHEMA, Description
from stages.training.loss_params import Triplet
from tests import synthetic
from tests.synthetic import line_of

TRIPLET = {"name": "triplet", "embedding_size": 6, "margin": 0.3, "mining": "all"}


@pytest.fixture
def saved(tmp_path):
    """Return the folder of a saved description."""
    synthetic.description().save(tmp_path)
    return tmp_path


def document(folder: Path) -> dict:
    return read_document(folder / "model.json", SCHEMA)


def write(folder: Path, text: str) -> None:
    (folder / "model.json").write_text(text, "utf-8")


def refused(folder: Path) -> str:
    line = line_of(lambda: Description.load(folder))
    assert line.startswith(f"{folder / 'model.json'}: ")
    assert line.endswith("`dvc repro`")
    return line


@pytest.mark.parametrize(
    "recipe",
    [
        synthetic.recipe(),
        synthetic.recipe(loss=TRIPLET, schedule={"name": "cosine", "final_ratio": 0.1}),
        synthetic.recipe(train={"patience": None}, augment={"noise": 0.1, "gain_db": 6.0}),
    ],
    ids=["default", "triplet", "augment"],
)
def test_loaded_description_equals_the_saved_one(tmp_path, recipe):
    description = synthetic.description(recipe=recipe, labels=["рок", "jazz"])
    description.save(tmp_path)
    loaded = Description.load(tmp_path)
    assert loaded.recipe == recipe
    assert type(loaded.recipe.schedule) is type(recipe.schedule)
    wanted = description.model_dump() | {"kwargs": {**description.kwargs, "input_shape": [13, 16]}}
    assert loaded.model_dump() == wanted
    assert document(tmp_path)["schema"] == SCHEMA


def test_description_is_frozen():
    with pytest.raises(pydantic.ValidationError):
        synthetic.description().kept_epoch = 5


def test_embedding_size_is_that_of_a_metric_loss():
    assert synthetic.description().embedding_size is None
    assert synthetic.description(recipe=synthetic.recipe(loss=TRIPLET)).embedding_size == 6
    assert isinstance(synthetic.recipe(loss=TRIPLET).loss, Triplet)


def test_dtype_follows_from_the_levels():
    assert synthetic.description().dtype == np.float32
    on_codes = synthetic.description(settings={"n_levels": 8})
    assert (on_codes.n_levels, on_codes.dtype) == (8, np.uint8)


@pytest.mark.parametrize("schema", [None, "encore-model/1", 2])
def test_other_schema_is_refused_in_one_line(saved, schema):
    content = document(saved) | {"schema": schema}
    if schema is None:
        del content["schema"]
    write(saved, json.dumps(content))
    line = refused(saved)
    assert f"has the schema {schema}, should be {SCHEMA}" in line
    assert "delete the file and run" in line


def test_model_json_of_the_form_before_is_refused(saved):
    before = {"model": "MLP", "feature": "mfcc", "feature_parameters": {}, "mean": [], "train": {}}
    write(saved, json.dumps(before))
    assert "has the schema None" in refused(saved)


@pytest.mark.parametrize("text", ["", "{", "\x00"])
def test_file_that_is_not_json_is_refused(saved, text):
    write(saved, text)
    assert "not readable as JSON" in refused(saved)


@pytest.mark.parametrize("text", ["[]", '"text"'])
def test_file_without_an_object_is_refused(saved, text):
    write(saved, text)
    assert "has the schema None" in refused(saved)


def test_wrong_value_is_refused_with_its_key(saved):
    content = document(saved)
    content["recipe"]["train"]["scaler"] = "robust"
    write_document(saved / "model.json", content)
    assert "recipe.train.scaler" in refused(saved)


def test_missing_key_is_refused_with_its_name(saved):
    content = document(saved)
    del content["rendering"]
    write_document(saved / "model.json", content)
    assert "rendering" in refused(saved)


def test_missing_file_is_refused(tmp_path):
    assert "not found" in refused(tmp_path)
