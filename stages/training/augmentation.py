"""Random changes to training segments, drawn anew in every epoch."""

import torch
from torch import Tensor

from stages.training.augment_params import AugmentParams, SpecAugment


class Augmentation:
    """All augmentations of the `augment` section, one after another.

    Parameters
    ----------
    params : AugmentParams
    std : Tensor (n_bins,)
        By which the features were divided; turns dB into the scaled unit.
    """

    def __init__(self, params: AugmentParams, std: Tensor):
        self.params = params
        self.std = std

    def __call__(self, x: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Return augmented copies.

        Parameters
        ----------
        x : Tensor (n, ..., n_bins, n_frames)
            As the network takes it.
        target : Tensor (n, n_classes)

        Returns
        -------
        x, target : Tensor
        """
        params = self.params
        if params.time_resized_crop is not None:
            x = time_resized_crop(x, params.time_resized_crop)
        if params.shift is not None:
            x = shift(x, params.shift)
        if params.gain_db is not None:
            x = gain(x, params.gain_db, self.std)
        if params.noise is not None:
            x = x + params.noise * torch.randn_like(x)
        if params.specaugment is not None:
            x = specaugment(x, params.specaugment)
        if params.mixup is not None:
            x, target = mixup(x, target, params.mixup)
        return x, target


def _uniform(x: Tensor, low: float, high: float) -> Tensor:
    """Return a random number for each segment, of a shape that broadcasts with `x`."""
    return torch.empty((len(x), *[1] * (x.ndim - 1)), device=x.device).uniform_(low, high)


def time_resized_crop(x: Tensor, min_share: float) -> Tensor:
    """Cut out a random part of at least `min_share`, and interpolate it linearly to the full length."""
    n_frames = x.shape[-1]
    if n_frames == 1:
        return x
    length = (_uniform(x, min_share, 1.0) * n_frames).clamp(min=2)
    start = _uniform(x, 0.0, 1.0) * (n_frames - length)
    place = start + torch.linspace(0, 1, n_frames, device=x.device) * (length - 1)
    before = place.floor().long().clamp(max=n_frames - 2)
    after = (place - before).to(x.dtype)
    return (1 - after) * _frames(x, before) + after * _frames(x, before + 1)


def shift(x: Tensor, max_share: float) -> Tensor:
    """Rotate in time by up to `max_share` of the length, in either direction."""
    n_frames = x.shape[-1]
    by = (_uniform(x, -max_share, max_share) * n_frames).round().long()
    return _frames(x, (torch.arange(n_frames, device=x.device) - by) % n_frames)


def _frames(x: Tensor, index: Tensor) -> Tensor:
    """Return frames of each segment by number (n, 1, ..., n_frames)."""
    return x.gather(-1, index.expand(x.shape))


def gain(x: Tensor, max_db: float, std: Tensor) -> Tensor:
    """Change the level by up to `max_db`, up or down: a constant in dB."""
    return x + _uniform(x, -max_db, max_db) / std[:, None]


def specaugment(x: Tensor, params: SpecAugment) -> Tensor:
    """Set random bands of bins and of frames to the segment's mean (Park et al., 2019)."""
    mean = x.mean(dim=(-2, -1), keepdim=True)
    for axis, n_masks, max_share in (
        (-2, params.freq_masks, params.max_bins),
        (-1, params.time_masks, params.max_frames),
    ):
        size = x.shape[axis]
        place = torch.arange(size, device=x.device)
        place = place[:, None] if axis == -2 else place
        for _ in range(n_masks):
            width = (_uniform(x, 0.0, 1.0) * (int(max_share * size) + 1)).floor()
            start = (_uniform(x, 0.0, 1.0) * (size - width + 1)).floor()
            x = torch.where((place >= start) & (place < start + width), mean, x)
    return x


def mixup(x: Tensor, target: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
    """Mix each segment, and its target, with another one of the batch (Zhang et al., 2018)."""
    share = torch.distributions.Beta(alpha, alpha).sample((len(x),)).to(x.device)
    other = torch.randperm(len(x), device=x.device)
    of_x = share.view(-1, *[1] * (x.ndim - 1)).to(x.dtype)
    return of_x * x + (1 - of_x) * x[other], share[:, None] * target + (1 - share[:, None]) * target[other]
