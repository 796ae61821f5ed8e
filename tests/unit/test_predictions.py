"""Predictions of segments and of tracks, and their tables."""

import csv

import numpy as np
import pytest

from stages.core.errors import EncoreError
from stages.evaluation.predictions import (
    Predictions,
    TrackPrediction,
    read_segments,
    read_tracks,
    write_segments,
    write_tracks,
)
from tests.synthetic import line_of
from tests.unit.test_metrics import random_predictions

LABELS = ["blues, slow", "jazz", "рок", "split"]


def test_a_track_is_the_mean_of_its_segments():
    predictions = random_predictions(segments=5)
    tracks = predictions.by_track()
    assert tracks.track_id.tolist() == sorted(set(predictions.track_id.tolist()))
    for track_id, label, probability, novelty in zip(
        tracks.track_id, tracks.label, tracks.probability, tracks.novelty, strict=True
    ):
        mine = predictions.track_id == track_id
        np.testing.assert_allclose(probability, predictions.probability[mine].mean(axis=0))
        assert novelty == pytest.approx(predictions.novelty[mine].mean())
        assert set(predictions.label[mine]) == {label}


def test_the_mean_can_differ_from_the_majority():
    predictions = Predictions(
        np.array(["a"] * 3), np.array([0] * 3), np.array([[0.4, 0.6], [0.4, 0.6], [0.9, 0.1]]), np.zeros(3)
    )
    assert predictions.predicted.tolist() == [1, 1, 0]
    assert predictions.by_track().predicted.tolist() == [0]


def test_table_of_tracks(tmp_path):
    tracks, baseline = (random_predictions(seed).by_track() for seed in (0, 1))
    unit_of = {track_id: f"artist of {track_id}" for track_id in tracks.track_id.tolist()}
    write_tracks(tmp_path / "predictions.csv", tracks, baseline, unit_of, LABELS)
    with (tmp_path / "predictions.csv").open(newline="", encoding="utf-8") as file:
        header, *rows = list(csv.reader(file))
    assert header == ["track_id", "unit", "label", "predicted", "baseline", *LABELS]
    assert len(rows) == 40
    of_model = zip(tracks.track_id.tolist(), tracks.label, tracks.probability, strict=True)
    for row, (track_id, label, probability), of_baseline in zip(
        rows, of_model, baseline.predicted, strict=True
    ):
        assert row[:2] == [track_id, unit_of[track_id]]
        assert row[2:5] == [LABELS[label], LABELS[int(np.argmax(probability))], LABELS[of_baseline]]
        np.testing.assert_allclose([float(p) for p in row[5:]], probability, atol=1e-6)
        assert sum(float(p) for p in row[5:]) == pytest.approx(1, abs=1e-5)


class TestSegments:
    """The table of segments, which evaluate reads."""

    def test_segments_read_back_exactly_in_their_order(self, tmp_path):
        test, unknown = random_predictions(1), random_predictions(2)
        label_of = {
            track_id: LABELS[label] for track_id, label in zip(test.track_id, test.label, strict=True)
        }
        write_segments(tmp_path / "test.csv", {"test": test}, LABELS, label_of)
        new = dict.fromkeys(unknown.track_id.tolist(), "polka")
        write_segments(tmp_path / "unknown.csv", {"test": unknown, "unknown": unknown}, LABELS, new)
        found = read_segments(tmp_path / "test.csv", LABELS)
        assert set(found) == {"test"}
        np.testing.assert_array_equal(found["test"].track_id, test.track_id)
        np.testing.assert_array_equal(found["test"].label, test.label)
        np.testing.assert_array_equal(found["test"].probability, test.probability)
        np.testing.assert_array_equal(found["test"].novelty, 1 - test.probability.max(axis=1))
        found = read_segments(tmp_path / "unknown.csv", LABELS)
        assert set(found) == {"test", "unknown"}
        assert set(found["unknown"].label.tolist()) == {-1}
        np.testing.assert_array_equal(found["unknown"].probability, unknown.probability)

    def test_a_table_of_other_classes_is_refused(self, tmp_path):
        path = tmp_path / "predictions.csv"
        write_segments(path, {}, LABELS, {})
        line = line_of(lambda: read_segments(path, ["jazz", "pop"]))
        assert str(path) in line
        assert "pop" in line


def test_tracks_are_read_as_they_were_written(tmp_path):
    """Also where classes are called as the columns before them are."""
    labels = ["label", "unit", "jazz"]
    probability = np.array([[0.5, 0.25, 0.25], [0.125, 0.125, 0.75]])
    tracks = Predictions.of_classifier(np.array(["a", "b"]), np.array([1, 2]), probability)
    path = tmp_path / "predictions.csv"
    write_tracks(path, tracks, tracks, {"a": "A", "b": "B"}, labels)
    assert read_tracks(path) == [
        TrackPrediction("a", "A", "unit", "label", "label", {"label": 0.5, "unit": 0.25, "jazz": 0.25}),
        TrackPrediction("b", "B", "jazz", "jazz", "jazz", {"label": 0.125, "unit": 0.125, "jazz": 0.75}),
    ]
    for damaged in ("", path.read_text() + "c,C\n", path.read_text().replace("0.75", "x")):
        path.write_text(damaged)
        with pytest.raises(EncoreError, match=r"predictions.csv: line \d is damaged; delete the file"):
            read_tracks(path)
