"""Answers one question after another, from many threads, in processes that may die or hang."""

import resource
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future, InvalidStateError
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from threading import RLock, Thread
from typing import TYPE_CHECKING, Any

from stages.core.runtime import workers
from stages.parallel.processes import FROM_OUTSIDE, Lost, pool_of, prepare

if TYPE_CHECKING:
    from pebble import ProcessPool

MEMORY_BYTES = 4 << 30  # of a process's data: a file that makes a decoder ask for more ends it alone
KILLS = "kills the process that reads it"
TRIES = 3  # of a question whose processes something outside kills


@dataclass
class _Question:
    """Something to compute, and where it is being computed."""

    words: tuple[Any, ...]
    task: "Future[Any] | None" = None
    n_tries: int = TRIES


class Service:
    """A pool of processes that stays, for questions that come one by one.

    Pebble replaces a process that dies over a question. Some deaths break its whole pool, and a few leave
    questions in it that it forgets: then the pool is replaced, and all open questions are asked again.

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
        self._lock = RLock()  # a task's callback may run in the thread that schedules it
        # by its answer, which knows nothing of it: a circle would keep large answers for long
        self._open: dict[Future[Any], _Question] = {}
        self._is_stopped = False
        prepare([__name__, *modules])
        self._pool = pool_of(self.n_workers, _answer)

    def ask(self, function: Callable[..., Any], *words: Any) -> "Future[Any]":
        """Have a process compute ``function(*words)``, both picklable.

        Returns
        -------
        Future
            Of the result, or of `Lost` if the process died or took too long; `result` raises what the
            function raised. If it is cancelled, so is the computation, whose process is ended.
        """
        answer: Future[Any] = Future()
        answer.add_done_callback(self._forget)
        with self._lock:
            self._open[answer] = _Question((function, *words))
            self._schedule(answer)
        return answer

    def renew(self) -> None:
        """Replace all processes, and ask them what has no answer yet."""
        with self._lock:
            self._replace(self._pool)

    def stop(self) -> None:
        """End all processes, whatever they do, and cancel what has no answer."""
        with self._lock:
            self._is_stopped = True
            for answer in [*self._open]:
                answer.cancel()
        _stop(self._pool)

    def _schedule(self, answer: "Future[Any]") -> None:
        """Give an open question to the pool; to be called with the lock."""
        question = self._open.get(answer)
        if question is None:  # it is over
            return
        if self._is_stopped:
            answer.cancel()
            return
        pool = self._pool
        try:
            question.task = task = pool.schedule(_answer, args=question.words, timeout=self._timeout_s)
        except RuntimeError:  # broken, perhaps by a process that died while it was idle
            self._replace(pool)
        else:
            task.add_done_callback(partial(self._pass_on, answer, pool))

    def _replace(self, broken: "ProcessPool") -> None:
        """Take a new pool in the place of one that is broken; to be called with the lock."""
        if self._pool is not broken or self._is_stopped:
            return
        self._pool = pool_of(self.n_workers, _answer)
        for answer in [*self._open]:
            self._try_again(answer, "is not computed: something keeps killing the processes of the server")
        # this may be one of the pool's own threads, which are waited for
        Thread(target=_stop, args=[broken], daemon=True).start()

    def _try_again(self, answer: "Future[Any]", reason: str) -> None:
        """Ask an open question again, or give it up for a reason; to be called with the lock."""
        question = self._open.get(answer)
        if question and question.n_tries:
            question.n_tries -= 1
            self._schedule(answer)
        else:
            _give(answer, Lost(reason))

    def _pass_on(self, answer: "Future[Any]", pool: "ProcessPool", task: "Future[Any]") -> None:
        """Give the result of a task as an answer, or ask again."""
        from pebble import ProcessExpired

        with self._lock:
            question = self._open.get(answer)
            if question is None or question.task is not task:  # it is over, or has been asked again
                return
        try:
            _give(answer, task.result())
        except CancelledError:  # with its answer, or with the pool
            return
        except TimeoutError:
            _give(answer, Lost(f"keeps the process that reads it busy for over {self._timeout_s:g} s"))
        except BrokenProcessPool:
            with self._lock:
                self._replace(pool)
        except ProcessExpired as death:
            if death.exitcode in FROM_OUTSIDE:
                with self._lock:
                    self._try_again(answer, KILLS)
            else:
                _give(answer, Lost(KILLS))
        except BaseException as error:
            with suppress(InvalidStateError):
                answer.set_exception(error)

    def _forget(self, answer: "Future[Any]") -> None:
        with self._lock:
            question = self._open.pop(answer, None)
        if answer.cancelled() and question and question.task:
            question.task.cancel()


def _give(answer: "Future[Any]", result: Any) -> None:
    with suppress(InvalidStateError):  # it has been cancelled meanwhile
        answer.set_result(result)


def _stop(pool: "ProcessPool") -> None:
    pool.stop()  # type: ignore[no-untyped-call]
    pool.join()


def _answer(function: Callable[..., Any], *words: Any) -> Any:
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if soft == resource.RLIM_INFINITY or soft > MEMORY_BYTES:
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, hard))
    return function(*words)
