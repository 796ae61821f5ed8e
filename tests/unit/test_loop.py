"""The training loop: its steps, early stopping, the kept weights, and resuming after a kill."""

import copy
import math
import shutil
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins import MixedPrecision
from torch import Tensor, nn

from models import CNN, LSTM, MLP, Classifier
from models.nearest_prototype import NearestPrototype
from models.one_hot import OneHotInput
from stages.core.errors import EncoreError
from stages.core.tables import Epoch
from stages.training import batches, loop
from stages.training.batches import Resident, Streamed, windows
from stages.training.checkpoints import Checkpoint
from stages.training.losses import make_loss
from stages.training.recipe import Recipe
from stages.training.validation import calibrate, validate
from tests.synthetic import class_patterns, recipe, training

pytestmark = pytest.mark.slow

SHAPE = (8, 8)
KEY = "0123456789abcdef"
CPU = torch.device("cpu")
N_LEVELS = 11


def mlp(dropout: float = 0.2) -> Classifier:
    return MLP(input_shape=SHAPE, n_classes=3, hidden=[16], dropout=dropout, l2=0.001)


def embedding() -> Classifier:
    return NearestPrototype(MLP(SHAPE, n_classes=6, hidden=[16], dropout=0.2, l2=0.001), 3, 6)


MODELS: dict[str, Callable[[], Classifier]] = {
    "mlp": mlp,
    "cnn": lambda: CNN(SHAPE, 3, [4, 4], 0.2, "both", "mean"),
    "lstm": lambda: LSTM(SHAPE, 3, 6, 2, 0.2, False, "last"),
}
Data = tuple[Tensor, Tensor]


def data(seed: int, shuffled: bool = False, n_per_class: int = 10) -> Data:
    x, label = class_patterns(n_per_class, SHAPE, seed)
    if shuffled:
        label = np.random.default_rng(seed).permutation(label)
    return torch.from_numpy(x), torch.from_numpy(label)


def codes(seed: int) -> Data:
    """Segments of codes."""
    x, label = data(seed)
    return (x + N_LEVELS / 2).clamp(0, N_LEVELS - 1).to(torch.uint8), label


@dataclass
class Outcome:
    """A training and its calls of `on_epoch`."""

    model: Classifier
    result: loop.FitResult
    calls: list[tuple] = field(default_factory=list)

    @property
    def history(self) -> list[Epoch]:
        return self.result.history

    @property
    def contents(self) -> tuple:
        """All that becomes a file, to the bit."""
        return (
            bits(self.model.state_dict()),
            self.result.kept_epoch,
            list(map(repr, self.history)),
            [bits(weights) for weights in self.result.rounds],
        )


def bits(weights: dict[str, Tensor]) -> dict[str, bytes]:
    return {name: value.numpy().tobytes() for name, value in weights.items()}


def fitted(
    how: Recipe,
    make: Callable[[], Classifier] = mlp,
    train: Data | None = None,
    valid: Data | None = None,
    checkpoint: Checkpoint | None = None,
    on_epoch: Callable[..., None] = lambda *_: None,
) -> Outcome:
    """Train from the beginning, or from where `checkpoint` is."""
    torch.manual_seed(7)
    outcome = Outcome(make(), loop.FitResult([], 0, []))

    def record(*row: object) -> None:
        outcome.calls.append(row)
        on_epoch(*row)

    prepared = training(
        outcome.model, how, data(0) if train is None else train, data(1) if valid is None else valid
    )
    with checkpoint or Checkpoint(KEY, is_first=False) as entered:
        outcome.result = prepared.fit(entered, record)
    return outcome


def weights(outcome: Outcome) -> Tensor:
    return torch.cat([value.double().flatten() for value in outcome.model.state_dict().values()])


