"""Multi-layer perceptron over the whole segment, as in the well-known GTZAN notebook."""

from math import prod
from typing import Any

from torch import Tensor, nn

from models.classifier import Classifier
from models.dense import dense_layers


class MLP(Classifier):
    """Flatten, then dense layers with ReLU and dropout.

    Parameters
    ----------
    input_shape : (int, int) or (int, int, int)
        n_bins and n_frames; before them n_channels, where there are several.
    n_classes : int
    hidden : list of int
        Units of each hidden layer.
    dropout : float
        Share of units dropped after each hidden layer.
    l2 : float
        The penalty ``l2 * sum(w ** 2)`` on each hidden kernel. Its gradient is ``2 * l2 * w``, so it is
        a weight decay of ``2 * l2`` on those weights alone, in an optimiser that couples the two (Adam).
    """

    def __init__(
        self, input_shape: tuple[int, ...], n_classes: int, hidden: list[int], dropout: float, l2: float
    ):
        super().__init__()
        self.l2 = l2
        sizes = [prod(input_shape), *hidden]
        self.hidden = nn.Sequential(nn.Flatten(), *dense_layers(sizes, dropout))
        self.head = nn.Linear(sizes[-1], n_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (batch, n_classes) for segments (batch, [n_channels,] n_bins, n_frames)."""
        logits: Tensor = self.head(self.hidden(x))
        return logits

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return the hidden kernels with the weight decay for `l2`, and all other parameters."""
        kernels = [layer.weight for layer in self.hidden if isinstance(layer, nn.Linear)]
        biases = [layer.bias for layer in self.hidden if isinstance(layer, nn.Linear)]
        return [
            {"params": kernels, "weight_decay": 2 * self.l2},
            {"params": [*biases, *self.head.parameters()]},
        ]
