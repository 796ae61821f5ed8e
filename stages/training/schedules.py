"""The learning rate over a training."""

from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import (
    ConstantLR,
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    ExponentialLR,
    LinearLR,
    LRScheduler,
    ReduceLROnPlateau,
    SequentialLR,
    StepLR,
)

from stages.training.schedule_params import (
    CosineRestarts,
    Decaying,
    Exponential,
    Plateau,
    Schedule,
    Step,
)


class LRSchedule:
    """Sets the learning rate of an optimiser, step by step.

    Parameters
    ----------
    optimizer : Optimizer
        Its learning rate is the highest of the schedule.
    schedule : Schedule
    steps_per_epoch, epochs : int
        Of the training.
    higher_is_better : bool
        Whether the monitored value is better when it is higher; for a plateau.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        schedule: Schedule,
        steps_per_epoch: int,
        epochs: int,
        higher_is_better: bool,
    ):
        self._warmup = warmup = round(schedule.warmup_epochs * steps_per_epoch)
        self._plateau: ReduceLROnPlateau | None = None
        main = _after_warmup(optimizer, schedule, steps_per_epoch, max(1, epochs * steps_per_epoch - warmup))
        if warmup > 0:
            rising = LinearLR(optimizer, start_factor=1 / (warmup + 1), total_iters=warmup)
            main = SequentialLR(optimizer, [rising, main], milestones=[warmup])
        self._by_step = main
        if isinstance(schedule, Plateau):
            self._plateau = ReduceLROnPlateau(
                optimizer,
                "max" if higher_is_better else "min",
                factor=schedule.gamma,
                patience=schedule.patience_epochs - 1,  # torch reduces after one more bad epoch than that
                threshold=0.0,
            )

    def after_step(self) -> None:
        """Update the rate; to be called after each step of the optimiser."""
        self._by_step.step()

    def after_epoch(self, monitored: float) -> None:
        """Update the rate; to be called after each epoch with the monitored value."""
        if self._plateau is not None and self._by_step.last_epoch >= self._warmup:
            self._plateau.step(monitored)

    def state_dict(self) -> dict[str, Any]:
        """Return the state for `load_state_dict`."""
        return {
            "by_step": self._by_step.state_dict(),
            "plateau": self._plateau and self._plateau.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from the state of another schedule with the same parameters."""
        self._by_step.load_state_dict(state["by_step"])
        if self._plateau is not None:
            self._plateau.load_state_dict(state["plateau"])


def _after_warmup(
    optimizer: Optimizer, schedule: Schedule, steps_per_epoch: int, n_steps: int
) -> LRScheduler:
    """Return the schedule after the warm-up, which has `n_steps` steps."""
    highest = optimizer.param_groups[0]["lr"]
    match schedule:
        case Decaying(name="linear"):
            return LinearLR(optimizer, start_factor=1.0, end_factor=schedule.final_ratio, total_iters=n_steps)
        case Decaying():
            return CosineAnnealingLR(optimizer, n_steps, eta_min=schedule.final_ratio * highest)
        case CosineRestarts():
            period = schedule.period_epochs * steps_per_epoch
            return CosineAnnealingWarmRestarts(optimizer, period, eta_min=schedule.final_ratio * highest)
        case Exponential():
            return ExponentialLR(optimizer, schedule.gamma ** (1 / steps_per_epoch))
        case Step():
            return StepLR(optimizer, schedule.every_epochs * steps_per_epoch, schedule.gamma)
        case _:
            return ConstantLR(optimizer, factor=1.0)
