"""Writes features.h5."""

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import numpy as np

from stages.features.extraction import Extraction
from stages.features.feature import Feature, FramedFeature
from stages.features.params import FeaturesParams
from stages.storage import feature_file


def stored_as(name: str, feature: Feature, params: FeaturesParams, length: int) -> feature_file.Array:
    """Return how a feature of segments of `length` samples is stored."""
    framing = feature.framing if isinstance(feature, FramedFeature) else None
    shares_time = framing and (framing.n_fft, framing.hop_length) == (params.n_fft, params.hop_length)
    return feature_file.Array(
        np.dtype(params.dtype if feature.dtype == np.float32 else feature.dtype),
        feature.unit,
        feature_file.Axis(*feature.bins()),
        feature_file.Axis("time_s" if shares_time else f"time_s_{name}", feature.time_s(length)),
        feature.stored_settings(),
    )


def write(path: Path, params: FeaturesParams, extraction: Extraction) -> Mapping[str, feature_file.Array]:
    """Write the features of all segments; return how each feature is stored."""
    index = extraction.index
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
    table = feature_file.SegmentTable(index.track_id, index.segment, index.start, index.labels())
    variants = [variant.name for variant in extraction.variants]
    contents = feature_file.Contents(arrays, table, attributes, variants)
    extraction.fill(
        feature_file.create_features(path, contents), {name: array.dtype for name, array in arrays.items()}
    )
    if params.compression != "none":
        plain = path.rename(path.with_suffix(".plain"))
        feature_file.compress_features(plain, path, contents, params.compression)
        plain.unlink()
    return arrays
