"""Decode each file once: the result stays in the work cache."""

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.audio.decode import AudioInfo, decode, decode_again
from stages.audio.formats import is_midi
from stages.audio.params import RenderParams
from stages.audio.reading import UnreadableError, read_as_stored
from stages.core.errors import EncoreError
from stages.storage import cache

# The packages whose version may change a waveform.
PACKAGES = ("av", "numpy", "pretty_midi", "scipy", "soundfile", "soxr", "tinysoundfont")
# Encodings whose samples need no decoding.
AS_STORED = ("WAV/PCM_16", "WAVEX/PCM_16", "AU/PCM_16", "AIFF/PCM_16")


@dataclass(frozen=True)
class DecodeSettings:
    """Everything that a waveform depends on, except the file.

    Attributes
    ----------
    sample_rate_hz : int
    max_duration_s : float
    render : RenderParams
    code : str
        See `code`.
    """

    sample_rate_hz: int
    max_duration_s: float
    render: RenderParams
    code: str


@dataclass(frozen=True)
class CachedAudio:
    """A decoded file; its waveform is in the work cache, unless the file itself is read as fast.

    Attributes
    ----------
    key : str
        Key of the cache entry; empty if the file could not be decoded at all.
    info : AudioInfo
    fingerprint : ndarray of uint32 (n_frames,)
        See `stages.audio.fingerprint`.
    modified_ns : int
        When the file was last changed before it was decoded, in ns since 1970.
    """

    key: str
    info: AudioInfo
    fingerprint: NDArray[np.uint32]
    modified_ns: int


def code() -> str:
    """Return the digest of the code that decodes, and of the versions of its packages and of libsndfile."""
    import soundfile

    return cache.entry_key(cache.code_key("stages.audio.cached", PACKAGES), soundfile.__libsndfile_version__)


def decode_cached(path: Path, settings: DecodeSettings) -> CachedAudio:
    """Decode a file, unless the work cache has it."""
    modified_ns = path.stat().st_mtime_ns
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    limits = settings.render.model_dump() if is_midi(path) else settings.max_duration_s
    # libsndfile uses the name if the content leaves the format open
    key = cache.entry_key(sha256, path.suffix.lower(), settings.sample_rate_hz, limits, settings.code)
    if entry := cache.load(key, ["fingerprint"]):
        arrays, about = entry
        return CachedAudio(key, AudioInfo(**about), arrays["fingerprint"], modified_ns)
    decoded = decode(path, settings.sample_rate_hz, settings.max_duration_s, settings.render)
    arrays = {"fingerprint": decoded.fingerprint}
    if decoded.samples is not None and not _is_as_stored(decoded.info, settings):
        arrays["samples"] = decoded.samples
    cache.save(key, arrays, asdict(decoded.info))
    return CachedAudio(key, decoded.info, decoded.fingerprint, modified_ns)


def _is_as_stored(info: AudioInfo, settings: DecodeSettings) -> bool:
    """Whether the waveform is in the file as it is, so that an entry would only take its place again."""
    is_mono = (info.n_channels, info.sample_rate_hz) == (1, settings.sample_rate_hz)
    return is_mono and info.encoding in AS_STORED and not info.cut_short


def decode_failed(reason: str) -> CachedAudio:
    """Return the result for a file that kills or blocks the process that decodes it."""
    reason = f"{reason}; get it again, or convert it to FLAC or WAV"
    return CachedAudio("", AudioInfo(problem="decode error", reason=reason), np.empty(0, np.uint32), 0)


def waveform(path: Path, audio: CachedAudio, settings: DecodeSettings) -> NDArray[Any]:
    """Return the samples of a file that was decoded before, from the work cache or from the file again.

    Raises
    ------
    EncoreError
        If the file has changed meanwhile.
    """
    is_as_stored = _is_as_stored(audio.info, settings)
    if not is_as_stored and (entry := cache.load(audio.key, ["samples"])):
        return entry[0]["samples"]
    try:
        if is_as_stored:
            samples = read_as_stored(path)
        else:
            samples = decode_again(path, settings.sample_rate_hz, settings.max_duration_s, settings.render)
        is_same = path.stat().st_mtime_ns == audio.modified_ns and len(samples) == audio.info.n_samples
    except (FileNotFoundError, UnreadableError):
        is_same = False
    if not is_same:
        raise EncoreError(f"{path} has changed since it was decoded; leave it alone, and run again")
    return samples
