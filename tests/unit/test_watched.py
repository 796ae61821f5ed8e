"""What DVC cannot read in a user's folder is named before DVC fails on it, or hangs."""

import os
import socket
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from stages import fetch
from stages.sources.watched import assert_readable
from tests.synthetic import line_of, write_music, write_params

NOBODY = 65534


@pytest.fixture
def music(tmp_path):
    """Files, a link to one, a link to a folder, and a link to a folder above: DVC reads all of it."""
    folder = tmp_path / "music"
    for name in ("jazz/a.wav", "rock/b.wav", ".hidden/c.txt"):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_bytes(b"x")
    (folder / "jazz/link.wav").symlink_to(folder / "rock/b.wav")
    (folder / "all").symlink_to(folder / "jazz")
    (folder / "rock/up").symlink_to(folder)
    return folder


def test_an_ordinary_folder_a_file_and_nothing_are_right(music):
    for path in (music, music / "jazz/a.wav", music / "nowhere"):
        assert_readable(path)


def broken(path: Path) -> None:
    path.symlink_to("nowhere")


def circular(path: Path) -> None:
    path.symlink_to(path.name)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def listening(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made, pytest.MonkeyPatch.context() as patch:
        patch.chdir(path.parent)  # the address of a socket is at most 107 bytes long
        made.bind(path.name)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (broken, "a link to nothing"),
        (circular, "Too many levels of symbolic links"),
        (device, "a socket, pipe or device"),
        (os.mkfifo, "a socket, pipe or device"),
        (listening, "a socket, pipe or device"),
    ],
)
@pytest.mark.parametrize("name", ["jazz/x.wav", "x.txt", ".hidden/x"])
def test_links_to_nothing_and_special_files_are_named(music, make, reason, name):
    make(music / name)
    assert f"cannot read {music / name} ({reason}); delete" in line_of(lambda: assert_readable(music))


@pytest.fixture
def as_a_user():
    """The tests may run as root, who may read everything."""
    if os.getuid() != 0:
        yield
        return
    os.setresuid(NOBODY, NOBODY, 0)
    yield
    os.setresuid(0, 0, 0)


def test_a_file_and_a_folder_without_permission_are_named(as_a_user):
    with TemporaryDirectory() as place:  # pytest's own is root's alone
        file, folder = Path(place, "a.wav"), Path(place, "folder")
        file.touch(0)
        folder.mkdir(0)
        Path(place, "link.wav").symlink_to(folder / "b.wav")
        line = line_of(lambda: assert_readable(Path(place)))
    reasons = f"{file} (no permission to read it), {folder} (Permission denied), {place}/link.wav (Permission"
    assert reasons in line


def test_names_that_are_not_utf8_are_named(music):
    try:
        Path(os.fsdecode(bytes(music) + b"/caf\xe9.txt")).write_bytes(b"x")
    except OSError:
        pytest.skip("this file system takes UTF-8 only")
    assert r"caf\udce9.txt (not named in UTF-8)" in line_of(lambda: assert_readable(music))


def test_of_many_three_are_named(music):
    for number in range(5):
        broken(music / f"{number}.wav")
    assert f"{music}/2.wav (a link to nothing) and 2 more; delete" in line_of(lambda: assert_readable(music))


def test_the_stage_says_so_before_it_copies(workspace):
    music = write_music(workspace / "music", per_class=1, seconds=0.1)
    broken(music / "gone.wav")
    write_params("dataset=folder", f"dataset.path={music}")
    assert "gone.wav (a link to nothing)" in line_of(fetch.main)
    assert not Path("data").exists()
