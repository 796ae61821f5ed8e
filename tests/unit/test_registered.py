"""The registered model takes audio: in Python, over HTTP, and where nothing of the project is."""

import ast
import base64
import csv
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from importlib.metadata import Distribution, packages_distributions
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch

from stages import baseline, decode, evaluate, extract, fetch, register, segment, split, train
from stages.core.errors import EncoreError
from stages.core.params import check
from stages.entry.registry import check_params
from stages.features.params import FeaturesParams, build
from stages.inference.audio_model import METRICS, columns, threshold
from stages.inference.prediction import Predictor, predict
from stages.tracking.finished import Store
from stages.tracking.logged_models import log_audio_model
from stages.tracking.process import connect
from stages.tracking.registering import register as register_run
from stages.training.description import ModelInput
from stages.training.trained import TrainedModel
from stages.training.trained import build as build_model
from tests import synthetic
from tests.asking import asked
from tests.synthetic import CLASSES, RATE_HZ, REPO, edit_params, line_of, noise, write_music, write_params

pytestmark = pytest.mark.slow

COLUMNS = ["genre", "novelty", "is_new", *CLASSES]


@pytest.fixture(scope="module")
def project(module_workspace):
    """A little music, a model of it, and its run, which evaluate has registered."""
    music = write_music(module_workspace / "music")
    write_params("dataset=folder", f"dataset.path={music}", "train.epochs=2")
    edit_params("runtime", tracking="on")
    edit_params("tracking", register="genres")
    for stage in (fetch, decode, segment, split, extract, baseline, train, evaluate):
        stage.main()
    return module_workspace


def client():
    return connect()[0]


def versions(name: str) -> list[Any]:
    return list(client().search_model_versions(f"name = '{name}'"))


@pytest.fixture(scope="module")
def folder(project) -> Path:
    """The files of the registered model."""
    (version,) = versions("genres")
    return Path(client().get_model_version_download_uri("genres", version.version).removeprefix("file://"))


@pytest.fixture(scope="module")
def model(folder):
    from mlflow.pyfunc import load_model

    return load_model(str(folder))


@pytest.fixture(scope="module")
def tracks(project) -> dict[str, dict[str, str]]:
    """The rows of novelty.csv: tracks of test."""
    with (project / "data/evaluation/novelty.csv").open(newline="") as file:
        return {row["track_id"]: row for row in csv.DictReader(file)}


def content(samples: np.ndarray, kind: str = "WAV") -> bytes:
    file = BytesIO()
    soundfile.write(file, samples, RATE_HZ, format=kind)
    return file.getvalue()


def table(*contents: object) -> pd.DataFrame:
    return pd.DataFrame({"audio": list(contents)})


