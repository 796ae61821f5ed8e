"""Model and baseline are scored alike, from predictions of exactly the tracks of each split."""

from dataclasses import replace

import numpy as np
import pytest

from stages.core.tables import Assignment
from stages.evaluation import metrics, open_set
from stages.evaluation.params import EvaluateParams
from stages.evaluation.predictions import Predictions
from stages.evaluation.scoring import Evaluation, evaluate, predict
from stages.splitting import examples
from stages.splitting.assignment import NOT_SCORED
from stages.storage.feature_file import Features
from tests.synthetic import description, line_of, write_features, write_split

LABELS = ["blues", "rock"]
PARAMS = EvaluateParams(bootstrap_samples=200, seed=3, known_accepted=0.8)
N_TRACKS = {"train": 9, "valid": 7, "test": 8, "unknown": 5, "unlabelled": 2}
# two tracks of an artist
UNIT_OF = {f"{split} {i}": f"{split} {i // 2}" for split, n in N_TRACKS.items() for i in range(n)}
HOW = (UNIT_OF, 200, 3)


def predictions(split: str, seed: int) -> Predictions:
    """Two segments of each track of a split."""
    random = np.random.default_rng(seed)
    n_tracks = N_TRACKS[split]
    label = np.arange(n_tracks) % 2 if split in ("train", "valid", "test") else np.full(n_tracks, -1)
    track_id = np.array([f"{split} {i}" for i in range(n_tracks)])
    probability = random.dirichlet([1, 1], 2 * n_tracks)
    return Predictions(np.repeat(track_id, 2), np.repeat(label, 2), probability, random.random(2 * n_tracks))


@pytest.fixture
def model() -> dict[str, Predictions]:
    return {split: predictions(split, seed) for seed, split in enumerate(N_TRACKS)}


@pytest.fixture
def linear() -> dict[str, Predictions]:
    return {split: predictions(split, seed) for seed, split in enumerate(("test", "unknown"), 10)}


@pytest.fixture
def split(model) -> list[Assignment]:
    """The tracks of all splits, and one that is excluded."""
    return [
        *(
            Assignment(track_id, {-1: "jazz", 0: "blues", 1: "rock"}[label], track_id, name, -1)
            for name, of_split in model.items()
            for track_id, label in zip(
                of_split.track_id[::2].tolist(), of_split.label[::2].tolist(), strict=True
            )
        ),
        Assignment("copy", "jazz", "copy", "excluded", -1),
    ]


def test_the_segments_of_every_split_are_predicted(workspace, monkeypatch):
    from stages.training.trained import TrainedModel, build

    write_features({"train": 4, "valid": 1, "test": 2})
    aside = dict(zip(("blues/train-0.wav", "jazz/train-1.wav", "rock/train-2.wav"), NOT_SCORED, strict=True))
    rows = [replace(row, split=aside.get(row.track_id, row.split)) for row in examples.read_split()]
    write_split(rows)
    monkeypatch.setattr(examples, "BLOCK", 5)
    trained = TrainedModel(description(), build(description()))
    with Features(examples.FEATURES) as features:
        found, vectors = predict(trained, features, rows)
        assert list(vectors) == list(found)
        assert list(found) == ["train", "valid", "test", "unknown", "unlabelled"]
        for name, of_split in found.items():
            data = examples.load(features, "mfcc", rows, name)
            parts = [trained.outputs(block) for block in data.blocks()]
            assert np.array_equal(of_split.probability, np.concatenate([part[0] for part in parts]))
            assert np.array_equal(of_split.novelty, np.concatenate([part[1] for part in parts]))
            assert np.array_equal(of_split.track_id, data.track_id)
            embedding = np.concatenate([part.embedding for part in parts])
            assert vectors[name].track_id.tolist() == sorted(set(data.track_id.tolist()))
            for track_id, values in zip(*vectors[name], strict=True):
                wanted = embedding[data.track_id == track_id].mean(axis=0)
                np.testing.assert_allclose(values, wanted, rtol=1e-5, atol=1e-6)
            assert np.array_equal(of_split.label, data.label)


def evaluated(model, linear, split) -> Evaluation:
    return evaluate(model, linear, {}, split, UNIT_OF, LABELS, PARAMS)


def test_each_part_is_what_its_function_gives(model, linear, split):
    evaluation = evaluated(model, linear, split)
    tracks = {name: of_split.by_track() for name, of_split in model.items()}
    assert evaluation.scores == {
        **{name: metrics.score_both(model[name], *HOW) for name in ("train", "valid", "test")},
        "baseline": {
            **metrics.score_both(linear["test"], *HOW),
            "open_set": open_set.score_auroc(linear["test"].by_track(), linear["unknown"].by_track(), *HOW),
        },
    }
    assert evaluation.limit == open_set.threshold(tracks["valid"], 0.8)
    assert evaluation.open_set == open_set.score(tracks, evaluation.limit, *HOW)
    assert evaluation.classes == metrics.class_table(tracks["test"], LABELS)
    scored = {name: tracks[name] for name in ("train", "valid", "test")}
    assert evaluation.confused == list(metrics.confusion_table(scored, LABELS))
    label_of = {row.track_id: row.label for row in split}
    assert evaluation.novelties == open_set.table(tracks, evaluation.limit, LABELS, label_of)
    assert {name: of_split.track_id.tolist() for name, of_split in evaluation.tracks.items()} == {
        name: of_split.track_id.tolist() for name, of_split in tracks.items()
    }


def test_the_summary_is_of_test_valid_and_baseline(model, linear, split):
    evaluation = evaluated(model, linear, split)
    assert evaluation.summary == {
        "result": "0.500 (0.069 to 0.931)",
        "test": evaluation.scores["test"],
        "valid": {"track": evaluation.scores["valid"]["track"]},
        "baseline": {"track": evaluation.scores["baseline"]["track"]},
        "minus_baseline": metrics.compare(model["test"].by_track(), linear["test"].by_track(), UNIT_OF),
        "n_units": 4,
        "largest_class": {"label": "blues", "accuracy": 0.5},
        "open_set": evaluation.open_set,
        "retrieval": {},
    }


def test_without_unknown_classes_the_baseline_has_no_open_set(model, linear, split):
    del model["unknown"], linear["unknown"]
    evaluation = evaluated(model, linear, [row for row in split if row.split != "unknown"])
    assert set(evaluation.scores["baseline"]) == {"track", "segment"}
    assert set(evaluation.open_set) == {"threshold", "known_accepted"}


@pytest.mark.parametrize(
    ("who", "name"),
    [("the model", "train"), ("the model", "unknown"), ("the baseline", "test"), ("the baseline", "unknown")],
)
def test_predictions_of_other_tracks_are_refused(model, linear, split, who, name):
    predicted = {"the model": model, "the baseline": linear}[who]
    others = np.char.replace(predicted[name].track_id, f"{name} 1", f"{name} X")
    predicted[name] = replace(predicted[name], track_id=others)
    assert line_of(lambda: evaluated(model, linear, split)) == (
        f"data/split/split.csv: the tracks of {name} are not those that {who} has predicted: "
        f"'{name} 1' differs; `dvc repro` updates both"
    )


@pytest.mark.parametrize("who", ["the model", "the baseline"])
def test_predictions_without_a_split_are_refused(model, linear, split, who):
    del {"the model": model, "the baseline": linear}[who]["unknown"]
    assert "'unknown 0' differs" in line_of(lambda: evaluated(model, linear, split))
