"""The `runtime` group: what differs between machines and changes no result."""

import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal, TypeVar

from pydantic import Field

from stages.params import Params, load


class RuntimeParams(Params):
    """Parameters that change no result.

    Attributes
    ----------
    device : {'auto', 'cpu', 'cuda', 'mps'}
        Where models run; auto takes the first of CUDA, MPS and CPU that is there.
    workers : int
        Workers for audio; 0 means one per core.
    tracking : {'on', 'off'}
        Whether runs go to MLflow.
    cache_gb : float
        Size of the work cache's pieces in 10⁹ bytes; the oldest go first.
    """

    device: Literal["auto", "cpu", "cuda", "mps"]
    workers: int = Field(ge=0)
    tracking: Literal["on", "off"]
    cache_gb: float = Field(ge=0)


def runtime() -> RuntimeParams:
    """The checked `runtime` section of params.yaml."""
    return load("runtime", RuntimeParams)


def wait_without_spinning() -> None:
    """Let idle threads of a transform sleep; call it before torch is imported.

    By default they spin, which next to other work (``dvc queue start -j 2``) slows training several times.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")


def workers() -> int:
    """How many workers to use for audio, at least one."""
    from joblib import cpu_count

    return runtime().workers or int(cpu_count())  # as containers and affinity allow


Item = TypeVar("Item")
Result = TypeVar("Result")


def ordered_map(
    function: Callable[[Item], Result], items: Iterable[Item], total: int, doing: str
) -> Iterator[Result]:
    """Yield ``function(item)`` in the order of `items`, a few at a time in threads, with a progress bar.

    Threads suit work that leaves Python, such as transforms; for the rest there is `stages.isolated`.
    """
    from joblib import Parallel, delayed
    from tqdm import tqdm

    parallel: Any = Parallel(n_jobs=workers(), prefer="threads", return_as="generator")
    results = parallel(delayed(function)(item) for item in items)
    yield from tqdm(results, total=total, desc=doing, unit="track", disable=None)
