"""Dense layers."""

from itertools import pairwise

from torch import nn


def dense_layers(sizes: list[int], dropout: float) -> list[nn.Module]:
    """Return layers from each size to the next one: linear, ReLU and dropout."""
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise(sizes):
        layers += [nn.Linear(n_in, n_out), nn.ReLU(), nn.Dropout(dropout)]
    return layers
