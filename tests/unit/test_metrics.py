"""Scores equal those of scikit-learn, and intervals have the coverage that they state."""

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as reference

from stages.evaluation.metrics import (
    accuracy_interval,
    class_table,
    confusion,
    confusion_table,
    score,
    score_both,
)
from stages.evaluation.predictions import Predictions


def random_predictions(
    seed: int = 0, n_tracks: int = 40, segments: int = 7, n_classes: int = 4
) -> Predictions:
    random = np.random.default_rng(seed)
    label = np.repeat(random.integers(n_classes, size=n_tracks), segments)
    track_id = np.repeat([f"track {i:03d}" for i in random.permutation(n_tracks)], segments)
    order = random.permutation(len(label))
    probability = random.dirichlet(np.ones(n_classes), len(label))
    probability[np.arange(len(label)), label] += 0.3
    probability /= probability.sum(axis=1, keepdims=True)
    return Predictions(track_id[order], label[order], probability, random.random(len(order)))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("n_tracks", [3, 40])  # with 3, some classes are absent or never predicted
@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
def test_scores_equal_those_of_scikit_learn(seed, n_tracks):
    predictions = random_predictions(seed, n_tracks, segments=1 if n_tracks == 3 else 7)
    truth = predictions.label, predictions.probability.argmax(axis=1)
    scores = score(predictions, 100, 0)
    assert scores["accuracy"] == round(reference.accuracy_score(*truth), 6)
    assert scores["macro_f1"] == round(reference.f1_score(*truth, average="macro", zero_division=0), 6)
    assert scores["balanced_accuracy"] == round(reference.balanced_accuracy_score(*truth), 6)
    assert np.array_equal(confusion(predictions), reference.confusion_matrix(*truth, labels=range(4)))
    table = reference.precision_recall_fscore_support(*truth, labels=range(4), zero_division=0)
    for index, row in enumerate(class_table(predictions, list("abcd"))):
        assert row.label == "abcd"[index]
        assert (row.precision, row.recall, row.f1, row.n) == tuple(column[index] for column in table)


def test_a_class_never_predicted_scores_zero():
    predictions = Predictions(
        np.array(["a", "b"]), np.array([0, 1]), np.array([[1.0, 0], [1.0, 0]]), np.zeros(2)
    )
    table = class_table(predictions, ["x", "y"])
    assert (table[1].precision, table[1].recall, table[1].f1, table[1].n) == (0, 0, 0, 1)
    assert score(predictions, 100, 0)["macro_f1"] == pytest.approx((2 / 3 + 0) / 2, abs=1e-6)


def test_a_class_only_predicted_counts_in_macro_f1_alone():
    predictions = Predictions(
        np.array(["a", "b"]), np.array([0, 0]), np.array([[1.0, 0, 0], [0, 1.0, 0]]), np.zeros(2)
    )
    scores = score(predictions, 100, 0)
    assert scores["macro_f1"] == pytest.approx((2 / 3 + 0) / 2, abs=1e-6)
    assert scores["balanced_accuracy"] == 0.5


def test_the_table_of_confusion_has_every_pair_of_each_split():
    probability = np.array([[1.0, 0], [0, 1.0], [0, 1.0]])
    test = Predictions(np.array(["a", "b", "c"]), np.array([0, 0, 1]), probability, np.zeros(3))
    valid = Predictions(np.array(["d"]), np.array([1]), probability[:1], np.zeros(1))
    assert confusion(test).dtype == np.int64
    rows = list(confusion_table({"test": test, "valid": valid}, ["x", "y"]))
    assert [(row.split, row.label, row.predicted, row.n) for row in rows] == [
        *(("test", "x", "x", 1), ("test", "x", "y", 1), ("test", "y", "x", 0), ("test", "y", "y", 1)),
        *(("valid", "x", "x", 0), ("valid", "x", "y", 0), ("valid", "y", "x", 1), ("valid", "y", "y", 0)),
    ]
    assert {type(row.n) for row in rows} == {int}


@pytest.mark.parametrize("labels", [["x"], ["x", "y", "z"]])
def test_labels_of_another_number_of_classes_are_refused(labels):
    one = Predictions(np.array(["a"]), np.array([0]), np.array([[1.0, 0]]), np.zeros(1))
    for table in (lambda: class_table(one, labels), lambda: list(confusion_table({"test": one}, labels))):
        with pytest.raises(ValueError, match=r"shorter|longer"):
            table()


def test_the_order_of_segments_changes_nothing():
    predictions = random_predictions()
    order = np.random.default_rng(5).permutation(len(predictions.label))
    shuffled = Predictions(
        predictions.track_id[order],
        predictions.label[order],
        predictions.probability[order],
        predictions.novelty[order],
    )
    both, again = score_both(predictions, 500, 0), score_both(shuffled, 500, 0)
    assert both == again
    assert both == {"track": score(predictions.by_track(), 500, 0), "segment": score(predictions, 500, 0)}


@pytest.mark.parametrize(("n", "hits"), [(100, 60), (300, 150), (300, 270)])
def test_interval_agrees_with_the_binomial(n, hits):
    correct = np.arange(n) < hits
    low, high = accuracy_interval(correct, np.array([f"{i:04d}" for i in range(n)]), 20_000, 0)
    wanted = stats.binom.ppf([0.025, 0.975], n, hits / n) / n
    assert (low, high) == pytest.approx(tuple(wanted), abs=1.01 / n)


def test_segments_of_the_same_track_widen_the_interval():
    correct = np.repeat(np.arange(40) < 24, 10)  # the ten segments of a track are all correct or all wrong
    clustered = accuracy_interval(correct, np.repeat(np.arange(40).astype(str), 10), 5000, 0)
    scattered = accuracy_interval(correct, np.arange(400).astype(str), 5000, 0)
    width = (clustered[1] - clustered[0]) / (scattered[1] - scattered[0])
    assert width == pytest.approx(np.sqrt(10), rel=0.1)


def test_interval_covers_the_true_accuracy_in_95_percent():
    random = np.random.default_rng(0)
    covered = 0
    for seed in range(200):
        correct = random.random(120) < 0.7
        low, high = accuracy_interval(correct, np.arange(120).astype(str), 400, seed)
        covered += low <= 0.7 <= high
    assert 0.89 <= covered / 200 <= 0.99


def test_interval_contains_the_accuracy_and_depends_on_the_seed():
    predictions = random_predictions()
    scores = score(predictions, 1000, 3)
    assert scores["accuracy_ci95_low"] < scores["accuracy"] < scores["accuracy_ci95_high"]
    assert score(predictions, 1000, 3) == scores
    assert any(score(predictions, 1000, seed) != scores for seed in range(4, 9))


def test_the_interval_of_perfect_predictions_has_no_width():
    correct = np.ones(20, bool)
    assert accuracy_interval(correct, np.arange(20).astype(str), 100, 0) == (1.0, 1.0)
