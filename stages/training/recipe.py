"""The training recipe: the sections `train`, `schedule`, `loss` and `augment` of params.yaml."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from stages.core.errors import EncoreError
from stages.core.params import Params, check, check_named, read

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
    optimizer : {'adam', 'adamw', 'sgd'}
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
    optimizer: Literal["adam", "adamw", "sgd"]
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


class ScheduleParams(Params):
    """What every schedule has.

    Attributes
    ----------
    name : str
        Which schedule.
    warmup_epochs : float
        Epochs, whole or not, over which the learning rate first rises to its value.
    """

    name: str
    warmup_epochs: float = Field(ge=0)


class Constant(ScheduleParams):
    """``schedule=constant``: the learning rate does not change."""

    name: Literal["constant"]


class Decaying(ScheduleParams):
    """``schedule=linear`` and ``schedule=cosine``: the learning rate falls over the whole training.

    Attributes
    ----------
    name : {'linear', 'cosine'}
    final_ratio : float
        Learning rate at the end, as a share of the initial one.
    """

    name: Literal["linear", "cosine"]
    final_ratio: float = Field(ge=0, le=1)
    renamed: ClassVar[dict[str, str]] = {"final": "final_ratio"}


class CosineRestarts(ScheduleParams):
    """``schedule=cosine_restarts``: cosine decay with warm restarts (Loshchilov & Hutter, 2017).

    Attributes
    ----------
    period_epochs : int
        Epochs between two restarts.
    final_ratio : float
        Learning rate just before a restart, as a share of the initial one.
    """

    name: Literal["cosine_restarts"]
    period_epochs: int = Field(ge=1)
    final_ratio: float = Field(ge=0, le=1)
    renamed: ClassVar[dict[str, str]] = {"final": "final_ratio"}


class Exponential(ScheduleParams):
    """``schedule=exponential``: the learning rate is multiplied by `gamma` over each epoch.

    Attributes
    ----------
    gamma : float
    """

    name: Literal["exponential"]
    gamma: float = Field(gt=0, le=1)


class Step(ScheduleParams):
    """``schedule=step``: the learning rate is multiplied by `gamma` after every `every_epochs` epochs.

    Attributes
    ----------
    every_epochs : int
    gamma : float
    """

    name: Literal["step"]
    every_epochs: int = Field(ge=1)
    gamma: float = Field(gt=0, le=1)


class Plateau(ScheduleParams):
    """``schedule=plateau``: the learning rate is multiplied by `gamma` when `train.monitor` stops improving.

    Attributes
    ----------
    patience_epochs : int
        Epochs without a better value before that.
    gamma : float
    """

    name: Literal["plateau"]
    patience_epochs: int = Field(ge=1)
    gamma: float = Field(gt=0, lt=1)


Schedule = Constant | Decaying | CosineRestarts | Exponential | Step | Plateau
SCHEDULES: dict[str, type[Schedule]] = {
    "constant": Constant,
    "linear": Decaying,
    "cosine": Decaying,
    "cosine_restarts": CosineRestarts,
    "exponential": Exponential,
    "step": Step,
    "plateau": Plateau,
}


class CrossEntropy(Params):
    """``loss=cross_entropy`` and ``loss=binary_cross_entropy``: the model's outputs are logits.

    Attributes
    ----------
    name : {'cross_entropy', 'binary_cross_entropy'}
        Over softmax, or the mean over one sigmoid for each class.
    label_smoothing : float
        Share of each target that is spread evenly over all classes (Szegedy et al., 2016).
    class_weights : {'none', 'balanced'}
        Balanced: a segment counts ``n_segments / (n_classes * n_segments_of_its_class)``.
    """

    name: Literal["cross_entropy", "binary_cross_entropy"]
    label_smoothing: float = Field(ge=0, lt=1)
    class_weights: Literal["none", "balanced"]


class MetricLossParams(Params):
    """What losses of embeddings have in common; the class with the nearest prototype is predicted.

    Attributes
    ----------
    name : str
        Which loss.
    embedding_size : int
    """

    name: str
    embedding_size: int = Field(ge=2, le=4096)


class Triplet(MetricLossParams):
    """``loss=triplet`` (Schroff et al., 2015).

    Attributes
    ----------
    margin : float
        How much further away a segment of another class should be; embeddings have length 1.
    mining : {'all', 'semihard', 'hard'}
        Which triplets of a batch count: all that violate the margin; those of them whose positive is nearer
        than the negative; those whose negative is nearer than the positive.
    """

    name: Literal["triplet"]
    margin: float = Field(gt=0, le=2)
    mining: Literal["all", "semihard", "hard"]


class SupCon(MetricLossParams):
    """``loss=supcon``: supervised contrastive loss (Khosla et al., 2020).

    Attributes
    ----------
    temperature : float
        Cosine similarities are divided by it.
    """

    name: Literal["supcon"]
    temperature: float = Field(gt=0)


LossParams = CrossEntropy | Triplet | SupCon
LOSSES: dict[str, type[LossParams]] = {
    "cross_entropy": CrossEntropy,
    "binary_cross_entropy": CrossEntropy,
    "triplet": Triplet,
    "supcon": SupCon,
}


class SpecAugment(Params):
    """Masks over frequency and time, which set a part of the input to its mean (Park et al., 2019).

    Attributes
    ----------
    freq_masks, time_masks : int
        Number of masks of each kind.
    max_bins, max_frames : float
        Maximum width of a mask, as a share of the bins or frames.
    """

    freq_masks: int = Field(ge=0)
    max_bins: float = Field(gt=0, le=1)
    time_masks: int = Field(ge=0)
    max_frames: float = Field(gt=0, le=1)
    renamed: ClassVar[dict[str, str]] = {"bands": "freq_masks", "stretches": "time_masks"}


class AugmentParams(Params):
    """The `augment` section: random changes to training segments, drawn anew in every epoch; None: no change.

    Attributes
    ----------
    specaugment : SpecAugment or None
    mixup : float or None
        Alpha of the Beta distribution of the mixing shares (Zhang et al., 2018).
    noise : float or None
        Standard deviation of added white noise, relative to that of the data.
    gain_db : float or None
        Maximum change of level, up or down; for features in dB.
    shift : float or None
        Maximum rotation in time, forward or backward, as a share of the segment.
    time_resized_crop : float or None
        Minimum length of the part that is cut out and stretched to the segment's length, as a share of it.
    """

    specaugment: SpecAugment | None
    mixup: float | None = Field(gt=0)
    noise: float | None = Field(gt=0)
    gain_db: float | None = Field(gt=0)
    shift: float | None = Field(gt=0, le=1)
    time_resized_crop: float | None = Field(gt=0, lt=1)
    renamed: ClassVar[dict[str, str]] = {"crop": "time_resized_crop"}

    @property
    def active(self) -> list[str]:
        """Names of the augmentations that are on."""
        return [name for name, value in self if value is not None]

    def only(self, name: str) -> "AugmentParams":
        """Return the same with a single augmentation."""
        return self.model_copy(update={other: None for other in self.active if other != name})


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


def check_schedule(values: Any) -> Schedule:
    """Check the `schedule` section against the parameters of the schedule that it names.

    Raises
    ------
    EncoreError
        If there is no such schedule, or one of its parameters is wrong.
    """
    return check_named(values, SCHEDULES, "schedule")


def check_loss(values: Any) -> LossParams:
    """Check the `loss` section against the parameters of the loss that it names.

    Raises
    ------
    EncoreError
        If there is no such loss, or one of its parameters is wrong.
    """
    return check_named(values, LOSSES, "loss")


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
