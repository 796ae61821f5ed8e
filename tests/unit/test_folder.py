"""Any folder of music: one sub-folder per class."""

import hashlib
import os
from pathlib import Path

import pytest

from stages import fetch
from stages.core.params import check
from stages.core.tables import RawTrack, read_rows
from stages.sources.folder import Folder, FolderParams
from tests.synthetic import composed_sections, edit_params, line_of, write_params


@pytest.fixture
def music(tmp_path):
    """A folder of files; the source copies them and never reads them as music."""
    folder = tmp_path / "music"
    write(
        folder, "rock/b.wav", "rock/a.FLAC", "jazz/live/1998/c.mp3", "jazz/d.ogg", "blues/e.au", "loose.wav"
    )
    return folder


def source(path: Path | str, **changes: object) -> Folder:
    values = composed_sections("dataset=folder")["dataset"]
    return Folder(check({**values, "path": str(path), **changes}, FolderParams, "dataset"))


def fetched(music: Path, into: Path, **changes: object) -> dict[str, RawTrack]:
    into.mkdir()
    return {track.track_id: track for track in source(music, **changes).fetch(into)}


def write(folder: Path, *paths: str) -> None:
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(path.encode())


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


def test_files_are_copied_unchanged_with_hash_and_size(music, tmp_path):
    for track in fetched(music, tmp_path / "raw").values():
        content = (music / track.path).read_bytes()
        assert (tmp_path / "raw" / track.path).read_bytes() == content
        assert (track.sha256, track.bytes) == (hashlib.sha256(content).hexdigest(), len(content))
        assert track.source == "folder"


def test_music_of_every_kind_is_taken(music, tmp_path):
    kinds = ["aif", "aiff", "opus", "oga", "snd", "mid", "MIDI", "m4a", "wma"]
    write(music, *(f"rock/x.{kind}" for kind in kinds))
    assert {f"rock/x.{kind}" for kind in kinds} <= set(fetched(music, tmp_path / "raw"))


def test_spaces_at_the_ends_of_folder_names_do_not_count(music, tmp_path):
    write(music, "rock /c.wav", " rock/d.wav")
    tracks = fetched(music, tmp_path / "raw", classes=["rock "])
    assert sorted(track_id for track_id, track in tracks.items() if track.label == "rock") == [
        " rock/d.wav",
        "rock /c.wav",
        "rock/a.FLAC",
        "rock/b.wav",
    ]


def test_classes_that_differ_in_case_are_named(music, tmp_path, capsys):
    write(music, "Rock/c.wav", "hip hop/d.wav", "hiphop/e.wav")
    labels = {track.label for track in fetched(music, tmp_path / "raw").values()}
    assert {"Rock", "rock", "hip hop", "hiphop"} <= labels
    printed = capsys.readouterr().out
    for names in ("'Rock', 'rock'", "'hip hop', 'hiphop'"):
        assert f"warning: {names} are different classes, but differ only in case or spaces" in printed


@pytest.mark.parametrize("above", ["", "genres/"])
def test_a_folder_too_high_is_one_line_before_anything_is_copied(tmp_path, above):
    write(tmp_path / "all", f"{above}mine/jazz/a.wav", f"{above}mine/rock/live/b.wav", "loose.wav")
    line = line_of(lambda: fetched(tmp_path / "all", tmp_path / "raw"))
    below = tmp_path / "all" / f"{above}mine"
    assert f"the folders in {below} (jazz, rock) are the classes, give dataset.path={below}" in line
    assert list((tmp_path / "raw").iterdir()) == []
    assert len(fetched(below, tmp_path / "right")) == 2


@pytest.mark.parametrize(
    ("paths", "there"), [(["a.wav"], "no class"), (["jazz/a.wav", "jazz/live/b.wav"], "one class only, jazz")]
)
def test_fewer_than_two_classes_are_said_at_once(tmp_path, capsys, paths, there):
    write(tmp_path / "few", *paths)
    assert len(fetched(tmp_path / "few", tmp_path / "raw")) == len(paths)
    assert f"warning: there is {there}; features can be extracted, but" in capsys.readouterr().out


def test_hidden_files_are_skipped_and_other_files_counted(music, tmp_path, capsys):
    write(
        music,
        "rock/._b.wav",
        ".trash/x.wav",
        "rock/cover.jpg",
        "rock/notes.txt",
        "a.txt",
        "rock/.cache/y.wav",
    )
    assert len(fetched(music, tmp_path / "raw")) == 6
    assert "left out 3 files without the suffix of music: .txt 2, .jpg 1" in capsys.readouterr().out


