"""Any folder of music: one sub-folder per class."""

import hashlib
import os
from pathlib import Path

import pytest

from stages import fetch
from stages.sources.folder import Folder, FolderParams
from stages.tables import RawTrack, read_rows
from tests.synthetic import edit_params, line_of, write_params


@pytest.fixture
def music(tmp_path):
    """A folder of files; the source copies them and never looks inside."""
    folder = tmp_path / "music"
    for path in (
        "rock/b.wav",
        "rock/a.FLAC",
        "jazz/live/1998/c.mp3",
        "jazz/d.ogg",
        "blues/e.au",
        "loose.wav",
    ):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(path.encode())
    return folder


def source(path: Path | str, classes: list[str] | None = None) -> Folder:
    return Folder(FolderParams(name="folder", path=str(path), classes=classes, watch=str(path)))


def fetched(music: Path, into: Path, classes: list[str] | None = None) -> dict[str, RawTrack]:
    into.mkdir()
    return {track.track_id: track for track in source(music, classes).fetch(into)}


def test_first_folder_is_the_class_and_root_files_have_none(music, tmp_path):
    tracks = fetched(music, tmp_path / "raw")
    assert {track_id: track.label for track_id, track in tracks.items()} == {
        "blues/e.au": "blues",
        "jazz/d.ogg": "jazz",
        "jazz/live/1998/c.mp3": "jazz",
        "loose.wav": "",
        "rock/a.FLAC": "rock",
        "rock/b.wav": "rock",
    }
    assert list(tracks) == sorted(tracks)


def test_files_are_copied_as_they_are_with_hash_and_size(music, tmp_path):
    for track in fetched(music, tmp_path / "raw").values():
        content = (music / track.path).read_bytes()
        assert (tmp_path / "raw" / track.path).read_bytes() == content
        assert (track.sha256, track.bytes) == (hashlib.sha256(content).hexdigest(), len(content))
        assert track.source == "folder"


def test_hidden_and_other_files_are_left(music, tmp_path):
    for path in ("rock/._b.wav", ".trash/x.wav", "rock/cover.jpg", "rock/notes.txt", "rock/.cache/y.wav"):
        (music / path).parent.mkdir(exist_ok=True)
        (music / path).write_bytes(b"x")
    assert len(fetched(music, tmp_path / "raw")) == 6


def test_links_that_leave_the_folder_are_left(music, tmp_path):
    secret = tmp_path / "secret.wav"
    secret.write_bytes(b"secret")
    (tmp_path / "others").mkdir()
    (tmp_path / "others" / "z.wav").write_bytes(b"z")
    (music / "rock" / "out.wav").symlink_to(secret)
    (music / "pop").symlink_to(tmp_path / "others")
    (music / "rock" / "inside.wav").symlink_to(music / "rock" / "b.wav")
    tracks = fetched(music, tmp_path / "raw")
    assert set(tracks) - {"rock/inside.wav"} == set(fetched_names(music))
    assert not (tmp_path / "raw" / "rock" / "inside.wav").is_symlink()


def fetched_names(music: Path) -> list[str]:
    plain = (path for path in music.rglob("*") if path.is_file() and not path.is_symlink())
    return [path.relative_to(music).as_posix() for path in plain]


def test_a_link_to_the_folder_will_do(music, tmp_path):
    (tmp_path / "link").symlink_to(music)
    assert len(fetched(tmp_path / "link", tmp_path / "raw")) == 6


def test_a_loop_of_links_ends(music, tmp_path):
    (music / "rock" / "again").symlink_to(music)
    assert len(fetched(music, tmp_path / "raw")) == 6


def test_classes_restrict_and_unlabelled_stay(music, tmp_path):
    tracks = fetched(music, tmp_path / "raw", ["rock", "blues"])
    assert {track.label for track in tracks.values()} == {"rock", "blues", ""}


def test_unknown_class_lists_those_there(music, tmp_path):
    line = line_of(lambda: source(music, ["rock", "polka"]).fetch(tmp_path / "raw"))
    assert "dataset.classes" in line
    assert "polka" in line
    assert "blues, jazz, rock" in line


def test_unicode_and_odd_names_stay(music, tmp_path):
    names = ["Песни/Ночь.wav", '日本/夜, と "霧".wav', "rock/ a  b .wav", "rock/#1%20.wav", "emoji 🎷/s.wav"]
    for name in names:
        (music / name).parent.mkdir(exist_ok=True)
        (music / name).write_bytes(name.encode())
    tracks = fetched(music, tmp_path / "raw")
    assert set(names) <= set(tracks)
    assert tracks["Песни/Ночь.wav"].label == "Песни"


def test_relative_path_is_answered_with_the_absolute_one(music, workspace):
    line = line_of(lambda: source("music").fetch(workspace))
    assert "dataset.path" in line
    assert "'music'" in line
    assert str(music) in line


@pytest.mark.parametrize("name", ["nowhere", "loose.wav"])
def test_a_folder_that_is_none_is_named(music, workspace, name):
    line = line_of(lambda: source(music / name).fetch(workspace))
    assert "dataset.path" in line
    assert str(music / name) in line


def test_a_file_that_cannot_be_read_is_named(music, tmp_path):
    (music / "rock" / "gone.wav").symlink_to(music / "rock" / "never-was.wav")
    line = line_of(lambda: fetched(music, tmp_path / "raw"))
    assert str(music / "rock" / "gone.wav") in line


class TestThroughTheStage:
    """`python -m stages.fetch` on such a folder."""

    def fetch(self, path: Path) -> None:
        write_params("dataset=folder", f"dataset.path={path}")
        fetch.main()

    def test_manifest_names_every_file(self, music, workspace, capsys):
        self.fetch(music)
        tracks = read_rows(Path("data/raw/tracks.csv"), RawTrack)
        assert sorted(track.path for track in tracks) == sorted(fetched_names(music))
        assert "6 tracks from folder in 3 classes, 1 of them unlabelled" in capsys.readouterr().out

    def test_no_music_gives_a_line_and_no_folder(self, workspace):
        (workspace / "music").mkdir()
        (workspace / "music" / "readme.txt").write_text("nothing to hear")
        assert "no audio files" in line_of(lambda: self.fetch(workspace / "music"))
        assert not Path("data/raw").exists()
        assert list(Path("data").iterdir()) == []

    def test_a_user_file_of_the_manifests_name_does_no_harm(self, music, workspace):
        for name in ("tracks.csv", "source.json"):
            (music / name).write_text("mine")
        self.fetch(music)
        assert len(read_rows(Path("data/raw/tracks.csv"), RawTrack)) == 6

    def test_a_name_that_is_no_utf8_gives_a_line_or_is_kept(self, music, workspace):
        write_params("dataset=folder", f"dataset.path={music}")
        try:
            Path(os.fsdecode(bytes(music / "rock") + b"/caf\xe9.wav")).write_bytes(b"x")
        except OSError:
            pytest.skip("this file system takes UTF-8 only")
        assert "caf" in line_of(fetch.main)

    def test_the_same_folder_gives_the_same_bytes(self, music, workspace):
        self.fetch(music)
        first = {path: path.read_bytes() for path in Path("data/raw").rglob("*") if path.is_file()}
        for path in music.rglob("*"):
            os.utime(path, (1, 1))
        edit_params("dataset", watch="params.yaml")
        fetch.main()
        assert {path: path.read_bytes() for path in Path("data/raw").rglob("*") if path.is_file()} == first
