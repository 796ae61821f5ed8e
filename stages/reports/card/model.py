"""What the model is, what it hears, and how to ask it."""

import json
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from stages.core.tables import Quality
from stages.reports.card.facts import Facts
from stages.reports.card.markup import bullets, code, counted, in_brackets

SNIPPET = """\
```python
from pathlib import Path

from stages.inference.prediction import predict

for label, probability in predict(Path({path})).items():
    print(f"{{probability:.3f}} {{label}}")
```"""
# Of the file of features, not of one of them; what counts among these is said in words.
OF_THE_FILE = (
    "audio_sha256",
    "hop_length",
    "include",
    "made_with",
    "n_fft",
    "pad_mode",
    "sample_rate_hz",
    "schema",
    "segment_length",
    "variants",
    "window",
)


def model(facts: Facts) -> list[str]:
    """Class, size, input, output and weights."""
    about = facts.description
    shown = {key: value for key, value in about.kwargs.items() if key not in ("input_shape", "n_classes")}
    path = PurePath("data/raw/music", _example(facts).path).as_posix()
    return [
        "## Model",
        bullets(
            [
                f"`models.{about.model}`{in_brackets(code(shown))}; {facts.n_parameters:,} parameters.",
                _input(facts),
                _settings(facts),
                f"Output: a probability for each of {counted(len(about.labels), 'class', 'classes')}; "
                "that of a track is the mean over its segments.",
                "Weights: `data/model/weights.safetensors`; `model.json` beside it rebuilds the model.",
            ]
        ),
        "What it says of a file, in Python at the project's root:",
        SNIPPET.format(path=json.dumps(path, ensure_ascii=False)),
    ]


def _example(facts: Facts) -> Quality:
    """A test track that has a whole segment, if there is one: another is padded by the pipeline alone."""
    test = {row.track_id for row in facts.side("test")}
    found = [row for row in facts.quality if row.track_id in test]
    return next((row for row in found if row.duration_s >= facts.segment_s), found[0])


def _input(facts: Facts) -> str:
    about = facts.description
    made = about.feature.settings | {"sample_rate_hz": about.feature.sample_rate_hz}
    n_bins, n_frames = about.kwargs["input_shape"]
    frame_ms, step_ms = (1000 * made[key] / made["sample_rate_hz"] for key in ("n_fft", "hop_length"))
    return (
        f"Input: [{about.feature.name}](../README.md#featuresh5), {n_bins} bins by {n_frames} frames, of a "
        f"segment of {facts.segment_s:g} s of mono audio at {made['sample_rate_hz']:,} Hz. A frame has "
        f"{made['n_fft']:,} samples ({frame_ms:.0f} ms), and one begins every {made['hop_length']:,} "
        f"({step_ms:.0f} ms); window {made['window']}, padding {made['pad_mode']}."
    )


def _settings(facts: Facts) -> str:
    about = facts.description
    return f"Settings of {about.feature.name}: {code(_own(about.feature.settings)) or 'none'}."


def _own(made: Mapping[str, Any]) -> dict[str, Any]:
    """A feature's own settings, and those of features behind it."""
    return {
        key: _own(value) if isinstance(value, Mapping) else value
        for key, value in made.items()
        if key not in ("framing", *OF_THE_FILE)
    }
