"""A trained model as files: safetensors weights beside a model.json that rebuilds it."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

import models

SEGMENTS_PER_CALL = 256


@dataclasses.dataclass(frozen=True)
class Description:
    """Everything but the weights (``model.json``).

    Attributes
    ----------
    model : str
        Class in the `models` package.
    kwargs : dict
        What its constructor was called with, input shape and number of classes included.
    labels : list of str
        Class names in the order of the logits.
    feature : str
        Which feature it takes.
    feature_parameters : dict
        How that feature was made.
    mean, std : list of float (n_bins,)
        The scaler: of each bin, over the training segments and time.
    train : dict
        The `train` section.
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
    content_key: str


def build(description: Description) -> models.Classifier:
    """The untrained model."""
    kwargs = {**description.kwargs, "input_shape": tuple(description.kwargs["input_shape"])}
    model: models.Classifier = getattr(models, description.model)(**kwargs)
    return model


class TrainedModel:
    """A model with its scaler.

    Parameters
    ----------
    description : Description
    model : models.Classifier
    """

    def __init__(self, description: Description, model: models.Classifier):
        self.description = description
        self.model = model.eval()
        self._mean = torch.tensor(description.mean)[:, None]
        self._std = torch.tensor(description.std)[:, None]

    def save(self, folder: Path) -> None:
        """Write ``model.json`` and ``weights.safetensors``."""
        document = json.dumps(dataclasses.asdict(self.description), indent=2, ensure_ascii=False)
        (folder / "model.json").write_text(document + "\n", "utf-8")
        weights = {name: value.contiguous().cpu() for name, value in self.model.state_dict().items()}
        save_file(weights, folder / "weights.safetensors")

    @classmethod
    def load(cls, folder: Path) -> "TrainedModel":
        """Rebuild a model from what `save` wrote, and nothing else."""
        description = Description(**json.loads((folder / "model.json").read_text("utf-8")))
        model = build(description)
        model.load_state_dict(load_file(folder / "weights.safetensors"))
        return cls(description, model)

    def standardise(self, x: NDArray[np.float32]) -> torch.Tensor:
        """Segments (n, n_bins, n_frames) with the scaler applied, float32."""
        return (torch.from_numpy(x) - self._mean) / self._std

    @torch.inference_mode()
    def predict(self, x: NDArray[np.float32], params: Any = None) -> NDArray[np.float64]:
        """Class probabilities.

        Parameters
        ----------
        x : ndarray of float32 (n, n_bins, n_frames)
            The feature as features.h5 holds it, not standardised.
        params : None
            Part of MLflow's calling convention; unused.

        Returns
        -------
        ndarray of float64 (n, n_classes)
        """
        device = next(self.model.parameters()).device
        parts = [
            self.model(part.to(device)).cpu().double().softmax(dim=1)
            for part in torch.split(self.standardise(np.ascontiguousarray(x, np.float32)), SEGMENTS_PER_CALL)
        ]
        probability: NDArray[np.float64] = torch.cat(parts).numpy()
        return probability


def _load_pyfunc(path: str) -> TrainedModel:
    """MLflow's entry point for models logged with this module as their loader."""
    return TrainedModel.load(Path(path))
