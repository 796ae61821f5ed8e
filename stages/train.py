"""Stage train: what did it learn? Fills data/model with weights, model.json and history.csv."""

import dataclasses
import hashlib
import inspect
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, create_model

from stages.core.errors import EncoreError, run
from stages.core.params import Params, check, read
from stages.core.runtime import RuntimeParams, prepare_for_torch, runtime
from stages.core.tables import Epoch, write_rows
from stages.core.workspace import outputs
from stages.splitting import examples
from stages.storage.closure import import_closure
from stages.storage.hdf5 import Features
from stages.tracking import client
from stages.training.description import Description
from stages.training.recipe import SECTIONS, MetricLossParams, Recipe, load_recipe

if TYPE_CHECKING:
    import torch

    import models
    from stages.training.batches import Batches
    from stages.training.trained import TrainedModel

# What a constructor's annotations allow: sizes are positive, strengths are not negative.
SHARE = Annotated[float, Field(ge=0, le=1)]
SIZE = Annotated[int, Field(gt=0)]
ALLOWED = {
    int: SIZE,
    float: Annotated[float, Field(ge=0)],
    list[int]: Annotated[list[SIZE], Field(min_length=1)],
    list[list[int]]: Annotated[list[list[SIZE]], Field(min_length=1)],
}
MAY_BE_EMPTY = ("hidden", "pool_after")


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
        name: (_allowed(name, parameter.annotation), ...)
        for name, parameter in inspect.signature(model).parameters.items()
        if name not in given_by_data
    }
    fields |= {"target": (str, Field(alias="_target_")), "feature": (str, ...)}
    checked = check(values, create_model("ModelParams", __base__=Params, **fields), "model").model_dump()
    del checked["target"]
    return model, checked.pop("feature"), checked


def _allowed(name: str, annotation: Any) -> Any:
    if name == "dropout":
        return SHARE
    if name in MAY_BE_EMPTY and annotation == list[int]:
        return list[SIZE]
    return ALLOWED.get(annotation, annotation)  # bool and Literal allow what they say


