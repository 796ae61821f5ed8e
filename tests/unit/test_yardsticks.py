"""Features of GTZAN's clips equal numbers that others have published (see data/facts)."""

import csv
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from stages.features.catalogue import (
    Bandwidth,
    Centroid,
    Chroma,
    Mel,
    Mfcc,
    Rms,
    Rolloff,
    ZeroCrossingRate,
    extract,
)
from stages.features.spectra import Framing
from tests.synthetic import GTZAN, REPO, needs_gtzan

FACTS = REPO / "data/facts"
RATE_HZ = 22050

# Relative tolerances of a mean and a variance over a clip, compared with the published ones; in brackets the
# largest errors seen in the 30 clips. The table has seven digits, whose rounding alone gives 5e-7.
TOLERANCES = {
    "chroma_stft": (1e-6, 1e-6),  # (1.7e-7, 1.9e-7)
    "rms": (1e-6, 3e-6),  # (4.2e-7, 1.3e-6)
    "spectral_centroid": (1e-6, 1e-6),  # (3.3e-7, 4.2e-7)
    "spectral_bandwidth": (1e-6, 1e-6),  # (4.0e-7, 3.6e-7)
    "rolloff": (1e-5, 2e-5),  # (3.0e-6, 8.3e-6): in one clip one of 1293 frames is one bin off
    "zero_crossing_rate": (1e-6, 1e-6),  # (3.6e-7, 3.4e-7)
    "mfcc": (2e-6, 2e-6),  # (5.0e-7, 5.8e-7), where a mean is 1 or more
}
MIN_MFCC_MEAN = 1.0  # the errors of smaller means are relative to this
FIGURES_TOLERANCE = 2e-5  # of an MFCC (5.7e-6)


def rows(table: str) -> list[dict[str, str]]:
    with (FACTS / table).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


PUBLISHED = {row["track_id"]: row for row in rows("gtzan_feature_table.csv")}


@cache
def samples_of(track_id: str) -> np.ndarray:
    path: Path = GTZAN / track_id.partition(".")[0] / f"{track_id}.wav"
    samples, rate_hz = soundfile.read(path, dtype="float32")
    assert rate_hz == RATE_HZ
    return samples


def common(pad_mode: str) -> dict[str, Any]:
    """Settings of every feature."""
    framing = Framing(n_fft=2048, hop_length=512, window="hann", pad_mode=pad_mode)
    return {"sample_rate_hz": RATE_HZ, "framing": framing}


def mfcc(n_mfcc: int, pad_mode: str) -> Mfcc:
    every = common(pad_mode)
    mel = Mel(**every, n_mels=128, fmin_hz=0.0, fmax_hz=None, htk=False, norm="slaney", top_db=80.0, ref=1.0)
    return Mfcc(**every, mel=mel, n_mfcc=n_mfcc, deltas=0, delta_width=9)


def figures(track_id: str, pad_mode: str = "reflect", tuning: float | str = "estimate") -> dict[str, float]:
    """Mean and variance over all frames of a clip, named as in the table."""
    samples = samples_of(track_id)
    every = common(pad_mode)
    features = {
        "chroma_stft": Chroma(**every, tuning=tuning),
        "rms": Rms(**every),
        "spectral_centroid": Centroid(**every),
        "spectral_bandwidth": Bandwidth(**every),
        "rolloff": Rolloff(**every, roll_percent=0.85),
        "zero_crossing_rate": ZeroCrossingRate(**every),
        "mfcc": mfcc(20, pad_mode),
    }
    found = {}
    for name, [values] in extract(samples, [0], len(samples), features).items():
        parts = {f"mfcc{i}": row for i, row in enumerate(values, 1)} if name == "mfcc" else {name: values}
        for part, numbers in parts.items():
            found[f"{part}_mean"] = float(np.mean(numbers, dtype=np.float64))
            found[f"{part}_var"] = float(np.var(numbers, dtype=np.float64))
    return found


def errors(track_id: str, **settings: object) -> dict[str, float]:
    """The error of each figure, as a multiple of its tolerance."""
    found, published = figures(track_id, **settings), PUBLISHED[track_id]
    assert found.keys() == published.keys() - {"track_id", "length"}
    result = {}
    for column, ours in found.items():
        name, _, figure = column.rpartition("_")
        group = "mfcc" if name.startswith("mfcc") else name
        scale = abs(float(published[column]))
        if group == "mfcc" and figure == "mean":
            scale = max(scale, MIN_MFCC_MEAN)
        tolerance = TOLERANCES[group][figure == "var"]
        result[column] = abs(ours - float(published[column])) / scale / tolerance
    return result


def test_the_table_has_three_clips_of_each_genre():
    assert len(PUBLISHED) == 30
    assert len({track_id.partition(".")[0] for track_id in PUBLISHED}) == 10


@needs_gtzan
@pytest.mark.parametrize("track_id", PUBLISHED)
def test_means_and_variances_equal_the_published_ones(track_id):
    assert len(samples_of(track_id)) == int(PUBLISHED[track_id]["length"])
    off = errors(track_id)
    assert max(off.values()) <= 1, max(off, key=off.get)


@needs_gtzan
@pytest.mark.parametrize("track_id", ["classical.00001", "pop.00001", "reggae.00002"])
def test_zero_padding_at_the_edges_does_not_reproduce_the_table(track_id):
    off = errors(track_id, pad_mode="constant")
    assert sum(error > 10 for error in off.values()) > 40, "of 52 figures, though of 1293 frames only 4"
    assert max(off.values()) > 1000


@needs_gtzan
@pytest.mark.parametrize("track_id", ["blues.00001", "reggae.00002"])
def test_a_fixed_tuning_does_not_reproduce_the_table(track_id):
    off = errors(track_id, tuning=0.0)
    for column, error in off.items():
        assert error > 1000 if column.startswith("chroma") else error <= 1


@needs_gtzan
@pytest.mark.parametrize("figure", rows("gtzan_mfcc_figures.csv"), ids=lambda figure: figure["track_id"])
def test_a_frame_equals_the_quoted_one(figure):
    start, stop = int(figure["start"]), int(figure["stop"])
    quoted = [float(figure[f"mfcc{number}"]) for number in range(1, 14)]

    def frame(pad_mode: str) -> np.ndarray:
        feature = {"mfcc": mfcc(13, pad_mode)}
        samples = samples_of(figure["track_id"])
        values = extract(samples, [start], stop - start, feature)["mfcc"][0]
        return values[:, int(figure["frame"])]

    np.testing.assert_allclose(frame(figure["pad_mode"]), quoted, rtol=0, atol=FIGURES_TOLERANCE)
    assert np.abs(frame("constant") - quoted).max() > 1, "the padding matters"
