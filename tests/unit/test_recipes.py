"""conf/model: a network's name brings what makes it good; presets and the user's own values stay."""

import json

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from sklearn.linear_model import LogisticRegression

from models import CNN, LSTM, Linear
from stages.core.errors import EncoreError
from stages.core.params import flat
from stages.entry.overrides import Conf, check_words
from stages.entry.registry import check_all
from stages.training.checkpoints import Checkpoint
from tests.synthetic import REPO, class_patterns, composed_sections, recipe, training

pytestmark = pytest.mark.slow

BEFORE = json.loads((REPO / "tests/presets_before_recipes.json").read_text("utf-8"))
NEW = ("model.bidirectional", "model.pooling", "features.musicnn.", "features.encoder.", "features.watch")
RECIPES = ["mlp", "cnn", "lstm", "encore_cnn", "linear"]


@pytest.mark.parametrize("preset", BEFORE)
def test_presets_compose_as_before_there_were_recipes(preset):
    sections = composed_sections(f"+experiment={preset}")
    now = flat({name: sections[name] for name in {key.partition(".")[0] for key in BEFORE[preset]}})
    include = now.pop("features.include")
    assert set(BEFORE[preset].pop("features.include", include)) <= set(include)
    assert {key: value for key, value in now.items() if key in BEFORE[preset]} == BEFORE[preset]
    new = {key: now[key] for key in now.keys() - BEFORE[preset]}
    assert all(key.startswith(NEW) for key in new)
    assert (new.get("model.bidirectional", False), new.get("model.pooling", "last")) == (False, "last")


@pytest.mark.parametrize("name", RECIPES)
def test_a_name_alone_brings_its_training(name):
    bare, full = (
        composed_sections("model=mlp" if name == "linear" else f"model=bare/{name}"),
        composed_sections(f"model={name}"),
    )
    assert full["train"] != bare["train"]
    assert full["features"]["mfcc"] == {**bare["features"]["mfcc"], "n_mfcc": 20, "deltas": 2}


@pytest.mark.parametrize("name", ["mlp", "cnn", "lstm", "encore_cnn"])
def test_every_value_can_still_be_overridden(name):
    others = (
        "schedule=step",
        "augment=none",
        "train.epochs=3",
        "features.mfcc.n_mfcc=13",
        "model.dropout=0.1",
    )
    sections = composed_sections(*others, f"model={name}")
    assert sections["schedule"] == {"name": "step", "warmup_epochs": 0.0, "every_epochs": 10, "gamma": 0.1}
    assert not any(sections["augment"].values())
    assert sections["train"]["epochs"] == 3
    assert sections["features"]["mfcc"]["n_mfcc"] == 13
    assert sections["model"]["dropout"] == 0.1


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["model.feature=[mfcc,mel]"], "Choose model=mlp or model=linear"),
        (["model=linear", "model.feature=mfcc"], "should be a list, such as [mfcc]"),
        (["model=mlp", "model.feature=[mfcc,mfcc]"], "each once"),
        (["baseline.features=[mel,mel]"], "should have mel once"),
        (["model=linear", "augment=mixup"], "augment.mixup does not work with train.optimizer=lbfgs"),
        (["model=linear", "train.clip_norm=1.0"], "train.clip_norm does not work with train.optimizer=lbfgs"),
        (["model=linear", "train.precision=16-mixed"], "train.precision does not work"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_runs(words, line):
    with pytest.raises(EncoreError) as refused:
        check_all(composed_sections(*words))
    assert line in str(refused.value)


@pytest.mark.parametrize("name", ["mlp", "cnn", "lstm", "encore_cnn"])
def test_a_bare_network_can_be_chosen_by_name(name):
    conf = Conf(REPO / "conf", lambda words: OmegaConf.create(composed_sections(*words)))
    config = check_words([f"model=bare/{name}"], conf)
    assert config["train"]["epochs"] == 50
    with pytest.raises(EncoreError, match="did you mean bare/lstm"):
        check_words(["model=bare/lstn"], conf)


def test_keys_of_recipes_name_their_choices():
    conf = Conf(REPO / "conf", lambda words: OmegaConf.create(composed_sections(*words)))
    assert {"model=mlp", "model=bare/mlp"} <= set(conf.choices_with("model.hidden"))
    assert {"model=lstm", "model=bare/lstm"} <= set(conf.choices_with("model.bidirectional"))


def fitted(model, how, x, label):
    with Checkpoint("", is_first=False) as nowhere:
        training(model, how, (x, label), (x, label)).fit(nowhere, lambda *_: None)
    return model.eval()


@pytest.mark.parametrize("l2", [0.0005, 0.01])
def test_linear_is_the_softmax_regression_of_scikit_learn(l2):
    x, label = class_patterns(60, (30, 1))
    x = (0.3 * x + np.random.default_rng(1).standard_normal(x.shape)).astype(np.float32)  # not separable
    sections = composed_sections("model=linear")
    how = recipe(train=sections["train"])
    model = fitted(Linear((30, 1), 3, l2), how, torch.from_numpy(x), torch.from_numpy(label))
    ours = model(torch.from_numpy(x)).softmax(1).detach().numpy()
    theirs = LogisticRegression(C=1 / (2 * len(x) * l2), max_iter=5000, tol=1e-8)
    expected = theirs.fit(x[:, :, 0].astype(np.float64), label).predict_proba(x[:, :, 0])
    assert 0.1 < np.abs(expected - 1 / 3).max() < 0.67
    np.testing.assert_allclose(ours, expected, atol=1e-3)


def test_linear_refuses_frames():
    with pytest.raises(ValueError, match=r"make model.feature a list, such as \[mfcc\]"):
        Linear((13, 130), 10, 0.1)


def test_cnn_over_time_takes_bins_in_any_order_of_its_first_kernel():
    """Bins are channels: with the bins and the kernel permuted alike, nothing changes."""
    torch.manual_seed(0)
    model = CNN((13, 32), 5, [4, 6], 0.0, "time", "statistics").eval()
    x, order = torch.randn(3, 13, 32), torch.randperm(13)
    before = model(x)
    model.blocks[0].weight.data = model.blocks[0].weight[:, order]
    torch.testing.assert_close(model(x[:, order]), before, rtol=1e-4, atol=1e-5)
    assert model.head[1].in_features == 2 * 6


def test_lstm_in_both_directions_reads_a_reversed_segment_alike():
    torch.manual_seed(0)
    model = LSTM((5, 20), 3, 4, 1, 0.0, bidirectional=True, pooling="statistics").eval()
    state = {name: value.clone() for name, value in model.lstm.state_dict().items()}
    swapped = {
        name: state[name.removesuffix("_reverse") if name.endswith("_reverse") else f"{name}_reverse"]
        for name in state
    }
    x = torch.randn(2, 5, 20)
    forward = model.lstm(x.transpose(1, 2))[0]
    model.lstm.load_state_dict(swapped)
    backward = model.lstm(x.flip(2).transpose(1, 2))[0].flip(1)
    torch.testing.assert_close(forward, torch.cat([backward[..., 4:], backward[..., :4]], dim=2))
    assert model(x).shape == (2, 3)
    assert LSTM((5, 20), 3, 4, 2, 0.0, bidirectional=True, pooling="last")(x).shape == (2, 3)
