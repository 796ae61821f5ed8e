"""The published networks have the published layers, accept other inputs, too, and can learn."""

import inspect
from itertools import pairwise, product
from typing import Literal, get_args

import pytest
import torch
from torch import nn
from torch.nn import functional

import models
from tests.synthetic import class_patterns

pytestmark = pytest.mark.slow

CHOI_CNN = {
    "channels": [47, 95, 95, 142, 190],
    "pools": [[2, 4], [2, 4], [2, 4], [3, 5], [4, 4]],
    "activation": "elu",
    "dropout": 0.0,
}
CHOI_CRNN = {
    "channels": [68, 137, 137, 137],
    "pools": [[2, 2], [3, 3], [4, 4], [4, 4]],
    "activation": "elu",
    "hidden_size": 68,
    "num_layers": 2,
    "dropout": 0.1,
}
BLOCKS = {
    "channels": [64, 64, 64, 128, 128, 128, 256, 256, 256],
    "pool_after": [3, 6, 9],
    "kernel_size": 3,
    "activation": "relu",
    "pooling": "max",
    "residual": False,
    "frequency_as_channels": False,
    "hidden": [],
    "dropout": 0.0,
}
FLAT = {"channels": 32, "hidden": 64, "dropout": 0.3}
EMBEDDING = {"copies": 1, "channels": [16, 32], "hidden": 50}

