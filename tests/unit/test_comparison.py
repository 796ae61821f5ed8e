"""Models are compared on the same tracks, over folds and seeds, and unlike runs are refused."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from stages.core.errors import EncoreError
from stages.evaluation.comparison import ROPE, Row, Run, compare
from stages.evaluation.intervals import accuracy_interval, difference_interval, difference_p
from stages.reports.comparison import chances, table

CLASSES = ("blues", "jazz", "rock")
N_FOLDS, PER_FOLD = 5, 12
ACCURACY = {"weak": 0.4, "good": 0.8, "best": 0.95}


def run_of(model: str, fold: int, seed: int, accuracy: float) -> Run:
    """A run that is right on a share of its tracks, two tracks a unit; the baseline is right on half."""
    tracks = [f"{fold}/{number:02d}" for number in range(PER_FOLD)]
    label = {track: CLASSES[number % 3] for number, track in enumerate(tracks)}
    random = np.random.default_rng([sorted(ACCURACY).index(model), fold, seed])
    right = random.random(PER_FOLD) < accuracy
    wrong = {track: CLASSES[(number + 1) % 3] for number, track in enumerate(tracks)}
    return Run(
        model=model,
        fold=fold,
        seed=seed,
        n_train=36,
        seconds=10.0 + seed,
        largest_class="jazz",
        label=label,
        unit={track: f"{fold}/{number // 2}" for number, track in enumerate(tracks)},
        predicted={track: (label if hit else wrong)[track] for track, hit in zip(tracks, right, strict=True)},
        baseline={track: (wrong if number % 2 else label)[track] for number, track in enumerate(tracks)},
    )


RUNS = [
    run_of(model, fold, seed, accuracy)
    for model, accuracy in ACCURACY.items()
    for fold in range(N_FOLDS)
    for seed in ((0, 1, 2) if model != "weak" else (0,))
]
ROWS = {row.model: row for row in compare(RUNS)}


def hits(model: str) -> tuple[np.ndarray, np.ndarray]:
    """The share of runs that are right on each track, and the units."""
    runs = [run for run in RUNS if run.model == model]
    tracks = sorted({track for run in runs for track in run.label})
    unit = {track: run.unit[track] for run in runs for track in run.unit}
    shares = [
        np.mean([run.predicted[track] == run.label[track] for run in runs if track in run.label])
        for track in tracks
    ]
    return np.array(shares), np.array([unit[track] for track in tracks])


def test_the_most_accurate_comes_first_and_the_yardsticks_are_there():
    assert list(ROWS) == ["best", "good", "linear baseline", "weak", "always jazz"]
    assert [row.n_runs for row in ROWS.values()] == [15, 15, 0, 5, 0]
    assert ROWS["linear baseline"].accuracy == 0.5
    assert ROWS["always jazz"].accuracy == pytest.approx(1 / 3)
    assert math.isnan(ROWS["linear baseline"].seconds)
    assert ROWS["good"].seconds == 11.0


@pytest.mark.parametrize("model", ACCURACY)
def test_accuracy_is_pooled_over_folds_and_seeds(model):
    shares, unit = hits(model)
    row = ROWS[model]
    assert row.accuracy == pytest.approx(shares.mean())
    assert (row.accuracy_ci95_low, row.accuracy_ci95_high) == accuracy_interval(shares, unit)


def test_the_spread_is_that_of_the_seeds():
    of_seed = [
        np.mean(
            [
                run.predicted[track] == run.label[track]
                for run in RUNS
                if (run.model, run.seed) == ("good", seed)
                for track in run.label
            ]
        )
        for seed in range(3)
    ]
    assert ROWS["good"].seed_std == pytest.approx(np.std(of_seed, ddof=1))
    assert math.isnan(ROWS["weak"].seed_std)


def test_the_difference_to_the_best_is_paired():
    (good, unit), (best, _) = hits("good"), hits("best")
    row = ROWS["good"]
    assert row.minus_best == pytest.approx((good - best).mean())
    assert (row.minus_best_ci95_low, row.minus_best_ci95_high) == difference_interval(good - best, unit)
    assert math.isnan(ROWS["best"].minus_best)


def test_p_has_holms_correction():
    best, _ = hits("best")
    baseline = np.tile([1.0, 0.0], PER_FOLD * N_FOLDS // 2)
    always = np.tile([0.0, 1.0, 0.0], PER_FOLD * N_FOLDS // 3)
    others = {
        "good": hits("good")[0],
        "weak": hits("weak")[0],
        "linear baseline": baseline,
        "always jazz": always,
    }
    plain = {model: difference_p(shares - best, hits("best")[1]) for model, shares in others.items()}
    least = 0.0
    for rank, model in enumerate(sorted(plain, key=plain.get)):
        least = max(least, min(1, plain[model] * (4 - rank)))
        assert ROWS[model].p == pytest.approx(least)


def test_folds_are_compared_by_the_corrected_t_test_and_its_bayesian_form():
    by_fold = [
        [hits(model)[0][PER_FOLD * fold : PER_FOLD * (fold + 1)].mean() for fold in range(N_FOLDS)]
        for model in ("good", "best")
    ]
    difference = np.subtract(*by_fold)
    scale = np.sqrt(difference.var(ddof=1) * (1 / N_FOLDS + PER_FOLD / 36))
    posterior = stats.t(N_FOLDS - 1, difference.mean(), scale)
    row = ROWS["good"]
    assert row.worse == pytest.approx(posterior.cdf(-ROPE))
    assert row.better == pytest.approx(posterior.sf(ROPE))
    assert row.worse + row.equal + row.better == pytest.approx(1)
    plain = 2 * stats.t(N_FOLDS - 1).sf(abs(difference.mean()) / scale)
    assert plain <= row.p_folds <= min(1, 4 * plain)


def test_one_fold_has_no_test_over_folds():
    rows = compare([run for run in RUNS if run.fold == 0])
    assert all(math.isnan(row.p_folds) and math.isnan(row.worse) for row in rows)
    assert "p over folds" not in "\n".join(chances(rows))


def test_a_difference_that_all_folds_share_is_not_certain():
    """Without spread there is nothing to test by."""
    label = dict.fromkeys([f"{i}" for i in range(10)], "jazz")
    wrong = {track: "rock" if track == "0" else "jazz" for track in label}
    runs = [
        Run("a" if right else "b", fold, 0, 20, 1.0, "jazz", of_fold, of_fold, predicted, of_fold)
        for fold in (0, 1)
        for right in (True, False)
        for of_fold in [{f"{fold}/{track}": name for track, name in label.items()}]
        for predicted in [{f"{fold}/{track}": name for track, name in (label if right else wrong).items()}]
    ]
    row = {row.model: row for row in compare(runs)}["b"]
    assert row.accuracy == 0.9
    assert math.isnan(row.p_folds)
    assert row.p > 0.05


def test_the_same_predictions_do_not_differ():
    twin = [replace(run, model="twin") for run in RUNS if run.model == "best"]
    row = {row.model: row for row in compare([*RUNS, *twin])}["twin"]
    assert (row.minus_best, row.p, row.p_folds, row.equal) == (0.0, 1.0, 1.0, 1.0)


def test_baselines_of_other_features_are_rows_of_their_own():
    other = [replace(run, baseline=dict(run.label)) if run.model == "weak" else run for run in RUNS]
    names = [row.model for row in compare(other)]
    assert names[0] == "linear baseline of weak"
    assert "linear baseline of good" in names


def changed(**changes: object) -> list[Run]:
    """The runs, the last of which is changed."""
    return [*RUNS[:-1], replace(RUNS[-1], **changes)]


class TestUnlike:
    """Runs that were not tested alike are refused, and what differs is named."""

    def test_folds(self):
        runs = [run for run in RUNS if (run.model, run.fold) != ("good", 3)]
        with pytest.raises(EncoreError, match="weak has fold 3, good has not"):
            compare(runs)

    def test_tracks(self):
        label = {**RUNS[-1].label, "other": "jazz"}
        with pytest.raises(
            EncoreError, match=r"weak and best were tested on different tracks \(fold 4: other\)"
        ):
            compare(changed(label=label))

    def test_labels(self):
        label = {**RUNS[-1].label, "4/00": "rock"}
        with pytest.raises(EncoreError, match="weak and best have other labels of 4/00"):
            compare(changed(label=label))


def test_the_table_fits_120_columns():
    rows = [
        *ROWS.values(),
        Row("a very long name of a model train.epochs=3", 1234, *[0.12345] * 5, 0.1, 12345.0, *[-0.5] * 8),
    ]
    lines = [*table(rows), *chances(rows)]
    assert max(map(len, lines)) <= 120
    assert len(lines) == 2 * len(rows) + 1
    assert any(line.startswith("a very …train.epochs=3") for line in lines)
