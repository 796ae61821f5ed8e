"""The evaluate stage: model and baseline scored on every track, from the files of earlier stages alone."""

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
from stages.core.params import load
from stages.core.tables import (
    Assignment,
    Quality,
    SegmentedTrack,
    read_plain_rows,
    read_rows,
    read_table,
    write_table,
)
from stages.evaluation import scoring
from stages.evaluation.metrics import score_both
from stages.evaluation.params import EvaluateParams
from stages.evaluation.predictions import Predictions, read_segments
from stages.evaluation.preview import previews
from stages.evaluation.retrieval import OWN, Retrieval
from stages.splitting import examples
from stages.storage.feature_file import Features
from stages.tracking.metrics import tracked
from stages.training.trained import TrainedModel
from tests.synthetic import (
    CLASSES,
    REPO,
    edit_params,
    edited_features,
    line_of,
    write_arrays,
    write_features,
    write_params,
    write_raw,
    write_split,
)

pytestmark = pytest.mark.slow

SCORES = {
    f"{name}{end}"
    for name in ("accuracy", "macro_f1", "balanced_accuracy")
    for end in ("", "_ci95_low", "_ci95_high")
}
AUROC = {"auroc", "auroc_ci95_low", "auroc_ci95_high"}


def outputs() -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in Path("data/evaluation").rglob("*") if path.is_file()}


def rows_of(path: str) -> list[dict[str, str]]:
    with Path(path).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def predicted() -> tuple[TrainedModel, dict[str, Predictions]]:
    """The trained model, and its predictions of segments, as `evaluate` makes them."""
    trained = TrainedModel.load(Path("data/model"))
    with Features(examples.FEATURES) as features:
        return trained, scoring.predict(trained, features, examples.read_split())[0]


def evaluated_without_figures() -> scoring.Evaluation:
    trained, segments = predicted()
    labels = trained.description.labels
    linear = read_segments(Path("data/baseline/predictions.csv"), labels)
    params = load("evaluate", EvaluateParams)
    return scoring.evaluate(segments, linear, {}, examples.read_split(), units(), labels, params)


def units() -> dict[str, str]:
    tracks = read_rows(Path("data/segments/tracks.csv"), SegmentedTrack)
    return scoring.units_of_tracks(tracks, read_rows(Path("data/audio/quality.csv"), Quality))


@pytest.fixture(scope="module")
def evaluated(module_workspace):
    """A workspace with a small model, evaluated."""
    write_features({"train": 4, "valid": 2, "test": 3})
    write_raw({"jazz/a.wav": b"x"})
    write_params("train.epochs=4", "augment=shift")
    baseline.main()
    train.main()
    evaluate.main()
    return module_workspace


