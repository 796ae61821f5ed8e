"""Verdicts by the API of a real server: what is answered is on the disk, and what is refused is not."""

import csv
import hashlib
import re
import resource
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from stages import serve
from stages.core.errors import EncoreError
from stages.core.tables import RawTrack, read_rows, write_rows
from stages.correcting.journal import Journal
from stages.correcting.verdict import HEADER, Verdict
from stages.serving import review
from stages.serving.music import TRACKS, Music, id_of
from tests.serving import Server, make_project, serving
from tests.synthetic import CLASSES

pytestmark = pytest.mark.slow
FILE = Path("data/verdicts/me.csv")


@pytest.fixture(scope="module")
def server(module_workspace: Path) -> Iterator[Server]:
    make_project(module_workspace)
    with serving(module_workspace) as started:
        yield started


@pytest.fixture
def tracks(server: Server) -> Iterator[list[dict[str, Any]]]:
    """The test tracks; no verdict is there before, and none stays."""
    yield server.get("/tracks?split=test").json["tracks"]
    for path in FILE.parent.glob("*"):
        path.unlink()


def judge(server: Server, track: dict[str, Any], verdict: str, **words: str) -> Any:
    return server.ask("POST", f"/tracks/{track['id']}/verdict", {"verdict": verdict, **words})


def rows() -> list[dict[str, str]]:
    with FILE.open(newline="", encoding="utf-8") as file:
        return [*csv.DictReader(file)]


def other_class(track: dict[str, Any]) -> str:
    return next(label for label in CLASSES if label != track["label"])


def digest(track_id: str) -> str:
    """The SHA-256 that fetch has found."""
    with Path("data/raw/tracks.csv").open(newline="", encoding="utf-8") as file:
        return next(row["sha256"] for row in csv.DictReader(file) if row["track_id"] == track_id)


def by_another(track: dict[str, Any], verdict: str, label: str = "", name: str = "anna") -> None:
    Journal.of(name).append(
        Verdict(
            time="2026-01-01T00:00:00Z",
            track_id=track["track_id"],
            path=track["name"],
            sha256=digest(track["track_id"]),
            verdict=verdict,
            label=label,
            was=track["label"],
            predicted=track["predicted"],
            model="m",
            reviewer=name,
        )
    )


def test_a_verdict_is_a_row_of_the_journal(server, tracks):
    track = tracks[0]
    label = other_class(track)
    answer = judge(server, track, "label_wrong", label=f" {label} ")
    assert answer.status == 200
    given = answer.json["verdict"]
    assert (given["verdict"], given["label"]) == ("label_wrong", label)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", given["time"])
    (row,) = rows()
    wanted = {
        "time": given["time"],
        "track_id": track["track_id"],
        "path": track["name"],
        "verdict": "label_wrong",
        "label": label,
        "was": track["label"],
        "predicted": track["predicted"],
        "reviewer": "me",
    }
    assert {name: row[name] for name in wanted} == wanted
    assert row["sha256"] == digest(track["track_id"])
    model = hashlib.sha256(Path("data/model/model.json").read_bytes()).hexdigest()
    assert row["model"] == f"MLP {model[:8]}"
    assert server.get(f"/tracks/{track['id']}").json == {**track, "verdict": given}


@pytest.mark.parametrize(
    ("verdict", "has_label"), [("ambiguous", False), ("broken_audio", False), ("label_right", True)]
)
def test_verdicts_without_a_new_label(server, tracks, verdict, has_label):
    answer = judge(server, tracks[0], verdict)
    assert answer.json["verdict"]["label"] == (tracks[0]["label"] if has_label else "")
    assert rows()[0]["verdict"] == verdict


def test_the_last_verdict_counts_and_can_be_withdrawn(server, tracks):
    track = tracks[0]
    judge(server, track, "ambiguous")
    judge(server, track, "label_right")
    (shown,) = server.get("/tracks?verdict=judged").json["tracks"]
    assert (shown["id"], shown["verdict"]["verdict"]) == (track["id"], "label_right")
    answer = judge(server, track, "withdrawn")
    assert answer.json["verdict"] is None
    assert answer.json["summary"]["wrong"]["not_judged"] == answer.json["summary"]["wrong"]["n"]
    assert server.get("/tracks?verdict=judged").json["total"] == 0
    assert [row["verdict"] for row in rows()] == ["ambiguous", "label_right", "withdrawn"]
    again = judge(server, track, "withdrawn")
    assert again.status == 409
    assert again.json == {"error": f"{track['track_id']}: there is no verdict that could be taken back"}
    assert len(rows()) == 3


