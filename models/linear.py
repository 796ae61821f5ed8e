"""Softmax regression."""

from typing import Any

import torch
from torch import Tensor, nn

from models.classifier import Classifier


class Linear(Classifier):
    """One linear layer, in double precision so that it can be trained to convergence.

    Parameters
    ----------
    input_shape : (int, int) or (int, int, int)
        Of one frame: statistics over time.
    n_classes : int
    l2 : float
        The penalty ``l2 * sum(w ** 2)`` on the weights beside the mean loss of the segments. With n segments
        it is scikit-learn's ``C = 1 / (2 * n * l2)``.

    Raises
    ------
    ValueError
        If the input has several frames.
    """

    def __init__(self, input_shape: tuple[int, ...], n_classes: int, l2: float):
        super().__init__()
        *_, n_bins, n_frames = input_shape
        if len(input_shape) != 2 or n_frames != 1:
            raise ValueError(
                "it takes statistics over time, not frames; make model.feature a list, such as [mfcc]"
            )
        self.l2 = l2
        self.layer = nn.Linear(n_bins, n_classes, dtype=torch.float64)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (batch, n_classes) for statistics (batch, n_bins, 1)."""
        logits: Tensor = self.layer(x.flatten(1).double())
        return logits

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return the weights with the weight decay for `l2`, and the bias without any."""
        return [
            {"params": [self.layer.weight], "weight_decay": 2 * self.l2},
            {"params": [self.layer.bias], "weight_decay": 0.0},
        ]
