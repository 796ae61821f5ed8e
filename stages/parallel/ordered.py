"""Map a function over items on all cores, or on a Dask cluster, in order and in bounded memory."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from stages.core.errors import EncoreError
from stages.core.runtime import runtime, workers
from stages.parallel.processes import Lost, isolated_map
from stages.parallel.threads import thread_map

MANY = 500  # from this number of items on, the start of processes costs less than threads lose
TIMEOUT_S = 600.0  # far more than a track takes

Item = TypeVar("Item")
Result = TypeVar("Result")


def ordered_map(
    function: Callable[[Item], Result], items: Iterable[Item], total: int, doing: str
) -> Iterator[Result]:
    """Yield ``function(item)`` in the order of `items`, with a progress bar.

    With ``runtime.backend=dask`` a Dask cluster does the work. On this machine threads do it, or processes
    if there are at least `MANY` items: threads wait for each other wherever they run Python code.

    Parameters
    ----------
    function : callable
        Picklable: a function of one of the project's modules, or a `functools.partial` of one.
    items : iterable
        Read a few items ahead; see `stages.parallel.window`.
    total : int
        Number of items.
    doing : str
        Name of the progress bar.

    Raises
    ------
    EncoreError
        If an item kills or blocks every process that takes it, or for one of the reasons that
        `isolated_map` and `cluster_map` name.
    """
    settings = runtime()
    if takes_processes(total):
        answers = isolated_map(function, items, total, doing, TIMEOUT_S)
        for number, answer in enumerate(answers, 1):
            if isinstance(answer, Lost):
                raise EncoreError(f"{doing}: item {number} of {total} {answer.reason}")
            yield answer
    elif settings.backend == "dask" and settings.scheduler:
        from stages.parallel.cluster import cluster_map

        yield from cluster_map(function, items, total, doing, settings.scheduler)
    else:
        yield from thread_map(function, items, total, doing)


def takes_processes(total: int) -> bool:
    """Return whether `ordered_map` uses processes of this machine for this number of items."""
    return runtime().backend == "local" and workers() > 1 and total >= MANY
