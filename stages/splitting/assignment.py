"""Assigns every track to a split, and returns warnings about leaks."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from stages.core.errors import EncoreError
from stages.core.tables import Assignment, SegmentedTrack
from stages.core.user_tables import read_pairs, spelled
from stages.splitting.params import FileParams, HoldoutParams, KFoldParams, PublishedParams, SplitParams
from stages.splitting.schemes import (
    SPLITS,
    assert_apart,
    count_in_several_splits,
    holdout,
    kfold,
    units_of,
)

# Splits of the tracks that belong to none of train, valid and test.
NOT_SCORED = ("unknown", "unlabelled", "excluded")


def assign_tracks(
    tracks: Sequence[SegmentedTrack], params: SplitParams
) -> tuple[list[Assignment], list[str]]:
    """Assign the tracks that have segments to splits.

    Parameters
    ----------
    tracks : sequence of SegmentedTrack
    params : SplitParams
        The `split` section.

    Returns
    -------
    rows : list of Assignment
        One for each track that has segments, in their order.
    warnings : list of str
        Why the results may be too good, or less certain.

    Raises
    ------
    EncoreError
        If there are fewer than two classes, a class is too small, or a given split does not fit.
    """
    tracks = [track for track in tracks if track.n_segments > 0]
    if not any(track.label for track in tracks):
        raise EncoreError("split: no track has a label; put the files of each class into a separate folder")
    unknown = _unknown(tracks, params.unknown_classes)
    labelled = [track for track in tracks if track.label and track.label not in params.unknown_classes]
    _assert_two_classes(labelled, params.unknown_classes)
    units = _units(labelled, params)
    splits, folds = _deal(labelled, units, params)
    assert_apart(units, splits)
    assigned = {
        track.track_id: Assignment(track.track_id, track.label, unit, split, fold)
        for track, unit, split, fold in zip(labelled, units, splits, folds, strict=True)
    }
    known_recordings = {track.recording for track in labelled}
    rows = [
        assigned.get(track.track_id)
        or Assignment(track.track_id, track.label, track.track_id, _aside(track, known_recordings), -1)
        for track in tracks
    ]
    return rows, [*_warnings(labelled, splits), *_warnings_of_unknown(labelled, unknown)]


def _unknown(tracks: Sequence[SegmentedTrack], classes: Sequence[str]) -> list[SegmentedTrack]:
    """Return the tracks of unknown classes."""
    labels = sorted({track.label for track in tracks if track.label})
    for name in classes:
        if name not in labels:
            raise EncoreError(
                f"params.yaml: split.unknown_classes has {name!r}, should be among {', '.join(labels)}"
            )
    return [track for track in tracks if track.label in classes]


def _assert_two_classes(labelled: Sequence[SegmentedTrack], unknown_classes: Sequence[str]) -> None:
    labels = sorted({track.label for track in labelled})
    if len(labels) < 2:
        only = f"one class only, {labels[0]!r}" if labels else "no class"
        aside = f" beside those of split.unknown_classes, {', '.join(unknown_classes)}"
        raise EncoreError(f"split: there is {only}{aside if unknown_classes else ''}; a classifier needs two")


def _units(labelled: Sequence[SegmentedTrack], params: SplitParams) -> list[str]:
    """Return the unit of each track; tracks of the same unit must be in the same split."""
    if isinstance(params, FileParams | PublishedParams):
        # the author of the split decides; a warning says if a group or recording is in several splits
        return [track.track_id for track in labelled]
    keeps_groups = params.name in ("grouped", "kfold")
    return units_of(
        [track.recording for track in labelled],
        [track.group if keeps_groups else "" for track in labelled],
    )


def _deal(
    labelled: Sequence[SegmentedTrack], units: Sequence[str], params: SplitParams
) -> tuple[list[str], list[int]]:
    """Return the split and the fold of each track; fold -1: the scheme has none."""
    labels = [track.label for track in labelled]
    match params:
        case KFoldParams():
            return kfold(labels, units, params.k, params.fold, params.seed)
        case HoldoutParams():
            splits = holdout(labels, units, params.valid, params.test, params.seed)
        case FileParams():
            given = _read_splits(Path(params.path))
            _assert_names_tracks(given, labelled, params.path)
            splits = _given_splits(given, labelled, f"split.path: {params.path}")
        case PublishedParams():
            given = {spelled(track.track_id): track.split for track in labelled if track.split}
            if not given:
                raise EncoreError("split: this dataset publishes no split; choose another, such as grouped")
            splits = _given_splits(given, labelled, "split: what the dataset publishes")
    return splits, [-1] * len(labelled)


def _read_splits(path: Path) -> dict[str, str]:
    given = read_pairs(path, "track_id", "split", "split.path")
    splits = {track_id: split.lower() for track_id, split in given.items()}
    wrong = next((track_id for track_id, split in splits.items() if split not in SPLITS), None)
    if wrong is not None:
        raise EncoreError(f"split.path: {path}: {wrong} is {given[wrong]!r}, should be train, valid or test")
    return splits


def _assert_names_tracks(given: Mapping[str, str], tracks: Sequence[SegmentedTrack], path: str) -> None:
    """Raise `EncoreError` if a split from a file has none of the tracks, with what their names look like."""
    if given and not any(spelled(track.track_id) in given for track in tracks):
        raise EncoreError(
            f"split.path: {path} names none of the {len(tracks)} labelled tracks: its first track_id is "
            f"{next(iter(given))!r}, should look like {tracks[0].track_id!r} (all are in data/raw/tracks.csv)"
        )


def _given_splits(given: Mapping[str, str], tracks: Sequence[SegmentedTrack], origin: str) -> list[str]:
    splits = [given.get(spelled(track.track_id), "excluded") for track in tracks]
    for split in SPLITS:
        if split not in splits:
            raise EncoreError(f"{origin} puts none of the {len(tracks)} labelled tracks in {split}")
    if len({track.label for track, split in zip(tracks, splits, strict=True) if split == "train"}) < 2:
        raise EncoreError(f"{origin} puts fewer than two classes in train")
    return splits


def _aside(track: SegmentedTrack, known_recordings: set[str]) -> str:
    """Return which of `NOT_SCORED` a track belongs to."""
    if not track.label:
        return "unlabelled"
    return "excluded" if track.recording in known_recordings else "unknown"


def _warnings(labelled: Sequence[SegmentedTrack], splits: Sequence[str]) -> list[str]:
    """Return the warnings about train, valid and test."""
    warnings = []
    labels = {track.label for track in labelled}
    for split in SPLITS:
        here = {track.label for track, its in zip(labelled, splits, strict=True) if its == split}
        if absent := sorted(labels - here):
            warnings.append(f"no track of {', '.join(absent)} is in {split}")
    groups, recordings = ([track.group for track in labelled], [track.recording for track in labelled])
    for names, what in ((groups, "groups (artists, albums or works)"), (recordings, "recordings")):
        if n_several := count_in_several_splits(names, splits):
            warnings.append(f"{n_several} {what} are in more than one split: accuracy will be optimistic")
    return warnings


def _warnings_of_unknown(labelled: Sequence[SegmentedTrack], unknown: Sequence[SegmentedTrack]) -> list[str]:
    """Return the warnings about the tracks of unknown classes."""
    warnings = []
    known_recordings = {track.recording for track in labelled}
    if n_copies := sum(track.recording in known_recordings for track in unknown):
        warnings.append(f"{n_copies} tracks of unknown classes are copies of known ones, and excluded")
    known_groups = {track.group for track in labelled if track.group}
    if shared := len(known_groups & {track.group for track in unknown}):
        warnings.append(
            f"{shared} groups (artists, albums or works) have music of known and unknown classes, "
            "which will look less new than it is"
        )
    return warnings
