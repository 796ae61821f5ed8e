"""What every model is."""

from typing import Any

from torch import nn


class Classifier(nn.Module):
    """Base of all models."""

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Parameters as the optimiser takes them; a model that regularises some of its own says so here."""
        return [{"params": list(self.parameters())}]
