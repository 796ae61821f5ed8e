"""What `make validate` says of music that is whole, and of music that is not."""

from pathlib import Path

import pytest

from stages import validate
from stages.core.tables import RawTrack, read_rows, write_rows
from stages.sources import fma, gtzan
from tests.kaggle_server import member, write_artists, zipped
from tests.synthetic import edit_params, line_of, write_params
from tests.unit.test_fma import SMALL
from tests.unit.test_sources import MUSIC, fetched, fma_clips, given, short_songs

__all__ = ["given", "short_songs"]  # fixtures

TRACKS = Path("data/raw/tracks.csv")


@pytest.fixture
def small_sources(monkeypatch):
    """GTZAN and FMA publish as many tracks as the tests have."""
    monkeypatch.setattr(gtzan, "N_CLIPS", 9)
    monkeypatch.setitem(fma.N_TRACKS, "small", len(SMALL))
    monkeypatch.setitem(fma.SPLIT_SIZES, "small", {"train": 4, "valid": 1, "test": 1})


@pytest.fixture
def music(workspace, small_sources):
    """A folder of the user's, fetched; six files in two classes."""
    fetched(["dataset=folder", *MUSIC["folder"](workspace)])
    return Path("data/raw/music")


def report(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return the lines of a validation that ends well."""
    capsys.readouterr()
    validate.main()
    return [line for line in capsys.readouterr().out.splitlines() if line]


def differences(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return the differences that a validation prints before it ends in an error."""
    capsys.readouterr()
    line = line_of(validate.main)
    found = [line[2:] for line in capsys.readouterr().out.splitlines() if line.startswith("  ")]
    assert line.startswith(f"{len(found)} difference")
    assert line.endswith("`dvc repro --force fetch` fetches the music again")
    return found


def test_fetched_music_agrees_with_what_its_source_publishes(given, small_sources, capsys):
    n_tracks = len(fetched(given))
    lines = report(capsys)
    assert lines[0] == f"validate: {n_tracks} of {n_tracks} files have the size and SHA-256 of tracks.csv"
    assert any(f"{n_tracks} of {n_tracks} tracks are those that dataset.* chooses" in line for line in lines)


@pytest.mark.parametrize("less", [{"tracks_per_class": 1}, {"fraction": 0.4, "seed": 3}])
def test_a_choice_of_the_music_is_no_difference(given, capsys, less):
    fetched(given, **less)
    assert not [line for line in report(capsys) if " published" in line]


def test_no_music_yet_is_one_line(workspace):
    write_params("dataset=sample")
    assert line_of(validate.main) == "data/raw: no music yet; `dvc repro fetch` fetches it"


def test_music_of_another_source_is_one_line(music):
    write_params("dataset=sample")
    assert line_of(validate.main).startswith("data/raw has music from folder, params.yaml names sample; ")


def test_changed_missing_and_added_files_are_named(music, capsys):
    changed, resized, missing, *_ = (track.path for track in read_rows(TRACKS, RawTrack))
    content = (music / changed).read_bytes()
    (music / changed).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    (music / resized).write_bytes(b"x")
    (music / missing).unlink()
    (music / "added.wav").write_bytes(b"x")
    size = Path("music", resized).stat().st_size
    assert differences(capsys) == [
        f"{music / changed}: another SHA-256 than in tracks.csv",
        f"{music / resized}: has 1 bytes, {size} in tracks.csv",
        f"{music / missing}: not there",
        f"{music / 'added.wav'}: not in tracks.csv",
    ]


def test_a_change_in_the_users_folder_is_named(music, workspace, capsys):
    first, second, *_ = (track.path for track in read_rows(TRACKS, RawTrack))
    (workspace / "music" / first).unlink()
    (workspace / "music" / second).write_bytes(b"x")
    lines = differences(capsys)
    assert lines[0] == f"{first}: in tracks.csv, should not be"
    assert lines[1] == f"{workspace / 'music' / first}: not there"
    assert lines[2].startswith(f"{workspace / 'music' / second}: has 1 bytes, ")


def test_a_row_that_was_edited_is_named(workspace, small_sources, capsys):
    tracks = fetched(["dataset=gtzan", *MUSIC["gtzan"](workspace)])
    write_rows(TRACKS, [*tracks[:-1], RawTrack(**{**vars(tracks[-1]), "label": "polka"})], RawTrack)
    name = tracks[-1].track_id
    assert differences(capsys) == [f"{name}: label 'polka' in tracks.csv, should be 'rock'"]


def test_too_few_tracks_are_counted_and_named(workspace, small_sources, capsys):
    overrides = ["dataset=fma", *fma_clips(workspace)]
    (workspace / "fma_small/000/000005.mp3").unlink()
    fetched(overrides)
    assert differences(capsys) == [
        "5 tracks in all, 6 published",
        "0 tracks in valid, 1 published",
        "000005: not in tracks.csv, should be",
    ]


def test_the_unreadable_clip_of_gtzan_may_be_missing(workspace, monkeypatch, capsys):
    clips = ["blues.00007", "jazz.00008", "jazz.00054"]
    write_artists(workspace / "artists.csv", clips)
    (workspace / "gtzan.zip").write_bytes(zipped({member(clip): b"RIFF" for clip in clips[:2]}))
    given = [f"dataset.{key}={workspace / name}" for key, name in
             (("archive", "gtzan.zip"), ("watch_metadata", "artists.csv"))]  # fmt: skip
    assert len(fetched(["dataset=gtzan", *given])) == 2
    monkeypatch.setattr(gtzan, "N_CLIPS", 3)
    assert "validate: 2 tracks in all, 3 published" in report(capsys)


def test_downloaded_archives_are_compared_with_their_published_checksums(workspace, small_sources, capsys):
    fetched(["dataset=fma", *fma_clips(workspace)])
    downloads = workspace / ".encore/downloads"
    assert f"validate: fma_small.zip is not in {downloads}: not compared" in report(capsys)
    downloads.mkdir(parents=True, exist_ok=True)
    (downloads / "fma_small.zip").write_bytes(b"other")
    assert differences(capsys) == [
        f"{downloads / 'fma_small.zip'}: another SHA-1 than published; delete it",
    ]


def test_without_the_metadata_of_fma_numbers_are_compared(workspace, small_sources, capsys):
    fetched(["dataset=fma", *fma_clips(workspace)])
    edit_params("dataset", metadata_path=None)
    lines = report(capsys)
    assert "validate: 4 tracks in train, 4 published" in lines
    assert "validate: the list of tracks of fma is not on this machine: the choice is not compared" in lines
