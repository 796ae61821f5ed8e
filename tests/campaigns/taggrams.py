"""musicnn on GTZAN's fault-filtered split: `python -m tests.campaigns.taggrams FOLDER`.

FOLDER has training.npz and evaluation.npz: tags of GTZAN, a row a second, as musicnn's authors published them
(jordipons/sklearn-audio-transfer-learning). The split, the baseline and the scores are the project's own, and
so is the search for similar tracks: among test tracks, as evaluate does it, and among all.
"""

import sys
from pathlib import Path

import numpy as np
from scipy.special import expit, logit

from stages.core.tables import read_plain_rows
from stages.core.user_tables import read_pairs
from stages.evaluation import baseline
from stages.evaluation.metrics import score
from stages.evaluation.params import BaselineParams
from stages.evaluation.predictions import Predictions
from stages.evaluation.retrieval import ALLOWED, REMOVED, Vectors, means_by_track, retrieval
from stages.sources.gtzan import Artist

PARAMS = BaselineParams(features=["musicnn"], C=1.0, class_weights="none")
Rows = tuple[np.ndarray, np.ndarray, np.ndarray]
SPLIT, ARTISTS = Path("data/facts/gtzan_fault_filtered.csv"), Path("data/facts/gtzan_artists.csv")
EXPECTED = {"the mean of tag logits a track": 0.772, "a row a second, averaged a track": 0.786}
BOUND = 0.005
# precision at 5 among all tracks, those of the same artist removed
RETRIEVED = {"tags": 0.722, "tag logits": 0.695}


def main(folder: Path) -> int:
    """Print the accuracies; return 1 if one is not what is expected."""
    split = read_pairs(SPLIT, "track_id", "split", "split.path")
    train, test = (read(folder / f"{name}.npz") for name in ("training", "evaluation"))
    for name, (track_id, _, _) in (("train", train), ("test", test)):
        assert set(track_id.tolist()) == {track for track, where in split.items() if where == name}, name
    artist_of = {row.track_id: row.artist for row in read_plain_rows(ARTISTS, Artist)}
    unit_of = {track_id: artist_of[track_id] or track_id for track_id in split}
    status = 0
    for title, prepare in zip(EXPECTED, (mean_by_track, lambda *rows: rows), strict=True):
        _, x, label = prepare(*train)
        model = baseline.fit(x, label, PARAMS)
        track_id, x, label = prepare(*test)
        tracks = Predictions.of_classifier(track_id, label, model.predict_proba(x)).by_track()
        scores = score(tracks, unit_of, 2000, 0)
        interval = f"{scores['accuracy_ci95_low']:.3f} to {scores['accuracy_ci95_high']:.3f}"
        is_right = abs(scores["accuracy"] - EXPECTED[title]) <= BOUND
        print(
            f"{title:<34}{scores['accuracy']:.3f}  ({interval}) over {len(tracks.label)} tracks, "
            f"expected {EXPECTED[title]:.3f}: {'as it should be' if is_right else 'NOT SO'}"
        )
        status |= not is_right
    return int(status | compare_similar(train, test, unit_of))


def compare_similar(train: Rows, test: Rows, unit_of: dict[str, str]) -> bool:
    """Print how often similar tracks are of one genre; return whether one number is not what is expected."""
    label_of = {
        track: str(number) for rows in (train, test) for track, number in zip(rows[0], rows[2], strict=True)
    }
    is_wrong = False
    print("\nof the most similar tracks, of the same genre    of 1    of 5 (95 % interval)    of 10")
    for title, convert in (("tags", expit), ("tag logits", lambda x: x)):
        vectors = [means_by_track(track_id, [convert(x)]) for track_id, x, _ in (train, test)]
        everything = Vectors(*(np.concatenate(parts) for parts in zip(*vectors, strict=True)))
        for pool, compared in (("test", vectors[1]), ("all", everything)):
            found = retrieval({title: {"train": vectors[0], "test": compared}}, label_of, unit_of)
            for same_artist in (ALLOWED, REMOVED):
                at = {row.k: row for row in found if row.same_artist == same_artist}
                print(
                    f"{title:<11}{pool:<5}{at[5].n_queries:>4} tracks, same artist {same_artist:<9}"
                    f"{at[1].precision:.3f}   {at[5].precision:.3f} ({at[5].ci95_low:.3f} to "
                    f"{at[5].ci95_high:.3f})   {at[10].precision:.3f}"
                )
        is_right = abs(at[5].precision - RETRIEVED[title]) <= BOUND
        print(
            f"  the last of 5: expected {RETRIEVED[title]:.3f}: {'as it should be' if is_right else 'NOT SO'}"
        )
        is_wrong |= not is_right
    return is_wrong


def read(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return track, tag logits and class of each row."""
    with np.load(path) as file:
        track_id = np.array([name.split("/")[-1].removesuffix(".au") for name in file["IDS"].tolist()])
        return track_id, logit(file["X"].astype(np.float64)), file["Y"]


def mean_by_track(
    track_id: np.ndarray, x: np.ndarray, label: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return one row for each track."""
    names, first, track = np.unique(track_id, return_index=True, return_inverse=True)
    return names, np.stack([x[track == i].mean(axis=0) for i in range(len(names))]), label[first]


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(Path(sys.argv[1])))
