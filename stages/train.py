"""Stage train: what did it learn? Writes weights, model.json and history.csv to data/model."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from stages.audio.params import RenderParams
from stages.core.errors import EncoreError
from stages.core.numerics import pin_models
from stages.core.params import load, read
from stages.core.runtime import RuntimeParams, is_first_process, prepare_for_torch, runtime
from stages.core.tables import Epoch, write_rows
from stages.core.workspace import outputs
from stages.entry.command import run
from stages.splitting import examples
from stages.storage.feature_file import Features
from stages.tracking import client
from stages.training.content_key import content_key
from stages.training.description import Description, ModelInput
from stages.training.loss_params import MetricLossParams
from stages.training.model_params import check_model
from stages.training.recipe import SECTIONS, check_augmentation, load_recipe
from stages.training.scaler import Scaler

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    import models
    from stages.training.batches import Batches
    from stages.training.checkpoints import Checkpoint
    from stages.training.loop import FitResult, Training

MODEL = Path("data/model")


@dataclass(frozen=True)
class Prepared:
    """A training before its first epoch.

    Attributes
    ----------
    description : Description
        Complete but for the epoch that is kept.
    model : Classifier
    valid : Batches
    training : Training
        Of that model.
    fabric : Fabric
        Where it runs.
    """

    description: Description
    model: "models.Classifier"
    valid: "Batches"
    training: "Training"
    fabric: "Fabric"


def main() -> None:
    """Train the model that params.yaml names."""
    prepare_for_torch()
    pin_models()
    settings = runtime()
    mode = settings.tracking if is_first_process() else "off"
    # tracking first, since it starts as slowly as torch
    with client.Tracking(mode) as tracking, Features(examples.FEATURES) as features:
        prepared = prepare(features, settings)
        from stages.training.checkpoints import Checkpoint

        key = prepared.description.content_key
        with Checkpoint(key, prepared.fabric.is_global_zero) as checkpoint:
            tracking.start(key, checkpoint.run_id, checkpoint.run_note)
            result = fit(prepared, checkpoint, tracking.log_epoch)
            if result is not None:
                save(prepared, result, MODEL)
            tracking.wait()
            checkpoint.forget()  # after tracking has ended, so that stopping it loses no training
    if result is not None:
        print(_summary(prepared, result))


def prepare(features: Features, settings: RuntimeParams) -> Prepared:
    """Check all parameters, fit the scaler, build the model, and load both splits.

    Parameters
    ----------
    features : Features
        Open features file, which the training may read from.
    settings : RuntimeParams

    Raises
    ------
    EncoreError
        If parameters do not suit each other, the feature, the data or this machine.
    """
    recipe, rendering = load_recipe(), load("render", RenderParams)
    model = check_model(read("model"))
    wanted = model.feature
    split = examples.read_split()
    examples.assert_there(features, wanted, "model.feature")
    given = ModelInput.read(features, wanted)
    unit = features.unit(wanted) if isinstance(wanted, str) else ""
    check_augmentation(recipe, given.name, unit, given.is_codes)
    if is_first_process():
        _say_what_was_heard(given, read("dataset")["name"])
    train = examples.load(features, wanted, split, "train", given.variants if recipe.train.variants else [])
    valid = examples.load(features, wanted, split, "valid")
    labels = examples.known_labels(split)
    n_outputs = recipe.loss.embedding_size if isinstance(recipe.loss, MetricLossParams) else len(labels)
    description = Description(
        model=model.name,
        kwargs={"input_shape": examples.shape(features, wanted), "n_classes": n_outputs, **model.kwargs},
        labels=labels,
        input=given,
        rendering=rendering,
        scaler=Scaler.fit("none" if given.is_codes else recipe.train.scaler, train.blocks),
        recipe=recipe,
        kept_epoch=0,
        content_key=content_key({section: read(section) for section in ("model", "render", *SECTIONS)}),
    )
    return _start(description, train, valid, settings)


def _say_what_was_heard(given: ModelInput, dataset: str) -> None:
    """Say so if a feature is a network that was itself trained on music, and warn if on this music."""
    for name, heard in given.trained_on.items():
        if given.may_know(name, dataset):
            print(
                f"train: warning: {name} was trained on {dataset}, which this music is from: it may know the "
                "test tracks, and accuracy will be optimistic"
            )
        else:
            print(f"train: {name} is pre-trained on {', '.join(heard)}; overlap with this music unknown")


def _start(
    description: Description, train: examples.Examples, valid: examples.Examples, settings: RuntimeParams
) -> Prepared:
    """Build the model, and place it and the data on their device."""
    import torch

    from stages.training.augmentation import Augmentation
    from stages.training.batches import load_batches
    from stages.training.device import start
    from stages.training.loop import Training
    from stages.training.losses import make_loss

    recipe, scaler = description.recipe, description.scaler
    torch.manual_seed(recipe.train.seed)
    model = _build(description)
    fabric = start(settings.device, settings.devices, recipe.train.precision)
    device = fabric.device
    torch.use_deterministic_algorithms(True, warn_only=device.type != "cpu")
    n_per_class = torch.from_numpy(np.bincount(train.label, minlength=len(description.labels)))
    train_batches, valid_batches = (
        load_batches(data, scaler, settings.memory_gb, device) for data in (train, valid)
    )
    training = Training(
        model,
        recipe,
        fabric,
        train_batches,
        valid_batches,
        make_loss(recipe.loss, n_per_class, device),
        Augmentation(recipe.augment, torch.tensor(scaler.std or [1.0], device=device)),
    )
    return Prepared(description, model, valid_batches, training, fabric)


def _build(description: Description) -> "models.Classifier":
    """Build the untrained model, in one line of error if it does not suit the data."""
    from torch.nn import BatchNorm1d, BatchNorm2d

    from stages.training.trained import build

    try:
        model = build(description)
    except (ValueError, RuntimeError) as error:
        raise EncoreError(f"params.yaml: model: {description.model} cannot be built: {error}") from None
    has_batch_norm = any(isinstance(layer, BatchNorm1d | BatchNorm2d) for layer in model.modules())
    if description.recipe.train.batch_size == 1 and has_batch_norm:
        raise EncoreError(
            f"params.yaml: train.batch_size is 1, should be at least 2 for {description.model}, "
            "which normalises over a batch"
        )
    return model


def fit(prepared: Prepared, checkpoint: "Checkpoint", on_epoch: Callable[..., None]) -> "FitResult | None":
    """Train to the end, from where `checkpoint` is; the model then has the weights that are to be kept.

    Parameters
    ----------
    prepared : Prepared
    checkpoint : Checkpoint
    on_epoch : callable
        See `Training.fit`.

    Returns
    -------
    FitResult or None
        None in all but the first of several processes that train together.
    """
    from models.nearest_prototype import NearestPrototype
    from stages.training.validation import calibrate

    is_first = prepared.fabric.is_global_zero
    try:
        result = prepared.training.fit(checkpoint, on_epoch)
    except EncoreError:
        if is_first:  # all processes fail alike, and only one reports it
            raise
        return None
    if not is_first:
        return None
    if isinstance(prepared.model, NearestPrototype):
        calibrate(prepared.model, prepared.valid)
    return result


def save(prepared: Prepared, result: "FitResult", folder: Path) -> None:
    """Write model.json, the weights, the weights of each round, and the history to `folder`."""
    from stages.training.trained import TrainedModel, save_weights

    description = prepared.description.model_copy(update={"kept_epoch": result.kept_epoch})
    with outputs(folder) as new:
        TrainedModel(description, prepared.model).save(new)
        write_rows(new / "history.csv", result.history, Epoch)
        rounds = {
            f"round_{number:02d}.{name}": value
            for number, weights in enumerate(result.rounds, start=1)
            for name, value in weights.items()
        }
        save_weights(rounds, new / "rounds.safetensors")


def _summary(prepared: Prepared, result: "FitResult") -> str:
    n_parameters = sum(p.numel() for p in prepared.model.parameters())
    accuracy = result.history[result.kept_epoch - 1].valid_accuracy
    return (
        f"train: {prepared.description.model}, {n_parameters:,} parameters, on {prepared.fabric.device}: "
        f"kept epoch {result.kept_epoch} of {len(result.history)}, "
        f"validation accuracy {accuracy:.3f} per segment"
    )


if __name__ == "__main__":
    run(main)
