"""A trained model as files: safetensors weights beside a model.json that rebuilds it."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

import models
from models.nearest_prototype import NearestPrototype
from models.one_hot import OneHotInput
from stages.training.batches import judged_at_once
from stages.training.description import Description
from stages.training.losses import probabilities


def build(description: Description) -> models.Classifier:
    """The untrained model; from now on torch uses as many threads as it gains from."""
    model_type: type[models.Classifier] = getattr(models, description.model)
    n_levels, shape = description.n_levels, tuple(description.kwargs["input_shape"])
    input_shape = shape if n_levels is None else (n_levels, *shape)
    model = model_type(**{**description.kwargs, "input_shape": input_shape})
    if model.n_threads is not None:
        torch.set_num_threads(model.n_threads)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # faster convolutions
    if n_levels is not None:
        model = OneHotInput(model, n_levels)
    embedding_size = description.embedding_size
    return NearestPrototype(model, len(description.labels), embedding_size) if embedding_size else model


def save_weights(weights: dict[str, torch.Tensor], path: Path) -> None:
    """Write a state dict as safetensors."""
    save_file({name: value.contiguous().cpu() for name, value in weights.items()}, path)


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

    def save(self, folder: Path) -> None:
        """Write ``model.json`` and ``weights.safetensors``."""
        self.description.save(folder)
        save_weights(self.model.state_dict(), folder / "weights.safetensors")

    @classmethod
    def load(cls, folder: Path) -> "TrainedModel":
        """Rebuild a model from what `save` wrote, and nothing else."""
        description = Description.load(folder)
        model = build(description)
        model.load_state_dict(load_file(folder / "weights.safetensors"))
        return cls(description, model)

    @torch.inference_mode()
    def predict(self, x: NDArray[Any], params: Any = None) -> NDArray[np.float64]:
        """Class probabilities (n, n_classes), float64; the rest as `judge` has it.

        `params` is part of MLflow's calling convention, and unused.
        """
        return self.judge(x)[0]

    @torch.inference_mode()
    def judge(self, x: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """What segments are, and how unlike all known classes.

        Parameters
        ----------
        x : ndarray of float32, or of uint8 for codes (n, n_bins, n_frames)
            The feature as `stages.storage.hdf5.Features.read` gives it, not standardised.

        Returns
        -------
        probability : ndarray of float64 (n, n_classes)
        novelty : ndarray of float64 (n,)
            Distance to the nearest prototype, 0 to 2; of a classifier one minus the highest probability
            (Hendrycks & Gimpel, 2017).

        Raises
        ------
        TypeError
            If the model takes codes and these are numbers of another type.
        ValueError
            If a code is higher than the model knows.
        """
        device = next(self.model.parameters()).device
        x = x.astype(self.description.dtype, order="C", casting="same_kind", copy=False)
        n_levels = self.description.n_levels
        if n_levels is not None and x.max(initial=0) >= n_levels:  # its one-hot would be all zeros
            raise ValueError(f"the model knows codes 0 to {n_levels - 1}, but there is {x.max()}")
        parts = torch.split(self.description.scaler.standardise(x), judged_at_once(x[:1].nbytes))
        logits = torch.cat([self.model(part.to(device)).cpu() for part in parts]).double()
        probability = probabilities(logits, self.description.recipe.loss.name)
        if isinstance(self.model, NearestPrototype):
            novelty = (-logits.max(dim=1).values * self.model.temperature.cpu()).sqrt()
        else:
            novelty = 1 - probability.max(dim=1).values
        return probability.numpy(), novelty.numpy()


def _load_pyfunc(path: str) -> TrainedModel:
    """MLflow's entry point for models logged with this module as their loader."""
    return TrainedModel.load(Path(path))
