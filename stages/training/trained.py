"""A trained model as files: safetensors weights beside a model.json that rebuilds it."""

import hashlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load, save
from torch import Tensor

import models
from models.nearest_prototype import NearestPrototype
from models.one_hot import OneHotInput
from stages.core.errors import EncoreError
from stages.core.workspace import distrust
from stages.training.batches import forward_size
from stages.training.description import Description
from stages.training.losses import probabilities


def build(description: Description) -> models.Classifier:
    """Build the untrained model, and set torch's threads to as many as it gains from."""
    model_type: type[models.Classifier] = getattr(models, description.model)
    n_levels, shape = description.n_levels, tuple(description.kwargs["input_shape"])
    input_shape = shape if n_levels is None else (n_levels, *shape)
    model = model_type(**{**description.kwargs, "input_shape": input_shape})
    if model.n_threads is not None:
        torch.set_num_threads(model.n_threads)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # faster convolutions
    if n_levels is not None:
        model = OneHotInput(model, n_levels)
    if description.embedding_size is not None:
        return NearestPrototype(model, len(description.labels), description.embedding_size)
    return model


def save_weights(weights: dict[str, torch.Tensor], path: Path) -> str:
    """Write a state dict as safetensors; return the file's SHA-256."""
    content = save({name: value.contiguous().cpu() for name, value in weights.items()})
    path.write_bytes(content)
    return hashlib.sha256(content).hexdigest()


class Outputs(NamedTuple):
    """What a model says of segments, and what it says it by.

    Attributes
    ----------
    probability : ndarray of float64 (n, n_classes)
    novelty : ndarray of float64 (n,)
        Distance to the nearest prototype, 0 to 2; of a classifier one minus the highest probability
        (Hendrycks & Gimpel, 2017).
    embedding : ndarray of float32 (n, embedding_size)
        What the last layer takes: see `models.Classifier.with_embedding`. Of a model that compares with
        prototypes what it compares.
    """

    probability: NDArray[np.float64]
    novelty: NDArray[np.float64]
    embedding: NDArray[np.float32]


class TrainedModel:
    """A model with its description.

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
        sha256 = save_weights(self.model.state_dict(), folder / "weights.safetensors")
        self.description.model_copy(update={"weights_sha256": sha256}).save(folder)

    @classmethod
    def load(cls, folder: Path) -> "TrainedModel":
        """Rebuild a model from the files of `save`, and nothing else.

        Raises
        ------
        EncoreError
            If one of the files is missing, damaged or of another training, or of another schema.
        """
        description, path = Description.load(folder), folder / "weights.safetensors"
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            raise EncoreError(f"{path}: not found; train a model with `dvc repro`") from None
        if hashlib.sha256(content).hexdigest() != description.weights_sha256:
            distrust(path)
            raise EncoreError(
                f"{path}: damaged, or of another training than model.json; delete both and run `dvc repro`"
            )
        model = build(description)
        model.load_state_dict(load(content))
        return cls(description, model)

    def predict(self, x: NDArray[Any], params: Any = None) -> NDArray[np.float64]:
        """Return class probabilities (n, n_classes); for the rest see `predict_with_novelty`.

        `params` is part of MLflow's calling convention, and unused.
        """
        return self.predict_with_novelty(x)[0]

    def predict_with_novelty(self, x: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return class probabilities of segments, and how unlike all known classes they are: `Outputs`."""
        return self.outputs(x)[:2]

    @torch.inference_mode()
    def outputs(self, x: NDArray[Any]) -> Outputs:
        """Return what the model says of segments, and what it says it by.

        Parameters
        ----------
        x : ndarray of float32, or of uint8 for codes (n, n_bins, n_frames)
            The feature as `stages.storage.feature_file.Features.read` returns it, not standardised.

        Raises
        ------
        TypeError
            If the model takes codes and these are numbers of another type.
        ValueError
            If a code is too high for the model.
        """
        n_levels = self.description.n_levels
        device = next(self.model.parameters()).device
        x = x.astype(self.description.dtype, order="C", casting="same_kind", copy=False)
        if n_levels is not None and x.max(initial=0) >= n_levels:  # its one-hot would be all zeros
            raise ValueError(f"the model takes codes 0 to {n_levels - 1}, but there is {x.max()}")
        parts = torch.split(self.description.scaler.standardise(x), forward_size(x[:1].nbytes))
        answers = [self.model.with_embedding(part.to(device)) for part in parts]
        logits, embedding = (
            torch.cat([values.cpu() for values in of_parts]) for of_parts in zip(*answers, strict=True)
        )
        probability, novelty = self.probability_and_novelty(logits.double())
        return Outputs(probability.numpy(), novelty.numpy(), embedding.float().numpy())

    def probability_and_novelty(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Return what logits (n, n_classes), in double precision, mean: probability and novelty."""
        probability = probabilities(logits, self.description.recipe.loss.name)
        if isinstance(self.model, NearestPrototype):
            temperature = self.model.temperature.to(logits.device)
            return probability, (-logits.max(dim=1).values * temperature).sqrt()
        return probability, 1 - probability.max(dim=1).values


def _load_pyfunc(path: str) -> TrainedModel:
    """Load a model for MLflow, whose models name this module as their loader."""
    return TrainedModel.load(Path(path))
