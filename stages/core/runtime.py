"""The `runtime` section: settings of the machine, which change no result."""

import os
import re
import sysconfig
from contextlib import suppress
from ctypes import CDLL
from functools import cache
from importlib.metadata import version
from typing import Literal

from pydantic import Field, model_validator

from stages.core.params import Params, load
from stages.core.workspace import work_cache

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of glibc's malloc.h


class RuntimeParams(Params):
    """Parameters that change no result.

    Attributes
    ----------
    device : {'auto', 'cpu', 'cuda', 'mps'}
        Where models run; auto: the first available one of CUDA, MPS and CPU.
    devices : int
        Number of devices that train together (DDP), at most one per core; on a CPU, of processes.
    memory_gb : float
        Maximum size, in 10⁹ bytes, of a split's features that training keeps in memory; larger ones are
        streamed.
    workers : int
        Number of workers for audio on this machine; 0: one per core.
    backend : {'local', 'dask'}
        Where features are extracted: on this machine, or on a Dask cluster.
    scheduler : str or None
        Address of the cluster's scheduler.
    tracking : {'on', 'off'}
        Whether runs are logged to MLflow.
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

    @model_validator(mode="after")
    def _devices_can_be_there(self) -> "RuntimeParams":
        # torch says later how many GPUs there are; no machine has more of them than cores
        most = 1 if self.devices == 1 else cores() if self.device == "cpu" else os.cpu_count() or 1
        if self.devices > most:
            raise ValueError(
                f"devices is {self.devices}, should be at most {most}: this machine has {most} cores"
            )
        return self


def runtime() -> RuntimeParams:
    """Read and check the `runtime` section of params.yaml."""
    return load("runtime", RuntimeParams)


def prepare_for_torch() -> None:
    """Make idle threads sleep and freed memory reusable; call it before torch is imported.

    By default idle threads spin, which slows training several times beside other work, such as
    ``dvc queue start -j 2``.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    keep_freed_memory()


def is_first_process() -> bool:
    """Whether this process trains alone, or is the first of those that train together.

    Lightning Fabric numbers the others in LOCAL_RANK.
    """
    return os.environ.get("LOCAL_RANK", "0") == "0"


@cache
def keep_freed_memory() -> None:
    """Keep the memory that a step of training, or a track, frees for the next one.

    glibc returns large blocks to the kernel, which must clear their pages again: up to a third of an epoch,
    or of a track's features. See mallopt(3). Other C libraries are not changed.
    """
    with suppress(OSError):
        mallopt = CDLL("libc.so.6").mallopt
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, -1)


def prepare_for_numba() -> None:
    """Let numba, behind librosa, cache what it compiles in the work cache if the environment is read-only.

    Otherwise it fails at import where the home folder cannot be written either, as in many containers. One
    process compiles what librosa needs while the others wait, since two at once can leave a cache that
    crashes every later process (numba issue 10128).
    """
    if "NUMBA_CACHE_DIR" in os.environ or os.access(sysconfig.get_path("purelib"), os.W_OK):
        return
    from filelock import FileLock

    folder = work_cache(f"numba/{version('numba')}-{version('librosa')}")
    os.environ["NUMBA_CACHE_DIR"] = str(folder)
    is_compiled = folder / "complete"
    with FileLock(work_cache("locks") / "numba.lock"):
        if not is_compiled.exists():
            import librosa.core.audio
            import librosa.core.pitch
            import librosa.effects
            import numpy as np

            librosa.effects.time_stretch(np.zeros(4096, np.float32), rate=2.0)
            is_compiled.touch()


def workers() -> int:
    """Return the number of workers for audio, at least one."""
    return runtime().workers or cores()


def cores() -> int:
    """Return how many cores containers and CPU affinity allow."""
    from joblib import cpu_count

    return int(cpu_count())
