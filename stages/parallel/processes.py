"""Runs a function over items in processes that may die or hang without ending the run."""

import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from stages.core.errors import EncoreError
from stages.core.runtime import workers

if TYPE_CHECKING:
    from pebble import ProcessFuture, ProcessPool

Item = TypeVar("Item")
Result = TypeVar("Result")

AHEAD = 4  # items a worker that are handed out before their turn to be yielded: bounds the memory
FROM_OUTSIDE = (-signal.SIGKILL, -signal.SIGTERM)  # no decoder does this to itself


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

    A process that dies or takes longer than `timeout_s` over an item is replaced by a new one. An item is
    lost only if that happens again when it is alone, so that no neighbour or busy machine is to blame.

    Parameters
    ----------
    function : callable
        Picklable; what it raises is raised here.
    items : iterable
        Taken a few ahead.
    total : int
        How many items there are.
    doing : str
        Name of the progress bar.
    timeout_s : float

    Raises
    ------
    EncoreError
        If something outside keeps killing the processes.
    """
    from pebble import ProcessExpired
    from tqdm import tqdm

    n_workers = workers()
    pool = _pool(n_workers, function)
    waiting: deque[tuple[Item, ProcessFuture[Result]]] = deque()

    def hand_out(item: Item) -> None:
        waiting.append((item, pool.schedule(function, args=[item], timeout=timeout_s)))

    rest = iter(items)
    try:
        with tqdm(total=total, desc=doing, unit="track", disable=None) as bar:
            while True:
                for item in rest:
                    hand_out(item)
                    if len(waiting) > AHEAD * n_workers:
                        break
                if not waiting:
                    break
                item, future = waiting.popleft()
                try:
                    yield future.result()
                except (ProcessExpired, TimeoutError):
                    yield _alone(function, item, timeout_s)
                except BrokenProcessPool:  # a process died before it could say over which item
                    pool.stop()  # type: ignore[no-untyped-call]
                    pool = _pool(n_workers, function)
                    others = [other for other, _ in waiting]
                    waiting.clear()
                    yield _alone(function, item, timeout_s)
                    for other in others:
                        hand_out(other)
                bar.update()
    finally:
        pool.stop()  # type: ignore[no-untyped-call]
        pool.join()


def prepare(modules: Sequence[str]) -> None:
    """Start the process that workers are forked from, which loads `modules`, while this one goes on.

    The first call counts; without one, `isolated_map` does it.

    Parameters
    ----------
    modules : sequence of str
        Whatever the function to come imports.
    """
    from multiprocessing import forkserver

    forkserver.set_forkserver_preload([*modules])
    heeded = signal.signal(signal.SIGINT, signal.SIG_IGN)  # inherited: Ctrl-C would make it print a traceback
    try:
        forkserver.ensure_running()
    finally:
        signal.signal(signal.SIGINT, heeded)


def _alone(function: Callable[[Item], Result], item: Item, timeout_s: float) -> Result | Lost:
    """Another try in a process that does nothing else."""
    from pebble import ProcessExpired

    with _pool(1, function) as pool:
        try:
            return pool.schedule(function, args=[item], timeout=timeout_s).result()
        except TimeoutError:
            return Lost(f"keeps the process that reads it busy for over {timeout_s:g} s")
        except (ProcessExpired, BrokenProcessPool) as death:
            code = getattr(death, "exitcode", None) or 0
            if code in FROM_OUTSIDE:
                raise EncoreError(
                    f"{signal.Signals(-code).name} from outside has ended a worker twice, perhaps for want "
                    "of memory; runtime.workers=1 needs less"
                ) from None
            how = signal.Signals(-code).name if code < 0 else code
            return Lost(f"kills the process that reads it ({how})")


def _pool(n_workers: int, function: Callable[..., Any]) -> "ProcessPool":
    from multiprocessing import get_context

    from pebble import ProcessPool

    prepare([getattr(function, "func", function).__module__, "numpy", "soundfile"])  # of a functools.partial
    # a process forked from a clean one has neither our threads nor their locks
    return ProcessPool(n_workers, 0, _adopt, [dict(os.environ)], get_context("forkserver"))


def _adopt(environment: dict[str, str]) -> None:
    os.environ.update(environment)  # the fork server keeps the one that it was started in
    # decoders print what they think of a damaged file; what we raise does not come this way
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
