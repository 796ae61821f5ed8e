"""Encore's own network: small, simple, and fast on a laptop's CPU."""

from itertools import pairwise
from math import prod

import torch
from torch import Tensor, nn

from models.classifier import Classifier
from models.dense import dense_layers
from models.pooling import mean_and_std


class EncoreCNN(Classifier):
    """Two answers that err in different ways: of convolutions over time, and of dense layers on statistics.

    The convolutions are residual, have the bins as channels, and end in statistics pooling: mean and standard
    deviation over time (Snyder et al., 2018). The dense layers take these statistics of the input itself. In
    training each part learns from its own errors; the mean of their logits is the answer, as in an ensemble
    (Lakshminarayanan et al., 2017). Convolution over time alone costs a fiftieth of a spectrogram CNN with as
    many layers.

    Parameters
    ----------
    input_shape : (int, int) or (int, int, int)
        n_bins and n_frames, which every block halves; n_channels before them multiplies the bins.
    n_classes : int
    channels : list of int
        Of the first convolution and of each residual block after it.
    kernel_size : int
        In frames; odd.
    dropout : float
        Before the head of the convolutions, and after each dense layer.
    hidden : list of int
        Units of the dense layers; empty: the convolutions answer alone.

    Raises
    ------
    ValueError
        If the kernel is even, or the frames are too few to be halved by every block.
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        n_classes: int,
        channels: list[int],
        kernel_size: int,
        dropout: float,
        hidden: list[int],
    ):
        super().__init__()
        n_blocks, n_frames, n_bins = len(channels) - 1, input_shape[-1], prod(input_shape[:-1])
        if n_frames < 2**n_blocks:
            raise ValueError(
                f"{n_blocks} blocks halve the input {n_blocks} times, too often for {n_frames} frames"
            )
        if kernel_size % 2 == 0:
            raise ValueError(f"kernel_size is {kernel_size}, should be odd")
        self.first = nn.Sequential(_convolution(n_bins, channels[0], kernel_size), nn.ReLU())
        self.blocks = nn.Sequential(*(Residual(*sizes, kernel_size) for sizes in pairwise(channels)))
        n_statistics = 2 * channels[-1]
        self.head = nn.Sequential(
            nn.BatchNorm1d(n_statistics), nn.Dropout(dropout), nn.Linear(n_statistics, n_classes)
        )
        self.dense: nn.Sequential | None = None
        if hidden:
            layers = dense_layers([2 * n_bins, *hidden], dropout)
            self.dense = nn.Sequential(nn.BatchNorm1d(2 * n_bins), *layers, nn.Linear(hidden[-1], n_classes))

    @property
    def heads(self) -> list[nn.Module]:
        """The last layer of each part."""
        parts = [self.head] if self.dense is None else [self.head, self.dense]
        return [part[-1] for part in parts]

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (batch, n_classes) for segments (batch, [n_channels,] n_bins, n_frames).

        In training with dense layers, those of both parts: (batch, 2, n_classes).
        """
        x = x.flatten(1, -2)
        answer: Tensor = self.head(mean_and_std(self.blocks(self.first(x)), dim=2))
        if self.dense is None:
            return answer
        both = torch.stack([answer, self.dense(mean_and_std(x, dim=2))], dim=1)
        return both if self.training else both.mean(dim=1)


class Residual(nn.Module):
    """Two convolutions, added to a skip connection; then max pooling over pairs of frames."""

    def __init__(self, n_in: int, n_out: int, kernel_size: int):
        super().__init__()
        self.through = nn.Sequential(
            _convolution(n_in, n_out, kernel_size), nn.ReLU(), _convolution(n_out, n_out, kernel_size)
        )
        self.past = nn.Identity() if n_in == n_out else _convolution(n_in, n_out, 1)
        self.pool = nn.MaxPool1d(2)

    def forward(self, x: Tensor) -> Tensor:
        """Return maps (batch, n_out, n_frames // 2) for maps (batch, n_in, n_frames)."""
        halved: Tensor = self.pool(self.through(x) + self.past(x))
        return halved.relu()


def _convolution(n_in: int, n_out: int, kernel_size: int) -> nn.Sequential:
    """Return a convolution with batch norm, which subtracts the mean, so that no bias is needed."""
    return nn.Sequential(
        nn.Conv1d(n_in, n_out, kernel_size, padding=kernel_size // 2, bias=False), nn.BatchNorm1d(n_out)
    )
