"""How a model is trained: the sections `train`, `schedule`, `loss` and `augment` of params.yaml."""

from typing import Literal

from pydantic import Field

from stages.core.errors import EncoreError
from stages.core.params import Params, check, check_named, read

SECTIONS = ("train", "schedule", "loss", "augment")


class TrainParams(Params):
    """The `train` section.

    Attributes
    ----------
    seed : int
        Of the weights, and with the number of the epoch of all else that is drawn in it.
    epochs : int
        At most so many in a round.
    rounds : int
        Each starts from the weights of the last with a fresh optimiser and schedule.
    batch_size, accumulate : int
        A step of the optimiser takes the mean gradient of `accumulate` batches.
    optimizer : {'adam', 'adamw', 'sgd'}
    learning_rate, weight_decay, momentum : float
        `weight_decay` as the optimiser defines it; a model's own goes first. `momentum` is that of SGD.
    l1 : float
        The penalty ``l1 * sum(abs(w))`` on all weights but biases and those of normalisation.
    clip_norm : float or None
        Gradients longer than this are scaled to it.
    ema_decay : float or None
        Share that the moving average of the weights keeps in a step; that average is what is judged and kept.
    monitor : {'valid_loss', 'valid_accuracy'}
    patience : int or None
        Epochs without a better `monitor` before training stops; None: it never stops early.
    keep : {'best', 'last'}
        Which epoch's weights become the model: the best by `monitor`, or the last.
    scaler : {'bins', 'example', 'none'}
        Standardise by each bin's mean and deviation over the train side, each segment by its own, or not.
    variants : bool
        Whether the train side takes in the variants of its tracks that features.h5 has.
    precision : {'32-true', 'bf16-mixed', '16-mixed'}
        As Lightning Fabric names them.
    compile : bool
        Whether `torch.compile` translates the model; it needs a C++ compiler.
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


class Constant(Params):
    """``schedule=constant``: the learning rate stays what it is.

    Attributes
    ----------
    warmup_epochs : float
        Over so many epochs, or parts of one, the rate first rises to its value; every schedule has this.
    """

    name: Literal["constant"]
    warmup_epochs: float = Field(ge=0)


class Falling(Params):
    """``schedule=linear`` and ``schedule=cosine``: down over the whole training.

    Attributes
    ----------
    warmup_epochs : float
    final : float
        Share of the learning rate that is left at the end.
    """

    name: Literal["linear", "cosine"]
    warmup_epochs: float = Field(ge=0)
    final: float = Field(ge=0, le=1)


class CosineRestarts(Params):
    """``schedule=cosine_restarts``: down along a cosine, and up again at once (Loshchilov & Hutter, 2017).

    Attributes
    ----------
    warmup_epochs : float
    period_epochs : int
        From one restart to the next.
    final : float
        Share of the learning rate just before a restart.
    """

    name: Literal["cosine_restarts"]
    warmup_epochs: float = Field(ge=0)
    period_epochs: int = Field(ge=1)
    final: float = Field(ge=0, le=1)


class Exponential(Params):
    """``schedule=exponential``.

    Attributes
    ----------
    warmup_epochs : float
    gamma : float
        Share of the learning rate that an epoch leaves.
    """

    name: Literal["exponential"]
    warmup_epochs: float = Field(ge=0)
    gamma: float = Field(gt=0, le=1)


class Step(Params):
    """``schedule=step``.

    Attributes
    ----------
    warmup_epochs : float
    every_epochs : int
    gamma : float
        Share of the learning rate that each step leaves.
    """

    name: Literal["step"]
    warmup_epochs: float = Field(ge=0)
    every_epochs: int = Field(ge=1)
    gamma: float = Field(gt=0, le=1)


class Plateau(Params):
    """``schedule=plateau``: down when `train.monitor` has not become better for a while.

    Attributes
    ----------
    warmup_epochs : float
    patience_epochs : int
    gamma : float
        Share of the learning rate that each cut leaves.
    """

    name: Literal["plateau"]
    warmup_epochs: float = Field(ge=0)
    patience_epochs: int = Field(ge=1)
    gamma: float = Field(gt=0, lt=1)


Schedule = Constant | Falling | CosineRestarts | Exponential | Step | Plateau
SCHEDULES: dict[str, type[Schedule]] = {
    "constant": Constant,
    "linear": Falling,
    "cosine": Falling,
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
    """What all losses have that learn embeddings; the class with the nearest prototype is predicted.

    Attributes
    ----------
    embedding_size : int
    """

    embedding_size: int = Field(ge=2, le=4096)


class Triplet(MetricLossParams):
    """``loss=triplet`` (Schroff et al., 2015).

    Attributes
    ----------
    margin : float
        By which another class should be further away than the own; embeddings have length 1.
    mining : {'all', 'semihard', 'hard'}
        Which triplets of a batch count: all that break the margin; those of them in whose order the own
        class is nearer; those in whose order it is not.
    """

    name: Literal["triplet"]
    margin: float = Field(gt=0, le=2)
    mining: Literal["all", "semihard", "hard"]


class SupCon(MetricLossParams):
    """``loss=supcon``: supervised contrast (Khosla et al., 2020).

    Attributes
    ----------
    temperature : float
        Cosines are divided by it.
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
    """Bands and stretches that are set to the mean (Park et al., 2019).

    Attributes
    ----------
    bands, stretches : int
        How many of each.
    max_bins, max_frames : float
        Widths are drawn up to this share of the bins, or frames.
    """

    bands: int = Field(ge=0)
    max_bins: float = Field(gt=0, le=1)
    stretches: int = Field(ge=0)
    max_frames: float = Field(gt=0, le=1)


