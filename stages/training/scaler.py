"""How segments are standardised before a model takes them."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from stages.core.params import Params

if TYPE_CHECKING:
    from torch import Tensor

ScalerName = Literal["bins", "example", "none"]

MIN_STD = 1e-6  # a constant segment is not scaled up to standard deviation 1


class Scaler(Params):
    """What standardises segments.

    Attributes
    ----------
    name : {'bins', 'example', 'none'}
        By the mean and standard deviation of each bin over the train split, by those of each segment, or not
        at all. Features of codes are never scaled, whatever `train.scaler` says.
    mean, std : list of float (n_bins,)
        Of each bin over the train split; empty unless `name` is "bins".
    """

    name: ScalerName
    mean: list[float]
    std: list[float]

    @classmethod
    def fit(cls, name: ScalerName, blocks: Callable[[], Iterable[NDArray[np.float32]]]) -> "Scaler":
        """Return the scaler of that name for training segments; a constant bin gets a std of 1.

        Parameters
        ----------
        name : {'bins', 'example', 'none'}
        blocks : callable
            Gives all segments in turn, as arrays of float32 (n_segments, n_bins, n_frames); called twice.
        """
        if name != "bins":
            return cls(name=name, mean=[], std=[])
        totals = [(x.shape[0] * x.shape[2], x.sum(axis=(0, 2), dtype=np.float64)) for x in blocks()]
        n = sum(count for count, _ in totals)
        mean = np.sum([total for _, total in totals], axis=0) / n
        squares = [np.square(x - mean[:, None]).sum(axis=(0, 2)) for x in blocks()]
        std = np.sqrt(np.sum(squares, axis=0) / n)
        return cls(name=name, mean=mean.tolist(), std=np.where(std > 0, std, 1.0).tolist())

    def standardise(self, x: NDArray[Any]) -> "Tensor":
        """Return segments (n, n_bins, n_frames) as the network takes them.

        Parameters
        ----------
        x : ndarray of float32, or of uint8 for codes (n, n_bins, n_frames)

        Returns
        -------
        Tensor (n, n_bins, n_frames)
            float32, scaled; codes as they are, for the input layer to expand.
        """
        import torch

        return self.scale(torch.from_numpy(x))

    def scale(self, segments: "Tensor") -> "Tensor":
        """Do the same with a tensor."""
        import torch

        match self.name:
            case "bins":
                return (segments - torch.tensor(self.mean)[:, None]) / torch.tensor(self.std)[:, None]
            case "example":
                std, mean = torch.std_mean(segments, dim=(1, 2), correction=0, keepdim=True)
                return (segments - mean) / std.clamp(min=MIN_STD)
            case "none":
                return segments
