"""Stage split: who learns, who judges? Writes data/split/split.csv."""

from collections import Counter
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from stages.core.errors import EncoreError
from stages.core.params import Params, check_named, read
from stages.core.tables import Assignment, SegmentedTrack, read_pairs, read_rows, write_rows
from stages.core.workspace import new_folder
from stages.entry.command import run
from stages.splitting import schemes


class SchemeParams(Params):
    """What every scheme has.

    Attributes
    ----------
    unknown_classes : list of str
        Their tracks stand on no side, but apart: evaluate asks whether the model sees that they are new.
    watch : str
        A file that DVC watches; of use to ``split=file`` only.
    """

    unknown_classes: list[str]
    watch: str


class HoldoutParams(SchemeParams):
    """``split=stratified`` and ``split=grouped``.

    Attributes
    ----------
    valid, test : float
        Shares of the tracks; the rest is train.
    seed : int
    """

    scheme: Literal["stratified", "grouped"]
    valid: float = Field(gt=0, lt=1)
    test: float = Field(gt=0, lt=1)
    seed: int = Field(ge=0)

    @model_validator(mode="after")
    def _leave_something_to_train(self) -> "HoldoutParams":
        if self.valid + self.test >= 1:
            raise ValueError(f"valid is {self.valid}, should be under 1 together with test, {self.test}")
        return self


class KFoldParams(SchemeParams):
    """``split=kfold``.

    Attributes
    ----------
    k, fold, seed : int
        `fold` from 0 to ``k - 1`` is the test part.
    """

    scheme: Literal["kfold"]
    k: int = Field(ge=3)
    fold: int = Field(ge=0)
    seed: int = Field(ge=0)

    @model_validator(mode="after")
    def _fold_exists(self) -> "KFoldParams":
        if self.fold >= self.k:
            raise ValueError(f"fold is {self.fold}, should be from 0 to {self.k - 1}, since k is {self.k}")
        return self


class FileParams(SchemeParams):
    """``split=file``.

    Attributes
    ----------
    path : str
        CSV with the columns track_id and split.
    """

    scheme: Literal["file"]
    path: str


class PublishedParams(SchemeParams):
    """``split=published``: what the dataset's authors say."""

    scheme: Literal["published"]


SplitParams = HoldoutParams | KFoldParams | FileParams | PublishedParams
ASIDE = ("unknown", "unlabelled", "excluded")
SCHEMES: dict[str, type[SplitParams]] = {
    "grouped": HoldoutParams,
    "stratified": HoldoutParams,
    "kfold": KFoldParams,
    "file": FileParams,
    "published": PublishedParams,
}


def check_split(values: Any) -> SplitParams:
    """Check the `split` section against the parameters of its scheme.

    Raises
    ------
    EncoreError
        If there is no such scheme, or one of its parameters is wrong.
    """
    return check_named(values, SCHEMES, "split", "scheme")


