"""Answers one question after another, from many threads, in processes that may die or hang."""

import resource
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any

from stages.core.runtime import workers
from stages.parallel.processes import Lost, pool_of, prepare

if TYPE_CHECKING:
    from pebble import ProcessPool

MEMORY_BYTES = 4 << 30  # of a process's data: a file that makes a decoder ask for more ends it alone


class Service:
    """A pool of processes that stays, for questions that come one by one.

    Start it in the main thread, since it sets a handler of signals for a moment.

    Parameters
    ----------
    modules : sequence of str
        What the functions of `ask` need; it is loaded before the first question.
    timeout_s : float
        For a question.

    Attributes
    ----------
    n_workers : int
    """

    def __init__(self, modules: Sequence[str], timeout_s: float):
        self.n_workers = workers()
        self._timeout_s = timeout_s
        self._lock = Lock()
        prepare([__name__, *modules])
        self._pool = pool_of(self.n_workers, _answer)

    def ask(self, function: Callable[..., Any], *words: Any) -> "Future[Any]":
        """Have a process compute ``function(*words)``, both picklable.

        Returns
        -------
        Future
            Of the result, or of `Lost` if the process died or took too long; `result` raises what the
            function raised.
        """
        answer: Future[Any] = Future()
        answer.set_running_or_notify_cancel()
        self._schedule(answer, (function, *words), n_tries=2)
        return answer

    def stop(self) -> None:
        """End all processes, whatever they do."""
        _stop(self._pool)

    def _schedule(self, answer: "Future[Any]", words: tuple[Any, ...], n_tries: int) -> None:
        with self._lock:
            try:
                task = self._pool.schedule(_answer, args=words, timeout=self._timeout_s)
            except RuntimeError:  # a process that died before it reported its question breaks the pool
                Thread(target=_stop, args=[self._pool]).start()  # this may be one of the pool's own threads
                self._pool = pool_of(self.n_workers, _answer)
                task = self._pool.schedule(_answer, args=words, timeout=self._timeout_s)
        task.add_done_callback(lambda done: self._pass_on(done, answer, words, n_tries - 1))

    def _pass_on(
        self, task: "Future[Any]", answer: "Future[Any]", words: tuple[Any, ...], n_tries: int
    ) -> None:
        from pebble import ProcessExpired

        try:
            answer.set_result(task.result())
        except TimeoutError:
            answer.set_result(Lost(f"keeps the process that reads it busy for over {self._timeout_s:g} s"))
        except BrokenProcessPool:  # perhaps by the question of another one
            if n_tries:
                self._schedule(answer, words, n_tries)
            else:
                answer.set_result(Lost("kills the process that reads it"))
        except ProcessExpired:
            answer.set_result(Lost("kills the process that reads it"))
        except BaseException as error:
            answer.set_exception(error)


def _stop(pool: "ProcessPool") -> None:
    pool.stop()  # type: ignore[no-untyped-call]
    pool.join()


def _answer(function: Callable[..., Any], *words: Any) -> Any:
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if soft == resource.RLIM_INFINITY or soft > MEMORY_BYTES:
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, hard))
    return function(*words)
