"""Scores of a model, and of the linear baseline beside it, by the same functions."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stages.core.errors import EncoreError
from stages.core.tables import Assignment, Confused, Novelty, Quality, SegmentedTrack
from stages.evaluation import metrics, open_set
from stages.evaluation.baseline import predicted_splits
from stages.evaluation.params import EvaluateParams
from stages.evaluation.predictions import Predictions
from stages.evaluation.retrieval import Retrieval, Vectors, at_5, means_by_track, retrieval
from stages.splitting import examples
from stages.splitting.schemes import SPLITS, units_of
from stages.storage.feature_file import Features

if TYPE_CHECKING:
    from stages.training.trained import TrainedModel


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found.

    Attributes
    ----------
    tracks : mapping of str to Predictions
        The model's, by split.
    baseline : Predictions
        The baseline's of test tracks.
    unit_of : mapping
        The unit of each track.
    scores : mapping
        By split, or "baseline" for the baseline's on test, and level: what `metrics.score_both` gives.
        `scores["baseline"]` has the level "open_set" too if there are unknown classes.
    minus_baseline : mapping
        What `metrics.compare` gives for the model and the baseline on test tracks.
    largest_class : (str, float)
        The class with the most training tracks, and the accuracy on test of always predicting it.
    limit : float
        The novelty up to which tracks count as known.
    open_set : mapping
        What `open_set.score` gives.
    classes : sequence of ClassScores
        Of test tracks.
    confused : sequence of Confused
        Of the tracks of train, valid and test.
    novelties : sequence of Novelty
        The most novel first.
    retrieved : sequence of Retrieval
    """

    tracks: Mapping[str, Predictions]
    baseline: Predictions
    unit_of: Mapping[str, str]
    scores: Mapping[str, Mapping[str, Mapping[str, float]]]
    minus_baseline: Mapping[str, float]
    largest_class: tuple[str, float]
    limit: float
    open_set: Mapping[str, float]
    classes: Sequence[metrics.ClassScores]
    confused: Sequence[Confused]
    novelties: Sequence[Novelty]
    retrieved: Sequence[Retrieval]

    @property
    def n_units(self) -> int:
        """How many independent units test has; see `units_of_tracks`."""
        return len(set(metrics.units(self.tracks["test"], self.unit_of).tolist()))

    @property
    def summary(self) -> dict[str, Any]:
        """What metrics.json says; `result` is accuracy and interval as one column of `dvc exp show`."""
        track = self.scores["test"]["track"]
        low, high = track["accuracy_ci95_low"], track["accuracy_ci95_high"]
        return {
            "result": f"{track['accuracy']:.3f} ({low:.3f} to {high:.3f})",
            "test": self.scores["test"],
            "valid": {"track": self.scores["valid"]["track"]},
            "baseline": {"track": self.scores["baseline"]["track"]},
            "minus_baseline": self.minus_baseline,
            "n_units": self.n_units,
            "largest_class": dict(zip(("label", "accuracy"), self.largest_class, strict=True)),
            "open_set": self.open_set,
            "retrieval": at_5(self.retrieved),
        }


def predict(
    trained: "TrainedModel", features: Features, split: Sequence[Assignment]
) -> tuple[dict[str, Predictions], dict[str, Vectors]]:
    """Predict and embed the segments of every split, those of unknown and unlabelled tracks included.

    Parameters
    ----------
    trained : TrainedModel
        On the device that it should run on.
    features : Features
        Open features file.
    split : sequence of Assignment
        From `examples.read_split`.

    Returns
    -------
    predictions : dict of str to Predictions
        Of segments by split.
    vectors : dict of str to Vectors
        The mean embeddings of tracks by split.

    Raises
    ------
    EncoreError
        If train, valid or test is empty, or a track has no segment.
    """
    from tqdm import tqdm

    predictions, vectors = {}, {}
    for name in tqdm(_names(split), desc="evaluate", unit="split", disable=None):
        data = examples.load(features, trained.description.input.feature, split, name)
        answers: list[tuple[NDArray[np.float64], NDArray[np.float64]]] = []
        vectors[name] = means_by_track(data.track_id, _embeddings(trained, data, answers))
        probability, novelty = (np.concatenate(part) for part in zip(*answers, strict=True))
        predictions[name] = Predictions(data.track_id, data.label, probability, novelty)
    return predictions, vectors


