"""The `runtime` group: what differs between machines and changes no result."""

import os
import re
from contextlib import suppress
from ctypes import CDLL
from typing import Literal

from pydantic import Field, model_validator

from stages.core.params import Params, load

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of glibc's malloc.h


class RuntimeParams(Params):
    """Parameters that change no result.

    Attributes
    ----------
    device : {'auto', 'cpu', 'cuda', 'mps'}
        Where models run; auto takes the first of CUDA, MPS and CPU that is there.
    devices : int
        How many of that kind train together (DDP); on a CPU, processes.
    memory_gb : float
        Features of a side up to this size (10⁹ bytes) stay in memory in training; larger are streamed.
    workers : int
        Workers for audio on this machine; 0 means one per core.
    backend : {'local', 'dask'}
        Where features are extracted: on this machine, or on a Dask cluster.
    scheduler : str or None
        Address of the cluster's scheduler.
    tracking : {'on', 'off'}
        Whether runs go to MLflow.
    cache_gb : float
        Size of the work cache's entries in 10⁹ bytes; the longest unused are deleted first.
    """

    device: Literal["auto", "cpu", "cuda", "mps"]
    devices: int = Field(ge=1)
    memory_gb: float = Field(ge=0)
    workers: int = Field(ge=0)
    backend: Literal["local", "dask"]
    scheduler: str | None
    tracking: Literal["on", "off"]
    cache_gb: float = Field(ge=0)

    @model_validator(mode="after")
    def _scheduler_is_given(self) -> "RuntimeParams":
        if self.backend == "dask" and not re.fullmatch(r"(tcp|tls)://\S+:\d+", self.scheduler or ""):
            raise ValueError(
                f"scheduler is {self.scheduler!r}, should be the address of a Dask scheduler such as "
                "tcp://10.0.0.5:8786, since runtime.backend is dask"
            )
        return self


def runtime() -> RuntimeParams:
    """The checked `runtime` section of params.yaml."""
    return load("runtime", RuntimeParams)


def prepare_for_torch() -> None:
    """Let idle threads sleep and freed memory be used again; call it before torch is imported.

    By default threads spin, which next to other work (``dvc queue start -j 2``) slows training several times.
    And glibc gives large blocks back to the kernel, which clears their pages anew for the next step: up to a
    third of an epoch. See mallopt(3); other C libraries are left alone.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    with suppress(OSError):
        mallopt = CDLL("libc.so.6").mallopt
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, -1)


def workers() -> int:
    """How many workers to use for audio, at least one."""
    from joblib import cpu_count

    return runtime().workers or int(cpu_count())  # as containers and affinity allow
