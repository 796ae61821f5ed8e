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
from stages.audio.pcm import find
from stages.audio.reading import UnreadableError
from stages.core.errors import EncoreError
from stages.storage import cache
from stages.storage.audio_file import StoredMusic

# The packages whose version may change a waveform.
PACKAGES = ("av", "numpy", "pretty_midi", "scipy", "soundfile", "soxr", "tinysoundfont")


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
    """A decoded file; its waveform is in the work cache, unless the file itself has it.

    Attributes
    ----------
    key : str
        Key of the cache entry; empty if the file could not be decoded at all.
    info : AudioInfo
    fingerprint : ndarray of uint32 (n_frames,)
        See `stages.audio.fingerprint`.
    modified_ns : int
        When the file was last changed before it was decoded, in ns since 1970.
    stored : StoredMusic or None
        Where the waveform is in the file; None: it is not there as it is.
    """

    key: str
    info: AudioInfo
    fingerprint: NDArray[np.uint32]
    modified_ns: int
    stored: StoredMusic | None = None


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
    if entry := cache.load(key, ["fingerprint", "checks"]):
        saved, about = entry
        stored = None
        if place := about["place"]:
            stored = StoredMusic(path, place["offset"], place["dtype"], place["n_samples"], saved["checks"])
        return CachedAudio(key, AudioInfo(**about["info"]), saved["fingerprint"], modified_ns, stored)
    decoded = decode(path, settings.sample_rate_hz, settings.max_duration_s, settings.render)
    stored = None if decoded.samples is None else find(path, decoded.samples)
    arrays: dict[str, NDArray[Any]] = {"fingerprint": decoded.fingerprint}
    place = None
    if stored is not None:
        arrays["checks"] = stored.checks
        place = {"offset": stored.offset, "dtype": stored.dtype, "n_samples": stored.n_samples}
    elif decoded.samples is not None:
        arrays["samples"] = decoded.samples
    cache.save(key, arrays, {"info": asdict(decoded.info), "place": place})
    return CachedAudio(key, decoded.info, decoded.fingerprint, modified_ns, stored)


def decode_failed(reason: str) -> CachedAudio:
    """Return the result for a file that kills or blocks the process that decodes it."""
    reason = f"{reason}; get it again, or convert it to FLAC or WAV"
    return CachedAudio("", AudioInfo(problem="decode error", reason=reason), np.empty(0, np.uint32), 0)


def waveform(path: Path, audio: CachedAudio, settings: DecodeSettings) -> NDArray[Any] | StoredMusic:
    """Return the samples of a file that was decoded before, or where they are in it.

    They are in the work cache; if they are there no more, the file is decoded again.

    Raises
    ------
    EncoreError
        If the file has changed meanwhile.
    """
    if audio.stored is None and (entry := cache.load(audio.key, ["samples"])):
        return entry[0]["samples"]
    try:
        samples = audio.stored or decode_again(
            path, settings.sample_rate_hz, settings.max_duration_s, settings.render
        )
        is_same = path.stat().st_mtime_ns == audio.modified_ns
    except (FileNotFoundError, UnreadableError):
        is_same = False
    if not is_same:
        raise EncoreError(f"{path} has changed since it was decoded; leave it alone, and run again")
    return samples
