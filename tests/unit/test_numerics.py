"""The stages give the same bytes in processes that pretend to be other machines."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from stages.core import numerics
from tests.campaigns.workspace import digests
from tests.synthetic import REPO, write_music, write_params

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not numerics.has_avx2(), reason="the same bits are promised where there is AVX2"),
]
RUN = """
import importlib, pathlib, shutil
def run(*stages):
    for stage in stages:
        importlib.import_module(f"stages.{stage}").main()
run("fetch", "decode", "segment", "split", "extract", "baseline", "train", "evaluate")
shutil.copytree("data", "cnn")
shutil.copy("lstm.yaml", "params.yaml")
run("train", "evaluate")
"""
SETTINGS = (
    "dataset=folder",
    "split=stratified",
    "features.include=[mfcc,mel,chroma,contrast]",
    "features.contrast.n_bands=4",
    "train.epochs=2",
    "runtime.workers=2",
    "evaluate.bootstrap_samples=100",
)
# What a CPU of another brand, or without AVX-512, makes of the math library, MKL and numpy.
NO_AVX512 = "glibc.cpu.hwcaps=-AVX512F,-AVX512VL,-AVX512BW,-AVX512CD,-AVX512DQ"
MACHINES: dict[str, Mapping[str, str]] = {
    "one core": {},
    "another CPU, and another user's settings": {
        "OMP_NUM_THREADS": "8",
        "MKL_DYNAMIC": "FALSE",  # else two cores hide what more threads change
        "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",
        "GLIBC_TUNABLES": NO_AVX512,
        "ATEN_CPU_CAPABILITY": "default",
        "ONEDNN_MAX_CPU_ISA": "SSE41",
        "MKL_CBWR": "AUTO",
        "MKL_NUM_THREADS": "4",
        "NPY_DISABLE_CPU_FEATURES": "",
        "OPENBLAS_CORETYPE": "Prescott",
        "OPENBLAS_NUM_THREADS": "4",
    },
}


def outputs(folder: Path, machine: Mapping[str, str], cores: set[int]) -> dict[str, str]:
    """Run all stages in a process with these settings; return the SHA-256 of each output, by its path."""
    others = {key: value for key, value in os.environ.items() if key not in numerics.OF_NUMPY}
    done = subprocess.run(
        [sys.executable, "-c", RUN],
        cwd=folder,
        env={**others, "PYTHONPATH": str(REPO), "DVC_ROOT": str(folder), **machine},
        preexec_fn=lambda: os.sched_setaffinity(0, cores),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return {
        f"{part}/{name}": digest
        for part in ("data", "cnn")
        for name, digest in digests(folder / part).items()
    }


def write_both(folder: Path, music: Path) -> None:
    """The parameters of a convolutional network, and of a recurrent one that comes after it."""
    for model, name in (("lstm", "lstm.yaml"), ("encore_cnn", "params.yaml")):
        write_params(f"model=bare/{model}", f"dataset.path={music}", *SETTINGS)
        Path("params.yaml").rename(folder / name)


@pytest.fixture(scope="module")
def music(tmp_path_factory) -> Path:
    return write_music(tmp_path_factory.mktemp("music") / "music", per_class=5, seconds=2.2)


@pytest.fixture(scope="module")
def here(module_workspace, music) -> dict[str, str]:
    """The outputs of this machine as it is."""
    (module_workspace / "here").mkdir()
    write_both(module_workspace / "here", music)
    return outputs(module_workspace / "here", {}, os.sched_getaffinity(0))


@pytest.mark.parametrize("machine", MACHINES)
def test_another_machine_gives_the_same_bytes(here, music, machine, workspace):
    write_both(workspace, music)
    cores = os.sched_getaffinity(0)
    found = outputs(workspace, MACHINES[machine], {min(cores)} if machine == "one core" else cores)
    assert found == here
    assert {"cnn/model/weights.safetensors", "data/model/weights.safetensors"} <= found.keys()


def test_inexact_models_leave_the_libraries_to_choose(workspace, monkeypatch):
    for name in numerics.OF_TORCH:
        monkeypatch.setenv(name, "")  # so that it is restored, whatever comes
        monkeypatch.delenv(name)
    write_params("numerics.exact=false")
    numerics.pin_models()
    assert not numerics.OF_TORCH.keys() & os.environ.keys()
    write_params("numerics.exact=true")
    numerics.pin_models()
    assert numerics.OF_TORCH.items() <= os.environ.items()
