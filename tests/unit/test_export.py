"""A model that is taken along answers as it does here: in one file of ONNX, and in a folder for a hub."""

import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import soundfile
import torch
from ruamel.yaml import YAML

from models.nearest_prototype import NearestPrototype
from stages import baseline, decode, evaluate, export, extract, fetch, segment, split, train
from stages.core.params import check
from stages.exporting import front_end, onnx_file
from stages.exporting.network import Whole
from stages.exporting.signals import made_up
from stages.features.params import FeaturesParams, build
from stages.inference.listening import Inputs
from stages.inference.prediction import Predictor
from stages.tracking.finished import Store
from stages.training.description import ModelInput
from stages.training.scaler import Scaler
from stages.training.trained import TrainedModel
from stages.training.trained import build as build_model
from tests import synthetic
from tests.synthetic import (
    CLASSES,
    RATE_HZ,
    SMALL,
    composed_sections,
    edit_params,
    line_of,
    noise,
    write_music,
    write_params,
)

pytestmark = pytest.mark.slow

LENGTH = RATE_HZ
MLP = {"hidden": [8], "dropout": 0.5, "l2": 0.0}
CNN = {"channels": [4, 8], "dropout": 0.5, "over": "both", "pooling": "statistics"}
LSTM = {"hidden_size": 8, "num_layers": 1, "dropout": 0.5, "bidirectional": True, "pooling": "statistics"}
ENCORE = {"channels": [8, 8], "kernel_size": 3, "dropout": 0.5, "hidden": [8]}
TRIPLET = {"name": "triplet", "embedding_size": 6, "margin": 0.3, "mining": "all"}
DELTAS = "features.mfcc.deltas=2"


def untrained(
    network: str, taken: str | list[str], kwargs: dict, scaler: str, loss: dict, *overrides: str
) -> TrainedModel:
    """A network that has statistics of the features in its scaler and its normalisations."""
    names = [taken] if isinstance(taken, str) else taken
    section = composed_sections(*SMALL, f"features.include=[{','.join(names)}]", *overrides)["features"]
    features = build(check(section, FeaturesParams, "features"), RATE_HZ, LENGTH)
    given = ModelInput(
        feature=taken,
        settings={name: feature.stored_settings() for name, feature in features.items()},
        sample_rate_hz=RATE_HZ,
        segment_length=LENGTH,
        variants=[],
        audio_sha256="0" * 64,
        made_with="numpy",
    )
    x = Inputs(given).of(made_up(LENGTH, RATE_HZ).ravel(), range(0, 6 * LENGTH, LENGTH))
    fitted = Scaler.fit("none" if given.is_codes else scaler, lambda: [x])
    n_outputs = loss.get("embedding_size", len(CLASSES))
    description = synthetic.description(
        model=network,
        kwargs={"input_shape": x.shape[1:], "n_classes": n_outputs, **kwargs},
        loss=loss,
        input=given,
        scaler=fitted,
    )
    torch.manual_seed(0)
    model = build_model(description)
    with torch.no_grad():
        scaled = description.scaler.standardise(x)
        model(scaled)  # running statistics
        if isinstance(model, NearestPrototype):
            model.place(model.embed(scaled), torch.tensor([0, 1, 2, 0, 1, 2]))
            model.temperature.fill_(0.2)
    return TrainedModel(description, model)


def whole_of(model: TrainedModel) -> Whole:
    return Whole(model, Inputs(model.description.input))


def written(model: TrainedModel, path: Path, **about: str) -> tuple[Whole, dict[str, float]]:
    whole = whole_of(model)
    return whole, onnx_file.write(whole, about, [made_up(LENGTH, RATE_HZ)], path)


KINDS = {
    "encore_cnn": ("EncoreCNN", "mfcc", ENCORE, "bins", {}, DELTAS),
    "cnn over both axes, sigmoids": ("CNN", "mel", CNN, "example", {"name": "binary_cross_entropy"}),
    "mlp on statistics, prototypes": ("MLP", ["mfcc", "mel"], MLP, "bins", TRIPLET, DELTAS),
    "lstm": ("LSTM", "mfcc", LSTM, "bins", {}, "features.hop_length=512", "features.pad_mode=reflect"),
    "codes": ("CNN", "mel_levels", CNN, "none", {}),
    "features": ("MLP", ["mfcc", "chroma"], MLP, "bins", {}),
}