def test_links_are_followed_inside_the_folder_only(music, tmp_path, capsys):
    write(tmp_path, "secret.wav", "others/z.wav")
    (music / "rock" / "out.wav").symlink_to(tmp_path / "secret.wav")
    (music / "rock" / "gone.wav").symlink_to(music / "rock" / "never-was.wav")
    (music / "pop").symlink_to(tmp_path / "others")
    (music / "rock" / "inside.wav").symlink_to(music / "rock" / "b.wav")
    (music / "all-time").symlink_to(music / "jazz" / "live")
    plain = fetched_names(music)
    tracks = fetched(music, tmp_path / "raw")
    assert set(tracks) == {*plain, "rock/inside.wav", "all-time/1998/c.mp3"}
    assert tracks["all-time/1998/c.mp3"].label == "all-time"
    assert not any(path.is_symlink() for path in (tmp_path / "raw").rglob("*"))
    printed = capsys.readouterr().out
    assert "links that lead outside the folder or to nothing, or" in printed
    for name in ("pop", "rock/gone.wav", "rock/out.wav"):
        assert str(music / name) in printed


def fetched_names(music: Path) -> list[str]:
    plain = (path for path in music.rglob("*") if path.is_file() and not path.is_symlink())
    return [path.relative_to(music).as_posix() for path in plain]


def test_path_may_be_a_link_to_the_folder(music, tmp_path):
    (tmp_path / "link").symlink_to(music)
    assert len(fetched(tmp_path / "link", tmp_path / "raw")) == 6


def test_loops_of_links_end(music, tmp_path):
    (music / "rock" / "again").symlink_to(music)
    (music / "one").symlink_to(music / "two")
    (music / "two").symlink_to(music / "one")
    assert len(fetched(music, tmp_path / "raw")) == 6


def test_folders_linked_to_one_another_do_not_multiply(tmp_path):
    names = [f"f{i}" for i in range(9)]
    for name in names:
        write(tmp_path / "web", f"{name}/{name}.wav")
        for other in set(names) - {name}:
            (tmp_path / "web" / name / other).symlink_to(tmp_path / "web" / other)
    assert len(fetched(tmp_path / "web", tmp_path / "raw")) == 9 * 9


def test_special_files_are_skipped(music, tmp_path):
    os.mkfifo(music / "rock" / "pipe.wav")
    assert len(fetched(music, tmp_path / "raw")) == 6


class TestGroups:
    """`dataset.group_pattern` takes artist, album or work from the path."""

    def test_group_is_what_the_named_group_matches(self, music, tmp_path, capsys):
        tracks = fetched(music, tmp_path / "raw", group_pattern=r"^jazz/(?P<place>[^/]+)/")
        assert {track.group for track in tracks.values()} == {"", "live"}
        assert tracks["jazz/live/1998/c.mp3"].group == "live"
        printed = capsys.readouterr().out
        assert "finds no group in blues/e.au, jazz/d.ogg, loose.wav and 2 more" in printed

    def test_an_accent_spelled_in_two_ways_is_one_artist_and_one_class(self, music, tmp_path):
        write(music, "M\u00fasica/Dvo\u0159\u00e1k/1.wav", "Mu\u0301sica/Dvor\u030ca\u0301k/2.wav")
        tracks = fetched(
            music, tmp_path / "raw", group_pattern="^[^/]+/(?P<artist>[^/]+)/", classes=["Mu\u0301sica"]
        )
        assert {(track.label, track.group) for track in tracks.values() if track.label} == {
            ("M\u00fasica", "Dvo\u0159\u00e1k")
        }
        assert len(tracks) == 3

    def test_several_named_groups_make_one(self, music, tmp_path):
        pattern = r"(?P<place>live)/(?P<year>\d+)|(?P<letter>\w)\.wav"
        tracks = fetched(music, tmp_path / "raw", group_pattern=pattern)
        assert tracks["jazz/live/1998/c.mp3"].group == "live / 1998"
        assert tracks["rock/b.wav"].group == "b"

    @pytest.mark.parametrize(("pattern", "hint"), [("(?P<a>", "regular expression"), ("(a)", "named group")])
    def test_a_wrong_pattern_is_one_line(self, music, pattern, hint):
        line = line_of(lambda: source(music, group_pattern=pattern))
        assert "dataset.group_pattern" in line
        assert hint in line


