"""Models have the published size, accept the inputs that they should, and can learn."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

import models
from models.nearest_prototype import NearestPrototype
from models.one_hot import OneHotInput
from stages.training import loop
from stages.training.batches import Resident
from stages.training.checkpoints import Checkpoint
from stages.training.losses import make_loss
from stages.training.model_params import check_model
from stages.training.validation import validate
from tests.synthetic import REPO, class_patterns, composed_sections, recipe, training

pytestmark = pytest.mark.slow

SHAPES = {"mfcc": (13, 130), "mel": (128, 130)}
NAMES = ["mlp", "cnn", "lstm", "encore_cnn"]
N_LEVELS, CODES = 8, (12, 16)  # of the small features of codes


def configured(name: str, input_shape: tuple[int, ...] | None = None, n_classes: int = 10, **changes):
    """Build the model of conf/model/bare/NAME.yaml, for the feature that it takes."""
    chosen = check_model(composed_sections(f"model=bare/{name}")["model"])
    torch.manual_seed(0)
    return getattr(models, chosen.name)(
        input_shape=input_shape or SHAPES[chosen.feature],
        n_classes=n_classes,
        **{**chosen.kwargs, **changes},
    )


class TestMLP:
    """The well-known notebook's network."""

    def test_layers_and_size_are_those_of_the_notebook(self):
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

    def test_mlp_without_hidden_layers_is_linear(self):
        model = configured("mlp", (3, 4), hidden=[])
        assert [tuple(p.shape) for p in model.parameters()] == [(10, 12), (10,)]
        x, y = torch.randn(2, 3, 4), torch.randn(2, 3, 4)
        torch.testing.assert_close(model(x) - model(y), model(x - y) - model(torch.zeros(1, 3, 4)))

    @pytest.mark.parametrize("name", ["adam", "adamw", "sgd"])
    def test_l2_decays_only_the_hidden_kernels(self, name):
        model = configured("mlp")
        optimizer = loop.make_optimizer(model, recipe(train={"optimizer": name}).train)
        decay = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
        names = {key: decay[id(p)] for key, p in model.named_parameters()}
        assert len(names) == len(decay) == 8
        for key, value in names.items():
            assert value == (2e-3 if key.startswith("hidden") and key.endswith("weight") else 0.0), key

    def test_l2_equals_the_explicit_penalty(self):
        """Three steps of Adam with the decay equal three steps on the loss plus ``l2 * sum(w ** 2)``."""
        decayed = configured("mlp", dropout=0.0)
        penalised = copy.deepcopy(decayed)
        x, label = class_patterns(4, (13, 130))
        x, label = torch.from_numpy(x), torch.from_numpy(label)
        ours = loop.make_optimizer(decayed, recipe(train={"optimizer": "adam"}).train)
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
def test_models_without_l2_use_the_common_decay(name):
    model = configured(name)
    groups = loop.make_optimizer(model, recipe(train={"weight_decay": 0.01}).train).param_groups
    assert {group["weight_decay"] for group in groups} == {0.01}
    assert sum(len(group["params"]) for group in groups) == len(list(model.parameters()))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("shape", "batch", "n_classes"), [((128, 130), 1, 10), ((8, 8), 5, 2), ((2, 20, 130), 5, 10)]
)
def test_logits_for_various_inputs(name, shape, batch, n_classes):
    model = configured(name, shape, n_classes).eval()
    logits = model(torch.randn(batch, *shape))
    assert logits.shape == (batch, n_classes)
    assert torch.isfinite(logits).all()


@pytest.mark.parametrize("name", NAMES)
def test_one_channel_equals_none(name):
    flat, deep = configured(name, CODES).eval(), configured(name, (1, *CODES)).eval()
    x = torch.randn(3, *CODES)
    assert flat.state_dict().keys() == deep.state_dict().keys()
    assert torch.equal(flat(x), deep(x[:, None]))


@pytest.mark.parametrize("name", NAMES)
def test_segments_do_not_affect_each_other(name):
    model = configured(name).eval()
    x = torch.randn(6, *SHAPES[composed_sections(f"model=bare/{name}")["model"]["feature"]])
    torch.testing.assert_close(model(x)[2:3], model(x[2:3]), rtol=1e-4, atol=1e-5)


def learned(model: models.Classifier, x: torch.Tensor, label: torch.Tensor, **changes) -> float:
    """Train on some segments; return the accuracy on them."""
    how = recipe(train={"batch_size": 10, "patience": None, **changes})
    with Checkpoint("", is_first=False) as nowhere:
        training(model, how, (x, label), (x, label)).fit(nowhere, lambda *_: None)
    loss = make_loss(how.loss, torch.bincount(label), torch.device("cpu"))
    return validate(model, Resident(x, label), loss)[1]


