"""Stage baseline: how far does a linear model get? Fills data/baseline, the number beside every number."""

import json
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from stages.core.params import Params, load
from stages.core.workspace import new_folder
from stages.entry.command import run
from stages.evaluation import open_set
from stages.evaluation.metrics import Predictions, score_both, write_predictions
from stages.splitting import examples
from stages.storage.hdf5 import Features


class BaselineParams(Params):
    """The `baseline` section.

    Attributes
    ----------
    feature : str
        Which feature of features.h5.
    C : float
        Inverse strength of the L2 penalty, as scikit-learn has it.
    class_weights : {'none', 'balanced'}
        As in the `loss` section: by the numbers of training segments.
    bootstrap_samples, seed : int
        As in the `evaluate` section, which conf/ sets them from.
    """

    feature: str
    C: float = Field(gt=0)
    class_weights: Literal["none", "balanced"]
    bootstrap_samples: int = Field(ge=100, le=20_000)
    seed: int = Field(ge=0)


def statistics(x: NDArray[np.float32]) -> NDArray[np.float64]:
    """Mean and standard deviation over time.

    Parameters
    ----------
    x : ndarray (n_segments, n_bins, n_frames)

    Returns
    -------
    ndarray of float64 (n_segments, 2 * n_bins)
    """
    return np.concatenate([x.mean(axis=2, dtype=np.float64), x.std(axis=2, dtype=np.float64)], axis=1)


def main() -> None:
    """Fit logistic regression on train, score it on test, and on unknown classes if there are any."""
    params = load("baseline", BaselineParams)
    split = examples.read_split()
    with Features(examples.FEATURES) as features:
        examples.assert_there(features, params.feature, "baseline.feature")
        train = examples.load(features, params.feature, split, "train")
        judged = {
            side: examples.load(features, params.feature, split, side)
            for side in ("test", "unknown")
            if any(row.split == side for row in split)
        }
        x_train = _inputs(train)
        x_judged = {side: _inputs(data) for side, data in judged.items()}
    labels = examples.known_labels(split)

    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    weights = None if params.class_weights == "none" else "balanced"
    model = make_pipeline(
        StandardScaler(), LogisticRegression(C=params.C, class_weight=weights, max_iter=2000)
    )
    model.fit(x_train, train.label)
    predictions = {}
    for side, data in judged.items():
        probability = np.zeros((len(data), len(labels)))
        probability[:, model.classes_] = model.predict_proba(x_judged[side])
        predictions[side] = Predictions(data.track_id, data.label, probability, 1 - probability.max(axis=1))
    tracks = {side: segments.by_track() for side, segments in predictions.items()}
    metrics = score_both(predictions["test"], params.bootstrap_samples, params.seed)
    if "unknown" in tracks:
        novelty = tracks["test"].novelty, tracks["unknown"].novelty
        area = open_set.auroc(*novelty, params.bootstrap_samples, params.seed)
        names = ("auroc", "auroc_ci95_low", "auroc_ci95_high")
        metrics["open_set"] = {name: round(value, 6) for name, value in zip(names, area, strict=True)}
    with new_folder(Path("data/baseline")) as folder:
        (folder / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n", "utf-8")
        write_predictions(folder / "predictions.csv", tracks["test"], labels)
    n_tracks = len(tracks["test"].track_id)
    print(f"baseline: accuracy {metrics['track']['accuracy']:.3f} over {n_tracks} test tracks")


def _inputs(data: examples.Examples) -> NDArray[np.float64]:
    return np.concatenate([statistics(x) for x in data.blocks()])


if __name__ == "__main__":
    run(main)
