"""A user's mistake and a full disk end in one line; a bug does not hide."""

import errno
import sys

import pytest

from stages.core.errors import EncoreError, run


def ending(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> object:
    def stage() -> None:
        raise error

    monkeypatch.setattr(sys, "argv", ["stage"])
    with pytest.raises(SystemExit) as ended:
        run(stage)
    return ended.value.code


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (EncoreError("what, where, what to do"), "error: what, where, what to do"),
        (
            FileNotFoundError(errno.ENOENT, "No such file", "data/raw/tracks.csv"),
            "`dvc repro` makes what is missing",
        ),
        (OSError(errno.ENOSPC, "No space left on device"), "error: disk full: make room and run again"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "error: disk full: make room and run again"),
    ],
)
def test_mistakes_end_in_one_line(monkeypatch, error, line):
    told = str(ending(monkeypatch, error))
    assert told.startswith("error: ")
    assert line in told
    assert "\n" not in told


def test_an_interrupt_ends_with_its_status(monkeypatch):
    assert ending(monkeypatch, KeyboardInterrupt()) == 130


@pytest.mark.parametrize(
    "error", [ValueError("bug"), PermissionError(errno.EACCES, "no"), FileNotFoundError("x")]
)
def test_a_bug_keeps_its_traceback(monkeypatch, error):
    def stage() -> None:
        raise error

    monkeypatch.setattr(sys, "argv", ["stage"])
    with pytest.raises(type(error)):
        run(stage)
