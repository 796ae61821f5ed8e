"""Classification by the nearest class prototype in an embedding space."""

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
        """Return embeddings (batch, embedding_size) of length 1."""
        return nn.functional.normalize(self.network(x).float())

    def with_embedding(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (batch, n_classes), and the embedding."""
        embedding = self.embed(x)
        return -self.squared_distance(embedding) / self.temperature, embedding

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (batch, n_classes): minus squared distances to prototypes, divided by temperature."""
        return self.with_embedding(x)[0]

    def squared_distance(self, embedding: Tensor) -> Tensor:
        """Return the squared distance of embeddings to each prototype (batch, n_classes), 0 to 4.

        A class without training segments has no prototype, and the greatest distance.

        Parameters
        ----------
        embedding : Tensor (batch, embedding_size)
        """
        with torch.autocast(embedding.device.type, enabled=False):  # bfloat16 has too few different distances
            distance = (2 - 2 * embedding.float() @ self.prototypes.T).clamp(min=0)
            return torch.where(self.prototypes.any(dim=1), distance, 4.0)

    def place(self, embedding: Tensor, label: Tensor) -> None:
        """Set each class's prototype to the mean of its embeddings.

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
        """Return those of the network."""
        return self.network.parameter_groups()
