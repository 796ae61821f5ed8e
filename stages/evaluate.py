"""Stage evaluate: how good is it, honestly? Writes data/evaluation from data/model alone."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from stages.core.params import Params, load, read
from stages.core.runtime import prepare_for_torch, runtime
from stages.core.tables import Confused, Epoch, Novelty, Quality, SegmentedTrack, read_rows, write_rows
from stages.core.workspace import new_folder
from stages.entry.command import run
from stages.evaluation import metrics, open_set
from stages.plots import figures
from stages.reports import card
from stages.reports.summary import headline
from stages.splitting import examples
from stages.splitting.schemes import SIDES
from stages.storage.hdf5 import Features
from stages.tracking import client
from stages.training.recipe import AugmentParams

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from stages.training.trained import TrainedModel

MODEL = Path("data/model")
EVALUATION = Path("data/evaluation")


class EvaluateParams(Params):
    """The `evaluate` section.

    Attributes
    ----------
    bootstrap_samples : int
        Resamples of the test tracks behind each interval.
    seed : int
        Of the resampling.
    known_accepted : float
        Share of validation tracks that shall not count as new music.
    """

    bootstrap_samples: int = Field(ge=100, le=20_000)
    seed: int = Field(ge=0)
    known_accepted: float = Field(gt=0, lt=1)


def main() -> None:
    """Score the trained model on every track of train, valid and test, and say what is new to it."""
    prepare_for_torch()
    params = load("evaluate", EvaluateParams)
    settings = runtime()
    with client.Tracking(settings.tracking) as tracked:  # at once, since it starts as slowly as torch
        model, scores, novel = _evaluate(params, settings.device)
        tracked.complete(_flat(scores) | novel, EVALUATION, Path("data/pictures"), MODEL)
        for line in headline(scores, model):
            print(line)


def _evaluate(params: EvaluateParams, device: str) -> tuple[str, dict[str, Any], dict[str, float]]:
    """Write data/evaluation; return the model's name, its scores by side, and those of new music."""
    from tqdm import tqdm

    from stages.training.device import choose
    from stages.training.trained import TrainedModel

    trained = TrainedModel.load(MODEL)
    description = trained.description
    trained.model.to(choose(device))
    split = examples.read_split()
    history = read_rows(MODEL / "history.csv", Epoch)
    predictions: dict[str, metrics.Predictions] = {}
    with Features(examples.FEATURES) as features, new_folder(EVALUATION) as folder:
        there = {row.split for row in split}
        sides = [*SIDES, *(side for side in ("unknown", "unlabelled") if side in there)]
        for side in tqdm(sides, desc="evaluate", unit="side", disable=None):
            data = examples.load(features, description.feature.name, split, side)
            judged = [trained.judge(x) for x in data.blocks()]
            probability, novelty = (np.concatenate(parts) for parts in zip(*judged, strict=True))
            predictions[side] = metrics.Predictions(data.track_id, data.label, probability, novelty)
        tracks = {side: segments.by_track() for side, segments in predictions.items()}
        for side in sides:
            wanted = {row.track_id for row in split if row.split == side}
            if set(tracks[side].track_id.tolist()) != wanted:
                raise AssertionError(
                    f"{side}: {len(tracks[side].track_id)} of {len(wanted)} tracks were scored"
                )

        scores = {
            side: metrics.score_both(predictions[side], params.bootstrap_samples, params.seed)
            for side in SIDES
        }
        limit = open_set.threshold(tracks["valid"], params.known_accepted)
        novel = open_set.score(tracks, limit, params.bootstrap_samples, params.seed)
        scores["baseline"] = json.loads(Path("data/baseline/metrics.json").read_text("utf-8"))
        labels = description.labels
        classes = metrics.class_table(tracks["test"], labels)
        summary = {
            "test": scores["test"],
            "valid": {"track": scores["valid"]["track"]},
            "baseline": {"track": scores["baseline"]["track"]},
            "open_set": novel,
        }
        (folder / "metrics.json").write_text(json.dumps(summary, indent=2) + "\n", "utf-8")
        write_rows(folder / "classes.csv", classes, metrics.ClassScores)
        metrics.write_predictions(folder / "predictions.csv", tracks["test"], labels)
        confused = list(_confusion(tracks, labels))
        write_rows(folder / "confusion.csv", confused, Confused)
        label_of = {row.track_id: row.label for row in split}
        novelties = open_set.table(tracks, limit, labels, label_of)
        write_rows(folder / "novelty.csv", novelties, Novelty)
        facts = card.Facts(
            description=description,
            n_parameters=sum(p.numel() for p in trained.model.parameters()),
            n_epochs=len(history),
            source=json.loads(Path("data/raw/source.json").read_text("utf-8")),
            quality=read_rows(Path("data/audio/quality.csv"), Quality),
            tracks=read_rows(Path("data/segments/tracks.csv"), SegmentedTrack),
            split=split,
            scheme=read("split"),
            scores=scores,
            classes=classes,
            confused=confused,
            open_set=novel,
            novelties=novelties,
        )
        (folder / "README.md").write_text(card.markdown(facts), "utf-8")

        (folder / "figures").mkdir()
        figures.save(figures.curves(history, description.kept_epoch), folder / "figures" / "curves.png")
        for side in SIDES:
            accuracy = scores[side]["track"]["accuracy"]
            name = {"train": "Training", "valid": "Validation", "test": "Test"}[side]
            title = f"{name} tracks, accuracy {accuracy:.3f}"
            picture = figures.confusion_matrix(metrics.confusion(tracks[side]), labels, title)
            figures.save(picture, folder / "figures" / f"confusion_{side}.png")

        if novel_sides := [side for side in sides if side not in SIDES]:
            by_side = {side: tracks[side].novelty for side in ("test", *novel_sides)}
            figures.save(figures.novelties(by_side, limit), folder / "figures" / "novelty.png")

        augment = description.recipe.augment
        variants = features.variants if description.recipe.train.variants else []
        if augment.active or variants:
            train = examples.load(features, description.feature.name, split, "train", variants)
            picture = _augmented(trained, augment, train, variants)
            figures.save(picture, folder / "figures" / "augmentations.png")

    is_open = "unknown" in tracks
    return description.model, scores, {f"open_set.{k}": float(v) for k, v in novel.items() if is_open}