class TestStopping:
    """When a training ends, and which weights it keeps."""

    @pytest.mark.parametrize("patience", [1, 3])
    def test_training_stops_after_patience_and_keeps_the_best_epoch(self, patience):
        valid = data(1, shuffled=True)  # learning the classes makes this split worse
        how = recipe(train={"epochs": 30, "batch_size": 8, "learning_rate": 0.01, "patience": patience})
        outcome = fitted(how, valid=valid)
        losses = [row.valid_loss for row in outcome.history]
        best = losses.index(min(losses))
        assert len(losses) == best + 1 + patience < 30
        assert losses[-1] > losses[best]
        assert outcome.result.kept_epoch == best + 1
        kept = outcome.history[best]
        assert validated(outcome.model, valid) == (kept.valid_loss, kept.valid_accuracy)

    def test_all_epochs_run_while_the_loss_falls(self):
        how = recipe(train={"epochs": 5, "batch_size": 8, "learning_rate": 0.01, "patience": 1})
        history = fitted(how).history
        assert [row.epoch for row in history] == [1, 2, 3, 4, 5]
        assert history[-1].valid_accuracy > 0.9
        assert history[-1].train_loss < history[0].train_loss

    def test_without_patience_training_never_stops_early(self):
        valid = data(1, shuffled=True)
        how = recipe(train={"epochs": 40, "batch_size": 8, "learning_rate": 0.01, "patience": None})
        outcome = fitted(how, valid=valid)
        assert len(outcome.history) == 40
        assert outcome.result.kept_epoch < 20
        assert validated(outcome.model, valid)[0] == outcome.history[outcome.result.kept_epoch - 1].valid_loss

    def test_accuracy_can_be_monitored(self):
        """The first epoch with the highest accuracy is the best, whatever the loss."""
        how = recipe(
            train={
                "epochs": 30,
                "batch_size": 8,
                "learning_rate": 0.01,
                "monitor": "valid_accuracy",
                "patience": 4,
            }
        )
        outcome = fitted(how)
        accuracies = [row.valid_accuracy for row in outcome.history]
        best = accuracies.index(max(accuracies))
        assert max(accuracies) == 1.0
        assert outcome.result.kept_epoch == best + 1
        assert len(accuracies) == best + 1 + 4
        assert outcome.history[-1].valid_loss < outcome.history[best].valid_loss
        assert validated(outcome.model, data(1)) == (outcome.history[best].valid_loss, 1.0)

    def test_last_epoch_can_be_kept(self):
        valid = data(1, shuffled=True)
        how = recipe(
            train={"epochs": 30, "batch_size": 8, "learning_rate": 0.01, "patience": 3, "keep": "last"}
        )
        outcome = fitted(how, valid=valid)
        last = outcome.history[-1]
        best = min(outcome.history, key=lambda row: row.valid_loss).epoch
        assert outcome.result.kept_epoch == len(outcome.history) == best + 3 < 30, "it stops early, too"
        assert validated(outcome.model, valid) == (last.valid_loss, last.valid_accuracy)

    def test_patience_counts_over_rounds(self):
        how = recipe(train={"epochs": 2, "rounds": 3, "batch_size": 8})
        assert len(fitted(how).history) == 6
        assert len(fitted(how).result.rounds) == 3
        impatient = recipe(train={"epochs": 10, "rounds": 3, "batch_size": 8, "learning_rate": 0.01})
        outcome = fitted(impatient, valid=data(1, shuffled=True))
        assert 10 < len(outcome.history) == outcome.result.kept_epoch + 10 < 30
        assert len(outcome.result.rounds) == len(outcome.history) // 10

    def test_weights_at_the_end_of_each_round_are_returned(self):
        """The first round is a training of its own."""
        how = {"epochs": 3, "batch_size": 8, "patience": None, "keep": "last"}
        rounds = fitted(recipe(train={**how, "rounds": 2})).result.rounds
        assert len(rounds) == 2
        alone = fitted(recipe(train=how))
        assert alone.result.rounds == []
        assert bits(rounds[0]) == bits(alone.model.state_dict())
        assert bits(rounds[1]) == bits(fitted(recipe(train={**how, "rounds": 2})).model.state_dict())

    @pytest.mark.parametrize("keep", ["best", "last"])
    def test_loss_that_is_never_finite_is_refused(self, keep):
        x, label = data(1)
        how = recipe(train={"epochs": 3, "patience": 3, "keep": keep})
        with pytest.raises(EncoreError, match="training diverged: valid_loss was never a number"):
            fitted(how, valid=(x * math.nan, label))


def validated(model: nn.Module, given: Data, how: Recipe | None = None) -> tuple[float, float]:
    loss = make_loss((how or recipe()).loss, torch.bincount(given[1]), CPU)
    return validate(model, Resident(*given), loss)


class TestReport:
    """What is reported of each epoch at its end."""

    def test_each_epoch_is_reported_with_its_seconds(self):
        outcome = fitted(recipe(train={"epochs": 4, "batch_size": 8}))
        assert [row for row, _ in outcome.calls] == outcome.history
        assert all(0 < seconds < 60 for _, seconds in outcome.calls)

    def test_loss_and_accuracy_are_means_over_segments(self, monkeypatch):
        given = data(0)
        outcome = fitted(recipe(train={"epochs": 1}), train=given, valid=given)
        outcome.model.eval()
        with torch.no_grad():
            logits = outcome.model(given[0])
        monkeypatch.setattr(batches, "FORWARD_BYTES", 7 * given[0][0].nbytes)
        loss, accuracy = validated(outcome.model, given)
        assert loss == pytest.approx(nn.functional.cross_entropy(logits, given[1]).item(), rel=1e-5)
        assert accuracy == (logits.argmax(1) == given[1]).double().mean().item()

    def test_train_loss_has_smoothing_and_weights_and_valid_loss_does_not(self):
        """With a learning rate near zero the losses can be computed by hand."""
        x, label = data(0)
        label = label.clamp(max=1)  # ten of one class, twenty of another
        how = recipe(
            train={"epochs": 1, "batch_size": 7, "learning_rate": 1e-12},
            loss={"label_smoothing": 0.2, "class_weights": "balanced"},
        )
        outcome = fitted(how, lambda: mlp(0.0), (x, label), (x, label))
        logits = outcome.model(x).detach()
        plain = nn.functional.cross_entropy(logits, label, reduction="none")
        smoothed = nn.functional.cross_entropy(logits, label, reduction="none", label_smoothing=0.2)
        weight = torch.tensor([1.0, 0.5])[label]  # 30 / (3 classes * 10), and * 20
        (row,) = outcome.history
        assert row.train_loss == pytest.approx((weight * smoothed).mean().item(), rel=1e-5)
        assert row.valid_loss == pytest.approx(plain.mean().item(), rel=1e-5)
        assert (
            row.train_accuracy
            == row.valid_accuracy
            == pytest.approx((logits.argmax(1) == label).double().mean().item())
        )

    def test_accuracy_of_mixtures_counts_the_larger_class(self):
        how = recipe(train={"epochs": 12, "batch_size": 8, "learning_rate": 0.01}, augment={"mixup": 0.2})
        assert fitted(how).history[-1].train_accuracy > 0.8


