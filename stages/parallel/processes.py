"""Run a function over items in processes that may die or hang without ending the run."""

import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import chain, islice
from threading import current_thread, main_thread
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from stages.core.errors import EncoreError
from stages.core.runtime import workers
from stages.core.workspace import python_path
from stages.parallel.window import in_order, shown

if TYPE_CHECKING:
    from pebble import ProcessPool

Item = TypeVar("Item")
Result = TypeVar("Result")

BATCH = 4  # items that a process takes at once, since each time costs this one a millisecond
BATCHES = 32  # at least, for each process: else they would not end together
FROM_OUTSIDE = (-signal.SIGKILL, -signal.SIGTERM)  # no decoder sends these to itself


@dataclass(frozen=True)
class Lost:
    """The answer for an item whose process died or hung.

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

    A process takes some items at once where there are many. One that dies, or takes longer than `timeout_s`
    an item, is replaced by a new one. Each of its items is tried again in a process with no others beside it,
    since a neighbour or a busy machine may be the cause. An item is lost if that fails, too.

    Parameters
    ----------
    function : callable
        Picklable; its exceptions are raised here.
    items : iterable
        Read a few batches of up to `BATCH` items ahead; see `stages.parallel.window`.
    total : int
        Number of items.
    doing : str
        Name of the progress bar.
    timeout_s : float

    Raises
    ------
    EncoreError
        If something outside keeps killing the processes.
    """
    processes = _Processes(function, timeout_s)
    size = max(1, min(BATCH, total // (BATCHES * processes.n_workers)))
    rest = iter(items)
    batches = iter(lambda: tuple(islice(rest, size)), ())
    try:
        answers = in_order(processes.submit, batches, lambda: processes.n_workers)
        yield from shown(chain.from_iterable(answers), total, doing)
    finally:
        processes.stop()


def prepare(modules: Sequence[str]) -> None:
    """Start the process that workers are forked from; it loads `modules` while this one goes on.

    Only the first call has an effect, or one after that process has died. Without one, `isolated_map` makes
    it.

    Parameters
    ----------
    modules : sequence of str
        Modules that the function of a later `isolated_map` imports.
    """
    from multiprocessing import forkserver

    forkserver.set_forkserver_preload(["pebble", __name__, *modules])
    is_main = current_thread() is main_thread()  # no other may set handlers
    # inherited: Ctrl-C would print a traceback there
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN) if is_main else None
    path = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = python_path()
    try:
        forkserver.ensure_running()
    finally:
        if is_main:
            signal.signal(signal.SIGINT, handler)
        os.environ.pop("PYTHONPATH")
        if path is not None:
            os.environ["PYTHONPATH"] = path


class _Processes(Generic[Item, Result]):
    """A pool of processes that is replaced when it breaks.

    Pebble replaces a process that dies over an item. A process that dies before it has reported its item
    breaks the whole pool.
    """

    def __init__(self, function: Callable[[Item], Result], timeout_s: float):
        self.n_workers = workers()
        self._function = function
        self._timeout_s = timeout_s
        self._pool = pool_of(self.n_workers, function)
        self._unread: list[_Task[Item, Result]] = []

    def submit(self, items: Sequence[Item]) -> "_Task[Item, Result]":
        task = _Task(self, items, self._schedule(items))
        self._unread.append(task)
        return task

    def read(self, task: "_Task[Item, Result]") -> Sequence[Result | Lost]:
        """Return the results of a task, from a second try of each item where the first one fails."""
        from pebble import ProcessExpired

        self._unread.remove(task)
        try:
            return task.future.result()
        except (ProcessExpired, TimeoutError):
            return [self._retry(item) for item in task.items]
        except BrokenProcessPool:
            self.stop()
            results = [self._retry(item) for item in task.items]
            self._pool = pool_of(self.n_workers, self._function)
            for other in self._unread:
                if not _has_result(other.future):
                    other.future = self._schedule(other.items)
            return results

    def stop(self) -> None:
        self._pool.stop()  # type: ignore[no-untyped-call]
        self._pool.join()

    def _schedule(self, items: Sequence[Item]) -> "Future[list[Result]]":
        try:
            timeout_s = self._timeout_s * len(items)
            return self._pool.schedule(_each, args=[self._function, items], timeout=timeout_s)
        except RuntimeError:  # pebble's answer for a pool that has broken meanwhile
            future: Future[list[Result]] = Future()
            future.set_exception(BrokenProcessPool())
            return future

    def _retry(self, item: Item) -> Result | Lost:
        """Run the function in a process of a pool of one."""
        from pebble import ProcessExpired

        with pool_of(1, self._function) as pool:
            try:
                return pool.schedule(self._function, args=[item], timeout=self._timeout_s).result()
            except TimeoutError:
                return Lost(f"keeps the process that reads it busy for over {self._timeout_s:g} s")
            except (ProcessExpired, BrokenProcessPool) as death:
                code = getattr(death, "exitcode", None) or 0
                if code in FROM_OUTSIDE:
                    raise EncoreError(
                        f"{signal.Signals(-code).name} from outside has ended a worker twice, perhaps for "
                        "want of memory; runtime.workers=1 needs less"
                    ) from None
                how = signal.Signals(-code).name if code < 0 else code
                return Lost(f"kills the process that reads it ({how})")


@dataclass(eq=False)
class _Task(Generic[Item, Result]):
    """Some items and the future of their results, which changes when its pool breaks."""

    processes: _Processes[Item, Result]
    items: Sequence[Item]
    future: "Future[list[Result]]"

    def result(self) -> Sequence[Result | Lost]:
        return self.processes.read(self)


def _each(function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    return [function(item) for item in items]


def _has_result(future: "Future[Any]") -> bool:
    return future.done() and not future.cancelled() and future.exception() is None


def pool_of(n_workers: int, function: Callable[..., Any]) -> "ProcessPool":
    """Return a pool of processes that are forked from a clean one; `function` is what they will run."""
    from multiprocessing import get_context

    from pebble import ProcessPool

    prepare([getattr(function, "func", function).__module__])  # of a functools.partial
    # a process forked from a clean one has none of our threads and locks
    return ProcessPool(n_workers, 0, _start_worker, [dict(os.environ)], get_context("forkserver"))


def _start_worker(environment: dict[str, str]) -> None:
    os.environ.update(environment)  # the fork server still has the one that it was started in
    # decoders print warnings about damaged files; exceptions do not come through stderr
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
