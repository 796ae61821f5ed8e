"""The base class of all models."""

from typing import Any, ClassVar

from torch import nn


class Classifier(nn.Module):
    """Base of all models: logits (batch, n_classes) come out.

    In training a model may give several answers for each segment, (batch, n_answers, n_classes); each of them
    learns as if it were alone.

    Attributes
    ----------
    n_threads : int or None
        Number of CPU threads that make it faster; None: all.
    """

    n_threads: ClassVar[int | None] = None

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return the parameter groups for the optimiser, with a model's own regularisation, if any."""
        return [{"params": list(self.parameters())}]
