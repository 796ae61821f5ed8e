"""Layers that make features in torch equal the features, so that a file of ONNX may take the waveform."""

import numpy as np
import pytest
import torch

from stages.core.params import check
from stages.exporting.front_end import front_end
from stages.features.catalogue import extract
from stages.features.feature import Feature
from stages.features.params import FeaturesParams, build
from tests.synthetic import RATE_HZ, SMALL, composed_sections, noise, tone

LENGTH = RATE_HZ


def feature(name: str, *overrides: str) -> Feature:
    section = composed_sections(*SMALL, f"features.include=[{name}]", *overrides)["features"]
    return build(check(section, FeaturesParams, "features"), RATE_HZ, LENGTH)[name]


def segments() -> np.ndarray:
    """Noise, loud and quiet, noise that stops, a tone in noise, silence."""
    stops = noise(LENGTH, 2)
    stops[LENGTH // 3 :] = 0
    kinds = [noise(LENGTH), 1e-3 * noise(LENGTH, 1), stops, tone(LENGTH, 440) + noise(LENGTH, 3, 0.01)]
    return np.stack([*kinds, np.zeros(LENGTH, np.float32)]).astype(np.float32)


@pytest.mark.parametrize(
    "settings",
    [
        [],
        ["features.pad_mode=reflect", "features.window=blackman", "features.n_fft=511"],
        ["features.mel.htk=true", "features.mel.norm=none", "features.mel.fmin_hz=100"],
        ["features.mel.top_db=null", "features.mel.ref=max"],
        ["features.mel.top_db=30", "features.mel.ref=0.01", "features.mel.fmax_hz=3000"],
    ],
)
@pytest.mark.parametrize(
    ("name", "own"),
    [
        ("mel", []),
        ("mfcc", []),
        ("mfcc", ["features.mfcc.deltas=1", "features.mfcc.n_mfcc=20", "features.mfcc.delta_width=5"]),
        ("mfcc", ["features.mfcc.deltas=2", "features.mfcc.framing={hop_length: 400}"]),
    ],
)
def test_a_layer_equals_its_feature(name, own, settings):
    given, x = feature(name, *settings, *own), segments()
    layer = front_end(given)
    found = layer(torch.from_numpy(x))
    expected = extract(x.ravel(), range(0, x.size, LENGTH), LENGTH, {name: given})[name]
    assert found.dtype == torch.float32
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-3)  # as near as to librosa, beside a tone


@pytest.mark.parametrize("name", ["chroma", "mel_levels", "centroid"])
def test_other_features_have_none(name):
    assert front_end(feature(name)) is None


def test_equal_spectra_are_one_layer():
    assert front_end(feature("mfcc")).mel is front_end(feature("mel"))
    assert front_end(feature("mfcc", "features.mel.top_db=60")).mel is not front_end(feature("mel"))
