"""Projects to run DVC in."""

from collections.abc import Callable

import pytest

from tests.pipeline.project import Project, write_music


@pytest.fixture(scope="module")
def make_project(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Project]:
    """Make projects in folders of their own, all on the same music."""
    music = tmp_path_factory.mktemp("music")
    write_music(music)
    return lambda: Project(tmp_path_factory.mktemp("project"), music)


@pytest.fixture(scope="module")
def project(make_project: Callable[[], Project]) -> Project:
    """One project for a module's tests, with the small pipeline run and committed."""
    project = make_project()
    project.experiment()
    project.commit("a first run")
    return project
