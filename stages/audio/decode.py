"""Decode a file to a mono waveform at one sample rate and measure it, or say why that is impossible."""

import hashlib
from collections import deque
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stages.audio.fingerprint import fingerprint
from stages.audio.formats import MIDI, is_midi
from stages.audio.params import RenderParams
from stages.core.errors import EncoreError

if TYPE_CHECKING:
    import soundfile

# A header with another rate is damaged; resampling from it would fill the memory.
RATES_HZ = range(1000, 768_001)
BLOCK = 1 << 20  # samples read at a time, because a damaged header may say any length
FULL_SCALE = {"PCM_S8": 127 / 128, "PCM_U8": 127 / 128}  # the greatest possible value
FULL_SCALE_16 = 32767 / 32768
MISLEADING = {7: "No MP3 in it."}  # libsndfile says that such a file "does not exist"
LOUDEST = 1e6  # 120 dB over full scale: a larger sample is a damaged float, treated like an infinite one


@dataclass(frozen=True)
class AudioInfo:
    """What is known about an audio file: its encoding and measurements, or why it cannot be decoded.

    Attributes
    ----------
    problem, reason : str
        "decode error", "empty" or "too long" if there is no waveform, and the reason in a sentence.
    cut_short : str
        What of the music is not in the waveform, in a sentence; empty: nothing.
    encoding : str
        Container and subtype as libsndfile names them, such as ``WAV/PCM_16``, or ``MIDI``.
    sample_rate_hz, n_channels : int
        Of the file; 0 for MIDI and for unreadable files.
    duration_s : float
        Of the file.
    n_windows : int
        Number of equal windows of the waveform, from different places of the music; 1 unless MIDI.
    peak, rms, dc_offset : float
        Of the mono mix at the file's rate; full scale is 1.
    clipped, not_finite : float
        Share of the file's samples at full scale, and share that is NaN or infinite. The latter are zero
        in the waveform and in the other measurements.
    digest : str
        SHA-256 of the waveform as float32; equal waveforms are exact duplicates.
    n_samples : int
        Length of the waveform.
    """

    problem: str = ""
    reason: str = ""
    cut_short: str = ""
    encoding: str = ""
    sample_rate_hz: int = 0
    n_channels: int = 0
    duration_s: float = 0.0
    n_windows: int = 1
    peak: float = 0.0
    rms: float = 0.0
    dc_offset: float = 0.0
    clipped: float = 0.0
    not_finite: float = 0.0
    digest: str = ""
    n_samples: int = 0


@dataclass(frozen=True)
class DecodedAudio:
    """A decoded file.

    Attributes
    ----------
    info : AudioInfo
    samples : ndarray of int16 or float32 (n_samples,), or None
        The waveform; None if `info` names a problem. int16 if the file is 16-bit mono PCM at the wanted
        rate, where it is exact; else float32, since rounding after resampling costs up to 1.5 dB in the
        mel spectrum of quiet files.
    fingerprint : ndarray of uint32 (n_frames,)
        See `stages.audio.fingerprint`; empty if there is no waveform.
    """

    info: AudioInfo
    samples: NDArray[Any] | None
    fingerprint: NDArray[np.uint32]


def decode(path: Path, sample_rate_hz: int, max_duration_s: float, render: RenderParams) -> DecodedAudio:
    """Decode, mix to mono and resample one file, or render it. No content of the file makes it raise.

    Parameters
    ----------
    path : Path
    sample_rate_hz : int
        Rate of the waveform.
    max_duration_s : float
        A longer file is not decoded to its end, which bounds the memory; windows bound MIDI.
    render : RenderParams
        How MIDI is played.
    """
    try:
        if path.stat().st_size == 0:
            raise _UnusableError("empty", "is an empty file")
        if is_midi(path):
            info, samples = _render(path.read_bytes(), sample_rate_hz, render)
        else:
            info, samples = _read(path, sample_rate_hz, max_duration_s)
    except _UnusableError as unusable:
        return DecodedAudio(unusable.info, None, np.empty(0, np.uint32))
    full = samples.astype(np.float32, copy=False)
    if samples.dtype == np.int16:
        full /= np.float32(32768)
    digest = hashlib.sha256(full.data).hexdigest()
    info = replace(info, digest=digest, n_samples=len(samples))
    return DecodedAudio(info, samples, fingerprint(full, sample_rate_hz))


class _UnusableError(Exception):
    def __init__(self, problem: str, reason: str, info: AudioInfo | None = None) -> None:
        self.info = replace(info or AudioInfo(), problem=problem, reason=reason)


def _render(midi: bytes, sample_rate_hz: int, render: RenderParams) -> tuple[AudioInfo, NDArray[np.float32]]:
    from stages.audio.render import render_windows

    try:
        played = render_windows(midi, sample_rate_hz, render.window_s, render.windows, render.control)
    except EncoreError as error:
        raise _UnusableError("decode error", str(error), AudioInfo(encoding=MIDI)) from None
    meter = _Meter(FULL_SCALE_16)
    meter.measure(played.samples[:, None])
    info = AudioInfo(encoding=MIDI, duration_s=played.duration_s, n_windows=played.n_windows)
    info = replace(info, cut_short=played.cut_short)
    return meter.complete(info), played.samples