class TestRandomness:
    """All random numbers follow from the seed and the number of the epoch."""

    HOW = {"epochs": 3, "batch_size": 8}  # noqa: RUF012

    def test_same_seed_gives_same_bits_and_other_seed_others(self):
        first, second, other = (
            fitted(recipe(train={**self.HOW, "seed": seed})).contents for seed in (0, 0, 1)
        )
        assert first == second
        assert first[0] != other[0]

    def test_earlier_random_numbers_do_not_matter(self):
        how = recipe(train=self.HOW, augment={"noise": 0.1, "mixup": 0.2})
        model = mlp()
        torch.manual_seed(7)
        outcome = fitted(how)
        torch.manual_seed(8)
        model.load_state_dict({name: torch.zeros_like(value) for name, value in model.state_dict().items()})
        assert fitted(how, on_epoch=lambda *_: torch.rand(100)).contents == outcome.contents

    def test_each_epoch_draws_other_random_numbers(self):
        """Noise on equal segments, with a learning rate near zero."""
        alike = torch.zeros(30, *SHAPE), torch.zeros(30, dtype=torch.int64)
        settings = {"epochs": 3, "batch_size": 30, "learning_rate": 1e-12}
        how = recipe(train=settings, augment={"noise": 1.0})
        assert len({row.train_loss for row in fitted(how, lambda: mlp(0.0), alike).history}) == 3
        still = fitted(recipe(train=settings), lambda: mlp(0.0), alike).history
        assert len({f"{row.train_loss:.6f}" for row in still}) == 1

    def test_validation_data_does_not_change_the_weights(self):
        first = fitted(recipe(train={"epochs": 1}), valid=data(1))
        second = fitted(recipe(train={"epochs": 1}), valid=data(2))
        assert bits(first.model.state_dict()) == bits(second.model.state_dict())

    @pytest.mark.parametrize("window", [1 << 30, 12 * SHAPE[0] * SHAPE[1] * 4])
    def test_streaming_changes_no_bit(self, monkeypatch, window):
        monkeypatch.setattr(batches, "WINDOW_BYTES", window)
        monkeypatch.setattr(batches, "CHUNK", 4)
        how = recipe(train={**self.HOW, "batch_size": 4}, augment={"noise": 0.1, "mixup": 0.2})
        resident = fitted(how)
        monkeypatch.setattr("stages.training.batches.Resident", streamed)
        assert fitted(how).contents == resident.contents


def streamed(x: Tensor, label: Tensor) -> Streamed:
    return Streamed(lambda rows: x[torch.from_numpy(rows)], label, x[0].nbytes, CPU)


def share_of_rate(schedule: dict, step: int, n_steps: int, per_epoch: int) -> float:
    """Return the learning rate at a step of a round, as a share of the highest."""
    warmup = round(schedule.get("warmup_epochs", 0) * per_epoch)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    done = (step - warmup) / (n_steps - warmup)
    match schedule["name"]:
        case "linear":
            return 1 - done * (1 - schedule["final_ratio"])
        case "cosine":
            return (
                schedule["final_ratio"] + (1 - schedule["final_ratio"]) * (1 + math.cos(math.pi * done)) / 2
            )
        case "exponential":
            return schedule["gamma"] ** ((step - warmup) / per_epoch)
        case _:
            return 1.0


def by_hand(how: Recipe, schedule: dict, train: Data) -> tuple[list[Tensor], list[Tensor], list[float]]:
    """Return the weights and their moving average after a training, and the rate of each epoch's last step.

    For SGD and a network without dropout: plain gradients and updates, without an optimiser.
    """
    params = how.train
    torch.manual_seed(7)
    model = mlp(0.0)
    groups = model.parameter_groups()
    decay = {id(p): group.get("weight_decay", 0.0) for group in groups for p in group["params"]}
    x, label = train
    size = params.batch_size * params.accumulate
    starts = list(range(0, len(x), size))
    if len(x) % size == 1 and len(starts) > 1:
        starts.pop()  # a single remaining segment is in the batch before
    ends = [*starts[1:], len(x)]
    per_epoch = len(starts)
    average: list[Tensor] = []
    rates = []
    for epoch in range(1, params.epochs * params.rounds + 1):
        if epoch % params.epochs == 1 or params.epochs == 1:
            step, momentum = 0, [torch.zeros_like(p) for p in model.parameters()]
        (order,) = windows(len(x), x[0].nbytes, size, [params.seed, epoch])
        for start, end in zip(starts, ends, strict=True):
            rows = torch.from_numpy(order[start:end])
            loss = nn.functional.cross_entropy(model(x[rows]), label[rows])
            gradients = list(torch.autograd.grad(loss, list(model.parameters())))
            for gradient, p in zip(gradients, model.parameters(), strict=True):
                if p.ndim > 1:
                    gradient += params.l1 * p.detach().sign()
            if params.clip_norm is not None:
                length = math.sqrt(sum(g.square().sum().item() for g in gradients))
                gradients = [g * min(1.0, params.clip_norm / (length + 1e-6)) for g in gradients]
            rate = params.learning_rate * share_of_rate(schedule, step, params.epochs * per_epoch, per_epoch)
            with torch.no_grad():
                for p, g, m in zip(model.parameters(), gradients, momentum, strict=True):
                    m.mul_(params.momentum).add_(g + decay[id(p)] * p)
                    p.sub_(rate * m)
            step += 1
            now = [p.detach().clone() for p in model.parameters()]
            if params.ema_decay is not None:
                keep = params.ema_decay
                average = [keep * a + (1 - keep) * p for a, p in zip(average or now, now, strict=True)]
        rates.append(rate)
    return now, average, rates


