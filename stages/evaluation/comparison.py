"""Which of several models is better, by runs of each that were tested on the same tracks."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from stages.core.errors import EncoreError, some
from stages.evaluation.intervals import NONE, accuracy_interval, difference_interval, difference_p
from stages.evaluation.metrics import macro_f1_and_balanced_accuracy

BASELINE = "linear baseline"
ROPE = 0.01  # differences of accuracy up to this are practically none


@dataclass(frozen=True)
class Run:
    """A finished run: what it predicts for the tracks of its test side.

    Attributes
    ----------
    model : str
        What is compared: runs that differ in fold and seed alone have the same name.
    fold, seed : int
        Of the split, and of the training.
    n_train : int
        Number of training tracks.
    seconds : float
        Of the training.
    largest_class : str
        The class with the most training tracks.
    label, unit, predicted, baseline : mapping of str to str
        By track: its class, what it is counted with in intervals, and the classes that the model and the
        linear baseline predict.
    """

    model: str
    fold: int
    seed: int
    n_train: int
    seconds: float
    largest_class: str
    label: Mapping[str, str]
    unit: Mapping[str, str]
    predicted: Mapping[str, str]
    baseline: Mapping[str, str]


@dataclass(frozen=True)
class Row:
    """What is known about one of the models; NaN: not defined.

    Attributes
    ----------
    model : str
    n_runs : int
        0 of what is computed from the runs of others.
    accuracy, accuracy_ci95_low, accuracy_ci95_high : float
        Of tracks, over all folds and seeds; see `stages.evaluation.intervals.accuracy_interval`.
    macro_f1, balanced_accuracy : float
    seed_std : float
        Standard deviation of the accuracies of the seeds, where all have the same folds.
    seconds : float
        Mean of the trainings.
    minus_best, minus_best_ci95_low, minus_best_ci95_high : float
        Difference of accuracy to the best on the same tracks.
    p : float
        Two-sided, of no such difference; after Holm's correction (1979) for all that are compared.
    p_folds : float
        The same by the corrected resampled t test (Nadeau & Bengio, 2003) of the folds, also after Holm's.
    worse, equal, better : float
        Probabilities that it is worse than the best, practically equal (by at most `ROPE`), or better, by the
        Bayesian correlated t test (Corani & Benavoli, 2015) of the folds.
    differs : str
        Features, segments and code in which the models differ, as ``KEY=VALUE; KEY=VALUE``.
    """

    model: str
    n_runs: int
    accuracy: float
    accuracy_ci95_low: float
    accuracy_ci95_high: float
    macro_f1: float
    balanced_accuracy: float
    seed_std: float
    seconds: float
    minus_best: float = math.nan
    minus_best_ci95_low: float = math.nan
    minus_best_ci95_high: float = math.nan
    p: float = math.nan
    p_folds: float = math.nan
    worse: float = math.nan
    equal: float = math.nan
    better: float = math.nan
    differs: str = ""


def compare(runs: Sequence[Run]) -> list[Row]:
    """Compare models, the linear baseline and always naming the largest class; the most accurate first.

    Parameters
    ----------
    runs : sequence of Run
        At least one; at most one for each model, fold and seed.

    Raises
    ------
    EncoreError
        If models have other folds, or a fold has other test tracks or labels.
    """
    models = defaultdict(list)
    for run in runs:
        models[run.model].append(run)
    _assert_alike(models)
    rows = {model: _row(model, len(of_model), of_model) for model, of_model in models.items()}
    for model, of_model in _yardsticks(models).items():
        models[model] = of_model
        rows[model] = replace(_row(model, 0, of_model), seconds=math.nan)
    best, *others = sorted(rows.values(), key=lambda row: -row.accuracy)
    compared = [_against(row, models[row.model], models[best.model]) for row in others]
    adjusted = {key: _holm([getattr(row, key) for row in compared]) for key in ("p", "p_folds")}
    return [
        best,
        *(
            replace(row, p=p, p_folds=p_folds)
            for row, p, p_folds in zip(compared, adjusted["p"], adjusted["p_folds"], strict=True)
        ),
    ]


def _assert_alike(models: Mapping[str, Sequence[Run]]) -> None:
    (first, its_runs), *others = models.items()
    wanted = {run.fold: run for run in its_runs}
    for model, runs in others:
        folds = {run.fold for run in runs}
        if different := sorted(folds ^ set(wanted)):
            has, lacks = (model, first) if different[0] in folds else (first, model)
            raise EncoreError(
                f"{has} has fold {different[0]}, {lacks} has not; run it, or choose runs of the same folds"
            )
    for model, run in ((model, run) for model, runs in models.items() for run in runs):
        expected = wanted[run.fold]
        if other := sorted(set(run.label) ^ set(expected.label)):
            raise EncoreError(
                f"{first} and {model} were tested on different tracks (fold {run.fold}: {some(other)}); "
                "choose runs of the same dataset and split, such as dataset=sample split.name=kfold"
            )
        relabelled = [track for track, label in run.label.items() if label != expected.label[track]]
        if relabelled:
            raise EncoreError(f"{first} and {model} have other labels of {some(relabelled)}")


def _yardsticks(models: Mapping[str, Sequence[Run]]) -> dict[str, list[Run]]:
    """Return the linear baseline of each fold, and the largest class; baselines of other features apart."""
    baselines: dict[tuple[object, ...], tuple[str, list[Run]]] = {}
    for model, runs in models.items():
        of_fold = sorted({run.fold: run for run in runs}.items())
        predicted = tuple(tuple(sorted(run.baseline.items())) for _, run in of_fold)
        baselines.setdefault(predicted, (model, [replace(run, predicted=run.baseline) for _, run in of_fold]))
    several = len(baselines) > 1
    found = {f"{BASELINE} of {model}" if several else BASELINE: runs for model, runs in baselines.values()}
    folds = next(iter(found.values()))
    always = [replace(run, predicted=dict.fromkeys(run.label, run.largest_class)) for run in folds]
    names = {run.largest_class for run in always}
    return {**found, f"always {names.pop() if len(names) == 1 else 'the largest'}": always}


def _row(model: str, n_runs: int, runs: Sequence[Run]) -> Row:
    track_id, right = _right(runs)
    low, high = accuracy_interval(right, _units(runs, track_id))
    pairs = [(run.label[track], run.predicted[track]) for run in runs for track in run.label]
    label, predicted = (np.array(names) for names in zip(*pairs, strict=True))
    f1, recall = macro_f1_and_balanced_accuracy(label, predicted)
    of_seed = {seed: [run for run in runs if run.seed == seed] for seed in sorted({run.seed for run in runs})}
    folds = {frozenset(run.fold for run in each) for each in of_seed.values()}
    is_spread = len(of_seed) > 1 and len(folds) == 1
    return Row(
        model=model,
        n_runs=n_runs,
        accuracy=float(right.mean()),
        accuracy_ci95_low=low,
        accuracy_ci95_high=high,
        macro_f1=f1,
        balanced_accuracy=recall,
        seed_std=_spread(of_seed.values()) if is_spread else math.nan,
        seconds=float(np.mean([run.seconds for run in runs])),
    )


def _spread(of_seed: Iterable[Sequence[Run]]) -> float:
    return float(np.std([_right(runs)[1].mean() for runs in of_seed], ddof=1))


def _right(runs: Sequence[Run]) -> tuple[list[str], NDArray[np.float64]]:
    """Return all tracks, and the share of runs that are right on each (n_tracks,)."""
    hits = defaultdict(list)
    for run in runs:
        for track, label in run.label.items():
            hits[track].append(run.predicted[track] == label)
    tracks = sorted(hits)
    return tracks, np.array([np.mean(hits[track]) for track in tracks])


def _units(runs: Sequence[Run], tracks: Sequence[str]) -> NDArray[np.str_]:
    unit_of = {track: unit for run in runs for track, unit in run.unit.items()}
    return np.array([unit_of[track] for track in tracks])


def _against(row: Row, runs: Sequence[Run], best: Sequence[Run]) -> Row:
    """Add the difference to the best."""
    tracks, right = _right(runs)
    difference, unit = right - _right(best)[1], _units(best, tracks)
    low, high = difference_interval(difference, unit)
    p_folds, worse, equal, better = _over_folds(runs, best)
    return replace(
        row,
        minus_best=float(difference.mean()),
        minus_best_ci95_low=low,
        minus_best_ci95_high=high,
        p=difference_p(difference, unit),
        p_folds=p_folds,
        worse=worse,
        equal=equal,
        better=better,
    )


def _over_folds(runs: Sequence[Run], best: Sequence[Run]) -> tuple[float, float, float, float]:
    """Return p, and the probabilities of worse, equal and better; seeds of a fold are averaged."""
    from scipy.special import stdtr

    folds = sorted({run.fold for run in runs})
    if len(folds) < 2:
        return (math.nan,) * 4
    by_fold = [
        np.array([_right([run for run in each if run.fold == fold])[1].mean() for fold in folds])
        for each in (runs, best)
    ]
    difference = by_fold[0] - by_fold[1]
    test_to_train = np.mean([len(run.label) / run.n_train for run in runs])
    scale = math.sqrt(difference.var(ddof=1) * (1 / len(folds) + test_to_train))
    mean, degrees = difference.mean(), len(folds) - 1
    if scale < NONE:
        return (1.0, 0.0, 1.0, 0.0) if abs(mean) < NONE else (math.nan,) * 4
    below, above = (stdtr(degrees, (-ROPE + side * mean) / scale) for side in (-1, 1))
    p = 2 * stdtr(degrees, -abs(mean) / scale)
    return float(p), float(below), float(1 - below - above), float(above)


def _holm(p: Sequence[float]) -> list[float]:
    """Return p after Holm's correction; the order stays, and NaN does not count."""
    adjusted, least = [math.nan] * len(p), 0.0
    defined = sorted((place for place in range(len(p)) if not math.isnan(p[place])), key=lambda i: p[i])
    for rank, place in enumerate(defined):
        adjusted[place] = least = max(least, min(1.0, p[place] * (len(defined) - rank)))
    return adjusted
