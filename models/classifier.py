"""The base class of all models."""

from contextlib import ExitStack
from typing import Any, ClassVar

import torch
from torch import Tensor, nn


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

    @property
    def heads(self) -> list[nn.Module]:
        """The layers whose answers are the model's: the last linear one, in the order of registration."""
        *_, last = (layer for layer in self.modules() if isinstance(layer, nn.Linear))
        return [last]

    def with_embedding(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (batch, n_classes), and as an embedding what the heads take, side by side.

        Returns
        -------
        logits : Tensor (batch, n_classes)
        embedding : Tensor (batch, embedding_size)
        """
        heads: list[nn.Module] = self.heads
        taken: dict[nn.Module, Tensor] = {}

        def note(head: nn.Module, inputs: tuple[Tensor]) -> None:
            taken[head] = inputs[0]

        with ExitStack() as hooks:
            for head in heads:
                hooks.enter_context(head.register_forward_pre_hook(note))
            logits: Tensor = self(x)
        return logits, torch.cat([taken[head] for head in heads], dim=1)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return the parameter groups for the optimiser, with a model's own regularisation, if any."""
        return [{"params": list(self.parameters())}]
