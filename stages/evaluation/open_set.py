"""How well a model recognises that a track belongs to none of its classes."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from stages.core.tables import Novelty
from stages.evaluation.intervals import percentile_interval, resampled
from stages.evaluation.metrics import units
from stages.evaluation.predictions import Predictions


def threshold(valid: Predictions, accepted: float) -> float:
    """Return the novelty up to which tracks count as known: the share `accepted` of validation tracks."""
    return float(np.quantile(valid.novelty, accepted))


def auroc(
    known: NDArray[np.float64],
    unknown: NDArray[np.float64],
    unit: tuple[NDArray[np.str_], NDArray[np.str_]],
    n_resamples: int,
    seed: int,
) -> tuple[float, float, float]:
    """Estimate the probability that an unknown track is more novel than a known one; ties count half.

    It is the area under the ROC curve (Fawcett, 2006). The interval is a 95 % percentile bootstrap over
    the units of the known and of the unknown tracks.

    Parameters
    ----------
    known : ndarray (n_known,)
    unknown : ndarray (n_unknown,)
        Novelty of each track.
    unit : (ndarray of str (n_known,), ndarray of str (n_unknown,))
        What is independent; see `stages.evaluation.intervals`.
    n_resamples, seed : int

    Returns
    -------
    value, low, high : float
    """
    order = np.argsort(known)
    known = known[order]
    below, up_to = (np.searchsorted(known, unknown, side) for side in ("left", "right"))
    random = np.random.default_rng(seed)
    of_unknown, of_known = (_weights(of, n_resamples, random) for of in (unit[1], unit[0][order]))
    of_known = np.pad(of_known.cumsum(axis=1), ((0, 0), (1, 0)))
    areas = (of_unknown * (of_known[:, below] + of_known[:, up_to])).sum(axis=1) / 2
    return float((below + up_to).mean() / (2 * len(known))), *percentile_interval(areas)


def _weights(unit: NDArray[np.str_], n_resamples: int, random: np.random.Generator) -> NDArray[np.float64]:
    """Return the weight of each track in each resample of the units, (n_resamples, n_tracks)."""
    names, place = np.unique(unit, return_inverse=True)
    times = resampled(len(names), n_resamples, random)[:, place]
    weights: NDArray[np.float64] = times / times.sum(axis=1, keepdims=True)
    return weights


def score_auroc(
    test: Predictions, unknown: Predictions, unit_of: Mapping[str, str], n_resamples: int, seed: int
) -> dict[str, float]:
    """Compute `auroc` of tracks and its interval, `auroc_ci95_low` and `auroc_ci95_high`."""
    of_units = units(test, unit_of), units(unknown, unit_of)
    area, low, high = auroc(test.novelty, unknown.novelty, of_units, n_resamples, seed)
    return _rounded({"auroc": area, "auroc_ci95_low": low, "auroc_ci95_high": high})


def score(
    tracks: Mapping[str, Predictions], limit: float, unit_of: Mapping[str, str], n_resamples: int, seed: int
) -> dict[str, float]:
    """Compute how well new music is separated from known music.

    Parameters
    ----------
    tracks : mapping of str to Predictions
        Of the splits test and, if there are any, unknown.
    limit : float
        From `threshold`.
    unit_of : mapping
        The unit of each track.
    n_resamples, seed : int

    Returns
    -------
    dict
        `threshold`; `known_accepted`, the share of test tracks under it. With unknown classes also
        `unknown_found`, the share of their tracks over it; `balanced_accuracy`, the mean recall over
        the known classes and the unknown ones as one more; `auroc` with its interval.
    """
    test, unknown = tracks["test"], tracks.get("unknown")
    accepted = test.novelty <= limit
    scores = {"threshold": limit, "known_accepted": float(accepted.mean())}
    if unknown is not None:
        found = float((unknown.novelty > limit).mean())
        hits = accepted & (test.predicted == test.label)
        recalls = [float(hits[test.label == label].mean()) for label in np.unique(test.label)]
        scores["unknown_found"] = found
        scores["balanced_accuracy"] = float(np.mean([*recalls, found]))
        scores |= score_auroc(test, unknown, unit_of, n_resamples, seed)
    return _rounded(scores)


def _rounded(scores: Mapping[str, float]) -> dict[str, float]:
    return {name: float(f"{value:.6g}") for name, value in scores.items()}


def table(
    tracks: Mapping[str, Predictions], limit: float, labels: Sequence[str], label_of: Mapping[str, str]
) -> list[Novelty]:
    """List the tracks of the splits test, unknown and unlabelled, the most novel first.

    Parameters
    ----------
    tracks : mapping of str to Predictions
        By split.
    limit : float
        From `threshold`.
    labels : sequence of str
        Names of the known classes.
    label_of : mapping
        The true class by track_id; empty: unlabelled.
    """
    rows = [
        Novelty(
            track_id, split, label_of[track_id], labels[nearest], novelty, "yes" if novelty > limit else "no"
        )
        for split in ("test", "unknown", "unlabelled")
        if split in tracks
        for track_id, nearest, novelty in zip(
            tracks[split].track_id.tolist(),
            tracks[split].predicted.tolist(),
            tracks[split].novelty.tolist(),
            strict=True,
        )
    ]
    return sorted(rows, key=lambda row: (-row.novelty, row.track_id))
