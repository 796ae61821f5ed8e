"""What a training minimises, and how outputs read as probabilities."""

import torch
from torch import Tensor, nn

from stages.recipe import LossParams


class Loss:
    """The loss of each segment.

    Parameters
    ----------
    params : LossParams
    n_per_class : Tensor of int64 (n_classes,)
        Training segments of each class.
    device : torch.device

    Attributes
    ----------
    n_classes : int
    """

    def __init__(self, params: LossParams, n_per_class: Tensor, device: torch.device):
        self.params = params
        self.n_classes = len(n_per_class)
        self.weight: Tensor | None = None
        if params.class_weights == "balanced":  # a class without segments is never weighed
            weight = n_per_class.sum() / (len(n_per_class) * n_per_class.clamp(min=1).float())
            self.weight = weight.to(device)

    def __call__(self, logits: Tensor, target: Tensor) -> Tensor:
        """Loss as it is minimised, with smoothing and weights.

        Parameters
        ----------
        logits, target : Tensor (n, n_classes)
            Targets are shares that sum to 1.

        Returns
        -------
        Tensor (n,)
        """
        smoothing = self.params.label_smoothing
        each = self.plain(logits, target * (1 - smoothing) + smoothing / target.shape[1])
        return each if self.weight is None else each * (target @ self.weight)

    def plain(self, logits: Tensor, target: Tensor) -> Tensor:
        """Loss as it is reported for validation: the same without smoothing and weights (n,)."""
        if self.params.name == "cross_entropy":
            return nn.functional.cross_entropy(logits, target, reduction="none")
        return nn.functional.binary_cross_entropy_with_logits(logits, target, reduction="none").mean(dim=1)


def probabilities(logits: Tensor, loss: str) -> Tensor:
    """Class probabilities (n, n_classes) of a network trained on the loss of that name.

    Those of sigmoids are divided by their sum, since a track has one class here.
    """
    if loss == "cross_entropy":
        return logits.softmax(dim=1)
    return nn.functional.logsigmoid(logits).softmax(dim=1)
