"""Decodes each file once: what is decoded is kept in the work cache."""

import hashlib
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.audio.decode import Rendering, Sound, decode
from stages.audio.formats import is_midi
from stages.storage import cache

# The packages whose version may change a waveform.
PACKAGES = ("numpy", "pretty_midi", "scipy", "soundfile", "soxr", "tinysoundfont")


@dataclass(frozen=True)
class Recipe:
    """Everything but the file that a waveform depends on.

    Attributes
    ----------
    sample_rate_hz : int
    max_duration_s : float
    rendering : Rendering
    code : str
        See `stages.storage.cache.code_key`.
    """

    sample_rate_hz: int
    max_duration_s: float
    rendering: Rendering
    code: str


@dataclass(frozen=True)
class Heard:
    """A decoded file without its waveform, and the key under which that is kept."""

    key: str
    sound: Sound
    fingerprint: NDArray[np.uint32]


def code() -> str:
    """The digest of the code that decodes, of its packages' and of libsndfile's version."""
    import soundfile

    return cache.piece_key(cache.code_key("stages.audio.cached", PACKAGES), soundfile.__libsndfile_version__)


def hear(path: Path, recipe: Recipe) -> Heard:
    """Decode a file, unless the work cache has it."""
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    manner = astuple(recipe.rendering) if is_midi(path) else recipe.max_duration_s
    # libsndfile takes the name into account where the content leaves it in doubt
    key = cache.piece_key(sha256, path.suffix.lower(), recipe.sample_rate_hz, manner, recipe.code)
    if kept := cache.load(key, ["fingerprint"]):
        arrays, about = kept
        return Heard(key, Sound(**about), arrays["fingerprint"])
    decoded = decode(path, recipe.sample_rate_hz, recipe.max_duration_s, recipe.rendering)
    arrays = {"fingerprint": decoded.fingerprint}
    if decoded.samples is not None:
        arrays["samples"] = decoded.samples
    cache.save(key, arrays, asdict(decoded.sound))
    return Heard(key, decoded.sound, decoded.fingerprint)


def unheard(reason: str) -> Heard:
    """What stands for a file that never let itself be decoded."""
    return Heard("", Sound(problem="decode error", reason=reason), np.empty(0, np.uint32))


def waveform(path: Path, key: str, recipe: Recipe) -> NDArray[Any]:
    """The samples of a file that was heard: from the work cache, or decoded again."""
    if kept := cache.load(key, ["samples"]):
        return kept[0]["samples"]
    samples = decode(path, recipe.sample_rate_hz, recipe.max_duration_s, recipe.rendering).samples
    if samples is None:
        raise AssertionError(f"{path} decoded before, and now does not")
    return samples
