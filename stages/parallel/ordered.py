"""Maps a pure function over items on all cores, or on a cluster, in order and in bounded memory."""

import warnings
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import chain, islice
from typing import Any, TypeVar

from stages.core.errors import EncoreError
from stages.core.runtime import runtime, workers
from stages.parallel.processes import Lost, isolated_map

AHEAD = 16  # items for each worker in one round: fewer cost time, more cost memory
MANY = 500  # items from which on processes, which take longer to start, are done before threads
TIMEOUT_S = 600.0  # far more than a track takes

Item = TypeVar("Item")
Result = TypeVar("Result")


def ordered_map(
    function: Callable[[Item], Result], items: Iterable[Item], total: int, doing: str
) -> Iterator[Result]:
    """Yield ``function(item)`` in the order of `items`, a few at a time, with a progress bar.

    Threads of this process do the work, processes if there are `MANY` items, since threads wait for each
    other wherever they enter Python, or `stages.parallel.cluster` with ``runtime.backend=dask``.

    Parameters
    ----------
    function : callable
        Picklable: a function of one of the project's modules, or a `functools.partial` of one.
    items : iterable
        Taken a few ahead.
    total : int
        How many items there are.
    doing : str
        Name of the progress bar.

    Raises
    ------
    EncoreError
        If an item ends or hangs every process that takes it; see also the modules beside this one.
    """
    settings, n_workers = runtime(), workers()
    if takes_processes(total):
        yield from _in_processes(function, items, total, doing)  # which has a bar of its own
        return
    if settings.backend == "dask" and settings.scheduler:
        from stages.parallel.cluster import cluster_map

        results = cluster_map(function, items, settings.scheduler)
    else:
        from joblib import Parallel

        parallel = Parallel(n_jobs=n_workers, prefer="threads", return_as="generator")
        results = in_rounds(parallel, function, items, lambda: n_workers)
    from tqdm import tqdm

    yield from tqdm(results, total=total, desc=doing, unit="track", disable=None)


def takes_processes(total: int) -> bool:
    """Whether `ordered_map` hands so many items to other processes of this machine."""
    return runtime().backend == "local" and workers() > 1 and total >= MANY


def _in_processes(
    function: Callable[[Item], Result], items: Iterable[Item], total: int, doing: str
) -> Iterator[Result]:
    for number, answer in enumerate(isolated_map(function, items, total, doing, TIMEOUT_S), 1):
        if isinstance(answer, Lost):
            raise EncoreError(f"{doing}: item {number} of {total} {answer.reason}")
        yield answer


def in_rounds(
    parallel: Any, function: Callable[[Item], Result], items: Iterable[Item], n_workers: Callable[[], int]
) -> Iterator[Result]:
    """Yield ``function(item)`` in the order of `items` by joblib's `parallel`.

    joblib bounds the items that it takes ahead, but not the results that wait for a slow reader. So it
    gets `AHEAD` items for each of `n_workers()` at a time, and more when these are done and read.
    """
    from joblib import delayed

    # says how much a reader that fails has left unread
    warnings.filterwarnings("ignore", category=UserWarning, module="joblib.parallel")
    rest = iter(items)
    with parallel:
        for first in rest:
            this_round = chain([first], islice(rest, AHEAD * n_workers() - 1))
            # An item that stood beside the function, as its argument, would go to one worker of a
            # cluster on its own, and be lost with it.
            yield from parallel(delayed(partial(function, item))() for item in this_round)
