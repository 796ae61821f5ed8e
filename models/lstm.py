"""Recurrent network over the frames of a segment."""

from math import prod
from typing import Literal

import torch
from torch import Tensor, nn

from models.classifier import Classifier
from models.pooling import mean_and_std


class LSTM(Classifier):
    """Stacked LSTM over time; what its last layer gives goes through dropout to a linear head.

    Parameters
    ----------
    input_shape : (int, int) or (int, int, int)
        n_bins, the size of each step, and n_frames; n_channels before them multiplies that size.
    n_classes : int
    hidden_size, num_layers : int
        As `torch.nn.LSTM` takes them.
    dropout : float
        Between the layers and before the head.
    bidirectional : bool
        Whether each layer also runs backward over time.
    pooling : {'last', 'statistics'}
        What goes to the head: the last state of the last layer; or mean and standard deviation over time of
        its outputs, with batch norm.
    """

    n_threads = 1  # several threads would wait for each other at every frame

    def __init__(
        self,
        input_shape: tuple[int, ...],
        n_classes: int,
        hidden_size: int,
        num_layers: int,
        dropout: float,
        bidirectional: bool,
        pooling: Literal["last", "statistics"],
    ):
        super().__init__()
        between = dropout if num_layers > 1 else 0.0  # torch warns about dropout in a single layer
        step = prod(input_shape[:-1])
        self.lstm = nn.LSTM(
            step, hidden_size, num_layers, batch_first=True, dropout=between, bidirectional=bidirectional
        )
        self.n_directions, self.pools = 1 + bidirectional, pooling == "statistics"
        n_values = hidden_size * self.n_directions * (1 + self.pools)
        norm = [nn.BatchNorm1d(n_values)] if self.pools else []
        self.head = nn.Sequential(*norm, nn.Dropout(dropout), nn.Linear(n_values, n_classes))

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (batch, n_classes) for segments (batch, [n_channels,] n_bins, n_frames)."""
        outputs, (state, _) = self.lstm(x.flatten(1, -2).transpose(1, 2))
        if self.pools:
            values = mean_and_std(outputs, dim=1)
        else:
            values = torch.cat(state[-self.n_directions :].unbind(), dim=1)
        logits: Tensor = self.head(values)
        return logits
