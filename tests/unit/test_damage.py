"""One byte that has changed, in each kind of file that Encore reads back, is noticed or means nothing."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from stages.core.documents import read_document, write_document
from stages.core.errors import EncoreError
from stages.core.tables import (
    Assignment,
    AudioTrack,
    Epoch,
    RawTrack,
    Segment,
    SegmentedTrack,
    read_rows,
    write_rows,
)
from stages.evaluation.predictions import Predictions, read_segments, write_segments
from stages.storage import audio_file, cache, feature_file
from stages.training.checkpoints import Checkpoint
from stages.training.trained import TrainedModel, build
from tests.synthetic import CLASSES, description, good, noise, write_audio, write_features

pytestmark = pytest.mark.slow

Read = Callable[[], object]


def cache_entry() -> tuple[Path, Read]:
    arrays = {"values": np.arange(300, dtype=np.float32), "other": np.ones(3)}
    cache.save("ab" * 32, arrays, {"rate": 0.1, "name": "é"})
    [path] = Path(".encore/entries").rglob("*.npz")
    whole = path.read_bytes()

    def read() -> object:
        if not path.exists():  # a damaged entry is deleted
            path.write_bytes(whole)
        loaded = cache.load("ab" * 32, ["values"])
        return loaded and (plain(loaded[0]), loaded[1])

    return path, read


def checkpoint() -> tuple[Path, Read]:
    def read() -> object:
        with Checkpoint("key") as saved:
            return plain(saved.load())

    with Checkpoint("key") as new:
        new.save({"epoch": 3, "model": {"weight": torch.arange(12.0)}, "history": [(1, 0.5)]})
    return Path(".encore/checkpoints/key/state.pt"), read


def features() -> tuple[Path, Read]:
    write_features({"train": 2, "valid": 1}, segments=2, variants=["pitch_shift=2.0"])
    path = Path("data/features/features.h5")

    def read() -> object:
        with feature_file.Features(path) as file:
            about = (file.labels, file.attributes, file.variants, file.names)
            of_mfcc = (file.shape("mfcc"), file.unit("mfcc"), file.settings("mfcc"))
            values = file.read("mfcc", np.arange(2 * len(file.label)), file.variants)
            return plain([about, of_mfcc, values, file.track_id.tolist(), file.segment, file.label])

    return path, read


def audio() -> tuple[Path, Read]:
    write_audio({"a": noise(3000), "b": (noise(900) * 2**15).astype(np.int16)})
    path = Path("data/audio/audio.h5")

    def read() -> object:
        with audio_file.open_audio(path) as file:
            tracks = [
                (audio_file.read_digest(file, row), audio_file.read_waveform(file, row)) for row in (0, 1)
            ]
        return plain([audio_file.read_sample_rate_hz(path), tracks])

    return path, read


def model() -> None:
    about = description()
    torch.manual_seed(0)
    TrainedModel(about, build(about)).save(Path())


def read_model() -> object:
    trained = TrainedModel.load(Path())
    return plain([trained.description.model_dump(), trained.model.state_dict()])


def model_json() -> tuple[Path, Read]:
    model()
    return Path("model.json"), read_model


def weights() -> tuple[Path, Read]:
    model()
    return Path("weights.safetensors"), read_model


def source_json() -> tuple[Path, Read]:
    path = Path("source.json")
    write_document(path, {"name": "folder", "licence": "CC BY", "citation": "Ångström", "caveat": ""})
    return path, lambda: read_document(path)


ROWS: list[Any] = [
    RawTrack(track_id="a", path="jazz/a.wav", label="jazz", group="x", sha256="0" * 64, source="folder"),
    AudioTrack("a", "jazz", "", "a", "", 66150, 1),
    good("jazz/é.wav"),
    Segment("a", 0, 0, 66150),
    SegmentedTrack("a", "jazz", "", "a", "", 10),
    Assignment("a", "jazz", "a", "train", -1),
    Epoch(1, 0.5, 0.25, 0.125, 1.0, 1e-3),
]


def table(row: Any) -> Callable[[], tuple[Path, Read]]:
    def make() -> tuple[Path, Read]:
        path, kind = Path("table.csv"), type(row)
        write_rows(path, 3 * [row], kind)
        return path, lambda: read_rows(path, kind)

    return make


def predictions() -> tuple[Path, Read]:
    path, names = Path("predictions.csv"), np.array(["a", "b"])
    found = Predictions.of_classifier(names, np.array([0, 2]), np.array([[0.9, 0.1, 0.0], [0.2, 0.3, 0.5]]))
    write_segments(path, {"test": found}, CLASSES, {"a": CLASSES[0], "b": CLASSES[2]})
    return path, lambda: plain({split: vars(rows) for split, rows in read_segments(path, CLASSES).items()})


KINDS = {
    "cache entry": cache_entry,
    "checkpoint": checkpoint,
    "features.h5": features,
    "audio.h5": audio,
    "model.json": model_json,
    "weights.safetensors": weights,
    "source.json": source_json,
    **{f"table of {type(row).__name__}": table(row) for row in ROWS},
    "predictions.csv": predictions,
}


def plain(value: Any) -> Any:
    """The same with arrays as bytes, to be compared."""
    if isinstance(value, torch.Tensor):
        return plain(value.numpy())
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    return [plain(inner) for inner in value] if isinstance(value, list | tuple) else value


def outcome(read: Read) -> object:
    """What a reader returns, None for what is to be made anew, or the error that it raises."""
    try:
        return read()
    except EncoreError as error:
        return error


@pytest.mark.parametrize("kind", KINDS)
def test_a_changed_byte_is_noticed_or_changes_nothing(workspace: Path, kind: str) -> None:
    path, read = KINDS[kind]()
    whole, wanted = path.read_bytes(), read()
    random = np.random.default_rng(sum(kind.encode()))
    ends = {*range(60), *range(len(whole) - 60, len(whole))}
    places = sorted(ends & {*range(len(whole))} | {*random.integers(0, len(whole), 140).tolist()})
    n_noticed = 0
    for place in places:
        damaged = bytearray(whole)
        damaged[place] ^= int(random.integers(1, 256))
        path.write_bytes(damaged)
        found = outcome(read)
        if isinstance(found, EncoreError):
            line = str(found)
            assert str(path) in line
            assert "dvc repro" in line
            assert "\n" not in line
        else:
            assert found in (None, wanted), f"byte {place} of {len(whole)}"
        n_noticed += found != wanted
    path.write_bytes(whole)
    assert read() == wanted
    assert n_noticed > 0.4 * len(places), f"{n_noticed} of {len(places)}"