class TestAnswer:
    """What it makes of the content of files."""

    def test_each_file_has_a_row_that_says_what_the_evaluation_says(self, model, tracks):
        music = [Path("data/raw/music", name) for name in tracks]
        answer = model.predict(table(*(path.read_bytes() for path in music)))
        assert [*answer.columns] == COLUMNS
        assert answer["genre"].tolist() == [row["nearest"] for row in tracks.values()]
        assert answer["novelty"].tolist() == pytest.approx(
            [float(row["novelty"]) for row in tracks.values()], abs=1e-6
        )
        assert ["yes" if new else "no" for new in answer["is_new"]] == [
            row["is_new"] for row in tracks.values()
        ]
        for path, row in zip(music, answer.to_dict("records"), strict=True):
            assert {label: row[label] for label in CLASSES} == pytest.approx(predict(path))

    def test_encore_predict_asks_a_run_by_name_and_by_id(self, project, tracks, monkeypatch, capsys):
        (run,) = Store().runs
        paths = [f"data/raw/music/{name}" for name in tracks]
        for name in (run.name, run.run_id):
            answer = json.loads(asked(monkeypatch, capsys, "predict", "--run", name, "--json", *paths))
            assert [file["genre"] for file in answer["files"]] == [row["nearest"] for row in tracks.values()]
            assert answer["threshold"] == threshold(Path("data/evaluation/metrics.json"))
            assert run.run_id in answer["model"]

    @pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG"])
    def test_the_content_tells_the_format(self, model, kind, tmp_path):
        sound = content(noise(3 * RATE_HZ), kind)
        (tmp_path / f"sound.{kind.lower()}").write_bytes(sound)
        (row,) = model.predict(table(sound))[[*CLASSES]].to_dict("records")
        assert row == pytest.approx(predict(tmp_path / f"sound.{kind.lower()}"))

    @pytest.mark.parametrize(
        ("wrong", "line"),
        [
            (b"noise", "row 1 cannot be decoded: it is no music that is known here"),
            (content(noise(3 * RATE_HZ), "FLAC")[:600], "row 1 "),
            (b"", "row 1 is an empty file; get it again"),
            (content(noise(RATE_HZ // 2)), "row 1 lasts 0.5 s, less than a segment of 1 s"),
            (content(np.zeros(2 * RATE_HZ)), "row 1 is silent"),
            (None, "row 1 is NoneType, should be the content of an audio file"),
        ],
    )
    def test_a_file_that_cannot_be_used_is_named_in_one_line(self, folder, wrong, line):
        from mlflow.exceptions import MlflowException

        from stages.inference.audio_model import AudioModel

        good = content(noise(3 * RATE_HZ))
        with pytest.raises(MlflowException) as refused:
            AudioModel(folder / "data/audio_model").predict(table(good, wrong, good))
        assert str(refused.value).startswith(line)
        assert "\n" not in str(refused.value)
        assert refused.value.get_http_status_code() == 400

    def test_midi_without_its_player_is_named(self, model, monkeypatch):
        monkeypatch.setitem(sys.modules, "tinysoundfont", None)
        monkeypatch.setitem(sys.modules, "tinysoundfont.midi", None)
        for name in [name for name in sys.modules if name in ("stages.audio.midi", "stages.audio.render")]:
            monkeypatch.delitem(sys.modules, name)
        midi = b"MThd\0\0\0\6\0\0\0\1\0\x60MTrk\0\0\0\x0c\0\x90\x3c\x40\x60\x80\x3c\x40\0\xff\x2f\0"
        with pytest.raises(Exception, match=r"row 0 takes the package tinysoundfont.*, which is missing"):
            model.predict(table(midi))


ELSEWHERE = """
import json, sys
from pathlib import Path
sys.path = [sys.argv[1] + "/code", *(place for place in sys.path if place != sys.argv[3])]
import pandas
from stages.inference.audio_model import _load_pyfunc
model = _load_pyfunc(sys.argv[1] + "/data/audio_model")
answer = model.predict(pandas.DataFrame({"audio": [Path(sys.argv[2]).read_bytes()]}))
loaded = {name: getattr(module, "__file__", None) for name, module in sys.modules.items()}
print(json.dumps([answer.to_dict("records"), loaded]))
"""


@pytest.fixture(scope="module")
def loaded(folder, tracks, tmp_path_factory) -> tuple[dict[str, Any], dict[str, str | None]]:
    """What it answers elsewhere, and all modules that it has loaded, in a folder that stays empty."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    music = Path("data/raw/music", next(iter(tracks))).resolve()
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, str(folder), str(music), str(REPO)],
        cwd=elsewhere,
        env={"PATH": os.environ["PATH"], "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert not list(elsewhere.iterdir())
    (answer,), modules = json.loads(done.stdout)
    return answer, modules


class TestElsewhere:
    """On a machine that has the model's folder and the packages that it asks for."""

    def pinned(self, folder: Path) -> dict[str, str]:
        lines = (folder / "requirements.txt").read_text().splitlines()
        return dict(line.split("==") for line in lines)

    def test_its_own_code_answers_the_same(self, loaded, folder, tracks):
        answer, modules = loaded
        assert answer["novelty"] == pytest.approx(float(next(iter(tracks.values()))["novelty"]), abs=1e-6)
        own = {path for name, path in modules.items() if name.partition(".")[0] in ("stages", "models")}
        assert all(str(path).startswith(str(folder)) for path in own)

    def test_what_it_imports_is_pinned(self, loaded, folder):
        """Those packages that its own code names, and that were loaded."""
        named = set()
        for name, path in loaded[1].items():
            if name.partition(".")[0] in ("stages", "models") and path:
                for node in ast.walk(ast.parse(Path(path).read_text("utf-8"))):
                    if isinstance(node, ast.Import):
                        named |= {alias.name for alias in node.names}
                    elif isinstance(node, ast.ImportFrom):
                        named.add(node.module)
        used = {name.partition(".")[0] for name in named & loaded[1].keys()} - {"stages", "models"}
        used -= set(sys.stdlib_module_names)
        plain = {re.sub(r"[-_.]+", "-", name) for name in self.pinned(folder)}
        of_module = packages_distributions()
        missing = {
            name
            for name in used
            if not {re.sub(r"[-_.]+", "-", found).lower() for found in of_module[name]} & plain
        }
        assert {"torch", "soundfile", "scipy"} <= used
        assert not missing

    def test_the_pins_are_those_of_the_lock(self, folder):
        lock = (REPO / "requirements.lock").read_text().splitlines()
        lock += re.findall(r"^TORCH := (.*)", (REPO / "Makefile").read_text(), re.MULTILINE)
        locked = {line.partition(";")[0].strip() for line in lock}
        pins = {f"{name.replace('.', '-')}=={found}" for name, found in self.pinned(folder).items()}
        assert pins <= locked
        assert "torch==2.13.0" in pins


def answered(address: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    asked = urllib.request.Request(
        f"{address}/invocations", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(asked, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


@pytest.fixture(scope="module")
def address(project, tmp_path_factory) -> Iterator[str]:
    """What `mlflow models serve` serves, far from the project."""
    elsewhere = tmp_path_factory.mktemp("server")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    serve = f"models serve --env-manager local --port {port} --model-uri models:/genres/1"
    server = subprocess.Popen(
        [Path(sys.executable).parent / "mlflow", *serve.split()],
        cwd=elsewhere,
        env={
            "PATH": os.environ["PATH"],
            "MLFLOW_TRACKING_URI": f"sqlite:///{project}/mlflow.db",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "OMP_NUM_THREADS": "1",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        for _ in range(240):
            assert server.poll() is None, server.stdout.read()
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/ping", timeout=1)
                break
            except OSError:
                time.sleep(0.25)
        yield f"http://127.0.0.1:{port}"
        assert not list(elsewhere.iterdir())
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(timeout=20)


def request(*contents: bytes) -> dict[str, Any]:
    data = [[base64.b64encode(one).decode()] for one in contents]
    return {"dataframe_split": {"columns": ["audio"], "data": data}}


class TestServed:
    """`mlflow models serve`, over HTTP."""

    def test_wav_files_are_answered_with_their_genres(self, address, tracks):
        music = [Path("data/raw/music", name) for name in tracks][:2]
        status, answer = answered(address, request(*(path.read_bytes() for path in music)))
        assert status == 200
        for path, row in zip(music, answer["predictions"], strict=True):
            assert [*row] == COLUMNS
            assert {label: row[label] for label in CLASSES} == pytest.approx(predict(path), abs=1e-6)
            about = tracks[path.relative_to("data/raw/music").as_posix()]
            assert row["novelty"] == pytest.approx(float(about["novelty"]), abs=1e-6)
            assert row["genre"] == about["nearest"]

    def test_a_damaged_file_is_answered_with_what_is_wrong(self, address):
        status, answer = answered(address, request(content(noise(3 * RATE_HZ)), b"noise"))
        assert status == 400
        assert "Error: row 1 cannot be decoded: it is no music that is known here" in answer["message"]
        assert "stack_trace" not in answer


class TestRegister:
    """`tracking.register` and `encore register`."""

    def asked(self, monkeypatch, *words: str) -> None:
        monkeypatch.setattr(sys, "argv", ["register", *words])
        register.main()

    def test_evaluate_registers_the_run_that_it_completes(self, project):
        found, experiment_id = connect()
        (run,) = found.search_runs([experiment_id], "tags.content_key != ''")
        (version,) = versions("genres")
        assert (int(version.version), version.run_id) == (1, run.info.run_id)
        assert run.info.status == "FINISHED"
        assert "tracking.register" not in run.data.params

    def test_the_same_run_is_registered_once_under_a_name(self, project, monkeypatch, capsys):
        before = client().get_run(versions("genres")[0].run_id).info.end_time
        self.asked(monkeypatch, "genres", "dataset=folder")
        self.asked(monkeypatch, "others", "model=MLP")
        self.asked(monkeypatch, "two words")
        again, other, quoted = capsys.readouterr().out.splitlines()
        assert quoted.endswith("--model-uri 'models:/two words/1'")
        assert again.startswith("genres version 1 is already mlp · folder · seed 0 (run ")
        assert other.startswith("others version 1 is mlp · folder · seed 0 (run ")
        serve = "mlflow models serve --env-manager local --port 5001 --model-uri models:/others/1"
        assert other.endswith(f"to serve it: MLFLOW_TRACKING_URI=sqlite:///{project}/mlflow.db {serve}")
        assert len(versions("genres")) == len(versions("others")) == 1
        assert versions("genres")[0].source == versions("others")[0].source, "one model of audio"
        assert client().get_run(versions("others")[0].run_id).info.end_time == before

    def test_a_run_without_a_model_of_audio_gets_one(self, project, monkeypatch, capsys, folder):
        (logged,) = client().search_logged_models(["1"], "name = 'audio_model'")
        client().delete_logged_model(logged.model_id)
        killed = client().create_logged_model("1", "audio_model", logged.source_run_id)
        self.asked(monkeypatch, "anew")
        client().delete_logged_model(killed.model_id)
        (new,) = client().search_logged_models(["1"], "name = 'audio_model'")
        assert new.model_id not in (logged.model_id, killed.model_id)
        assert versions("anew")[0].source == f"models:/{new.model_id}"
        place = Path(new.artifact_location.removeprefix("file://"))
        for name in ("model.json", "weights.safetensors", METRICS):
            made = (place / "data/audio_model" / name).read_bytes()
            assert made == (folder / "data/audio_model" / name).read_bytes()

    @pytest.fixture
    def other(self, project) -> Iterator[str]:
        """A finished run that has lost its artifacts, of a higher accuracy."""
        found, experiment_id = connect()
        run = found.create_run(experiment_id, tags={"content_key": "f00", "dataset": "folder"}, run_name="x")
        found.log_metric(run.info.run_id, "valid/accuracy", 1.5)
        found.set_terminated(run.info.run_id, "FINISHED")
        yield run.info.run_id
        found.delete_run(run.info.run_id)

    def test_the_best_on_validation_is_taken(self, other, monkeypatch, capsys):
        monkeypatch.setattr(sys, "argv", ["register", "best"])
        assert line_of(register.main).startswith(f"run x ({other}) has lost its model or its results")
        client().log_metric(other, "valid/accuracy", -1.0)
        client().log_metric(other, "test/accuracy", 1.5)
        register.main()
        assert "best version 1 is mlp · folder" in capsys.readouterr().out

    def test_runs_of_several_datasets_are_not_compared(self, other, monkeypatch):
        client().set_tag(other, "dataset", "gtzan")
        monkeypatch.setattr(sys, "argv", ["register", "best"])
        line = "runs of folder and gtzan cannot be compared; choose one, such as dataset=folder"
        assert line_of(register.main) == line

    @pytest.mark.parametrize(
        ("words", "line"),
        [
            ([], "no name is given; encore register NAME KEY=VALUE, such as genres model=CNN"),
            (["a/b"], "'a/b' should be a name of letters, digits, spaces, '.', '_' and '-', such as genres"),
            (["model=MLP"], "'model=MLP' should be a name of letters"),
            (["genres", "model=MPL"], "model=MPL: no such run; there are MLP"),
        ],
    )
    def test_wrong_words_are_named(self, project, monkeypatch, words, line):
        monkeypatch.setattr(sys, "argv", ["register", *words])
        assert line_of(register.main).startswith(line)

    def test_what_mlflow_refuses_is_said_in_one_line(self, project):
        connect()
        line = line_of(lambda: register_run("genres", "0" * 32))
        assert line.startswith(f"MLflow does not register run {'0' * 32}: ")

    def test_a_run_that_cannot_be_registered_is_complete_all_the_same(self, project, capfd, monkeypatch):
        """The line of evaluate says how to do it later."""
        monkeypatch.setenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")  # as its process has it
        (version,) = versions("genres")
        (logged,) = client().search_logged_models(["1"], "name = 'audio_model'")
        client().delete_logged_model(logged.model_id)
        metrics = Path("data/evaluation/metrics.json")
        before = metrics.read_bytes()
        scores = client().get_run(version.run_id).data.metrics
        edit_params("tracking", register="once more")
        try:
            from stages.tracking.process import Tracker

            metrics.write_text("{}")
            Tracker().complete(scores, "data/evaluation", "data/pictures", "data/model", "once more")
        finally:
            metrics.write_bytes(before)
            edit_params("tracking", register="genres")
        key = client().get_run(version.run_id).data.tags["content_key"]
        assert capfd.readouterr().err == (
            "warning: the run is not registered as once more: metrics.json has no open_set.threshold; "
            "evaluate the model again; mend that, then `encore register 'once more' "
            f"content_key={key}`\n"
        )
        assert client().get_run(version.run_id).info.status == "FINISHED"


class TestParams:
    """The section of params.yaml."""

    @pytest.fixture(autouse=True)
    def _params(self, workspace):
        write_params()

    @pytest.mark.parametrize("name", ["", " ", "a/b", "models:x", "..", "a?b", "a@b"])
    def test_a_name_that_mlflow_cannot_address_is_refused(self, name):
        edit_params("tracking", register=name)
        assert line_of(check_params).startswith(
            f"params.yaml: tracking.register is {name!r}, should be a name"
        )

    def test_a_run_that_is_not_tracked_cannot_be_registered(self):
        edit_params("tracking", register="genres")
        assert "without runtime.tracking=on there is no run to register" in line_of(check_params)
        edit_params("runtime", tracking="on")
        check_params()


def test_a_class_with_the_name_of_a_column_is_refused():
    with pytest.raises(EncoreError, match="the class 'novelty' has the name of a column"):
        columns(["jazz", "novelty"])


def test_an_evaluation_without_a_threshold_is_named(tmp_path):
    (tmp_path / METRICS).write_text("{}")
    assert line_of(lambda: threshold(tmp_path / METRICS)).startswith("metrics.json has no open_set.threshold")


class Encoder(torch.nn.Module):
    """A tiny network of waveforms, with one embedding of a segment."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Conv1d(1, 5, 400, 160)

    def forward(self, waveform: torch.Tensor) -> torch.Tensor:
        """Return (n, values) for (n, samples)."""
        return self.layer(waveform.unsqueeze(1)).tanh().mean(dim=2)


class TestNetworks:
    """Features that are trained networks come with the model: pip could not install them."""

    @pytest.fixture
    def trained(self, tmp_path) -> TrainedModel:
        """An untrained model on musicnn and an encoder; its files are in the folder `model`."""
        torch.manual_seed(0)
        onnx = tmp_path / "mine.onnx"
        torch.onnx.export(Encoder().eval(), (torch.zeros(1, 48_000),), onnx, dynamo=True, external_data=False)
        section = {**synthetic.composed_sections()["features"], "include": ["musicnn", "encoder", "chroma"]}
        section["encoder"] = {**section["encoder"], "path": str(onnx)}
        section["chroma"] = {**section["chroma"], "tuning": "estimate"}
        params = check(section, FeaturesParams, "features")
        made = {name: one.stored_settings() for name, one in build(params, 16_000, 48_000).items()}
        about = ModelInput(
            feature=[*made],
            settings=json.loads(json.dumps(made)),
            sample_rate_hz=16_000,
            segment_length=48_000,
            variants=[],
            audio_sha256="0" * 64,
            made_with="numpy",
        )
        shape = {"input_shape": (753 + 5 + 2 * 12, 1), "n_classes": 3, "l2": 0.0}
        description = synthetic.description(model="Linear", kwargs=shape, input=about)
        TrainedModel(description, build_model(description)).save(tmp_path)
        (tmp_path / METRICS).write_text('{"open_set": {"threshold": 0.5}}')
        return TrainedModel.load(tmp_path)

    def test_they_are_in_its_folder(self, project, trained, tmp_path):
        from mlflow.pyfunc import load_model

        from stages.features.musicnn_network import FOLDER, SHA256

        sound = tmp_path / "sound.wav"
        sound.write_bytes(content(noise(4 * RATE_HZ)))
        expected = Predictor(trained).predict(sound, "sound")
        found, experiment_id = connect()
        run_id = found.create_run(experiment_id).info.run_id
        model_id = log_audio_model(run_id, tmp_path, tmp_path / METRICS)
        (tmp_path / "mine.onnx").unlink()
        place = Path(found.get_logged_model(model_id).artifact_location.removeprefix("file://"))
        (row,) = load_model(str(place)).predict(table(sound.read_bytes())).to_dict("records")
        assert {label: row[label] for label in CLASSES} == pytest.approx(expected.probability)
        (package,) = Distribution.discover(name="musicnn", path=[str(place / "code")])
        assert all(Path(package.locate_file(FOLDER / name)).is_file() for name in SHA256)
        assert (place / "code/musicnn-0.1.0.dist-info/LICENSE.md").is_file()
        pins = (place / "requirements.txt").read_text()
        assert "onnxruntime==" in pins
        assert "librosa==" in pins
        assert "musicnn" not in pins
        assert "features.encoder.path: " in line_of(
            lambda: log_audio_model(run_id, tmp_path, tmp_path / METRICS)
        )
