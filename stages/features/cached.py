"""Extracts each feature of a stretch of music once: what is extracted is kept in the work cache."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.features.catalogue import Feature, extract
from stages.features.variants import Variant, vary
from stages.storage import cache, hdf5

# The packages whose version may change a feature.
PACKAGES = ("librosa", "numpy", "scipy", "soxr", "torch")


@dataclass(frozen=True)
class Stretch:
    """Where neighbouring segments of a track are, and what to extract of them.

    Attributes
    ----------
    row : int
        Of the track in tracks.csv.
    starts : sequence of int
        Where the segments begin in the track, in samples.
    stop : int
        Where the music ends that they are made of; silence follows.
    length : int
        Of each segment, in samples.
    variant : Variant or None
        Of the music between the first start and `stop`; None: as it is.
    features : mapping of str to Feature
    keys : mapping of str to str
        Name of the piece that each feature becomes.
    """

    row: int
    starts: Sequence[int]
    stop: int
    length: int
    variant: Variant | None
    features: Mapping[str, Feature]
    keys: Mapping[str, str]


@dataclass(frozen=True)
class Music:
    """A stretch and what it sounds like.

    Attributes
    ----------
    stretch : Stretch
    samples : ndarray of float32 (n_samples,)
        From the first segment's start on, full scale 1; may end before the last segment does.
    """

    stretch: Stretch
    samples: NDArray[np.float32]


def read(stretch: Stretch, audio: Path) -> Music:
    """A stretch with its samples in the file `audio`."""
    with hdf5.open_audio(audio) as file:
        return Music(stretch, hdf5.read_waveform(file, stretch.row, stretch.starts[0], stretch.stop))


def compute(music: Music) -> dict[str, NDArray[Any]]:
    """The features of a stretch, (n_segments, n_bins, n_frames) by name; pure, for any worker anywhere."""
    stretch, samples = music.stretch, music.samples
    starts = [start - stretch.starts[0] for start in stretch.starts]
    if stretch.variant is not None:
        samples, starts = vary(samples, starts, stretch.length, stretch.variant)
    return extract(samples, starts, stretch.length, stretch.features)


def compute_and_save(stretch: Stretch, audio: Path) -> dict[str, NDArray[Any]]:
    """The same, kept in the work cache: for workers that share it and the file `audio`."""
    values = compute(read(stretch, audio))
    save(values, stretch.keys)
    return values


def code() -> str:
    """The digest of the code that extracts and of its packages' versions."""
    return cache.code_key("stages.features.cached", PACKAGES)


def recipe(feature: Feature, variant: Variant | None, length: int, code: str) -> str:
    """A digest of everything but the samples that a feature of segments of `length` samples depends on.

    Parameters
    ----------
    feature : Feature
    variant : Variant or None
    length : int
        Of each segment, in samples.
    code : str
        See `code`.
    """
    how = None if variant is None else asdict(variant)
    return cache.entry_key(type(feature).__name__, asdict(feature), how, length, code)


def key(digest: str, starts: Sequence[int], stop: int, recipe: str) -> str:
    """Name of a piece.

    Parameters
    ----------
    digest : str
        Of the track's samples.
    starts : sequence of int
        Where the segments begin in the track, in samples.
    stop : int
        Where the music ends that they are made of.
    recipe : str
        See `recipe`.
    """
    return cache.entry_key(digest, list(starts), stop, recipe)


def save(values: Mapping[str, NDArray[Any]], keys: Mapping[str, str]) -> None:
    """Keep the features of a stretch."""
    for name, value in values.items():
        cache.save(keys[name], {"values": value}, {})


def load(key: str) -> NDArray[Any] | None:
    """A feature that was kept, or None."""
    kept = cache.load(key, ["values"])
    return None if kept is None else kept[0].get("values")
