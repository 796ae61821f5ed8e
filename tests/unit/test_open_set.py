"""Open-set evaluation: threshold, AUROC, scores and the table."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from stages.evaluation import open_set
from stages.evaluation.predictions import Predictions


def tracks_of(novelty: list[float], label: list[int], predicted: list[int], name: str = "t") -> Predictions:
    track_id = np.array([f"{name}{i}" for i in range(len(label))])
    return Predictions(track_id, np.array(label), np.eye(3)[predicted], np.array(novelty, float))


def apart(known: np.ndarray, unknown: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each track on its own."""
    return np.arange(len(known)).astype(str), np.arange(len(unknown)).astype(str)


def of_themselves(*tracks: Predictions) -> dict[str, str]:
    return {name: name for each in tracks for name in each.track_id.tolist()}


@pytest.mark.parametrize("accepted", [0.5, 0.9, 0.95])
def test_the_threshold_accepts_the_wanted_share_of_validation(accepted):
    novelty = np.random.default_rng(0).random(2000)
    valid = tracks_of(novelty.tolist(), [0] * 2000, [0] * 2000)
    limit = open_set.threshold(valid, accepted)
    assert (novelty <= limit).mean() == pytest.approx(accepted, abs=1e-3)


@pytest.mark.parametrize("seed", range(4))
def test_auroc_equals_that_of_scikit_learn_with_ties(seed):
    random = np.random.default_rng(seed)
    known, unknown = random.integers(0, 12, 40) / 8, random.integers(3, 15, 25) / 8
    value, low, high = open_set.auroc(known, unknown, apart(known, unknown), 500, 0)
    truth = np.repeat([0, 1], [40, 25])
    assert value == pytest.approx(roc_auc_score(truth, np.concatenate([known, unknown])), abs=1e-12)
    assert low < value < high


def test_the_interval_equals_that_of_explicit_resampling():
    random = np.random.default_rng(1)
    known, unknown = random.normal(0, 1, 60), random.normal(1, 1, 30)
    _, low, high = open_set.auroc(known, unknown, apart(known, unknown), 4000, 0)
    again = [
        (random.choice(known, (60, 1)) < random.choice(unknown, 30)).mean()  # of all pairs, without ties
        for _ in range(500)
    ]
    assert (low, high) == pytest.approx(tuple(np.quantile(again, [0.025, 0.975])), abs=0.02)


def test_the_interval_of_perfect_separation_has_no_width():
    low, high = np.zeros(5), np.ones(4)
    assert open_set.auroc(low, high, apart(low, high), 200, 0) == (1.0, 1.0, 1.0)
    assert open_set.auroc(high, low, apart(high, low), 200, 0)[0] == 0.0


def test_tracks_of_a_unit_widen_the_interval():
    random = np.random.default_rng(1)
    known, unknown = (np.repeat(random.normal(at, 1, 20), 5) for at in (0, 1))
    units = np.repeat(np.arange(20).astype(str), 5)
    _, low, high = open_set.auroc(known, unknown, (units, units), 2000, 0)
    _, low_apart, high_apart = open_set.auroc(known, unknown, apart(known, unknown), 2000, 0)
    assert (high - low) / (high_apart - low_apart) == pytest.approx(np.sqrt(5), rel=0.1)


def test_scores_follow_their_definitions():
    test = tracks_of([0.1, 0.9, 0.2, 0.3, 0.3], [0, 0, 1, 2, 2], [0, 0, 1, 1, 1])
    unknown = tracks_of([0.8, 0.7, 0.2], [-1] * 3, [0, 1, 2], "u")
    scores = open_set.score({"test": test, "unknown": unknown}, 0.5, of_themselves(test, unknown), 300, 0)
    assert list(scores) == [
        *("threshold", "known_accepted", "unknown_found", "balanced_accuracy"),
        *("auroc", "auroc_ci95_low", "auroc_ci95_high"),
    ]
    assert scores["known_accepted"] == 0.8
    assert scores["unknown_found"] == pytest.approx(2 / 3, abs=1e-6)
    # recall: class 0 has one of two, since the other counts as new; 1 all; 2 none; new music two thirds
    assert scores["balanced_accuracy"] == pytest.approx((0.5 + 1 + 0 + 2 / 3) / 4, abs=1e-6)
    area = roc_auc_score([0] * 5 + [1] * 3, [*test.novelty, *unknown.novelty])
    assert scores["auroc"] == pytest.approx(area, abs=1e-6)


def test_the_interval_depends_on_the_seed_alone():
    random = np.random.default_rng(2)
    test, unknown = (tracks_of(random.normal(at, 1, 30).tolist(), [0] * 30, [0] * 30) for at in (0, 1))
    first, again, other = (
        open_set.score({"test": test, "unknown": unknown}, 0.5, of_themselves(test, unknown), 200, seed)
        for seed in (0, 0, 1)
    )
    assert first == again != other


def test_without_unknown_classes_only_two_scores_are_given():
    scores = open_set.score({"test": tracks_of([0.1, 0.9], [0, 1], [0, 1])}, 0.5, {}, 300, 0)
    assert scores == {"threshold": 0.5, "known_accepted": 0.5}


def test_the_table_starts_with_the_most_novel():
    tracks = {
        "test": tracks_of([0.1, 0.6], [0, 1], [0, 2]),
        "unlabelled": tracks_of([0.6, 0.9], [-1, -1], [1, 1], "n"),
        "unknown": tracks_of([0.3], [-1], [0], "u"),
        "train": tracks_of([2.0], [0], [0], "train"),
    }
    rows = open_set.table(tracks, 0.5, ["a", "b", "c"], {"t0": "a", "t1": "b", "n0": "", "n1": "", "u0": "d"})
    assert [(row.track_id, row.split, row.label, row.nearest, row.is_new) for row in rows] == [
        ("n1", "unlabelled", "", "b", "yes"),
        ("n0", "unlabelled", "", "b", "yes"),
        ("t1", "test", "b", "c", "yes"),
        ("u0", "unknown", "d", "a", "no"),
        ("t0", "test", "a", "a", "no"),
    ]


def test_a_novelty_equal_to_the_threshold_counts_as_known():
    """All tracks equally novel, and a share that falls exactly on a track."""
    same = tracks_of([2**0.5] * 20, [0] * 20, [0] * 20)
    limit = open_set.threshold(same, 0.95)
    scores = open_set.score({"test": same, "unknown": same}, limit, of_themselves(same), 100, 0)
    assert (scores["known_accepted"], scores["unknown_found"]) == (1.0, 0.0)
    rows = open_set.table({"test": same}, limit, ["a"], dict.fromkeys(same.track_id.tolist(), "a"))
    assert {row.is_new for row in rows} == {"no"}
    valid = tracks_of(np.random.default_rng(3).random(21).tolist(), [0] * 21, [0] * 21)
    assert (valid.novelty <= open_set.threshold(valid, 0.95)).mean() == 20 / 21
