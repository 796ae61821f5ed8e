"""Writes features.h5."""

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import numpy as np

from stages.features.extraction import Extraction
from stages.features.feature import Feature
from stages.features.params import FeaturesParams
from stages.storage import hdf5


def stored_as(name: str, feature: Feature, params: FeaturesParams, length: int) -> hdf5.Array:
    """Return how a feature of segments of `length` samples is stored."""
    framing = feature.framing
    time_s = framing.time_s(length, feature.sample_rate_hz)
    shares_time = (framing.n_fft, framing.hop_length) == (params.n_fft, params.hop_length)
    return hdf5.Array(
        np.dtype(params.dtype if feature.dtype == np.float32 else feature.dtype),
        feature.unit,
        hdf5.Axis(*feature.bins()),
        hdf5.Axis("time_s" if shares_time else f"time_s_{name}", time_s),
        feature.stored_settings(),
    )


def write(path: Path, params: FeaturesParams, extraction: Extraction) -> Mapping[str, hdf5.Array]:
    """Write the features of all segments; return how each feature is stored."""
    index = extraction.index
    blocks = extraction.blocks()
    arrays = {
        name: stored_as(name, feature, params, index.length) for name, feature in extraction.features.items()
    }
    made_with = (f"{name} {version(name)}" for name in ("librosa", "numpy", "scipy"))
    attributes = {
        **params.model_dump(include={"n_fft", "hop_length", "window", "pad_mode", "include"}),
        "sample_rate_hz": extraction.sample_rate_hz,
        "segment_length": index.length,
        "audio_sha256": extraction.audio_sha256,
        "made_with": ", ".join(made_with),
    }
    table = hdf5.SegmentTable(index.track_id, index.segment, index.start, index.labels())
    variants = [variant.name for variant in extraction.variants]
    with hdf5.create_features(path, arrays, table, attributes, params.compression, variants) as file:
        for (variant, rows), values in blocks:
            for name, of_rows in values.items():
                file.write(name, rows.start, of_rows, variant.name if variant else None)
    return arrays
