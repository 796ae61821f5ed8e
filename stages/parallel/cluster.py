"""The map over tracks on a Dask cluster that runs already; the only module that imports Dask.

Results are the same bytes as without a cluster: every worker process, whenever it joined, compares its code
and the versions of what computes with ours before it computes. (What its processor does differently from
ours, nobody compares.) A worker that is killed changes nothing, since Dask gives its tasks to the others.
"""

import asyncio
import logging
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Future, InvalidStateError
from contextlib import contextmanager, suppress
from functools import cache, partial
from typing import Any, TypeVar

import dask
from distributed import Client, KilledWorker, Security, get_worker, rpc
from distributed.comm.core import CommClosedError
from joblib import Parallel
from joblib._dask import DaskDistributedBackend

from stages.core.errors import EncoreError
from stages.parallel.ordered import in_rounds
from stages.storage.cache import code_key

PACKAGES = ("distributed", "librosa", "numpy", "scipy", "soxr", "torch")  # of one version everywhere
ANSWER_S = 10.0  # for a scheduler to answer
PATIENCE_S = 60.0  # for a cluster that has lost its workers to get others
LOGGERS = ("distributed", "distributed.client", "distributed.gc", "tornado.application", "asyncio")

Item = TypeVar("Item")
Result = TypeVar("Result")


def cluster_map(function: Callable[[Item], Result], items: Iterable[Item], address: str) -> Iterator[Result]:
    """Yield ``function(item)`` in the order of `items`, a few at a time, from a Dask cluster.

    Parameters
    ----------
    function : callable
        Picklable: a function of one of the project's modules, or a `functools.partial` of one.
    items : iterable
        Taken a few ahead.
    address : str
        Of the cluster's scheduler.

    Raises
    ------
    EncoreError
        If the scheduler cannot be reached or goes away, there is no worker, at first or for `PATIENCE_S`, a
        worker has other code than this process, or an item ends every worker that takes it.
    """
    key = _key(function)
    with _connected(address) as client:
        keys = client.run(_key, function, on_error="return")
        if not keys:
            raise EncoreError(f"the Dask cluster at {address} has no workers; {_start(address)}")
        for worker in sorted(keys):
            if keys[worker] != key and not isinstance(keys[worker], CommClosedError):  # it has just died
                raise _refused(f"the Dask worker {worker}", keys[worker], address)
        backend = _Backend(client, address)
        parallel = Parallel(backend=backend, n_jobs=-1, batch_size=1, return_as="generator")
        checked = partial(_checked, function, key)
        with _running(backend.watch):
            try:
                yield from in_rounds(parallel, checked, items, backend.effective_n_jobs)
            except KilledWorker as killed:
                raise EncoreError(
                    f"a track has ended each Dask worker that took it, last {killed.last_worker.address}; "
                    "see their logs, give them more memory, or take runtime.backend=local"
                ) from None
            except CancelledError:
                line = f"the Dask scheduler at {address} went away; run again when it is back"
                raise EncoreError(line) from None


def _key(function: Callable[..., Any]) -> str:
    return _key_of_module(getattr(function, "func", function).__module__)


@cache  # as this process has loaded it, whatever becomes of the files
def _key_of_module(module: str) -> str:
    return code_key(module, PACKAGES)


def _checked(function: Callable[[Item], Result], key: str, item: Item) -> Result:
    """``function(item)``, on a worker that may have joined a moment ago."""
    if (own := _key(function)) != key:
        worker = get_worker()
        raise _refused(f"the Dask worker {worker.address}", own, worker.scheduler.address)
    return function(item)


class _Backend(DaskDistributedBackend):
    """joblib's backend, except that it never works here, and never waits for what will not come."""

    def __init__(self, client: Client, address: str):
        super().__init__(client=client)
        self.address = address
        self.n_threads = self._count_threads()
        self.unfinished: set[Future[Any]] = set()

    def _count_threads(self) -> int:
        threads = self.client.sync(self.client.scheduler.ncores, workers=None, callback_timeout=ANSWER_S)
        return sum(threads.values())

    def effective_n_jobs(self, n_jobs: int = 1) -> int:
        """At least two: joblib does the work of one itself."""
        return max(2, self.n_threads)

    def submit(self, func: Any, callback: Callable[[Any], None]) -> "Future[Any]":
        """Hand out a task; joblib's own way says nothing if it is not the function that fails."""
        future: Future[Any] = super().submit(func, callback)
        self.unfinished.add(future)

        def finish(future: "Future[Any]") -> None:
            self.unfinished.discard(future)
            if error := future.exception():
                callback(error)

        future.add_done_callback(finish)
        return future

    def watch(self, over: threading.Event) -> None:
        """Keep count of the cluster's threads; end a map that waits for a cluster without any."""
        seen = time.monotonic()
        while not over.wait(1.0):
            try:
                n_threads = self._count_threads()
            except Exception:  # whatever a scheduler that goes away makes of it
                n_threads = 0
            if n_threads:
                seen, self.n_threads = time.monotonic(), n_threads
            elif time.monotonic() - seen > PATIENCE_S:
                error = EncoreError(
                    f"the Dask cluster at {self.address} has shown no worker for {PATIENCE_S:g} s; "
                    f"{_start(self.address)}"
                )
                for future in [*self.unfinished]:
                    with suppress(InvalidStateError):
                        future.set_exception(error)


@contextmanager
def _connected(address: str) -> Iterator[Client]:
    """A client that keeps to itself what becomes a line of ours, or mends itself."""
    for name in LOGGERS:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    quiet = {
        "distributed.admin.large-graph-warning-threshold": "1 TiB",
        "distributed.comm.timeouts.connect": ANSWER_S,
    }
    with dask.config.set(quiet):
        try:
            asyncio.run(asyncio.wait_for(_greet(address), ANSWER_S))
            with warnings.catch_warnings(action="ignore"):  # that versions differ
                client = Client(address, set_as_default=False)
        except Exception:  # whatever something else that listens there makes of it
            raise EncoreError(
                f"no Dask scheduler answers at {address}; start one with `dask scheduler`, correct "
                "runtime.scheduler, or take runtime.backend=local"
            ) from None
        with client:
            yield client


async def _greet(address: str) -> None:
    """Fail if there is no scheduler; a client would wait for an answer for ever."""
    async with rpc(address, connection_args=Security().get_connection_args("client")) as scheduler:
        if (await scheduler.identity())["type"] != "Scheduler":
            raise ValueError


@contextmanager
def _running(watch: Callable[[threading.Event], None]) -> Iterator[None]:
    over = threading.Event()
    threading.Thread(target=watch, args=[over], daemon=True).start()
    try:
        yield
    finally:
        over.set()


def _refused(worker: str, answer: object, address: str) -> EncoreError:
    if isinstance(answer, BaseException):
        why = f"cannot run this project ({' '.join(str(answer).split())})"
    else:
        why = f"has other code than this process, or another version of {', '.join(PACKAGES)}"
    return EncoreError(f"{worker} {why}; {_start(address)}")


def _start(address: str) -> str:
    return (
        "start workers anew in a checkout of the same code, with its environment: "
        f"`PYTHONPATH=$PWD dask worker {address}`"
    )
