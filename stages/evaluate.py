"""Stage evaluate: how good is the model, honestly? Writes data/evaluation."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from stages.core.documents import read_document
from stages.core.numerics import pin_models
from stages.core.params import load, read
from stages.core.runtime import prepare_for_torch, runtime
from stages.core.tables import (
    Assignment,
    Confused,
    Epoch,
    Novelty,
    Quality,
    SegmentedTrack,
    read_rows,
    write_plain_rows,
)
from stages.core.workspace import outputs
from stages.entry.command import run
from stages.evaluation.metrics import ClassScores, confusion
from stages.evaluation.params import EvaluateParams, TrackingParams
from stages.evaluation.predictions import read_segments, write_tracks
from stages.evaluation.preview import Preview, previews
from stages.evaluation.retrieval import OWN, Retrieval, at_5, statistics
from stages.evaluation.scoring import Evaluation, evaluate, predict, units_of_tracks
from stages.plots import figures
from stages.plots.segments import before_and_after
from stages.reports import card
from stages.reports.summary import headline
from stages.splitting import examples
from stages.splitting.schemes import SPLITS
from stages.storage.feature_file import Features
from stages.tracking import client
from stages.tracking.metrics import tracked

if TYPE_CHECKING:
    from stages.training.trained import TrainedModel

BASELINE = Path("data/baseline/predictions.csv")
MODEL = Path("data/model")
TRACKS, QUALITY = Path("data/segments/tracks.csv"), Path("data/audio/quality.csv")
EVALUATION = Path("data/evaluation")


def main() -> None:
    """Score the trained model and the baseline on every split, and say which tracks are new to the model."""
    prepare_for_torch()
    pin_models()
    params, register = load("evaluate", EvaluateParams), load("tracking", TrackingParams).registered_as
    settings = runtime()
    with client.Tracking(settings.tracking) as tracking:  # first, since it starts as slowly as torch
        from stages.training.device import choose
        from stages.training.trained import TrainedModel

        trained = TrainedModel.load(MODEL)
        trained.model.to(choose(settings.device))
        description, labels = trained.description, trained.description.labels
        history = read_rows(MODEL / "history.csv", Epoch)
        split = examples.read_split()
        with Features(examples.FEATURES) as features:
            segments, embedded = predict(trained, features, split)
            vectors = {OWN: embedded, **statistics(features, split)}
            shown = previews(trained, features, split)
        music, quality = read_rows(TRACKS, SegmentedTrack), read_rows(QUALITY, Quality)
        unit_of = units_of_tracks(music, quality)
        linear = read_segments(BASELINE, labels)
        evaluation = evaluate(segments, linear, vectors, split, unit_of, labels, params)

        with outputs(EVALUATION) as folder:
            _write_tables(folder, evaluation, labels)
            facts = _facts(trained, len(history), split, music, quality, evaluation)
            (folder / "README.md").write_text(card.markdown(facts), "utf-8")
            (folder / "figures").mkdir()
            figures.save(figures.curves(history, description.kept_epoch), folder / "figures/curves.png")
            _draw(folder / "figures", evaluation, labels, shown)

        scores = tracked(
            evaluation.scores, evaluation.minus_baseline, evaluation.open_set, at_5(evaluation.retrieved)
        )
        tracking.complete(scores, EVALUATION, Path("data/pictures"), MODEL, register)
        for line in headline(evaluation.summary, description.model):
            print(line)


def _write_tables(folder: Path, evaluation: Evaluation, labels: Sequence[str]) -> None:
    (folder / "metrics.json").write_text(json.dumps(evaluation.summary, indent=2) + "\n", "utf-8")
    tracks, baseline = evaluation.tracks["test"], evaluation.baseline
    write_tracks(folder / "predictions.csv", tracks, baseline, evaluation.unit_of, labels)
    write_plain_rows(folder / "classes.csv", evaluation.classes, ClassScores)
    write_plain_rows(folder / "confusion.csv", evaluation.confused, Confused)
    write_plain_rows(folder / "novelty.csv", evaluation.novelties, Novelty)
    write_plain_rows(folder / "retrieval.csv", evaluation.retrieved, Retrieval)


def _facts(
    trained: "TrainedModel",
    n_epochs: int,
    split: Sequence[Assignment],
    music: Sequence[SegmentedTrack],
    quality: Sequence[Quality],
    evaluation: Evaluation,
) -> card.Facts:
    """Read what the model card says besides the scores."""
    return card.Facts(
        description=trained.description,
        n_parameters=sum(p.numel() for p in trained.model.parameters()),
        n_epochs=n_epochs,
        source=read_document(Path("data/raw/source.json")),
        quality=quality,
        tracks=music,
        split=split,
        scheme=read("split"),
        scores=evaluation.scores,
        minus_baseline=evaluation.minus_baseline,
        n_units=evaluation.n_units,
        classes=evaluation.classes,
        confused=evaluation.confused,
        open_set=evaluation.open_set,
        novelties=evaluation.novelties,
        retrieved=evaluation.retrieved,
    )


def _draw(folder: Path, evaluation: Evaluation, labels: Sequence[str], shown: Mapping[str, Preview]) -> None:
    for split, name in zip(SPLITS, ("Training", "Validation", "Test"), strict=True):
        title = f"{name} tracks, accuracy {evaluation.scores[split]['track']['accuracy']:.3f}"
        picture = figures.confusions(confusion(evaluation.tracks[split]), labels, title)
        figures.save(picture, folder / f"confusion_{split}.png")
    novelty = {
        split: tracks.novelty
        for split, tracks in evaluation.tracks.items()
        if split not in ("train", "valid")
    }
    figures.save(figures.novelties(novelty, evaluation.limit), folder / "novelty.png")
    for name, segments in shown.items():
        figures.save(before_and_after(segments), folder / f"{name}.png")


if __name__ == "__main__":
    run(main)