CONSTANT = {"name": "constant"}


class TestSteps:
    """The steps of the optimiser are those of the formulas."""

    @pytest.mark.parametrize(
        ("n", "changes", "schedule"),
        [
            (29, {}, CONSTANT),
            (30, {"momentum": 0.9}, CONSTANT),
            (29, {"accumulate": 3}, CONSTANT),
            (30, {"clip_norm": 0.05}, CONSTANT),
            (30, {"l1": 0.01}, CONSTANT),
            (29, {"ema_decay": 0.7}, CONSTANT),
            (30, {"rounds": 3, "momentum": 0.9}, CONSTANT),
            (30, {}, {"name": "constant", "warmup_epochs": 1.5}),
            (29, {}, {"name": "linear", "final_ratio": 0.0, "warmup_epochs": 0.5}),
            (
                29,
                {"rounds": 2, "accumulate": 2},
                {"name": "cosine", "final_ratio": 0.1, "warmup_epochs": 1.0},
            ),
            (30, {}, {"name": "exponential", "gamma": 0.5}),
            (
                29,
                {
                    "rounds": 2,
                    "momentum": 0.5,
                    "accumulate": 2,
                    "clip_norm": 0.1,
                    "l1": 0.001,
                    "ema_decay": 0.9,
                },
                {"name": "cosine", "final_ratio": 0.0, "warmup_epochs": 0.7},
            ),
        ],
    )
    def test_weights_and_rates_equal_a_computation_by_hand(self, n, changes, schedule):
        settings = {"optimizer": "sgd", "learning_rate": 0.1, "epochs": 3, "batch_size": 4}
        how = recipe(
            train={**settings, "patience": None, "keep": "last", **changes},
            schedule={"warmup_epochs": 0.0, **schedule},
        )
        train = tuple(values[torch.arange(n) * 7 % 30] for values in data(0))
        outcome = fitted(how, lambda: mlp(0.0), train)
        weights, average, rates = by_hand(how, schedule, train)
        wanted = average or weights
        start = fitted(recipe(train={**settings, "epochs": 1, "learning_rate": 1e-12}), lambda: mlp(0.0))
        assert len(rates) == len(outcome.history)
        for found, right, first in zip(
            outcome.model.parameters(), wanted, start.model.parameters(), strict=True
        ):
            torch.testing.assert_close(found.detach(), right, rtol=1e-3, atol=1e-5)
            assert not torch.allclose(found, first, rtol=1e-3)
        assert [row.learning_rate for row in outcome.history] == pytest.approx(rates, rel=1e-6, abs=1e-12)

    @pytest.mark.parametrize(
        ("batch_size", "accumulate", "optimizer"), [(4, 3, "adam"), (1, 12, "sgd"), (6, 2, "adamw")]
    )
    def test_accumulated_batches_equal_one_large_batch(self, batch_size, accumulate, optimizer):
        """With 30 segments the last step has 6."""
        settings = {"epochs": 4, "optimizer": optimizer, "weight_decay": 0.01, "clip_norm": 1.0, "l1": 0.001}
        several = fitted(
            recipe(train={**settings, "batch_size": batch_size, "accumulate": accumulate}), lambda: mlp(0.0)
        )
        one = fitted(recipe(train={**settings, "batch_size": 12}), lambda: mlp(0.0))
        torch.testing.assert_close(weights(several), weights(one), rtol=1e-4, atol=1e-6)
        for row, same in zip(several.history, one.history, strict=True):
            assert row.train_loss == pytest.approx(same.train_loss, rel=1e-5)
            assert row.valid_loss == pytest.approx(same.valid_loss, rel=1e-5)
            assert row.train_accuracy == pytest.approx(same.train_accuracy, abs=1 / 30)

    def one_step(self, **changes: object) -> tuple[Tensor, Tensor]:
        """Return the weights before and after a step of SGD at rate 1 on all segments."""
        settings = {"epochs": 1, "batch_size": 30, "optimizer": "sgd", "learning_rate": 1.0}
        torch.manual_seed(7)
        before = Outcome(mlp(0.0), loop.FitResult([], 0, []))
        return weights(before), weights(fitted(recipe(train={**settings, **changes}), lambda: mlp(0.0)))

    @pytest.mark.parametrize("clip_norm", [1e-3, 1e6])
    def test_clipping_limits_the_length_of_a_step(self, clip_norm):
        before, free = self.one_step()
        _, clipped = self.one_step(clip_norm=clip_norm)
        length, bounded = (free - before).norm().item(), (clipped - before).norm().item()
        # the model's own decay, 0.002 of the hidden kernel, is no part of the gradient
        assert bounded <= clip_norm + 0.002 * before.norm().item()
        if clip_norm > length:
            torch.testing.assert_close(clipped, free)
        else:
            assert length > 10 * bounded

    def test_l1_pulls_kernels_by_their_sign_and_not_biases_and_norms(self):
        for make in (
            lambda: mlp(0.0),
            lambda: CNN(SHAPE, 3, [4], 0.0, "both", "mean"),
            lambda: LSTM(SHAPE, 3, 4, 1, 0.0, False, "last"),
        ):
            settings = {"epochs": 1, "batch_size": 30, "optimizer": "sgd", "learning_rate": 0.1}
            torch.manual_seed(7)
            before = make()
            free = fitted(recipe(train=settings), make).model
            pulled = fitted(recipe(train={**settings, "l1": 0.05}), make).model
            for name, value in before.named_parameters():
                change = pulled.get_parameter(name) - free.get_parameter(name)
                wanted = -0.1 * 0.05 * value.sign() if value.ndim > 1 else torch.zeros_like(value)
                torch.testing.assert_close(change, wanted, atol=1e-6, rtol=1e-4)

    def test_moving_average_is_validated_and_kept(self):
        how = recipe(train={"epochs": 3, "batch_size": 8, "ema_decay": 0.99, "learning_rate": 0.01})
        outcome, plain = fitted(how), fitted(recipe(train={**how.train.model_dump(), "ema_decay": None}))
        last = outcome.history[-1]
        assert validated(outcome.model, data(1)) == (last.valid_loss, last.valid_accuracy)
        assert [row.train_loss for row in outcome.history] == [row.train_loss for row in plain.history]
        assert not torch.allclose(weights(outcome), weights(plain), rtol=1e-2)

    def test_moving_average_includes_batch_norm_statistics(self):
        how = recipe(train={"epochs": 2, "batch_size": 30, "ema_decay": 0.5, "keep": "last"})
        means = []
        for epochs in (1, 2):
            plain = recipe(train={"epochs": epochs, "batch_size": 30, "keep": "last"})
            means.append(fitted(plain, MODELS["cnn"]).model.blocks[1].running_mean)
        found = fitted(how, MODELS["cnn"]).model.blocks[1].running_mean
        torch.testing.assert_close(found, (means[0] + means[1]) / 2)

    @pytest.mark.parametrize(("n", "accumulate"), [(1, 1), (9, 3), (17, 2)])
    def test_single_segments_train_without_error(self, n, accumulate):
        x, label = data(0)
        how = recipe(train={"epochs": 2, "batch_size": 8, "accumulate": accumulate})
        for make in MODELS.values():
            assert len(fitted(how, make, (x[:n], label[:n])).history) == 2

    def test_gradients_do_not_leak_into_the_next_epoch(self):
        """An epoch of one step at rate 0 changes nothing."""
        settings = {"batch_size": 30, "optimizer": "sgd", "learning_rate": 0.1, "keep": "last"}
        how = recipe(
            train={**settings, "epochs": 2, "patience": None},
            schedule={"name": "step", "every_epochs": 1, "gamma": 1e-12},
        )
        one = fitted(recipe(train={**settings, "epochs": 1}), lambda: mlp(0.0))
        torch.testing.assert_close(weights(fitted(how, lambda: mlp(0.0))), weights(one))