@pytest.fixture(scope="module")
def model():
    return untrained("Linear", ["mfcc"], {"l2": 0.0}, "bins", {})


class TestFile:
    @pytest.mark.parametrize("kind", KINDS)
    def test_it_answers_as_the_model_does(self, kind, tmp_path):
        model = untrained(*KINDS[kind])
        whole, difference = written(model, tmp_path / "model.onnx")
        assert max(difference.values()) < 1e-4
        session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
        names = [given.name for given in session.get_inputs()]
        of_features = {"codes": ["mel_levels"], "features": ["mfcc", "chroma"]}
        assert names == of_features.get(kind, ["waveform"])
        x = np.stack([noise(LENGTH, 10 + i, 0.02 * 2**i) for i in range(5)])
        probability, novelty = Whole.expected(whole, x)
        for n in (1, 2, 5):
            given = {name: values[:n] for name, values in whole.given(x).items()}
            of_file = session.run(["probability", "novelty"], given)
            np.testing.assert_allclose(of_file[0], probability[:n], rtol=0, atol=1e-4)
            np.testing.assert_allclose(of_file[1], novelty[:n], rtol=0, atol=1e-4)
        assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]  # its weights are inside

    def test_it_says_what_it_is_and_the_same_model_gives_the_same_bytes(self, model, tmp_path):
        paths = [tmp_path / "one.onnx", tmp_path / "other.onnx"]
        for path in paths:
            written(model, path, licence_of_music="none")
        contents = [path.read_bytes() for path in paths]
        assert contents[0] == contents[1]
        assert str(synthetic.REPO).encode() not in contents[0]
        about = onnxruntime.InferenceSession(paths[0]).get_modelmeta().custom_metadata_map
        assert json.loads(about["labels"]) == list(CLASSES)
        assert (about["sample_rate_hz"], about["segment_samples"]) == (str(RATE_HZ), str(LENGTH))
        assert about["content_key"] == model.description.content_key
        assert about["licence_of_music"] == "none"
        assert "8000): n segments of 1 s, mono, 8000 Hz" in json.loads(about["inputs"])["waveform"]

    def test_a_file_that_answers_otherwise_is_not_kept(self, model, tmp_path, monkeypatch):
        monkeypatch.setattr(front_end, "DB_PER_NEPER", 1.1 * front_end.DB_PER_NEPER)
        assert "answers otherwise" in line_of(lambda: written(model, tmp_path / "x.onnx"))
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
    def test_what_the_exporter_says_is_one_line_and_ctrl_c_is_ctrl_c(
        self, model, tmp_path, monkeypatch, error
    ):
        def gives_up(*_: object, **__: object) -> None:
            try:
                raise error("of torch")
            finally:
                raise ValueError("a page\nof words")

        monkeypatch.setattr(torch.onnx, "export", gives_up)
        if error is KeyboardInterrupt:
            with pytest.raises(KeyboardInterrupt):
                written(model, tmp_path / "x.onnx")
        else:
            line = line_of(lambda: written(model, tmp_path / "x.onnx"))
            assert line == f"torch's exporter to ONNX cannot write {model.description.model}: a page of words"
        assert list(tmp_path.iterdir()) == []

    def test_missing_packages_are_named(self, model, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, "onnxscript", None)
        monkeypatch.setitem(sys.modules, "onnx_ir", None)
        line = line_of(lambda: written(model, tmp_path / "x.onnx"))
        assert line.startswith("an ONNX file takes onnx_ir, onnxscript, missing here")
        assert list(tmp_path.iterdir()) == []


def run(*words: str) -> None:
    export.main(export.parse(words))


@pytest.fixture(scope="module")
def project(module_workspace):
    """A little music, a model of it, and its run."""
    music = write_music(module_workspace / "music")
    write_params("dataset=folder", f"dataset.path={music}", "train.epochs=2")
    edit_params("runtime", tracking="on")
    for stage in (fetch, decode, segment, split, extract, baseline, train, evaluate):
        stage.main()
    return module_workspace


@pytest.fixture(scope="module")
def folder(project) -> Path:
    """The folder of the run, made in the project."""
    (finished,) = Store().runs
    run("hub", "--run", finished.name, "--quiet")
    return project / "hub"


def header_and_card(folder: Path) -> tuple[dict[str, Any], str]:
    nothing, header, card = (folder / "README.md").read_text("utf-8").split("---\n", 2)
    assert nothing == ""
    return YAML(typ="safe", pure=True).load(header), card


