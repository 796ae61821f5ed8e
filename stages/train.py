"""Stage train: what did it learn? Fills data/model with weights, model.json and history.csv."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from stages.audio.params import RenderParams
from stages.core.errors import EncoreError
from stages.core.params import load, read
from stages.core.runtime import RuntimeParams, prepare_for_torch, runtime
from stages.core.tables import Epoch, write_rows
from stages.core.workspace import outputs
from stages.entry.command import run
from stages.splitting import examples
from stages.storage.hdf5 import Features
from stages.tracking import client
from stages.training.content_key import content_key
from stages.training.description import Description, InputFeature
from stages.training.model_params import check_model
from stages.training.recipe import SECTIONS, MetricLossParams, check_augmentation, load_recipe
from stages.training.scaler import Scaler

if TYPE_CHECKING:
    import torch

    from stages.training.batches import Batches

OF_FILE = ("sample_rate_hz", "segment_length", "audio_sha256", "made_with")  # of all features of a file


def main() -> None:
    """Train the model that params.yaml names."""
    prepare_for_torch()
    recipe = load_recipe()
    chosen = check_model(read("model"))
    feature = chosen.feature
    settings = runtime()
    split = examples.read_split()
    with Features(examples.FEATURES) as features:
        examples.assert_there(features, feature, "model.feature")
        own = features.settings(feature)
        is_codes = "n_levels" in own
        check_augmentation(recipe, feature, features.unit(feature), is_codes)
        variants = features.variants if recipe.train.variants else []
        train = examples.load(features, feature, split, "train", variants)
        valid = examples.load(features, feature, split, "valid")

        sections = {name: read(name) for name in ("model", *SECTIONS, "render")}
        scaler = Scaler.fit("none" if is_codes else recipe.train.scaler, train.blocks)
        labels = examples.known_labels(split)
        n_outputs = recipe.loss.embedding_size if isinstance(recipe.loss, MetricLossParams) else len(labels)
        description = Description(
            model=chosen.name,
            kwargs={"input_shape": features.shape(feature), "n_classes": n_outputs, **chosen.kwargs},
            labels=labels,
            feature=InputFeature(
                name=feature,
                settings=own,
                variants=features.variants,
                **{key: features.attributes[key] for key in OF_FILE},
            ),
            rendering=load("render", RenderParams),
            scaler=scaler,
            recipe=recipe,
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
            raise EncoreError(f"params.yaml: model: {chosen.name} cannot be built: {error}") from None
        if recipe.train.batch_size == 1 and any(
            isinstance(layer, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d)
            for layer in trained.model.modules()
        ):
            raise EncoreError(
                f"params.yaml: train.batch_size is 1, should be at least 2 for {chosen.name}, "
                "which normalises over a batch"
            )
        fabric = start(settings.device, settings.devices, recipe.train.precision)
        torch.use_deterministic_algorithms(True, warn_only=fabric.device.type != "cpu")

        n_per_class = torch.from_numpy(np.bincount(train.label, minlength=len(labels)))
        learning = _batches(train, scaler, settings, fabric.device)
        judging = _batches(valid, scaler, settings, fabric.device)
        training = loop.Training(
            trained.model,
            recipe,
            fabric,
            learning,
            judging,
            make_loss(recipe.loss, n_per_class, fabric.device),
            Augmentation(recipe.augment, torch.tensor(scaler.std or [1.0], device=fabric.device)),
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
                trained = TrainedModel(description.model_copy(update={"kept_epoch": kept}), trained.model)
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
        f"train: {chosen.name}, {n_parameters:,} parameters, on {fabric.device}: kept epoch {kept} "
        f"of {len(fitted.history)}, validation accuracy {accuracy:.3f} per segment"
    )


def _batches(
    side: examples.Examples, scaler: Scaler, settings: RuntimeParams, device: "torch.device"
) -> "Batches":
    """A side where it fits: on the device, in memory, or in its file."""
    import torch

    from stages.training.batches import Resident, Streamed
    from stages.training.device import free_bytes

    first = scaler.standardise(side.read(slice(1)))
    label, segment_bytes = torch.from_numpy(side.label), first.nbytes
    if segment_bytes * len(side) > settings.memory_gb * 1e9:
        return Streamed(lambda rows: scaler.standardise(side.read(rows)), label, segment_bytes, device)
    x = scaler.standardise(side.read())
    if x.nbytes > free_bytes(device):
        return Streamed(lambda rows: x[torch.from_numpy(rows)], label, segment_bytes, device)
    return Resident(x.to(device), label.to(device))


if __name__ == "__main__":
    run(main)
