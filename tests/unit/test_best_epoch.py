"""Early stopping and the best epoch."""

import math

import pytest

from stages.core.tables import Epoch
from stages.training.best_epoch import BestEpoch


def row(epoch: int, loss: float = 1.0, accuracy: float = 0.5) -> Epoch:
    return Epoch(epoch, 0.0, 0.0, loss, accuracy, 0.1)


def best_after_each(best: BestEpoch, rows: list[Epoch]) -> list[int]:
    """Return the best epoch after each row."""
    found = []
    for each in rows:
        assert best.update(each) == (best.epoch == each.epoch)
        found.append(best.epoch)
    return found


def test_lower_loss_is_better():
    losses = [3.0, 2.0, 2.5, 1.0]
    best = BestEpoch("valid_loss", None)
    assert best_after_each(best, [row(n, loss) for n, loss in enumerate(losses, start=1)]) == [1, 2, 2, 4]


def test_higher_accuracy_is_better():
    accuracies = [0.1, 0.3, 0.2, 0.4]
    best = BestEpoch("valid_accuracy", None)
    rows = [row(n, float(n), accuracy) for n, accuracy in enumerate(accuracies, start=1)]
    assert best_after_each(best, rows) == [1, 2, 2, 4]


@pytest.mark.parametrize("monitor", ["valid_loss", "valid_accuracy"])
def test_equal_value_is_not_better(monitor):
    assert best_after_each(BestEpoch(monitor, None), [row(1), row(2)]) == [1, 1]


@pytest.mark.parametrize("monitor", ["valid_loss", "valid_accuracy"])
@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_epoch_without_finite_loss_is_never_the_best(monitor, loss):
    rows = [row(1, loss, 0.9), row(2, 5.0, 0.1), row(3, loss, 1.0)]
    assert best_after_each(BestEpoch(monitor, None), rows) == [0, 2, 2]


def test_patience_counts_epochs_since_the_best():
    best = BestEpoch("valid_loss", 2)
    stops = []
    for n, loss in enumerate([3.0, 4.0, 2.0, 2.0, 9.0], start=1):
        assert not best.is_out_of_patience
        best.update(row(n, loss))
        stops.append(best.is_out_of_patience)
    assert stops == [False, False, False, False, True]


def test_patience_counts_from_the_start_without_a_best_epoch():
    best = BestEpoch("valid_loss", 2)
    best_after_each(best, [row(1, math.nan), row(2, math.nan)])
    assert best.is_out_of_patience


def test_without_patience_training_never_stops():
    best = BestEpoch("valid_loss", None)
    best_after_each(best, [row(n, float(n)) for n in range(1, 100)])
    assert not best.is_out_of_patience
