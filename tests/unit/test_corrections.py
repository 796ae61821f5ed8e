"""`dataset.labels` of every source: verdicts correct labels, and nothing else changes."""

import json
import sys
from collections import Counter
from pathlib import Path

import pytest

from stages import validate, verdicts
from stages.core.tables import RawTrack
from stages.correcting.journal import Journal
from stages.correcting.verdict import Verdict
from stages.sources import fma, gtzan
from tests.synthetic import REPO
from tests.synthetic import line_of as refusal
from tests.unit.test_correcting import verdict
from tests.unit.test_fma import SMALL
from tests.unit.test_sources import MUSIC, fetched, given, short_songs

__all__ = ["given", "short_songs"]  # fixtures
pytestmark = pytest.mark.slow


@pytest.fixture
def small_sources(monkeypatch):
    """GTZAN and FMA publish as many tracks as the tests have."""
    monkeypatch.setattr(gtzan, "N_CLIPS", 9)
    monkeypatch.setitem(fma.N_TRACKS, "small", len(SMALL))
    monkeypatch.setitem(fma.SPLIT_SIZES, "small", {"train": 4, "valid": 1, "test": 1})


def music() -> dict[str, bytes]:
    files = (path for path in Path("data/raw/music").rglob("*") if path.is_file())
    return {path.as_posix(): path.read_bytes() for path in files}


def write_verdicts(*rows: Verdict) -> str:
    """Write a journal into the workspace; return its path."""
    journal = Journal.of("anna", Path.cwd() / "verdicts")
    for row in rows:
        journal.append(row)
    return str(journal.path)


def about(track: RawTrack, said: str = "label_wrong", **others: str) -> Verdict:
    """A verdict about a fetched track."""
    values = {"path": track.path, "sha256": track.sha256, "was": track.label}
    return verdict(track.track_id, said, **(values | others))


class TestSources:
    """Every source takes corrections: the same music, other labels."""

    def test_each_source_takes_them(self, given, small_sources, capsys):
        before = fetched(given)
        audio = music()
        wrong, right, *others, back, vague = sorted(before, key=lambda track: track.label)
        path = write_verdicts(
            about(wrong, label=vague.label),
            about(vague, label=wrong.label),
            about(vague, "ambiguous"),  # the last one counts
            about(right, "label_right"),
            about(back, label=wrong.label),
            about(back, "withdrawn"),
            verdict("not there"),
        )
        capsys.readouterr()
        after = {track.track_id: track for track in fetched(given, labels=path)}
        printed = capsys.readouterr().out
        assert music() == audio
        assert after[wrong.track_id].label == vague.label
        assert after[vague.track_id].label == ""
        for track in (right, back, *others):
            assert after[track.track_id] == track
        assert (
            "fetch: 1 label corrected, 1 taken away (ambiguous or broken audio), 1 left as they are, by "
            in printed
        )
        assert f"{path} judges tracks that are not there, 1 in all: not there" in printed
        assert "1 of them unlabelled" in printed
        assert "have changed since" not in printed
        validate.main()
        assert (
            f"{len(after)} of {len(after)} tracks are those that dataset.* chooses" in capsys.readouterr().out
        )

    def test_music_that_has_changed_since_is_named(self, given, capsys):
        one, *_, other = sorted(fetched(given), key=lambda track: track.label)
        path = write_verdicts(about(one, sha256="1" * 64, label=other.label), about(other, label=one.label))
        labels = {track.track_id: track.label for track in fetched(given, labels=path)}
        assert (labels[one.track_id], labels[other.track_id]) == (other.label, one.label)
        assert (
            f"warning: 1 verdict is of files that have changed since: {one.track_id}\n"
            in capsys.readouterr().out
        )

    def test_reports_say_it_beside_the_numbers(self, given):
        track, *_ = fetched(given)
        source = Path("data/raw/source.json")
        before = json.loads(source.read_text())["caveat"]
        fetched(given, labels=str(REPO / "data/facts/no_verdicts.csv"))
        assert json.loads(source.read_text())["caveat"] == before
        fetched(given, labels=write_verdicts(about(track, "ambiguous")))
        said = json.loads(source.read_text())["caveat"]
        assert said.startswith(f"{before} Labels are corrected by people's verdicts (anna.csv): ".lstrip())
        assert "not comparable with those on the original labels" in said

    def test_classes_are_those_after_the_corrections(self, given):
        one, other, *_ = fetched(given)
        path = write_verdicts(about(one, label="polka"), about(other, label="polka"))
        tracks = fetched(given, labels=path, classes=["polka"])
        assert [track.track_id for track in tracks if track.label] == sorted([one.track_id, other.track_id])

    def test_no_verdict_changes_nothing(self, given):
        before = fetched(given)
        assert fetched(given, labels=str(REPO / "data/facts/no_verdicts.csv")) == before

    def test_a_plain_table_of_labels_is_for_folders(self, given, workspace):
        (workspace / "labels.csv").write_text("path,label\nblues/00.wav,polka\n")
        if given[0] == "dataset=folder":
            labels = {track.track_id: track.label for track in fetched(given, labels="labels.csv")}
            assert labels["blues/00.wav"] == "polka"
            assert set(labels.values()) == {"polka", ""}
            return
        line = refusal(lambda: fetched(given, labels="labels.csv"))
        assert line.startswith("dataset.labels: labels.csv has no column verdict; ")
        assert "only dataset=folder" in line

    @pytest.mark.parametrize("text", ["track_id,verdict,label\na,wrong,\n", "verdict\n", "\n"])
    def test_a_wrong_table_is_one_line_and_leaves_the_music(self, given, workspace, text):
        fetched(given)
        before = music()
        (workspace / "mine.csv").write_text(text)
        assert refusal(lambda: fetched(given, labels="mine.csv")).startswith("dataset.labels: ")
        assert music() == before

    def test_a_missing_table_is_one_line(self, given):
        assert "cannot read none.csv" in refusal(lambda: fetched(given, labels="none.csv"))


