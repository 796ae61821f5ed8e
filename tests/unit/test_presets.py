"""The presets of conf/experiment/ equal the published systems, from the input to the loss, and learn."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from torch import nn

import models
from models import Classifier
from models.nearest_prototype import NearestPrototype
from stages.core.params import check
from stages.features.params import FeaturesParams, build
from stages.features.segments import cut
from stages.features.spectra import Segments
from stages.training import loop, recipe
from stages.training.augment_params import AugmentParams
from stages.training.augmentation import Augmentation
from stages.training.batches import Resident
from stages.training.checkpoints import Checkpoint
from stages.training.loss_params import check_loss
from stages.training.losses import make_loss
from stages.training.model_params import check_model
from stages.training.schedule_params import Constant, check_schedule
from tests.synthetic import composed_sections, noise, tone

pytestmark = pytest.mark.slow

GTZAN_SAMPLES = 661_794  # at 22,050 Hz, the most common length of a track


@dataclass(frozen=True)
class Published:
    """The published values of a system.

    `layers` are its weights from input to output: of dense and recurrent layers (in, out), of convolutions
    (in, out, kernel).
    """

    input_shape: tuple[int, int]
    n_segments: int  # of a 30-s track
    layers: Sequence[tuple]
    n_parameters: int
    optimizer: str
    learning_rate: float | None  # None: not published
    batch_size: int | None
    epochs: int | None  # over all rounds
    loss: str = "cross_entropy"
    weight_decay: float = 0.0


def dense(*sizes: int) -> int:
    return sum(n_in * n_out + n_out for n_in, n_out in pairwise(sizes))


def normed(*channels: int) -> int:
    """3x3 convolutions without bias, each with scale and shift of batch norm."""
    return sum(9 * n_in * n_out + 2 * n_out for n_in, n_out in pairwise(channels))


def gated(n_gates: int, n_in: int, size: int) -> int:
    """A recurrent layer with PyTorch's two bias vectors."""
    return n_gates * size * (n_in + size + 2)


CHOI_CNN, CHOI_CRNN = (1, 47, 95, 95, 142, 190), (1, 68, 137, 137, 137)
BLOCKS = (1, 64, 64, 64, 128, 128, 128, 256, 256, 256)


def kernels3(channels: Sequence[int]) -> list[tuple]:
    return [(n_in, n_out, (3, 3)) for n_in, n_out in pairwise(channels)]


SYSTEMS = {
    "notebook_mlp": Published(
        (13, 130), 10, [(1690, 512), (512, 256), (256, 64), (64, 10)], 1_014_218, "adam", 1e-4, 32, 50
    ),
    "cayde_mlp": Published(
        (13, 259),
        5,
        [(3367, 512), (512, 256), (256, 64), (64, 10)],
        dense(3367, 512, 256, 64, 10),
        "adam",
        1e-4,
        128,
        500,
    ),
    "cayde_cnn": Published(
        (96, 1366),
        1,
        [*kernels3(CHOI_CNN), (190, 10)],
        normed(*CHOI_CNN) + dense(190, 10),
        "adam",
        None,
        None,
        None,
        loss="binary_cross_entropy",
    ),
    "cayde_crnn": Published(
        (96, 1366),
        1,
        [*kernels3(CHOI_CRNN), (137, 68), (68, 68), (68, 10)],
        normed(*CHOI_CRNN) + gated(3, 137, 68) + gated(3, 68, 68) + dense(68, 10),
        "adam",
        None,
        None,
        None,
        loss="binary_cross_entropy",
    ),
    "blocks_cnn": Published(
        (128, 431),
        1,
        [*kernels3(BLOCKS), (256, 10)],
        normed(*BLOCKS) + dense(256, 10),
        "adamw",
        1e-4,
        32,
        100,
        weight_decay=0.01,
    ),
    "uab_lstm": Published((33, 128), 1, [(33, 128), (128, 128), (128, 10)], 216_842, "adam", 1e-3, 35, 400),
    "uab_lstm_mel": Published(
        (128, 128),
        1,
        [(128, 64), (64, 64), (64, 10)],
        gated(4, 128, 64) + gated(4, 64, 64) + dense(64, 10),
        "adam",
        1e-4,
        64,
        1001,
    ),
    "uab_cnn": Published(
        (13, 259),
        5,
        [(1, 32, (3, 3)), (32, 32, (3, 3)), (32, 32, (2, 2)), (1024, 64), (64, 10)],
        (9 * 32 + 32) + 64 + (9 * 32 * 32 + 32) + 64 + (4 * 32 * 32 + 32) + 64 + dense(1024, 64, 10),
        "adam",
        1e-3,
        8,
        50,
    ),
}
SYSTEMS |= {
    "composer_triplet": Published(
        (64, 2584),
        1,
        [(2, 16, (5, 5)), (16, 32, (5, 5)), (267_488, 50), (50, 25)],
        13_389_373,
        "sgd",
        1e-3,
        16,
        10,
        loss="triplet",
    ),
    "composer_triplet_own_input": Published(  # the same network on what is not published
        (128, 130),
        10,
        [(1, 16, (5, 5)), (16, 32, (5, 5)), (26_912, 50), (50, 64)],
        (25 * 16 + 16) + (25 * 16 * 32 + 32) + dense(26_912, 50, 64),
        "adam",
        None,
        None,
        None,
        loss="triplet",
    ),
}
# These take up to minutes per epoch: here the same layers learn from the first frames only.
SMALLER = {
    "cayde_cnn": {"pools": [[2, 4], [2, 4], [2, 4], [3, 2], [4, 1]], "frames": 128},
    "cayde_crnn": {"frames": 96},
    "blocks_cnn": {"frames": 8},
    "composer_triplet": {"frames": 128},
}


