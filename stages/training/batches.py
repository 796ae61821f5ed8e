"""Batches of segments for a training: from memory, or streamed from the features file.

Both give the same batches, so that the place of the data changes no result.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, split

from stages.training.device import free_bytes
from stages.training.scaler import Scaler

if TYPE_CHECKING:
    from stages.splitting.examples import Examples

WINDOW_BYTES = (
    1 << 30
)  # size of the windows in which segments are shuffled; smaller data is shuffled as a whole
CHUNK = 64  # neighbours that come into the same window, so that a disk reads them in one go
FORWARD_BYTES = (
    1 << 24
)  # segments in a forward pass without gradients; its activations take 100 times as much


class Batches(ABC):
    """The segments of a split with their labels.

    Attributes
    ----------
    segment_bytes : int
        Size of a segment as the network takes it.
    """

    segment_bytes: int

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of segments."""

    @abstractmethod
    def shuffled(self, windows: Sequence[NDArray[np.int64]], size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield batches (x, label) on the device, of `size` segments in the order of `windows`."""

    @abstractmethod
    def in_order(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield all segments on the device, in blocks."""


def load_batches(examples: "Examples", scaler: Scaler, memory_gb: float, device: torch.device) -> Batches:
    """Place a split where it has room: on the device, in memory, or in its file.

    Parameters
    ----------
    examples : Examples
        Of an open features file.
    scaler : Scaler
    memory_gb : float
        A larger split (10⁹ bytes) stays in its file.
    device : torch.device
    """
    first = scaler.standardise(examples.read(slice(1)))
    label, segment_bytes = torch.from_numpy(examples.label), first.nbytes
    if segment_bytes * len(examples) > memory_gb * 1e9:
        return Streamed(lambda rows: scaler.standardise(examples.read(rows)), label, segment_bytes, device)
    x = scaler.standardise(examples.read())
    if x.nbytes > free_bytes(device):
        return Streamed(lambda rows: x[torch.from_numpy(rows)], label, segment_bytes, device)
    return Resident(x.to(device), label.to(device))


def windows(n: int, segment_bytes: int, size: int, seed: Sequence[int]) -> list[NDArray[np.int64]]:
    """Return a random order of `n` segments, in windows of whole batches.

    A window draws from chunks of neighbours all over the data; within it the order is random. Data of up
    to `WINDOW_BYTES` is one window, hence in perfectly random order.

    Parameters
    ----------
    n, segment_bytes : int
        Number of segments and the size of one.
    size : int
        Segments in a batch.
    seed : sequence of int

    Returns
    -------
    list of ndarray of int64
        All but the last hold a multiple of `size`.
    """
    random = np.random.default_rng(seed)
    per_window = max(1, WINDOW_BYTES // (segment_bytes * size)) * size
    if n <= max(per_window, WINDOW_BYTES // segment_bytes):
        return [random.permutation(n)]
    chunks = np.split(np.arange(n), np.arange(CHUNK, n, CHUNK))
    order = np.concatenate([chunks[i] for i in random.permutation(len(chunks))])
    cuts = np.arange(per_window, n - 1, per_window)  # no window of a single segment
    return [random.permutation(part) for part in np.split(order, cuts)]


def sizes(n: int, size: int) -> list[int]:
    """Return the sizes of the batches of `n` segments, `size` each.

    A single remaining segment goes into the batch before, since batch norm needs at least two.
    """
    whole, rest = divmod(n, size)
    if rest == 1 and whole > 0:
        return [size] * (whole - 1) + [size + 1]
    return [size] * whole + [rest] * (rest > 0)


def forward_size(segment_bytes: int) -> int:
    """Return how many segments of that size go into one forward pass without gradients."""
    return max(1, FORWARD_BYTES // segment_bytes)


class Resident(Batches):
    """Data in memory, on the device.

    Parameters
    ----------
    x : Tensor (n, ...)
        As the network takes it.
    label : Tensor of int64 (n,)
    """

    def __init__(self, x: Tensor, label: Tensor):
        self._x = x
        self._label = label
        self.segment_bytes = x.element_size() * math.prod(x.shape[1:])

    def __len__(self) -> int:
        return len(self._x)

    def shuffled(self, windows: Sequence[NDArray[np.int64]], size: int) -> Iterator[tuple[Tensor, Tensor]]:
        for window in windows:
            for rows in split(torch.from_numpy(window).to(self._x.device), sizes(len(window), size)):
                yield self._x[rows], self._label[rows]

    def in_order(self) -> Iterator[tuple[Tensor, Tensor]]:
        size = forward_size(self.segment_bytes)
        yield from zip(split(self._x, size), split(self._label, size), strict=True)


class Streamed(Batches):
    """Data in a file, read one window ahead.

    Parameters
    ----------
    read : callable
        Takes ascending row numbers and returns those segments as the network takes them.
    label : Tensor of int64 (n,)
    segment_bytes : int
    device : torch.device
    """

    def __init__(
        self,
        read: Callable[[NDArray[np.int64]], Tensor],
        label: Tensor,
        segment_bytes: int,
        device: torch.device,
    ):
        self._read = read
        self._label = label
        self.segment_bytes = segment_bytes
        self._device = device

    def __len__(self) -> int:
        return len(self._label)

    def shuffled(self, windows: Sequence[NDArray[np.int64]], size: int) -> Iterator[tuple[Tensor, Tensor]]:
        ascending = [np.sort(window) for window in windows]
        for window, rows, x in zip(windows, ascending, self._read_ahead(ascending), strict=True):
            places = torch.from_numpy(np.searchsorted(rows, window))
            for place in split(places, sizes(len(window), size)):
                yield self._on_device(x[place], rows[place.numpy()])

    def in_order(self) -> Iterator[tuple[Tensor, Tensor]]:
        size = forward_size(self.segment_bytes)
        blocks = np.split(np.arange(len(self)), np.arange(size, len(self), size))
        for rows, x in zip(blocks, self._read_ahead(blocks), strict=True):
            yield self._on_device(x, rows)

    def _on_device(self, x: Tensor, rows: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        return x.to(self._device), self._label[torch.from_numpy(rows)].to(self._device)

    def _read_ahead(self, wanted: Sequence[NDArray[np.int64]]) -> Iterator[Tensor]:
        """Read each of `wanted`, the next one while the caller works on the last."""
        with ThreadPoolExecutor(1) as reader:
            coming = reader.submit(self._read, wanted[0])
            for rows in wanted[1:]:
                ready, coming = coming.result(), reader.submit(self._read, rows)
                yield ready
            yield coming.result()
