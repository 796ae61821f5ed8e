"""What a trained model is, besides its weights: ``model.json``."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pydantic

from stages.audio.params import RenderParams
from stages.core.documents import read_document, write_document
from stages.core.errors import EncoreError
from stages.core.params import Params
from stages.splitting.inputs import names_of
from stages.training.loss_params import MetricLossParams
from stages.training.recipe import Recipe
from stages.training.scaler import Scaler

if TYPE_CHECKING:
    from stages.storage.feature_file import Features

SCHEMA = "encore-model/4"
OF_FILE = (
    "sample_rate_hz",
    "segment_length",
    "audio_sha256",
    "made_with",
)  # common to all features of a file


class ModelInput(Params):
    """What a model takes of a segment, as features.h5 describes it.

    Attributes
    ----------
    feature : str or list of str
        As in the catalogue: a feature, or several, of which the model takes statistics.
    settings : dict of str to dict
        How each feature was made: ``n_fft``, ``hop_length``, ``window``, ``pad_mode`` and what only this
        feature has.
    sample_rate_hz : int
        Of the audio that it was made from.
    segment_length : int
        In samples of that audio.
    variants : list of str
        Names of the variants of the music that features.h5 has; whether the model was trained on them,
        `TrainParams.variants` says.
    audio_sha256 : str
        Digest of all that audio.
    made_with : str
        Names and versions of the libraries.
    """

    feature: str | list[str]
    settings: dict[str, dict[str, Any]]
    sample_rate_hz: int
    segment_length: int
    variants: list[str]
    audio_sha256: str
    made_with: str

    @classmethod
    def read(cls, features: "Features", feature: str | list[str]) -> "ModelInput":
        """Read the description of features from an open features file."""
        of_file = {key: features.attributes[key] for key in OF_FILE}
        settings = {name: features.settings(name) for name in names_of(feature)}
        return cls(feature=feature, settings=settings, variants=features.variants, **of_file)

    @property
    def name(self) -> str:
        """What to call it: the feature's name, or all names."""
        return " + ".join(self.settings)

    @property
    def n_levels(self) -> int | None:
        """Number of codes of a feature of codes; None for other features."""
        return self.settings[self.feature].get("n_levels") if isinstance(self.feature, str) else None

    @property
    def trained_on(self) -> dict[str, list[str]]:
        """What each feature that is itself a trained network was trained on, by feature."""
        return {name: made["trained_on"] for name, made in self.settings.items() if made.get("trained_on")}

    def may_know(self, name: str, dataset: str) -> bool:
        """Whether the feature `name` was trained on the dataset of that name."""
        return dataset.casefold() in (heard.casefold() for heard in self.trained_on[name])

    @property
    def is_codes(self) -> bool:
        """Whether the values are codes, as `Feature.is_codes` says where the feature is computed."""
        return self.n_levels is not None


class Description(Params):
    """Everything but the weights, and enough to use the model on a new file.

    Attributes
    ----------
    model : str
        Class in the `models` package.
    kwargs : dict
        What its constructor takes, the feature's shape included, and as `n_classes` the number of outputs:
        one for each class, or the size of the embedding.
    labels : list of str
        Class names in the order of the logits, or prototypes.
    input : ModelInput
    rendering : RenderParams
        How MIDI files were played for the training, and are to be played for a prediction.
    scaler : Scaler
    recipe : Recipe
        How it was trained.
    kept_epoch : int
        The epoch whose weights these are.
    content_key : str
        Hash of the training's inputs, parameters and code; finds the MLflow run.
    weights_sha256 : str
        SHA-256 of ``weights.safetensors``; empty: not written yet.
    """

    model: str
    kwargs: dict[str, Any]
    labels: list[str]
    input: ModelInput
    rendering: RenderParams
    scaler: Scaler
    recipe: Recipe
    kept_epoch: int
    content_key: str
    weights_sha256: str = ""

    def save(self, folder: Path) -> None:
        """Write ``model.json``."""
        write_document(folder / "model.json", {"schema": SCHEMA, **self.model_dump()})

    @classmethod
    def load(cls, folder: Path) -> "Description":
        """Read what `save` wrote.

        Raises
        ------
        EncoreError
            If the file is of another schema, or damaged.
        """
        path = folder / "model.json"
        try:
            document = read_document(path, SCHEMA)
        except FileNotFoundError:
            raise EncoreError(f"{path}: not found; train a model with `dvc repro`") from None
        del document["schema"]
        try:
            return cls.model_validate(document)
        except pydantic.ValidationError as invalid:
            first = invalid.errors()[0]
            key = ".".join(map(str, first["loc"]))
            raise EncoreError(
                f"{path}: {key}: {first['msg']}; train the model again with `dvc repro`"
            ) from None

    @property
    def n_levels(self) -> int | None:
        """Number of codes of a feature of codes, which the input layer expands; None for other features."""
        return self.input.n_levels

    @property
    def embedding_size(self) -> int | None:
        """Size of the embedding of a model that compares with prototypes; None for a classifier."""
        loss = self.recipe.loss
        return loss.embedding_size if isinstance(loss, MetricLossParams) else None

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the feature as the model takes it: float32, or uint8 for codes."""
        return np.dtype(np.uint8 if self.input.is_codes else np.float32)
