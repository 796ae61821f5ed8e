"""What the accuracy would be with the verdicts of people who have listened."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from stages.correcting.verdict import AMBIGUOUS, BROKEN, LABELLED, RIGHT, WRONG, Verdict
from stages.evaluation.intervals import accuracy_interval


@dataclass(frozen=True)
class Predicted:
    """A test track (the first columns of ``data/evaluation/predictions.csv``)."""

    track_id: str
    unit: str
    label: str
    predicted: str


@dataclass(frozen=True, kw_only=True)
class Judged:
    """How the right, or the wrong, predictions were judged; numbers of tracks.

    Attributes
    ----------
    n : int
        All of them; the verdicts below and `not_judged` add up to it.
    label_wrong, ambiguous, label_right, broken_audio, not_judged : int
    """

    n: int
    label_wrong: int
    ambiguous: int
    label_right: int
    broken_audio: int
    not_judged: int


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """A share of right predictions and its 95 % interval over units, of `n` tracks; None: of no track."""

    n: int
    accuracy: float | None
    ci95: list[float] | None


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What verdicts say about an evaluation.

    Attributes
    ----------
    before, after : Accuracy
        With the labels of the evaluation; with those of the verdicts, and without the tracks that are
        ambiguous or have broken audio.
    right, wrong : Judged
        Predictions that are the label of the evaluation, and those that are not.
    n_elsewhere : int
        Verdicts about tracks that are not in the evaluation's test set.
    n_known : int
        Verdicts label_wrong whose new label the evaluation has already.
    bias : str
        Why the accuracy after is flattered, in a sentence; empty: right predictions were judged as often.
    """

    before: Accuracy
    after: Accuracy
    right: Judged
    wrong: Judged
    n_elsewhere: int
    n_known: int
    bias: str


def summary(verdicts: Mapping[str, Verdict], predictions: Collection[Predicted]) -> Summary:
    """Compute what the accuracy would be.

    Parameters
    ----------
    verdicts : mapping
        The verdict about each track, by track_id; see `stages.correcting.verdict.current`.
    predictions : collection of Predicted
        All test tracks.
    """
    tested = {track.track_id: track for track in predictions}
    given = {track_id: verdict for track_id, verdict in verdicts.items() if track_id in tested}
    kept = [track for track in predictions if _kind(given, track) not in (AMBIGUOUS, BROKEN)]
    # also of label_right: it may have been said of a label that was corrected before
    new = {track_id: verdict.label for track_id, verdict in given.items() if verdict.verdict in LABELLED}
    right, wrong = (
        _judged(given, [track for track in predictions if (track.predicted == track.label) is is_right])
        for is_right in (True, False)
    )
    return Summary(
        before=_accuracy((track.predicted == track.label, track.unit) for track in predictions),
        after=_accuracy(
            (track.predicted == new.get(track.track_id, track.label), track.unit) for track in kept
        ),
        right=right,
        wrong=wrong,
        n_elsewhere=len(verdicts) - len(given),
        n_known=sum(
            verdict.verdict == WRONG and tested[track_id].label == verdict.label
            for track_id, verdict in given.items()
        ),
        bias=_bias(right, wrong),
    )


def _kind(given: Mapping[str, Verdict], track: Predicted) -> str:
    return given[track.track_id].verdict if track.track_id in given else ""


def _judged(given: Mapping[str, Verdict], tracks: Collection[Predicted]) -> Judged:
    kinds = [_kind(given, track) for track in tracks]
    return Judged(
        n=len(kinds),
        label_wrong=kinds.count(WRONG),
        ambiguous=kinds.count(AMBIGUOUS),
        label_right=kinds.count(RIGHT),
        broken_audio=kinds.count(BROKEN),
        not_judged=kinds.count(""),
    )


def _accuracy(tracks: Iterable[tuple[bool, str]]) -> Accuracy:
    correct, units = zip(*found, strict=True) if (found := [*tracks]) else ((), ())
    if not correct:
        return Accuracy(n=0, accuracy=None, ci95=None)
    interval = accuracy_interval(np.array(correct), np.array(units))
    return Accuracy(n=len(correct), accuracy=float(np.mean(correct)), ci95=[*interval])


def _bias(right: Judged, wrong: Judged) -> str:
    n_right, n_wrong = right.n - right.not_judged, wrong.n - wrong.not_judged
    if n_right * wrong.n >= n_wrong * right.n:
        return ""
    return (
        f"{n_wrong} of {wrong.n} wrong predictions were judged, but {n_right} of {right.n} right ones: a "
        "verdict on a wrong prediction can only raise the accuracy, so what it would be is flattered; judge "
        "as large a share of the right ones"
    )
