"""Predictions for a file: they equal those of the pipeline, and the snippet in the card works."""

import csv
import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import soundfile

from stages import baseline, decode, evaluate, extract, fetch, segment, split, train
from stages.core.errors import EncoreError
from stages.core.params import check
from stages.features.catalogue import CATALOGUE, rebuild
from stages.features.params import FeaturesParams, build
from stages.features.writing import stored_as
from stages.inference.prediction import predict
from tests.asking import asked
from tests.synthetic import CLASSES, FRAMED, RATE_HZ, composed_sections, noise, write_music, write_params


@pytest.fixture(scope="module")
def _project(module_workspace):
    """Run the whole pipeline on a little music."""
    music = write_music(module_workspace / "music")
    write_params(
        "dataset=folder",
        f"dataset.path={music}",
        "features.include=[chroma,mfcc]",
        "features.mfcc.framing={hop_length: 128}",
        "model=bare/cnn",
        "model.feature=mfcc",
        "train.epochs=2",
    )
    for stage in (fetch, decode, segment, split, extract, baseline, train, evaluate):
        stage.main()


def predicted() -> dict[str, dict[str, float]]:
    """Return the probabilities of each test track in the output of evaluate."""
    with Path("data/evaluation/predictions.csv").open() as file:
        return {
            row["track_id"]: {label: float(row[label]) for label in CLASSES} for row in csv.DictReader(file)
        }


@pytest.mark.usefixtures("_project")
class TestPredict:
    def test_predict_equals_evaluate_for_each_test_track(self):
        for track_id, probability in predicted().items():
            assert predict(Path("data/raw/music", track_id)) == pytest.approx(probability, abs=1e-5)

    def test_other_rates_and_channels_are_converted(self, tmp_path):
        path = tmp_path / "stereo.flac"
        soundfile.write(path, np.stack([noise(66150), noise(66150, 1)], axis=1), 22050)
        probability = predict(path)
        assert list(probability) == list(CLASSES)
        assert sum(probability.values()) == pytest.approx(1)

    def test_params_yaml_is_not_read(self, tmp_path, monkeypatch):
        track_id, probability = next(iter(predicted().items()))
        path, model = Path("data/raw/music", track_id).resolve(), Path("data/model").resolve()
        monkeypatch.chdir(tmp_path)
        assert predict(path, model) == pytest.approx(probability, abs=1e-5)

    def test_short_file_is_refused(self, tmp_path):
        path = tmp_path / "short.wav"
        soundfile.write(path, noise(RATE_HZ // 2), RATE_HZ)
        with pytest.raises(EncoreError, match=r"short\.wav lasts 0\.5 s, less than a segment of 1 s"):
            predict(path)

    def test_silence_is_refused_and_a_part_is_warned_of(self, tmp_path):
        path = tmp_path / "silence.wav"
        soundfile.write(path, np.full(66150, 1e-5), 22050, subtype="FLOAT")
        with pytest.raises(EncoreError, match=r"silence\.wav is silent: no sample is over -80 dB"):
            predict(path)
        soundfile.write(path, noise(66150), 22050, subtype="PCM_16")
        path.write_bytes(path.read_bytes()[:-44100])
        with pytest.warns(UserWarning, match=r"should last 3\.00 s, but 2\.00 s can be read"):
            predict(path)

    def test_file_without_music_is_refused(self, tmp_path):
        path = tmp_path / "noise.wav"
        path.write_bytes(b"no music")
        with pytest.raises(EncoreError, match=r"noise\.wav cannot be decoded"):
            predict(path)

    def test_missing_file_and_folder_are_refused(self, tmp_path):
        with pytest.raises(EncoreError, match=r"gone\.wav: cannot be read: No such file"):
            predict(tmp_path / "gone.wav")
        with pytest.raises(EncoreError, match="cannot be read: Is a directory"):
            predict(tmp_path)

    def test_samples_that_are_not_finite_are_refused(self, tmp_path):
        samples = noise(2 * RATE_HZ)
        samples[7] = np.nan
        soundfile.write(tmp_path / "hole.wav", samples, RATE_HZ, subtype="FLOAT")
        with pytest.raises(EncoreError, match=r"hole\.wav has samples that are"):
            predict(tmp_path / "hole.wav")


@pytest.mark.usefixtures("_project")
class TestCard:
    def test_its_example_is_a_track_that_was_right_and_one_that_was_wrong(self, monkeypatch, capsys):
        text = Path("data/evaluation/README.md").read_text("utf-8")
        (command,) = re.findall(r"```\n(encore predict .*)\n```", text)
        program, *paths = shlex.split(command.removeprefix("encore "))
        answer = json.loads(asked(monkeypatch, capsys, program, *paths, "--json"))
        with Path("data/evaluation/predictions.csv").open() as file:
            rows = {row["track_id"]: row for row in csv.DictReader(file)}
        of_them = [rows[str(Path(path).relative_to("data/raw/music"))] for path in paths]
        assert [file["genre"] for file in answer["files"]] == [row["predicted"] for row in of_them]
        assert [row["label"] == row["predicted"] for row in of_them] == [True, False][: len(of_them)]
        for row, verdict in zip(
            of_them, ("got right", f"got wrong, as {of_them[-1]['predicted']}"), strict=False
        ):
            assert f"{row['track_id']} ({row['label']}) is a test track that it {verdict}" in text

    def test_its_pictures_and_links_are_there(self):
        text = Path("data/evaluation/README.md").read_text("utf-8")
        links = re.findall(r"\]\((.*?)\)", text)
        assert len(links) == 7
        assert all(Path("data/evaluation", link).is_file() for link in links if link.startswith("figures"))

    def test_it_tells_the_framing_of_the_models_feature(self):
        text = Path("data/evaluation/README.md").read_text("utf-8")
        assert "13 bins by 63 frames, of 1 s of mono audio at 8,000 Hz" in text
        assert "every 128 samples (16 ms)" in text
        assert "`mel.n_mels=32`" in text


# test_encoder.py has a network for the encoder
@pytest.mark.parametrize("name", [name for name in CATALOGUE if name != "encoder"])
def test_a_feature_is_rebuilt_from_its_settings(name):
    section = {**composed_sections()["features"], "include": [name]}
    if name in FRAMED:
        section[name] = {**section[name], "framing": {"hop_length": 256, "pad_mode": "reflect"}}
    params = check(section, FeaturesParams, "features")
    feature = build(params, 22050, 66150)[name]
    settings = stored_as(name, feature, params, 66150).settings
    written = json.loads(json.dumps({"sample_rate_hz": 22050, "include": [name], **settings}))
    assert rebuild(name, written) == feature
