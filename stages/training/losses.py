"""The losses of a training, and class probabilities from the outputs of a network."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from stages.training.loss_params import CrossEntropy, LossParams, SupCon, Triplet


class Loss(ABC):
    """The loss of each segment.

    Attributes
    ----------
    n_classes : int
    """

    n_classes: int

    @abstractmethod
    def __call__(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the loss that is minimised (n,).

        Parameters
        ----------
        output : Tensor (n, n_outputs)
            Of the trained network.
        target : Tensor (n, n_classes)
            Shares that sum to 1.
        """

    @abstractmethod
    def plain(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss that is reported for validation (n,), of logits (n, n_classes)."""


class ClassificationLoss(Loss):
    """Cross-entropy over softmax or sigmoids.

    Parameters
    ----------
    params : CrossEntropy
    n_per_class : Tensor of int64 (n_classes,)
        Training segments of each class.
    device : torch.device
    """

    def __init__(self, params: CrossEntropy, n_per_class: Tensor, device: torch.device):
        self.params = params
        self.n_classes = len(n_per_class)
        self.weight: Tensor | None = None
        if params.class_weights == "balanced":  # a class without segments needs no weight
            weight = n_per_class.sum() / (len(n_per_class) * n_per_class.clamp(min=1).float())
            self.weight = weight.to(device)

    def __call__(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the loss with label smoothing and class weights."""
        smoothing = self.params.label_smoothing
        each = self.plain(output, target * (1 - smoothing) + smoothing / target.shape[1])
        return each if self.weight is None else each * (target @ self.weight)

    def plain(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss without label smoothing and class weights."""
        if self.params.name == "cross_entropy":
            return nn.functional.cross_entropy(logits, target, reduction="none")
        return nn.functional.binary_cross_entropy_with_logits(logits, target, reduction="none").mean(dim=1)


class MetricLoss(Loss):
    """A loss of embeddings, which compares the segments of a batch with each other.

    The loss of each segment is the mean of its batch. Each of several processes compares its own segments.

    Parameters
    ----------
    params : Triplet or SupCon
    n_classes : int
    """

    def __init__(self, params: Triplet | SupCon, n_classes: int):
        from pytorch_metric_learning import losses, miners

        self.params = params
        self.n_classes = n_classes
        if isinstance(params, Triplet):
            self._mine = miners.TripletMarginMiner(params.margin, params.mining)
            self._loss = losses.TripletMarginLoss(params.margin)
        else:
            self._mine = None
            self._loss = losses.SupConLoss(params.temperature)

    def __call__(self, output: Tensor, target: Tensor) -> Tensor:
        embedding, label = output.float(), target.argmax(1)
        chosen = self._mine(embedding, label) if self._mine else None
        loss: Tensor = self._loss(embedding, label, chosen)
        return loss.expand(len(output))

    def plain(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the same loss against the prototypes; logits are minus the squared distances to them."""
        if isinstance(self.params, SupCon):
            cosine = 1 + logits / 2
            return nn.functional.cross_entropy(cosine / self.params.temperature, target, reduction="none")
        distance = logits.neg().sqrt()
        own = (distance * target).sum(1, keepdim=True)
        violation = (own - distance + self.params.margin).clamp(min=0) * (1 - target)
        return violation.sum(1) / (self.n_classes - 1)


def make_loss(params: LossParams, n_per_class: Tensor, device: torch.device) -> Loss:
    """Return the loss of the `loss` section; `n_per_class` are the training segments of each class."""
    if isinstance(params, CrossEntropy):
        return ClassificationLoss(params, n_per_class, device)
    return MetricLoss(params, len(n_per_class))


def probabilities(logits: Tensor, loss: str) -> Tensor:
    """Return class probabilities (n, n_classes) of a network trained with the loss of that name.

    Those of sigmoids are divided by their sum, since a track has exactly one class.
    """
    if loss == "binary_cross_entropy":
        return nn.functional.logsigmoid(logits).softmax(dim=1)
    return logits.softmax(dim=1)
