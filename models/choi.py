"""The convolutional and the convolutional recurrent network of Choi et al. 2017 for music classification."""

from itertools import pairwise
from math import prod
from typing import Literal

from torch import Tensor, nn

from models.classifier import Classifier

ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "elu": nn.ELU}


def _blocks(
    input_shape: tuple[int, ...], channels: list[int], pools: list[list[int]], activation: str
) -> tuple[list[nn.Sequential], int, int]:
    """Return convolutional blocks, and the bins and frames of their output."""
    n_channels, n_bins, n_frames = (1, *input_shape)[-3:]
    if len(pools) != len(channels) or any(len(pool) != 2 for pool in pools):
        raise ValueError(f"pools is {pools}, should be [bins, frames] for each of {len(channels)} blocks")
    by_bins, by_frames = (prod(sizes) for sizes in zip(*pools, strict=True))
    if n_bins < by_bins or n_frames < by_frames:
        raise ValueError(
            f"pools shrink the input {by_bins} x {by_frames} times, "
            f"which is too much for {n_bins} bins x {n_frames} frames"
        )
    # Batch norm subtracts the mean, so the convolution needs no bias.
    blocks = [
        nn.Sequential(
            nn.Conv2d(n_in, n_out, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(n_out),
            ACTIVATIONS[activation](),
            nn.MaxPool2d((bins, frames)),
        )
        for (n_in, n_out), (bins, frames) in zip(pairwise([n_channels, *channels]), pools, strict=True)
    ]
    return blocks, n_bins // by_bins, n_frames // by_frames


class ChoiCNN(Classifier):
    """Blocks of 3x3 convolution, batch norm, activation and max pooling; a linear head.

    Parameters
    ----------
    input_shape : (int, int) or (int, int, int)
        n_bins and n_frames; before them n_channels, where there are several.
    n_classes : int
    channels : list of int
        Channels of each block.
    pools : list of [int, int]
        Bins and frames of each block's pooling window.
    activation : {'relu', 'elu'}
    dropout : float
        Before the head.

    Raises
    ------
    ValueError
        If `pools` does not fit `channels`, or is too large for the input.
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        n_classes: int,
        channels: list[int],
        pools: list[list[int]],
        activation: Literal["relu", "elu"],
        dropout: float,
    ):
        super().__init__()
        blocks, bins, frames = _blocks(input_shape, channels, pools, activation)
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Sequential(
            nn.Flatten(), nn.Dropout(dropout), nn.Linear(channels[-1] * bins * frames, n_classes)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (batch, n_classes) for segments (batch, [n_channels,] n_bins, n_frames)."""
        logits: Tensor = self.head(self.blocks(x.unsqueeze(1) if x.ndim == 3 else x))
        return logits


class ChoiCRNN(Classifier):
    """The same blocks, then GRU layers over the frames; the last state goes to a linear head.

    Parameters
    ----------
    input_shape : (int, int) or (int, int, int)
        n_bins and n_frames; before them n_channels, where there are several.
    n_classes : int
    channels : list of int
        Channels of each block. The last, times the bins of the output, is the input size of the GRU.
    pools : list of [int, int]
        Bins and frames of each block's pooling window.
    activation : {'relu', 'elu'}
    hidden_size, num_layers : int
        As `torch.nn.GRU` takes them.
    dropout : float
        After each pooling.

    Raises
    ------
    ValueError
        If `pools` does not fit `channels`, or is too large for the input.
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        n_classes: int,
        channels: list[int],
        pools: list[list[int]],
        activation: Literal["relu", "elu"],
        hidden_size: int,
        num_layers: int,
        dropout: float,
    ):
        super().__init__()
        blocks, bins, _ = _blocks(input_shape, channels, pools, activation)
        self.blocks = nn.Sequential(*(block.append(nn.Dropout(dropout)) for block in blocks))
        self.gru = nn.GRU(channels[-1] * bins, hidden_size, num_layers, batch_first=True)
        self.head = nn.Linear(hidden_size, n_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (batch, n_classes) for segments (batch, [n_channels,] n_bins, n_frames)."""
        maps = self.blocks(x.unsqueeze(1) if x.ndim == 3 else x)
        _, state = self.gru(maps.flatten(1, 2).transpose(1, 2))
        logits: Tensor = self.head(state[-1])
        return logits
