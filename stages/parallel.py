"""Maps a pure function over items on all cores, or on a cluster, in order and in bounded memory."""

import warnings
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import chain, islice
from typing import Any, TypeVar

from stages.runtime import runtime, workers

AHEAD = 16  # items for each worker in one round: fewer cost time, more cost memory

Item = TypeVar("Item")
Result = TypeVar("Result")


def ordered_map(
    function: Callable[[Item], Result], items: Iterable[Item], total: int, doing: str
) -> Iterator[Result]:
    """Yield ``function(item)`` in the order of `items`, a few at a time, with a progress bar.

    Threads of this process do the work or, with ``runtime.backend=dask``, `stages.cluster`. Threads suit
    work that leaves Python, such as transforms; for the rest there is `stages.isolated`.

    Parameters
    ----------
    function : callable
        For a cluster picklable, and from a module of the project.
    items : iterable
        Taken a few ahead.
    total : int
        How many items there are.
    doing : str
        Name of the progress bar.
    """
    from joblib import Parallel
    from tqdm import tqdm

    settings = runtime()
    if settings.backend == "dask" and settings.scheduler:
        from stages.cluster import cluster_map

        results = cluster_map(function, items, settings.scheduler)
    else:
        n_workers = workers()
        parallel = Parallel(n_jobs=n_workers, prefer="threads", return_as="generator")
        results = in_rounds(parallel, function, items, lambda: n_workers)
    yield from tqdm(results, total=total, desc=doing, unit="track", disable=None)


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
