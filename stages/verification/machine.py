"""What of this machine and its settings may change the bits of an output."""

import os
import re
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from packaging.requirements import Requirement

from stages.core.numerics import GIVEN, NumericsParams, has_avx2
from stages.core.params import check, read
from stages.core.runtime import cores


def explanations(folder: Path) -> list[str]:
    """Return what differs from the machines and settings for which the same bits are promised.

    Parameters
    ----------
    folder : Path
        Of a project, with its params.yaml and its lists of packages.
    """
    return [*_packages(folder), *_settings(folder / "params.yaml"), *_hardware(folder / "params.yaml")]


def is_exact(params: Path) -> bool:
    """Return whether a params.yaml promises the same bits."""
    return check(read("numerics", params), NumericsParams, "numerics").exact


def _packages(folder: Path) -> Iterator[str]:
    with (folder / "pyproject.toml").open("rb") as file:
        pinned = tomllib.load(file)["project"]["dependencies"]
    locked = (folder / "requirements.lock").read_text("utf-8").splitlines()
    for line in dict.fromkeys([*locked, *pinned]):  # torch is not in the lock
        wanted = Requirement(line)
        if wanted.marker is None or wanted.marker.evaluate():
            try:
                installed = version(wanted.name)
            except PackageNotFoundError:
                installed = ""
            if not installed or not wanted.specifier.contains(installed):  # torch's 2.13.0+cpu is 2.13.0
                found = installed or "not installed"
                yield f"{wanted.name} is {found}, and should be {wanted.specifier}: run make again"


def _settings(params: Path) -> Iterator[str]:
    if read("train", params)["compile"]:
        yield "train.compile is true: kernels are made for the CPU at hand"
    if is_exact(params):
        return
    yield "numerics.exact is false: models use the fastest kernels of this CPU, and all of its cores"
    for name, value in GIVEN.items():
        yield f"{name} is set to {value!r}"


def _hardware(params: Path) -> Iterator[str]:
    import torch

    if read("runtime", params)["device"] != "cpu" and (torch.cuda.is_available() or torch.mps.is_available()):
        yield "models ran on a GPU, whose bits are its own: runtime.device=cpu"
    if not has_avx2():
        yield "this CPU has no AVX2, or this is no Linux on x86-64: the same bits are not promised"


def description() -> str:
    """Return the CPU, its cores and the C library in a line."""
    name = "an unknown CPU"
    with suppress(OSError):
        found = re.search(r"^model name\s*:\s*(.*)$", Path("/proc/cpuinfo").read_text("utf-8"), re.MULTILINE)
        name = found[1] if found else name
    library = ""
    with suppress(ValueError, OSError):
        library = f", {os.confstr('CS_GNU_LIBC_VERSION')}"
    return f"{name}, {cores()} core{'s' if cores() > 1 else ''}{library}"
