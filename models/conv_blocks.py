"""Convolutional network whose blocks are chosen one by one: plain or residual, over both axes or time."""

from itertools import pairwise
from typing import Literal, NamedTuple

from torch import Tensor, nn

from models.classifier import Classifier

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "elu": nn.ELU,
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
}


class _Layers(NamedTuple):
    """Layer types for maps of one number of axes."""

    conv: type[nn.Conv1d] | type[nn.Conv2d]
    norm: type[nn.BatchNorm1d] | type[nn.BatchNorm2d]
    pooling: dict[str, type[nn.Module]]

    def conv_norm(self, n_in: int, n_out: int, kernel_size: int, stride: int = 1) -> list[nn.Module]:
        """Return a convolution that keeps the size, or halves it by stride 2, and batch norm."""
        # Batch norm subtracts the mean, so the convolution needs no bias.
        conv = self.conv(n_in, n_out, kernel_size, stride, padding=kernel_size // 2, bias=False)
        return [conv, self.norm(n_out)]


OVER_TIME = _Layers(nn.Conv1d, nn.BatchNorm1d, {"max": nn.MaxPool1d, "average": nn.AvgPool1d})
OVER_BOTH = _Layers(nn.Conv2d, nn.BatchNorm2d, {"max": nn.MaxPool2d, "average": nn.AvgPool2d})


class _ResidualBlock(nn.Module):
    """Two convolutions, added to a skip that is projected where sizes change."""

    def __init__(
        self, layers: _Layers, n_in: int, n_out: int, kernel_size: int, stride: int, activation: str
    ):
        super().__init__()
        self.path = nn.Sequential(
            *layers.conv_norm(n_in, n_out, kernel_size, stride),
            ACTIVATIONS[activation](),
            *layers.conv_norm(n_out, n_out, kernel_size),
        )
        same = n_in == n_out and stride == 1
        self.skip = nn.Sequential(*([] if same else layers.conv_norm(n_in, n_out, 1, stride)))
        self.activation = ACTIVATIONS[activation]()

    def forward(self, x: Tensor) -> Tensor:
        """Return maps (batch, n_out, ...) for maps (batch, n_in, ...)."""
        maps: Tensor = self.activation(self.path(x) + self.skip(x))
        return maps


class BlocksCNN(Classifier):
    """Blocks of convolution, batch norm and activation; global mean and a head of dense layers.

    Parameters
    ----------
    input_shape : (int, int) or (int, int, int)
        n_bins and n_frames; before them n_channels, where there are several.
    n_classes : int
    channels : list of int
        Channels of each block.
    pool_after : list of int
        Numbers of the blocks, from 1, after which bins and frames are halved.
    kernel_size : int
        Of every convolution; odd, so that it keeps the size.
    activation : {'relu', 'elu', 'sigmoid', 'tanh'}
    pooling : {'max', 'average'}
        How they are halved; residual blocks do it by the stride of their first convolution, and round up.
    residual : bool
        Whether a block is two convolutions added to its input.
    frequency_as_channels : bool
        Whether bins are channels, and convolution and halving work over the frames alone.
    hidden : list of int
        Units of the head's hidden layers, if any.
    dropout : float
        Before each layer of the head.

    Raises
    ------
    ValueError
        If the kernel is even, `pool_after` has a number that is no block or occurs twice, or the input is
        too small to be halved so often.
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        n_classes: int,
        channels: list[int],
        pool_after: list[int],
        kernel_size: int,
        activation: Literal["relu", "elu", "sigmoid", "tanh"],
        pooling: Literal["max", "average"],
        residual: bool,
        frequency_as_channels: bool,
        hidden: list[int],
        dropout: float,
    ):
        super().__init__()
        n_channels, n_bins, n_frames = (1, *input_shape)[-3:]
        n_blocks, n_halvings = len(channels), len(pool_after)
        if kernel_size % 2 == 0:
            raise ValueError(f"kernel_size is {kernel_size}, should be odd: an even one changes the size")
        if len(set(pool_after) & set(range(1, n_blocks + 1))) < n_halvings:
            raise ValueError(f"pool_after is {pool_after}, should name blocks 1 to {n_blocks}, once each")
        if frequency_as_channels:
            layers, n_first, halved = OVER_TIME, n_channels * n_bins, {"frames": n_frames}
        else:
            layers, n_first, halved = OVER_BOTH, n_channels, {"bins": n_bins, "frames": n_frames}
        if min(halved.values()) < 2**n_halvings:
            size = " x ".join(f"{count} {axis}" for axis, count in halved.items())
            raise ValueError(f"pool_after halves the input {n_halvings} times, which is too often for {size}")
        self.frequency_as_channels = frequency_as_channels
        blocks: list[nn.Module] = []
        for number, (n_in, n_out) in enumerate(pairwise([n_first, *channels]), start=1):
            halve = number in pool_after
            if residual:
                stride = 2 if halve else 1
                blocks.append(_ResidualBlock(layers, n_in, n_out, kernel_size, stride, activation))
            else:
                block = [*layers.conv_norm(n_in, n_out, kernel_size), ACTIVATIONS[activation]()]
                blocks.append(nn.Sequential(*block, *([layers.pooling[pooling](2)] if halve else [])))
        self.blocks = nn.Sequential(*blocks)
        sizes = [channels[-1], *hidden]
        head: list[nn.Module] = []
        for n_in, n_out in pairwise(sizes):
            head += [nn.Dropout(dropout), nn.Linear(n_in, n_out), ACTIVATIONS[activation]()]
        self.head = nn.Sequential(*head, nn.Dropout(dropout), nn.Linear(sizes[-1], n_classes))

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (batch, n_classes) for segments (batch, [n_channels,] n_bins, n_frames)."""
        maps = x.unsqueeze(1) if x.ndim == 3 else x
        if self.frequency_as_channels:
            maps = maps.flatten(1, 2)
        logits: Tensor = self.head(self.blocks(maps).flatten(2).mean(dim=2))
        return logits
