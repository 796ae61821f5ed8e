"""A trained model is rebuilt from its folder, and predicts as it did before."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from models import CNN
from models.one_hot import OneHotInput
from stages.tracking.logged_models import LOADS_ARRAYS
from stages.training import batches
from stages.training.scaler import Scaler
from stages.training.trained import TrainedModel, _load_pyfunc, build
from tests import synthetic
from tests.synthetic import REPO

pytestmark = pytest.mark.slow

SHAPE = (8, 10)
BINS = {"mean": [float(i) for i in range(8)], "std": [1.0 + i for i in range(8)]}


@pytest.fixture
def model():
    description = synthetic.description(
        model="CNN",
        kwargs={
            "input_shape": SHAPE,
            "n_classes": 3,
            "channels": [4, 8],
            "dropout": 0.5,
            "over": "both",
            "pooling": "mean",
        },
        labels=["blues", "jazz", "рок"],
        scaler=Scaler(name="bins", **BINS),
        kept_epoch=7,
    )
    torch.manual_seed(0)
    network = build(description)
    with torch.no_grad():
        network(torch.randn(16, *SHAPE))  # running statistics of batch norm are weights too
    return TrainedModel(description, network)


@pytest.fixture
def model_on_codes(model):
    """Return the same model on codes 0 to 6."""
    on_codes = synthetic.description(settings={"n_levels": 7})
    description = model.description.model_copy(update={"input": on_codes.input, "scaler": on_codes.scaler})
    torch.manual_seed(0)
    network = build(description)
    with torch.no_grad():
        network(torch.from_numpy(codes(16)))
    return TrainedModel(description, network)


def segments(n: int) -> np.ndarray:
    return np.random.default_rng(n).normal(5, 20, (n, *SHAPE)).astype(np.float32)


def codes(n: int) -> np.ndarray:
    return np.random.default_rng(n).integers(0, 7, (n, *SHAPE), dtype=np.uint8)


def test_loaded_model_equals_the_saved_one(model, tmp_path, monkeypatch):
    folder = tmp_path / "model"
    folder.mkdir()
    model.save(folder)
    monkeypatch.chdir(tmp_path)
    for loaded in (TrainedModel.load(folder), _load_pyfunc(str(folder))):
        x = segments(20)
        assert isinstance(loaded.model, CNN)
        assert np.array_equal(loaded.predict(x), model.predict(x))
        assert loaded.description.labels == ["blues", "jazz", "рок"]
        assert loaded.description.content_key == "0123456789abcdef"
        assert loaded.description.kept_epoch == 7
    assert sorted(path.name for path in folder.iterdir()) == ["model.json", "weights.safetensors"]


def test_saving_twice_writes_the_same_bytes(model, tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        model.save(tmp_path / name)
    again = TrainedModel.load(tmp_path / "a")
    again.save(tmp_path / "b")
    for file in ("model.json", "weights.safetensors"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    assert json.loads((tmp_path / "a" / "model.json").read_text("utf-8"))["model"] == "CNN"


def trained_with(model: TrainedModel, scaler: str = "bins", loss: str = "cross_entropy") -> TrainedModel:
    """Return the same network with another scaler or loss."""
    numbers = BINS if scaler == "bins" else {"mean": [], "std": []}
    changes = {"scaler": Scaler(name=scaler, **numbers), "recipe": synthetic.recipe(loss={"name": loss})}
    return TrainedModel(model.description.model_copy(update=changes), model.model)


@pytest.mark.parametrize("kind", ["bins", "example", "none"])
def test_predict_scales_as_training_does(model, kind, tmp_path):
    other, x = trained_with(model, scaler=kind), segments(6)
    other.save(tmp_path)
    with torch.no_grad():
        wanted = other.model(other.description.scaler.standardise(x)).double().softmax(dim=1)
    np.testing.assert_allclose(TrainedModel.load(tmp_path).predict(x), wanted, atol=1e-7)


def test_sigmoids_are_divided_by_their_sum(model, tmp_path):
    other, x = trained_with(model, loss="binary_cross_entropy"), segments(6)
    other.save(tmp_path)
    with torch.no_grad():
        each = 1 / (1 + np.exp(-other.model(other.description.scaler.standardise(x)).double().numpy()))
    probability = TrainedModel.load(tmp_path).predict(x)
    np.testing.assert_allclose(probability, each / each.sum(axis=1, keepdims=True), atol=1e-7)
    np.testing.assert_allclose(probability.sum(axis=1), 1)


def test_probabilities_sum_to_one_without_dropout(model):
    x = segments(30)
    probability = model.predict(x)
    assert probability.shape == (30, 3)
    assert probability.dtype == np.float64
    np.testing.assert_allclose(probability.sum(axis=1), 1)
    assert np.array_equal(model.predict(x), probability), "dropout is active"


def test_many_segments_are_predicted_like_few(model, monkeypatch):
    x = segments(23)
    monkeypatch.setattr(batches, "FORWARD_BYTES", 10 * x[:1].nbytes)
    together = model.predict(x)
    assert len(together) == len(x)
    alone = np.concatenate([model.predict(x[i : i + 1]) for i in (0, 10, 22)])
    np.testing.assert_allclose(together[[0, 10, 22]], alone, atol=1e-6)


def test_large_segments_are_predicted_one_by_one(model, monkeypatch):
    x = segments(5)
    together = model.predict(x)
    monkeypatch.setattr(batches, "FORWARD_BYTES", 1)
    np.testing.assert_allclose(model.predict(x), together, atol=1e-6)


@pytest.mark.parametrize(
    "odd",
    [
        lambda x: x.astype(np.float64),
        lambda x: x[:, :, ::-1],
        lambda x: x.transpose(0, 2, 1).copy().transpose(0, 2, 1),
    ],
)
def test_any_dtype_and_memory_layout_is_accepted(model, odd):
    x = odd(segments(5))
    np.testing.assert_allclose(model.predict(x), model.predict(np.ascontiguousarray(x, np.float32)))


def test_predict_does_not_change_its_input(model):
    x = segments(5)
    before = x.copy()
    model.predict(x)
    assert np.array_equal(x, before)


class TestOnCodes:
    """A model that takes codes has an input layer and no scaler."""

    def test_loaded_model_equals_the_saved_one(self, model_on_codes, tmp_path):
        model_on_codes.save(tmp_path)
        loaded = TrainedModel.load(tmp_path)
        assert isinstance(loaded.model, OneHotInput)
        assert isinstance(loaded.model.classifier, CNN)
        assert loaded.description.dtype == np.uint8
        probability = loaded.predict(codes(20))
        assert np.array_equal(probability, model_on_codes.predict(codes(20)))
        np.testing.assert_allclose(probability.sum(axis=1), 1)
        described = json.loads(Path(tmp_path, "model.json").read_text("utf-8"))
        assert described["kwargs"]["input_shape"] == list(SHAPE), "the shape of the feature"
        assert described["scaler"] == {"name": "none", "mean": [], "std": []}

    def test_codes_are_not_scaled_or_copied(self, model_on_codes):
        x = codes(5)
        tensor = model_on_codes.description.scaler.standardise(x)
        assert tensor.dtype == torch.uint8
        assert np.shares_memory(tensor.numpy(), x)

    def test_any_memory_layout_is_accepted(self, model_on_codes):
        x = codes(5)
        turned = x.transpose(0, 2, 1).copy().transpose(0, 2, 1)
        assert np.array_equal(model_on_codes.predict(turned), model_on_codes.predict(x))

    def test_code_above_the_number_of_levels_is_refused(self, model_on_codes):
        x = codes(5)
        x[2, 3, 4] = 7
        with pytest.raises(ValueError, match="codes 0 to 6, but there is 7"):
            model_on_codes.predict(x)

    @pytest.mark.parametrize("dtype", [np.float32, np.int64])
    def test_other_dtypes_than_uint8_are_refused(self, model_on_codes, dtype):
        with pytest.raises(TypeError, match="uint8"):
            model_on_codes.predict(codes(5).astype(dtype))


PROBE = """
import sys
import stages.training.trained
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


def test_logged_model_needs_only_its_listed_packages():
    done = subprocess.run([sys.executable, "-c", PROBE], cwd=REPO, capture_output=True, text=True, check=True)
    imported = set(done.stdout.split())
    declared = (REPO / "pyproject.toml").read_text("utf-8")
    ours = {name for name in imported if f'"{name}==' in declared or f'"{name}>=' in declared}
    assert {"pydantic", "ruamel", "safetensors", "torch"} <= imported
    assert ours - {"tqdm"} <= {*LOADS_ARRAYS}  # torch uses tqdm only if it is installed
