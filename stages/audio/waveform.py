"""Turn what a decoder gives into a mono waveform at one rate, and measure it on the way."""

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from stages.audio.decoders import FULL_SCALE_16, DecoderError, Ffmpeg, Libsndfile

# A header with another rate is damaged; resampling from it would fill the memory.
RATES_HZ = range(1000, 768_001)
BLOCK = 1 << 20  # samples read at a time, because a damaged header may say any length
LOUDEST = 1e6  # 120 dB over full scale: a larger sample is a damaged float, treated like an infinite one


class TooLongError(Exception):
    """A file lasts longer than it may."""


class Sink(Protocol):
    """Where a waveform goes, block by block."""

    def add(self, samples: NDArray[Any]) -> None:
        """Take the next samples: int16, or float32 of full scale 1 (n_samples,)."""

    def leap(self) -> None:
        """Know that the samples that follow are from another place of the music."""

    def copy(self) -> Self:
        """Return one that has what this one has, for another try at what follows."""


class Waveform(Sink):
    """Keeps a waveform in memory."""

    def __init__(self, blocks: "deque[NDArray[Any]] | None" = None) -> None:
        self._blocks = deque[NDArray[Any]]() if blocks is None else blocks

    def add(self, samples: NDArray[Any]) -> None:
        self._blocks.append(samples)

    def leap(self) -> None:
        pass

    def copy(self) -> "Waveform":
        return Waveform(self._blocks.copy())

    def joined(self) -> NDArray[Any]:
        """Join the blocks; each is freed once it is copied, so that little is in memory twice."""
        blocks = self._blocks
        samples = np.empty(sum(map(len, blocks)), blocks[0].dtype if blocks else np.float32)
        filled = 0
        while blocks:
            block = blocks.popleft()
            samples[filled : filled + len(block)] = block
            filled += len(block)
        return samples


class Meter:
    """Measures a file block by block.

    Attributes
    ----------
    peak : float
        Of the mono mix; full scale is 1.
    """

    def __init__(self, full_scale: float = FULL_SCALE_16) -> None:
        self.peak = 0.0
        self._full_scale = full_scale
        self._n_frames: Counter[int] = Counter()  # by sample rate
        self._n_values = self._n_clipped = self._n_not_finite = 0
        self._sum = self._energy = 0.0

    def measure(self, block: NDArray[np.float32], rate_hz: int) -> NDArray[np.float32]:
        """Measure `block`, (n_frames, n_channels); return its mono mix (n_frames,), with NaN set to zero."""
        bad = ~(np.abs(block) <= LOUDEST)  # the negation also catches NaN
        if n_bad := int(bad.sum()):
            block = np.where(bad, np.float32(0), block)
        mono: NDArray[np.float32] = block[:, 0] if block.shape[1] == 1 else block.mean(axis=1)
        self._n_frames[rate_hz] += len(block)
        self._n_values += block.size
        self._n_not_finite += n_bad
        self._n_clipped += int((np.abs(block) >= self._full_scale).sum())
        self.peak = max(self.peak, float(np.abs(mono).max()))
        self._sum += float(mono.sum(dtype=np.float64))
        self._energy += float(np.square(mono, dtype=np.float64).sum())
        return mono

    def measure_exact(self, block: NDArray[np.int16], rate_hz: int) -> None:
        """Measure 16-bit mono samples (n_samples,): the same numbers, as all sums of them are exact."""
        full_scale = round(self._full_scale * 32768)
        loudest = max(int(block.max()), -int(block.min()))
        if loudest >= full_scale:
            self._n_clipped += int(((block >= full_scale) | (block <= -full_scale)).sum())
        self.peak = max(self.peak, loudest / 32768)
        self._n_frames[rate_hz] += len(block)
        self._n_values += len(block)
        values = block.astype(np.float64)
        self._sum += float(values.sum()) / 32768
        self._energy += float(values @ values) / 32768**2

    def add(self, other: "Meter") -> None:
        """Add what `other` has measured in the next part of the file."""
        self.peak = max(self.peak, other.peak)
        self._n_frames += other._n_frames
        self._n_values += other._n_values
        self._n_clipped += other._n_clipped
        self._n_not_finite += other._n_not_finite
        self._sum += other._sum
        self._energy += other._energy

    @property
    def duration_s(self) -> float:
        """Of all that was measured."""
        return sum(n / rate_hz for rate_hz, n in self._n_frames.items())

    @property
    def rms(self) -> float:
        """Of the mono mix."""
        return float(np.sqrt(self._energy / self._n_frames.total()))

    @property
    def dc_offset(self) -> float:
        """Mean of the mono mix."""
        return self._sum / self._n_frames.total()

    @property
    def clipped(self) -> float:
        """Share of samples at full scale."""
        return self._n_clipped / self._n_values

    @property
    def not_finite(self) -> float:
        """Share of samples that were NaN or infinite."""
        return self._n_not_finite / self._n_values


