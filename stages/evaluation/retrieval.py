"""Whether similar tracks are of the same genre: how well embeddings find music, on test tracks alone."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stages.core.tables import Assignment
from stages.evaluation.intervals import accuracy_interval
from stages.similarity.nearest import NOBODY, nearest
from stages.similarity.vectors import Scale
from stages.splitting import examples
from stages.storage.feature_file import Features

OWN = "model"  # the name of the model's own embedding
BESIDE = ("musicnn", "mfcc")  # features whose statistics stand beside it
AT = (1, 5, 10)
ALLOWED, REMOVED = "allowed", "removed"


@dataclass(frozen=True)
class Retrieval:
    """How many of the k most similar test tracks are of the query's genre (``retrieval.csv``).

    The queries are the test tracks with at least k others to be compared with, and one of their genre.
    """

    embedding: str  # model, or a feature whose statistics over time were compared
    same_artist: str  # allowed or removed: may a track of the query's artist be found?
    k: int
    precision: float  # mean over the queries
    ci95_low: float
    ci95_high: float
    best: float  # what a perfect order would reach: some genres have fewer than k other tracks
    chance: float  # what a random order reaches on average
    n_queries: int


class Vectors(NamedTuple):
    """Vectors of tracks: means over their segments.

    Attributes
    ----------
    track_id : ndarray of str (n,)
        Sorted.
    values : ndarray of float32 (n, size)
    """

    track_id: NDArray[np.str_]
    values: NDArray[np.float32]


def means_by_track(track_id: NDArray[np.str_], blocks: Iterable[NDArray[np.float32]]) -> Vectors:
    """Average the vectors of segments over each track, in the memory that the tracks take.

    Parameters
    ----------
    track_id : ndarray of str (n_segments,)
    blocks : iterable of ndarray of float32 (n, size)
        The vectors of the segments, in the same order.
    """
    names, place, count = np.unique(track_id, return_inverse=True, return_counts=True)
    sums, first = np.zeros((len(names), 1)), 0
    for block in blocks:
        if first == 0:
            sums = np.zeros((len(names), block.shape[1]))
        of_block = place[first : first + len(block)]
        starts = np.flatnonzero(np.diff(of_block, prepend=-1))  # segments of a track are mostly neighbours
        np.add.at(sums, of_block[starts], np.add.reduceat(block.astype(np.float64), starts))
        first += len(block)
    return Vectors(names, (sums / count[:, None]).astype(np.float32))


def statistics(features: Features, split: Sequence[Assignment]) -> dict[str, dict[str, Vectors]]:
    """Return vectors by feature and split, train and test, of those of `BESIDE` that features.h5 has."""
    return {
        name: {
            of_split: means_by_track(data.track_id, (x[:, :, 0] for x in data.blocks()))
            for of_split in ("train", "test")
            for data in [examples.load(features, [name], split, of_split)]
        }
        for name in BESIDE
        if name in features.names
    }


def retrieval(
    vectors: Mapping[str, Mapping[str, Vectors]], label_of: Mapping[str, str], unit_of: Mapping[str, str]
) -> list[Retrieval]:
    """Measure how often similar tracks are of one genre.

    Vectors are standardised by those of train and brought to length 1; each test track is compared with all
    others by their cosine. The intervals are over the artists of the queries, and take the tracks that these
    are compared with as given.

    Parameters
    ----------
    vectors : mapping of str to mapping of str to Vectors
        By embedding and split, train and test.
    label_of, unit_of : mapping
        The class of each track, and its unit: the artist or work where it is known, else the recording.

    Returns
    -------
    list of Retrieval
        Only where there are queries.
    """
    rows = []
    for name, by_split in vectors.items():
        test = by_split["test"]
        unit_vectors = Scale.fit([by_split["train"].values]).unit(test.values)
        label = np.array([label_of[track] for track in test.track_id.tolist()])
        unit = np.array([unit_of[track] for track in test.track_id.tolist()])
        for same_artist in (ALLOWED, REMOVED):
            apart = unit if same_artist == REMOVED else test.track_id
            rows += [
                Retrieval(name, same_artist, *found) for found in _found(unit_vectors, label, unit, apart)
            ]
    return rows


def _found(
    vectors: NDArray[np.float32], label: NDArray[np.str_], unit: NDArray[np.str_], apart: NDArray[np.str_]
) -> Iterator[tuple[int, float, float, float, float, float, int]]:
    """Yield the numbers of `Retrieval` where tracks that are alike in `apart` are not compared."""
    n = len(vectors)
    of_label, group = (np.unique(names, return_inverse=True)[1] for names in (label, apart))
    rows, _ = nearest(
        lambda: [vectors], vectors, max(AT), lambda queries, others: group[queries, None] != group[others]
    )
    hits = (of_label[rows] == of_label[:, None]) & (rows != NOBODY)
    _, both, n_both = np.unique(of_label * n + group, return_inverse=True, return_counts=True)
    n_relevant = np.bincount(of_label)[of_label] - n_both[both]
    n_compared = n - np.bincount(group)[group]
    for k in AT:
        asked = (n_compared >= k) & (n_relevant > 0)
        if asked.any():
            precision = hits[asked, :k].mean(axis=1)
            best = np.minimum(n_relevant[asked] / k, 1).mean()
            chance = (n_relevant[asked] / n_compared[asked]).mean()
            low, high = accuracy_interval(precision, unit[asked])
            yield k, float(precision.mean()), low, high, float(best), float(chance), int(asked.sum())


def at_5(rows: Sequence[Retrieval]) -> dict[str, dict[str, float]]:
    """Return what metrics.json says: by embedding, at 5 and without tracks of the same artist."""
    return {
        row.embedding: {
            f"precision_at_5{end}": float(f"{value:.6g}")
            for end, value in (
                ("", row.precision),
                ("_ci95_low", row.ci95_low),
                ("_ci95_high", row.ci95_high),
            )
        }
        for row in rows
        if row.k == 5 and row.same_artist == REMOVED
    }
