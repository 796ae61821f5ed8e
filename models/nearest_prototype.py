"""Embeddings, and the classes as points among them."""

from typing import Any

import torch
from torch import Tensor, nn

from models.classifier import Classifier


class NearestPrototype(Classifier):
    """A classifier's outputs as embeddings of length 1; the class with the nearest prototype is predicted.

    A prototype is the mean of its embeddings, brought to length 1 (Snell et al., 2017, with
    cosines in place of Euclidean distances: on the sphere the two order alike).

    Parameters
    ----------
    network : Classifier
        Built with the embedding's size as its number of classes.
    n_classes, embedding_size : int

    Attributes
    ----------
    prototypes : Tensor (n_classes, embedding_size)
    temperature : Tensor ()
        Squared distances are divided by it to make logits.
    """

    prototypes: Tensor
    temperature: Tensor

    def __init__(self, network: Classifier, n_classes: int, embedding_size: int):
        super().__init__()
        self.network = network
        self.register_buffer("prototypes", torch.zeros(n_classes, embedding_size))
        self.register_buffer("temperature", torch.ones(()))

    def embed(self, x: Tensor) -> Tensor:
        """Embeddings (batch, embedding_size) of length 1."""
        return nn.functional.normalize(self.network(x).float())

    def forward(self, x: Tensor) -> Tensor:
        """Logits (batch, n_classes): minus the squared distance to each prototype, over the temperature."""
        return -self.squared_distance(self.embed(x)) / self.temperature

    def squared_distance(self, embedding: Tensor) -> Tensor:
        """From embeddings (batch, embedding_size) to each prototype (batch, n_classes), 0 to 4.

        A class that had no segment to learn from has no prototype, and is as far as can be.
        """
        with torch.autocast(embedding.device.type, enabled=False):  # bfloat16 would tell few distances apart
            distance = (2 - 2 * embedding.float() @ self.prototypes.T).clamp(min=0)
            return torch.where(self.prototypes.any(dim=1), distance, 4.0)

    def place(self, embedding: Tensor, label: Tensor) -> None:
        """Set each class's prototype amid its embeddings.

        Parameters
        ----------
        embedding : Tensor (n, embedding_size)
            Of length 1.
        label : Tensor of int64 (n,)
        """
        sums = torch.zeros_like(self.prototypes).index_add_(0, label, embedding)
        self.prototypes.copy_(nn.functional.normalize(sums))
        self.temperature.fill_(1.0)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Those of the network."""
        return self.network.parameter_groups()
