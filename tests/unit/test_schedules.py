"""The learning rate at every step equals the formula of the schedule."""

import math
import warnings
from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest
import torch
from torch import nn

from stages.training.schedule_params import check_schedule
from stages.training.schedules import LRSchedule
from tests.synthetic import composed_sections

HIGHEST = 0.02
PER_EPOCH, EPOCHS = 5, 12
N_STEPS = PER_EPOCH * EPOCHS


def made(
    schedule: dict, higher_is_better: bool = False, per_epoch: int = PER_EPOCH
) -> tuple[torch.optim.Optimizer, LRSchedule]:
    parameters = [nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))]
    groups = [{"params": parameters[:1], "weight_decay": 0.1}, {"params": parameters[1:]}]
    optimizer = torch.optim.SGD(groups, lr=HIGHEST)
    checked = check_schedule({"warmup_epochs": 0.0, **schedule})
    return optimizer, LRSchedule(optimizer, checked, per_epoch, EPOCHS, higher_is_better)


def go(
    optimizer: torch.optim.Optimizer, lr_schedule: LRSchedule, monitored: Sequence[float] = ()
) -> list[float]:
    """Return the rate at each step of a training of `EPOCHS` epochs, and that after it."""
    rates = []
    values = [*monitored, *[0.0] * (EPOCHS - len(monitored))]
    for epoch in range(EPOCHS):
        for _ in range(N_STEPS // EPOCHS):
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            lr_schedule.after_step()
            assert len({group["lr"] for group in optimizer.param_groups}) == 1
        lr_schedule.after_epoch(values[epoch])
    return [*rates, optimizer.param_groups[0]["lr"]]


# The rate at a step of n, both counted from the end of the warm-up, as a share of the highest.
FORMULAS: dict[str, tuple[dict, Callable[[int, int], float]]] = {
    "constant": ({"name": "constant"}, lambda step, n: 1.0),
    "linear": ({"name": "linear", "final_ratio": 0.0}, lambda step, n: 1 - step / n),
    "linear to a tenth": ({"name": "linear", "final_ratio": 0.1}, lambda step, n: 1 - 0.9 * step / n),
    "cosine": (
        {"name": "cosine", "final_ratio": 0.0},
        lambda step, n: (1 + math.cos(math.pi * step / n)) / 2,
    ),
    "cosine to a fifth": (
        {"name": "cosine", "final_ratio": 0.2},
        lambda step, n: 0.2 + 0.8 * (1 + math.cos(math.pi * step / n)) / 2,
    ),
    "cosine restarts": (
        {"name": "cosine_restarts", "period_epochs": 3, "final_ratio": 0.1},
        lambda step, n: 0.1 + 0.9 * (1 + math.cos(math.pi * (step % 15) / 15)) / 2,
    ),
    "a period longer than the training": (
        {"name": "cosine_restarts", "period_epochs": 40, "final_ratio": 0.0},
        lambda step, n: (1 + math.cos(math.pi * step / 200)) / 2,
    ),
    "exponential": ({"name": "exponential", "gamma": 0.7}, lambda step, n: 0.7 ** (step / 5)),
    "step": ({"name": "step", "every_epochs": 4, "gamma": 0.1}, lambda step, n: 0.1 ** (step // 20)),
}


@pytest.mark.parametrize("warmup_epochs", [0.0, 0.4, 2.5, 11.9])
@pytest.mark.parametrize("name", FORMULAS)
def test_rate_at_every_step_equals_the_formula(name, warmup_epochs):
    schedule, share = FORMULAS[name]
    warmup = round(warmup_epochs * PER_EPOCH)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rates = go(*made({**schedule, "warmup_epochs": warmup_epochs}))
    wanted = [
        HIGHEST * ((step + 1) / (warmup + 1) if step < warmup else share(step - warmup, N_STEPS - warmup))
        for step in range(N_STEPS)
    ]
    assert rates[:-1] == pytest.approx(wanted, rel=1e-6, abs=1e-12)
    assert max(rates) <= HIGHEST * (1 + 1e-6)


def test_warm_up_rises_linearly_to_the_rate():
    rates = go(*made({"name": "constant", "warmup_epochs": 2.0}))
    steps = [later - earlier for earlier, later in pairwise(rates[:11])]
    assert steps == pytest.approx([HIGHEST / 11] * 10)
    assert rates[10:] == pytest.approx([HIGHEST] * 51)


@pytest.mark.parametrize("name", ["linear", "cosine"])
@pytest.mark.parametrize("final", [0.0, 0.25])
def test_last_rate_is_the_final_ratio(name, final):
    rates = go(*made({"name": name, "final_ratio": final, "warmup_epochs": 1.0}))
    assert rates[-1] == pytest.approx(final * HIGHEST, abs=1e-12)
    assert rates[-1] >= 0


def test_warm_up_under_half_a_step_has_no_effect():
    assert go(*made({"name": "constant", "warmup_epochs": 0.05})) == [HIGHEST] * (N_STEPS + 1)


class TestPlateau:
    """The rate is reduced when the monitored value stops improving."""

    PLATEAU = {"name": "plateau", "patience_epochs": 2, "gamma": 0.1}  # noqa: RUF012

    def rates(self, monitored: Sequence[float], higher_is_better: bool = False, **changes) -> list[float]:
        """Return the rate in each epoch, as a share of the highest."""
        rates = go(*made({**self.PLATEAU, **changes}, higher_is_better), monitored)
        assert len(rates) == N_STEPS + 1
        for epoch in range(EPOCHS):
            in_epoch = rates[PER_EPOCH * epoch : PER_EPOCH * (epoch + 1)]
            assert changes.get("warmup_epochs") or len(set(in_epoch)) == 1
        return [rate / HIGHEST for rate in rates[::PER_EPOCH]]

    def test_rate_is_constant_while_values_improve(self):
        assert self.rates([1 / epoch for epoch in range(1, 13)]) == [1.0] * 13
        assert self.rates([float(epoch) for epoch in range(12)], higher_is_better=True) == [1.0] * 13

    def test_better_epoch_resets_the_patience(self):
        monitored = [9.0, 9.0, 8.0, 8.0, 7.0, 7.0, 6.0, 6.0, 5.0, 5.0, 4.0, 4.0]
        assert self.rates(monitored) == [1.0] * 13

    def test_direction_follows_from_the_monitored_value(self):
        rising = [float(epoch) for epoch in range(1, 13)]
        assert self.rates(rising, higher_is_better=True)[-1] == 1.0
        assert self.rates(rising, higher_is_better=False)[-1] < 0.01

    def test_each_reduction_multiplies_and_resets_the_patience(self):
        rates = self.rates([1.0] * 12, gamma=0.5)
        reductions = [epoch for epoch in range(1, 13) if rates[epoch] != rates[epoch - 1]]
        wanted = [0.5**n for n in range(1, len(reductions) + 1)]
        assert [rates[epoch] for epoch in reductions] == pytest.approx(wanted)
        assert len(reductions) >= 3
        assert {later - earlier for earlier, later in pairwise(reductions)} <= {2, 3}

    def test_nan_is_not_better(self):
        assert self.rates([math.nan] * 12)[-1] < 0.01

    def test_rate_is_reduced_after_patience_epochs(self):
        """As early stopping does with `train.patience`."""
        rates = self.rates([5.0, *[4.0] * 11], patience_epochs=3, gamma=0.5)
        assert rates == pytest.approx([1.0] * 5 + [0.5] * 3 + [0.25] * 3 + [0.125] * 2)

    def test_small_improvement_counts(self):
        assert self.rates([1 - 1e-6 * epoch for epoch in range(12)]) == [1.0] * 13

    def test_no_reduction_during_the_warm_up(self):
        schedule = {**self.PLATEAU, "patience_epochs": 1, "warmup_epochs": 4.0}
        rates = go(*made(schedule), [9.0] * 12)
        assert rates[:20] == pytest.approx([HIGHEST * (step + 1) / 21 for step in range(20)])
        assert rates[20] == pytest.approx(HIGHEST)


@pytest.mark.parametrize(("stop", "warmup_epochs"), [(1, 1.5), (2, 1.5), (7, 0.0), (11, 1.5)])
@pytest.mark.parametrize("name", [*FORMULAS, "plateau"])
def test_state_can_be_restored(name, stop, warmup_epochs):
    """It is restored together with the optimiser, as from a checkpoint."""
    schedule, _ = FORMULAS.get(name, (TestPlateau.PLATEAU, None))
    schedule = {**schedule, "warmup_epochs": warmup_epochs}
    monitored = [1.0, 0.5, 0.7, 0.7, 0.7, 0.7, 0.7, 0.1, 0.2, 0.2, 0.2, 0.2]
    whole = go(*made(schedule), monitored)
    optimizer, lr_schedule = made(schedule)
    rates = []
    for epoch in range(EPOCHS):
        if epoch == stop:
            state = (optimizer.state_dict(), lr_schedule.state_dict())
            optimizer, lr_schedule = made(schedule)
            optimizer.load_state_dict(state[0])
            lr_schedule.load_state_dict(state[1])
        for _ in range(PER_EPOCH):
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            lr_schedule.after_step()
        lr_schedule.after_epoch(monitored[epoch])
    assert rates == whole[:-1], "not to the bit"


@pytest.mark.parametrize("name", [*FORMULAS, "plateau"])
def test_state_can_be_loaded_with_weights_only(name, tmp_path):
    schedule, _ = FORMULAS.get(name, (TestPlateau.PLATEAU, None))
    optimizer, lr_schedule = made({**schedule, "warmup_epochs": 1.0})
    go(optimizer, lr_schedule)
    torch.save(lr_schedule.state_dict(), tmp_path / "state.pt")
    assert torch.load(tmp_path / "state.pt", weights_only=True) == lr_schedule.state_dict()


@pytest.mark.parametrize("choice", ["constant", "linear", "cosine", "cosine_restarts", "exponential", "step"])
def test_schedules_of_conf_stay_between_zero_and_the_rate(choice):
    schedule = composed_sections(f"schedule={choice}")["schedule"]
    rates = go(*made({**schedule, "warmup_epochs": 1.0}))
    assert all(0 < rate <= HIGHEST * (1 + 1e-9) for rate in rates[:-1])
