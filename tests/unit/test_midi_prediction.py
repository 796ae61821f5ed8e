"""Predictions for MIDI: it is rendered as it was for the training, and cut within its windows."""

import io
import shutil
from pathlib import Path

import mido
import numpy as np
import pytest

from stages import decode, extract, fetch, segment, split, train
from stages.core.errors import EncoreError
from stages.inference.prediction import predict
from stages.splitting import examples
from stages.storage.feature_file import Features
from stages.training.description import Description
from stages.training.trained import TrainedModel
from tests.synthetic import write_params

pytestmark = pytest.mark.slow


def midi(pitch: int) -> bytes:
    """Return seven seconds of notes that rise from `pitch`."""
    notes = []
    for step in range(14):
        notes += [
            mido.Message("note_on", note=pitch + step, velocity=40 + 5 * step),
            mido.Message("note_off", note=pitch + step, time=480),  # half a second
        ]
    file = mido.MidiFile(type=0, ticks_per_beat=480)
    file.tracks.append(mido.MidiTrack(notes))
    buffer = io.BytesIO()
    file.save(file=buffer)
    return buffer.getvalue()


@pytest.fixture(scope="module", autouse=True)
def _project(module_workspace):
    """Train on MIDI that is rendered in another way than by default."""
    for number in range(12):
        path = Path("music", ("low", "high")[number % 2], f"{number:02d}.mid")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(midi(40 + 24 * (number % 2) + number))
    write_params(
        "dataset=folder",
        f"dataset.path={module_workspace / 'music'}",
        "render.window_s=2.5",
        "render.windows=2",
        "render.control=true",
        "features.include=[mfcc]",
        "model.feature=mfcc",
        "train.epochs=1",
    )
    for stage in (fetch, decode, segment, split, extract, train):
        stage.main()


def test_predict_equals_the_pipeline():
    trained = TrainedModel.load(Path("data/model"))
    with Features(examples.FEATURES) as features:
        x = features.read("mfcc", np.arange(len(features.track_id)))
        track_id = features.track_id
    assert len(set(track_id)) == 12
    for name in set(track_id):
        wanted = trained.predict(x[track_id == name])
        assert len(wanted) == 4, "two segments in each of two windows"
        found = predict(Path("data/raw/music", name))
        assert list(found.values()) == pytest.approx(wanted.mean(axis=0).tolist(), abs=1e-5)


@pytest.mark.parametrize("other", [{"control": False}, {"windows": 1}, {"window_s": 1.5}])
def test_each_setting_of_rendering_matters(tmp_path, other):
    shutil.copytree("data/model", tmp_path / "model")
    description = Description.load(tmp_path / "model")
    rendering = description.rendering.model_copy(update=other)
    description.model_copy(update={"rendering": rendering}).save(tmp_path / "model")
    path = next(Path("data/raw/music").rglob("*.mid"))
    assert predict(path, tmp_path / "model") != pytest.approx(predict(path), abs=1e-5)


def test_window_shorter_than_a_segment_is_refused(tmp_path):
    shutil.copytree("data/model", tmp_path / "model")
    description = Description.load(tmp_path / "model")
    short = description.rendering.model_copy(update={"window_s": 0.75})
    description.model_copy(update={"rendering": short}).save(tmp_path / "model")
    path = next(Path("data/raw/music").rglob("*.mid"))
    with pytest.raises(EncoreError, match=r"lasts 0\.75 s, less than a segment of 1 s"):
        predict(path, tmp_path / "model")
