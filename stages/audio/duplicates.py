"""Find tracks with the same recording through an index of their fingerprints.

After J. Haitsma and T. Kalker, "A Highly Robust Audio Fingerprinting System", ISMIR 2002: tracks that
share whole sub-fingerprints at one offset are compared bit by bit at that offset.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stages.audio.fingerprint import HOP_LENGTH, NOTHING, RATE_HZ

NEIGHBOURS = 8  # bounds the work for words that many tracks share
# Measured on 30 tracks of GTZAN, 120 of the sample and 194 piano renderings. Copies of 30 s (MP3 at 32 or
# 64 kbit/s, cuts half a step off the frame grid, other rates) share at least 66 different words at one
# offset, copies of 2 s as MP3 often only two. Of unrelated tracks (GTZAN and sample) 8 pairs
# share two, so few are compared for nothing.
MIN_SHARED = 2
# The bit error rate of copies is at most 0.09 with MP3 at 64 kbit/s, a cut or another rate; that of unrelated
# tracks is at least 0.45 at their best offset with 5 s of overlap. The paper's limit is 0.35.
MAX_ERROR_RATE = 0.25
MIN_OVERLAP_S = 5.0
# Clips shorter than that overlap must agree almost completely: over few frames the rate varies more.
SHORT_OVERLAP = 0.8
SHORT_ERROR_RATE = 0.15


def near_duplicates(fingerprints: Sequence[NDArray[np.uint32]]) -> list[tuple[int, int, float]]:
    """Find pairs of tracks that contain the same recording, whole or in part.

    Work grows with the number of frames, not with the number of pairs of tracks: of all tracks that share
    a sub-fingerprint, each is compared only with the next `NEIGHBOURS`. So a larger group of copies is
    found as a chain of pairs, not as all pairs.

    Parameters
    ----------
    fingerprints : sequence of ndarray of uint32 (n_frames,)
        From `stages.audio.fingerprint.fingerprint`.

    Returns
    -------
    list of (first, second, bit_error_rate)
        Sorted; `first` < `second` are indices into `fingerprints`. The rate is the share of bits that
        differ in the overlap: 0 for exact copies, about 0.5 for unrelated music.
    """
    pairs: dict[tuple[int, int], float] = {}
    for first, second, offset in _candidates(fingerprints):
        if (first, second) not in pairs:
            rate = _bit_error_rate(fingerprints[first], fingerprints[second], offset)
            if rate is not None:
                pairs[first, second] = rate
    return [(first, second, rate) for (first, second), rate in sorted(pairs.items())]


def _candidates(fingerprints: Sequence[NDArray[np.uint32]]) -> list[tuple[int, int, int]]:
    """Find pairs and offsets in frames with `MIN_SHARED` shared sub-fingerprints, the most shared first."""
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
    """Return word, track and frame of sub-fingerprints that occur more than once, sorted.

    A repeated word counts once per track; else a held note would outweigh everything else.
    """
    lengths = np.array([len(words) for words in fingerprints], dtype=np.int64)
    starts = np.cumsum(lengths) - lengths
    # word and place in one integer: sorting one integer is many times faster than two
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
    """Return the rate over the frames with a word in both; None if it is too high or they are too few."""
    shorter = min(len(first), len(second))
    first, second = first[max(offset, 0) :], second[max(-offset, 0) :]
    length = min(len(first), len(second))
    first, second = first[:length], second[:length]
    compared = (first != NOTHING) & (second != NOTHING)
    n_compared = np.count_nonzero(compared)
    if n_compared * HOP_LENGTH >= MIN_OVERLAP_S * RATE_HZ:
        limit = MAX_ERROR_RATE
    elif n_compared >= SHORT_OVERLAP * shorter:
        limit = SHORT_ERROR_RATE
    else:
        return None
    rate = float(np.bitwise_count(first[compared] ^ second[compared]).mean()) / 32
    return rate if rate <= limit else None
