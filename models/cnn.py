"""Convolutional network over a spectrogram, or over time alone."""

from itertools import pairwise
from typing import Literal

from torch import Tensor, nn

from models.classifier import Classifier
from models.pooling import mean_and_std


class CNN(Classifier):
    """Blocks of convolution, batch norm, max pooling and ReLU; global pooling and a linear head.

    Parameters
    ----------
    input_shape : (int, int) or (int, int, int)
        n_bins and n_frames; before them n_channels, where there are several.
    n_classes : int
    channels : list of int
        Channels of each block.
    dropout : float
        Before the head.
    over : {'both', 'time'}
        Whether convolutions (3x3) and pooling (2x2) run over bins and frames; or (3 and 2) over frames alone,
        with the bins as channels.
    pooling : {'mean', 'statistics'}
        The global pooling: the mean, or mean and standard deviation.

    Raises
    ------
    ValueError
        If the input is too small to be halved by every block.
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        n_classes: int,
        channels: list[int],
        dropout: float,
        over: Literal["both", "time"],
        pooling: Literal["mean", "statistics"],
    ):
        super().__init__()
        n_channels, n_bins, n_frames = (1, *input_shape)[-3:]
        self.over_time, self.pools = over == "time", pooling == "statistics"
        halved = (n_frames,) if self.over_time else (n_bins, n_frames)
        if min(halved) < 2 ** len(channels):
            raise ValueError(
                f"{len(channels)} blocks halve the input {len(channels)} times, "
                f"which is too often for {n_bins} bins x {n_frames} frames"
            )
        n_first = n_channels * n_bins if self.over_time else n_channels
        block = _block_over_time if self.over_time else _block
        self.blocks = nn.Sequential(
            *(layer for sizes in pairwise([n_first, *channels]) for layer in block(*sizes))
        )
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(channels[-1] * (1 + self.pools), n_classes))

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (batch, n_classes) for segments (batch, [n_channels,] n_bins, n_frames)."""
        if self.over_time:
            maps = self.blocks(x.flatten(1, -2))
        else:
            maps = self.blocks(x.unsqueeze(1) if x.ndim == 3 else x).flatten(2)
        logits: Tensor = self.head(mean_and_std(maps, dim=2) if self.pools else maps.mean(dim=2))
        return logits


def _block(n_in: int, n_out: int) -> list[nn.Module]:
    # Batch norm subtracts the mean, so the convolution needs no bias. ReLU after the pooling is a quarter of
    # the work, with the same result.
    convolution = nn.Conv2d(n_in, n_out, kernel_size=3, padding=1, bias=False)
    return [convolution, nn.BatchNorm2d(n_out), nn.MaxPool2d(2), nn.ReLU()]


def _block_over_time(n_in: int, n_out: int) -> list[nn.Module]:
    convolution = nn.Conv1d(n_in, n_out, kernel_size=3, padding=1, bias=False)
    return [convolution, nn.BatchNorm1d(n_out), nn.MaxPool1d(2), nn.ReLU()]
