"""`encore serve`: the command and what it answers."""

import csv
import io
import json
import resource
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
import soundfile

from tests.asking import asked
from tests.serving import make_project, serving
from tests.synthetic import CLASSES, RATE_HZ, REPO

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
    assert about["limits"]["least_seconds_of_music"] == 1


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


@pytest.mark.parametrize(("table", "line"), [("predictions.csv", "a"), ("novelty.csv", "track_id,b\nc,d")])
def test_a_damaged_evaluation_is_named(music, module_workspace, table, line):
    path = module_workspace / "data/evaluation" / table
    content = path.read_bytes()
    path.unlink()
    path.write_text(f"{line}\n{line}\n")
    try:
        done = start(module_workspace, "--port", "0")
    finally:
        path.write_bytes(content)
    assert done.returncode == 1
    assert f"data/evaluation/{table}: " in done.stderr
    assert "is damaged; delete the file, and run `dvc repro`" in done.stderr
    assert "Traceback" not in done.stderr


def test_no_model(tmp_path):
    done = start(tmp_path, "--port", "0")
    assert done.returncode == 1
    assert "has no model.json; `make repro` trains one" in done.stderr


def test_tracks_are_those_of_the_evaluation_the_most_confidently_wrong_first(server):
    with Path("data/evaluation/predictions.csv").open() as file:
        wanted = {row["track_id"]: row for row in csv.DictReader(file)}
    answer = server.get("/tracks?split=test").json
    assert answer["total"] == len(wanted)
    for track in answer["tracks"]:
        row = wanted[track["track_id"]]
        assert (track["label"], track["predicted"]) == (row["label"], row["predicted"])
        assert track["is_wrong"] == (row["label"] != row["predicted"])
        assert track["probabilities"] == {label: float(row[label]) for label in CLASSES}
    keys = [(not t["is_wrong"], t["probability"] * (-1 if t["is_wrong"] else 1)) for t in answer["tracks"]]
    assert keys == sorted(keys)
    everything = server.get("/tracks").json
    assert everything["total"] == 6 * len(CLASSES)
    assert server.get("/tracks?text=None").json["total"] == 0  # what has no prediction is not called so
    some = server.get(f"/tracks?label={CLASSES[0]}&text=00.WAV&limit=5").json
    assert [track["name"] for track in some["tracks"]] == [f"{CLASSES[0]}/00.wav"]


@pytest.mark.parametrize("slip", ["split=tset", "lable=jazz", "order=name", "limit=0", "verdict=wrong"])
def test_a_slip_in_a_question_for_tracks_is_refused(server, slip):
    answer = server.get(f"/tracks?{slip}")
    assert answer.status == 422
    assert answer.json["error"].startswith(slip.partition("=")[0])


def test_a_track_is_played_whole_or_in_part(server, music):
    track = server.get("/tracks?limit=1").json["tracks"][0]
    content = (music / track["name"]).read_bytes()
    whole = server.get(track["audio"])
    assert (whole.status, whole.headers["content-type"], whole.body) == (200, "audio/wav", content)
    part = server.get(track["audio"], range="bytes=100-199")
    assert (part.status, part.body) == (206, content[100:200])
    assert part.headers["content-range"] == f"bytes 100-199/{len(content)}"
    assert server.get(track["audio"], range=f"bytes={len(content)}-").status == 416


def test_a_track_over_time_is_that_of_its_file(server, music):
    track = server.get("/tracks?limit=1").json["tracks"][0]
    sent = server.ask("POST", "/predict?over_time=true", (music / track["name"]).read_bytes()).json
    assert server.get(f"/tracks/{track['id']}/over-time").json == sent["over_time"]


def limit_files(server, size):
    """Have the server's processes write no larger files, as on a full disk."""
    for process in psutil.Process(server.process.pid).children(recursive=True):
        process.rlimit(psutil.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def test_what_a_browser_cannot_play_is_made_into_a_wav(music, module_workspace):
    """An AIFF in the place of a WAV: its type is found from its content."""
    path = Path("data/raw/music") / CLASSES[0] / "00.wav"
    content = path.read_bytes()
    samples, rate_hz = soundfile.read(path)
    path.unlink()
    soundfile.write(path, samples, rate_hz, format="AIFF")
    try:
        with serving(module_workspace) as other:
            (track,) = other.get(f"/tracks?text={CLASSES[0]}/00.wav").json["tracks"]
            limit_files(other, 1000)
            full = other.get(track["audio"])
            assert (full.status, full.json) == (507, {"error": "the WAV cannot be kept: File too large"})
            limit_files(other, resource.RLIM_INFINITY)
            played = other.get(track["audio"], range="bytes=0-")
            assert (played.status, played.headers["content-type"]) == (206, "audio/wav")
            heard, heard_hz = soundfile.read(io.BytesIO(played.body))
            assert heard_hz == RATE_HZ
            assert np.abs(heard - samples).max() < 1e-3
    finally:
        path.unlink()
        path.write_bytes(content)


def test_unknown_tracks(server):
    for address in ("/tracks/0000000000000000/audio", "/tracks/x/over-time"):
        assert server.get(address).status == 404
        assert server.get(address).json == {"error": "there is no such track; GET /tracks lists all"}


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/no", 404), ("PUT", "/tracks", 405)])
def test_every_error_is_one_line_of_json(server, method, path, status):
    answer = server.ask(method, path)
    assert answer.status == status
    assert "\n" not in answer.json["error"]


OTHERS = {
    "data/model/model.json": "an epoch more",
    "data/evaluation/metrics.json": None,
    "data/evaluation/predictions.csv": "other predictions",
    "data/raw/tracks.csv": "other labels",
    "data/split/split.csv": None,
}


@pytest.mark.parametrize(("name", "content"), OTHERS.items(), ids=str)
def test_what_is_made_anew_is_not_mixed_with_what_it_has_read(server, music, module_workspace, name, content):
    """As while `dvc repro` runs: outputs go, and others come."""
    path = module_workspace / name
    before = path.read_bytes()
    track = server.get("/tracks?limit=1").json["tracks"][0]
    song = (music / CLASSES[0] / "00.wav").read_bytes()

    def asked_of_the_model():
        verdict = server.ask(
            "POST", f"{track['audio'].removesuffix('audio')}verdict", {"verdict": "ambiguous"}
        )
        return [
            verdict,
            server.ask("POST", "/predict", song),
            server.get(track["audio"].replace("audio", "over-time")),
        ]

    about = server.get("/about").json
    assert about["stale"] == ""
    path.unlink()
    if content is not None:
        path.write_text(content)
    line = f"{name}: not what this server was started with; end it, and start `encore serve` again"
    assert server.get("/about").json == {**about, "stale": line}
    for answer in asked_of_the_model():
        assert (answer.status, answer.json) == (409, {"error": line})
    assert not (module_workspace / "data/verdicts/me.csv").exists()
    for other in ("/tracks", "/verdicts", "/map", track["audio"]):
        assert server.get(other).status == 200

    path.unlink(missing_ok=True)
    path.write_bytes(before)  # the same again
    assert server.get("/about").json == about
    assert [answer.status for answer in asked_of_the_model()] == [200] * 3
    (module_workspace / "data/verdicts/me.csv").unlink()
