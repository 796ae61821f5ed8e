"""Projects to run DVC in."""

from pathlib import Path

import pytest

from tests.pipeline.project import Project, write_music


@pytest.fixture(scope="session")
def music(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of music."""
    folder = tmp_path_factory.mktemp("music")
    write_music(folder)
    return folder


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory, music: Path) -> Project:
    """One project for all tests, with the small pipeline run and committed."""
    project = Project(tmp_path_factory.mktemp("project"), music)
    project.experiment()
    project.commit("a first run")
    return project


@pytest.fixture(scope="module")
def project(built: Project) -> Project:
    """The project as it was committed, whatever the tests before have left."""
    built.reset()
    return built
