"""Run a function over items in threads of this process."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from stages.core.runtime import workers
from stages.parallel.window import in_order, shown

Item = TypeVar("Item")
Result = TypeVar("Result")


def thread_map(
    function: Callable[[Item], Result], items: Iterable[Item], total: int, doing: str
) -> Iterator[Result]:
    """Yield ``function(item)`` in the order of `items`; the parameters are those of `ordered_map`."""
    n_workers = workers()
    pool = ThreadPoolExecutor(n_workers)
    try:
        results = in_order(lambda item: pool.submit(function, item), items, lambda: n_workers)
        yield from shown(results, total, doing)
    finally:
        pool.shutdown(cancel_futures=True)