@pytest.mark.usefixtures("evaluated")
class TestOutputs:
    """The files in data/evaluation."""

    def test_metrics_have_the_documented_names(self):
        metrics = json.loads(Path("data/evaluation/metrics.json").read_text())
        for path in (("test", "track"), ("test", "segment"), ("baseline", "track")):
            scores = metrics[path[0]][path[1]]
            assert set(scores) == SCORES
            assert all(isinstance(value, float) for value in scores.values())  # DVC shows no lists
            assert 0 <= scores["accuracy_ci95_low"] <= scores["accuracy"] <= scores["accuracy_ci95_high"] <= 1

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
        rows = rows_of("data/evaluation/predictions.csv")
        np.testing.assert_allclose([[float(row[name]) for name in CLASSES] for row in rows], mean, atol=1e-6)

    def test_the_baseline_is_scored_like_the_model(self):
        params = load("evaluate", EvaluateParams)
        linear = read_segments(Path("data/baseline/predictions.csv"), CLASSES)["test"]
        metrics = json.loads(Path("data/evaluation/metrics.json").read_text())
        both = score_both(linear, units(), params.bootstrap_samples, params.seed)
        assert metrics["baseline"] == {"track": both["track"]}
        assert evaluated_without_figures().scores["baseline"] == both

    def test_every_test_track_is_predicted_once(self):
        rows = rows_of("data/evaluation/predictions.csv")
        wanted = {row.track_id: row.label for row in examples.read_split() if row.split == "test"}
        assert {row["track_id"]: row["label"] for row in rows} == wanted
        assert len(rows) == len(wanted)
        assert list(rows[0]) == ["track_id", "unit", "label", "predicted", "baseline", *CLASSES]
        assert {row["track_id"]: row["unit"] for row in rows} == {name: units()[name] for name in wanted}
        linear = evaluated_without_figures().baseline
        assert [row["baseline"] for row in rows] == [CLASSES[index] for index in linear.predicted]

    def test_retrieval_is_of_the_models_embedding_and_of_mfcc_beside_it(self):
        rows = read_plain_rows(Path("data/evaluation/retrieval.csv"), Retrieval)
        assert [(row.embedding, row.same_artist, row.k) for row in rows] == [
            (name, same_artist, k)
            for name in (OWN, "mfcc")
            for same_artist in ("allowed", "removed")
            for k in (1, 5)
        ]  # nine test tracks, each an artist of its own: none has ten others
        assert {row.n_queries for row in rows} == {9}
        metrics = json.loads(Path("data/evaluation/metrics.json").read_text())["retrieval"]
        assert set(metrics) == {OWN, "mfcc"}
        at_5 = next(row for row in rows if (row.same_artist, row.k) == ("removed", 5))
        assert metrics[OWN]["precision_at_5"] == pytest.approx(at_5.precision, abs=1e-5)
        trained = TrainedModel.load(Path("data/model"))
        with Features(examples.FEATURES) as features:
            split = examples.read_split()
            train, test = (examples.load(features, "mfcc", split, name) for name in ("train", "test"))
            of_train, of_test = (
                np.stack([embedding[data.track_id == name].mean(axis=0) for name in np.unique(data.track_id)])
                for data in (train, test)
                for embedding in [trained.outputs(data.read()).embedding]
            )
        std = of_train.std(axis=0)
        scaled = (of_test - of_train.mean(axis=0)) / np.where(std > 0, std, 1)
        scaled /= np.linalg.norm(scaled, axis=1, keepdims=True)
        cosine = scaled @ scaled.T - 3 * np.eye(len(scaled))
        label = np.array([name.partition("/")[0] for name in np.unique(test.track_id)])
        hits = label[np.argsort(-cosine, axis=1)[:, :5]] == label[:, None]
        assert at_5.precision == pytest.approx(hits.mean(), abs=1e-5)

    def test_confusion_counts_every_track_of_every_split(self):
        rows = rows_of("data/evaluation/confusion.csv")
        total = Counter()
        for row in rows:
            total[row["split"]] += int(row["n"])
        assert total == Counter(row.split for row in examples.read_split())
        assert len(rows) == 3 * len(CLASSES) ** 2

    def test_class_table_has_every_class(self):
        rows = rows_of("data/evaluation/classes.csv")
        assert [row["label"] for row in rows] == list(CLASSES)
        assert [int(row["n"]) for row in rows] == [3, 3, 3]

    def test_figures_are_png_files(self):
        figures = {path.name: path.read_bytes() for path in Path("data/evaluation/figures").iterdir()}
        wanted = {
            "augmentations.png",
            "curves.png",
            "novelty.png",
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
            "- Tracks (segments): train 12 (36), valid 6 (18), test 9 (27).",
            *CLASSES,
        ):
            assert part in text

    def test_dvc_knows_every_file(self):
        stage = YAML(typ="safe").load(REPO / "dvc.yaml")["stages"]["evaluate"]
        known = [*stage["outs"], *(name for metric in stage["metrics"] for name in metric)]
        assert {str(path) for path in Path("data/evaluation").iterdir()} == set(known)

    def test_block_size_and_model_section_change_no_byte(self, monkeypatch):
        before = outputs()
        notes = Path("data/evaluation/notes.txt")
        notes.write_text("the user's")
        params = Path("params.yaml").read_text()
        monkeypatch.setattr(examples, "BLOCK", 4)
        try:
            edit_params("model", _target_="models.LSTM", hidden=5)
            evaluate.main()
            assert outputs() == before | {str(notes): b"the user's"}
        finally:
            Path("params.yaml").write_text(params)
            notes.unlink()


@pytest.mark.usefixtures("evaluated")
class TestRefusals:
    """What ends the stage in one line, and leaves data/evaluation as it was."""

    @pytest.fixture(autouse=True)
    def _restored(self):
        before = outputs()
        files = [Path("data/split/split.csv"), Path("data/baseline/predictions.csv")]
        contents = [path.read_bytes() for path in files]
        yield
        assert outputs() == before
        for path, content in zip(files, contents, strict=True):
            path.write_bytes(content)

    def test_a_test_track_without_segments(self):
        lost = Assignment("jazz/lost.wav", "jazz", "jazz/lost.wav", "test", -1)
        write_split([*examples.read_split(), lost])
        assert "jazz/lost.wav" in line_of(evaluate.main)

    def test_a_baseline_of_another_split(self):
        moved = next(row for row in examples.read_split() if row.split == "test")
        write_split([row for row in examples.read_split() if row != moved])
        line = line_of(evaluate.main)
        assert all(part in line for part in ("test", "the baseline", repr(moved.track_id), "dvc repro"))

    def test_a_baseline_of_other_classes(self):
        path = Path("data/baseline/predictions.csv")
        names, *rows = read_table(path)
        write_table(path, [*names[:-1], "pop"], rows)
        line = line_of(evaluate.main)
        assert all(part in line for part in (str(path), "pop", "rock", "dvc repro"))