def test_a_song_of_the_sample_stays_the_same_under_another_genre(workspace, short_songs):
    overrides = ["dataset=sample", *MUSIC["sample"](workspace)]
    before = fetched(overrides)
    jazz = next(track for track in before if track.label == "jazz")
    after = fetched(overrides, labels=write_verdicts(about(jazz, label="pop")))
    assert {track.track_id: track.sha256 for track in after} == {
        track.track_id: track.sha256 for track in before
    }
    assert Counter(track.label for track in after) == {"jazz": 1, "pop": 3}, "none of them is left out"


def test_what_nobody_can_label_of_other_classes_is_not_taken(workspace):
    overrides = ["dataset=folder", *MUSIC["folder"](workspace)]
    tracks = {track.label: track for track in fetched(overrides)}
    path = write_verdicts(*(about(tracks[label], "ambiguous") for label in ("jazz", "rock")))
    chosen = fetched(overrides, labels=path, classes=["blues", "jazz"])
    assert [track.track_id for track in chosen if not track.label] == [tracks["jazz"].track_id]
    assert Counter(track.label for track in chosen) == {"blues": 3, "jazz": 2, "": 1}
    validate.main()


def test_verdicts_about_tracks_that_are_not_chosen_are_counted(workspace, capsys):
    overrides = ["dataset=folder", *MUSIC["folder"](workspace)]
    path = write_verdicts(*(about(track, "label_right") for track in fetched(overrides)))
    capsys.readouterr()
    fetched(overrides, labels=path, tracks_per_class=1)
    assert (
        "0 labels corrected, 3 left as they are, 6 of tracks that are not chosen, by "
        in capsys.readouterr().out
    )


def test_verdicts_about_other_music_are_left_out_of_the_summary(workspace, monkeypatch, capsys):
    first, second, *_ = fetched(["dataset=folder", *MUSIC["folder"](workspace)])
    for row in (about(first), about(second, sha256="1"), verdict("not there")):
        Journal.of("anna").append(row)
    monkeypatch.setattr(sys, "argv", ["verdicts", "anna"])
    capsys.readouterr()
    verdicts.main()
    printed = capsys.readouterr().out
    assert "anna: 1 track judged" in printed
    assert "left out: 2 judged tracks that are not there, or are other music now" in printed
