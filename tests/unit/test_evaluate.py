"""The evaluate stage: every track scored, from data/model alone."""

import csv
import json
from collections import Counter
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from ruamel.yaml import YAML
from sklearn.metrics import accuracy_score

from stages import baseline, evaluate, train
from stages.core.tables import Assignment
from stages.plots import figures
from stages.splitting import examples
from stages.storage.hdf5 import Features
from stages.training.trained import TrainedModel
from tests.synthetic import (
    CLASSES,
    REPO,
    edit_params,
    line_of,
    write_features,
    write_params,
    write_raw,
    write_split,
)

SCORES = {"accuracy", "accuracy_ci95_low", "accuracy_ci95_high", "macro_f1", "balanced_accuracy"}


def outputs() -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in Path("data/evaluation").rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def evaluated(module_workspace):
    """A workspace with a small model, evaluated."""
    write_features({"train": 4, "valid": 2, "test": 3})
    write_raw({"jazz/a.wav": b"x"})
    write_params("train.epochs=4")
    baseline.main()
    train.main()
    evaluate.main()
    return module_workspace


@pytest.mark.usefixtures("evaluated")
class TestOutputs:
    """What lies in data/evaluation."""

    def test_metrics_have_the_promised_names(self):
        metrics = json.loads(Path("data/evaluation/metrics.json").read_text())
        for path in (("test", "track"), ("test", "segment"), ("baseline", "track")):
            scores = metrics[path[0]][path[1]]
            assert set(scores) == SCORES
            assert all(isinstance(value, float) for value in scores.values())  # DVC shows no lists
            assert 0 <= scores["accuracy_ci95_low"] <= scores["accuracy"] <= scores["accuracy_ci95_high"] <= 1
        beside = json.loads(Path("data/baseline/metrics.json").read_text())
        assert metrics["baseline"]["track"] == beside["track"]

    def test_metrics_are_those_of_the_model_in_its_folder(self):
        trained = TrainedModel.load(Path("data/model"))
        with Features(examples.FEATURES) as features:
            test = examples.load(features, "mfcc", examples.read_split(), "test")
            probability = trained.predict(test.read())
        tracks = sorted(set(test.track_id.tolist()))
        mean = np.array([probability[test.track_id == track].mean(axis=0) for track in tracks])
        label = [test.label[test.track_id == track][0] for track in tracks]
        metrics = json.loads(Path("data/evaluation/metrics.json").read_text())["test"]
        assert metrics["track"]["accuracy"] == pytest.approx(accuracy_score(label, mean.argmax(1)), abs=1e-6)
        assert metrics["segment"]["accuracy"] == pytest.approx(
            accuracy_score(test.label, probability.argmax(1)), abs=1e-6
        )
        with Path("data/evaluation/predictions.csv").open() as file:
            rows = list(csv.DictReader(file))
        np.testing.assert_allclose([[float(row[name]) for name in CLASSES] for row in rows], mean, atol=1e-6)

    def test_every_test_track_is_predicted_once(self):
        with Path("data/evaluation/predictions.csv").open() as file:
            rows = list(csv.DictReader(file))
        wanted = {row.track_id: row.label for row in examples.read_split() if row.split == "test"}
        assert {row["track_id"]: row["label"] for row in rows} == wanted
        assert len(rows) == len(wanted)
        assert list(rows[0]) == ["track_id", "label", "predicted", *CLASSES]

    def test_confusion_counts_every_track_of_every_side(self):
        with Path("data/evaluation/confusion.csv").open() as file:
            rows = list(csv.DictReader(file))
        total = Counter()
        for row in rows:
            total[row["split"]] += int(row["n"])
        assert total == Counter(row.split for row in examples.read_split())
        assert len(rows) == 3 * len(CLASSES) ** 2

    def test_class_table_has_every_class(self):
        with Path("data/evaluation/classes.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert [row["label"] for row in rows] == list(CLASSES)
        assert [int(row["n"]) for row in rows] == [3, 3, 3]

    def test_figures_are_pictures(self):
        figures = {path.name: path.read_bytes() for path in Path("data/evaluation/figures").iterdir()}
        wanted = {
            "curves.png",
            "confusion_train.png",
            "confusion_valid.png",
            "confusion_test.png",
        }
        assert set(figures) == wanted
        assert all(content.startswith(b"\x89PNG") for content in figures.values())

    def test_card_names_model_numbers_and_counts(self):
        text = Path("data/evaluation/README.md").read_text("utf-8")
        accuracy = json.loads(Path("data/evaluation/metrics.json").read_text())["test"]["track"]["accuracy"]
        for part in (
            "MLP",
            f"**{accuracy:.3f}**",
            "9 test tracks",
            "| all segments | 36 | 18 | 27 |",
            *CLASSES,
        ):
            assert part in text

    def test_dvc_knows_every_file(self):
        stage = YAML(typ="safe").load(REPO / "dvc.yaml")["stages"]["evaluate"]
        known = [*stage["outs"], *(name for metric in stage["metrics"] for name in metric)]
        assert {str(path) for path in Path("data/evaluation").iterdir()} == set(known)

    def test_the_same_inputs_give_the_same_bytes(self):
        before = outputs()
        evaluate.main()
        assert outputs() == before

    def test_it_matters_not_how_many_segments_are_read_at_a_time(self, monkeypatch):
        before = outputs()
        monkeypatch.setattr(examples, "BLOCK", 4)
        evaluate.main()
        assert outputs() == before

    def test_the_model_section_of_params_is_not_asked(self):
        before = outputs()
        edit_params("model", _target_="models.LSTM", hidden=5)
        evaluate.main()
        assert outputs() == before


def test_a_test_track_without_segments_ends_it(workspace):
    write_features({"train": 2, "valid": 1, "test": 1})
    write_raw({"jazz/a.wav": b"x"})
    write_params("train.epochs=1")
    baseline.main()
    train.main()
    write_split([*examples.read_split(), Assignment("jazz/lost.wav", "jazz", "jazz/lost.wav", "test", -1)])
    assert "jazz/lost.wav" in line_of(evaluate.main)
    assert not Path("data/evaluation").exists()


@pytest.mark.parametrize(
    "options",
    [
        ("augment=[specaugment,mixup,noise,gain,shift,time_resized_crop]",),
        ("augment=gain", "train.scaler=none"),
        ("augment=time_resized_crop", "train.scaler=example", "train.rounds=2", "loss=binary_cross_entropy"),
    ],
)
def test_a_model_trained_in_another_way_is_evaluated_all_the_same(workspace, options):
    write_features({"train": 4, "valid": 1, "test": 2}, unit="dB")
    write_raw({"jazz/a.wav": b"x"})
    write_params("train.epochs=6", "train.batch_size=8", "train.keep=last", *options)
    baseline.main()
    train.main()
    evaluate.main()
    assert json.loads(Path("data/evaluation/metrics.json").read_text())["test"]["track"]["accuracy"] > 0.9
    figure = Path("data/evaluation/figures/augmentations.png").read_bytes()
    assert figure.startswith(b"\x89PNG")
    before = outputs()
    evaluate.main()
    assert outputs() == before


class TestOpenSet:
    """Classes that are held out, and tracks without a label."""

    @pytest.fixture(params=["cross_entropy", "triplet", "supcon"])
    def judged(self, request, workspace):
        """Evaluated with jazz held out and two tracks of its kind unlabelled."""
        write_features({"train": 5, "valid": 2, "test": 4})
        rows = [
            Assignment(row.track_id, row.label, row.unit, "unknown", -1) if row.label == "jazz" else row
            for row in examples.read_split()
        ]
        unlabelled = [row.track_id for row in rows if row.split == "unknown"][:2]
        rows = [
            Assignment(row.track_id, "", row.unit, "unlabelled", -1) if row.track_id in unlabelled else row
            for row in rows
        ]
        write_split(rows)
        write_raw({"jazz/a.wav": b"x"})
        write_params("train.epochs=25", "train.patience=null", f"loss={request.param}")
        baseline.main()
        train.main()
        evaluate.main()
        return request.param, unlabelled

    def test_new_music_is_told_from_known(self, judged, workspace):
        loss, unlabelled = judged
        trained = TrainedModel.load(Path("data/model"))
        assert trained.description.labels == ["blues", "rock"]
        metrics = json.loads(Path("data/evaluation/metrics.json").read_text())
        assert metrics["test"]["track"]["accuracy"] == 1.0
        scores = metrics["open_set"]
        assert scores["auroc_ci95_low"] <= scores["auroc"] <= scores["auroc_ci95_high"]
        if loss != "cross_entropy":
            assert scores["auroc"] > 0.8
        beside = json.loads(Path("data/baseline/metrics.json").read_text())["open_set"]
        assert set(beside) == {"auroc", "auroc_ci95_low", "auroc_ci95_high"}

        with Path("data/evaluation/novelty.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert Counter(row["split"] for row in rows) == {"test": 8, "unknown": 9, "unlabelled": 2}
        assert {row["track_id"] for row in rows if row["split"] == "unlabelled"} == set(unlabelled)
        assert {row["label"] for row in rows if row["split"] == "unknown"} == {"jazz"}
        novelty = [float(row["novelty"]) for row in rows]
        assert novelty == sorted(novelty, reverse=True)
        assert 0 <= novelty[-1] <= novelty[0] <= 2
        limit = scores["threshold"]
        clear = [row for row in rows if abs(float(row["novelty"]) - limit) > 1e-5 * limit]  # of rounding
        assert len(clear) >= 15
        assert all((float(row["novelty"]) > limit) == (row["is_new"] == "yes") for row in clear)
        with Path("data/evaluation/predictions.csv").open() as file:
            assert {row["label"] for row in csv.DictReader(file)} == {"blues", "rock"}
        assert "(figures/novelty.png)" in Path("data/evaluation/README.md").read_text()
        assert Path("data/evaluation/figures/novelty.png").read_bytes().startswith(b"\x89PNG")

    def test_novelty_is_the_distance_to_the_nearest_prototype(self, judged, workspace):
        trained = TrainedModel.load(Path("data/model"))
        with Features(examples.FEATURES) as features:
            x = examples.load(features, "mfcc", examples.read_split(), "unknown").read()
        probability, novelty = trained.predict_with_novelty(x)
        np.testing.assert_array_equal(probability, trained.predict(x))
        if judged[0] == "cross_entropy":
            wanted = 1 - probability.max(axis=1)
        else:
            embedding = trained.model.embed(trained.description.scaler.standardise(x)).detach()
            wanted = torch.cdist(embedding, trained.model.prototypes).min(dim=1).values
        np.testing.assert_allclose(novelty, wanted, atol=1e-4)


class TestVariants:
    """Variants are learned from and drawn; nothing is judged by them."""

    NAMES = ("pitch_shift=2.0", "time_stretch=0.9")

    def evaluate(self, *options: str) -> dict[str, bytes]:
        write_params("train.epochs=3", *options)
        baseline.main()
        train.main()
        evaluate.main()
        return outputs() | {"baseline": Path("data/baseline/predictions.csv").read_bytes()}

    def test_what_they_hold_changes_no_score_of_any_side(self, workspace, monkeypatch):
        write_features({"train": 4, "valid": 1, "test": 2}, variants=self.NAMES)
        write_raw({"jazz/a.wav": b"x"})
        before = self.evaluate()
        assert before.pop("data/evaluation/figures/augmentations.png").startswith(b"\x89PNG")
        with h5py.File(examples.FEATURES, "r+") as file:
            for name in self.NAMES:
                file[f"variants/{name}/mfcc"][:] = np.nan
        baseline.main()
        evaluate.main()
        after = outputs() | {"baseline": Path("data/baseline/predictions.csv").read_bytes()}
        del after["data/evaluation/figures/augmentations.png"]
        assert after == before

    @pytest.mark.parametrize("options", [(), ("augment=shift",)])
    def test_the_figure_shows_those_of_the_same_segments(self, workspace, monkeypatch, options):
        write_features({"train": 4, "valid": 1, "test": 2}, variants=self.NAMES)
        write_raw({"jazz/a.wav": b"x"})
        drawn = []
        draw = figures.augmentations
        monkeypatch.setattr(figures, "augmentations", lambda *given: drawn.append(given) or draw(*given))
        self.evaluate("train.scaler=none", *options)
        ((before, after, labels),) = drawn
        assert list(after) == [*self.NAMES, *(["shift"] if options else [])]
        with h5py.File(examples.FEATURES) as file:
            originals, tracks = file["mfcc"][:], file["track_id"].asstr()[:]
            rows = [int(np.flatnonzero((originals == one).all(axis=(1, 2)))[0]) for one in before]
            assert len(set(rows)) == 3
            assert all(
                tracks[row].startswith(f"{label}/train-") for row, label in zip(rows, labels, strict=True)
            )
            for name in self.NAMES:
                np.testing.assert_array_equal(after[name], file[f"variants/{name}/mfcc"][rows])

    def test_none_are_drawn_where_none_are_learned_from(self, workspace):
        write_features({"train": 4, "valid": 1, "test": 2}, variants=self.NAMES)
        write_raw({"jazz/a.wav": b"x"})
        assert "data/evaluation/figures/augmentations.png" not in self.evaluate("train.variants=false")


def test_two_classes_will_do(workspace):
    write_features({"train": 2, "valid": 1, "test": 1})
    write_split([row for row in examples.read_split() if row.label != "rock"])
    write_raw({"jazz/a.wav": b"x"})
    write_params("train.epochs=1")
    baseline.main()
    train.main()
    evaluate.main()
    assert set(json.loads(Path("data/evaluation/metrics.json").read_text())["test"]["track"]) == SCORES
