"""Hear a file as a model does: decoded block by block, cut into segments, each with the features it takes.

However long a file is, a block of it is in memory.
"""

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from stages.audio.decode import AudioInfo, UnusableError, decode_into
from stages.audio.params import RenderParams
from stages.audio.waveform import Sink
from stages.core.errors import EncoreError
from stages.features.catalogue import extract, rebuild
from stages.features.feature import Feature
from stages.splitting.inputs import as_one_frame
from stages.storage.audio_file import at_full_scale
from stages.training.description import ModelInput

TIMEOUT_S = 600.0
SLOWEST = 20_000  # bytes of a file that are heard in a second, at least
SILENCE_DB = -80.0  # of full scale; what conf/quality drops, too


def patience_s(paths: Iterable[Path]) -> float:
    """Return how many seconds a process may take for the largest of some files."""
    return TIMEOUT_S + max((path.stat().st_size for path in paths if path.is_file()), default=0) / SLOWEST


class Several(Sink):
    """Gives a waveform to several sinks."""

    def __init__(self, *sinks: Sink):
        self.sinks = sinks

    def add(self, samples: NDArray[Any]) -> None:
        for sink in self.sinks:
            sink.add(samples)

    def leap(self) -> None:
        for sink in self.sinks:
            sink.leap()

    def copy(self) -> Self:
        return type(self)(*(sink.copy() for sink in self.sinks))


class Inputs:
    """What a model takes of segments.

    Parameters
    ----------
    about : ModelInput
    encoder : Path or None
        Where the file of the feature encoder is; None: where it was in the training.

    Attributes
    ----------
    features : mapping of str to Feature
        By name.

    Raises
    ------
    EncoreError
        If a feature needs a file that is missing, or is another one now.
    """

    def __init__(self, about: ModelInput, encoder: Path | None = None):
        self._about = about
        given = {"sample_rate_hz": about.sample_rate_hz} | ({"path": str(encoder)} if encoder else {})
        self.features: Mapping[str, Feature] = {
            name: rebuild(name, {**made, **given}) for name, made in about.settings.items()
        }

    def of(self, samples: NDArray[np.float32], starts: Sequence[int]) -> NDArray[Any]:
        """Compute them for the segments that begin at `starts`: (n_segments, n_bins, n_frames)."""
        values = extract(samples, starts, self._about.segment_length, self.features)
        is_one = isinstance(self._about.feature, str)
        return values[self._about.name] if is_one else as_one_frame(values.values())


class Segments(Sink):
    """Cuts a waveform into segments, and keeps what a function makes of those of each block.

    Parameters
    ----------
    length, hop : int
        Of a segment, and from the start of one to that of the next, in samples.
    use : callable
        Takes samples, float32 of full scale 1 (n_samples,), and where the segments begin in them.

    Attributes
    ----------
    parts : list
        What `use` has returned, in order.
    longest : int
        The longest stretch of music without a leap, in samples.
    """

    def __init__(self, length: int, hop: int, use: Callable[[NDArray[np.float32], Sequence[int]], Any]):
        self.parts: list[Any] = []
        self.longest = self._n = self._skip = 0
        self._length, self._hop, self._use = length, hop, use
        self._rest = np.empty(0, np.float32)

    def add(self, samples: NDArray[Any]) -> None:
        self._n += len(samples)
        self.longest = max(self.longest, self._n)
        rest = np.concatenate([self._rest, at_full_scale(samples[self._skip :])])
        self._skip = max(0, self._skip - len(samples))
        n_segments = max(0, (len(rest) - self._length) // self._hop + 1)
        if n_segments:
            self.parts.append(self._use(rest, range(0, n_segments * self._hop, self._hop)))
            self._skip = max(0, n_segments * self._hop - len(rest))
        self._rest = rest[n_segments * self._hop :].copy()

    def heard(self, name: str, sample_rate_hz: int) -> list[Any]:
        """Return `parts`.

        Raises
        ------
        EncoreError
            If the file `name` is shorter than one segment.
        """
        if not self.parts:
            lasts_s, segment_s = (n / sample_rate_hz for n in (self.longest, self._length))
            raise EncoreError(f"{name} lasts {lasts_s:.6g} s, less than a segment of {segment_s:g} s")
        return self.parts

    def leap(self) -> None:
        self._rest = np.empty(0, np.float32)
        self._n = self._skip = 0

    def copy(self) -> Self:
        other = copy.copy(self)
        other.parts = [*self.parts]
        return other


def listen(
    path: Path,
    name: str,
    sink: Sink,
    sample_rate_hz: int,
    render: RenderParams,
    max_duration_s: float = float("inf"),
) -> tuple[AudioInfo, Sink]:
    """Decode a file into `sink`, or into a copy of it, which is returned.

    Parameters
    ----------
    path : Path
        Music in any format that the decode stage reads; MIDI is rendered as `render` says.
    name : str
        What errors call it.

    Raises
    ------
    EncoreError
        If the file cannot be read or decoded, lasts over `max_duration_s`, has samples that are not finite,
        or is silent.
    """
    try:
        info, sink = decode_into(sink, path, sample_rate_hz, max_duration_s, render)
    except OSError as error:
        raise EncoreError(f"{name}: cannot be read: {error.strerror or error}") from None
    except UnusableError as unusable:
        is_long = unusable.info.problem == "too long"
        reason = f"lasts over {max_duration_s:g} s" if is_long else unusable.info.reason
        raise EncoreError(f"{name} {reason}") from None
    if info.not_finite:  # they are zeros in the waveform
        raise EncoreError(f"{name} has samples that are infinite or not a number")
    if info.peak < 10 ** (SILENCE_DB / 20):
        raise EncoreError(f"{name} is silent: no sample is over {SILENCE_DB:g} dB of full scale")
    return info, sink