@pytest.mark.parametrize(
    ("options", "augmentations"),
    [
        (("augment=[specaugment,mixup,noise,gain,shift,time_resized_crop]",), 6),
        (("augment=gain", "train.scaler=none"), 1),
        (
            (
                "augment=time_resized_crop",
                "train.scaler=example",
                "train.rounds=2",
                "loss=binary_cross_entropy",
            ),
            1,
        ),
    ],
)
def test_models_of_other_recipes_are_evaluated(workspace, options, augmentations):
    write_features({"train": 4, "valid": 1, "test": 2}, unit="dB")
    write_params("train.epochs=6", "train.batch_size=8", "train.keep=last", *options)
    baseline.main()
    train.main()
    assert evaluated_without_figures().scores["test"]["track"]["accuracy"] > 0.9
    trained, split = TrainedModel.load(Path("data/model")), examples.read_split()
    with Features(examples.FEATURES) as features:
        first, again = (previews(trained, features, split)["augmentations"] for _ in range(2))
    assert list(first.after) == list(again.after)
    assert len(first.after) == augmentations
    assert first.unit == {"bins": "standard deviations from the mean of train", "none": "dB"}.get(
        trained.description.scaler.name, "standard deviations from the segment's mean"
    )
    for name, values in first.after.items():
        np.testing.assert_array_equal(values, again.after[name])
        changed = (values != first.before).any(axis=(1, 2))
        assert changed.all() or name == "mixup", "nothing to see"


@pytest.fixture(scope="class", params=["cross_entropy", "triplet", "supcon"])
def evaluated_open_set(request, tmp_path_factory):
    """Evaluated with jazz held out and two of its tracks unlabelled: the loss, and these tracks."""
    folder = tmp_path_factory.mktemp("open_set")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("DVC_ROOT", str(folder))
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
        yield request.param, unlabelled


class TestOpenSet:
    """Classes that are held out, and tracks without a label."""

    def test_new_music_is_separated_from_known(self, evaluated_open_set):
        loss, unlabelled = evaluated_open_set
        trained = TrainedModel.load(Path("data/model"))
        assert trained.description.labels == ["blues", "rock"]
        metrics = json.loads(Path("data/evaluation/metrics.json").read_text())
        assert metrics["test"]["track"]["accuracy"] == 1.0
        scores = metrics["open_set"]
        assert scores["auroc_ci95_low"] <= scores["auroc"] <= scores["auroc_ci95_high"]
        if loss != "cross_entropy":
            assert scores["auroc"] > 0.8

        rows = rows_of("data/evaluation/novelty.csv")
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
        assert {row["label"] for row in rows_of("data/evaluation/predictions.csv")} == {"blues", "rock"}
        assert "(figures/novelty.png)" in Path("data/evaluation/README.md").read_text()
        assert Path("data/evaluation/figures/novelty.png").read_bytes().startswith(b"\x89PNG")
        assert not Path("data/evaluation/figures/augmentations.png").exists()

    def test_novelty_is_the_distance_to_the_nearest_prototype(self, evaluated_open_set):
        trained = TrainedModel.load(Path("data/model"))
        with Features(examples.FEATURES) as features:
            x = examples.load(features, "mfcc", examples.read_split(), "unknown").read()
        probability, novelty = trained.predict_with_novelty(x)
        np.testing.assert_array_equal(probability, trained.predict(x))
        if evaluated_open_set[0] == "cross_entropy":
            wanted = 1 - probability.max(axis=1)
        else:
            embedding = trained.model.embed(trained.description.scaler.standardise(x)).detach()
            wanted = torch.cdist(embedding, trained.model.prototypes).min(dim=1).values
        np.testing.assert_allclose(novelty, wanted, atol=1e-4)

    def test_auroc_is_compared_with_the_baseline_and_tracked(self, evaluated_open_set):
        evaluation = evaluated_without_figures()
        assert set(evaluation.scores["baseline"]["open_set"]) == AUROC
        assert set(evaluation.open_set) > AUROC
        found = {OWN: {"precision_at_5": 0.5}, "mfcc": {"precision_at_5": 0.4}}
        logged = tracked(evaluation.scores, evaluation.minus_baseline, evaluation.open_set, found)
        assert not any(name.startswith("test_retrieval") for name in logged)
        without = tracked(evaluation.scores, evaluation.minus_baseline, {}, found)
        assert without["test_retrieval/precision_at_5"] == 0.5
        assert {f"test_open_set/{name}" for name in AUROC} < set(logged)
        assert not any("baseline" in name and "auroc" in name for name in logged)
        assert {"test/accuracy", "test_segments/accuracy", "test_baseline/accuracy"} < set(logged)
        assert {"test_minus_baseline/accuracy", "test_minus_baseline/p"} < set(logged)
        assert len(logged) + 6 + 8 < 45  # with those of an epoch, and of a machine with a GPU