class Killed(BaseException):
    """The end of a process."""


def stopped(how: Recipe, at: int, make: Callable[[], Classifier], *given: Data) -> list[int]:
    """Kill a training at the end of an epoch; return the epochs that it ran."""
    ran = []

    def kill(row: Epoch, seconds: float | None = None) -> None:
        if seconds is not None:
            ran.append(row.epoch)
            if row.epoch == at:
                raise Killed

    with pytest.raises(Killed):
        fitted(how, make, *given, checkpoint=Checkpoint(KEY), on_epoch=kill)
    return ran


def new_epochs(outcome: Outcome) -> list[int]:
    return [row.epoch for row, *seconds in outcome.calls if seconds]


FULL = {
    "train": {
        "epochs": 3,
        "rounds": 2,
        "batch_size": 4,
        "accumulate": 2,
        "optimizer": "adamw",
        "weight_decay": 0.01,
        "learning_rate": 0.02,
        "l1": 1e-4,
        "clip_norm": 0.5,
        "ema_decay": 0.8,
        "monitor": "valid_accuracy",
        "patience": None,
    },
    "schedule": {"name": "plateau", "patience_epochs": 1, "gamma": 0.3, "warmup_epochs": 0.5},
    "loss": {"name": "binary_cross_entropy", "label_smoothing": 0.1, "class_weights": "balanced"},
    "augment": {
        "specaugment": {"freq_masks": 1, "max_bins": 0.3, "time_masks": 1, "max_frames": 0.3},
        "mixup": 0.4,
        "noise": 0.1,
        "gain_db": 1.0,
        "shift": 0.3,
        "time_resized_crop": 0.7,
    },
}
SHORT = {"epochs": 4, "batch_size": 8, "learning_rate": 0.01, "patience": None}
# test_schedules restores every schedule, and FULL has every augmentation.
RECIPES: dict[str, dict] = {
    "plain": {"train": SHORT},
    "sgd with momentum": {"train": {**SHORT, "optimizer": "sgd", "momentum": 0.9}},
    "average, last": {"train": {**SHORT, "ema_decay": 0.7, "keep": "last"}},
    "rounds, last": {"train": {**SHORT, "epochs": 1, "rounds": 4, "keep": "last"}},
    "rounds, average": {"train": {**SHORT, "epochs": 2, "rounds": 3, "ema_decay": 0.7}},
    "half precision": {"train": {**SHORT, "precision": "bf16-mixed"}},
    "patience": {"train": {**SHORT, "epochs": 20, "patience": 2}},
    "patience, last": {"train": {**SHORT, "epochs": 20, "patience": 2, "keep": "last"}},
    "cosine restarts": {
        "train": {**SHORT, "epochs": 5},
        "schedule": {"name": "cosine_restarts", "period_epochs": 2, "final_ratio": 0.0},
    },
    "all": FULL,
    "all, last": {**FULL, "train": {**FULL["train"], "keep": "last", "monitor": "valid_loss"}},
}
METRIC = {
    "triplet": {"name": "triplet", "embedding_size": 6, "margin": 0.3, "mining": "all"},
    "supcon": {"name": "supcon", "embedding_size": 6, "temperature": 0.2},
}
WORSE = data(1, shuffled=True)  # the best epoch is an early one, and the rate falls on its plateau


