"""Recurrent network over the frames of a segment."""

from math import prod

from torch import Tensor, nn

from models.classifier import Classifier


class LSTM(Classifier):
    """Stacked LSTM over time; the last state of the last layer goes through dropout to a linear head.

    Parameters
    ----------
    input_shape : (int, int) or (int, int, int)
        n_bins, the size of each step, and n_frames; n_channels before them multiplies that size.
    n_classes : int
    hidden_size, num_layers : int
        As `torch.nn.LSTM` takes them.
    dropout : float
        Between the layers and before the head.
    """

    n_threads = 1  # several threads would wait for each other at every frame

    def __init__(
        self,
        input_shape: tuple[int, ...],
        n_classes: int,
        hidden_size: int,
        num_layers: int,
        dropout: float,
    ):
        super().__init__()
        between = dropout if num_layers > 1 else 0.0  # torch warns about dropout in a single layer
        step = prod(input_shape[:-1])
        self.lstm = nn.LSTM(step, hidden_size, num_layers, batch_first=True, dropout=between)
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(hidden_size, n_classes))

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (batch, n_classes) for segments (batch, [n_channels,] n_bins, n_frames)."""
        _, (state, _) = self.lstm(x.flatten(1, -2).transpose(1, 2))
        logits: Tensor = self.head(state[-1])
        return logits