def scaler(blocks: Callable[[], Iterable[NDArray[np.float32]]]) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each bin over segments and time; 1 where a bin never moves.

    Parameters
    ----------
    blocks : callable
        Gives all segments in turn, as arrays of float32 (n_segments, n_bins, n_frames); called twice.

    Returns
    -------
    mean, std : list of float (n_bins,)
    """
    totals = [(x.shape[0] * x.shape[2], x.sum(axis=(0, 2), dtype=np.float64)) for x in blocks()]
    n = sum(count for count, _ in totals)
    mean = np.sum([total for _, total in totals], axis=0) / n
    squares = [np.square(x - mean[:, None]).sum(axis=(0, 2)) for x in blocks()]
    std = np.sqrt(np.sum(squares, axis=0) / n)
    return mean.tolist(), np.where(std > 0, std, 1.0).tolist()


def content_key(parameters: dict[str, Any]) -> str:
    """Hash of what decides a training: its input files, parameters and code."""
    digest = hashlib.sha256(json.dumps(parameters, sort_keys=True).encode())
    for path in (examples.FEATURES, examples.SPLIT, *import_closure("stages.train")):
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:16]


def check_augmentation(recipe: Recipe, feature: str, unit: str, is_codes: bool) -> None:
    """Refuse an augmentation that means nothing for the feature.

    Raises
    ------
    EncoreError
        If codes would be altered otherwise than in time, or a gain given to what is no level.
    """
    active = recipe.augment.active
    if is_codes and (wrong := sorted(set(active) - {"shift"})):
        raise EncoreError(
            f"params.yaml: augment.{wrong[0]} does not work on codes, which {feature} is; augment.shift does"
        )
    if "gain_db" in active and (unit != "dB" or recipe.train.scaler == "example"):
        raise EncoreError(
            f"params.yaml: augment.gain_db needs a feature in dB that is not scaled segment by segment; "
            f"{feature} is in {unit or 'no unit'}, train.scaler is {recipe.train.scaler!r}"
        )


def main() -> None:
    """Train the model that params.yaml names."""
    prepare_for_torch()
    recipe = load_recipe()
    model_type, feature, kwargs = check_model(read("model"))
    settings = runtime()
    split = examples.read_split()
    with Features(examples.FEATURES) as features:
        examples.assert_there(features, feature, "model.feature")
        # a feature's own settings go first: its frames may differ from those of the others
        feature_parameters = features.attributes | features.settings(feature)
        is_codes = "n_levels" in feature_parameters
        check_augmentation(recipe, feature, features.unit(feature), is_codes)
        variants = features.variants if recipe.train.variants else []
        train = examples.load(features, feature, split, "train", variants)
        valid = examples.load(features, feature, split, "valid")

        sections = {name: read(name) for name in ("model", *SECTIONS)}
        by_bins = recipe.train.scaler == "bins" and not is_codes
        mean, std = scaler(train.blocks) if by_bins else ([], [])
        labels = examples.known_labels(split)
        n_outputs = recipe.loss.embedding_size if isinstance(recipe.loss, MetricLossParams) else len(labels)
        description = Description(
            model=model_type.__name__,
            kwargs={"input_shape": features.shape(feature), "n_classes": n_outputs, **kwargs},
            labels=labels,
            feature=feature,
            feature_parameters=feature_parameters,
            mean=mean,
            std=std,
            train={**sections["train"], **{name: sections[name] for name in SECTIONS[1:]}},
            kept_epoch=0,
            content_key=content_key(sections),
        )
        import torch

        from models.nearest_prototype import NearestPrototype
        from stages.training import loop
        from stages.training.augmentation import Augmentation
        from stages.training.checkpoints import Checkpoint
        from stages.training.device import start
        from stages.training.losses import make_loss
        from stages.training.trained import TrainedModel, build, save_weights

        torch.manual_seed(recipe.train.seed)
        try:
            trained = TrainedModel(description, build(description))
        except (ValueError, RuntimeError) as error:
            raise EncoreError(f"params.yaml: model: {model_type.__name__} cannot be built: {error}") from None
        if recipe.train.batch_size == 1 and any(
            isinstance(layer, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d)
            for layer in trained.model.modules()
        ):
            raise EncoreError(
                f"params.yaml: train.batch_size is 1, should be at least 2 for {model_type.__name__}, "
                "which normalises over a batch"
            )
        fabric = start(settings.device, settings.devices, recipe.train.precision)
        torch.use_deterministic_algorithms(True, warn_only=fabric.device.type != "cpu")

        n_per_class = torch.from_numpy(np.bincount(train.label, minlength=len(labels)))
        learning = _batches(train, trained, settings, fabric.device)
        judging = _batches(valid, trained, settings, fabric.device)
        training = loop.Training(
            trained.model,
            recipe,
            fabric,
            learning,
            judging,
            make_loss(recipe.loss, n_per_class, fabric.device),
            Augmentation(recipe.augment, torch.tensor(std or [1.0], device=fabric.device)),
        )
        mode = settings.tracking if fabric.is_global_zero else "off"
        with Checkpoint(description.content_key, fabric.is_global_zero) as checkpoint:
            with client.Tracking(mode) as tracked:
                tracked.start(description.content_key, checkpoint.run_id, checkpoint.run_note)
                try:
                    fitted = training.fit(checkpoint, tracked.log_epoch)
                except EncoreError:
                    if fabric.is_global_zero:  # all fail alike, and one tells
                        raise
                if not fabric.is_global_zero:
                    return
                kept = fitted.best if recipe.train.keep == "best" else len(fitted.history)
                if isinstance(trained.model, NearestPrototype):
                    loop.calibrate(trained.model, judging)
                trained = TrainedModel(dataclasses.replace(description, kept_epoch=kept), trained.model)
                with outputs(Path("data/model")) as folder:
                    trained.save(folder)
                    write_rows(folder / "history.csv", fitted.history, Epoch)
                    (folder / "rounds").mkdir()
                    for number, weights in enumerate(fitted.rounds, start=1):
                        save_weights(weights, folder / "rounds" / f"round_{number:02d}.safetensors")
            checkpoint.forget()  # when all is told: whoever waits no longer has not trained for nothing
    n_parameters = sum(p.numel() for p in trained.model.parameters())
    accuracy = fitted.history[kept - 1].valid_accuracy
    print(
        f"train: {model_type.__name__}, {n_parameters:,} parameters, on {fabric.device}: kept epoch {kept} "
        f"of {len(fitted.history)}, validation accuracy {accuracy:.3f} per segment"
    )


def _batches(
    side: examples.Examples, trained: "TrainedModel", settings: RuntimeParams, device: "torch.device"
) -> "Batches":
    """A side where it fits: on the device, in memory, or in its file."""
    import torch

    from stages.training.batches import Resident, Streamed
    from stages.training.device import free_bytes

    first = trained.standardise(side.read(slice(1)))
    label, segment_bytes = torch.from_numpy(side.label), first.nbytes
    if segment_bytes * len(side) > settings.memory_gb * 1e9:
        return Streamed(lambda rows: trained.standardise(side.read(rows)), label, segment_bytes, device)
    x = trained.standardise(side.read())
    if x.nbytes > free_bytes(device):
        return Streamed(lambda rows: x[torch.from_numpy(rows)], label, segment_bytes, device)
    return Resident(x.to(device), label.to(device))


if __name__ == "__main__":
    run(main)