def test_filters_by_verdict(server, tracks):
    for track, verdict in zip(tracks, ("ambiguous", "label_right"), strict=False):
        judge(server, track, verdict)

    def ids(query: str) -> list[str]:
        return [track["id"] for track in server.get(f"/tracks?split=test&{query}").json["tracks"]]

    assert ids("verdict=judged") == [tracks[0]["id"], tracks[1]["id"]]
    assert ids("verdict=ambiguous") == [tracks[0]["id"]]
    assert ids("verdict=label_wrong") == []
    assert ids("verdict=unjudged") == [track["id"] for track in tracks[2:]]
    assert server.get("/tracks?verdict=nonsense").status == 422


def test_what_the_verdicts_change(server, tracks):
    before = server.get("/verdicts").json
    assert before["reviewer"] == "me"
    assert before["file"] == FILE.as_posix()
    assert before["summary"]["before"] == before["summary"]["after"]
    track = next(track for track in tracks if not track["is_wrong"])
    taken = judge(server, track, "label_wrong", label=other_class(track)).json
    now = server.get("/verdicts").json
    assert now["summary"] == taken["summary"]
    assert now["n_rows"] == 1
    n = len(tracks)
    share = before["summary"]["before"]["accuracy"]
    assert now["summary"]["after"]["accuracy"] == pytest.approx(share - 1 / n)


def test_verdicts_on_other_music_do_not_count_and_are_counted(server, tracks):
    judge(server, tracks[0], "ambiguous")
    text = FILE.read_text()
    FILE.write_text(re.sub("[0-9a-f]{64}", "0" * 64, text))
    answer = server.get("/verdicts").json
    assert (answer["n_rows"], answer["n_other_music"]) == (1, 1)
    assert server.get("/tracks?verdict=judged").json["total"] == 0


def test_a_table_that_a_person_has_made_counts(server, tracks):
    FILE.write_text(f"track_id,verdict,label\n{tracks[0]['track_id']},label_wrong,{other_class(tracks[0])}\n")
    (shown,) = server.get("/tracks?verdict=label_wrong").json["tracks"]
    assert shown["verdict"] == {"verdict": "label_wrong", "label": other_class(tracks[0]), "time": ""}


def test_a_verdict_is_there_after_the_server_was_killed(tracks, module_workspace):
    """At once after the answer, as by a power failure."""
    with serving(module_workspace) as dying:
        given = judge(dying, tracks[0], "label_wrong", label="folk").json["verdict"]
        dying.kill()
    with serving(module_workspace) as after:
        (shown,) = after.get("/tracks?verdict=judged").json["tracks"]
    assert (shown["id"], shown["verdict"]) == (tracks[0]["id"], given)


def test_a_line_that_a_kill_has_left_is_cut_off_and_said(server, tracks):
    judge(server, tracks[0], "ambiguous")
    torn = "2026-11-29T05:36:48Z,blu"
    with FILE.open("a") as file:
        file.write(torn)
    assert server.get("/tracks?verdict=judged").json["total"] == 1
    answer = judge(server, tracks[1], "ambiguous").json
    assert torn in answer["note"]
    assert [row["track_id"] for row in rows()] == [tracks[0]["track_id"], tracks[1]["track_id"]]


def test_two_servers_and_many_requests_at_once_lose_no_verdict(server, tracks, module_workspace):
    with serving(module_workspace) as second, ThreadPoolExecutor(8) as pool:
        asked = [
            pool.submit(judge, (server, second)[i % 2], tracks[i % len(tracks)], "label_wrong", label=f"n{i}")
            for i in range(40)
        ]
        assert [one.result().status for one in asked] == [200] * 40
        assert sorted(row["label"] for row in rows()) == sorted(f"n{i}" for i in range(40))
        shown = [one.get("/tracks?verdict=judged").json for one in (server, second)]
        assert shown[0] == shown[1]
        assert shown[0]["total"] == min(40, len(tracks))


