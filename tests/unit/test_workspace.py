"""Outputs are published whole or not at all; the work cache is at the workspace's root."""

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Event

import pytest

from stages.core.workspace import flushed_early, new_folder, outputs, root, work_cache, written
from tests.synthetic import REPO


def test_a_new_folder_is_published_with_its_content(tmp_path):
    with new_folder(tmp_path / "deep" / "out") as folder:
        (folder / "a.txt").write_text("new")
        assert not (tmp_path / "deep" / "out").exists()
    assert (tmp_path / "deep" / "out" / "a.txt").read_text() == "new"
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["out"]


def test_a_new_folder_replaces_all_old_content(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old.txt").write_text("old")
    with new_folder(tmp_path / "out") as folder:
        (folder / "new.txt").write_text("new")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["new.txt"]


def fail_inside(path: Path, failure: BaseException, kind=new_folder) -> None:
    with kind(path) as folder:
        (folder / "new.txt").write_text("new")
        raise failure


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_failing_block_keeps_the_old_content_and_nothing_else(tmp_path, failure):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old.txt").write_text("old")
    with pytest.raises(failure):
        fail_inside(tmp_path / "out", failure())
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (tmp_path / "out" / "old.txt").read_text() == "old"


def test_a_failing_block_creates_nothing(tmp_path):
    with pytest.raises(ValueError, match="no"):
        fail_inside(tmp_path / "out", ValueError("no"))
    assert list(tmp_path.iterdir()) == []


def contents(folder: Path) -> dict[str, str]:
    """Text of each file below a folder, hidden ones included, by path."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_text() for path in files}


def write_outputs(folder: Path, text: str) -> None:
    with outputs(folder) as made:
        (made / "table.csv").write_text(text)
        (made / "music").mkdir()
        (made / "music" / f"{text}.wav").write_text(text)


def test_outputs_replace_only_those_of_the_same_name(tmp_path):
    write_outputs(tmp_path / "raw", "old")
    (tmp_path / "raw" / "mine.wav").write_text("mine")
    write_outputs(tmp_path / "raw", "new")
    assert contents(tmp_path) == {
        "raw/mine.wav": "mine",
        "raw/table.csv": "new",
        "raw/music/new.wav": "new",
    }
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]


def test_files_beside_outputs_are_named_in_one_line(tmp_path, capsys):
    write_outputs(tmp_path / "raw", "old")
    assert capsys.readouterr().out == ""
    (tmp_path / "raw" / ".DS_Store").write_text("of the system")
    for name in ("b.wav", "a.wav", "d.wav", "c.wav"):
        (tmp_path / "raw" / name).write_text("mine")
    write_outputs(tmp_path / "raw", "new")
    line = f"{tmp_path}/raw has files that are not Encore's: a.wav, b.wav, c.wav and 1 more; they are kept"
    assert capsys.readouterr().out == f"note: {line} and not read\n"


def test_what_is_written_into_a_folder_is_on_record(workspace):
    write_outputs(Path("raw"), "old")
    write_outputs(Path("raw"), "new")
    is_ = Path("raw/music/new.wav").stat()
    assert written(Path("raw/music")) == {"new.wav": [3, is_.st_mtime_ns]}
    assert written(Path("raw/elsewhere")) == {}


def test_what_is_written_in_a_temporary_copy_is_not_on_record(workspace, monkeypatch):
    copy = workspace / ".dvc/tmp/exps/copy"
    copy.mkdir(parents=True)
    monkeypatch.chdir(copy)
    write_outputs(Path("raw"), "new")
    assert not (workspace / ".encore").exists()


def test_outputs_of_a_failing_block_replace_nothing(tmp_path):
    write_outputs(tmp_path / "raw", "old")
    with pytest.raises(ValueError, match="no"):
        fail_inside(tmp_path / "raw", ValueError("no"), outputs)
    assert contents(tmp_path) == {"raw/table.csv": "old", "raw/music/old.wav": "old"}


def refuse(monkeypatch: pytest.MonkeyPatch, number: int, is_refused: Callable[[Path], bool]) -> None:
    """Let fsync fail for some paths."""
    fsync = os.fsync

    def failing(descriptor: int) -> None:
        if is_refused(Path(f"/proc/self/fd/{descriptor}").resolve()):
            raise OSError(number, os.strerror(number))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", failing)


def test_a_folder_that_cannot_be_flushed_takes_back_all_outputs(tmp_path, monkeypatch):
    write_outputs(tmp_path / "raw", "old")
    refuse(monkeypatch, errno.EIO, lambda path: path == tmp_path / "raw")
    with pytest.raises(OSError, match="raw"):
        write_outputs(tmp_path / "raw", "new")
    assert contents(tmp_path) == {"raw/table.csv": "old", "raw/music/old.wav": "old"}
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]


def test_a_file_system_that_cannot_flush_folders_is_accepted(tmp_path, monkeypatch):
    refuse(monkeypatch, errno.EINVAL, Path.is_dir)
    write_outputs(tmp_path / "raw", "new")
    assert contents(tmp_path) == {"raw/table.csv": "new", "raw/music/new.wav": "new"}
    refuse(monkeypatch, errno.EINVAL, lambda path: path.name == "new.wav")
    with pytest.raises(OSError, match=r"new\.wav"):
        write_outputs(tmp_path / "raw", "new")


def test_a_file_is_flushed_while_it_grows_and_an_error_is_not_forgotten(tmp_path, monkeypatch):
    path, told = tmp_path / "rows", Event()
    path.touch()

    def is_refused(flushed: Path) -> bool:
        """Once: the kernel tells an error only to the first who asks."""
        is_first = flushed == path and not told.is_set()
        told.set()
        return is_first

    monkeypatch.setattr("stages.core.workspace.EARLY_S", 0.01)
    refuse(monkeypatch, errno.EIO, is_refused)
    with pytest.raises(OSError, match="rows"), flushed_early(path):
        assert told.wait(10)
    with flushed_early(path):
        pass


def test_everything_is_flushed_before_it_appears(tmp_path, monkeypatch):
    flushed = []
    refuse(
        monkeypatch, errno.EIO, lambda path: flushed.append((path.name, (tmp_path / "raw/music").exists()))
    )
    write_outputs(tmp_path / "raw", "new")
    before = {name for name, is_there in flushed if not is_there}
    assert before == {"new.wav", "music", "table.csv"}
    assert [name for name, is_there in flushed if is_there] == ["raw", tmp_path.name]


KILLED = """
import os, signal
from pathlib import Path
from stages.core.workspace import new_folder
with new_folder(Path("out")) as folder:
    (folder / "half.txt").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_block_keeps_the_old_content_and_the_next_cleans_up(workspace):
    Path("out").mkdir()
    Path("out/old.txt").write_text("old")
    environment = {**os.environ, "PYTHONPATH": str(REPO)}
    done = subprocess.run([sys.executable, "-c", KILLED], env=environment, check=False)
    assert done.returncode == -signal.SIGKILL
    assert [path.name for path in Path("out").iterdir()] == ["old.txt"]
    with new_folder(Path("out")) as folder:
        (folder / "new.txt").write_text("new")
    assert [path.name for path in Path("out").iterdir()] == ["new.txt"]
    assert [path.name for path in Path().iterdir()] == ["out"]


def test_dvc_root_is_the_root_wherever_a_stage_runs(tmp_path, monkeypatch):
    elsewhere = tmp_path / "temporary copy"
    elsewhere.mkdir()
    (elsewhere / ".dvc").mkdir()
    monkeypatch.chdir(elsewhere)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "home"))
    assert root() == tmp_path / "home"
    folder = work_cache("tracks")
    assert folder == tmp_path / "home" / ".encore" / "tracks"
    assert folder.is_dir()
    assert not (elsewhere / ".encore").exists()


def test_without_dvc_root_the_root_is_the_nearest_with_dvc(tmp_path, monkeypatch):
    (tmp_path / ".dvc").mkdir()
    (tmp_path / "a" / "b").mkdir(parents=True)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.chdir(tmp_path / "a" / "b")
    assert root() == tmp_path
