"""Which tracks are the same recording? Found through an index of their fingerprints.

After J. Haitsma and T. Kalker, "A Highly Robust Audio Fingerprinting System", ISMIR 2002: tracks that
share whole sub-fingerprints at one offset are compared bit by bit at that offset.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from stages.audio.fingerprint import HOP_LENGTH, NOTHING, RATE_HZ

NEIGHBOURS = 8  # bounds the work for words that many tracks share
# Measured on 30 tracks of GTZAN, 120 of the sample and 194 piano renderings. Copies of 30 s (MP3 at 32 or
# 64 kbit/s, cuts half a step out of line, other rates) share 66 different words or more at one offset, copies
# of 2 s as MP3 often two only. Of unrelated tracks (GTZAN and sample) 8 pairs share two: little to check.
MIN_SHARED = 2
# The bit error rate of those long copies is at most 0.08 with MP3 at 64 kbit/s and 0.12 at 32; that of
# unrelated tracks is at least 0.39 at whichever offset of 5 s overlap suits them best. The paper's limit
# is 0.35.
MAX_ERROR_RATE = 0.25
MIN_OVERLAP_S = 5.0
# Clips too short for that overlap have to agree almost whole, and better: the rate varies more over less.
SHORT_OVERLAP = 0.8
SHORT_ERROR_RATE = 0.15


def near_duplicates(fingerprints: Sequence[NDArray[np.uint32]]) -> list[tuple[int, int, float]]:
    """Pairs of tracks that hold the same recording, whole or in part.

    Work grows with the number of frames, not of pairs of tracks: however many tracks share a
    sub-fingerprint, each is paired with the next `NEIGHBOURS` of them alone. So a group of more copies
    than that comes as a chain of pairs, not as all pairs.

    Parameters
    ----------
    fingerprints : sequence of ndarray of uint32 (n_frames,)
        As `stages.audio.fingerprint.fingerprint` gives them.

    Returns
    -------
    list of (first, second, bit_error_rate)
        Sorted; `first` < `second` are positions in `fingerprints`, and the rate is the share of bits that
        differ where both overlap: 0 for exact copies, around 0.5 for unrelated music.
    """
    pairs: dict[tuple[int, int], float] = {}
    for first, second, offset in _candidates(fingerprints):
        if (first, second) not in pairs:
            rate = _bit_error_rate(fingerprints[first], fingerprints[second], offset)
            if rate is not None:
                pairs[first, second] = rate
    return [(first, second, rate) for (first, second), rate in sorted(pairs.items())]


def groups(n_tracks: int, pairs: Iterable[tuple[int, int, float]]) -> list[int]:
    """The first track of each track's group, which is all that pairs connect, however indirectly.

    Parameters
    ----------
    n_tracks : int
    pairs : iterable of (first, second, bit_error_rate)
        As `near_duplicates` gives them.

    Returns
    -------
    list of int (n_tracks,)
        A track without duplicates is its own group's first.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    edges = np.array([(first, second) for first, second, _ in pairs], dtype=np.int64).reshape(-1, 2)
    graph = coo_array((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(n_tracks, n_tracks))
    _, labels = connected_components(graph, directed=False)
    _, firsts = np.unique(labels, return_index=True)
    return [int(first) for first in firsts[labels]]


def _candidates(fingerprints: Sequence[NDArray[np.uint32]]) -> list[tuple[int, int, int]]:
    """Pairs and offsets in frames of `MIN_SHARED` shared sub-fingerprints, those with most first."""
    words, tracks, frames = _shared(fingerprints)
    n_tracks, longest = len(fingerprints), max(map(len, fingerprints), default=0)
    shape = (n_tracks, n_tracks, 2 * longest)
    matches = []
    for step in range(1, NEIGHBOURS + 1):
        here = np.flatnonzero(words[step:] == words[:-step])
        there = here + step
        offsets = frames[here] - frames[there] + longest
        matches.append(np.ravel_multi_index((tracks[here], tracks[there], offsets), shape))
    found, counts = np.unique(np.concatenate(matches), return_counts=True)
    enough = counts >= MIN_SHARED
    order = np.argsort(-counts[enough], kind="stable")
    firsts, seconds, offsets = np.unravel_index(found[enough][order], shape)
    return list(zip(firsts.tolist(), seconds.tolist(), (offsets - longest).tolist(), strict=True))


def _shared(
    fingerprints: Sequence[NDArray[np.uint32]],
) -> tuple[NDArray[np.uint32], NDArray[np.int64], NDArray[np.int64]]:
    """Sub-fingerprints that occur more than once, sorted: word, track and frame of each.

    A track that repeats one counts with the first alone, or a held note would outvote all else.
    """
    lengths = np.array([len(words) for words in fingerprints], dtype=np.int64)
    starts = np.cumsum(lengths) - lengths
    # word and place in one integer, which sorts many times faster than two
    entries = np.concatenate([np.empty(0, np.uint32), *fingerprints]).astype(np.uint64) << np.uint64(32)
    entries |= np.arange(len(entries), dtype=np.uint64)
    entries.sort()
    as_before = np.zeros(len(entries) + 1, bool)
    as_before[1:-1] = (entries[1:] ^ entries[:-1]) < 1 << 32
    entries = entries[as_before[1:] | as_before[:-1]]
    words, places = (entries >> np.uint64(32)).astype(np.uint32), entries.astype(np.uint32)
    tracks = np.searchsorted(starts, places, side="right") - 1
    kept = words != NOTHING
    kept[1:] &= (words[1:] != words[:-1]) | (tracks[1:] != tracks[:-1])
    words, places, tracks = words[kept], places[kept], tracks[kept]
    return words, tracks, places - starts[tracks]


def _bit_error_rate(first: NDArray[np.uint32], second: NDArray[np.uint32], offset: int) -> float | None:
    """Of the frames that say something in both; None where it is too high, or they are too few to tell."""
    shorter = min(len(first), len(second))
    first, second = first[max(offset, 0) :], second[max(-offset, 0) :]
    length = min(len(first), len(second))
    first, second = first[:length], second[:length]
    telling = (first != NOTHING) & (second != NOTHING)
    n_telling = np.count_nonzero(telling)
    if n_telling * HOP_LENGTH >= MIN_OVERLAP_S * RATE_HZ:
        limit = MAX_ERROR_RATE
    elif n_telling >= SHORT_OVERLAP * shorter:
        limit = SHORT_ERROR_RATE
    else:
        return None
    rate = float(np.bitwise_count(first[telling] ^ second[telling]).mean()) / 32
    return rate if rate <= limit else None