def _flat(scores: dict[str, Any]) -> dict[str, float]:
    """What is tracked: not everything, since MLflow's comparison hides metrics from 45 on."""
    return {
        f"{side}.{level}.{name}": float(value)
        for side, levels in scores.items()
        for level, values in levels.items()
        for name, value in values.items()
        if level == "track" or side == "test"
    }


def _augmented(
    trained: "TrainedModel",
    augment: AugmentParams,
    train: examples.Examples,
    variants: Sequence[str],
    n_segments: int = 3,
) -> "Figure":
    """A picture of training segments of various classes, their variants, and each augmentation of them."""
    import torch

    from stages.training.augmentation import Augmentation

    n_originals = len(train) // (1 + len(variants))
    by_class = np.argsort(train.label[:n_originals], kind="stable")
    chosen = np.sort(by_class[np.linspace(0, len(by_class) - 1, n_segments).round().astype(int)])
    description = trained.description
    x = description.scaler.standardise(train.read(chosen))
    target = torch.zeros(len(x), len(description.labels))
    std = torch.tensor(description.scaler.std or [1.0])
    after = {
        name: description.scaler.standardise(train.read(chosen + number * n_originals)).numpy()
        for number, name in enumerate(variants, start=1)
    }
    for name in augment.active:
        torch.manual_seed(0)
        after[name] = Augmentation(augment.only(name), std)(x, target)[0].numpy()
    return figures.augmentations(x.numpy(), after, [description.labels[i] for i in train.label[chosen]])


def _confusion(tracks: dict[str, metrics.Predictions], labels: list[str]) -> Iterator[Confused]:
    for side in SIDES:
        for row, label in zip(metrics.confusion(tracks[side]), labels, strict=True):
            for n, predicted in zip(row, labels, strict=True):
                yield Confused(side, label, predicted, int(n))


if __name__ == "__main__":
    run(main)
