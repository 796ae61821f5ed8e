"""`encore serve`: the command and what it answers."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.asking import asked
from tests.serving import make_project, serving
from tests.synthetic import CLASSES, REPO

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def music(module_workspace):
    return make_project(module_workspace)


@pytest.fixture(scope="module")
def server(music, module_workspace):
    with serving(module_workspace) as started:
        yield started


def test_a_file_that_is_sent_gets_the_answer_of_the_command(server, music, monkeypatch, capsys):
    path = music / CLASSES[0] / "00.wav"
    wanted = json.loads(asked(monkeypatch, capsys, "predict", str(path), "--json"))["files"][0]
    answer = server.ask("POST", "/predict?name=song.wav&over_time=true", path.read_bytes())
    assert answer.status == 200
    assert answer.json["name"] == "song.wav"
    for key in ("genre", "second", "is_new", "seconds"):
        assert answer.json[key] == wanted[key]
    assert answer.json["probabilities"] == pytest.approx(wanted["probabilities"], abs=1e-6)
    by_second = answer.json["over_time"]
    assert len(by_second["probability"]) == len(by_second["novelty"]) == 3
    picture = by_second["picture"]
    assert len(picture["low"]) == len(picture["high"]) == picture["n_columns"]


def test_nothing_that_is_sent_stays(server, music, module_workspace):
    place = module_workspace / ".encore/uploads"
    server.ask("POST", "/predict", (music / CLASSES[0] / "00.wav").read_bytes())
    server.ask("POST", "/predict", b"no music")
    assert [path for path in place.rglob("*") if path.is_file()] == []
    with serving(module_workspace) as other:
        (left,) = place.glob(f"{other.process.pid}-*")
        (left / "upload").touch()
        other.kill()
        assert left.exists()
    with serving(module_workspace):
        assert not left.exists()


def test_what_it_is(server):
    about = server.get("/about").json
    assert about["model"]["labels"] == [*CLASSES]
    assert about["model"]["threshold"] > 0
    assert about["reviewer"] == "me"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_its_processes_end_with_it(music, module_workspace, number):
    with serving(module_workspace) as server:
        server.ask("POST", "/predict", (music / CLASSES[0] / "00.wav").read_bytes())
        own = psutil.Process(server.process.pid)
        below = own.children(recursive=True)
        assert below
        server.process.send_signal(number)
        server.process.wait(20)
        _, alive = psutil.wait_procs(below, timeout=20)
        assert not alive


def start(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "stages.serve", *words],
        cwd=folder,
        env={"PYTHONPATH": str(REPO), "PATH": "/usr/bin:/bin", "HOME": str(folder)},
        capture_output=True,
        text=True,
    )


def test_a_port_in_use_is_named(server, module_workspace):
    done = start(module_workspace, "--port", str(server.port))
    assert done.returncode == 1
    assert done.stderr == (
        f"error: port {server.port}: Address already in use; give another one, such as --port "
        f"{server.port + 1}\n"
    )


def test_no_model(tmp_path):
    done = start(tmp_path, "--port", "0")
    assert done.returncode == 1
    assert "has no model.json; `make repro` trains one" in done.stderr
