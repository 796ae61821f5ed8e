"""The training loop: when it stops, what it keeps, and that it can be repeated."""

import copy

import pytest
import torch
from lightning_fabric import Fabric

from models import MLP
from stages import loop
from stages.errors import EncoreError
from stages.tables import Epoch
from tests.synthetic import class_patterns

SHAPE = (5, 6)


def data(seed: int, shuffled: bool = False) -> loop.Data:
    x, label = class_patterns(10, SHAPE, seed)
    label = torch.from_numpy(label)
    if shuffled:
        label = label[torch.randperm(len(label), generator=torch.Generator().manual_seed(seed))]
    return loop.Data(torch.from_numpy(x), label)


def fitted(train: loop.Data, valid: loop.Data, **changes) -> tuple[MLP, list[Epoch]]:
    options = {
        "epochs": 30,
        "batch_size": 8,
        "patience": 30,
        "seed": 0,
        "on_epoch": lambda epoch: None,
    } | changes
    torch.manual_seed(7)
    model = MLP(input_shape=SHAPE, n_classes=3, hidden=[32], dropout=0.2, l2=0.0)
    optimizer = loop.make_optimizer(model, "adam", 1e-2, 0.0)
    fabric = Fabric(accelerator="cpu", devices=1)
    return model, loop.fit(model, optimizer, fabric, train, valid, **options)


def weights(model: MLP) -> bytes:
    return b"".join(value.numpy().tobytes() for value in model.state_dict().values())


@pytest.mark.parametrize("patience", [1, 3, 6])
def test_training_stops_after_patience_and_keeps_the_best_epoch(patience):
    valid = data(1, shuffled=True)  # learning the classes makes this side worse
    model, history = fitted(data(0), valid, patience=patience)
    losses = [row.valid_loss for row in history]
    best = losses.index(min(losses))
    assert len(history) == best + 1 + patience < 30
    assert losses[-1] > losses[best]
    assert loop.judge(model, valid) == (history[best].valid_loss, history[best].valid_accuracy)


def test_without_a_rise_all_epochs_run():
    _, history = fitted(data(0), data(1), epochs=5, patience=1)
    assert [row.epoch for row in history] == [1, 2, 3, 4, 5]
    assert history[-1].valid_accuracy > 0.9
    assert history[-1].train_loss < history[0].train_loss


def test_each_epoch_is_told_as_it_ends():
    told = []
    _, history = fitted(data(0), data(1), epochs=4, on_epoch=told.append)
    assert told == history


def test_loss_and_accuracy_are_means_over_segments():
    part = data(0)
    model, _ = fitted(part, part, epochs=1)
    model.eval()
    with torch.no_grad():
        logits = model(part.x)
    loss, accuracy = loop.judge(model, part, segments_per_call=7)
    assert loss == pytest.approx(torch.nn.functional.cross_entropy(logits, part.label).item(), rel=1e-5)
    assert accuracy == (logits.argmax(1) == part.label).float().mean().item()


def test_the_same_seed_gives_the_same_bits_and_another_one_others():
    first, second, other = (fitted(data(0), data(1), epochs=3, seed=seed)[0] for seed in (0, 0, 1))
    assert weights(first) == weights(second)
    assert weights(first) != weights(other)


def test_validation_never_teaches():
    first, _ = fitted(data(0), data(1), epochs=1)
    second, _ = fitted(data(0), data(2), epochs=1)
    assert weights(first) == weights(second)


def test_a_last_batch_of_one_is_learned_too():
    part = data(0)
    odd = loop.Data(part.x[:9], part.label[:9])
    _, history = fitted(odd, part, epochs=2, batch_size=8)
    assert len(history) == 2


def test_a_loss_that_is_never_a_number_is_refused():
    broken = copy.deepcopy(data(1))
    broken.x[:] = float("nan")
    with pytest.raises(EncoreError, match="training diverged"):
        fitted(data(0), broken, patience=3)
