"""Settings of the machine, which change no result."""

import os
import platform
import subprocess
import sys
import sysconfig
from importlib.metadata import version
from pathlib import Path

import pytest

from stages.core.runtime import runtime, workers
from tests.synthetic import REPO, edit_params, line_of, write_params


@pytest.fixture(autouse=True)
def _params(workspace):
    write_params("runtime.workers=2")


def test_zero_workers_means_one_per_core():
    edit_params("runtime", workers=0)
    assert workers() == os.cpu_count()
    edit_params("runtime", workers=3)
    assert workers() == 3


def test_runtime_section_is_read_and_checked():
    assert runtime().tracking == "off"
    Path("params.yaml").write_text(
        "runtime: {device: cpu, devices: 1, memory_gb: 4, workers: 1, tracking: on, cache_gb: 1, "
        "backend: local, scheduler: null}\n"
    )
    assert runtime().tracking == "on"


@pytest.mark.parametrize("scheduler", [None, "", "10.0.0.5", "10.0.0.5:8786", "http://10.0.0.5:8787"])
def test_dask_needs_the_address_of_its_scheduler(scheduler):
    edit_params("runtime", backend="dask", scheduler=scheduler)
    line = line_of(runtime)
    assert line.startswith(
        f"params.yaml: runtime.scheduler is {scheduler!r}, should be the address of a Dask"
    )


@pytest.mark.parametrize("device", ["cpu", "auto", "cuda"])
def test_more_devices_than_cores_are_refused(device, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    edit_params("runtime", device=device, devices=50)
    line = line_of(runtime)
    assert line.startswith("params.yaml: runtime.devices is 50, should be at most ")
    edit_params("runtime", devices=1)
    assert runtime().devices == 1


STEPS = """
import resource, sys
from stages.core.runtime import prepare_for_torch
if sys.argv[1] == "prepared":
    prepare_for_torch()
for _ in range(20):
    b"x" * 2**26
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_freed_memory_is_reused_without_being_cleared():
    command, env = [sys.executable, "-c", STEPS], {**os.environ, "PYTHONPATH": str(REPO)}
    default, prepared = (
        int(subprocess.check_output([*command, way], env=env)) for way in ("default", "prepared")
    )
    n_pages = 2**26 // os.sysconf("SC_PAGE_SIZE")
    assert default > 20 * n_pages
    assert prepared < default - 18 * n_pages


NUMBA_CACHE = """
import os
from stages.core.runtime import prepare_for_numba
prepare_for_numba()
print(os.environ.get("NUMBA_CACHE_DIR", "beside the code"))
"""
READ_ONLY = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'


def numba_cache(*prefix: str) -> subprocess.CompletedProcess[str]:
    command = [*prefix, sys.executable, "-c", NUMBA_CACHE]
    environment = os.environ | {"PYTHONPATH": str(REPO)}
    return subprocess.run(command, env=environment, capture_output=True, text=True)


def test_numba_caches_beside_the_code_by_default():
    assert numba_cache().stdout == "beside the code\n"


@pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="needs root to mount a folder read-only"
)
def test_numba_caches_in_the_work_cache_if_the_environment_is_read_only(workspace):
    environment = sysconfig.get_path("purelib")
    folder = workspace / ".encore/numba" / f"{version('numba')}-{version('librosa')}"
    folder.mkdir(parents=True)
    (folder / "complete").touch()  # else it compiles for half a minute
    done = numba_cache("unshare", "--mount", "sh", "-c", READ_ONLY, environment)
    if "unshare failed" in done.stderr or "permission denied" in done.stderr:
        pytest.skip("this machine lets nobody mount a folder read-only")
    assert done.stdout == f"{folder}\n", done.stderr