@pytest.mark.parametrize(
    ("body", "status", "line"),
    [
        (b'{"verdict": "ambiguous"', 422, "JSON"),
        (b"[]", 422, ""),
        (b'{"verdict": "nonsense"}', 422, "verdict: Input should be"),
        (b"{}", 422, "verdict: Field required"),
        (b'{"verdict": "ambiguous", "reviewer": "anna"}', 422, "reviewer"),
        (b'{"verdict": "ambiguous", "label": "blues"}', 422, "label: only label_wrong has one"),
        (b'{"verdict": "label_wrong"}', 422, "needs a label"),
        (b'{"verdict": "label_wrong", "label": "   "}', 422, "needs a label"),
        (b'{"verdict": "label_wrong", "label": "a\\nb"}', 422, "characters that no line can hold"),
        (b'{"verdict": "label_wrong", "label": "\\ud800"}', 422, ""),
        (b'{"verdict": "label_wrong", "label": 3}', 422, "label"),
        (b'{"verdict": "label_wrong", "label": "%s"}' % (b"x" * 81), 422, "80 are the most"),
        (b'{"verdict": "label_wrong", "label": "%s"}' % (b"x" * 70_000), 413, "the most that is taken"),
    ],
)
def test_wrong_bodies(server, tracks, body, status, line):
    path = f"/tracks/{tracks[0]['id']}/verdict"
    answer = server.ask("POST", path, body, content_type="application/json")
    assert answer.status == status
    assert line in answer.json["error"]
    assert "\n" not in answer.json["error"]
    assert not FILE.exists()


def test_the_label_that_it_has_is_no_wrong_one(server, tracks):
    answer = judge(server, tracks[0], "label_wrong", label=tracks[0]["label"])
    assert answer.status == 422
    assert "label_right" in answer.json["error"]


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""]
)
def test_only_json_is_read(server, tracks, kind):
    """What a form of another page could send without asking first."""
    path = f"/tracks/{tracks[0]['id']}/verdict"
    answer = server.ask("POST", path, b'{"verdict": "ambiguous"}', content_type=kind)
    assert answer.status == 415
    assert answer.json == {"error": f"content-type is {kind or 'missing'!r}, should be application/json"}
    assert not FILE.exists()


def test_unknown_tracks(server, tracks):
    for name in ("0" * 16, "..%2f..%2fme", id_of("nothing")):
        assert server.ask("POST", f"/tracks/{name}/verdict", {"verdict": "ambiguous"}).status == 404
    assert not FILE.exists()


def test_a_damaged_journal_takes_no_verdict_and_shows_none(server, tracks):
    judge(server, tracks[0], "ambiguous")
    damaged = FILE.read_text().replace(",ambiguous,", ",nonsense,")
    FILE.write_text(damaged)
    answer = judge(server, tracks[1], "ambiguous")
    assert answer.status == 422
    assert str(FILE) in answer.json["error"]
    assert "line 2: verdict is 'nonsense'" in answer.json["error"]
    assert FILE.read_text() == damaged
    listed = server.get("/tracks?split=test").json
    assert {track["verdict"] for track in listed["tracks"]} == {None}
    assert listed["problem"] == answer.json["error"]
    assert server.get("/verdicts").json == {"error": listed["problem"]}


def test_a_full_disk_takes_no_verdict(server, tracks, module_workspace):
    """The server may write no file beyond the size that the journal has."""
    judge(server, tracks[0], "ambiguous")
    before = FILE.read_bytes()
    with serving(module_workspace) as full:
        limit = len(before) + 10  # part of a row fits
        resource.prlimit(full.process.pid, resource.RLIMIT_FSIZE, (limit, limit))
        answer = judge(full, tracks[1], "ambiguous")
        assert answer.status == 422
        assert answer.json["error"].startswith(f"{FILE}: the verdict is not written: ")
        assert FILE.read_bytes() == before
        assert full.get("/tracks?verdict=judged").json["total"] == 1
    assert judge(server, tracks[1], "ambiguous").status == 200