def _read(path: Path, sample_rate_hz: int, max_duration_s: float) -> tuple[AudioInfo, NDArray[Any]]:
    import soundfile

    try:
        with soundfile.SoundFile(path) as file:
            return _read_open(file, sample_rate_hz, max_duration_s)
    except soundfile.LibsndfileError as error:
        reason = MISLEADING.get(error.code, error.error_string.strip())
        raise _UnusableError("decode error", f"cannot be decoded: {reason}") from None


def _read_open(
    file: "soundfile.SoundFile", sample_rate_hz: int, max_duration_s: float
) -> tuple[AudioInfo, NDArray[Any]]:
    rate_hz, n_channels = file.samplerate, file.channels
    info = AudioInfo(encoding=f"{file.format}/{file.subtype}", sample_rate_hz=rate_hz, n_channels=n_channels)
    if file.format == "RAW":  # libsndfile's answer for any file named .au
        raise _UnusableError("decode error", "cannot be decoded: no header says what it holds")
    if rate_hz not in RATES_HZ:
        reason = f"claims a sample rate of {rate_hz} Hz, which no music has"
        raise _UnusableError("decode error", reason, info)
    is_exact = file.subtype == "PCM_16" and rate_hz == sample_rate_hz and n_channels == 1
    resampler = _Resampler(rate_hz, sample_rate_hz)
    meter = _Meter(FULL_SCALE.get(file.subtype, FULL_SCALE_16))
    blocks: deque[NDArray[Any]] = deque()
    n_frames, dtype = max(1, BLOCK // n_channels), "int16" if is_exact else "float32"
    while len(block := file.read(n_frames, dtype, always_2d=True)):
        if is_exact:
            meter.measure(block.astype(np.float32) / np.float32(32768))
            blocks.append(block[:, 0])
        else:
            blocks.append(resampler.resample(meter.measure(block)))
        if meter.n_frames > max_duration_s * rate_hz:
            reason = f"lasts longer than quality.max_duration_s, {max_duration_s:g} s"
            raise _UnusableError("too long", reason, info)
    blocks += resampler.rest()
    samples = _joined(blocks)
    if len(samples) == 0:
        reason = "holds too few samples to be resampled" if meter.n_frames else "holds no samples"
        raise _UnusableError("empty", reason, info)
    return meter.complete(replace(info, duration_s=meter.n_frames / rate_hz)), samples


def _joined(blocks: "deque[NDArray[Any]]") -> NDArray[Any]:
    """Join the blocks; each is freed once it is copied, so that little is in memory twice."""
    samples = np.empty(sum(map(len, blocks)), blocks[0].dtype if blocks else np.float32)
    filled = 0
    while blocks:
        block = blocks.popleft()
        samples[filled : filled + len(block)] = block
        filled += len(block)
    return samples


class _Resampler:
    """Resamples a waveform block by block, so that no file is in memory twice."""

    def __init__(self, rate_hz: int, sample_rate_hz: int) -> None:
        self._stream = None
        if rate_hz != sample_rate_hz:
            import soxr

            self._stream = soxr.ResampleStream(rate_hz, sample_rate_hz, 1, dtype="float32")

    def resample(self, block: NDArray[np.float32]) -> NDArray[np.float32]:
        return block if self._stream is None else self._stream.resample_chunk(block)

    def rest(self) -> list[NDArray[np.float32]]:
        if self._stream is None:
            return []
        return [self._stream.resample_chunk(np.empty(0, np.float32), last=True)]


class _Meter:
    """Measures a file block by block."""

    def __init__(self, full_scale: float) -> None:
        self.n_frames = 0
        self._full_scale = full_scale
        self._n_values = self._n_clipped = self._n_not_finite = 0
        self._peak = self._sum = self._energy = 0.0

    def measure(self, block: NDArray[np.float32]) -> NDArray[np.float32]:
        """Measure `block`, (n_frames, n_channels); return its mono mix (n_frames,), with NaN set to zero."""
        bad = ~(np.abs(block) <= LOUDEST)  # the negation also catches NaN
        if n_bad := int(bad.sum()):
            block = np.where(bad, np.float32(0), block)
        mono: NDArray[np.float32] = block[:, 0] if block.shape[1] == 1 else block.mean(axis=1)
        self.n_frames += len(block)
        self._n_values += block.size
        self._n_not_finite += n_bad
        self._n_clipped += int((np.abs(block) >= self._full_scale).sum())
        self._peak = max(self._peak, float(np.abs(mono).max()))
        self._sum += float(mono.sum(dtype=np.float64))
        self._energy += float(np.square(mono, dtype=np.float64).sum())
        return mono

    def complete(self, info: AudioInfo) -> AudioInfo:
        """Return `info` with the measurements of all blocks."""
        return replace(
            info,
            peak=self._peak,
            rms=float(np.sqrt(self._energy / self.n_frames)),
            dc_offset=self._sum / self.n_frames,
            clipped=self._n_clipped / self._n_values,
            not_finite=self._n_not_finite / self._n_values,
        )
