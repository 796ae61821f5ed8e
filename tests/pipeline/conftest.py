"""Projects to run DVC in."""

import shutil
from pathlib import Path

import pytest
from filelock import FileLock

from tests.pipeline.project import Project, write_music


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A folder that all test workers have in common."""
    base = tmp_path_factory.getbasetemp()
    return base if worker_id == "master" else base.parent


@pytest.fixture(scope="session")
def music(shared: Path) -> Path:
    """A folder of music."""
    folder = shared / "music"
    with FileLock(shared / "music.lock"):
        if not folder.exists():
            write_music(folder)
    return folder


@pytest.fixture(scope="session")
def explored(shared: Path, music: Path) -> Project:
    """A fresh clone with dvc.lock and an empty cache, in which four experiments were queued first of all.

    It is made once for all workers, since it takes minutes. What `dvc queue status` then says is in the file
    queue.txt beside it.
    """
    with FileLock(shared / "explored.lock"):
        if not (shared / "queue.txt").exists():
            (shared / "origin").mkdir()
            origin = Project(shared / "origin", music, keep_lock=True)
            clone = origin.clone(shared / "explored")
            assert (clone.folder / "dvc.lock").is_file()
            assert not (clone.folder / ".dvc/cache").exists()
            clone.dvc("config", "--local", "cache.type", "hardlink,copy")  # as `make repro` does where it can
            clone.dvc("exp", "run", "--queue", *clone.settings("model=mlp,cnn,lstm,encore_cnn"))
            clone.dvc("queue", "start", "--jobs", "2", timeout_s=560)
            clone.wait_for_queue()
            # for `built`: experiments of one worker change the clone while another copies it
            no_tmp = shutil.ignore_patterns("tmp")
            shutil.copytree(clone.folder, shared / "as_queued", symlinks=True, ignore=no_tmp)
            (shared / "queue.txt").write_text(clone.dvc("queue", "status"))
    return Project.existing(shared / "explored", music)


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory, shared: Path, explored: Project) -> Project:
    """A copy of the clone, with the small pipeline's outputs restored from its cache and committed."""
    folder = tmp_path_factory.mktemp("project") / "encore"
    shutil.copytree(shared / "as_queued", folder, symlinks=True)
    project = Project.existing(folder, explored.music)
    assert project.experiment() == []
    project.commit("a first run")
    return project


@pytest.fixture(scope="module")
def project(built: Project) -> Project:
    """The project as it was committed, whatever the tests before have left."""
    built.reset()
    return built