@pytest.mark.parametrize("name", NAMES)
def test_every_model_learns_twenty_segments(name):
    shape = SHAPES["mfcc"] if name != "cnn" else (64, 65)  # a quarter of mel, which would take seconds
    model = configured(name, shape, n_classes=3)
    x, label = class_patterns(7, shape)
    data = torch.from_numpy(x[:20]), torch.from_numpy(label[:20])
    assert learned(model, *data, epochs=15, learning_rate=3e-3) > 0.95


class TestEncoreCNN:
    """Encore's own network."""

    def test_layers_and_size(self):
        model = configured("encore_cnn")
        kernels = [tuple(layer.weight.shape) for layer in model.modules() if isinstance(layer, nn.Conv1d)]
        assert kernels == [(64, 128, 3), *[(64, 64, 3)] * 4]
        convolutions = 128 * 64 * 3 + 4 * 64 * 64 * 3 + 5 * 2 * 64
        assert sum(p.numel() for p in model.parameters()) == convolutions + 2 * 128 + 128 * 10 + 10

    def test_block_with_another_width_has_a_projection(self):
        model = configured("encore_cnn", channels=[8, 16])
        assert model.blocks[0].past[0].weight.shape == (16, 8, 1)
        assert model.eval()(torch.randn(2, 128, 130)).shape == (2, 10)

    def test_pooling_is_mean_and_std_over_all_frames(self):
        model = configured("encore_cnn").eval()
        x = torch.randn(3, 128, 200)
        maps = model.blocks(model.first(x))
        assert maps.shape == (3, 64, 50)
        pooled = torch.cat([maps.mean(2), maps.var(2, correction=0).sqrt()], dim=1)
        torch.testing.assert_close(model(x), model.head(pooled))

    def test_dense_layers_answer_for_themselves_in_training_and_count_half_after_it(self):
        model = configured("encore_cnn", hidden=[32], dropout=0.0)
        x = torch.randn(6, 128, 130)
        assert model(x).shape == (6, 2, 10)
        model.eval()
        convolutions = configured("encore_cnn", dropout=0.0).eval()
        shared = {name: value for name, value in model.state_dict().items() if not name.startswith("dense.")}
        convolutions.load_state_dict(shared)
        statistics = torch.cat([x.mean(2), x.var(2, correction=0).sqrt()], dim=1)
        torch.testing.assert_close(model(x), (convolutions(x) + model.dense(statistics)) / 2)

    @pytest.mark.parametrize("hidden", [[], [16]])
    def test_silence_has_finite_gradients(self, hidden):
        model = configured("encore_cnn", hidden=hidden)
        model(torch.zeros(4, 128, 130)).sum().backward()
        assert all(torch.isfinite(p.grad).all() for p in model.parameters())

    @pytest.mark.parametrize(
        ("changes", "message"),
        [({"kernel_size": 4}, "should be odd"), ({"channels": [8] * 9}, "too often for 130 frames")],
    )
    def test_impossible_sizes_are_refused(self, changes, message):
        with pytest.raises(ValueError, match=message):
            configured("encore_cnn", **changes)


@pytest.mark.parametrize("input_shape", [(13, 130), (64, 13, 130)])
def test_cnn_too_deep_for_its_input_is_refused(input_shape):
    with pytest.raises(ValueError, match="too often for 13 bins x 130 frames"):
        configured("cnn", input_shape, channels=[8] * 4)


def on_codes(name: str) -> OneHotInput:
    return OneHotInput(configured(name, (N_LEVELS, *CODES), n_classes=3), N_LEVELS)