# Small enough for tests, for any input of 13 bins x 130 frames or more.
SMALL = {
    "ChoiCNN": {**CHOI_CNN, "channels": [4, 6, 8], "pools": [[2, 4], [2, 4], [3, 5]]},
    "ChoiCRNN": {**CHOI_CRNN, "channels": [4, 6], "pools": [[2, 2], [3, 3]], "hidden_size": 8},
    "BlocksCNN": {**BLOCKS, "channels": [4, 4, 8, 8], "pool_after": [2, 4]},
    "FlatCNN": {**FLAT, "channels": 4, "hidden": 8},
    "EmbeddingCNN": {**EMBEDDING, "channels": [4], "hidden": 8},
}
BLOCKS_OPTIONS = [  # each kind of block with each activation; pooling and head in turn
    {
        "residual": residual,
        "frequency_as_channels": frequency_as_channels,
        "activation": activation,
        "pooling": ("max", "average")[number % 2],
        "hidden": ([], [7])[number // 2 % 2],
    }
    for number, (activation, residual, frequency_as_channels) in enumerate(
        product(("relu", "elu", "sigmoid", "tanh"), (False, True), (False, True))
    )
]


def small(name: str, input_shape: tuple[int, ...], n_classes: int = 10, **changes) -> models.Classifier:
    torch.manual_seed(0)
    return getattr(models, name)(input_shape, n_classes, **{**SMALL[name], **changes})


def published(name: str, input_shape: tuple[int, ...], settings: dict) -> models.Classifier:
    """Build a model at full size on the meta device, which computes nothing."""
    with torch.device("meta"):
        return getattr(models, name)(input_shape, 10, **settings)


def table(module: nn.Module) -> list[tuple]:
    """Return type, sizes, and kernel or pool of each layer."""
    rows = []
    for layer in module.modules():
        kind = type(layer).__name__
        if isinstance(layer, nn.Conv1d | nn.Conv2d):
            rows.append((kind, layer.in_channels, layer.out_channels, layer.kernel_size))
        elif isinstance(layer, nn.MaxPool1d | nn.MaxPool2d | nn.AvgPool1d | nn.AvgPool2d):
            rows.append((kind, layer.kernel_size))
        elif isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            rows.append((kind, layer.num_features))
        elif isinstance(layer, nn.Linear):
            rows.append((kind, layer.in_features, layer.out_features))
        elif isinstance(layer, nn.GRU):
            rows.append((kind, layer.input_size, layer.hidden_size, layer.num_layers))
        elif isinstance(layer, nn.Dropout):
            rows.append((kind, layer.p))
        elif not list(layer.children()) and kind != "Sequential":
            rows.append((kind,))
    return rows


def shapes(layers: nn.Module, x: torch.Tensor) -> list[tuple[int, ...]]:
    """Return the shape after each of `layers`, without the batch."""
    found = []
    for layer in layers.children():
        x = layer(x)
        found.append(tuple(x.shape[1:]))
    return found


def size(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


class TestChoi:
    """Both networks of Choi et al. on 29 s of log-mel."""

    INPUT = (96, 1366)

    @staticmethod
    def blocks(settings: dict, *after: tuple) -> list[tuple]:
        rows = []
        sizes = pairwise([1, *settings["channels"]])
        for (n_in, n_out), pool in zip(sizes, settings["pools"], strict=True):
            rows += [("Conv2d", n_in, n_out, (3, 3)), ("BatchNorm2d", n_out), ("ELU",)]
            rows += [("MaxPool2d", tuple(pool)), *after]
        return rows

    def test_cnn_is_the_published_one(self):
        model = published("ChoiCNN", self.INPUT, CHOI_CNN)
        head = [("Flatten",), ("Dropout", 0.0), ("Linear", 190, 10)]
        assert table(model) == self.blocks(CHOI_CNN) + head
        x = torch.empty(2, 1, *self.INPUT, device="meta")
        assert shapes(model.blocks, x) == [
            (47, 48, 341),
            (95, 24, 85),
            (95, 12, 21),
            (142, 4, 4),
            (190, 1, 1),
        ]
        assert model(x).shape == (2, 10)
        convolutions = 9 * (1 * 47 + 47 * 95 + 95 * 95 + 95 * 142 + 142 * 190)
        norms = 2 * (47 + 95 + 95 + 142 + 190)
        assert size(model) == convolutions + norms + 190 * 10 + 10

    def test_crnn_is_the_published_one(self):
        model = published("ChoiCRNN", self.INPUT, CHOI_CRNN)
        recurrent = [("GRU", 137, 68, 2), ("Linear", 68, 10)]
        assert table(model) == self.blocks(CHOI_CRNN, ("Dropout", 0.1)) + recurrent
        x = torch.empty(2, 1, *self.INPUT, device="meta")
        assert shapes(model.blocks, x) == [(68, 48, 683), (137, 16, 227), (137, 4, 56), (137, 1, 14)]
        assert model(x).shape == (2, 10)
        convolutions = 9 * (1 * 68 + 68 * 137 + 137 * 137 + 137 * 137)
        norms = 2 * (68 + 3 * 137)
        # three gates of weights for the input and the state, each with a bias
        recurrent = 3 * 68 * (137 + 68 + 2) + 3 * 68 * (68 + 68 + 2)
        assert size(model) == convolutions + norms + recurrent + 68 * 10 + 10

    @pytest.mark.parametrize(("name", "settings"), [("ChoiCNN", CHOI_CNN), ("ChoiCRNN", CHOI_CRNN)])
    def test_sizes_are_about_half_a_million_parameters(self, name, settings):
        assert size(published(name, self.INPUT, settings)) == pytest.approx(500_000, rel=0.03)

    @pytest.mark.parametrize("name", ["ChoiCNN", "ChoiCRNN"])
    def test_activation_follows_the_parameter(self, name):
        relu, elu = (small(name, (13, 130), activation=activation) for activation in ("relu", "elu"))
        assert relu.state_dict().keys() == elu.state_dict().keys()
        assert {("ReLU",)} == set(table(relu)) - set(table(elu))
        x = torch.randn(3, 1, 13, 130)
        for model, activation in ((relu, functional.relu), (elu, functional.elu)):
            conv, norm, _, pool, *_ = model.eval().blocks[0]
            torch.testing.assert_close(model.blocks[0](x), pool(activation(norm(conv(x)))))

    def test_crnn_steps_are_frames_with_bins_of_all_channels(self):
        model = small("ChoiCRNN", (13, 130)).eval()
        x = torch.randn(3, 13, 130)
        maps = model.blocks(x[:, None])
        assert maps.shape == (3, 6, 2, 21)
        steps = torch.stack([maps[..., frame].reshape(3, -1) for frame in range(21)], dim=1)
        assert model.gru.input_size == 12
        torch.testing.assert_close(model(x), model.head(model.gru(steps)[0][:, -1]))

    def test_cnn_has_dropout_only_before_the_head(self):
        model = small("ChoiCNN", (13, 130), dropout=1.0)
        x = torch.randn(3, 13, 130)
        assert model.blocks(x[:, None]).abs().sum() > 0
        assert torch.equal(model(x), model.head[-1].bias.expand(3, -1))

    @pytest.mark.parametrize("name", ["ChoiCNN", "ChoiCRNN"])
    @pytest.mark.parametrize("shape", [(5, 130), (2, 5, 130), (13, 7)])
    def test_too_large_pools_are_refused(self, name, shape):
        changes = {"channels": [4, 4], "pools": [[2, 2], [3, 4]]}
        small(name, (6, 8), **changes)
        expected = f"6 x 8 times, which is too much for {shape[-2]} bins x {shape[-1]} frames"
        with pytest.raises(ValueError, match=f"^pools shrink the input {expected}$"):
            small(name, shape, **changes)

    @pytest.mark.parametrize("name", ["ChoiCNN", "ChoiCRNN"])
    @pytest.mark.parametrize("pools", [[[2, 2]], [[2, 2]] * 3, [[2, 2], [2]], [[2, 2], [2, 2, 2]], []])
    def test_pools_that_do_not_match_channels_are_refused(self, name, pools):
        expected = r"^pools is .*, should be \[bins, frames\] for each of 2 blocks$"
        with pytest.raises(ValueError, match=expected):
            small(name, (13, 130), channels=[4, 4], pools=pools)


class TestBlocksCNN:
    """The default network on 20 s of mel, and each option."""

    INPUT = (128, 431)
    SIZES = tuple(pairwise([1, 64, 64, 64, 128, 128, 128, 256, 256, 256]))

    def test_default_is_the_published_one(self):
        model = published("BlocksCNN", self.INPUT, BLOCKS)
        rows = []
        for number, (n_in, n_out) in enumerate(self.SIZES, start=1):
            rows += [("Conv2d", n_in, n_out, (3, 3)), ("BatchNorm2d", n_out), ("ReLU",)]
            rows += [("MaxPool2d", 2)] * (number % 3 == 0)
        assert table(model) == [*rows, ("Dropout", 0.0), ("Linear", 256, 10)]
        x = torch.empty(2, 1, *self.INPUT, device="meta")
        found = shapes(model.blocks, x)
        assert found[:3] == [(64, 128, 431), (64, 128, 431), (64, 64, 215)]
        assert found[3:6] == [(128, 64, 215), (128, 64, 215), (128, 32, 107)]
        assert found[6:] == [(256, 32, 107), (256, 32, 107), (256, 16, 53)]
        assert model(x).shape == (2, 10)
        convolutions = 9 * sum(n_in * n_out for n_in, n_out in self.SIZES)
        norms = 2 * 3 * (64 + 128 + 256)
        assert size(model) == convolutions + norms + 256 * 10 + 10

    def test_residual_blocks_halve_in_their_first_convolution(self):
        model = published("BlocksCNN", self.INPUT, {**BLOCKS, "residual": True})
        halving = {3, 6, 9}
        for number, (block, (n_in, n_out)) in enumerate(zip(model.blocks, self.SIZES, strict=True), start=1):
            stride = (2, 2) if number in halving else (1, 1)
            assert table(block.path) == [
                ("Conv2d", n_in, n_out, (3, 3)),
                ("BatchNorm2d", n_out),
                ("ReLU",),
                ("Conv2d", n_out, n_out, (3, 3)),
                ("BatchNorm2d", n_out),
            ]
            assert [block.path[0].stride, block.path[3].stride] == [stride, (1, 1)]
            projected = n_in != n_out or number in halving
            projection = [("Conv2d", n_in, n_out, (1, 1)), ("BatchNorm2d", n_out)]
            assert table(block.skip) == projection * projected
            assert not projected or block.skip[0].stride == stride
        x = torch.empty(2, 1, *self.INPUT, device="meta")
        assert shapes(model.blocks, x)[2::3] == [(64, 64, 216), (128, 32, 108), (256, 16, 54)]
        convolutions = 9 * sum(n_in * n_out + n_out * n_out for n_in, n_out in self.SIZES)
        norms = 2 * 2 * 3 * (64 + 128 + 256)
        # where channels change (1, 4, 7) and where the input is halved (3, 6, 9)
        projections = 64 + 64 * 64 + 64 * 128 + 128 * 128 + 128 * 256 + 256 * 256
        projections += 2 * 2 * (64 + 128 + 256)
        assert size(model) == convolutions + norms + projections + 256 * 10 + 10

    @pytest.mark.parametrize("residual", [False, True])
    def test_frequency_as_channels_convolves_over_time(self, residual):
        changes = {"frequency_as_channels": True, "residual": residual}
        model = published("BlocksCNN", self.INPUT, {**BLOCKS, **changes})
        kinds = {row[0] for row in table(model)}
        assert kinds >= {"Conv1d", "BatchNorm1d"}
        assert not [kind for kind in kinds if kind.endswith("2d")]
        x = torch.empty(2, *self.INPUT, device="meta")
        frames = [216, 108, 54] if residual else [215, 107, 53]
        assert shapes(model.blocks, x)[2::3] == list(zip([64, 128, 256], frames, strict=True))
        assert model(x).shape == (2, 10)
        if not residual:
            sizes = [(128, 64), *self.SIZES[1:]]
            convolutions = 3 * sum(n_in * n_out for n_in, n_out in sizes)
            assert size(model) == convolutions + 2 * 3 * (64 + 128 + 256) + 256 * 10 + 10

    def test_bins_of_all_channels_become_channels(self):
        model = small("BlocksCNN", (2, 13, 20), frequency_as_channels=True)
        assert table(model)[0] == ("Conv1d", 26, 4, (3,))

    @pytest.mark.parametrize("shape", [(13, 20), (3, 13, 20)])
    @pytest.mark.parametrize("options", BLOCKS_OPTIONS, ids=str)
    def test_every_option_gives_gradients_for_every_parameter(self, options, shape):
        model = small("BlocksCNN", shape, n_classes=3, **options)
        logits = model(torch.randn(6, *shape))
        assert logits.shape == (6, 3)
        functional.cross_entropy(logits, torch.arange(6) % 3).backward()
        for name, parameter in model.named_parameters():
            assert torch.isfinite(parameter.grad).all(), name
            assert parameter.grad.abs().sum() > 0, name

    @pytest.mark.parametrize("over_time", [False, True])
    @pytest.mark.parametrize("activation", ["relu", "elu", "sigmoid", "tanh"])
    @pytest.mark.parametrize("pooling", ["max", "average"])
    def test_logits_equal_a_computation_by_hand(self, over_time, activation, pooling):
        model = small(
            "BlocksCNN",
            (13, 20),
            channels=[4],
            pool_after=[1],
            kernel_size=5,
            activation=activation,
            pooling=pooling,
            frequency_as_channels=over_time,
            hidden=[7],
        ).eval()
        x = torch.randn(3, 13, 20)
        weight = model.blocks[0][0].weight
        act = {"elu": functional.elu}.get(activation) or getattr(torch, activation)
        norm = 1 / (1 + 1e-5) ** 0.5  # of a batch norm that has seen nothing
        if over_time:
            maps = functional.conv1d(x, weight, padding=2)
            pool = {"max": functional.max_pool1d, "average": functional.avg_pool1d}[pooling]
        else:
            maps = functional.conv2d(x[:, None], weight, padding=2)
            pool = {"max": functional.max_pool2d, "average": functional.avg_pool2d}[pooling]
        features = pool(act(maps * norm), 2).flatten(2).mean(-1)
        _, first, _, _, last = model.head
        wanted = act(features @ first.weight.T + first.bias) @ last.weight.T + last.bias
        torch.testing.assert_close(model(x), wanted)

    @pytest.mark.parametrize("over_time", [False, True])
    def test_residual_block_adds_to_its_input(self, over_time):
        model = small(
            "BlocksCNN",
            (13, 20),
            channels=[4, 4],
            pool_after=[1],
            residual=True,
            frequency_as_channels=over_time,
            activation="elu",
        ).eval()
        first, second = model.blocks
        x = torch.randn(3, 13, 20) if over_time else torch.randn(3, 1, 13, 20)
        maps = first(x)
        torch.testing.assert_close(maps, functional.elu(first.path(x) + first.skip(x)))
        nn.init.zeros_(second.path[-1].weight)
        torch.testing.assert_close(second(maps), functional.elu(maps))

    @pytest.mark.parametrize("kernel_size", [1, 3, 5, 7])
    @pytest.mark.parametrize("over_time", [False, True])
    @pytest.mark.parametrize("residual", [False, True])
    def test_kernels_keep_the_size(self, kernel_size, over_time, residual):
        model = small(
            "BlocksCNN",
            (13, 21),
            kernel_size=kernel_size,
            residual=residual,
            frequency_as_channels=over_time,
            pool_after=[4],
        )
        x = torch.randn(2, *((13, 21) if over_time else (1, 13, 21)))
        before_pooling = {shape[1:] for shape in shapes(model.blocks, x)[:3]}
        assert before_pooling == {(21,) if over_time else (13, 21)}
        kernels = {row[3][0] for row in table(model) if row[0].startswith("Conv")}
        assert kernels == ({kernel_size, 1} if residual else {kernel_size})

    def test_hidden_layers_have_the_activation_and_dropout(self):
        model = small("BlocksCNN", (13, 20), hidden=[7, 5], dropout=0.25, activation="tanh")
        drop = ("Dropout", 0.25)
        first = [drop, ("Linear", 8, 7), ("Tanh",)]
        assert table(model.head) == [*first, drop, ("Linear", 7, 5), ("Tanh",), drop, ("Linear", 5, 10)]

    @pytest.mark.parametrize("kernel_size", [2, 4])
    def test_even_kernel_is_refused(self, kernel_size):
        with pytest.raises(ValueError, match=f"^kernel_size is {kernel_size}, should be odd: .*$"):
            small("BlocksCNN", (13, 20), kernel_size=kernel_size)

    @pytest.mark.parametrize("pool_after", [[5], [2, 2], [0, 1], [1, 2, 3, 4, 5]])
    def test_pooling_after_a_missing_block_is_refused(self, pool_after):
        with pytest.raises(ValueError, match=r"^pool_after is \[.*\], should name blocks 1 to 4, .*$"):
            small("BlocksCNN", (64, 64), pool_after=pool_after)

    @pytest.mark.parametrize("residual", [False, True])
    def test_too_small_input_is_refused(self, residual):
        changes = {"pool_after": [1, 2, 3, 4], "residual": residual}
        with pytest.raises(ValueError, match=r"^.* 4 times, which is too often for 13 bins x 130 frames$"):
            small("BlocksCNN", (2, 13, 130), **changes)
        small("BlocksCNN", (2, 13, 130), frequency_as_channels=True, **changes)
        with pytest.raises(ValueError, match=r"^.* 4 times, which is too often for 15 frames$"):
            small("BlocksCNN", (2, 130, 15), frequency_as_channels=True, **changes)


class TestFlatCNN:
    """The network on 6 s of MFCC."""

    def test_network_is_the_published_one(self):
        model = published("FlatCNN", (13, 259), FLAT)
        rest = [("ReLU",), ("MaxPool2d", 3), ("BatchNorm2d", 32)]
        assert table(model) == [
            ("Conv2d", 1, 32, (3, 3)),
            *rest,
            ("Conv2d", 32, 32, (3, 3)),
            *rest,
            ("Conv2d", 32, 32, (2, 2)),
            ("ReLU",),
            ("MaxPool2d", 2),
            ("BatchNorm2d", 32),
            ("Flatten",),
            ("Linear", 32 * 1 * 32, 64),
            ("ReLU",),
            ("Dropout", 0.3),
            ("Linear", 64, 10),
        ]
        assert [(layer.stride, layer.padding) for layer in model.blocks[2:7:4]] == [(2, 1), (2, 1)]
        x = torch.empty(2, 1, 13, 259, device="meta")
        assert shapes(model.blocks, x)[3::4] == [(32, 7, 130), (32, 4, 65), (32, 1, 32)]
        assert model(x).shape == (2, 10)
        convolutions = (1 * 32 * 9 + 32) + (32 * 32 * 9 + 32) + (32 * 32 * 4 + 32)
        dense = (1024 * 64 + 64) + (64 * 10 + 10)
        assert size(model) == convolutions + 3 * 2 * 32 + dense

    def test_output_size_is_right_for_every_input_size(self):
        for n_frames in range(9, 42):
            model = published("FlatCNN", (50 - n_frames, n_frames), FLAT)
            assert model(torch.empty(2, 50 - n_frames, n_frames, device="meta")).shape == (2, 10)

    @pytest.mark.parametrize("shape", [(8, 130), (130, 8), (2, 8, 8)])
    def test_too_small_input_is_refused(self, shape):
        expected = f"9 bins x 9 frames or more, not {shape[-2]} x {shape[-1]}"
        with pytest.raises(ValueError, match=f"^the blocks take {expected}$"):
            small("FlatCNN", shape)


class TestEmbeddingCNN:
    """The network on 30 s of stereo mel."""

    INPUT = (2, 64, 2584)

    def test_network_is_the_published_one(self):
        with torch.device("meta"):
            model = models.EmbeddingCNN(self.INPUT, 25, **EMBEDDING)
        assert table(model) == [
            ("Conv2d", 2, 16, (5, 5)),
            ("MaxPool2d", 2),
            ("ReLU",),
            ("Conv2d", 16, 32, (5, 5)),
            ("MaxPool2d", 2),
            ("ReLU",),
            ("Flatten",),
            ("Linear", 267_488, 50),
            ("ReLU",),
            ("Linear", 50, 25),
            ("ReLU",),
        ]
        x = torch.empty(2, *self.INPUT, device="meta")
        assert shapes(model.blocks, x)[::3] == [(16, 60, 2580), (32, 26, 1286)]
        assert shapes(model.blocks, x)[2::3] == [(16, 30, 1290), (32, 13, 643)]
        assert model(x).shape == (2, 25)
        convolutions = (2 * 16 * 25 + 16) + (16 * 32 * 25 + 32)
        dense = (32 * 13 * 643 * 50 + 50) + (50 * 25 + 25)
        assert size(model) == convolutions + dense == 13_389_373

    def test_mono_is_copied_to_both_channels(self):
        mono = small("EmbeddingCNN", (13, 130), copies=2)
        stereo = small("EmbeddingCNN", (2, 13, 130))
        stereo.load_state_dict(mono.state_dict())
        x = torch.randn(3, 13, 130)
        torch.testing.assert_close(mono(x), stereo(torch.stack([x, x], dim=1)))

    @pytest.mark.parametrize("shape", [(13, 130), (2, 130, 13), (4, 4)])
    def test_too_small_input_is_refused(self, shape):
        expected = f"^2 blocks leave nothing of {shape[-2]} bins x {shape[-1]} frames$"
        with pytest.raises(ValueError, match=expected):
            small("EmbeddingCNN", shape, channels=[4, 4])
        small("EmbeddingCNN", (16, 16), channels=[4, 4])


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize(("shape", "batch"), [((13, 130), 3), ((128, 431), 1), ((3, 13, 130), 3)])
def test_output_for_various_inputs(name, shape, batch):
    model = small(name, shape, n_classes=4).eval()
    output = model(torch.randn(batch, *shape))
    assert output.shape == (batch, 4)
    assert torch.isfinite(output).all()


@pytest.mark.parametrize("name", SMALL)
def test_one_channel_equals_none(name):
    flat, deep = (small(name, shape).eval() for shape in ((13, 130), (1, 13, 130)))
    x = torch.randn(3, 13, 130)
    assert flat.state_dict().keys() == deep.state_dict().keys()
    assert torch.equal(flat(x), deep(x[:, None]))


@pytest.mark.parametrize("name", SMALL)
def test_segments_do_not_affect_each_other(name):
    model = small(name, (13, 130)).eval()
    x = torch.randn(6, 13, 130)
    torch.testing.assert_close(model(x)[2:3], model(x[2:3]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", SMALL)
def test_every_parameter_has_a_gradient(name):
    model = small(name, (3, 13, 130))
    model(torch.randn(4, 3, 13, 130)).square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in model.parameters())


@pytest.mark.parametrize("name", SMALL)
def test_constructor_annotations_can_be_checked(name):
    parameters = list(inspect.signature(getattr(models, name)).parameters.values())
    assert [parameter.name for parameter in parameters[:2]] == ["input_shape", "n_classes"]
    assert {parameter.name for parameter in parameters[2:]} == SMALL[name].keys()
    for parameter in parameters[2:]:
        plain = parameter.annotation in (int, float, bool, list[int], list[list[int]])
        assert plain or all(isinstance(word, str) for word in get_args(parameter.annotation))
        assert plain or parameter.annotation == Literal[get_args(parameter.annotation)]


class TestLearning:
    """Each model learns twenty segments."""

    @staticmethod
    def twenty() -> tuple[torch.Tensor, torch.Tensor]:
        x, label = class_patterns(7, (16, 40))
        return torch.from_numpy(x[:20]), torch.from_numpy(label[:20])

    @pytest.mark.parametrize(
        ("name", "changes"),
        [
            ("ChoiCNN", {"pools": [[2, 2], [2, 4], [3, 5]]}),
            ("ChoiCRNN", {}),
            ("FlatCNN", {}),
            ("BlocksCNN", {}),
            ("BlocksCNN", {"residual": True}),
            ("BlocksCNN", {"frequency_as_channels": True, "pooling": "average", "activation": "tanh"}),
            ("BlocksCNN", {"residual": True, "frequency_as_channels": True, "hidden": [8]}),
        ],
        ids=str,
    )
    def test_model_learns_twenty_segments(self, name, changes):
        x, label = self.twenty()
        model = small(name, (16, 40), n_classes=3, **changes)
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
        for _ in range(60):
            optimizer.zero_grad()
            functional.cross_entropy(model(x), label).backward()
            optimizer.step()
        assert (model.eval()(x).argmax(1) == label).float().mean() > 0.95
