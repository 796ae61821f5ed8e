"""Stage baseline: how far does a linear model get? Writes data/baseline/predictions.csv."""

from pathlib import Path

from stages.core.params import load
from stages.core.workspace import outputs
from stages.entry.command import run
from stages.evaluation import baseline
from stages.evaluation.params import BaselineParams
from stages.evaluation.predictions import write_segments
from stages.splitting import examples
from stages.storage.feature_file import Features


def main() -> None:
    """Fit logistic regression on train, and predict test, and unknown classes if there are any."""
    params = load("baseline", BaselineParams)
    split = examples.read_split()
    with Features(examples.FEATURES) as features:
        segments = baseline.predict(features, split, params)
    label_of = {row.track_id: row.label for row in split}
    with outputs(Path("data/baseline")) as folder:
        write_segments(folder / "predictions.csv", segments, examples.known_labels(split), label_of)
    tracks = segments["test"].by_track()
    accuracy = (tracks.predicted == tracks.label).mean()
    print(f"baseline: accuracy {accuracy:.3f} over {len(tracks.label)} test tracks")


if __name__ == "__main__":
    run(main)
