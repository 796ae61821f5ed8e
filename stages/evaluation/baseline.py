"""The linear baseline: logistic regression on statistics of each segment."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.core.tables import Assignment
from stages.evaluation.params import BaselineParams
from stages.evaluation.predictions import Predictions
from stages.splitting import examples
from stages.storage.feature_file import Features


def fit(x: NDArray[np.float64], label: NDArray[np.int64], params: BaselineParams) -> Any:
    """Fit logistic regression, and before it a scaler.

    Parameters
    ----------
    x : ndarray of float64 (n_segments, n_statistics)
    label : ndarray of int64 (n_segments,)
    params : BaselineParams

    Returns
    -------
    sklearn.pipeline.Pipeline
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    weights = None if params.class_weights == "none" else "balanced"
    model = make_pipeline(
        StandardScaler(), LogisticRegression(C=params.C, class_weight=weights, max_iter=2000)
    )
    return model.fit(x, label)


def predicted_splits(split: Sequence[Assignment]) -> list[str]:
    """Return the splits that the baseline predicts: test, and unknown if it has tracks."""
    return ["test", *sorted({row.split for row in split} & {"unknown"})]


def predict(
    features: Features, split: Sequence[Assignment], params: BaselineParams
) -> dict[str, Predictions]:
    """Fit the baseline on train, and predict the segments of `predicted_splits`.

    Parameters
    ----------
    features : Features
        Open features file.
    split : sequence of Assignment
        From `examples.read_split`.
    params : BaselineParams

    Returns
    -------
    dict of str to Predictions
        Segments by split. A class without training tracks has probability zero.

    Raises
    ------
    EncoreError
        If the features file lacks one of `params.features`, or train or test is empty.
    """
    examples.assert_there(features, params.features, "baseline.features")
    train = examples.load(features, params.features, split, "train")
    model = fit(_inputs(train), train.label, params)
    n_classes = len(examples.known_labels(split))
    predictions = {}
    for name in predicted_splits(split):
        data = examples.load(features, params.features, split, name)
        probability = np.zeros((len(data), n_classes))
        probability[:, model.classes_] = model.predict_proba(_inputs(data))
        predictions[name] = Predictions.of_classifier(data.track_id, data.label, probability)
    return predictions


def _inputs(data: examples.Examples) -> NDArray[np.float64]:
    return np.concatenate([x[:, :, 0] for x in data.blocks()]).astype(np.float64)
