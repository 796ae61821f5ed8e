"""Ways to split tracks into train, valid and test; each checks what it promises."""

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stages.core.connected import connected
from stages.core.errors import EncoreError

SPLITS = ("train", "valid", "test")


def assign(
    labels: Sequence[str], units: Sequence[str], shares: Sequence[float], seed: int
) -> NDArray[np.int64]:
    """Assign whole units to parts so that every class comes close to its share in every part.

    The largest units come first, in seeded random order among equals. Each goes where it lowers
    ``sum(((have - target) / target) ** 2)`` over its classes the most (the greedy idea of scikit-learn's
    StratifiedGroupKFold, which only supports equal parts). Once a class has only as many units left as
    there are parts without it, those parts come first.

    Parameters
    ----------
    labels, units : sequence of str (n_tracks,)
        Class of each track, and what it must stay together with.
    shares : sequence of float (n_parts,)
        Share of each part; positive, summing to 1.
    seed : int

    Returns
    -------
    ndarray of int (n_tracks,)
        Part of each track.
    """
    _, class_of = np.unique(np.asarray(labels), return_inverse=True)
    names, unit_of = np.unique(np.asarray(units), return_inverse=True)
    sizes = np.zeros((len(names), class_of.max() + 1))
    np.add.at(sizes, (unit_of, class_of), 1)
    target = np.outer(shares, sizes.sum(axis=0))
    have = np.zeros_like(target)
    order = np.random.default_rng(seed).permutation(len(names))
    order = order[np.argsort(-sizes[order].sum(axis=1), kind="stable")]
    units_left = (sizes > 0).sum(axis=0)
    part_of_unit = np.empty(len(names), np.int64)
    for unit in order:
        after = (((have + sizes[unit] - target) / target) ** 2).sum(axis=1)
        before = (((have - target) / target) ** 2).sum(axis=1)
        cost = after - before
        lacking = (have == 0) & (sizes[unit] > 0)
        urgent = lacking & (units_left <= lacking.sum(axis=0))
        if urgent.any():
            cost[~urgent.any(axis=1)] = np.inf
        units_left -= sizes[unit] > 0
        part = int(np.argmin(cost))
        have[part] += sizes[unit]
        part_of_unit[unit] = part
    parts: NDArray[np.int64] = part_of_unit[unit_of]
    return parts


def units_of(recordings: Sequence[str], groups: Sequence[str]) -> list[str]:
    """Name what each track must stay together with: all that share a recording or a group, directly or not.

    Parameters
    ----------
    recordings : sequence of str (n_tracks,)
        Equal for copies of one recording.
    groups : sequence of str (n_tracks,)
        Artist, album or work; empty: none.

    Returns
    -------
    list of str (n_tracks,)
        Name of each track's unit: its first group in the alphabet, else its first recording.
    """
    n_tracks = len(recordings)
    keys = [("recording", name) for name in recordings] + [("group", name) for name in groups]
    ties = [(i % n_tracks, key) for i, key in enumerate(keys) if key[1]]
    node_of = {key: n_tracks + place for place, key in enumerate(sorted({key for _, key in ties}))}
    first = connected(n_tracks + len(node_of), [(track, node_of[key]) for track, key in ties])
    # "group" comes before "recording"
    name_of = {first[node]: key[1] for key, node in sorted(node_of.items(), reverse=True)}
    return [name_of[first[track]] for track in range(n_tracks)]


def holdout(labels: Sequence[str], units: Sequence[str], valid: float, test: float, seed: int) -> list[str]:
    """Split into train, valid and test by share.

    Raises
    ------
    EncoreError
        If a class is too small to have a unit in every split.
    """
    parts = assign(labels, units, [1 - valid - test, valid, test], seed)
    splits = [SPLITS[part] for part in parts]
    _assert_classes_in_each(labels, units, splits, SPLITS)
    return splits


def kfold(
    labels: Sequence[str], units: Sequence[str], k: int, fold: int, seed: int
) -> tuple[list[str], list[int]]:
    """Split into `k` parts: part `fold` is test, the next one (in a circle) valid, the others train.

    Returns
    -------
    splits : list of str (n_tracks,)
    folds : list of int (n_tracks,)
        Part of each track; the same for every `fold`.

    Raises
    ------
    EncoreError
        If a class is too small to have a unit in every part.
    """
    folds = assign(labels, units, [1 / k] * k, seed).tolist()
    names = [f"fold {part}" for part in range(k)]
    _assert_classes_in_each(labels, units, [names[part] for part in folds], names)
    split_of = {fold: "test", (fold + 1) % k: "valid"}
    return [split_of.get(part, "train") for part in folds], folds


def assert_apart(units: Sequence[str], splits: Sequence[str]) -> None:
    """Raise `EncoreError` if the tracks of one unit are in two of train, valid and test."""
    seen: dict[str, str] = {}
    for unit, split in zip(units, splits, strict=True):
        if split in SPLITS and seen.setdefault(unit, split) != split:
            raise EncoreError(f"split: {unit!r} is in both {seen[unit]} and {split}: results would leak")


def count_in_several_splits(names: Sequence[str], splits: Sequence[str]) -> int:
    """Count the names (of groups or recordings) that are in more than one split, the empty one apart."""
    splits_of = defaultdict(set)
    for name, split in zip(names, splits, strict=True):
        if name and split in SPLITS:
            splits_of[name].add(split)
    return sum(len(found) > 1 for found in splits_of.values())


def _assert_classes_in_each(
    labels: Sequence[str], units: Sequence[str], parts: Sequence[str], names: Sequence[str]
) -> None:
    """Raise `EncoreError` if a class has no track in one of the parts called `names`."""
    found = set(zip(labels, parts, strict=True))
    n_units = Counter(label for label, _ in set(zip(labels, units, strict=True)))
    for label in sorted(n_units):
        for name in names:
            if (label, name) not in found:
                raise EncoreError(
                    f"split: class {label!r} has no track in {name}: it has {n_units[label]} tracks or "
                    f"groups that stay together, and at least {len(names)} are needed; add music, leave the "
                    "class out with dataset.classes, or choose another split"
                )
