"""The `schedule` section of params.yaml: the parameters of each schedule of the learning rate."""

from typing import Any, ClassVar, Literal

from pydantic import Field

from stages.core.params import Params, check_named


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


def check_schedule(values: Any) -> Schedule:
    """Check the `schedule` section against the parameters of the schedule that it names.

    Raises
    ------
    EncoreError
        If there is no such schedule, or one of its parameters is wrong.
    """
    return check_named(values, SCHEDULES, "schedule")
