"""Pooling over time."""

import torch
from torch import Tensor


def mean_and_std(x: Tensor, dim: int) -> Tensor:
    """Return the mean and the standard deviation over an axis, side by side (Snyder et al., 2018).

    Parameters
    ----------
    x : Tensor (batch, n, n_frames), or (batch, n_frames, n)
    dim : int
        The axis of the frames.

    Returns
    -------
    Tensor (batch, 2 * n)
    """
    std, mean = torch.std_mean(x, dim=dim, correction=0)
    return torch.cat([mean, std], dim=1)
