"""A trained model as one network: of a waveform, or of its features, to probability and novelty."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.pooling import mean_and_std
from stages.exporting.front_end import front_end
from stages.features.catalogue import extract
from stages.inference.listening import Inputs
from stages.training.trained import TrainedModel

WAVEFORM = "waveform"


class Input(NamedTuple):
    """An input of the network.

    Attributes
    ----------
    shape : tuple of int
        Of a segment.
    dtype : dtype
        float32, or uint8 for codes.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]


class Whole(nn.Module):
    """Front end, scaler, network, and what its logits mean.

    Parameters
    ----------
    trained : TrainedModel
        On the CPU.
    taken : Inputs
        What it takes.

    Attributes
    ----------
    without_layer : list of str
        Features that have no layer in `stages.exporting.front_end`.
    inputs : dict of str to Input
        "waveform", of a segment; or the features by name, if one of them has no layer.
    """

    def __init__(self, trained: TrainedModel, taken: Inputs):
        super().__init__()
        self.trained, self.model, self._taken = trained, trained.model, taken
        length = trained.description.input.segment_length
        layers = {name: front_end(feature) for name, feature in taken.features.items()}
        self.without_layer = [name for name, layer in layers.items() if layer is None]
        if self.without_layer:
            self.inputs = {
                name: Input((len(feature.bins()[1]), len(feature.time_s(length))), np.dtype(feature.dtype))
                for name, feature in taken.features.items()
            }
            self.front_end = nn.ModuleList()
        else:
            self.inputs = {WAVEFORM: Input((length,), np.dtype(np.float32))}
            self.front_end = nn.ModuleList(layer for layer in layers.values() if layer is not None)

    def forward(self, *given: Tensor) -> tuple[Tensor, Tensor]:
        """Return class probabilities (n, n_classes) and novelty (n,), both float32.

        Parameters
        ----------
        given : Tensor (n, ...)
            Segments, for each of `inputs`.
        """
        arrays = [layer(given[0]) for layer in self.front_end] or [*given]
        about = self.trained.description
        x = arrays[0] if isinstance(about.input.feature, str) else _statistics(arrays)
        probability, novelty = self.trained.probability_and_novelty(
            self.model(about.scaler.scale(x)).double()
        )
        return probability.float(), novelty.float()

    def given(self, segments: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
        """Return what each of `inputs` is for segments (n, length)."""
        if not self.without_layer:
            return {WAVEFORM: segments}
        return extract(segments.ravel(), _starts(segments), segments.shape[1], self._taken.features)

    def expected(self, segments: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return probability and novelty as a prediction has them, without any layer of ours."""
        return self.trained.predict_with_novelty(self._taken.of(segments.ravel(), _starts(segments)))


def _starts(segments: NDArray[np.float32]) -> range:
    return range(0, segments.size, segments.shape[1])


def _statistics(arrays: Sequence[Tensor]) -> Tensor:
    """Do what `stages.splitting.inputs.as_one_frame` does."""
    doubles = [x.double() for x in arrays]
    parts = [mean_and_std(x, dim=2) if x.shape[2] > 1 else x.mean(dim=2) for x in doubles]
    return torch.cat(parts, dim=1).float().unsqueeze(2)