def _embeddings(
    trained: "TrainedModel",
    data: examples.Examples,
    answers: list[tuple[NDArray[np.float64], NDArray[np.float64]]],
) -> Iterator[NDArray[np.float32]]:
    """Yield the embeddings of each block of segments, too large to be kept; keep the other answers."""
    for x in data.blocks():
        outputs = trained.outputs(x)
        answers.append((outputs.probability, outputs.novelty))
        yield outputs.embedding


def units_of_tracks(tracks: Sequence[SegmentedTrack], quality: Sequence[Quality]) -> dict[str, str]:
    """Return what each track is counted with in intervals: its group where it is known, else its recording.

    Copies are one recording, whatever `quality` does about them.
    """
    same_as = {row.track_id: row.same_as for row in quality}
    names = [track.track_id for track in tracks]
    units = units_of([same_as[name] or name for name in names], [track.group for track in tracks])
    return dict(zip(names, units, strict=True))


def evaluate(
    model: Mapping[str, Predictions],
    baseline: Mapping[str, Predictions],
    vectors: Mapping[str, Mapping[str, Vectors]],
    split: Sequence[Assignment],
    unit_of: Mapping[str, str],
    labels: Sequence[str],
    params: EvaluateParams,
) -> Evaluation:
    """Score model and baseline alike.

    Parameters
    ----------
    model, baseline : mapping of str to Predictions
        Segments by split; the baseline's of test, and of unknown if there are any.
    vectors : mapping of str to mapping of str to Vectors
        Of tracks by embedding and split; see `stages.evaluation.retrieval`.
    split : sequence of Assignment
        From `examples.read_split`.
    unit_of : mapping
        From `units_of_tracks`.
    labels : sequence of str
        Names of the known classes.
    params : EvaluateParams

    Raises
    ------
    EncoreError
        If the predicted tracks of a split are not all of its tracks.
    """
    how = unit_of, params.bootstrap_samples, params.seed
    tracks = _by_track(model, _names(split), split, "the model")
    linear = _by_track(baseline, predicted_splits(split), split, "the baseline")
    scores = {name: metrics.score_both(model[name], *how) for name in SPLITS}
    scores["baseline"] = metrics.score_both(baseline["test"], *how)
    if "unknown" in linear:
        scores["baseline"]["open_set"] = open_set.score_auroc(linear["test"], linear["unknown"], *how)
    limit = open_set.threshold(tracks["valid"], params.known_accepted)
    label_of = {row.track_id: row.label for row in split}
    return Evaluation(
        tracks=tracks,
        baseline=linear["test"],
        unit_of=unit_of,
        scores=scores,
        minus_baseline=metrics.compare(tracks["test"], linear["test"], unit_of),
        largest_class=metrics.largest_class(
            *([row.label for row in split if row.split == name] for name in ("train", "test"))
        ),
        limit=limit,
        open_set=open_set.score(tracks, limit, *how),
        classes=metrics.class_table(tracks["test"], labels),
        confused=list(metrics.confusion_table({name: tracks[name] for name in SPLITS}, labels)),
        novelties=open_set.table(tracks, limit, labels, label_of),
        retrieved=retrieval(vectors, label_of, unit_of),
    )


def _names(split: Sequence[Assignment]) -> list[str]:
    there = {row.split for row in split}
    return [*SPLITS, *(name for name in ("unknown", "unlabelled") if name in there)]


def _by_track(
    segments: Mapping[str, Predictions], names: Sequence[str], split: Sequence[Assignment], who: str
) -> dict[str, Predictions]:
    """Return predictions of tracks of the splits `names`, which must be all tracks of these splits."""
    tracks = {name: predictions.by_track() for name, predictions in segments.items()}
    for name in names:
        wanted = {row.track_id for row in split if row.split == name}
        found = set(tracks[name].track_id.tolist()) if name in tracks else set()
        if different := sorted(wanted ^ found):
            raise EncoreError(
                f"{examples.SPLIT}: the tracks of {name} are not those that {who} has predicted: "
                f"{different[0]!r} differs; `dvc repro` updates both"
            )
    return tracks
