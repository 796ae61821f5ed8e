"""Models are of published size, take any input they promise to take, and can learn."""

import copy

import pytest
import torch
from lightning_fabric import Fabric
from torch import nn

import models
from stages import loop
from stages.train import check_model
from tests.synthetic import class_patterns, composed_sections

SHAPES = {"mfcc": (13, 130), "mel": (128, 130)}
NAMES = ["mlp", "cnn", "lstm"]


def configured(name: str, input_shape: tuple[int, int] | None = None, n_classes: int = 10, **changes):
    """The model that conf/model/NAME.yaml describes, and the feature it takes."""
    model_type, feature, kwargs = check_model(composed_sections(f"model={name}")["model"])
    torch.manual_seed(0)
    return model_type(
        input_shape=input_shape or SHAPES[feature], n_classes=n_classes, **{**kwargs, **changes}
    )


class TestMLP:
    """The well-known notebook's network."""

    def test_layer_table_and_size_are_the_notebooks(self):
        model = configured("mlp")
        table = [
            (layer.in_features, layer.out_features)
            for layer in model.modules()
            if isinstance(layer, nn.Linear)
        ]
        assert table == [(1690, 512), (512, 256), (256, 64), (64, 10)]
        assert sum(p.numel() for p in model.parameters()) == 1_014_218
        kinds = [type(layer).__name__ for layer in model.hidden]
        assert kinds == ["Flatten", *["Linear", "ReLU", "Dropout"] * 3]
        assert [layer.p for layer in model.hidden if isinstance(layer, nn.Dropout)] == [0.3] * 3

    @pytest.mark.parametrize("name", ["adam", "adamw", "sgd"])
    def test_l2_decays_the_hidden_kernels_alone(self, name):
        model = configured("mlp")
        optimizer = loop.make_optimizer(model, name, learning_rate=1e-3, weight_decay=0.0)
        decay = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
        names = {key: decay[id(p)] for key, p in model.named_parameters()}
        assert len(names) == len(decay) == 8
        for key, value in names.items():
            assert value == (2e-3 if key.startswith("hidden") and key.endswith("weight") else 0.0), key

    def test_l2_is_the_explicit_penalty(self):
        """Three steps of Adam with the decay equal three steps on the loss plus ``l2 * sum(w ** 2)``."""
        decayed = configured("mlp", dropout=0.0)
        penalised = copy.deepcopy(decayed)
        x, label = class_patterns(4, (13, 130))
        x, label = torch.from_numpy(x), torch.from_numpy(label)
        ours = loop.make_optimizer(decayed, "adam", 1e-3, 0.0)
        theirs = torch.optim.Adam(penalised.parameters(), lr=1e-3)
        kernels = [layer.weight for layer in penalised.hidden if isinstance(layer, nn.Linear)]
        for _ in range(3):
            ours.zero_grad()
            nn.functional.cross_entropy(decayed(x), label).backward()
            ours.step()
            theirs.zero_grad()
            penalty = 1e-3 * sum(kernel.square().sum() for kernel in kernels)
            (nn.functional.cross_entropy(penalised(x), label) + penalty).backward()
            theirs.step()
        start = configured("mlp", dropout=0.0)
        for mine, other, first in zip(
            decayed.parameters(), penalised.parameters(), start.parameters(), strict=True
        ):
            moved = (other - first).abs().max()
            assert moved > 1e-4
            assert (mine - other).abs().max() < 0.02 * moved


@pytest.mark.parametrize("name", ["cnn", "lstm"])
def test_models_without_l2_put_every_parameter_under_the_common_decay(name):
    model = configured(name)
    groups = loop.make_optimizer(model, "adam", 1e-3, 0.01).param_groups
    assert {group["weight_decay"] for group in groups} == {0.01}
    assert sum(len(group["params"]) for group in groups) == len(list(model.parameters()))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(13, 130), (128, 130), (20, 259), (8, 8)])
@pytest.mark.parametrize(("batch", "n_classes"), [(1, 10), (5, 2)])
def test_logits_for_various_inputs(name, shape, batch, n_classes):
    model = configured(name, shape, n_classes).eval()
    logits = model(torch.randn(batch, *shape))
    assert logits.shape == (batch, n_classes)
    assert torch.isfinite(logits).all()


@pytest.mark.parametrize("name", NAMES)
def test_a_segment_is_judged_on_its_own(name):
    model = configured(name).eval()
    x = torch.randn(6, *SHAPES[composed_sections(f"model={name}")["model"]["feature"]])
    torch.testing.assert_close(model(x)[2:3], model(x[2:3]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_every_model_learns_twenty_segments(name):
    model = configured(name, n_classes=3)
    shape = SHAPES["mfcc"] if name != "cnn" else (64, 65)  # a quarter of mel: it takes seconds
    x, label = class_patterns(7, shape)
    data = loop.Data(torch.from_numpy(x[:20]), torch.from_numpy(label[:20]))
    loop.fit(
        model,
        loop.make_optimizer(model, "adam", 1e-3, 0.0),
        Fabric(accelerator="cpu", devices=1),
        data,
        data,
        epochs=15 if name == "cnn" else 40,
        batch_size=10,
        patience=40,
        seed=0,
        on_epoch=lambda epoch: None,
    )
    assert loop.judge(model, data)[1] > 0.95


def test_a_cnn_too_deep_for_its_input_says_why():
    with pytest.raises(ValueError, match="too often for 13 bins x 130 frames"):
        models.CNN(input_shape=(13, 130), n_classes=10, channels=[8] * 4, dropout=0.0)


def test_every_conf_file_names_an_exported_model():
    assert set(models.__all__) >= {"MLP", "CNN", "LSTM", "Classifier"}
    assert all(issubclass(getattr(models, name), models.Classifier) for name in models.__all__)
