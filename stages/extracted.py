"""Extracts each feature of a stretch of music once: what is extracted is kept in the work cache."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stages import pieces, store
from stages.audio.features import Feature, extract

if TYPE_CHECKING:
    import h5py

# The packages whose version may change a feature.
PACKAGES = ("librosa", "numpy", "scipy", "torch")


@dataclass(frozen=True)
class Stretch:
    """Neighbouring segments of a track.

    Attributes
    ----------
    samples : ndarray of float32 (n_samples,)
        Full scale 1; may end before the last segment does.
    starts : sequence of int
        Where the segments begin in `samples`.
    length : int
        Of each segment, in samples.
    features : mapping of str to Feature
        What to extract.
    """

    samples: NDArray[np.float32]
    starts: Sequence[int]
    length: int
    features: Mapping[str, Feature]


def read(
    audio: "h5py.File", row: int, starts: Sequence[int], length: int, features: Mapping[str, Feature]
) -> Stretch:
    """A stretch of row `row` of tracks.csv, whose segments begin at `starts` in the track."""
    samples = store.read_waveform(audio, row, starts[0], starts[-1] + length)
    return Stretch(samples, [start - starts[0] for start in starts], length, features)


def compute(stretch: Stretch) -> dict[str, NDArray[Any]]:
    """The features of a stretch, (n_segments, n_bins, n_frames) by name; pure, for any worker anywhere."""
    return extract(stretch.samples, stretch.starts, stretch.length, stretch.features)


def code() -> str:
    """The digest of the code that extracts and of its packages' versions."""
    return pieces.code_key("stages.extracted", PACKAGES)


def key(digest: str, starts: Sequence[int], length: int, feature: Feature, code: str) -> str:
    """Name of a piece.

    Parameters
    ----------
    digest : str
        Of the track's samples.
    starts : sequence of int
        Where the segments begin in the track.
    length : int
        Of each segment, in samples.
    feature : Feature
    code : str
        See `code`.
    """
    return pieces.piece_key(digest, list(starts), length, type(feature).__name__, asdict(feature), code)


def save(key: str, values: NDArray[Any]) -> None:
    """Keep a feature of a stretch."""
    pieces.save(key, {"values": values}, {})


def load(key: str) -> NDArray[Any] | None:
    """A feature that was kept, or None."""
    kept = pieces.load(key, ["values"])
    return None if kept is None else kept[0].get("values")
