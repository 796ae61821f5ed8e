"""GET /map, and the library of all music that a server makes in the background."""

import json
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from filelock import FileLock

from stages.asking.collection import MUSIC, TRACKS
from stages.core.tables import RawTrack, read_rows, write_rows
from stages.core.workspace import work_cache
from stages.inference.embedding import Method
from stages.inference.library import KEPT, Library
from stages.inference.track_index import Index
from stages.serving.library import PreparedLibrary, Status
from stages.serving.music import Music, id_of
from stages.serving.music_map import _content, _notes
from stages.serving.preparing import ANOTHER
from tests.serving import Server, make_project, serving
from tests.synthetic import CLASSES

pytestmark = pytest.mark.slow

MODEL = Path("data/model")
LIBRARIES = Path(".encore/library")
PATIENCE_S = 120.0


@pytest.fixture(scope="module")
def project(module_workspace, fork_server):
    make_project(module_workspace)
    return module_workspace


@pytest.fixture
def unheard(project):
    """No library is there; what was heard stays in the work cache."""
    shutil.rmtree(LIBRARIES, ignore_errors=True)
    return project


def until(what, is_true) -> object:
    """Wait for something; the deadline only ends a test that has failed."""
    deadline = time.monotonic() + PATIENCE_S
    while not is_true(found := what()):
        assert time.monotonic() < deadline, found
        time.sleep(0.05)
    return found


def made_map(server: Server) -> dict:
    return until(lambda: server.get("/map").json, lambda found: found["state"] not in ("running",))


def prepared(model: Path = MODEL) -> Status:
    """Make the library as a server does."""
    library = PreparedLibrary(model, None)
    library.start()
    try:
        return until(lambda: library.status, lambda status: status.state != "running")
    finally:
        library.stop()


@contextmanager
def being_made() -> Iterator[None]:
    """Another process makes the library, as it seems."""
    folder = Library.of(Method.of_model(MODEL, None), TRACKS).folder
    with FileLock(work_cache("locks") / f"library-{folder.name}.lock"):
        yield


def preparing(process: psutil.Process) -> list[psutil.Process]:
    return [child for child in process.children() if "stages.serving.preparing" in child.cmdline()]


def test_every_track_is_a_point_with_its_label_prediction_and_split(unheard):
    with serving(unheard) as server:
        first = server.get("/map").json
        found = made_map(server)
    assert first["state"] in ("running", "ready")
    assert (found["state"], found["line"]) == ("ready", "")
    points, raw = found["points"], sorted(read_rows(TRACKS, RawTrack), key=lambda row: row.track_id)
    assert found["n_tracks"] == found["n_shown"] == len(raw)
    assert points["id"] == [id_of(row.track_id) for row in raw]
    assert points["name"] == [row.path for row in raw]
    assert points["label"] == [row.label for row in raw]
    music = Music(None)
    assert points["split"] == [music.tracks[id_].split for id_ in points["id"]]
    assert {"train", "test"} <= set(points["split"])
    assert set(points["predicted"]) <= set(CLASSES)
    differs = [a != b for a, b in zip(points["label"], points["predicted"], strict=True)]
    assert points["is_wrong"] == differs
    assert all(-1 <= value <= 1 for axis in "xy" for value in points[axis])


def test_the_index_is_the_one_that_similar_asks(unheard):
    assert prepared() == Status("ready")
    library = Library.of(Method.of_model(MODEL, None), TRACKS)
    index = Index(library.index)
    rows = [index.track(row) for row in range(index.n_tracks)]
    index.close()
    assert [row.path for row in rows] == [point.path for point in library.points()]
    assert Method.of_document(index.about["method"]).is_like(Method.of_model(MODEL, None))


def test_the_same_model_has_the_same_bytes_and_is_heard_once(unheard):
    prepared()
    (made,) = LIBRARIES.iterdir()
    before = (made / "map.csv").read_bytes()
    entries = Path(".encore/entries")
    shutil.rmtree(LIBRARIES)
    shutil.rmtree(entries)  # so that all of it is computed again
    prepared()
    assert (LIBRARIES / made.name / "map.csv").read_bytes() == before
    library = PreparedLibrary(MODEL, None)
    library.start()
    assert library.status == Status("ready")  # at once, without a process


def test_it_is_made_again_if_the_work_cache_is_deleted(unheard):
    library = PreparedLibrary(MODEL, None)
    library.start()
    until(lambda: library.status, lambda status: status.state != "running")
    made = library.library.folder
    shutil.rmtree(LIBRARIES)
    assert library.status.state == "running"
    until(lambda: library.status, lambda status: status.state != "running")
    library.stop()
    assert library.library.folder == made
    assert made.is_dir()


