"""Decode a file to a mono waveform at one sample rate and measure it, or say why that is impossible."""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.audio.fingerprint import fingerprint
from stages.audio.formats import MIDI, is_midi
from stages.audio.params import RenderParams
from stages.audio.reading import UnreadableError, read
from stages.audio.waveform import Meter, Sink, TooLongError, Waveform
from stages.core.errors import EncoreError

FULL_SCALE = np.float32(32768)  # of int16
SOME = 4096  # samples


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
        Container and subtype as libsndfile names them, such as ``WAV/PCM_16``; ``MP4/AAC (FFmpeg)`` where
        FFmpeg decoded it; or ``MIDI``.
    sample_rate_hz, n_channels : int
        Of the file; 0 for MIDI and for unreadable files.
    duration_s : float
        Of the file, as far as it can be read.
    claimed_s : float
        How long the file says it is; 0: it does not say it, or it is MIDI.
    n_windows : int
        Number of equal windows of the waveform, from different places of the music; 1 unless MIDI.
    peak, rms, dc_offset : float
        Of the mono mix at the file's rate; full scale is 1.
    clipped, not_finite : float
        Share of the file's samples at full scale, and share that is NaN or infinite. The latter are zero
        in the waveform and in the other measurements.
    digest : str
        SHA-256 of the waveform, as int16 if that holds it exactly, else as float32; equal waveforms are
        exact duplicates.
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
    claimed_s: float = 0.0
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
        info, samples = _decode(path, sample_rate_hz, max_duration_s, render)
    except UnusableError as unusable:
        return DecodedAudio(unusable.info, None, np.empty(0, np.uint32))
    info = replace(info, digest=_digest(samples), n_samples=len(samples))
    words = fingerprint(samples.astype(np.float32, copy=False), sample_rate_hz)  # of any scale
    return DecodedAudio(info, samples, words)


def _digest(samples: NDArray[Any]) -> str:
    """Return the same for equal waveforms, whether they are int16 or float32."""
    if samples.dtype != np.int16 and _is_16_bit(samples):
        samples = (samples * FULL_SCALE).astype(np.int16)
    return hashlib.sha256(samples.data).hexdigest()


def _is_16_bit(samples: NDArray[np.float32]) -> bool:
    """Return whether int16 holds float32 samples exactly."""
    for part in (samples[:SOME], samples[SOME:]):  # the first ones tell it nearly always
        steps = part * FULL_SCALE
        if not np.array_equal(steps, np.rint(steps)) or np.any((steps < -FULL_SCALE) | (steps >= FULL_SCALE)):
            return False
    return True


def decode_again(
    path: Path, sample_rate_hz: int, max_duration_s: float, render: RenderParams
) -> NDArray[Any]:
    """Return the samples that `decode` has found in a file; the parameters are the same.

    Raises
    ------
    UnreadableError
        If the file has none now.
    """
    try:
        return _decode(path, sample_rate_hz, max_duration_s, render)[1]
    except UnusableError as unusable:
        raise UnreadableError(unusable.info.reason) from None


def _decode(
    path: Path, sample_rate_hz: int, max_duration_s: float, render: RenderParams
) -> tuple[AudioInfo, NDArray[Any]]:
    info, waveform = decode_into(Waveform(), path, sample_rate_hz, max_duration_s, render)
    assert isinstance(waveform, Waveform)
    samples = waveform.joined()
    if len(samples) == 0:
        raise UnusableError("empty", "holds too few samples to be resampled; get it again", info)
    return info, samples


def decode_into(
    sink: Sink, path: Path, sample_rate_hz: int, max_duration_s: float, render: RenderParams
) -> tuple[AudioInfo, Sink]:
    """Decode a file, or render it, block by block; the other parameters are those of `decode`.

    Parameters
    ----------
    sink : Sink
        What takes the waveform, or whose copy does.

    Returns
    -------
    info : AudioInfo
        Without a problem, digest and number of samples.
    sink : Sink
        The one that has the waveform.

    Raises
    ------
    UnusableError
        If there is no waveform.
    """
    if path.stat().st_size == 0:
        raise UnusableError("empty", "is an empty file; get it again")
    if is_midi(path):
        return _render(sink, path.read_bytes(), sample_rate_hz, render), sink
    return _read(sink, path, sample_rate_hz, max_duration_s)


class UnusableError(Exception):
    """A file has no waveform; `info` says why."""

    def __init__(self, problem: str, reason: str, info: AudioInfo | None = None) -> None:
        self.info = replace(info or AudioInfo(), problem=problem, reason=reason)


def _render(sink: Sink, midi: bytes, sample_rate_hz: int, render: RenderParams) -> AudioInfo:
    from stages.audio.render import render_windows

    try:
        played = render_windows(midi, sample_rate_hz, render.window_s, render.windows, render.control)
    except EncoreError as error:
        raise UnusableError("decode error", str(error), AudioInfo(encoding=MIDI)) from None
    meter = Meter()
    meter.measure(played.samples[:, None], sample_rate_hz)
    for window in np.split(played.samples, played.n_windows):
        sink.add(window)
        sink.leap()
    info = AudioInfo(encoding=MIDI, duration_s=played.duration_s, n_windows=played.n_windows)
    return _measured(replace(info, cut_short=played.cut_short), meter)


def _read(sink: Sink, path: Path, sample_rate_hz: int, max_duration_s: float) -> tuple[AudioInfo, Sink]:
    try:
        found = read(path, sample_rate_hz, max_duration_s, sink)
    except UnreadableError as error:
        raise UnusableError("decode error", str(error)) from None
    except TooLongError:
        reason = f"lasts longer than quality.max_duration_s, {max_duration_s:g} s; raise it, or cut the file"
        raise UnusableError("too long", reason) from None
    info = AudioInfo(
        encoding=found.encoding,
        sample_rate_hz=found.rate_hz,
        n_channels=found.n_channels,
        claimed_s=found.claimed_s,
        cut_short=found.cut_short,
    )
    if not found.meter.duration_s:
        raise UnusableError("empty", "holds no samples; get it again", info)
    return _measured(replace(info, duration_s=found.meter.duration_s), found.meter), found.sink


def _measured(info: AudioInfo, meter: Meter) -> AudioInfo:
    return replace(
        info,
        peak=meter.peak,
        rms=meter.rms,
        dc_offset=meter.dc_offset,
        clipped=meter.clipped,
        not_finite=meter.not_finite,
    )