@dataclass
class Take:
    """What a decoder has made of a file, or of a part of it.

    Attributes
    ----------
    sink : Sink
        What has taken the waveform at the wanted rate; int16 if the file is 16-bit mono PCM at that rate.
    encoding, rate_hz, n_channels, claimed_s, n_streams
        See `stages.audio.decoders.Libsndfile`.
    is_damaged : bool
        Whether something was left out, of a file that does not say how long it is.
    fault : str
        Why the decoder gave up, in its words; empty: it read to the end.
    meter : Meter
    """

    sink: Sink
    encoding: str = ""
    rate_hz: int = 0
    n_channels: int = 0
    claimed_s: float = 0.0
    n_streams: int = 1
    is_damaged: bool = False
    fault: str = ""
    meter: Meter = field(default_factory=Meter)


def take(decoder: Libsndfile | Ffmpeg, sample_rate_hz: int, max_duration_s: float, sink: Sink) -> Take:
    """Read a file into `sink`, to its end or to where the decoder gives up.

    Raises
    ------
    TooLongError
        If it lasts longer than `max_duration_s`.
    """
    read = Take(sink, decoder.encoding, decoder.rate_hz, decoder.n_channels, n_streams=decoder.n_streams)
    read.meter = Meter(decoder.full_scale)
    resampler = _Resampler(decoder.rate_hz, sample_rate_hz)
    try:
        for rate_hz, block in decoder.blocks(BLOCK):
            if rate_hz not in RATES_HZ:
                raise DecoderError(f"it claims a sample rate of {rate_hz} Hz, which no music has")
            if rate_hz != resampler.rate_hz:
                resampler.end(sink)
                resampler = _Resampler(rate_hz, sample_rate_hz)
            if block.dtype == np.int16:
                samples = block[:, 0]
                read.meter.measure_exact(samples, rate_hz)
                if rate_hz != sample_rate_hz:
                    samples = resampler.resample(samples.astype(np.float32) / np.float32(32768))
            else:
                samples = resampler.resample(read.meter.measure(block, rate_hz))
            sink.add(samples)
            if read.meter.duration_s > max_duration_s:
                raise TooLongError
    except DecoderError as error:
        read.fault = str(error)
    resampler.end(sink)
    read.claimed_s = decoder.claimed_s
    read.is_damaged = decoder.is_damaged
    return read


class _Resampler:
    """Resamples a waveform block by block, so that no file is in memory twice."""

    def __init__(self, rate_hz: int, sample_rate_hz: int) -> None:
        self.rate_hz = rate_hz
        self._stream = None
        if rate_hz != sample_rate_hz and rate_hz in RATES_HZ:
            import soxr

            self._stream = soxr.ResampleStream(rate_hz, sample_rate_hz, 1, dtype="float32")

    def resample(self, block: NDArray[np.float32]) -> NDArray[np.float32]:
        return block if self._stream is None else self._stream.resample_chunk(block)

    def end(self, sink: Sink) -> None:
        """Give what the filter still has."""
        if self._stream is not None:
            sink.add(self._stream.resample_chunk(np.empty(0, np.float32), last=True))