def test_other_music_than_at_the_start_needs_another_server(unheard):
    library = PreparedLibrary(MODEL, None)
    content = TRACKS.read_bytes()
    TRACKS.chmod(0o644)
    try:
        write_rows(TRACKS, read_rows(TRACKS, RawTrack)[1:], RawTrack)
        library.start()
        until(lambda: library.status, lambda status: status.state != "running")
    finally:
        TRACKS.write_bytes(content)
    library.stop()
    assert library.status.state == "failed"
    assert library.status.line.endswith("start it again")
    assert not LIBRARIES.exists() or not list(LIBRARIES.iterdir())


def test_another_label_moves_no_point(unheard):
    prepared()
    rows = read_rows(TRACKS, RawTrack)
    text = TRACKS.read_bytes()
    first = min(rows, key=lambda row: row.track_id)
    try:
        changed = [
            RawTrack(**{**vars(row), "label": ""}) if row.track_id == first.track_id else row for row in rows
        ]
        TRACKS.chmod(0o644)
        write_rows(TRACKS, changed, RawTrack)
        assert prepared() == Status("ready")
        library = Library.of(Method.of_model(MODEL, None), TRACKS)
        content = json.loads(_content(library, CLASSES, Music(None)))["points"]
    finally:
        TRACKS.write_bytes(text)
    before = Library.of(Method.of_model(MODEL, None), TRACKS).points()
    assert content["label"][0] == ""
    assert not content["is_wrong"][0]  # nobody knows
    assert content["x"] == [point.x for point in before]


def test_a_label_that_the_model_does_not_know_is_not_wrong(unheard):
    prepared()
    library = Library.of(Method.of_model(MODEL, None), TRACKS)
    content = json.loads(_content(library, CLASSES[1:], Music(None)))["points"]
    of_first = [
        wrong
        for label, wrong in zip(content["label"], content["is_wrong"], strict=True)
        if label == CLASSES[0]
    ]
    assert of_first
    assert not any(of_first)


def test_music_that_cannot_be_heard_is_counted_and_named(unheard):
    broken = MUSIC / read_rows(TRACKS, RawTrack)[0].path
    moved = broken.with_suffix(".away")
    broken.rename(moved)
    try:
        with serving(unheard) as server:
            found = made_map(server)
    finally:
        moved.rename(broken)
    assert found["n_tracks"] == len(read_rows(TRACKS, RawTrack)) - 1
    assert found["line"].startswith(f"1 track could not be heard: {broken.relative_to(MUSIC)}")
    assert "\n" not in found["line"]


def test_a_sample_is_said_to_be_one():
    assert _notes(106_574, 20_000, []) == ["20,000 of 106,574 tracks are shown, chosen by chance."]


def test_a_failure_is_a_line(unheard):
    music = MUSIC.with_name("away")
    MUSIC.rename(music)
    try:
        with serving(unheard) as server:
            found = made_map(server)
            assert server.get("/about").status == 200
    finally:
        music.rename(MUSIC)
    assert found["state"] == "failed"
    assert found["line"].startswith("The music cannot be heard: none of the files can be used")
    assert list(LIBRARIES.iterdir()) == []


def test_a_process_that_dies_is_a_line(unheard):
    library = PreparedLibrary(MODEL, None)
    with being_made():
        library.start()
        (child,) = preparing(psutil.Process())
        child.kill()
        status = until(lambda: library.status, lambda status: status.state != "running")
    library.stop()
    assert status.state == "failed"
    assert status.line.endswith("was killed (SIGKILL)")


def test_without_music_there_is_none(project, tmp_path, monkeypatch):
    model = MODEL.absolute()
    monkeypatch.chdir(tmp_path)
    assert prepared(model).state == "none"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_what_a_server_begins_ends_with_it(unheard, number):
    with being_made(), serving(unheard) as server:
        until(lambda: server.get("/map").json["line"], lambda line: line.endswith(ANOTHER))
        (child,) = preparing(psutil.Process(server.process.pid))
        server.process.send_signal(number)
        server.process.wait(30)
        _, alive = psutil.wait_procs([child], timeout=30)
        assert not alive


def test_what_is_half_made_is_removed(unheard):
    shutil.rmtree(".encore/entries")  # so that it takes a while
    library = PreparedLibrary(MODEL, None)
    library.start()
    until(lambda: library.status.line, lambda line: " of " in line)
    library.stop()
    # on a fast machine it may have been whole already
    assert all((folder / "map.csv").is_file() for folder in LIBRARIES.iterdir())
    assert preparing(psutil.Process()) == []


def test_two_servers_make_it_once(unheard):
    with serving(unheard) as one, serving(unheard) as other:
        maps = [made_map(server)["points"] for server in (one, other)]
    assert maps[0] == maps[1]
    assert len(list(LIBRARIES.iterdir())) == 1


def test_the_longest_unused_are_deleted(unheard):
    LIBRARIES.mkdir(parents=True)
    for number in range(KEPT + 2):
        (LIBRARIES / f"{number}").mkdir()
    prepared()
    made = Library.of(Method.of_model(MODEL, None), TRACKS)
    left = {path.name for path in LIBRARIES.iterdir()}
    assert len(left) == KEPT
    assert made.folder.name in left