class TestLabels:
    """`dataset.labels` replaces the folders' names."""

    def table(self, tmp_path: Path, text: str) -> str:
        (tmp_path / "labels.csv").write_text(text, "utf-8-sig")
        return str(tmp_path / "labels.csv")

    def test_the_table_gives_the_labels(self, music, tmp_path, capsys):
        write(music, "rock/cafe\u0301.wav")  # as macOS spells it
        rows = ["Label;Path", "slow;rock/b.wav", "fast;loose.wav ", "slow ;rock/caf\u00e9.wav", "x;no.wav"]
        table = self.table(tmp_path, "\n".join(rows))
        tracks = fetched(music, tmp_path / "raw", labels=table)
        labels = {track_id: track.label for track_id, track in tracks.items() if track.label}
        assert labels == {"rock/b.wav": "slow", "loose.wav": "fast", "rock/cafe\u0301.wav": "slow"}
        assert len(tracks) == 7
        assert "names files that are not there: no.wav" in capsys.readouterr().out

    @pytest.mark.parametrize(
        ("text", "hint"),
        [
            ("file,genre\na,b\n", "needs the columns path and label"),
            ("", "needs the columns path and label"),
            ("path,label\nrock/b.wav,x\nrock/b.wav,y\n", "gives rock/b.wav both 'x' and 'y'"),
            ("label,path\njazz\n", "line 2: ends too early"),
            ('path,label\nrock/b.wav,"x\ny"\n', "has control characters"),
            ("path,label\nb.wav,x\n", "labels none of the files; its paths should look like blues/e.au"),
        ],
    )
    def test_a_wrong_table_is_one_line(self, music, tmp_path, text, hint):
        line = line_of(lambda: fetched(music, tmp_path / "raw", labels=self.table(tmp_path, text)))
        assert "dataset.labels" in line
        assert hint in line

    def test_missing_table_is_named(self, music, tmp_path):
        line = line_of(lambda: fetched(music, tmp_path / "raw", labels=str(tmp_path / "none.csv")))
        assert str(tmp_path / "none.csv") in line


def test_classes_restrict_and_unlabelled_are_kept(music, tmp_path):
    tracks = fetched(music, tmp_path / "raw", classes=["rock", "blues"])
    assert {track.label for track in tracks.values()} == {"rock", "blues", ""}


def test_unknown_class_lists_those_there(music, tmp_path):
    line = line_of(lambda: source(music, classes=["rock", "polka"]).fetch(tmp_path / "raw"))
    assert "dataset.classes" in line
    assert "polka" in line
    assert "blues, jazz, rock" in line


def test_unicode_and_odd_names_are_kept(music, tmp_path):
    names = [
        "曲\u3000名/夜\u00a0.wav",
        "👩\u200d🎤/a.wav",
        "Песни/Ночь.wav",
        '日本/夜, と "霧".wav',
        "rock/ a  b .wav",
        "rock/#1%20.wav",
        "emoji 🎷/s.wav",
    ]
    for name in names:
        write(music, name)
    tracks = fetched(music, tmp_path / "raw")
    assert set(names) <= set(tracks)
    assert tracks["Песни/Ночь.wav"].label == "Песни"


def test_relative_path_is_answered_with_the_absolute_one(music, workspace):
    line = line_of(lambda: source("music").fetch(workspace))
    assert "dataset.path" in line
    assert "'music'" in line
    assert str(music) in line


@pytest.mark.parametrize("name", ["nowhere", "loose.wav"])
def test_missing_folder_is_named(music, workspace, name):
    line = line_of(lambda: source(music / name).fetch(workspace))
    assert "dataset.path" in line
    assert str(music / name) in line


def test_a_file_that_cannot_be_copied_is_named(music, tmp_path):
    (tmp_path / "raw" / "rock" / "b.wav").mkdir(parents=True)
    line = line_of(lambda: source(music).fetch(tmp_path / "raw"))
    assert str(music / "rock" / "b.wav") in line


class TestThroughTheStage:
    """`python -m stages.fetch` on such a folder."""

    def fetch(self, path: Path) -> None:
        write_params("dataset=folder", f"dataset.path={path}")
        fetch.main()

    def test_table_of_tracks_names_every_file(self, music, workspace, capsys):
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

    def test_a_file_or_folder_may_be_named_like_an_output(self, music, workspace):
        (music / "tracks.csv").write_text("mine")
        for name in ("source.json", "music"):
            write(music, f"{name}/a.wav")
        self.fetch(music)
        tracks = read_rows(Path("data/raw/tracks.csv"), RawTrack)
        assert len(tracks) == 6 + 2
        assert all(Path("data/raw/music", track.path).is_file() for track in tracks)

    def test_name_that_is_not_utf8_is_one_line(self, music, workspace):
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
