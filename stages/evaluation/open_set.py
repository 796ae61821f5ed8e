"""Whether a model sees that a track is of none of the classes it knows."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from stages.core.tables import Novelty
from stages.evaluation.metrics import Predictions


def threshold(valid: Predictions, accepted: float) -> float:
    """The novelty that the share `accepted` of validation tracks stays under; a track beyond it is new."""
    return float(np.quantile(valid.novelty, accepted))


def auroc(
    known: NDArray[np.float64], unknown: NDArray[np.float64], n_resamples: int, seed: int
) -> tuple[float, float, float]:
    """Probability that an unknown track is more novel than a known one, a tie counting half.

    That is the area under the ROC curve (Fawcett, 2006). The interval is a 95 % percentile bootstrap
    over the tracks of either kind.

    Parameters
    ----------
    known : ndarray (n_known,)
    unknown : ndarray (n_unknown,)
        Novelty of each track.
    n_resamples, seed : int

    Returns
    -------
    value, low, high : float
    """
    known = np.sort(known)
    below, up_to = (np.searchsorted(known, unknown, side) for side in ("left", "right"))
    random = np.random.default_rng(seed)
    of_unknown, of_known = (
        random.multinomial(n, np.full(n, 1 / n), size=n_resamples) / n for n in (len(unknown), len(known))
    )
    of_known = np.pad(of_known.cumsum(axis=1), ((0, 0), (1, 0)))
    areas = (of_unknown * (of_known[:, below] + of_known[:, up_to])).sum(axis=1) / 2
    low, high = np.quantile(areas, [0.025, 0.975])
    return float((below + up_to).mean() / (2 * len(known))), float(low), float(high)


def score(tracks: Mapping[str, Predictions], limit: float, n_resamples: int, seed: int) -> dict[str, float]:
    """How well new music is told from known.

    Parameters
    ----------
    tracks : mapping
        Predictions of the sides test and, if there are any, unknown.
    limit : float
        From `threshold`.
    n_resamples, seed : int

    Returns
    -------
    dict
        `threshold`; `known_accepted`, the share of test tracks under it. With unknown classes also
        `unknown_found`, the share of their tracks over it; `balanced_accuracy`, the mean recall over
        the known classes and the unknown as one more; `auroc` with its interval.
    """
    test, unknown = tracks["test"], tracks.get("unknown")
    accepted = test.novelty <= limit
    scores = {"threshold": limit, "known_accepted": float(accepted.mean())}
    if unknown is not None:
        found = float((unknown.novelty > limit).mean())
        right = accepted & (test.predicted == test.label)
        recalls = [float(right[test.label == label].mean()) for label in np.unique(test.label)]
        area, low, high = auroc(test.novelty, unknown.novelty, n_resamples, seed)
        scores |= {
            "unknown_found": found,
            "balanced_accuracy": float(np.mean([*recalls, found])),
            "auroc": area,
            "auroc_ci95_low": low,
            "auroc_ci95_high": high,
        }
    return {name: float(f"{value:.6g}") for name, value in scores.items()}


def table(
    tracks: Mapping[str, Predictions], limit: float, labels: Sequence[str], label_of: Mapping[str, str]
) -> list[Novelty]:
    """Tracks of the sides test, unknown and unlabelled, the most novel first.

    Parameters
    ----------
    tracks : mapping
        Predictions by side.
    limit : float
        From `threshold`.
    labels : sequence of str
        Names of the known classes.
    label_of : mapping
        The true class by track_id; empty: unlabelled.
    """
    rows = [
        Novelty(
            track_id, side, label_of[track_id], labels[nearest], novelty, "yes" if novelty > limit else "no"
        )
        for side in ("test", "unknown", "unlabelled")
        if side in tracks
        for track_id, nearest, novelty in zip(
            tracks[side].track_id.tolist(),
            tracks[side].predicted.tolist(),
            tracks[side].novelty.tolist(),
            strict=True,
        )
    ]
    return sorted(rows, key=lambda row: (-row.novelty, row.track_id))
