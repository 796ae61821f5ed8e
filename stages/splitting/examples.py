"""The segments of one split, to train, to validate or to test; leaks are refused."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.core.errors import EncoreError
from stages.core.tables import Assignment, read_rows
from stages.splitting.inputs import as_one_frame, names_of
from stages.splitting.schemes import SPLITS, assert_apart
from stages.storage.feature_file import Features

FEATURES = Path("data/features/features.h5")
SPLIT = Path("data/split/split.csv")

BLOCK = 256  # segments read at a time where all are wanted in turn


@dataclass(frozen=True)
class Examples:
    """The segments of one split, to be read while the features file is open.

    Attributes
    ----------
    label : ndarray of int64 (n_segments,)
        Index into `known_labels`; -1: none of them.
    track_id : ndarray of str (n_segments,)
    """

    label: NDArray[np.int64]
    track_id: NDArray[np.str_]
    _read: Callable[[NDArray[np.intp]], NDArray[Any]]
    _rows: NDArray[np.intp]

    def __len__(self) -> int:
        return len(self._rows)

    def read(self, segments: slice | NDArray[np.intp] = slice(None)) -> NDArray[Any]:
        """Read some segments, in ascending order: float32, or uint8 for codes (n, n_bins, n_frames)."""
        return self._read(self._rows[segments])

    def blocks(self) -> Iterator[NDArray[Any]]:
        """Read all segments, `BLOCK` at a time."""
        for start in range(0, len(self), BLOCK):
            yield self.read(slice(start, start + BLOCK))


def read_split() -> list[Assignment]:
    """Read the split of each track, and refuse one that leaks.

    Raises
    ------
    EncoreError
        If a track, or a unit that must stay together, is in two of train, valid and test.
    """
    rows = read_rows(SPLIT, Assignment)
    splits = [row.split for row in rows]
    assert_apart([row.track_id for row in rows], splits)
    assert_apart([row.unit for row in rows], splits)
    return rows


def known_labels(assignments: Sequence[Assignment]) -> list[str]:
    """Return the names of the classes that are trained on and evaluated, in order."""
    return sorted({row.label for row in assignments if row.split in SPLITS})


def assert_there(features: Features, wanted: str | list[str], key: str) -> None:
    """Raise `EncoreError` if the features file lacks a feature that the parameter `key` names."""
    if missing := set(names_of(wanted)) - set(features.names):
        raise EncoreError(
            f"params.yaml: {key} is {wanted!r}, but {FEATURES} has only {', '.join(features.names)}; "
            f"add {min(missing)} to features.include"
        )


def shape(features: Features, wanted: str | list[str]) -> tuple[int, int]:
    """Return (n_bins, n_frames) of what `Examples.read` gives."""
    if isinstance(wanted, str):
        return features.shape(wanted)
    return as_one_frame(np.zeros((1, *features.shape(name)), np.float32) for name in wanted).shape[1], 1


def load(
    features: Features,
    wanted: str | list[str],
    assignments: Sequence[Assignment],
    split: str,
    variants: Sequence[str] = (),
) -> Examples:
    """Find the segments of one split: the original ones, then those of each of `variants`.

    Parameters
    ----------
    features : Features
        Open features file.
    wanted : str or list of str
        A feature, whose frames are read, or several, of which statistics are: `stages.splitting.inputs`.
    assignments : sequence of Assignment
        From `read_split`.
    split : {'train', 'valid', 'test', 'unknown', 'unlabelled'}
    variants : sequence of str
        Some of `features.variants`; only for train.

    Raises
    ------
    EncoreError
        If the split is empty, or one of its tracks has no segment.
    ValueError
        If variants of another split than train are asked for.
    """
    if variants and split != "train":
        raise ValueError(f"{split} is evaluated without variants")
    in_split = {row.track_id for row in assignments if row.split == split}
    if not in_split:
        raise EncoreError(f"{SPLIT}: no track is in {split}")
    rows = np.flatnonzero([track_id in in_split for track_id in features.track_id])
    track_id = features.track_id[rows].astype(str)
    lost = sorted(in_split - set(track_id.tolist()))
    if lost:
        raise EncoreError(f"{SPLIT}: {lost[0]!r} is in {split}, but {FEATURES} has no segment of it")
    index = {label: i for i, label in enumerate(known_labels(assignments))}
    known = np.array([index.get(label, -1) for label in features.labels] + [-1])  # the last one: no label
    n_versions = 1 + len(variants)
    return Examples(
        np.tile(known[features.label[rows]], n_versions),
        np.tile(track_id, n_versions),
        partial(_read, features, wanted, variants),
        (rows + np.arange(n_versions)[:, None] * len(features.track_id)).ravel(),
    )


def _read(
    features: Features, wanted: str | list[str], variants: Sequence[str], rows: NDArray[np.intp]
) -> NDArray[Any]:
    if isinstance(wanted, str):
        return features.read(wanted, rows, variants)
    # the frames of all rows may take far more memory than their statistics
    blocks = np.split(rows, np.arange(BLOCK, len(rows), BLOCK))
    return np.concatenate(
        [as_one_frame(features.read(name, block, variants) for name in wanted) for block in blocks]
    )