class TestVariants:
    """Variants are used for training, and shown; no score depends on them."""

    NAMES = ("pitch_shift=2.0", "time_stretch=0.9")

    def train(self, *options: str) -> None:
        write_features({"train": 4, "valid": 1, "test": 2}, variants=self.NAMES)
        write_params("train.epochs=3", *options)
        baseline.main()
        train.main()

    def test_variants_change_no_prediction_of_any_split(self, workspace):
        self.train()
        linear = Path("data/baseline/predictions.csv")
        segments, table = predicted()[1], linear.read_bytes()
        with edited_features() as file:
            for name in self.NAMES:
                file[f"variants/{name}/mfcc"][:] = np.nan
        baseline.main()
        after = predicted()[1]
        assert linear.read_bytes() == table
        assert set(segments) == set(after) == {"train", "valid", "test"}
        for split, predictions in segments.items():
            np.testing.assert_array_equal(predictions.track_id, after[split].track_id)
            np.testing.assert_array_equal(predictions.probability, after[split].probability)
            np.testing.assert_array_equal(predictions.novelty, after[split].novelty)

    @pytest.mark.parametrize("options", [(), ("augment=shift",)])
    def test_the_preview_shows_variants_of_the_same_segments(self, workspace, options):
        self.train("train.scaler=none", *options)
        trained = TrainedModel.load(Path("data/model"))
        with Features(examples.FEATURES) as features:
            found = previews(trained, features, examples.read_split())
        assert list(found) == ["variants", *(["augmentations"] if options else [])]
        shown = found["variants"]
        assert list(shown.after) == list(self.NAMES)
        assert (shown.bins.name, len(shown.time_s)) == ("mfcc_bin", 16)
        with h5py.File(examples.FEATURES) as file:
            originals, tracks = file["mfcc"][:], file["track_id"].asstr()[:]
            rows = [int(np.flatnonzero((originals == one).all(axis=(1, 2)))[0]) for one in shown.before]
            assert len(set(rows)) == 3
            assert all(
                tracks[row].startswith(f"{label}/train-")
                for row, label in zip(rows, shown.labels, strict=True)
            )
            for name in self.NAMES:
                np.testing.assert_array_equal(shown.after[name], file[f"variants/{name}/mfcc"][rows])

    def test_variants_are_shown_on_mel_where_the_file_has_it(self, workspace):
        self.train()
        with Features(examples.FEATURES) as features:
            every = np.arange(len(features.track_id))
            arrays = {"mfcc": features.read("mfcc", every)}
            arrays["mel"] = np.random.default_rng(0).random((len(every), 20, 16), np.float32)
            labels = [features.labels[index] for index in features.label]
            rows = list(zip(features.track_id, features.segment, labels, strict=True))
        of_variants = {name: {key: x + 1 for key, x in arrays.items()} for name in self.NAMES}
        write_arrays(examples.FEATURES, arrays, rows, "dB", of_variants)
        trained = TrainedModel.load(Path("data/model"))
        with Features(examples.FEATURES) as features:
            shown = previews(trained, features, examples.read_split())["variants"]
        assert shown.title == "Training segments and their variants (mel)"
        assert (shown.bins.name, shown.unit, shown.before.shape) == ("mel_bin", "dB", (3, 20, 16))
        np.testing.assert_array_equal(shown.after[self.NAMES[0]], shown.before + 1)

    def test_without_variants_and_augmentation_there_is_no_preview(self, workspace):
        self.train("train.variants=false")
        trained = TrainedModel.load(Path("data/model"))
        with Features(examples.FEATURES) as features:
            assert previews(trained, features, examples.read_split()) == {}


def test_two_classes_are_enough(workspace):
    write_features({"train": 2, "valid": 1, "test": 1})
    write_split([row for row in examples.read_split() if row.label != "rock"])
    write_params("train.epochs=1")
    baseline.main()
    train.main()
    assert set(evaluated_without_figures().summary["test"]["track"]) == SCORES
