"""How far two reviewers agree about the same music."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.correcting.verdict import VERDICTS, WRONG, Verdict

Z = 1.959964  # what a normal variable exceeds with a probability of 0.025


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A track about which two reviewers differ: in the verdict, or in the label that it should have."""

    track_id: str
    path: str
    first: str
    first_label: str
    second: str
    second_label: str


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """What two journals have in common.

    Attributes
    ----------
    n : int
        Tracks that both have judged, of the same music.
    n_other_music : int
        Tracks that both have judged, but whose music file was another one: left out.
    observed : float or None
        Share of the tracks with the same verdict; None: there are none.
    kappa : float or None
        Cohen's kappa over the four verdicts; None where it is not defined: both always say the same thing.
    kappa_ci95 : list of float, or None
        Its interval; None where kappa is not defined, or no error can be estimated, as of full agreement.
    verdicts : list of str
        The rows and columns of `table`.
    table : list of list of int
        Tracks by the first reviewer's verdict (row) and the second's (column).
    n_both_wrong, n_same_label : int
        Tracks that both call label_wrong, and those of them to which both give the same label.
    differences : list of Difference
    """

    n: int
    n_other_music: int
    observed: float | None
    kappa: float | None
    kappa_ci95: list[float] | None
    verdicts: list[str]
    table: list[list[int]]
    n_both_wrong: int
    n_same_label: int
    differences: list[Difference]


def agreement(first: Mapping[str, Verdict], second: Mapping[str, Verdict]) -> Agreement:
    """Compare the last verdicts of two reviewers; see `stages.correcting.verdict.current`."""
    shared = sorted(first.keys() & second.keys())
    both = [
        (first[track_id], second[track_id])
        for track_id in shared
        if "" in (music := {first[track_id].sha256, second[track_id].sha256}) or len(music) == 1
    ]
    table = np.zeros((len(VERDICTS), len(VERDICTS)), np.int64)
    for one, other in both:
        table[VERDICTS.index(one.verdict), VERDICTS.index(other.verdict)] += 1
    labels = [(one.label, other.label) for one, other in both if one.verdict == other.verdict == WRONG]
    kappa, error = cohens_kappa(table)
    return Agreement(
        n=len(both),
        n_other_music=len(shared) - len(both),
        observed=float(np.trace(table) / len(both)) if both else None,
        kappa=kappa,
        kappa_ci95=_interval(kappa, error),
        verdicts=[*VERDICTS],
        table=table.tolist(),
        n_both_wrong=len(labels),
        n_same_label=sum(one == other for one, other in labels),
        differences=[
            Difference(
                track_id=one.track_id,
                path=one.path,
                first=one.verdict,
                first_label=one.label,
                second=other.verdict,
                second_label=other.label,
            )
            for one, other in both
            if (one.verdict, one.label) != (other.verdict, other.label)
        ],
    )


def cohens_kappa(table: NDArray[np.int64]) -> tuple[float | None, float | None]:
    """Compute Cohen's kappa (1960) and its standard error.

    The error is that for large samples (Fleiss, Cohen & Everitt, Psychological Bulletin 72(5), 1969, eq. 13).

    Parameters
    ----------
    table : ndarray of int64 (n_verdicts, n_verdicts)
        How often the first reviewer gave a verdict (row) where the second gave another one (column).

    Returns
    -------
    kappa, error : float or None
        None where they are not defined: nothing was judged, or both always gave one and the same verdict.
    """
    n = table.sum()
    if n == 0:
        return None, None
    share = table / n
    row, column = share.sum(axis=1), share.sum(axis=0)
    observed, expected = np.trace(share), row @ column
    if np.isclose(expected, 1):
        return None, None
    kappa = _kappa(table)
    same = np.diag(share) @ np.square((1 - expected) - (row + column) * (1 - observed))
    pairs = np.square(column[:, None] + row[None, :]) * share
    others = (1 - observed) ** 2 * (pairs.sum() - np.trace(pairs))
    square = same + others - (observed * expected - 2 * expected + observed) ** 2
    return kappa, float(np.sqrt(max(square, 0.0) / n) / (1 - expected) ** 2)


def _kappa(table: NDArray[np.int64]) -> float:
    from sklearn.metrics import cohen_kappa_score

    first, second = np.indices(table.shape)
    options: dict[str, Any] = {"sample_weight": table.ravel(), "labels": range(len(table))}
    return float(cohen_kappa_score(first.ravel(), second.ravel(), **options))


def _interval(kappa: float | None, error: float | None) -> list[float] | None:
    if kappa is None or error is None or np.isclose(error, 0):
        return None
    return [max(kappa - Z * error, -1.0), min(kappa + Z * error, 1.0)]
