"""Decode each file once: the result stays in the work cache."""

import hashlib
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.audio.decode import AudioInfo, DecodedAudio, decode, decode_again
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


@dataclass(frozen=True)
class Entry:
    """What the work cache has of a file.

    Attributes
    ----------
    path : Path
    modified_ns : int
        See `CachedAudio`.
    key : str
    audio : CachedAudio or None
        None: it is still to be decoded.
    """

    path: Path
    modified_ns: int
    key: str
    audio: CachedAudio | None = None


@dataclass(frozen=True)
class Decoded:
    """A file that has just been decoded.

    Attributes
    ----------
    audio : DecodedAudio
        Without samples if they are in the file.
    stored : StoredMusic or None
        See `CachedAudio`.
    """

    audio: DecodedAudio
    stored: StoredMusic | None


def code() -> str:
    """Return the digest of the code that decodes, and of the versions of its packages and of libsndfile."""
    import soundfile

    return cache.entry_key(cache.code_key("stages.audio.cached", PACKAGES), soundfile.__libsndfile_version__)


def entry_of(path: Path, settings: DecodeSettings) -> Entry:
    """Return what the work cache has of a file, and where."""
    modified_ns = path.stat().st_mtime_ns
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    limits = settings.render.model_dump() if is_midi(path) else settings.max_duration_s
    # libsndfile uses the name if the content leaves the format open
    key = cache.entry_key(sha256, path.suffix.lower(), settings.sample_rate_hz, limits, settings.code)
    entry = Entry(path, modified_ns, key)
    if loaded := cache.load(key, ["fingerprint", "checks"]):
        arrays, about = loaded
        stored = about["stored"] and StoredMusic(path, **about["stored"], checks=arrays["checks"])
        audio = CachedAudio(key, AudioInfo(**about["info"]), arrays["fingerprint"], modified_ns, stored)
        return replace(entry, audio=audio)
    return entry


def decode_file(path: Path, settings: DecodeSettings) -> Decoded:
    """Decode a file, and find its waveform in it."""
    audio = decode(path, settings.sample_rate_hz, settings.max_duration_s, settings.render)
    stored = None if audio.samples is None else find(path, audio.samples)
    return Decoded(audio if stored is None else replace(audio, samples=None), stored)


def decode_sent(sent: tuple[str, bytes], settings: DecodeSettings) -> Decoded:
    """Decode a file that comes as its name and content: for workers that do not share the disk."""
    name, content = sent
    with TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        return decode_file(path, settings)


def save(entry: Entry, decoded: Decoded) -> CachedAudio:
    """Save a decoded file in the work cache."""
    audio, stored = decoded.audio, decoded.stored
    arrays: dict[str, NDArray[Any]] = {"fingerprint": audio.fingerprint}
    if stored is not None:
        arrays["checks"], stored = stored.checks, replace(stored, path=entry.path)
    elif audio.samples is not None:
        arrays["samples"] = audio.samples
    place = stored and {"offset": stored.offset, "dtype": stored.dtype, "n_samples": stored.n_samples}
    cache.save(entry.key, arrays, {"info": asdict(audio.info), "stored": place})
    return CachedAudio(entry.key, audio.info, audio.fingerprint, entry.modified_ns, stored)


def decode_cached(path: Path, settings: DecodeSettings) -> CachedAudio:
    """Decode a file, unless the work cache has it: for workers that share the disk."""
    entry = entry_of(path, settings)
    return entry.audio or save(entry, decode_file(path, settings))


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
        n_samples = samples.n_samples if isinstance(samples, StoredMusic) else len(samples)
        is_same = path.stat().st_mtime_ns == audio.modified_ns and n_samples == audio.info.n_samples
    except (FileNotFoundError, UnreadableError):
        is_same = False
    if not is_same:
        raise EncoreError(f"{path} has changed since it was decoded; leave it alone, and run again")
    return samples