def code_patterns(n_per_class: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return segments of codes, and their class numbers."""
    x, label = class_patterns(n_per_class, CODES)
    codes = np.clip(np.floor(x + N_LEVELS / 2), 0, N_LEVELS - 1).astype(np.uint8)
    return torch.from_numpy(codes), torch.from_numpy(label)


class TestOneHotInput:
    """Any model on codes equals that model on their one-hot."""

    @pytest.mark.parametrize(("n_levels", "dtype"), [(2, torch.float32), (256, torch.bfloat16)])
    def test_one_hot_is_exact_with_the_dtype_of_the_weights(self, n_levels, dtype):
        classifier = models.MLP((n_levels, *CODES), n_classes=2, hidden=[4], dropout=0.0, l2=0.0)
        codes = np.random.default_rng(0).integers(0, n_levels, (3, *CODES), dtype=np.uint8)
        codes[0, 0, 0], codes[-1, -1, -1] = 0, n_levels - 1
        model = OneHotInput(classifier, n_levels).to(dtype)
        expanded = model.expand(torch.from_numpy(codes))
        assert expanded.dtype == dtype
        wanted = np.moveaxis(np.eye(n_levels)[codes], -1, 1)
        assert expanded.shape == wanted.shape == (3, n_levels, *CODES)
        assert np.array_equal(expanded.double().numpy(), wanted)
        assert model(torch.from_numpy(codes)).dtype == dtype

    def test_one_hot_has_the_autocast_dtype_in_mixed_precision(self):
        model = on_codes("mlp")
        codes, _ = code_patterns(2)
        with torch.autocast("cpu", torch.bfloat16):
            mixed = model.expand(codes)
        assert mixed.dtype == torch.bfloat16
        assert torch.equal(mixed.float(), model.expand(codes))

    @pytest.mark.parametrize("name", NAMES)
    def test_logits_equal_those_of_the_one_hot(self, name):
        model = on_codes(name).eval()
        codes, _ = code_patterns(2)
        one_hot = nn.functional.one_hot(codes.long(), N_LEVELS).permute(0, 3, 1, 2).float().contiguous()
        assert model(codes).shape == (6, 3)
        assert torch.equal(model(codes), model.classifier(one_hot))

    @pytest.mark.parametrize("name", NAMES)
    @pytest.mark.parametrize("level", [0, N_LEVELS - 1])
    def test_level_has_gradients_only_for_its_own_weights(self, name, level):
        model = on_codes(name).eval()
        codes = torch.full((2, *CODES), level, dtype=torch.uint8)
        nn.functional.cross_entropy(model(codes), torch.tensor([0, 1])).backward()
        assert all(parameter.grad is not None for parameter in model.parameters())
        first = next(model.parameters()).grad  # (units, inputs of a segment or step)
        of_levels = first.reshape(len(first), N_LEVELS, -1).abs().sum(dim=(0, 2))
        assert torch.equal(of_levels > 0, torch.arange(N_LEVELS) == level)

    @pytest.mark.parametrize("name", NAMES)
    def test_weights_and_decay_are_those_of_the_classifier(self, name):
        model, plain = on_codes(name), configured(name, (N_LEVELS, *CODES), n_classes=3)
        wanted = plain.state_dict()
        assert {key: value.shape for key, value in model.state_dict().items()} == {
            f"classifier.{key}": value.shape for key, value in wanted.items()
        }
        for mine, other in zip(model.parameter_groups(), plain.parameter_groups(), strict=True):
            assert mine.keys() == other.keys()
            assert mine.get("weight_decay") == other.get("weight_decay")
            assert [p.shape for p in mine["params"]] == [p.shape for p in other["params"]]

    @pytest.mark.parametrize(
        ("name", "precision"), [*zip(NAMES, ["32-true", "bf16-mixed", "bf16-mixed", "32-true"], strict=True)]
    )
    def test_every_model_learns_twenty_segments(self, name, precision):
        model = on_codes(name)
        x, label = (values[:20] for values in code_patterns(7))
        assert learned(model, x, label, epochs=20, learning_rate=3e-3, precision=precision) > 0.95
        assert x.dtype == torch.uint8


def test_all_exported_models_are_classifiers():
    assert set(models.__all__) >= {"MLP", "CNN", "LSTM", "Classifier"}
    assert all(issubclass(getattr(models, name), models.Classifier) for name in models.__all__)


PRESETS = sorted(path.stem for path in (REPO / "conf/model").glob("*.yaml"))


class TestEmbedding:
    """The embedding is all that the answer is made from."""

    @pytest.mark.parametrize("name", PRESETS)
    def test_heads_make_the_logits_from_it(self, name):
        chosen = check_model(composed_sections(f"model={name}")["model"])
        shape = {"Linear": (40, 1), "ChoiCNN": (96, 1280)}.get(chosen.name, (96, 130))
        model = getattr(models, chosen.name)(input_shape=shape, n_classes=10, **chosen.kwargs).eval()
        x = torch.randn(3, *shape)
        with torch.no_grad():
            logits, embedding = model.with_embedding(x)
            parts = embedding.split([head.in_features for head in model.heads], dim=1)
            answers = [head(part) for head, part in zip(model.heads, parts, strict=True)]
            again = torch.stack(answers).mean(dim=0)
            assert torch.equal(logits, model(x))
        assert embedding.shape[0] == len(x)
        torch.testing.assert_close(again.relu() if chosen.name == "EmbeddingCNN" else again, logits)

    def test_it_leaves_no_hooks_and_no_weights(self):
        model = configured("encore_cnn", hidden=[16]).eval()
        names = [*model.state_dict()]
        model.with_embedding(torch.randn(2, 128, 130))
        assert not any(layer._forward_pre_hooks for layer in model.modules())
        assert [*model.state_dict()] == names
        assert [head.in_features for head in model.heads] == [128, 16]

    def test_input_layer_passes_it_on(self):
        model = on_codes("encore_cnn").eval()
        codes, _ = code_patterns(2)
        logits, embedding = model.with_embedding(codes)
        wanted = model.classifier.with_embedding(model.expand(codes))
        assert torch.equal(logits, wanted[0])
        assert torch.equal(embedding, wanted[1])

    def test_with_prototypes_it_is_what_is_compared(self):
        model = NearestPrototype(configured("mlp", CODES, n_classes=4), 3, 4).eval()
        x = torch.randn(5, *CODES)
        logits, embedding = model.with_embedding(x)
        assert torch.equal(logits, model(x))
        torch.testing.assert_close(embedding.norm(dim=1), torch.ones(5))
        assert torch.equal(embedding, model.embed(x))
