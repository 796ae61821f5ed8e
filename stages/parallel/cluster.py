"""Map a function over items on a running Dask cluster; the only module that imports Dask.

Results are the same bytes as without a cluster. Every worker process, even one that joins late, compares its
code, the versions of the packages that compute, and numpy's kernels with ours before it computes. A worker
that is killed changes nothing: Dask gives its tasks to the others.
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
from distributed.client import ClosedClientError
from distributed.comm.core import CommClosedError

from stages.core.errors import EncoreError
from stages.core.numerics import kernels
from stages.parallel.window import in_order, shown
from stages.storage.cache import code_key

# of one version everywhere
PACKAGES = (
    "av",
    "distributed",
    "librosa",
    "numpy",
    "pretty_midi",
    "scipy",
    "soundfile",
    "soxr",
    "tinysoundfont",
)
ANSWER_S = 10.0  # for a scheduler to answer
PATIENCE_S = 60.0  # for a cluster that has lost its workers to get new ones
LOGGERS = ("distributed", "distributed.client", "distributed.gc", "tornado.application", "asyncio")

Item = TypeVar("Item")
Result = TypeVar("Result")


def cluster_map(
    function: Callable[[Item], Result], items: Iterable[Item], total: int, doing: str, address: str
) -> Iterator[Result]:
    """Yield ``function(item)`` in the order of `items`, with a progress bar.

    Parameters
    ----------
    function : callable
        Picklable: a function of one of the project's modules, or a `functools.partial` of one.
    items : iterable
        Read a few items ahead; see `stages.parallel.window`.
    total : int
        Number of items.
    doing : str
        Name of the progress bar.
    address : str
        Address of the cluster's scheduler.

    Raises
    ------
    EncoreError
        If the scheduler cannot be reached or goes away, there is no worker, at first or for `PATIENCE_S`, a
        worker has other code than this process, or an item kills every worker that takes it.
    """
    key = _key(function)
    with _connected(address) as client:
        keys = client.run(_key, function, on_error="return")
        if not keys:
            raise EncoreError(f"the Dask cluster at {address} has no workers; {_start(address)}")
        for worker in sorted(keys):
            if keys[worker] != key and not isinstance(keys[worker], CommClosedError):  # died now
                raise _refused(f"the Dask worker {worker}", keys[worker], address)
        tasks = _Tasks(client, address, partial(_checked, function, key))
        with _running(tasks.watch):
            try:
                yield from shown(in_order(tasks.submit, items, lambda: tasks.n_threads), total, doing)
            except KilledWorker as killed:
                raise EncoreError(
                    f"a track has ended each Dask worker that took it, last {killed.last_worker.address}; "
                    "see their logs, give them more memory, or take runtime.backend=local"
                ) from None
            except (CancelledError, ClosedClientError):
                raise _gone(address) from None


class _Tasks:
    """The tasks of one map on a cluster, which fail when the cluster has no workers for too long."""

    def __init__(self, client: Client, address: str, function: Callable[[Any], Any]):
        self.n_threads = 0
        self._client = client
        self._address = address
        self._function = function
        self._executor = client.get_executor(pure=False)  # else each item is hashed
        self._unfinished: set[Future[Any]] = set()
        self._count_threads()

    def submit(self, item: Any) -> "Future[Any]":
        future: Future[Any] = self._executor.submit(self._function, item)
        self._unfinished.add(future)
        future.add_done_callback(self._unfinished.discard)
        return future

    def watch(self, over: threading.Event) -> None:
        """Update the number of threads; fail the tasks if there has been none for `PATIENCE_S`."""
        last_seen = time.monotonic()
        while not over.wait(1.0):
            try:
                self._count_threads()
            except Exception:  # a scheduler that goes away raises many unrelated classes
                self.n_threads = 0
                if not _answers(self._address):
                    self._fail(_gone(self._address))
            if self.n_threads:
                last_seen = time.monotonic()
            elif time.monotonic() - last_seen > PATIENCE_S:
                self._fail(
                    EncoreError(
                        f"the Dask cluster at {self._address} has shown no worker for {PATIENCE_S:g} s; "
                        f"{_start(self._address)}"
                    )
                )

    def _count_threads(self) -> None:
        ask = self._client.scheduler.ncores  # type: ignore[union-attr]
        threads = self._client.sync(ask, workers=None, callback_timeout=ANSWER_S)
        self.n_threads = sum(threads.values())

    def _fail(self, error: EncoreError) -> None:
        for future in [*self._unfinished]:
            with suppress(InvalidStateError):
                future.set_exception(error)


def _key(function: Callable[..., Any]) -> tuple[str, str]:
    return _key_of_module(getattr(function, "func", function).__module__), kernels()


@cache  # of the code that this process has loaded, even if the files change later
def _key_of_module(module: str) -> str:
    return code_key(module, PACKAGES)


def _checked(function: Callable[[Item], Result], key: tuple[str, str], item: Item) -> Result:
    """Return ``function(item)``, on a worker that may have joined a moment ago."""
    if (own := _key(function)) != key:
        worker = get_worker()
        raise _refused(f"the Dask worker {worker.address}", own, worker.scheduler.address)
    return function(item)


@contextmanager
def _connected(address: str) -> Iterator[Client]:
    """Connect a client whose logs are silenced: its failures become our messages, or need none."""
    for name in LOGGERS:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    quiet = {
        "distributed.admin.large-graph-warning-threshold": "1 TiB",
        "distributed.comm.timeouts.connect": ANSWER_S,
    }
    with dask.config.set(quiet):
        try:
            _greet(address)
            with warnings.catch_warnings(action="ignore"):  # that versions differ
                client = Client(address, set_as_default=False)
        except Exception:  # something else may listen there and answer anything
            raise EncoreError(
                f"no Dask scheduler answers at {address}; start one with `dask scheduler`, correct "
                "runtime.scheduler, or take runtime.backend=local"
            ) from None
        with client:
            yield client


def _greet(address: str) -> None:
    """Fail if no scheduler answers; a client would wait for ever."""

    async def ask() -> None:
        async with rpc(address, connection_args=Security().get_connection_args("client")) as scheduler:
            if (await scheduler.identity())["type"] != "Scheduler":
                raise ValueError

    asyncio.run(asyncio.wait_for(ask(), ANSWER_S))


def _answers(address: str) -> bool:
    """Return whether there is a scheduler at `address`."""
    try:
        _greet(address)
    except Exception:  # as above
        return False
    return True


def _gone(address: str) -> EncoreError:
    return EncoreError(f"the Dask scheduler at {address} went away; run again when it is back")


@contextmanager
def _running(watch: Callable[[threading.Event], None]) -> Iterator[None]:
    """Run `watch` in a thread until the block ends."""
    over = threading.Event()
    threading.Thread(target=watch, args=[over], daemon=True).start()
    try:
        yield
    finally:
        over.set()


def _refused(worker: str, answer: object, address: str) -> EncoreError:
    if isinstance(answer, BaseException):
        why = f"cannot run this project ({' '.join(str(answer).split())})"
    elif isinstance(answer, tuple) and answer[1] != kernels():
        why = f"computes with numpy's kernels {answer[1]}, this process with those {kernels()}"
    else:
        why = f"has other code than this process, or another version of {', '.join(PACKAGES)}"
    return EncoreError(f"{worker} {why}; {_start(address)}")


def _start(address: str) -> str:
    return (
        "start workers anew in a checkout of the same code, with its environment: "
        f"`python -m stages.worker {address}`"
    )
