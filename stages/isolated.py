"""Runs a function over items in processes that may die or hang without ending the run."""

import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from stages.runtime import workers

if TYPE_CHECKING:
    from pebble import ProcessFuture

Item = TypeVar("Item")
Result = TypeVar("Result")

AHEAD = 4  # items a worker that are handed out before their turn to be yielded: bounds the memory


@dataclass(frozen=True)
class Lost:
    """What became of an item whose process did not live to answer.

    Attributes
    ----------
    reason : str
        Why, as the end of a sentence about the item.
    """

    reason: str


def isolated_map(
    function: Callable[[Item], Result], items: Iterable[Item], total: int, doing: str, timeout_s: float
) -> "Iterator[Result | Lost]":
    """Yield ``function(item)``, or `Lost`, in the order of `items`, with a progress bar.

    A process that dies or takes longer than `timeout_s` over an item is replaced by a new one; what the
    function raises is raised here. `function` must be picklable.
    """
    from multiprocessing import get_context

    from pebble import ProcessPool
    from tqdm import tqdm

    # a process forked from a clean one has neither our threads nor their locks
    context = get_context("forkserver")
    module = getattr(function, "func", function).__module__  # of what a functools.partial wraps
    context.set_forkserver_preload([module, "numpy", "soundfile"])
    n_workers = workers()
    waiting: deque[ProcessFuture[Result]] = deque()
    with (
        # a fork server keeps the environment that it was started in
        ProcessPool(n_workers, 0, _adopt, [dict(os.environ)], context) as pool,
        tqdm(total=total, desc=doing, unit="track", disable=None) as bar,
    ):
        try:
            for item in items:
                waiting.append(pool.schedule(function, args=[item], timeout=timeout_s))
                if len(waiting) > AHEAD * n_workers:
                    yield _answer(waiting.popleft(), timeout_s)
                    bar.update()
            while waiting:
                yield _answer(waiting.popleft(), timeout_s)
                bar.update()
        except BaseException:
            pool.stop()  # type: ignore[no-untyped-call]
            raise


def _adopt(environment: dict[str, str]) -> None:
    os.environ.update(environment)
    # decoders print what they think of a damaged file; what we raise does not come this way
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


def _answer(future: "ProcessFuture[Any]", timeout_s: float) -> Any:
    from pebble import ProcessExpired

    try:
        return future.result()
    except ProcessExpired as death:
        code = death.exitcode or 0
        return Lost(f"kills the process that reads it ({signal.Signals(-code).name if code < 0 else code})")
    except TimeoutError:
        return Lost(f"keeps the process that reads it busy for over {timeout_s:g} s")
