"""The training recipe: the sections `train`, `schedule`, `loss` and `augment` of params.yaml together."""

from typing import Annotated, Literal

from pydantic import Field

from stages.core.errors import EncoreError
from stages.core.params import Params, check, read
from stages.training.augment_params import AugmentParams
from stages.training.loss_params import LossParams, MetricLossParams, check_loss
from stages.training.schedule_params import Schedule, check_schedule

SECTIONS = ("train", "schedule", "loss", "augment")


class TrainParams(Params):
    """The `train` section.

    Attributes
    ----------
    seed : int
        Seed of the initial weights; together with the epoch's number, of all random numbers in that epoch.
    epochs : int
        Maximum number of epochs in a round.
    rounds : int
        Each round starts from the weights of the previous one, with a new optimiser and schedule.
    batch_size, accumulate : int
        An optimiser step uses the mean gradient of `accumulate` batches.
    optimizer : {'adam', 'adamw', 'sgd', 'lbfgs'}
        'lbfgs' is for all segments in one batch, without chance: dropout, augmentation. A step of it searches
        along up to `stages.training.loop.LINES` directions.
    learning_rate, weight_decay, momentum : float
        `weight_decay` as the optimiser defines it; a model's own value takes precedence. `momentum` is SGD's.
    l1 : float
        The penalty ``l1 * sum(abs(w))`` on all weights except biases and normalisation weights.
    clip_norm : float or None
        Maximum norm of the gradient; None: no limit.
    ema_decay : float or None
        Decay of the exponential moving average of the weights per step; that average is evaluated and kept.
    monitor : {'valid_loss', 'valid_accuracy'}
        Decides which epoch is the best.
    patience : int or None
        Epochs without a better `monitor` before training stops; None: it never stops early.
    keep : {'best', 'last'}
        Which epoch's weights become the model: the best by `monitor`, or the last.
    scaler : {'bins', 'example', 'none'}
        Standardise each bin with its mean and standard deviation over the train split, each segment with
        its own, or not at all.
    variants : bool
        Whether training also uses the variants of the train split's tracks in features.h5.
    precision : {'32-true', 'bf16-mixed', '16-mixed'}
        As Lightning Fabric names them.
    compile : bool
        Whether `torch.compile` compiles the model; it needs a C++ compiler.
    """

    seed: int = Field(ge=0, lt=2**32)
    epochs: int = Field(ge=1)
    rounds: int = Field(ge=1)
    batch_size: int = Field(ge=1)
    accumulate: int = Field(ge=1)
    optimizer: Literal["adam", "adamw", "sgd", "lbfgs"]
    learning_rate: float = Field(gt=0)
    weight_decay: float = Field(ge=0)
    momentum: float = Field(ge=0, lt=1)
    l1: float = Field(ge=0)
    clip_norm: float | None = Field(gt=0)
    ema_decay: float | None = Field(gt=0, lt=1)
    monitor: Literal["valid_loss", "valid_accuracy"]
    patience: int | None = Field(ge=1)
    keep: Literal["best", "last"]
    scaler: Literal["bins", "example", "none"]
    variants: bool
    precision: Literal["32-true", "bf16-mixed", "16-mixed"]
    compile: bool


class Recipe(Params):
    """How a model is trained; `model_dump` and `model_validate` convert it to and from plain values.

    Attributes
    ----------
    train : TrainParams
    schedule : Schedule
    loss : LossParams
    augment : AugmentParams
    """

    train: TrainParams
    schedule: Annotated[Schedule, Field(discriminator="name")]
    loss: Annotated[LossParams, Field(discriminator="name")]
    augment: AugmentParams


def load_recipe() -> Recipe:
    """Read and check the recipe of params.yaml.

    Raises
    ------
    EncoreError
        If a section is wrong, or two sections do not fit together.
    """
    recipe = Recipe(
        train=check(read("train"), TrainParams, "train"),
        schedule=check_schedule(read("schedule")),
        loss=check_loss(read("loss")),
        augment=check(read("augment"), AugmentParams, "augment"),
    )
    check_together(recipe)
    return recipe


def check_together(recipe: Recipe) -> None:
    """Check the sections of a recipe against each other.

    Raises
    ------
    EncoreError
        If the warm-up is longer than the training, or batches or mixup do not suit the loss.
    """
    warmup_epochs, epochs = recipe.schedule.warmup_epochs, recipe.train.epochs
    if warmup_epochs >= epochs:
        raise EncoreError(
            f"params.yaml: schedule.warmup_epochs is {warmup_epochs}, should be under train.epochs, "
            f"which is {epochs}"
        )
    if recipe.train.optimizer == "lbfgs":
        _check_lbfgs(recipe)
    if not isinstance(recipe.loss, MetricLossParams):
        return
    if recipe.train.batch_size < 3:
        raise EncoreError(
            f"params.yaml: train.batch_size is {recipe.train.batch_size}, should be at least 3 with "
            f"loss={recipe.loss.name}, which compares segments of a batch"
        )
    if recipe.augment.mixup is not None:
        raise EncoreError(
            f"params.yaml: augment.mixup does not work with loss={recipe.loss.name}, "
            "since a mixture is of no class"
        )


def _check_lbfgs(recipe: Recipe) -> None:
    """Refuse what L-BFGS cannot use, or what changes the loss while it searches."""
    unfit = {
        "train.precision": recipe.train.precision != "32-true",
        "train.clip_norm": recipe.train.clip_norm is not None,
        **{f"augment.{name}": True for name in recipe.augment.active},
    }
    if found := [key for key, is_unfit in unfit.items() if is_unfit]:
        raise EncoreError(
            f"params.yaml: {found[0]} does not work with train.optimizer=lbfgs, which takes whole steps on a "
            "loss that stays the same; leave it at its default, or choose another optimiser"
        )


def check_precision(precision: str, device: str) -> None:
    """Refuse float16 on a CPU, for which Lightning Fabric would silently use bfloat16.

    Raises
    ------
    EncoreError
        If `precision` is '16-mixed' and `device` 'cpu'.
    """
    if device == "cpu" and precision == "16-mixed":
        raise EncoreError(
            "params.yaml: train.precision is '16-mixed', but a CPU has only 32-true, bf16-mixed"
        )


def check_augmentation(recipe: Recipe, feature: str, unit: str, is_codes: bool) -> None:
    """Refuse an augmentation that makes no sense for the feature.

    Raises
    ------
    EncoreError
        If codes are to be changed other than by a shift, or the level of a feature that is not in dB.
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
