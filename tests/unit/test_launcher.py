"""The command `encore`, as `make` has put it into the environment that the tests run in."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from stages.entry.commands import COMMANDS, EXIT_CODES
from tests.synthetic import REPO

pytestmark = pytest.mark.slow

ENVIRONMENT = Path(sys.prefix)


def called(launcher: Path, *words: str, cwd: Path, status: int = 0, **environment: str) -> str:
    """What it prints, remarks included."""
    bare = {"PATH": "/usr/bin:/bin", "HOME": os.environ["HOME"]}  # no environment is active
    done = subprocess.run(
        [launcher, *words],
        cwd=cwd,
        env=bare | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == status, done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """Another checkout, linked to this environment."""
    folder = tmp_path_factory.mktemp("other") / "a checkout"
    for name in ("stages", "models", "conf"):
        shutil.copytree(REPO / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("params.yaml", "pyproject.toml"):
        shutil.copy(REPO / name, folder)
    (folder / ".dvc").mkdir()
    (folder / ".venv").symlink_to(ENVIRONMENT)
    return folder


@pytest.fixture
def encore(checkout):
    return checkout / ".venv/bin/encore"


def test_it_runs_the_code_of_the_checkout_that_it_is_called_through(encore, checkout, tmp_path):
    assert called(encore, "--version", cwd=tmp_path).rstrip().endswith(f", {checkout}")
    (tmp_path / "link").symlink_to(encore)
    for surroundings in ({}, {"PYTHONSAFEPATH": "1"}, {"PYTHONPATH": str(REPO)}, {"DVC_ROOT": str(REPO)}):
        for launcher, cwd in ((encore, REPO), (tmp_path / "link", tmp_path)):
            assert called(launcher, "--version", cwd=cwd, **surroundings).rstrip().endswith(f", {checkout}")


def test_a_stage_of_a_copy_keeps_its_own_code_whatever_encore_runs(checkout, tmp_path):
    """As `dvc exp run --temp` starts it: in a copy, with the environment of another checkout."""
    copy = tmp_path / ".dvc/tmp/exps/copy"
    shutil.copytree(checkout / "stages", copy / "stages", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(checkout / "models", copy / "models", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(checkout / "params.yaml", copy)
    (copy / "stages/where.py").write_text("import stages\nprint(stages.__file__)\n")
    found = called(ENVIRONMENT / "bin/python", "-m", "stages.where", cwd=copy, DVC_ROOT=str(checkout))
    assert found.strip() == str(copy / "stages/__init__.py")


def test_help_lists_every_command_in_narrow_terminals_too(encore, checkout, tmp_path):
    for columns in (60, 110):
        lines = called(encore, "--help", cwd=tmp_path, COLUMNS=str(columns)).splitlines()
        listed = [line.split()[0] for line in lines if re.match(r"  \w", line)]
        assert listed == list(COMMANDS)
        assert max(len(line) for line in lines if str(checkout) not in line) <= columns
    assert EXIT_CODES in lines
    assert (
        called(encore, "-h", cwd=tmp_path)
        == called(encore, "help", cwd=tmp_path)
        == called(encore, cwd=tmp_path)
    )
    for command in COMMANDS:
        assert (REPO / f"stages/{command}.py").is_file()


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_each_command_names_it(encore, tmp_path, command):
    text = called(encore, command, "--help", cwd=tmp_path)
    assert f"encore {command}" in text
    assert "python -m stages" not in text


def test_an_unknown_command_is_wrong_usage(encore, tmp_path):
    text = called(encore, "predikt", "x", cwd=tmp_path, status=2)
    assert text == "error: predikt: no command of encore; did you mean predict?; `encore --help` lists them\n"


def test_a_mistake_ends_in_one_line(encore, checkout, tmp_path):
    (tmp_path / "song.wav").touch()
    text = called(encore, "predict", "song.wav", cwd=tmp_path, status=1)
    todo = "`make repro` trains one, or --run NAME of a finished run"
    assert text == f"error: {checkout}/data/model: has no model.json; {todo}\n"
    assert called(encore, "predict", "gone.wav", cwd=tmp_path, status=1).startswith(
        "error: gone.wav: no such file"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["song.wav"]
