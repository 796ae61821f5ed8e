"""Scores equal those of scikit-learn, and systems are compared in pairs."""

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as reference

from stages.evaluation.metrics import (
    class_table,
    compare,
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


def of_themselves(predictions: Predictions) -> dict[str, str]:
    """Each track on its own."""
    return {track_id: track_id for track_id in predictions.track_id.tolist()}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("n_tracks", [3, 40])  # with 3, some classes are absent or never predicted
@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
def test_scores_equal_those_of_scikit_learn(seed, n_tracks):
    predictions = random_predictions(seed, n_tracks, segments=1 if n_tracks == 3 else 7)
    truth = predictions.label, predictions.probability.argmax(axis=1)
    scores = score(predictions, of_themselves(predictions), 100, 0)
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
    assert score(predictions, of_themselves(predictions), 100, 0)["macro_f1"] == pytest.approx(
        (2 / 3 + 0) / 2, abs=1e-6
    )


def test_a_class_only_predicted_counts_in_macro_f1_alone():
    predictions = Predictions(
        np.array(["a", "b"]), np.array([0, 0]), np.array([[1.0, 0, 0], [0, 1.0, 0]]), np.zeros(2)
    )
    scores = score(predictions, of_themselves(predictions), 100, 0)
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
    how = of_themselves(predictions), 500, 0
    both, again = score_both(predictions, *how), score_both(shuffled, *how)
    assert both == again
    assert both == {"track": score(predictions.by_track(), *how), "segment": score(predictions, *how)}


def test_intervals_contain_their_values_and_those_of_the_bootstrap_depend_on_the_seed():
    predictions = random_predictions()
    unit_of = of_themselves(predictions)
    scores = score(predictions, unit_of, 1000, 3)
    for name in ("accuracy", "macro_f1", "balanced_accuracy"):
        assert scores[f"{name}_ci95_low"] < scores[name] < scores[f"{name}_ci95_high"]
    assert score(predictions, unit_of, 1000, 3) == scores
    other = score(predictions, unit_of, 1000, 4)
    changed = {name for name in scores if scores[name] != other[name]}
    assert changed == {name for name in scores if name.startswith(("macro_f1_", "balanced_accuracy_"))}


def test_a_class_of_one_artist_does_not_pull_the_interval_of_macro_f1_away():
    """Half of the resamples lack a class, whose false positives would be an F1 of 0."""
    label = np.repeat(np.arange(8), 3)
    right = np.arange(24) % 3 > 0
    probability = np.eye(8)[np.where(right, label, (label + 1) % 8)]
    track_id = np.array([f"t{i:02d}" for i in range(24)])
    predictions = Predictions(track_id, label, probability, np.zeros(24))
    scores = score(predictions, dict(zip(track_id.tolist(), label.astype(str), strict=True)), 1000, 0)
    assert scores["macro_f1_ci95_low"] <= scores["macro_f1"] <= scores["macro_f1_ci95_high"]


def test_the_difference_of_two_systems_is_paired():
    label = np.array([0, 0, 1, 1, 0, 1, 0, 1])
    track_id = np.array([f"t{i}" for i in range(8)])
    first, second = (
        Predictions(track_id, label, np.eye(2)[np.where(right, label, 1 - label)], np.zeros(8))
        for right in ([1, 1, 1, 1, 1, 1, 0, 0], [1, 1, 0, 0, 0, 0, 0, 1])
    )
    found = compare(first, second, of_themselves(first))
    assert found["accuracy"] == (6 - 3) / 8
    expected = stats.ttest_1samp([0, 0, 1, 1, 1, 1, 0, -1], 0).confidence_interval()
    assert (found["accuracy_ci95_low"], found["accuracy_ci95_high"]) == pytest.approx(
        tuple(expected), abs=1e-6
    )
    assert found["p"] == pytest.approx(stats.binomtest(4, 5).pvalue, abs=1e-6)
    assert compare(first, first, of_themselves(first))["p"] == 1.0
