"""Fixtures that several test files share."""

import os

# Before anything loads torch: two test workers with two threads each would fight over two cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Some containers set it; each of the many processes that tests start would compile the project's code again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

import pytest

import stages  # noqa: F401  # before numpy, whose kernels it chooses
from tests.synthetic import NO_GTZAN

# test_experiments prepares what test_pipeline needs, which therefore begins some minutes later.
FIRST = ("test_experiments.py", "test_train.py", "test_tracking.py", "test_extract.py", "test_pipeline.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files of slow tests: no worker is left with one when the others are done."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    first = {name: place for place, name in enumerate(FIRST)}
    items.sort(key=lambda item: (first.get(item.path.name, len(FIRST)), item.path not in slow))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say at the end that tests on real music were skipped, which nobody sees in a column of dots."""
    skipped = terminalreporter.stats.get("skipped", [])
    if n := sum(NO_GTZAN in str(report.longrepr) for report in skipped):
        terminalreporter.section(f"{n} tests were SKIPPED: {NO_GTZAN}", yellow=True, bold=True)


@pytest.fixture(scope="session", autouse=True)
def _no_surroundings():
    """Nothing that the caller's shell says about DVC or MLflow reaches a test."""
    patch = pytest.MonkeyPatch()
    for name in [*os.environ]:
        if name.startswith(("DVC_", "MLFLOW_")):
            patch.delenv(name)
    patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    yield
    patch.undo()


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    """An empty workspace, and the current folder: stages run here as they do in the project's root."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    return tmp_path


@pytest.fixture(scope="module")
def module_workspace(tmp_path_factory):
    """The same for a whole test file, where building it is slow."""
    folder = tmp_path_factory.mktemp("workspace")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("DVC_ROOT", str(folder))
        yield folder


@pytest.fixture(scope="session")
def fork_server():
    """The process that workers are forked from, with the modules that tests of them import."""
    from stages.parallel.processes import prepare

    prepare(["pytest", "tests.synthetic", "stages.audio.files"])


@pytest.fixture(scope="module", autouse=True)
def _no_store_of_the_file_before():
    """MLflow puts the store that it uses into the environment, for processes that are started later."""
    yield
    os.environ.pop("MLFLOW_TRACKING_URI", None)
