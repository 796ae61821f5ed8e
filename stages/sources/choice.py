"""Which tracks of a source are wanted: known before anything is copied, downloaded or decoded."""

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable

from stages.core.errors import EncoreError
from stages.core.tables import RawTrack
from stages.sources.params import SourceParams


def choose(tracks: Collection[RawTrack], params: SourceParams, place: str) -> list[RawTrack]:
    """Return `chosen`, and print how many of the tracks these are if some are left out."""
    taken = chosen(tracks, params, place)
    if len(taken) < len(tracks):
        print(f"fetch: chose {len(taken)} of the {len(tracks)} tracks in {place}")
    return taken


def chosen(tracks: Iterable[RawTrack], params: SourceParams, place: str) -> list[RawTrack]:
    """Return the tracks to take, sorted by track_id.

    The order within a class depends on the seed and the track_ids alone, and the class is taken from its
    start: a larger share contains the smaller one, and a new track changes the choice by at most one.

    Parameters
    ----------
    tracks : iterable of RawTrack
        Every track that there is.
    params : SourceParams
    place : str
        Where the tracks are, for the message.

    Raises
    ------
    EncoreError
        If one of `params.classes` is not there.
    """
    classes = defaultdict(list)
    for track in tracks:
        classes[track.label].append(track)
    wanted = wanted_classes(classes, params, place)
    taken = []
    for label in wanted | {""} & classes.keys():
        n_wanted = max(1, round(params.fraction * len(classes[label])))
        if params.tracks_per_class is not None:
            n_wanted = min(n_wanted, params.tracks_per_class)
        taken += sorted(classes[label], key=lambda track: _rank(params.seed, track.track_id))[:n_wanted]
    return sorted(taken, key=lambda track: track.track_id)


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
