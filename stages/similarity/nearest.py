"""Exact search for the vectors with the highest cosine, in bounded memory and always in the same order."""

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

AT_ONCE = 512  # queries that are compared with a block by one matrix product
NOBODY = -1  # in the place of a row where fewer than k are allowed

Allowed = Callable[[slice, slice], NDArray[np.bool_]]


def nearest(
    blocks: Callable[[], Iterable[NDArray[np.float32]]],
    queries: NDArray[np.float32],
    k: int,
    allowed: Allowed | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Find for each query the k rows with the highest scalar product: the cosine, where all have length 1.

    A matrix product is fast, but its last bits depend on the size of the block and the number of threads. So
    it only finds the candidates, with room for its rounding. Their products are computed again in double
    precision, each in the same way whatever stands beside it; they are compared as float32, and equal ones
    are ordered by row.

    Parameters
    ----------
    blocks : callable
        Gives the vectors in turn, as arrays of float32 (n, size); called once for every `AT_ONCE` queries.
    queries : ndarray of float32 (n_queries, size)
    k : int
        At least 1.
    allowed : callable or None
        Takes the places of some queries and of some rows, and says which of them are compared: bool
        (n_queries, n_rows), or what is broadcast to it; None: all.

    Returns
    -------
    rows : ndarray of int64 (n_queries, k)
        The best first; `NOBODY` where fewer than k are allowed.
    cosines : ndarray of float32 (n_queries, k)
    """
    found = [
        _nearest(blocks(), queries[first : first + AT_ONCE], first, k, allowed)
        for first in range(0, len(queries), AT_ONCE)
    ]
    rows, cosines = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return rows, cosines


def _nearest(
    blocks: Iterable[NDArray[np.float32]],
    queries: NDArray[np.float32],
    first: int,
    k: int,
    allowed: Allowed | None,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    rows = np.full((len(queries), k), NOBODY, np.int64)
    cosines = np.full((len(queries), k), -np.inf, np.float32)
    # the error of a product in single precision is at most this half of it (Higham, 2002, section 3.1)
    margin = np.float32(2 * queries.shape[1] * np.finfo(np.float32).eps)
    start = 0
    for block in blocks:
        scores = queries @ block.T
        if allowed is not None:
            places = slice(first, first + len(queries)), slice(start, start + len(block))
            scores[~np.broadcast_to(allowed(*places), scores.shape)] = -np.inf
        limit = cosines[:, -1]
        if len(block) > k:
            limit = np.maximum(limit, np.partition(scores, -k, axis=1)[:, -k])
        for query, (score, least) in enumerate(zip(scores, limit - margin, strict=True)):
            candidates = np.flatnonzero((score >= least) & (score > -np.inf))
            exact = (block[candidates].astype(np.float64) * queries[query]).sum(axis=1).astype(np.float32)
            both = np.concatenate([cosines[query], exact])
            best = np.argsort(-both, kind="stable")[:k]  # earlier rows stand first
            cosines[query] = both[best]
            rows[query] = np.concatenate([rows[query], start + candidates])[best]
        start += len(block)
    return rows, cosines
