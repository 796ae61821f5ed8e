"""Early stopping, and which epoch is the best."""

import math
from typing import TYPE_CHECKING, Literal

from stages.core.tables import Epoch

if TYPE_CHECKING:
    from torch import Tensor


class BestEpoch:
    """The best epoch of a training so far.

    An epoch is better if its monitored value is strictly better, and its validation loss is finite.

    Parameters
    ----------
    monitor : {'valid_loss', 'valid_accuracy'}
        The monitored value. Lower is better for the loss, higher for the accuracy.
    patience : int or None
        Epochs without a better one before the training stops; None: it never stops early.

    Attributes
    ----------
    epoch : int
        Its number, from 1; 0 as long as no epoch had a finite validation loss.
    weights : dict
        The weights to keep of it; empty where the training keeps those of its last epoch.
    """

    def __init__(self, monitor: Literal["valid_loss", "valid_accuracy"], patience: int | None):
        self._monitor = monitor
        self._patience = patience
        self._score = -math.inf
        self._n_epochs = 0
        self.epoch = 0
        self.weights: dict[str, Tensor] = {}

    @property
    def higher_is_better(self) -> bool:
        """Whether the monitored value is better when it is higher."""
        return self._monitor == "valid_accuracy"

    def monitored(self, row: Epoch) -> float:
        """Return the monitored value of an epoch."""
        return row.valid_accuracy if self.higher_is_better else row.valid_loss

    def update(self, row: Epoch) -> bool:
        """Take in the next epoch; return whether it is the best so far."""
        self._n_epochs = row.epoch
        score = self.monitored(row) if self.higher_is_better else -self.monitored(row)
        if not math.isfinite(row.valid_loss) or (self.epoch and score <= self._score):
            return False
        self.epoch, self._score = row.epoch, score
        return True

    @property
    def is_out_of_patience(self) -> bool:
        """Whether the training is to stop early."""
        return self._patience is not None and self._n_epochs - self.epoch >= self._patience
