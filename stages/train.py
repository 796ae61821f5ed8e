"""Stage train: what did it learn? Fills data/model with weights, model.json and history.csv."""

import hashlib
import inspect
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, create_model

from stages import examples, tracking
from stages.closure import import_closure
from stages.errors import EncoreError, run
from stages.params import Params, check, load, read
from stages.runtime import runtime, wait_without_spinning
from stages.store import Features
from stages.tables import Epoch, write_rows
from stages.workspace import new_folder

if TYPE_CHECKING:
    import models

# What a constructor's annotations allow: sizes are positive, strengths are not negative.
SHARE = Annotated[float, Field(ge=0, le=1)]
ALLOWED = {
    int: Annotated[int, Field(gt=0)],
    float: Annotated[float, Field(ge=0)],
    list[int]: Annotated[list[Annotated[int, Field(gt=0)]], Field(min_length=1)],
}


class TrainParams(Params):
    """The `train` section.

    Attributes
    ----------
    seed : int
        Of the weights, dropout and the order of batches.
    epochs, batch_size : int
    optimizer : {'adam', 'adamw', 'sgd'}
    learning_rate, weight_decay : float
        `weight_decay` as the optimiser defines it; a model's own goes first.
    patience : int
        Epochs without a lower validation loss before training stops.
    precision : {'32-true', 'bf16-mixed', '16-mixed'}
        As Lightning Fabric names them.
    """

    seed: int = Field(ge=0, lt=2**32)
    epochs: int = Field(ge=1)
    batch_size: int = Field(ge=1)
    optimizer: Literal["adam", "adamw", "sgd"]
    learning_rate: float = Field(gt=0)
    weight_decay: float = Field(ge=0)
    patience: int = Field(ge=1)
    precision: Literal["32-true", "bf16-mixed", "16-mixed"]


def check_model(values: Any) -> tuple["type[models.Classifier]", str, dict[str, Any]]:
    """Check the `model` section against the constructor of the class that it names.

    Returns
    -------
    model : type
    feature : str
    kwargs : dict
        What the conf file gives the constructor.

    Raises
    ------
    EncoreError
        If there is no such class, or a key is unknown, missing or impossible.
    """
    import models

    names = [f"models.{name}" for name in models.__all__ if name != "Classifier"]
    target = values.get("_target_") if isinstance(values, dict) else None
    if target not in names:
        raise EncoreError(f"params.yaml: model._target_ is {target!r}, should be one of {', '.join(names)}")
    model: type[models.Classifier] = getattr(models, target.removeprefix("models."))
    given_by_data = ("input_shape", "n_classes")
    fields: dict[str, Any] = {
        name: (SHARE if name == "dropout" else ALLOWED[parameter.annotation], ...)
        for name, parameter in inspect.signature(model).parameters.items()
        if name not in given_by_data
    }
    fields |= {"target": (str, Field(alias="_target_")), "feature": (str, ...)}
    checked = check(values, create_model("ModelParams", __base__=Params, **fields), "model").model_dump()
    del checked["target"]
    return model, checked.pop("feature"), checked


def scaler(x: NDArray[np.float32]) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each bin over segments and time; 1 where a bin never moves.

    Parameters
    ----------
    x : ndarray of float32 (n_segments, n_bins, n_frames)

    Returns
    -------
    mean, std : list of float (n_bins,)
    """
    std = x.std(axis=(0, 2), dtype=np.float64)
    return x.mean(axis=(0, 2), dtype=np.float64).tolist(), np.where(std > 0, std, 1.0).tolist()


def content_key(parameters: dict[str, Any]) -> str:
    """Hash of what decides a training: its input files, parameters and code."""
    digest = hashlib.sha256(json.dumps(parameters, sort_keys=True).encode())
    for path in (examples.FEATURES, examples.SPLIT, *import_closure("stages.train")):
        if path.name == "tracking.py":
            continue
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:16]


def main() -> None:
    """Train the model that params.yaml names."""
    wait_without_spinning()
    params = load("train", TrainParams)
    model_type, feature, kwargs = check_model(read("model"))
    settings = runtime()
    split = examples.read_split()
    with Features(examples.FEATURES) as features:
        examples.assert_there(features, feature, "model.feature")
        train = examples.load(features, feature, split, "train")
        valid = examples.load(features, feature, split, "valid")
        labels, input_shape = features.labels, features.shape(feature)
        # a feature's own settings go first: its frames may differ from those of the others
        feature_parameters = features.attributes | features.settings(feature)

    import torch
    from lightning_fabric import Fabric

    from stages import loop
    from stages.device import choose
    from stages.trained import Description, TrainedModel, build

    mean, std = ([], []) if "n_levels" in feature_parameters else scaler(train.x)
    sections = {name: read(name) for name in ("model", "train")}
    description = Description(
        model=model_type.__name__,
        kwargs={"input_shape": input_shape, "n_classes": len(labels), **kwargs},
        labels=labels,
        feature=feature,
        feature_parameters=feature_parameters,
        mean=mean,
        std=std,
        train=sections["train"],
        content_key=content_key(sections),
    )
    device = choose(settings.device)
    fabric = Fabric(accelerator=device.type, devices=1, precision=params.precision)
    fabric.seed_everything(params.seed, verbose=False)
    torch.use_deterministic_algorithms(True, warn_only=device.type != "cpu")
    try:
        trained = TrainedModel(description, build(description))
    except (ValueError, RuntimeError) as error:
        raise EncoreError(f"params.yaml: model: {model_type.__name__} cannot be built: {error}") from None

    with tracking.open_run(settings.tracking, description.content_key) as tracked:
        history = loop.fit(
            trained.model,
            loop.make_optimizer(trained.model, params.optimizer, params.learning_rate, params.weight_decay),
            fabric,
            loop.Data(trained.standardise(train.x), torch.from_numpy(train.label)),
            loop.Data(trained.standardise(valid.x), torch.from_numpy(valid.label)),
            epochs=params.epochs,
            batch_size=params.batch_size,
            patience=params.patience,
            seed=params.seed,
            on_epoch=tracked.log_epoch,
        )
        with new_folder(Path("data/model")) as folder:
            trained.save(folder)
            write_rows(folder / "history.csv", history, Epoch)
    best = min(history, key=lambda epoch: epoch.valid_loss)
    n_parameters = sum(p.numel() for p in trained.model.parameters())
    print(
        f"train: {model_type.__name__}, {n_parameters:,} parameters, on {device}: best of "
        f"{len(history)} epochs is {best.epoch}, validation accuracy {best.valid_accuracy:.3f} per segment"
    )


if __name__ == "__main__":
    run(main)