def test_agreement_with_another_reviewer(server, tracks):
    own = ["label_right", "ambiguous", "label_right", "broken_audio"]
    theirs = ["label_right", "ambiguous", "ambiguous"]
    for track, verdict in zip(tracks, own, strict=False):
        judge(server, track, verdict)
    for track, verdict in zip(tracks, theirs, strict=False):
        by_another(track, verdict, track["label"] if verdict == "label_right" else "")
    assert server.get("/verdicts").json["reviewers"] == ["anna", "me"]
    answer = server.get("/verdicts/agreement?with=anna").json
    found = answer["agreement"]
    assert (answer["reviewer"], answer["other"]) == ("me", "anna")
    assert found["n"] == 3
    assert found["observed"] == pytest.approx(2 / 3)
    assert found["kappa"] == pytest.approx((2 / 3 - 4 / 9) / (1 - 4 / 9))
    (different,) = found["differences"]
    assert (different["track_id"], different["first"], different["second"]) == (
        tracks[2]["track_id"],
        "label_right",
        "ambiguous",
    )
    assert answer["ids"] == {tracks[2]["track_id"]: tracks[2]["id"]}


def test_what_another_reviewer_said_is_in_no_answer_before_ones_own(server, tracks):
    by_another(tracks[0], "label_wrong", "polka")
    for path in ("/tracks", f"/tracks/{tracks[0]['id']}", "/verdicts", "/verdicts/agreement?with=anna"):
        answer = server.get(path)
        assert answer.status == 200
        assert b"polka" not in answer.body


@pytest.mark.parametrize(
    "name", ["bob", "me", "", "../raw/tracks", "%2e%2e%2fraw%2ftracks", "/etc/passwd", "anna.csv", "anna%00"]
)
def test_reviewers_are_those_that_have_a_journal(server, tracks, name):
    by_another(tracks[0], "ambiguous")
    answer = server.get(f"/verdicts/agreement?with={name}")
    assert answer.status == 404
    assert answer.json == {"error": "with: no other reviewer of that name has a journal; there is anna"}


@pytest.mark.parametrize("name", ["../me", "a b", "", "anna.csv", "ä", "a" * 41, "-a"])
def test_a_reviewers_name_is_checked_at_the_start(workspace, monkeypatch, name):
    monkeypatch.setattr(sys, "argv", ["encore serve", "--port", "0", f"--reviewer={name}"])
    with pytest.raises(EncoreError, match=re.escape(f"reviewer {name!r}: should be ")):
        serve.main()


def test_each_reviewer_has_a_file(tracks, module_workspace):
    with serving(module_workspace, "--reviewer", "bob-2") as bobs:
        assert bobs.get("/about").json["reviewer"] == "bob-2"
        judge(bobs, tracks[0], "ambiguous")
        assert bobs.get("/verdicts").json["file"] == "data/verdicts/bob-2.csv"
    assert Path("data/verdicts/bob-2.csv").read_text().startswith(f"{HEADER}\n")
    assert not FILE.exists()


def test_accuracies_are_by_the_labels_of_the_evaluation(server, tracks, tmp_path, monkeypatch):
    """As of a run that was evaluated before a label was corrected: nothing is counted twice."""
    track, label = tracks[0], other_class(tracks[0])
    before = server.get("/verdicts").json["summary"]["before"]
    raw = [
        replace(row, label=label) if row.track_id == track["track_id"] else row
        for row in read_rows(TRACKS, RawTrack)
    ]
    write_rows(tmp_path / "tracks.csv", raw, RawTrack)
    monkeypatch.setattr("stages.serving.music.TRACKS", tmp_path / "tracks.csv")
    music = Music(Path("data/evaluation/metrics.json"))
    assert (track["is_wrong"], music.tracks[track["id"]].is_wrong) == (False, True)
    assert music.note.startswith("1 test track has another label in data/raw than when")
    by_another(track, "label_wrong", label)
    found = review.summary(review.present(Journal.of("anna").rows(), music), music)
    assert asdict(found.before) == before
    assert found.after.accuracy == pytest.approx(before["accuracy"] - 1 / len(tracks))
    assert (found.right.label_wrong, found.n_known) == (1, 0)
    monkeypatch.undo()
    assert Music(Path("data/evaluation/metrics.json")).note == ""


def test_a_verdict_on_a_label_that_a_page_still_shows_is_refused(server, tracks):
    track = tracks[0]
    answer = judge(server, track, "label_right", was="polka")
    line = f"its label is {track['label']!r} now, not 'polka'; load the page again"
    assert (answer.status, answer.json) == (409, {"error": line})
    assert not FILE.exists()
    assert judge(server, track, "label_right", was=track["label"]).status == 200
