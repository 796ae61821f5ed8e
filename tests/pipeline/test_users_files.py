"""A user's files inside an output stop every guarded command, and nothing of Encore's own does."""

import copy
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from stages.core.errors import EncoreError
from stages.entry.foreign import check_outputs
from tests.pipeline.project import Project, stages_run
from tests.synthetic import REPO

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
MUSIC = "data/raw/music"


@pytest.fixture(scope="module")
def fetched(tmp_path_factory: pytest.TempPathFactory, music: Path) -> Project:
    """A project in which the first stage has run."""
    project = Project(tmp_path_factory.mktemp("project"), music)
    assert stages_run(project.dvc("exp", "run", "fetch", *project.settings())) == ["fetch"]
    project.commit("music")
    return project


@pytest.fixture
def project(fetched: Project, tmp_path: Path) -> Project:
    """A copy of it, for a test to damage."""
    project = copy.copy(fetched)
    project.folder = shutil.copytree(fetched.folder, tmp_path / "project", symlinks=True)
    return project


def line_of_check(project: Project, monkeypatch: pytest.MonkeyPatch) -> str:
    """What the check says; empty if it finds nothing."""
    monkeypatch.chdir(project.folder)
    monkeypatch.setenv("DVC_ROOT", str(project.folder))
    try:
        check_outputs(project.folder)
    except EncoreError as refused:
        return str(refused)
    return ""


def test_a_song_put_into_the_music_stops_every_command_and_stays(project: Project) -> None:
    song = project.folder / MUSIC / "low" / "mine.mp3"
    song.write_bytes(b"my song")
    settings = project.settings("train.seed=9")
    for command in (
        ["dvc", "exp", "run", *settings],
        ["dvc", "exp", "run", "--queue", *settings],
        ["python", "-m", "stages.check"],
    ):
        done = project.run(*command)
        assert done.returncode != 0, command
        assert done.stdout.count("\n") == 1, done.stdout
        assert f"{MUSIC} has files that are not Encore's" in done.stdout
        assert "low/mine.mp3" in done.stdout
        assert "dataset=folder dataset.path=" in done.stdout
        assert song.read_bytes() == b"my song"
    assert project.queue() == []
    assert project.git("status", "--short") == ""


def test_make_repro_checks_before_it_runs_anything() -> None:
    recipe = subprocess.run(
        ["make", "--dry-run", "repro"], cwd=REPO, capture_output=True, text=True, check=True
    ).stdout
    assert "python -m stages.check\ndvc repro\n" in recipe


def put_a_file(music: Path) -> None:
    (music / "new").mkdir()
    (music / "new" / "a.txt").write_text("mine")


def replace_a_file(music: Path) -> None:
    (music / "low" / "0.wav").write_bytes(b"mine, under a name of Encore's")


def copy_a_file(music: Path) -> None:
    shutil.copyfile(music / "low" / "0.wav", music / "low" / "my copy.wav")


def link_a_file(music: Path) -> None:
    (music.parent / "elsewhere.wav").write_bytes(b"elsewhere")
    (music / "linked.wav").symlink_to(music.parent / "elsewhere.wav")


def link_a_folder(music: Path) -> None:
    (music / "linked").symlink_to(music.parents[2] / "stages")


def link_to_nothing(music: Path) -> None:
    (music / "dangling").symlink_to("nowhere")


def put_a_pipe(music: Path) -> None:
    os.mkfifo(music / "pipe")


@pytest.mark.parametrize(
    ("put", "name"),
    [
        (put_a_file, "new/a.txt"),
        (replace_a_file, "low/0.wav"),
        (copy_a_file, "low/my copy.wav"),
        (link_a_file, "linked.wav"),
        (link_a_folder, "linked"),
        (link_to_nothing, "dangling"),
        (put_a_pipe, "pipe"),
    ],
)
def test_whatever_would_be_lost_is_named(put, name, project, monkeypatch):
    put(project.folder / MUSIC)
    line = line_of_check(project, monkeypatch)
    assert f"removed with them: {name};" in line
    assert "\n" not in line


def touch_all(project: Project) -> None:
    for path in (project.folder / MUSIC).rglob("*.wav"):
        os.utime(path)


def lose_the_lock(project: Project) -> None:
    """As `git checkout` of a commit in which nothing had run, with the outputs of a later one still there."""
    (project.folder / "dvc.lock").unlink()
    shutil.rmtree(project.folder / ".encore", ignore_errors=True)


def lose_cache_and_record(project: Project) -> None:
    shutil.rmtree(project.folder / ".dvc/cache")
    shutil.rmtree(project.folder / ".encore", ignore_errors=True)


def open_in_a_file_manager(project: Project) -> None:
    (project.folder / MUSIC / ".DS_Store").write_bytes(b"where the icons are")


def link_to_the_cache(project: Project) -> None:
    project.dvc("config", "--local", "cache.type", "symlink")
    project.dvc("checkout", "--relink", "--quiet", "fetch")
    assert (project.folder / MUSIC / "low/0.wav").is_symlink()
    lose_the_lock(project)


@pytest.mark.parametrize(
    "change", [touch_all, lose_the_lock, open_in_a_file_manager, link_to_the_cache, lose_cache_and_record]
)
def test_what_is_encores_or_in_the_cache_stops_nothing(change, project, monkeypatch):
    change(project)
    assert line_of_check(project, monkeypatch) == ""


def test_music_of_a_stage_that_died_before_dvc_had_it_stops_nothing(project, monkeypatch, tmp_path):
    other = tmp_path / "music" / "low" / "other.wav"
    other.parent.mkdir(parents=True)
    shutil.copyfile(project.music / "low/0.wav", other)
    with other.open("ab") as file:
        file.write(bytes(4))
    params = project.folder / "params.yaml"
    params.write_text(params.read_text().replace(str(project.music), str(tmp_path / "music")))
    done = project.run("python", "-m", "stages.fetch")  # as DVC runs it, but DVC then saves the output
    assert done.returncode == 0, done.stdout
    assert (project.folder / MUSIC / "low/other.wav").is_file()
    assert line_of_check(project, monkeypatch) == ""
    (project.folder / MUSIC / "mine.wav").write_bytes(b"mine")
    assert "removed with them: mine.wav;" in line_of_check(project, monkeypatch)
