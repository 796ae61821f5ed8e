"""The map's layout: the same bytes everywhere, alike tracks together, any number of tracks."""

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest

from stages.core import numerics
from stages.inference import layout as module
from stages.inference.layout import layout, shown
from tests.synthetic import REPO

pytestmark = pytest.mark.slow

MAKE = """
import stages
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_info
from tests.unit.test_layout import digest
threads = set()
fit = TSNE.fit_transform
def counting(self, x):
    threads.update(pool["num_threads"] for pool in threadpool_info())
    return fit(self, x)
TSNE.fit_transform = counting
print(digest(), threads)
"""
OTHERS = {
    "OMP_NUM_THREADS": "7",
    "OPENBLAS_NUM_THREADS": "4",
    "OPENBLAS_CORETYPE": "Prescott",
    "NPY_DISABLE_CPU_FEATURES": "",
    "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX512F,-AVX512VL,-AVX512BW,-AVX512CD,-AVX512DQ",
}


def vectors(n: int, size: int = 24, n_groups: int = 3) -> np.ndarray:
    """Unit vectors in groups, one after the other."""
    rng = np.random.default_rng(0)
    groups = np.repeat(rng.normal(size=(n_groups, size)), -(-n // n_groups), axis=0)[:n]
    noisy = (groups + 0.3 * rng.normal(size=(n, size))).astype(np.float32)
    return noisy / np.linalg.norm(noisy, axis=1, keepdims=True)


def digest() -> str:
    return hashlib.sha256(layout(vectors(240)).tobytes()).hexdigest()


@pytest.mark.skipif(not numerics.has_avx2(), reason="the same bits are promised where there is AVX2")
def test_the_same_bytes_in_processes_with_other_threads_and_kernels():
    own = {key: value for key, value in os.environ.items() if key not in {*OTHERS, *numerics.OF_NUMPY}}
    made = [
        subprocess.run(
            [sys.executable, "-c", MAKE],
            env={**own, "PYTHONPATH": str(REPO), **settings},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for settings in ({"OMP_NUM_THREADS": "1"}, OTHERS)
    ]
    assert made[0] == made[1]
    assert made[0].split(" ", 1)[1] == "{1}\n"


def test_groups_lie_together_and_inside_the_square():
    points = layout(vectors(90))
    assert np.abs(points).max() == 1
    assert (points == points.round(4)).all()
    centres = points.reshape(3, 30, 2).mean(axis=1)
    nearest = ((points[:, None] - centres) ** 2).sum(axis=2).argmin(axis=1)
    assert (nearest == np.repeat(range(3), 30)).all()


def test_the_order_of_the_tracks_does_not_matter():
    given = vectors(40)
    order = np.random.default_rng(1).permutation(40)
    assert (layout(given[order]) == layout(given)[order]).all()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 6, 20])
@pytest.mark.parametrize("size", [1, 2, 60])
def test_few_tracks_and_copies(n, size):
    given = vectors(n, size)
    for some in (given, np.repeat(given, 3, axis=0), np.zeros((n, size), np.float32)):
        points = layout(some)
        assert points.shape == (len(some), 2)
        assert np.isfinite(points).all()
        assert np.abs(points).max() <= 1
    copies = layout(np.repeat(given, 3, axis=0)).reshape(n, 3, 2)
    assert (copies == copies[:, :1]).all()


def test_of_very_many_tracks_the_same_ones_are_shown(monkeypatch):
    assert shown(5).tolist() == [0, 1, 2, 3, 4]
    monkeypatch.setattr(module, "MOST", 50)
    some = shown(200)
    assert len(set(some.tolist())) == 50
    assert (np.diff(some) > 0).all()
    assert some[-1] > 150
    assert (some == shown(200)).all()
