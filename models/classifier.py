"""What every model is."""

from typing import Any, ClassVar

from torch import nn


class Classifier(nn.Module):
    """Base of all models.

    Attributes
    ----------
    n_threads : int or None
        How many threads of a CPU it gains from; None: all.
    """

    n_threads: ClassVar[int | None] = None

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Parameters as the optimiser takes them; a model that regularises some of its own says so here."""
        return [{"params": list(self.parameters())}]
