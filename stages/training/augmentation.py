"""What is done to training segments anew in every epoch."""

import torch
from torch import Tensor

from stages.training.recipe import AugmentParams, SpecAugment


class Augmentation:
    """All that the `augment` section asks for, one after the other.

    Parameters
    ----------
    params : AugmentParams
    std : Tensor (n_bins,)
        What features were divided by, to know a dB when it sees one.
    """

    def __init__(self, params: AugmentParams, std: Tensor):
        self.params = params
        self.std = std

    def __call__(self, x: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Altered copies.

        Parameters
        ----------
        x : Tensor (n, ..., n_bins, n_frames)
            As the network takes it.
        target : Tensor (n, n_classes)

        Returns
        -------
        x, target : Tensor
        """
        how = self.params
        if how.time_resized_crop is not None:
            x = time_resized_crop(x, how.time_resized_crop)
        if how.shift is not None:
            x = shift(x, how.shift)
        if how.gain_db is not None:
            x = gain(x, how.gain_db, self.std)
        if how.noise is not None:
            x = x + how.noise * torch.randn_like(x)
        if how.specaugment is not None:
            x = specaugment(x, how.specaugment)
        if how.mixup is not None:
            x, target = mixup(x, target, how.mixup)
        return x, target


def _uniform(x: Tensor, low: float, high: float) -> Tensor:
    """A number for each segment, of a shape that goes with `x`."""
    return torch.empty((len(x), *[1] * (x.ndim - 1)), device=x.device).uniform_(low, high)


def time_resized_crop(x: Tensor, least: float) -> Tensor:
    """A random stretch of at least the share `least`, brought to full length by linear interpolation."""
    n_frames = x.shape[-1]
    if n_frames == 1:
        return x
    length = (_uniform(x, least, 1.0) * n_frames).clamp(min=2)
    start = _uniform(x, 0.0, 1.0) * (n_frames - length)
    place = start + torch.linspace(0, 1, n_frames, device=x.device) * (length - 1)
    before = place.floor().long().clamp(max=n_frames - 2)
    after = (place - before).to(x.dtype)
    return (1 - after) * _frames(x, before) + after * _frames(x, before + 1)


def shift(x: Tensor, most: float) -> Tensor:
    """Rotated in time by up to the share `most`, forth or back."""
    n_frames = x.shape[-1]
    by = (_uniform(x, -most, most) * n_frames).round().long()
    return _frames(x, (torch.arange(n_frames, device=x.device) - by) % n_frames)


def _frames(x: Tensor, index: Tensor) -> Tensor:
    """Frames of each segment by number (n, 1, ..., n_frames)."""
    return x.gather(-1, index.expand(x.shape))


def gain(x: Tensor, most_db: float, std: Tensor) -> Tensor:
    """Louder or softer by up to `most_db`: a constant in dB."""
    return x + _uniform(x, -most_db, most_db) / std[:, None]


def specaugment(x: Tensor, how: SpecAugment) -> Tensor:
    """Bands and stretches set to the segment's mean (Park et al., 2019)."""
    mean = x.mean(dim=(-2, -1), keepdim=True)
    for axis, n_masks, share in ((-2, how.freq_masks, how.max_bins), (-1, how.time_masks, how.max_frames)):
        size = x.shape[axis]
        place = torch.arange(size, device=x.device)
        place = place[:, None] if axis == -2 else place
        for _ in range(n_masks):
            width = (_uniform(x, 0.0, 1.0) * (int(share * size) + 1)).floor()
            start = (_uniform(x, 0.0, 1.0) * (size - width + 1)).floor()
            x = torch.where((place >= start) & (place < start + width), mean, x)
    return x


def mixup(x: Tensor, target: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
    """Each segment mixed with another of the batch, its target in the same shares (Zhang et al., 2018)."""
    share = torch.distributions.Beta(alpha, alpha).sample((len(x),)).to(x.device)
    other = torch.randperm(len(x), device=x.device)
    of_x = share.view(-1, *[1] * (x.ndim - 1)).to(x.dtype)
    return of_x * x + (1 - of_x) * x[other], share[:, None] * target + (1 - share[:, None]) * target[other]