def main() -> None:
    """Split the tracks that have segments and a label."""
    params = check_split(read("split"))
    tracks = [t for t in read_rows(Path("data/segments/tracks.csv"), SegmentedTrack) if t.n_segments > 0]
    if not any(track.label for track in tracks):
        raise EncoreError("split: no track has a label; put the files of each class into a folder of its own")
    unknown = _unknown(tracks, params.unknown_classes)
    labelled = [track for track in tracks if track.label and track.label not in params.unknown_classes]
    labels = [track.label for track in labelled]
    if len(set(labels)) < 2:
        aside = f" beside those of split.unknown_classes, {', '.join(params.unknown_classes)}" * bool(unknown)
        only = f"one class only, {labels[0]!r}" if labels else "no class"
        raise EncoreError(f"split: there is {only}{aside}; a classifier needs two")
    keep_groups = isinstance(params, KFoldParams) or params.scheme == "grouped"
    groups = [track.group for track in labelled]
    recordings = [track.recording for track in labelled]
    if isinstance(params, FileParams | PublishedParams):
        # whoever deals the sides answers for them, and is told below what stands on two
        units = [track.track_id for track in labelled]
    else:
        units = schemes.units(recordings, groups if keep_groups else [""] * len(labelled))
    folds = [-1] * len(labelled)
    match params:
        case HoldoutParams():
            sides = schemes.holdout(labels, units, params.valid, params.test, params.seed)
        case KFoldParams():
            sides, folds = schemes.kfold(labels, units, params.k, params.fold, params.seed)
        case FileParams():
            given = _read_sides(Path(params.path))
            sides = _sides(given, labelled, f"split.path: {params.path}")
        case PublishedParams():
            given = {track.track_id: track.split for track in labelled if track.split}
            if not given:
                raise EncoreError("split: this dataset publishes no split; choose another, such as grouped")
            sides = _sides(given, labelled, "split: what the dataset publishes")
    schemes.assert_apart(units, sides)

    assigned = {
        track.track_id: Assignment(track.track_id, track.label, unit, side, fold)
        for track, unit, side, fold in zip(labelled, units, sides, folds, strict=True)
    }
    known = {track.recording for track in labelled}
    n_copies = sum(track.recording in known for track in unknown)
    for track in tracks:
        if track.track_id not in assigned:
            side = "unlabelled" if not track.label else "excluded" if track.recording in known else "unknown"
            assigned[track.track_id] = Assignment(track.track_id, track.label, track.track_id, side, -1)
    rows = [assigned[track.track_id] for track in tracks]
    with new_folder(Path("data/split")) as folder:
        write_rows(folder / "split.csv", rows, Assignment)
    counts = Counter(row.split for row in rows)
    sides_in_order = [side for side in (*schemes.SIDES, *ASIDE) if counts[side]]
    print(f"split: {params.scheme}: " + ", ".join(f"{counts[side]} {side}" for side in sides_in_order))
    for side in schemes.SIDES:
        absent = sorted(set(labels) - {row.label for row in rows if row.split == side})
        if absent:
            print(f"  warning: no track of {', '.join(absent)} stands in {side}")
    for names, what in ((groups, "groups (artists, albums or works)"), (recordings, "recordings")):
        if crossing := schemes.on_two_sides(names, sides):
            print(f"  warning: {crossing} {what} stand on two sides: accuracy will be optimistic")
    if n_copies:
        print(f"  warning: {n_copies} tracks of unknown classes are copies of known ones, and excluded")
    known_groups = {track.group for track in labelled if track.group}
    if shared := len(known_groups & {track.group for track in unknown}):
        print(
            f"  warning: {shared} groups (artists, albums or works) have music of known and unknown classes, "
            "which will look less new than it is"
        )


def _unknown(tracks: list[SegmentedTrack], classes: list[str]) -> list[SegmentedTrack]:
    labels = sorted({track.label for track in tracks if track.label})
    for name in classes:
        if name not in labels:
            raise EncoreError(
                f"params.yaml: split.unknown_classes has {name!r}, should be among {', '.join(labels)}"
            )
    return [track for track in tracks if track.label in classes]


def _read_sides(path: Path) -> dict[str, str]:
    given = read_pairs(path, "track_id", "split", "split.path")
    wrong = next((item for item in given.items() if item[1] not in schemes.SIDES), None)
    if wrong:
        raise EncoreError(f"split.path: {path}: {wrong[0]} is {wrong[1]!r}, should be train, valid or test")
    return given


def _sides(given: dict[str, str], tracks: list[SegmentedTrack], origin: str) -> list[str]:
    sides = [given.get(track.track_id, "excluded") for track in tracks]
    for side in schemes.SIDES:
        if side not in sides:
            raise EncoreError(f"{origin} puts none of the {len(tracks)} labelled tracks in {side}")
    if len({track.label for track, side in zip(tracks, sides, strict=True) if side == "train"}) < 2:
        raise EncoreError(f"{origin} puts under two classes in train")
    return sides


if __name__ == "__main__":
    run(main)