class TestFolder:
    def test_it_has_all_that_its_card_links_to(self, folder):
        _, card = header_and_card(folder)
        targets = re.findall(r"\]\(([^)]+)\)", card)
        assert "figures/confusion_test.png" in targets
        assert all((folder / target).is_file() for target in targets)
        names = {path.name for path in folder.iterdir()}
        assert names >= {"README.md", "LICENSE.md", "model.json", "model.onnx", "weights.safetensors"}

    def test_its_header_is_what_a_hub_reads(self, folder):
        header, card = header_and_card(folder)
        assert header["license"] == "other"  # the music is the user's own
        assert header["license_link"] == "LICENSE.md"
        assert header["pipeline_tag"] == "audio-classification"
        (model,) = header["model-index"]
        (result,) = model["results"]
        scores = json.loads((folder / "metrics.json").read_text())["test"]["track"]
        accuracy, f1 = result["metrics"]
        assert (accuracy["type"], accuracy["value"]) == ("accuracy", scores["accuracy"])
        assert f"{scores['accuracy_ci95_low']:.3f} to" in accuracy["name"]
        assert (f1["type"], f1["value"]) == ("f1", scores["macro_f1"])
        assert "unknown: for the user to know" in card
        assert "unknown: for the user to know" in (folder / "LICENSE.md").read_text("utf-8")

    def test_it_is_of_the_run(self, folder, project):
        outputs = (
            "model/model.json",
            "model/weights.safetensors",
            "evaluation/metrics.json",
            "raw/source.json",
        )
        for output in outputs:
            path = project / "data" / output
            assert (folder / path.name).read_bytes() == path.read_bytes()

    def test_its_example_runs_without_encore_and_says_what_the_model_says(
        self, folder, tmp_path, capsys, monkeypatch
    ):
        stereo = np.stack([noise(3 * 22050), noise(3 * 22050, 1)], axis=1)
        monkeypatch.chdir(shutil.copytree(folder, tmp_path / "elsewhere"))
        soundfile.write("song.wav", stereo, 22050)
        _, card = header_and_card(Path())
        (example,) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
        assert "stages" not in example
        exec(example, {})
        *genres, novelty = capsys.readouterr().out.splitlines()
        expected = Predictor(TrainedModel.load(Path())).predict(Path("song.wav"), "song.wav")
        printed = {label: float(value) for value, label in (line.split() for line in genres)}
        assert printed == pytest.approx(expected.probability, abs=6e-4)
        assert float(novelty.split()[1].rstrip(",")) == pytest.approx(expected.novelty, abs=6e-4)

    def test_it_is_no_project_to_make_a_folder_of(self, folder):
        assert "not a card as evaluate writes it" in line_of(lambda: run("again", "--model", str(folder)))
        assert not Path("again").exists()


class TestCommand:
    def test_the_projects_model_gives_the_same_file_as_its_run(self, folder, capsys):
        run("mine.onnx", "--json")
        said = json.loads(capsys.readouterr().out)
        assert said["inputs"] == ["waveform"]
        assert max(said["difference"].values()) < 1e-4
        assert said["music_segments"] == 18
        assert Path(said["written"]).read_bytes() == (folder / "model.onnx").read_bytes()
        assert "mine.onnx: is there already" in line_of(lambda: run("mine.onnx"))

    @pytest.mark.usefixtures("project")
    def test_a_folder_that_is_not_there_is_refused(self):
        assert "there is no folder" in line_of(lambda: run("nowhere/x.onnx"))

    @pytest.mark.usefixtures("project")
    def test_a_card_of_another_training_is_refused(self, tmp_path):
        shutil.copytree("data/model", tmp_path / "model")
        shutil.copytree("data/evaluation", tmp_path / "evaluation")
        card = tmp_path / "evaluation/README.md"
        words = (str(tmp_path / "new"), "--model", str(tmp_path / "model"))
        key = json.loads(Path("data/model/model.json").read_text())["content_key"]
        card.write_text(card.read_text("utf-8").replace(key, "0"), "utf-8")
        assert "not the card of this model" in line_of(lambda: run(*words))
        shutil.rmtree(tmp_path / "evaluation")
        assert "has no model card" in line_of(lambda: run(*words))
        assert sorted(path.name for path in tmp_path.iterdir()) == ["model"]
