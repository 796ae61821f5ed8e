"""How segments are standardised."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from stages.training.scaler import Scaler

SHAPE = (8, 10)


def segments(n: int) -> np.ndarray:
    return np.random.default_rng(n).normal(5, 20, (n, *SHAPE)).astype(np.float32)


def scaler(name: str) -> Scaler:
    if name == "bins":
        return Scaler(name="bins", mean=[float(i) for i in range(8)], std=[1.0 + i for i in range(8)])
    return Scaler(name=name, mean=[], std=[])


def blocks_of(x: NDArray[np.float32], size: int) -> Iterator[NDArray[np.float32]]:
    for start in range(0, len(x), size):
        yield x[start : start + size]


@pytest.mark.parametrize("size", [1, 7, 100])
@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_fit_equals_numpy_over_all_segments(size, offset):
    random = np.random.default_rng(0)
    x = (offset + random.normal(-40, 20, (50, 6, 30)) * np.arange(1, 7)[:, None]).astype(np.float32)
    scaler = Scaler.fit("bins", lambda: blocks_of(x, size))
    exact = x.astype(np.float64)
    np.testing.assert_allclose(scaler.mean, exact.mean(axis=(0, 2)), rtol=1e-10)
    np.testing.assert_allclose(scaler.std, exact.std(axis=(0, 2)), rtol=1e-10)


def test_bins_scaler_scales_each_bin():
    x = segments(4)
    wanted = (x - np.arange(8)[:, None]) / (1 + np.arange(8)[:, None])
    np.testing.assert_allclose(scaler("bins").standardise(x).numpy(), wanted, rtol=1e-5)


def test_example_scaler_scales_each_segment():
    x = segments(4)
    x[1] = 1000 * x[1] + 5
    scaled = scaler("example").standardise(x).numpy()
    wanted = (x - x.mean(axis=(1, 2), keepdims=True)) / x.std(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(scaled, wanted, atol=1e-5)
    np.testing.assert_allclose(scaled.mean(axis=(1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(scaled.std(axis=(1, 2)), 1, rtol=1e-5)


def test_silence_is_not_amplified():
    x = np.full((2, *SHAPE), -100, np.float32)
    x[1, 3, 3] += 1e-5
    scaled = scaler("example").standardise(x).numpy()
    assert np.array_equal(scaled[0], np.zeros(SHAPE))
    assert np.abs(scaled[1]).max() < 20


def test_none_scaler_changes_nothing():
    x = segments(4)
    assert np.array_equal(scaler("none").standardise(x).numpy(), x)


@pytest.mark.parametrize("kind", ["bins", "example", "none"])
def test_segments_do_not_affect_each_other(kind):
    other, x = scaler(kind), segments(20)
    assert torch.equal(other.standardise(x)[4:5], other.standardise(x[4:5]))
