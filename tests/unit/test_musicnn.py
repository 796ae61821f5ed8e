"""The feature musicnn equals its authors' code on TensorFlow, and fits in like any other."""

import csv
from collections import defaultdict

import numpy as np
import pytest

from stages.features.musicnn import Musicnn
from stages.features.spectra import Segments
from tests.musicnn_signals import RATE_HZ, signals
from tests.synthetic import REPO

SIGNALS = signals()


def published() -> dict[tuple[str, str], list[tuple[int, int, float, float]]]:
    """Patch, index, value and largest magnitude of the patch, by signal and layer."""
    rows = defaultdict(list)
    with (REPO / "tests/musicnn_reference.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            place = int(row["patch"]), int(row["index"])
            rows[row["signal"], row["layer"]].append((*place, float(row["value"]), float(row["largest"])))
    return rows


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize("signal", SIGNALS)
@pytest.mark.parametrize("layer", ["tag_logits", "penultimate", "max_pool"])
def test_it_equals_the_authors_code(signal, layer):
    feature = Musicnn(sample_rate_hz=RATE_HZ, layer=layer)
    ours = feature.of(Segments(SIGNALS[signal][None]))[0]
    rows = published()[signal, layer]
    patch, index, value, largest = (np.array(column) for column in zip(*rows, strict=True))
    found = ours[patch, index]
    if layer == "tag_logits":
        found, value = sigmoid(found), sigmoid(value)
    print(signal, layer, np.abs(found - value).max(), (np.abs(found - value) / largest).max())
    bound = 1e-5 * largest if layer == "max_pool" else 1e-4
    assert (np.abs(found - value) <= bound).all()
