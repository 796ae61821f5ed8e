"""The linear baseline, and the stage that writes its predictions."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from stages import baseline
from stages.core.params import check
from stages.core.tables import Assignment
from stages.evaluation.params import BaselineParams
from stages.evaluation.predictions import Predictions, read_segments
from stages.splitting import examples
from stages.splitting.inputs import as_one_frame, statistics
from stages.storage.feature_file import Features
from tests.synthetic import CLASSES, line_of, write_features, write_params, write_split

PREDICTIONS = Path("data/baseline/predictions.csv")


def predictions(split: str = "test") -> Predictions:
    return read_segments(PREDICTIONS, CLASSES)[split]


@pytest.fixture
def _features(workspace):
    write_features({"train": 4, "valid": 1, "test": 2})
    write_params()


def test_statistics_are_mean_and_standard_deviation_over_time():
    x = np.random.default_rng(0).standard_normal((6, 3, 20)).astype(np.float32)
    values = statistics([x, x[:, :2, :1]])
    np.testing.assert_allclose(values[:, :3], x.mean(axis=2), atol=1e-6)
    np.testing.assert_allclose(values[:, 3:6], x.std(axis=2), atol=1e-6)
    np.testing.assert_allclose(values[:, 6:], x[:, :2, 0], atol=1e-6)


@pytest.mark.parametrize("key", ["bootstrap_samples", "seed"])
def test_keys_that_evaluate_has_now_are_named(key):
    values = {"features": ["mfcc"], "C": 1.0, "class_weights": "none", key: 500}
    line = line_of(lambda: check(values, BaselineParams, "baseline"))
    assert line.startswith(f"params.yaml: baseline.{key} is now ")
    assert f"evaluate.{key}; " in line


@pytest.mark.usefixtures("_features")
class TestStage:
    """`python -m stages.baseline`."""

    @pytest.mark.parametrize("weights", ["none", "balanced"])
    def test_predictions_are_those_of_logistic_regression_fitted_on_train(self, weights, capsys):
        rare = [row for row in examples.read_split() if (row.label, row.split) == ("jazz", "train")][1:]
        write_split([row for row in examples.read_split() if row not in rare])
        write_params(f"baseline.class_weights={weights}", "baseline.features=[mfcc]")
        baseline.main()
        split = examples.read_split()
        with Features(examples.FEATURES) as features:
            train, test = (examples.load(features, "mfcc", split, name) for name in ("train", "test"))
            x_train, x_test = (as_one_frame([data.read()])[:, :, 0] for data in (train, test))
        scaler = StandardScaler().fit(x_train)
        counts = np.bincount(train.label)
        assert len(set(counts)) > 1
        weight = 1 / counts[train.label] if weights == "balanced" else np.ones(len(train))
        model = LogisticRegression(max_iter=2000)
        model.fit(scaler.transform(x_train), train.label, weight * len(train) / weight.sum())
        found = predictions()
        np.testing.assert_array_equal(found.track_id, test.track_id)
        np.testing.assert_array_equal(found.label, test.label)
        np.testing.assert_allclose(
            found.probability, model.predict_proba(scaler.transform(x_test)), atol=1e-4
        )
        tracks = found.by_track()
        accuracy = (tracks.predicted == tracks.label).mean()
        assert accuracy > 0.9
        assert capsys.readouterr().out == f"baseline: accuracy {accuracy:.3f} over 6 test tracks\n"

    def test_same_data_gives_same_bytes_beside_the_users_files(self):
        written = []
        for content in ("a", "b"):
            baseline.main()
            written.append({path.name: path.read_bytes() for path in PREDICTIONS.parent.iterdir()})
            Path("data/baseline/notes.txt").write_text(content)
        assert set(written[0]) == {"predictions.csv"}
        assert written[1] == written[0] | {"notes.txt": b"a"}

    def test_block_size_changes_no_byte(self, monkeypatch):
        baseline.main()
        whole = PREDICTIONS.read_bytes()
        monkeypatch.setattr(examples, "BLOCK", 5)
        baseline.main()
        assert PREDICTIONS.read_bytes() == whole

    def test_a_class_missing_in_train_gets_probability_zero(self):
        rows = [row for row in examples.read_split() if (row.label, row.split) != ("rock", "train")]
        write_split(rows)
        baseline.main()
        assert set(predictions().probability[:, CLASSES.index("rock")].tolist()) == {0.0}

    def test_unknown_classes_are_predicted_under_their_names(self):
        rows = [
            Assignment(row.track_id, row.label, row.unit, "unknown", -1) if row.label == "jazz" else row
            for row in examples.read_split()
        ]
        write_split(rows)
        baseline.main()
        unknown = read_segments(PREDICTIONS, ["blues", "rock"])["unknown"]
        assert set(unknown.track_id.tolist()) == {row.track_id for row in rows if row.split == "unknown"}
        assert set(unknown.label.tolist()) == {-1}
        assert "unknown,jazz/test-0.wav,jazz," in PREDICTIONS.read_text()

    def test_a_leak_is_refused(self):
        rows = examples.read_split()
        write_split([*rows, Assignment(rows[0].track_id, rows[0].label, rows[0].unit, "test", -1)])
        assert "results would leak" in line_of(baseline.main)
        assert not Path("data/baseline").exists()
