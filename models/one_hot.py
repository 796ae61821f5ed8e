"""Input layer for features that are codes."""

from typing import Any

import torch
from torch import Tensor, nn

from models.classifier import Classifier


class OneHotInput(Classifier):
    """Expands codes to one-hot, a channel for each code, in front of any classifier.

    Parameters
    ----------
    classifier : Classifier
        Built with the input shape (n_levels, n_bins, n_frames).
    n_levels : int
        Codes are 0 to ``n_levels - 1``, at most 256 of them.
    """

    codes: Tensor

    def __init__(self, classifier: Classifier, n_levels: int):
        super().__init__()
        self.classifier = classifier
        # a buffer moves to the device with the model; it is constant, hence not in the state dict
        self.register_buffer("codes", torch.arange(n_levels, dtype=torch.uint8), persistent=False)

    def expand(self, x: Tensor) -> Tensor:
        """Return one-hot (batch, n_levels, n_bins, n_frames) of uint8 codes (batch, n_bins, n_frames).

        Its dtype is that of the classifier's weights or, in mixed precision, the autocast dtype.
        """
        device = x.device.type
        if torch.is_autocast_enabled(device):  # an LSTM on CPU accepts no other dtype
            dtype = torch.get_autocast_dtype(device)
        else:
            dtype = next(self.classifier.parameters()).dtype
        return (x.unsqueeze(1) == self.codes[:, None, None]).to(dtype)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (batch, n_classes) for segments of uint8 codes (batch, n_bins, n_frames)."""
        logits: Tensor = self.classifier(self.expand(x))
        return logits

    @property
    def heads(self) -> list[nn.Module]:
        """Those of the classifier."""
        return self.classifier.heads

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return those of the classifier."""
        return self.classifier.parameter_groups()
