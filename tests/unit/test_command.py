"""How a command ends: a mistake or a full disk in one line, a bug with a traceback."""

import errno
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from stages.core.errors import EncoreError
from stages.entry.command import run, run_command
from tests.synthetic import REPO, edit_params, run_stage, write_params

pytestmark = pytest.mark.slow

RUNNERS = [run, run_command]


@pytest.fixture(autouse=True)
def _params(workspace, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["stage"])
    write_params()


def exit_code(runner: Callable[[Callable[[], None]], None], error: BaseException) -> object:
    """What the process exits with when a command raises `error`."""

    def command() -> None:
        raise error

    with pytest.raises(SystemExit) as ended:
        runner(command)
    return ended.value.code


@pytest.mark.parametrize("runner", RUNNERS)
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
        (
            OSError(errno.EIO, "Input/output error", "data/audio/audio.h5"),
            "audio.h5: the disk, or the network",
        ),
        (OSError(errno.EROFS, "Read-only file system"), "error: the disk is read-only"),
        (OSError(errno.EFBIG, "File too large"), "`ulimit -f` allows"),
        (OSError(errno.EACCES, "Permission denied", "/else/here"), "/else/here: no permission"),
    ],
)
def test_mistakes_end_in_one_line(runner, error, line):
    message = str(exit_code(runner, error))
    assert message.startswith("error: ")
    assert line in message
    assert "\n" not in message


@pytest.mark.parametrize("runner", RUNNERS)
def test_interrupt_ends_with_its_exit_status(runner):
    assert exit_code(runner, KeyboardInterrupt()) == 130


@pytest.mark.parametrize("runner", RUNNERS)
@pytest.mark.parametrize(
    "error",
    [
        ValueError("bug"),
        OSError(errno.EBADF, "no"),
        BrokenPipeError(errno.EPIPE, "no"),
        FileNotFoundError("x"),
    ],
)
def test_bug_keeps_its_traceback(runner, error):
    def command() -> None:
        raise error

    with pytest.raises(type(error)):
        runner(command)


@pytest.mark.parametrize("runner", RUNNERS)
@pytest.mark.parametrize(("argument", "code"), [("-h", 0), ("--help", 0), ("--fast", 2)])
def test_help_is_the_docstring_and_nothing_runs(runner, argument, code, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["stage", argument])
    Path("params.yaml").unlink()
    called = []

    def command() -> None:
        called.append(True)

    with pytest.raises(SystemExit) as ended:
        runner(command)
    assert ended.value.code == code
    assert capsys.readouterr().out.strip() == __doc__
    assert not called


@pytest.mark.parametrize(
    ("stage", "section", "changes", "key", "value"),
    [
        ("train", "train", {"epochs": 0}, "train.epochs", "0"),
        ("fetch", "train", {"epochs": 0}, "train.epochs", "0"),
        ("decode", "schedule", {"name": "triangle"}, "schedule.name", "triangle"),
        ("segment", "augment", {"time_resized_crop": 3.0}, "augment.time_resized_crop", "3.0"),
        ("extract", "features", {"hop_length": -512}, "features.hop_length", "-512"),
        ("pictures", "split", {"bogus": 1}, "split.bogus", "unknown"),
        ("baseline", "model", {"widht": 1}, "model.widht", "unknown"),
        ("evaluate", "dataset", {"fraction": 2.0}, "dataset.fraction", "2.0"),
        ("split", "model", {"feature": "chroma"}, "model.feature", "chroma"),
    ],
)
def test_any_stage_refuses_a_wrong_value_of_any_section(workspace, stage, section, changes, key, value):
    edit_params(section, **changes)
    ended = run_stage(stage, workspace)
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert len(ended.stderr.splitlines()) == 1, ended.stderr
    assert ended.stderr.startswith("error: params.yaml: ")
    assert key in ended.stderr
    assert value in ended.stderr
    assert not Path("data").exists()


def test_command_that_is_not_a_stage_runs_despite_wrong_parameters():
    edit_params("train", epochs=0)
    called = []
    run_command(lambda: called.append(True))
    assert called


PROBE = """
import sys
from stages.entry.registry import check_params
check_params()
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


def test_check_of_params_yaml_imports_nothing_slow(workspace):
    command = [sys.executable, "-c", PROBE]
    env = {"PYTHONPATH": str(REPO), "PATH": "/usr/bin:/bin", "HOME": str(workspace)}
    modules = subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout.split()
    assert not set(modules) & {
        "torch", "models", "mlflow", "sklearn", "scipy", "matplotlib", "kaggle", "librosa", "dvc"
    }  # fmt: skip
