"""The linear number beside every number."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from stages import baseline
from stages.baseline import statistics
from stages.core.tables import Assignment
from stages.splitting import examples
from stages.storage.hdf5 import Features
from tests.synthetic import line_of, write_features, write_params, write_split


@pytest.fixture
def _features(workspace):
    write_features({"train": 4, "valid": 1, "test": 2})
    write_params()


def test_statistics_are_mean_and_deviation_over_time():
    x = np.random.default_rng(0).standard_normal((6, 3, 20)).astype(np.float32)
    values = statistics(x)
    np.testing.assert_allclose(values[:, :3], x.mean(axis=2), atol=1e-6)
    np.testing.assert_allclose(values[:, 3:], x.std(axis=2), atol=1e-6)


@pytest.mark.usefixtures("_features")
class TestStage:
    """`python -m stages.baseline`."""

    @pytest.mark.parametrize("weights", ["none", "balanced"])
    def test_metrics_are_those_of_logistic_regression_fitted_on_train(self, weights):
        rare = [row for row in examples.read_split() if (row.label, row.split) == ("jazz", "train")][1:]
        write_split([row for row in examples.read_split() if row not in rare])
        write_params(f"baseline.class_weights={weights}")
        baseline.main()
        split = examples.read_split()
        with Features(examples.FEATURES) as features:
            train, test = (examples.load(features, "mfcc", split, side) for side in ("train", "test"))
            x_train, x_test = statistics(train.read()), statistics(test.read())
        scaler = StandardScaler().fit(x_train)
        counts = np.bincount(train.label)
        assert len(set(counts)) > 1
        weight = 1 / counts[train.label] if weights == "balanced" else np.ones(len(train))
        model = LogisticRegression(max_iter=2000)
        model.fit(scaler.transform(x_train), train.label, weight * len(train) / weight.sum())
        probability = model.predict_proba(scaler.transform(x_test))
        metrics = json.loads(Path("data/baseline/metrics.json").read_text())
        accuracy = (probability.argmax(axis=1) == test.label).mean()
        assert metrics["segment"]["accuracy"] == pytest.approx(accuracy, abs=1e-6)
        assert metrics["track"]["accuracy"] > 0.9
        with Path("data/baseline/predictions.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert {row["track_id"] for row in rows} == set(test.track_id.tolist())
        first = probability[test.track_id == rows[0]["track_id"]].mean(axis=0)
        np.testing.assert_allclose(
            [float(rows[0][label]) for label in ("blues", "jazz", "rock")], first, atol=1e-4
        )

    def test_the_same_data_gives_the_same_bytes(self):
        written = []
        for _ in range(2):
            baseline.main()
            written.append({path.name: path.read_bytes() for path in Path("data/baseline").iterdir()})
        assert written[0] == written[1]
        assert set(written[0]) == {"metrics.json", "predictions.csv"}

    def test_it_matters_not_how_many_segments_are_read_at_a_time(self, monkeypatch):
        baseline.main()
        whole = Path("data/baseline/predictions.csv").read_bytes()
        monkeypatch.setattr(examples, "BLOCK", 5)
        baseline.main()
        assert Path("data/baseline/predictions.csv").read_bytes() == whole

    def test_a_class_missing_in_train_gets_probability_zero(self):
        rows = [row for row in examples.read_split() if (row.label, row.split) != ("rock", "train")]
        write_split(rows)
        baseline.main()
        with Path("data/baseline/predictions.csv").open() as file:
            assert {float(row["rock"]) for row in csv.DictReader(file)} == {0.0}

    def test_a_leak_is_refused(self):
        rows = examples.read_split()
        write_split([*rows, Assignment(rows[0].track_id, rows[0].label, rows[0].unit, "test", -1)])
        assert "results would leak" in line_of(baseline.main)
        assert not Path("data/baseline").exists()