class AugmentParams(Params):
    """The `augment` section: what is done to training segments anew in every epoch; None: nothing.

    Attributes
    ----------
    specaugment : SpecAugment or None
    mixup : float or None
        Alpha of the Beta distribution that mixing shares come from (Zhang et al., 2018).
    noise : float or None
        Deviation of white noise that is added, in standard deviations of the data.
    gain_db : float or None
        Level is changed by up to so much, up or down; for features in dB.
    shift : float or None
        Segments are rotated in time by up to this share of their length, forth or back.
    crop : float or None
        A stretch of at least this share of the segment is stretched to its whole length.
    """

    specaugment: SpecAugment | None
    mixup: float | None = Field(gt=0)
    noise: float | None = Field(gt=0)
    gain_db: float | None = Field(gt=0)
    shift: float | None = Field(gt=0, le=1)
    crop: float | None = Field(gt=0, lt=1)

    @property
    def active(self) -> list[str]:
        """Names of those that do something."""
        return [name for name, value in self if value is not None]

    def only(self, name: str) -> "AugmentParams":
        """The same with one augmentation alone."""
        return self.model_copy(update={other: None for other in self.active if other != name})


class Recipe(Params):
    """How a model is trained."""

    train: TrainParams
    schedule: Schedule = Field(discriminator="name")
    loss: LossParams = Field(discriminator="name")
    augment: AugmentParams


def load_recipe() -> Recipe:
    """The recipe of params.yaml, checked."""
    train = check(read("train"), TrainParams, "train")
    schedule = check_named(read("schedule"), SCHEDULES, "schedule")
    if schedule.warmup_epochs >= train.epochs:
        raise EncoreError(
            f"params.yaml: schedule.warmup_epochs is {schedule.warmup_epochs}, should be under train.epochs, "
            f"which is {train.epochs}"
        )
    loss = check_named(read("loss"), LOSSES, "loss")
    if isinstance(loss, MetricLossParams) and train.batch_size < 3:
        raise EncoreError(
            f"params.yaml: train.batch_size is {train.batch_size}, should be at least 3 with "
            f"loss={loss.name}, which compares segments of a batch"
        )
    augment = check(read("augment"), AugmentParams, "augment")
    if augment.mixup is not None and isinstance(loss, MetricLossParams):
        raise EncoreError(
            f"params.yaml: augment.mixup does not work with loss={loss.name}, since a mixture is of no class"
        )
    return Recipe(train=train, schedule=schedule, loss=loss, augment=augment)


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
