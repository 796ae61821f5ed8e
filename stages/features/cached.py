"""Features of a chunk of music: what they depend on, and how they are computed and written."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.core.errors import EncoreError
from stages.core.runtime import keep_freed_memory
from stages.features.catalogue import extract
from stages.features.feature import Feature
from stages.features.variants import Variant, vary
from stages.storage import audio_file, cache, feature_file

# The packages whose version may change a feature.
PACKAGES = ("librosa", "numpy", "scipy", "soxr")


@dataclass(frozen=True)
class Chunk:
    """Neighbouring segments of a track: where they are, and what to extract from them.

    Attributes
    ----------
    row : int
        Of the track in tracks.csv.
    first : int
        Row of the first segment in the index.
    starts : sequence of int
        Where the segments begin in the track, in samples.
    stop : int
        Where the music of the segments ends; silence follows.
    length : int
        Of each segment, in samples.
    variant : Variant or None
        Of the music between the first start and `stop`; None: the original.
    features : mapping of str to Feature
    """

    row: int
    first: int
    starts: Sequence[int]
    stop: int
    length: int
    variant: Variant | None
    features: Mapping[str, Feature]


@dataclass(frozen=True)
class LoadedChunk:
    """A chunk with its music.

    Attributes
    ----------
    chunk : Chunk
    samples : ndarray of float32 (n_samples,)
        From the first segment's start on, full scale 1; may end before the last segment does.
    """

    chunk: Chunk
    samples: NDArray[np.float32]


def read(chunk: Chunk, audio: Path) -> LoadedChunk:
    """Read the samples of a chunk from the file `audio`."""
    with audio_file.open_audio(audio) as file:
        return LoadedChunk(chunk, audio_file.read_waveform(file, chunk.row, chunk.starts[0], chunk.stop))


def compute(loaded: LoadedChunk) -> dict[str, NDArray[Any]]:
    """Compute the features of a chunk, (n_segments, n_bins, n_frames) by name, on any worker."""
    keep_freed_memory()
    chunk, samples = loaded.chunk, loaded.samples
    starts = [start - chunk.starts[0] for start in chunk.starts]
    if chunk.variant is not None:
        samples, starts = vary(samples, starts, chunk.length, chunk.variant)
    return extract(samples, starts, chunk.length, chunk.features)


def compute_and_write(chunk: Chunk, audio: Path, new: feature_file.NewFeatures) -> None:
    """Read, compute and write a chunk: for workers that share the files."""
    write(chunk, compute(read(chunk, audio)), new)


def write(chunk: Chunk, values: Mapping[str, NDArray[Any]], new: feature_file.NewFeatures) -> None:
    """Write features of a chunk."""
    new.write(chunk.first, values, chunk.variant.name if chunk.variant else None)


def code() -> str:
    """Return the digest of the code that extracts and of its packages' versions."""
    return cache.code_key("stages.features.cached", PACKAGES)


def settings_key(feature: Feature, variant: Variant | None, length: int, code: str) -> str:
    """Return a digest of everything but the samples that a feature depends on.

    Parameters
    ----------
    feature : Feature
    variant : Variant or None
    length : int
        Of each segment, in samples.
    code : str
        See `code`.
    """
    altered = None if variant is None else asdict(variant)
    try:
        own = [(package, version(package)) for package in feature.packages]
    except PackageNotFoundError as missing:
        raise EncoreError(f"the package {missing.name} is missing; `make repro` installs it") from None
    settings = {"sample_rate_hz": feature.sample_rate_hz, **feature.stored_settings()}
    return cache.entry_key(type(feature).__name__, settings, altered, length, code, own)


def key(digest: str, starts: Sequence[int], stop: int, settings_key: str) -> str:
    """Return a digest of everything that a feature of a chunk depends on.

    Parameters
    ----------
    digest : str
        Of the track's samples.
    starts, stop
        See `Chunk`.
    settings_key : str
        See `settings_key`.
    """
    return cache.entry_key(digest, list(starts), stop, settings_key)