@pytest.fixture(params=SYSTEMS)
def name(request):
    return request.param


def sections_of(name: str, *overrides: str) -> dict:
    return composed_sections(f"+experiment={name}", *overrides)


def built(sections: dict, input_shape: Sequence[int], n_classes: int = 10, **changes) -> Classifier:
    """Build the network with as many outputs as the loss needs."""
    chosen = check_model(sections["model"])
    torch.manual_seed(0)
    n_outputs = sections["loss"].get("embedding_size", n_classes)
    shape = tuple(input_shape)
    return getattr(models, chosen.name)(
        input_shape=shape, n_classes=n_outputs, **{**chosen.kwargs, **changes}
    )


def layers_of(model: nn.Module) -> list[tuple]:
    table: list[tuple] = []
    for layer in model.modules():
        match layer:
            case nn.Linear():
                table.append((layer.in_features, layer.out_features))
            case nn.Conv2d():
                table.append((layer.in_channels, layer.out_channels, layer.kernel_size))
            case nn.LSTM() | nn.GRU():
                sizes = [layer.input_size, *[layer.hidden_size] * layer.num_layers]
                table += pairwise(sizes)
    return table


def test_every_preset_has_published_values():
    from tests.unit.test_conf import EXPERIMENTS

    assert set(SYSTEMS) | {"encore", "musicnn_linear", "musicnn_mlp"} == set(EXPERIMENTS)


