"""The training loop."""

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn, split

from models import Classifier
from stages.errors import EncoreError
from stages.tables import Epoch


@dataclass(frozen=True)
class Data:
    """Tensors of one side.

    Attributes
    ----------
    x : float32, standardised, or uint8 for codes (n, n_bins, n_frames)
    label : int64 (n,)
    """

    x: Tensor
    label: Tensor


def make_optimizer(
    model: Classifier, name: str, learning_rate: float, weight_decay: float
) -> torch.optim.Optimizer:
    """The optimiser `name` over the model's parameter groups; a group's own decay goes first."""
    classes: dict[str, Callable[..., torch.optim.Optimizer]] = {
        "adam": torch.optim.Adam,
        "adamw": torch.optim.AdamW,
        "sgd": torch.optim.SGD,
    }
    return classes[name](model.parameter_groups(), lr=learning_rate, weight_decay=weight_decay, fused=True)


def fit(
    model: Classifier,
    optimizer: torch.optim.Optimizer,
    fabric: Fabric,
    train: Data,
    valid: Data,
    *,
    epochs: int,
    batch_size: int,
    patience: int,
    seed: int,
    on_epoch: Callable[[Epoch], None],
) -> list[Epoch]:
    """Train until `epochs`, or until the validation loss has not fallen for `patience` epochs.

    The data lives on the device whole. Afterwards `model` has the weights of the epoch with the lowest
    validation loss.

    Parameters
    ----------
    model, optimizer, fabric
        `model` is trained in place.
    train, valid : Data
    epochs, batch_size, patience, seed : int
        `seed` orders the batches.
    on_epoch : callable
        Told of each epoch as it ends.

    Returns
    -------
    list of Epoch

    Raises
    ------
    EncoreError
        If no epoch has a finite validation loss.
    """
    from tqdm import trange

    network, optimizer = fabric.setup(model, optimizer)
    train = Data(fabric.to_device(train.x), fabric.to_device(train.label))
    valid = Data(fabric.to_device(valid.x), fabric.to_device(valid.label))
    order = torch.Generator().manual_seed(seed)
    history: list[Epoch] = []
    best = float("inf")
    best_weights = copy.deepcopy(model.state_dict())
    best_epoch = 0
    progress = trange(1, epochs + 1, desc="train", unit="epoch", disable=None)
    for epoch in progress:
        network.train()
        loss_sum = torch.zeros((), device=fabric.device)
        hits = torch.zeros((), device=fabric.device)
        for rows in split(torch.randperm(len(train.x), generator=order).to(fabric.device), batch_size):
            logits = network(train.x[rows])
            loss = nn.functional.cross_entropy(logits, train.label[rows])
            optimizer.zero_grad()
            fabric.backward(loss)
            optimizer.step()
            loss_sum += loss.detach() * len(rows)
            hits += (logits.detach().argmax(1) == train.label[rows]).sum()
        valid_loss, valid_accuracy = judge(network, valid)
        n = len(train.x)
        history.append(Epoch(epoch, loss_sum.item() / n, hits.item() / n, valid_loss, valid_accuracy))
        on_epoch(history[-1])
        progress.set_postfix(valid_loss=f"{valid_loss:.3f}", valid_accuracy=f"{valid_accuracy:.3f}")
        if valid_loss < best:
            best, best_epoch, best_weights = valid_loss, epoch, copy.deepcopy(model.state_dict())
        if epoch - best_epoch >= patience:
            break
    if not best_epoch:
        raise EncoreError(
            "training diverged: the validation loss was never a number; lower train.learning_rate"
        )
    model.load_state_dict(best_weights)
    return history


@torch.no_grad()
def judge(network: nn.Module, data: Data, segments_per_call: int = 256) -> tuple[float, float]:
    """Mean cross-entropy and accuracy over segments."""
    network.eval()
    parts = zip(split(data.x, segments_per_call), split(data.label, segments_per_call), strict=True)
    loss = hits = 0.0
    for x, label in parts:
        logits = network(x)
        loss += nn.functional.cross_entropy(logits.float(), label, reduction="sum").item()
        hits += (logits.argmax(1) == label).sum().item()
    return loss / len(data.x), hits / len(data.x)
