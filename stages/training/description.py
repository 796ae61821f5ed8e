"""What a trained model is, besides its weights."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Description:
    """Everything but the weights (``model.json``).

    Attributes
    ----------
    model : str
        Class in the `models` package.
    kwargs : dict
        What its constructor takes, the feature's shape included, and as `n_classes` how many numbers it
        gives: one for each class, or the embedding's size.
    labels : list of str
        Class names in the order of the logits, or prototypes.
    feature : str
        Which feature it takes.
    feature_parameters : dict
        How that feature was made.
    mean, std : list of float (n_bins,)
        Of each bin, over the training segments and time; empty unless it is what features are scaled by.
    train : dict
        The `train` section, and in it those of schedule, loss and augmentation.
    kept_epoch : int
        The epoch whose weights these are.
    content_key : str
        Hash of the training's inputs, parameters and code; finds the MLflow run.
    """

    model: str
    kwargs: dict[str, Any]
    labels: list[str]
    feature: str
    feature_parameters: dict[str, Any]
    mean: list[float]
    std: list[float]
    train: dict[str, Any]
    kept_epoch: int
    content_key: str

    def save(self, folder: Path) -> None:
        """Write ``model.json``."""
        document = json.dumps(asdict(self), indent=2, ensure_ascii=False)
        (folder / "model.json").write_text(document + "\n", "utf-8")

    @classmethod
    def load(cls, folder: Path) -> "Description":
        """Read what `save` wrote."""
        return cls(**json.loads((folder / "model.json").read_text("utf-8")))

    @property
    def n_levels(self) -> int | None:
        """How many codes the feature has, which the input layer expands; None: it is no feature of codes."""
        return self.feature_parameters.get("n_levels")

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the feature as the model takes it: float32, or uint8 for codes."""
        return np.dtype(np.float32 if self.n_levels is None else np.uint8)