def made(sections: dict, n_segments: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a preset's features of synthetic segments: tones in noise, four classes by pitch."""
    rate_hz = sections["audio"]["sample_rate_hz"]
    length = round(sections["segment"]["length_s"] * rate_hz)
    label = np.arange(n_segments) % 4
    samples = np.stack(
        [noise(length, i, 0.2) + tone(length, 220 * 2 ** (kind / 2), rate_hz) for i, kind in enumerate(label)]
    )
    params = check(sections["features"], FeaturesParams, "features")
    feature = build(params, rate_hz, length)[sections["model"]["feature"]]
    values = [feature.of(Segments(one[None].astype(np.float32)))[0].T for one in samples]
    return np.ascontiguousarray(values, np.float32), label


def test_input_shape_is_the_published_one(name):
    sections, published = sections_of(name), SYSTEMS[name]
    x, _ = made(sections, 1)
    assert x.shape[1:] == published.input_shape
    rate_hz, segment = sections["audio"]["sample_rate_hz"], sections["segment"]
    n_samples = GTZAN_SAMPLES * rate_hz // 22050
    cuts = cut(n_samples, 1, round(segment["length_s"] * rate_hz), segment["tail"], segment["max_per_track"])
    assert len(cuts) == published.n_segments
    assert cuts[0][0] == 0


def test_layers_and_size_are_the_published_ones(name):
    model = built(sections_of(name), SYSTEMS[name].input_shape)
    assert layers_of(model) == list(SYSTEMS[name].layers)
    assert sum(p.numel() for p in model.parameters()) == SYSTEMS[name].n_parameters


def test_optimiser_and_loss_are_the_published_ones(name):
    sections, published = sections_of(name), SYSTEMS[name]
    params = check(sections["train"], recipe.TrainParams, "train")
    model = built(sections, published.input_shape)
    optimizer = loop.make_optimizer(model, params)
    assert type(optimizer).__name__.lower() == published.optimizer
    assert params.learning_rate == (published.learning_rate or params.learning_rate)
    assert params.batch_size == (published.batch_size or params.batch_size)
    assert params.epochs * params.rounds == (published.epochs or params.epochs)
    assert params.weight_decay == published.weight_decay
    assert sections["loss"]["name"] == published.loss
    if published.epochs:
        assert (params.patience, params.keep) == (None, "last"), "all epochs run, and the last one counts"


def test_triplet_loss_has_the_published_parameters():
    loss = check_loss(sections_of("composer_triplet")["loss"])
    assert (loss.embedding_size, loss.margin) == (25, 1.0)


def test_cayde_mlp_has_ten_rounds():
    assert sections_of("cayde_mlp")["train"]["rounds"] == 10


@pytest.mark.parametrize(
    ("preset", "schedule"),
    [("uab_lstm", "plateau"), ("uab_lstm_mel", "cosine_restarts"), ("uab_lstm", "step")],
)
def test_each_lstm_works_with_its_three_schedules(preset, schedule):
    sections = sections_of(preset, f"schedule={schedule}")
    assert check_schedule(sections["schedule"]).name == schedule
    assert sections["train"]["monitor"] == "valid_accuracy"


@pytest.mark.parametrize("schedule", ["linear", "plateau"])
def test_blocks_cnn_keeps_its_warm_up_with_every_schedule(schedule):
    sections = sections_of("blocks_cnn", f"schedule={schedule}")
    assert check_schedule(sections["schedule"]).warmup_epochs == 5.0


@pytest.mark.parametrize(
    "option", [{"residual": True}, {"frequency_as_channels": True}, {"pooling": "average"}], ids=str
)
def test_blocks_cnn_has_working_options(option):
    model = built(sections_of("blocks_cnn"), (128, 64), **option)
    assert model.eval()(torch.randn(1, 128, 64)).shape == (1, 10)


class Learned(Exception):  # noqa: N818
    """Over 95 % of the training segments are right."""


def test_preset_learns_twenty_segments(name, workspace):
    sections = sections_of(name)
    smaller = dict(SMALLER.get(name, {}))
    x, label = made(sections, 20)
    x = x[..., : smaller.pop("frames", None)]
    few_segments = {"patience": None, "batch_size": 4}  # and too few steps an epoch for an LR schedule
    params = check(sections["train"] | few_segments, recipe.TrainParams, "train")
    match params.scaler:
        case "bins":
            x = (x - x.mean((0, 2), keepdims=True)) / x.std((0, 2), keepdims=True).clip(1e-6)
        case "example":
            x = (x - x.mean((1, 2), keepdims=True)) / x.std((1, 2), keepdims=True)
    wanted = recipe.Recipe(
        train=params,
        schedule=Constant(name="constant", warmup_epochs=0.0),
        loss=check_loss(sections["loss"]),
        augment=check(sections["augment"], AugmentParams, "augment"),
    )
    fabric = Fabric(accelerator="cpu", devices=1)
    data = Resident(torch.from_numpy(x), torch.from_numpy(label))
    loss = make_loss(wanted.loss, torch.full((4,), 5), fabric.device)
    model = built(sections, x.shape[1:], 4, **smaller)
    if "embedding_size" in sections["loss"]:
        model = NearestPrototype(model, 4, sections["loss"]["embedding_size"])
    training = loop.Training(
        model, wanted, fabric, data, data, loss, Augmentation(wanted.augment, torch.ones(1))
    )

    def stop_once_learned(row, seconds=None):
        if row.valid_accuracy > 0.95:  # of the same segments
            raise Learned

    with pytest.raises(Learned), Checkpoint("unused", is_first=False) as checkpoint:
        training.fit(checkpoint, stop_once_learned)
