"""Which tracks of a source are wanted: known before anything is copied, downloaded or decoded."""

import hashlib
from collections import defaultdict
from collections.abc import Mapping

from stages.core.errors import EncoreError
from stages.sources.params import SourceParams


def choose(labels: Mapping[str, str], params: SourceParams, place: str) -> list[str]:
    """The track_ids to take, sorted.

    A class is put in an order that depends on the seed and the track_ids alone, and is taken from its
    start: a larger share contains the smaller one, and a track more does not shuffle the others.

    Parameters
    ----------
    labels : mapping of str to str
        Label of each track_id that there is; empty: unlabelled.
    params : SourceParams
    place : str
        Where the tracks are, for the message.

    Raises
    ------
    EncoreError
        If one of `params.classes` is not there.
    """
    wanted = wanted_classes(labels, params, place)
    classes = defaultdict(list)
    for track_id, label in labels.items():
        if label in wanted | {""}:
            classes[label].append(track_id)
    chosen = []
    for track_ids in classes.values():
        n_wanted = max(1, round(params.fraction * len(track_ids)))
        if params.tracks_per_class is not None:
            n_wanted = min(n_wanted, params.tracks_per_class)
        chosen += sorted(track_ids, key=lambda track_id: _rank(params.seed, track_id))[:n_wanted]
    if len(chosen) < len(labels):
        print(f"fetch: chose {len(chosen)} of the {len(labels)} tracks in {place}")
    return sorted(chosen)


def wanted_classes(labels: Mapping[str, str], params: SourceParams, place: str) -> set[str]:
    """The classes to take; the parameters and the error are those of `choose`."""
    there = set(labels.values()) - {""}
    wanted = there if params.classes is None else set(params.classes)
    if missing := sorted(wanted - there):
        raise EncoreError(
            f"dataset.classes: no class {', '.join(missing)} in {place}; "
            f"there are: {', '.join(sorted(there))}"
        )
    return wanted


def _rank(seed: int, track_id: str) -> bytes:
    return hashlib.sha256(f"{seed} {track_id}".encode()).digest()
