"""A map of tracks: vectors become points in the plane, where those that are alike lie together."""

import numpy as np
from numpy.typing import NDArray

FEWEST = 5  # tracks that t-SNE arranges; fewer lie as PCA has them
MOST = 20_000  # tracks on a map: they take some minutes; 10,000 about two
DIMENSIONS = 50  # of the vectors that t-SNE sees: it looks for neighbours, and PCA takes noise from them
PERPLEXITY = 30.0  # neighbours that a track keeps to; at most a third of the other tracks
DECIMALS = 4
SEED = 0


def shown(n: int) -> NDArray[np.int64]:
    """Return which of `n` tracks are on the map, in ascending order: all, or a seeded sample of `MOST`."""
    if n <= MOST:
        return np.arange(n)
    return np.sort(np.random.default_rng(SEED).choice(n, MOST, replace=False))


def layout(vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    """Arrange vectors in the plane: by PCA, then t-SNE (van der Maaten & Hinton, 2008; Barnes-Hut).

    The same vectors give the same points to the bit, whatever their order and the number of threads of the
    process, on every x86-64 machine with AVX2 under Linux and with the packages of requirements.lock: the
    kernels are pinned (`stages.core.numerics`), and it takes one thread. Elsewhere the last bit of a sum may
    differ, of which t-SNE makes other points, though the same tracks still lie together. A track more or less
    moves all others, too.

    Parameters
    ----------
    vectors : ndarray of float32 (n, size)
        Of length 1, as an index has them; n is at least 1. Equal ones get equal points.

    Returns
    -------
    ndarray of float64 (n, 2)
        Centred, the farthest coordinate at 1 or -1, rounded to `DECIMALS`; all 0 if all vectors are equal.
    """
    from threadpoolctl import threadpool_limits

    distinct, which = np.unique(vectors, axis=0, return_inverse=True)
    with threadpool_limits(1):
        points = _arranged(distinct)[which.reshape(-1)]
    points -= (points.min(axis=0) + points.max(axis=0)) / 2
    points /= max(np.abs(points).max(), np.finfo(np.float64).tiny)
    return points.round(DECIMALS) + 0.0  # no -0


def _arranged(vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return points (n, 2) for vectors that all differ."""
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    n, size = vectors.shape
    if n == 1:
        return np.zeros((1, 2))
    n_components = min(n, size, DIMENSIONS)
    reduced = PCA(n_components, svd_solver="full").fit_transform(vectors.astype(np.float64))
    if n_components < 2:
        reduced = np.pad(reduced, ((0, 0), (0, 1)))
    if n < FEWEST:
        return np.array(reduced[:, :2])
    tsne = TSNE(2, perplexity=min(PERPLEXITY, (n - 1) / 3), init="pca", random_state=SEED, n_jobs=1)
    return np.array(tsne.fit_transform(reduced), np.float64)
