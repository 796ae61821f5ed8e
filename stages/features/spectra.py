"""Power spectra of segments: one transform for each framing, shared by all features."""

from collections.abc import Callable
from functools import lru_cache
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from stages.core.params import Params

NFft = Annotated[int, Field(ge=16, le=65536)]
HopLength = Annotated[int, Field(ge=1)]
Window = Literal["hann", "hamming", "blackman", "boxcar"]
PadMode = Literal["constant", "reflect"]

FRAMES_PER_CALL = 256  # what a transform works on stays in a core's cache
FILTERS_PER_PRODUCT = 16
COSINES = {  # a window is the sum of these shares of cosines with 0, 1, 2 periods in a frame
    "hann": (0.5, -0.5),
    "hamming": (0.54, -0.46),
    "blackman": (0.42, -0.5, 0.08),
    "boxcar": (1.0,),
}


class Framing(Params):
    """How a segment is cut into frames.

    Frames are centred on their time stamps, as librosa's are: frame t is about sample ``t * hop_length``.

    Attributes
    ----------
    n_fft, hop_length : int
        Length of a frame and of the step to the next one, in samples.
    window : {'hann', 'hamming', 'blackman', 'boxcar'}
        As in `scipy.signal.get_window`, periodic.
    pad_mode : {'constant', 'reflect'}
        What stands beyond both ends of a segment.
    """

    n_fft: NFft
    hop_length: HopLength
    window: Window
    pad_mode: PadMode

    def n_frames(self, length: int) -> int:
        """Count the frames of a segment of `length` samples, padded by half a frame at both ends."""
        return 1 + (length + 2 * (self.n_fft // 2) - self.n_fft) // self.hop_length

    def time_s(self, length: int, sample_rate_hz: int) -> NDArray[np.float64]:
        """Return the centre of each frame of a segment of `length` samples, from the segment's start."""
        return np.arange(self.n_frames(length)) * self.hop_length / sample_rate_hz

    def frequency_hz(self, sample_rate_hz: int) -> NDArray[np.float64]:
        """Return the centre of each of the ``1 + n_fft // 2`` bins."""
        return np.arange(1 + self.n_fft // 2, dtype=np.float64) * (sample_rate_hz / self.n_fft)

    def frames(self, samples: NDArray[np.float32], pad_mode: str = "") -> NDArray[np.float32]:
        """Return a view of padded segments, frame by frame.

        Parameters
        ----------
        samples : ndarray of float32 (n_segments, length)
        pad_mode : str
            A mode of `numpy.pad` that replaces the framing's.

        Returns
        -------
        ndarray of float32 (n_segments, n_frames, n_fft)
        """
        around = self.n_fft // 2
        padded = np.pad(samples, ((0, 0), (around, around)), pad_mode or self.pad_mode)  # type: ignore[call-overload]
        view = np.lib.stride_tricks.sliding_window_view(padded, self.n_fft, axis=1)
        frames: NDArray[np.float32] = view[:, :: self.hop_length]
        return frames


class Segments:
    """Segments of one length, and what has been computed of them.

    Parameters
    ----------
    samples : ndarray of float32 (n_segments, length)
        Full scale 1.
    """

    def __init__(self, samples: NDArray[np.float32]):
        self.samples = samples
        self._known: dict[Any, NDArray[Any]] = {}

    def once(self, key: Any, compute: Callable[["Segments"], NDArray[Any]]) -> NDArray[Any]:
        """Return ``compute(self)``, or what it returned before under the same key."""
        if key not in self._known:
            self._known[key] = compute(self)
        return self._known[key]

    def power(self, framing: Framing) -> NDArray[np.float32]:
        """Return squared magnitudes of the windowed transform, (n_segments, n_frames, 1 + n_fft // 2)."""
        return self.once(framing, lambda segments: _power(segments.samples, framing))

    def magnitude(self, framing: Framing) -> NDArray[np.float32]:
        """Return the magnitudes of the same transform."""
        return self.once((framing, "magnitude"), lambda segments: np.sqrt(segments.power(framing)))


def _power(samples: NDArray[np.float32], framing: Framing) -> NDArray[np.float32]:
    import scipy.fft

    frames = framing.frames(samples)
    n_segments, n_frames, n_fft = frames.shape
    window = _window(framing.window, n_fft)
    power = np.empty((n_segments, n_frames, 1 + n_fft // 2), np.float32)
    at_once = max(1, FRAMES_PER_CALL // n_frames)
    # reused for each block, since new memory would cost more than the product
    windowed = np.empty((min(at_once, n_segments), min(n_frames, FRAMES_PER_CALL), n_fft), np.float32)
    for segment in range(0, n_segments, at_once):
        for frame in range(0, n_frames, FRAMES_PER_CALL):
            part = frames[segment : segment + at_once, frame : frame + FRAMES_PER_CALL]
            block = windowed[: part.shape[0], : part.shape[1]]
            np.multiply(part, window, out=block)
            spectra = scipy.fft.rfft(block, overwrite_x=True)
            result = power[segment : segment + at_once, frame : frame + FRAMES_PER_CALL]
            np.square(spectra.real, out=result)
            result += np.square(spectra.imag)
    return power


@lru_cache(maxsize=8)
def _window(name: str, n_fft: int) -> NDArray[np.float32]:
    return periodic_window(name, n_fft).astype(np.float32)


def periodic_window(name: str, n_fft: int) -> NDArray[np.float64]:
    """Return a window (n_fft,), as `scipy.signal.get_window` does."""
    angle = 2 * np.pi / n_fft * np.arange(n_fft)
    terms = [share * np.cos(order * angle) for order, share in enumerate(COSINES[name])]
    window: NDArray[np.float64] = np.sum(terms, axis=0)
    return window


class FilterBank:
    """Weighted sums over frequency; neighbouring filters are computed together, over the bins that they need.

    Parameters
    ----------
    weights : ndarray (n_filters, n_bins)
    """

    def __init__(self, weights: NDArray[Any]):
        self._n_filters = len(weights)
        self._parts: list[tuple[slice, slice, NDArray[np.float32]]] = []
        for first in range(0, self._n_filters, FILTERS_PER_PRODUCT):
            part = weights[first : first + FILTERS_PER_PRODUCT].astype(np.float32)
            bins = np.flatnonzero(part.any(axis=0))
            if len(bins):
                used = slice(bins[0], bins[-1] + 1)
                filters = slice(first, first + len(part))
                self._parts.append((filters, used, part[:, used].T.copy()))

    def __call__(self, power: NDArray[np.float32]) -> NDArray[np.float32]:
        """Sum (n_segments, n_frames, n_bins) to (n_segments, n_frames, n_filters), float32."""
        rows = power.reshape(-1, power.shape[-1])
        sums = np.zeros((len(rows), self._n_filters), np.float32)
        for filters, bins, weights in self._parts:
            np.matmul(rows[:, bins], weights, out=sums[:, filters])
        return sums.reshape(*power.shape[:-1], self._n_filters)
