"""A trained model in a process that answers about many files, beside others that do the same."""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from stages.core.runtime import prepare_for_torch

if TYPE_CHECKING:
    from stages.training.trained import TrainedModel


@cache
def loaded(folder: Path) -> "TrainedModel":
    """Load a model once, and have it use one thread, since there is a process for each core.

    Raises
    ------
    EncoreError
        As `TrainedModel.load` does.
    """
    prepare_for_torch()
    import torch

    from stages.training.trained import TrainedModel

    trained = TrainedModel.load(folder)  # sets the number of threads that suits it alone
    torch.set_num_threads(1)
    return trained
