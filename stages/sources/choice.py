"""Which tracks of a source are wanted: known before anything is copied, downloaded or decoded."""

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable

from stages.core.errors import EncoreError
from stages.core.tables import RawTrack
from stages.sources.corrected import corrected, corrections_in_words
from stages.sources.params import SourceParams


def choose(tracks: Collection[RawTrack], params: SourceParams, place: str) -> list[RawTrack]:
    """Return `chosen`; print how many of the tracks these are if some are left out, and what looks wrong.

    What verdicts have corrected is printed, too.
    """
    taken = chosen(tracks, params, place)
    for line in corrections_in_words(tracks, taken, params):
        print(f"fetch: {line}")
    if len(taken) < len(tracks):
        print(f"fetch: chose {len(taken)} of the {len(tracks)} tracks in {place}")
    for warning in warnings(track.label for track in taken):
        print(f"  warning: {warning}")
    return taken


def warnings(labels: Iterable[str]) -> list[str]:
    """Return what looks wrong with the classes of the tracks, whose labels are given."""
    classes = sorted(set(labels) - {""})
    alike = defaultdict(list)
    for name in classes:
        alike["".join(name.split()).casefold()].append(name)
    found = [
        f"{', '.join(map(repr, names))} are different classes, but differ only in case or spaces"
        for names in alike.values()
        if len(names) > 1
    ]
    if len(classes) < 2:
        there = f"one class only, {classes[0]}" if classes else "no class"
        found.append(f"there is {there}; features can be extracted, but a classifier needs two")
    return found


def chosen(tracks: Iterable[RawTrack], params: SourceParams, place: str) -> list[RawTrack]:
    """Return the tracks to take, sorted by track_id, with the labels that `dataset.labels` corrects.

    The order within a class depends on the seed and the track_ids alone, and the class is taken from its
    start: a larger share contains the smaller one, and a new track changes the choice by at most one.

    Parameters
    ----------
    tracks : iterable of RawTrack
        Every track that there is, as the source labels it.
    params : SourceParams
    place : str
        Where the tracks are, for the message.

    Raises
    ------
    EncoreError
        If one of `params.classes` is not there, or the table of verdicts is wrong.
    """
    classes = defaultdict(list)
    for track in candidates(tracks, params):
        classes[track.label].append(track)
    wanted = wanted_classes(classes, params, place)
    taken = []
    for label in wanted | {""} & classes.keys():
        n_wanted = max(1, round(params.fraction * len(classes[label])))
        if params.most_per_class is not None:
            n_wanted = min(n_wanted, params.most_per_class)
        taken += sorted(classes[label], key=lambda track: _rank(params.seed, track.track_id))[:n_wanted]
    return sorted(taken, key=lambda track: track.track_id)


def candidates(tracks: Iterable[RawTrack], params: SourceParams) -> list[RawTrack]:
    """Return the tracks `corrected`, without those that nobody can label and whose class was not wanted."""
    before = [*tracks]
    return [
        track
        for old, track in zip(before, corrected(before, params), strict=True)
        if track.label or params.classes is None or old.label in ("", *params.classes)
    ]


def wanted_classes(labels: Iterable[str], params: SourceParams, place: str) -> set[str]:
    """Return the classes to take of those in `labels`; parameters and error are those of `chosen`."""
    there = set(labels) - {""}
    wanted = there if params.classes is None else set(params.classes)
    if missing := sorted(wanted - there):
        raise EncoreError(
            f"dataset.classes: no class {', '.join(missing)} in {place}; "
            f"there are: {', '.join(sorted(there))}"
        )
    return wanted


def _rank(seed: int, track_id: str) -> bytes:
    return hashlib.sha256(f"{seed} {track_id}".encode()).digest()
