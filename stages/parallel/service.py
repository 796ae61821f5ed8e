"""Answers one question after another, from many threads, in processes that may die or hang."""

import resource
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future, InvalidStateError
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass, field
from threading import RLock, Thread
from typing import TYPE_CHECKING, Any

from stages.core.runtime import workers
from stages.parallel.processes import FROM_OUTSIDE, Lost, pool_of, prepare

if TYPE_CHECKING:
    from pebble import ProcessPool

MEMORY_BYTES = 4 << 30  # of a process's data: a file that makes a decoder ask for more ends it alone
TRIES = 3  # of a question whose processes something outside kills


@dataclass(eq=False)
class _Question:
    """Something to compute, and where it is being computed."""

    words: tuple[Any, ...]
    answer: "Future[Any]" = field(default_factory=Future)
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
        self._open: set[_Question] = set()
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
        question = _Question((function, *words))
        question.answer.add_done_callback(lambda _: self._forget(question))
        with self._lock:
            self._open.add(question)
            self._schedule(question)
        return question.answer

    def renew(self) -> None:
        """Replace all processes, and ask them what has no answer yet."""
        with self._lock:
            self._replace(self._pool)

    def stop(self) -> None:
        """End all processes, whatever they do, and cancel what has no answer."""
        with self._lock:
            self._is_stopped = True
            for question in [*self._open]:
                question.answer.cancel()
        _stop(self._pool)

    def _schedule(self, question: _Question) -> None:
        """Give a question to the pool; to be called with the lock."""
        if self._is_stopped:
            question.answer.cancel()
            return
        pool = self._pool
        try:
            question.task = task = pool.schedule(_answer, args=question.words, timeout=self._timeout_s)
        except RuntimeError:  # broken, perhaps by a process that died while it was idle
            self._replace(pool)
        else:
            task.add_done_callback(lambda done: self._pass_on(question, done, pool))

    def _replace(self, broken: "ProcessPool") -> None:
        """Take a new pool in the place of one that is broken; to be called with the lock."""
        if self._pool is not broken or self._is_stopped:
            return
        self._pool = pool_of(self.n_workers, _answer)
        for question in [*self._open]:
            if question not in self._open:
                continue
            if question.n_tries:
                question.n_tries -= 1
                self._schedule(question)
            else:
                _give(question, Lost("is not computed: something keeps killing the processes of the server"))
        # this may be one of the pool's own threads, which are waited for
        Thread(target=_stop, args=[broken], daemon=True).start()

    def _pass_on(self, question: _Question, task: "Future[Any]", pool: "ProcessPool") -> None:
        """Give the result of a task as the answer of its question, or ask again."""
        from pebble import ProcessExpired

        if task is not question.task:  # has been asked again meanwhile
            return
        try:
            _give(question, task.result())
        except CancelledError:  # with its answer, or with the pool
            return
        except TimeoutError:
            _give(question, Lost(f"keeps the process that reads it busy for over {self._timeout_s:g} s"))
        except BrokenProcessPool:
            with self._lock:
                self._replace(pool)
        except ProcessExpired as death:
            if death.exitcode in FROM_OUTSIDE and question.n_tries:
                question.n_tries -= 1
                with self._lock:
                    self._schedule(question)
            else:
                _give(question, Lost("kills the process that reads it"))
        except BaseException as error:
            with suppress(InvalidStateError):
                question.answer.set_exception(error)

    def _forget(self, question: _Question) -> None:
        with self._lock:
            self._open.discard(question)
        if question.answer.cancelled() and question.task:
            question.task.cancel()


def _give(question: _Question, answer: Any) -> None:
    with suppress(InvalidStateError):  # it has been cancelled meanwhile
        question.answer.set_result(answer)


def _stop(pool: "ProcessPool") -> None:
    pool.stop()  # type: ignore[no-untyped-call]
    pool.join()


def _answer(function: Callable[..., Any], *words: Any) -> Any:
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if soft == resource.RLIM_INFINITY or soft > MEMORY_BYTES:
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, hard))
    return function(*words)
