"""A bounded window over futures: results in order, and few items and results in memory at a time."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Protocol, TypeVar

AHEAD = 4  # items, or batches of them, per worker that are submitted before they are read: bounds the memory

Item = TypeVar("Item")
Result = TypeVar("Result")
Result_co = TypeVar("Result_co", covariant=True)


class Future(Protocol[Result_co]):
    """What `in_order` needs of a future; `concurrent.futures.Future` is one."""

    def result(self) -> Result_co:
        """Wait for the result and return it, or raise what the work raised."""


def in_order(
    submit: Callable[[Item], Future[Result]],
    items: Iterable[Item],
    n_workers: Callable[[], int],
) -> Iterator[Result]:
    """Yield the results of all items in the order of `items`.

    At most `AHEAD` items per worker are submitted and not yet yielded. So a slow reader holds up the work,
    and neither items nor results pile up.

    Parameters
    ----------
    submit : callable
        Starts the work on an item and returns its future.
    items : iterable
        Read only as far as items are submitted.
    n_workers : callable
        Returns the current number of workers.
    """
    rest = iter(items)
    waiting: deque[Future[Result]] = deque()
    while True:
        n_free = AHEAD * max(1, n_workers()) - len(waiting)
        waiting.extend(submit(item) for item in islice(rest, max(0, n_free)))
        if not waiting:
            return
        yield waiting.popleft().result()


def shown(results: Iterable[Result], total: int, doing: str) -> Iterator[Result]:
    """Yield `results` with a progress bar, whose name is `doing`."""
    from tqdm import tqdm

    yield from tqdm(results, doing, total, unit="track", disable=None)
