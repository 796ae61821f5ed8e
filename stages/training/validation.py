"""What a network scores on segments, and what is set after training: class prototypes and temperature."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from models.nearest_prototype import NearestPrototype
from stages.training.batches import Batches
from stages.training.losses import Loss


@torch.no_grad()
def validate(network: nn.Module, data: Batches, loss: Loss) -> tuple[float, float]:
    """Return mean loss and accuracy over segments, without label smoothing and class weights."""
    network.eval()
    loss_sum = hits = 0.0
    for x, label in data.in_order():
        logits = network(x).float()
        target = nn.functional.one_hot(label, logits.shape[1]).float()
        loss_sum += loss.plain(logits, target).sum().item()
        hits += (logits.argmax(1) == label).sum().item()
    return loss_sum / len(data), hits / len(data)


@torch.no_grad()
def place_prototypes(model: NearestPrototype, data: Batches) -> float:
    """Compute the prototype of each class from its segments; return the accuracy on these segments."""
    model.eval()
    embedding, label = _outputs(model.embed, data)
    model.place(embedding, label)
    return (model.squared_distance(embedding).argmin(1) == label).float().mean().item()


@torch.no_grad()
def calibrate(model: NearestPrototype, data: Batches) -> None:
    """Set the temperature at which the labels of `data` are most likely (Guo et al., 2017)."""
    from scipy.optimize import minimize_scalar

    model.eval()
    model.temperature.fill_(1.0)
    logits, label = _outputs(model, data)

    def negative_log_likelihood(log_temperature: float) -> float:
        return nn.functional.cross_entropy(logits.double() / math.exp(log_temperature), label).item()

    best = minimize_scalar(negative_log_likelihood, bounds=(math.log(1e-3), math.log(1e2)), method="bounded")
    model.temperature.fill_(math.exp(best.x))


def _outputs(network: Callable[[Tensor], Tensor], data: Batches) -> tuple[Tensor, Tensor]:
    """Return the outputs of a network for all segments in order, and their labels."""
    outputs, labels = zip(*((network(x), label) for x, label in data.in_order()), strict=True)
    return torch.cat(outputs), torch.cat(labels)
