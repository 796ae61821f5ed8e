"""What only saves time or memory changes no byte of any output, in any stage."""

import hashlib
import importlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from stages.parallel import ordered
from tests.cluster import Cluster
from tests.synthetic import edit_params, write_music, write_params

pytestmark = pytest.mark.slow

STAGES = ("fetch", "decode", "segment", "split", "extract", "pictures", "baseline", "train", "evaluate")
TINY = (
    "model=bare/mlp",
    "train.epochs=2",
    "features.include=[mfcc,mel]",
    "pictures.duration_s=1.0",
    "evaluate.bootstrap_samples=100",
    "runtime.workers=2",
    "runtime.memory_gb=4",
)


def outputs() -> dict[str, str]:
    """Run all stages; return the SHA-256 of each file that they write."""
    shutil.rmtree("data", ignore_errors=True)
    for stage in STAGES:
        importlib.import_module(f"stages.{stage}").main()
    files = [path for path in Path("data").rglob("*") if path.is_file()]
    return {path.as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def defaults(module_workspace: Path) -> dict[str, str]:
    """The outputs with all shortcuts, of which the work cache is empty at first."""
    shutil.rmtree(write_music(Path("music"), per_class=3, seconds=1.5) / "rock")
    write_params("dataset=folder", f"dataset.path={module_workspace}/music", *TINY)
    return outputs()


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a cluster of one worker."""
    cluster = Cluster(tmp_path_factory.mktemp("cluster"), deaths=1)
    cluster.start_worker()
    cluster.wait_for(1)
    yield cluster.address
    cluster.end()


@pytest.fixture
def cold(defaults: dict[str, str]) -> Iterator[dict[str, str]]:
    """The same outputs, and an empty work cache, since what is there is not computed again."""
    before = Path("params.yaml").read_bytes()
    shutil.rmtree(".encore")
    yield defaults
    Path("params.yaml").write_bytes(before)


def test_a_full_work_cache_changes_no_byte(defaults: dict[str, str]) -> None:
    assert outputs() == defaults


@pytest.mark.parametrize("changes", [{"cache_gb": 0.0}, {"workers": 1, "memory_gb": 0.0}], ids=str)
def test_settings_that_cost_time_change_no_byte(cold: dict[str, str], changes: dict[str, float]) -> None:
    edit_params("runtime", **changes)
    assert outputs() == cold


def test_a_work_cache_that_cannot_be_written_changes_no_byte(cold: dict[str, str]) -> None:
    Path(".encore").write_text("no folder")
    assert outputs() == cold
    Path(".encore").unlink()
    Path(".encore").mkdir()


def test_processes_instead_of_threads_change_no_byte(
    cold: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ordered, "MANY", 1)
    assert outputs() == cold


def test_a_cluster_changes_no_byte(cold: dict[str, str], scheduler: str) -> None:
    edit_params("runtime", backend="dask", scheduler=scheduler)
    assert outputs() == cold