@pytest.mark.usefixtures("workspace")
class TestResume:
    """A training that is killed and resumed gives the same bits as one that is not."""

    def killed_after_every_epoch(self, how: Recipe, make: Callable[[], Classifier]) -> None:
        whole = fitted(how, make, valid=WORSE)
        n_epochs = len(whole.history)
        for at in range(1, n_epochs + 1):
            assert stopped(how, at, make, data(0), WORSE) == [at], "an epoch is run twice"
        again = fitted(how, make, valid=WORSE, checkpoint=Checkpoint(KEY))
        assert again.contents == whole.contents
        assert [row for row, *_ in again.calls] == again.history
        assert new_epochs(again) == []

    @pytest.mark.parametrize("name", RECIPES)
    def test_training_resumes_after_every_epoch(self, name):
        self.killed_after_every_epoch(recipe(**RECIPES[name]), mlp)

    @pytest.mark.parametrize(("name", "model"), [("rounds, average", "cnn"), ("all", "lstm")])
    def test_other_models_resume_after_every_epoch(self, name, model):
        self.killed_after_every_epoch(recipe(**RECIPES[name]), MODELS[model])

    @pytest.mark.parametrize(("loss", "ema_decay"), [("triplet", None), ("supcon", 0.7)])
    def test_embeddings_resume_after_every_epoch(self, loss, ema_decay):
        how = recipe(train={**SHORT, "ema_decay": ema_decay}, loss=METRIC[loss])
        self.killed_after_every_epoch(how, embedding)

    @pytest.mark.parametrize(
        ("name", "valid"), [("plain", data(1)), ("rounds, average", WORSE)], ids=["plain", "rounds"]
    )
    def test_training_resumes_after_any_epoch(self, name, valid):
        how = recipe(**RECIPES[name])
        whole = fitted(how, valid=valid)
        n_epochs = len(whole.history)
        assert new_epochs(whole) == list(range(1, n_epochs + 1))
        for at in range(1, n_epochs + 1):
            assert stopped(how, at, mlp, data(0), valid) == list(range(1, at + 1))
            again = fitted(how, valid=valid, checkpoint=Checkpoint(KEY))
            assert again.contents == whole.contents, f"killed after epoch {at}"
            assert [row for row, *_ in again.calls] == again.history
            assert new_epochs(again) == list(range(at + 1, n_epochs + 1)), "epochs are run twice"
            shutil.rmtree(".encore")

    def test_kill_at_any_moment_of_saving_loses_nothing(self):
        how = recipe(train={**SHORT, "epochs": 2, "rounds": 2, "ema_decay": 0.7})
        whole = fitted(how, valid=WORSE)
        after = 0
        while True:
            try:
                fitted(how, valid=WORSE, checkpoint=Dying(KEY, after))
            except Killed:
                again = fitted(how, valid=WORSE, checkpoint=Checkpoint(KEY))
                assert again.contents == whole.contents, f"killed at moment {after}"
                shutil.rmtree(".encore")
                after += 1
            else:
                break
        assert after > 2 * len(whole.history)

    def test_training_on_codes_resumes(self):
        def make() -> Classifier:
            return OneHotInput(MLP((N_LEVELS, *SHAPE), 3, [8], 0.2, 0.0), N_LEVELS)

        how = recipe(train=SHORT, augment={"shift": 0.5})
        whole = fitted(how, make, codes(0), codes(1))
        stopped(how, 2, make, codes(0), codes(1))
        again = fitted(how, make, codes(0), codes(1), checkpoint=Checkpoint(KEY))
        assert again.contents == whole.contents
        assert new_epochs(again) == [3, 4]

    @pytest.mark.parametrize(
        ("file", "damage"), [("state.pt", "cut"), ("weights", "missing"), ("weights", "other")]
    )
    def test_damaged_checkpoint_means_starting_over(self, file, damage):
        how = recipe(train={**SHORT, "epochs": 2, "rounds": 2})
        whole = fitted(how)
        stopped(how, 3, mlp)
        damaged = list(Path(".encore/checkpoints", KEY).glob(f"{file}*"))
        assert damaged
        for path in damaged:
            content = path.read_bytes()
            path.unlink()
            if damage != "missing":
                new = {"cut": content[: len(content) // 2], "other": b"x" * len(content)}
                path.write_bytes(new[damage])
        again = fitted(how, checkpoint=Checkpoint(KEY))
        assert again.contents == whole.contents
        assert new_epochs(again) == [1, 2, 3, 4]

    def test_unwritable_work_cache_changes_nothing(self):
        how = recipe(**FULL)
        whole = fitted(how)
        Path(".encore").write_text("in the way")
        assert fitted(how, checkpoint=Checkpoint(KEY)).contents == whole.contents

    def test_deleted_work_cache_changes_nothing(self):
        how = recipe(**FULL)

        def delete(*_: object) -> None:
            shutil.rmtree(".encore", ignore_errors=True)

        whole = fitted(how)
        assert fitted(how, checkpoint=Checkpoint(KEY), on_epoch=delete).contents == whole.contents

    def test_same_training_in_parallel_has_no_checkpoint(self):
        how = recipe(**FULL)
        whole = fitted(how)
        others = []

        def train_too(row: Epoch, seconds: float | None = None) -> None:
            if row.epoch == 3 and not others:
                others.append(None)
                others[0] = fitted(how, checkpoint=Checkpoint(KEY))
                assert new_epochs(others[0]) == [1, 2, 3, 4, 5, 6]
                raise Killed

        with pytest.raises(Killed):
            fitted(how, checkpoint=Checkpoint(KEY), on_epoch=train_too)
        again = fitted(how, checkpoint=Checkpoint(KEY))
        assert new_epochs(again) == [4, 5, 6], "the other process wrote to the checkpoint"
        assert whole.contents == others[0].contents == again.contents

    def test_only_needed_weights_are_kept(self):
        """Those of the best epoch, and those at the end of each round."""
        how = recipe(train={**SHORT, "epochs": 3, "rounds": 2})
        kept = []

        def look(row: Epoch, seconds: float | None = None) -> None:
            names = {path.stem for path in Path(".encore/checkpoints", KEY).glob("weights_*")}
            kept.append(sorted(int(name.removeprefix("weights_")) for name in names))

        outcome = fitted(how, checkpoint=Checkpoint(KEY), on_epoch=look)
        losses = [row.valid_loss for row in outcome.history]
        wanted = []
        for epoch in range(1, 7):
            best = losses.index(min(losses[:epoch])) + 1
            wanted.append(sorted({best, *(end for end in (3, 6) if end <= epoch)}))
        assert kept == wanted


class Dying(Checkpoint):
    """A checkpoint of a process that is killed before or after one of its writes."""

    def __init__(self, content_key: str, after: int):
        super().__init__(content_key)
        self._left = after

    def _at(self, write: Callable[..., None], *arguments: object) -> None:
        for step in (None, write):
            if step is not None:
                step(*arguments)
            if self._left == 0:
                raise Killed
            self._left -= 1

    def save(self, state: dict) -> None:
        self._at(super().save, state)

    def keep_weights(self, epoch: int, weights: dict[str, Tensor]) -> None:
        self._at(super().keep_weights, epoch, weights)

    def drop_weights(self, epoch: int) -> None:
        self._at(super().drop_weights, epoch)


def has_compiler() -> bool:
    has_headers = Path(sysconfig.get_path("include"), "Python.h").is_file()
    return has_headers and any(shutil.which(name) for name in ("c++", "g++", "clang++"))


@pytest.mark.skipif(not has_compiler(), reason="no C++ compiler, or no headers of Python")
def test_compiled_model_trains_like_any_other(workspace, monkeypatch):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(workspace / "compiled"))
    settings = {**SHORT, "epochs": 2, "batch_size": 10, "ema_decay": 0.5}  # all batches of one size
    plain = fitted(recipe(train=settings), lambda: mlp(0.0))
    compiled = recipe(train={**settings, "compile": True})
    outcome = fitted(compiled, lambda: mlp(0.0))
    assert outcome.model.state_dict().keys() == plain.model.state_dict().keys()
    torch.testing.assert_close(weights(outcome), weights(plain), rtol=1e-3, atol=1e-4)
    assert copy.deepcopy(outcome.model)(data(0)[0]).shape == (30, 3)


def on_codes() -> Classifier:
    return OneHotInput(MLP((N_LEVELS, *SHAPE), 3, [8], 0.2, 0.0), N_LEVELS)


def test_moving_average_copies_integer_buffers():
    torch.manual_seed(7)
    how = recipe(train={"epochs": 6, "batch_size": 4, "keep": "last", "ema_decay": 0.9})
    outcome = fitted(how, on_codes, codes(0), codes(1))
    x, label = codes(1)
    with torch.no_grad():
        logits = outcome.model.eval()(x)
    loss = torch.nn.functional.cross_entropy(logits, label).item()
    assert outcome.history[-1].valid_loss == pytest.approx(loss, rel=1e-4)


def test_moving_average_on_codes_resumes(workspace):
    how = recipe(train={**SHORT, "ema_decay": 0.9}, augment={"shift": 0.5})
    whole = fitted(how, on_codes, codes(0), codes(1))
    stopped(how, 2, on_codes, codes(0), codes(1))
    assert fitted(how, on_codes, codes(0), codes(1), checkpoint=Checkpoint(KEY)).contents == whole.contents


@pytest.mark.parametrize(
    "changes",
    [{"clip_norm": 1.0}, {"monitor": "valid_accuracy", "keep": "last"}],
)
def test_diverging_training_is_refused(changes):
    how = recipe(train={"epochs": 3, "batch_size": 8, "learning_rate": 1e30, **changes})
    with pytest.raises(EncoreError, match="training diverged: valid_loss was never a number"):
        fitted(how)


def test_diverged_last_epoch_is_not_kept():
    def diverge(row, *_):
        if row.epoch == 2:
            for parameter in model.parameters():
                parameter.data.fill_(math.nan)

    model = mlp()
    how = recipe(train={"epochs": 3, "keep": "last"})
    with pytest.raises(EncoreError, match="training diverged"):
        fitted(how, lambda: model, on_epoch=diverge)


def in_float16(monkeypatch):
    """Use float16 mixed precision with its scaler on a CPU."""

    def start(*_):
        scaler = torch.amp.GradScaler("cpu", init_scale=2.0**20, growth_interval=3)
        return Fabric(accelerator="cpu", plugins=MixedPrecision("16-mixed", "cpu", scaler))

    monkeypatch.setattr("stages.training.device.start", start)


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_float16_gradients_are_clipped(monkeypatch, optimizer):
    in_float16(monkeypatch)
    how = recipe(
        train={
            **SHORT,
            "precision": "16-mixed",
            "clip_norm": 1.0,
            "optimizer": optimizer,
            "learning_rate": 0.02,
            "epochs": 12,
        }
    )
    assert fitted(how).history[-1].train_loss < 1.0


def test_float16_resumes_with_its_scale(workspace, monkeypatch):
    in_float16(monkeypatch)
    how = recipe(train={**SHORT, "precision": "16-mixed", "epochs": 12})
    whole = fitted(how)
    stopped(how, 8, mlp)
    assert fitted(how, checkpoint=Checkpoint(KEY)).contents == whole.contents


def test_schedule_has_no_step_for_a_single_remaining_segment():
    """It is in the batch before; the schedule must still reach its end."""
    x, label = data(0)
    how = recipe(train={"epochs": 3, "batch_size": 4}, schedule={"name": "linear", "final_ratio": 0.1})
    history = fitted(how, train=(x[:29], label[:29])).history
    last = 20 / 21  # of the 7 steps of each of 3 epochs
    assert history[-1].learning_rate == pytest.approx(1e-3 * (1 - 0.9 * last))


class TwoAnswers(Classifier):
    """Two networks; in training each gives its own answer."""

    def __init__(self, n_outputs: int = 3) -> None:
        super().__init__()
        self.parts = nn.ModuleList(MLP(SHAPE, n_outputs, [units], 0.0, 0.0) for units in (16, 5))

    def forward(self, x: Tensor) -> Tensor:
        both = torch.stack([part(x) for part in self.parts], dim=1)
        return both if self.training else both.mean(dim=1)


class TestSeveralAnswers:
    """A model whose parts answer for themselves in training."""

    @pytest.mark.parametrize("part", [0, 1])
    def test_each_part_learns_as_if_it_were_alone(self, part):
        def alone() -> Classifier:
            chosen: Classifier = TwoAnswers().parts[part]
            return chosen

        settings = {"epochs": 4, "batch_size": 12, "optimizer": "sgd", "weight_decay": 0.0}
        both = fitted(recipe(train={**settings, "learning_rate": 0.2}), TwoAnswers)
        one = fitted(recipe(train={**settings, "learning_rate": 0.1}), alone)
        for found, expected in zip(both.model.parts[part].parameters(), one.model.parameters(), strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)

    def test_loss_and_accuracy_are_means_over_answers(self):
        settings = {"epochs": 1, "batch_size": 30, "optimizer": "sgd", "learning_rate": 1e-12}
        outcome, (x, label) = fitted(recipe(train=settings), TwoAnswers), data(0)
        with torch.no_grad():
            answers = [part(x) for part in outcome.model.parts]
        loss = np.mean([nn.functional.cross_entropy(answer, label).item() for answer in answers])
        hits = np.mean([(answer.argmax(1) == label).double().mean().item() for answer in answers])
        assert outcome.history[0].train_loss == pytest.approx(loss, rel=1e-5)
        assert outcome.history[0].train_accuracy == pytest.approx(hits, rel=1e-6)

    def test_one_answer_is_like_none(self):
        class OneAnswer(Classifier):
            def __init__(self) -> None:
                super().__init__()
                self.network = MLP(SHAPE, 3, [16], 0.0, 0.0)

            def forward(self, x: Tensor) -> Tensor:
                logits: Tensor = self.network(x)
                return logits.unsqueeze(1) if self.training else logits

        how = recipe(train={"epochs": 2, "weight_decay": 0.0})
        plain = fitted(how, lambda: MLP(SHAPE, 3, [16], 0.0, 0.0))
        assert weights(fitted(how, OneAnswer)).equal(weights(plain))

    def test_they_can_be_embeddings(self):
        def embedding() -> Classifier:
            return NearestPrototype(TwoAnswers(6), 3, 6)

        outcome = fitted(recipe(train={"epochs": 20, "batch_size": 10}, loss=METRIC["triplet"]), embedding)
        assert outcome.history[-1].valid_accuracy > 0.95


class TestEmbeddings:
    """Training by a metric loss."""

    @pytest.mark.parametrize("loss", METRIC)
    def test_prototypes_separate_the_classes(self, loss):
        outcome = fitted(recipe(train={"epochs": 20, "batch_size": 10}, loss=METRIC[loss]), embedding)
        assert outcome.history[-1].train_accuracy > 0.95
        assert outcome.history[-1].valid_accuracy > 0.95
        assert outcome.history[-1].valid_loss < outcome.history[0].valid_loss

    def test_prototypes_belong_to_the_kept_weights(self):
        x, label = data(0)
        outcome = fitted(recipe(train={"epochs": 4, "ema_decay": 0.9}, loss=METRIC["triplet"]), embedding)
        model = outcome.model.eval()
        kept = model.prototypes.clone()
        with torch.no_grad():
            model.place(model.embed(x), label)
        torch.testing.assert_close(model.prototypes, kept, atol=1e-5, rtol=1e-4)

    def test_temperature_minimises_the_negative_log_likelihood(self):
        outcome = fitted(recipe(train={"epochs": 3}, loss=METRIC["triplet"]), embedding)
        x, label = data(1)
        model, valid = outcome.model.eval(), Resident(x, label)
        before = {name: value.clone() for name, value in model.state_dict().items() if name != "temperature"}
        calibrate(model, valid)
        found = model.temperature.item()
        negative_log_likelihood = {}
        for factor in (0.8, 1.0, 1.25):
            model.temperature.fill_(factor * found)
            with torch.no_grad():
                negative_log_likelihood[factor] = nn.functional.cross_entropy(model(x), label).item()
        assert min(negative_log_likelihood, key=negative_log_likelihood.get) == 1.0
        assert all(torch.equal(model.state_dict()[name], value) for name, value in before.items())
