"""A map on all cores, in order and in bounded memory."""

import os
import signal
import time
from functools import partial
from pathlib import Path

import pytest

from stages.core.errors import EncoreError
from stages.parallel.ordered import MANY, ordered_map
from stages.parallel.window import AHEAD
from tests.synthetic import edit_params, write_params

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _params(fork_server, workspace):
    write_params("runtime.workers=2")


def slow_square(n: int) -> int:
    time.sleep(0.02 * (n % 3))
    return n * n


@pytest.mark.parametrize("n_workers", [1, 4])
def test_results_come_in_order(n_workers):
    edit_params("runtime", workers=n_workers)
    assert list(ordered_map(slow_square, range(9), 9, "square")) == [n * n for n in range(9)]


def test_items_are_read_a_few_at_a_time(recwarn):
    """Waveforms of a thousand tracks must not be in memory at once."""
    taken = []

    def items():
        for n in range(100):
            taken.append(n)
            yield n

    results = ordered_map(slow_square, items(), 100, "square")
    next(results)
    assert len(taken) == 2 * AHEAD
    results.close()
    assert not recwarn.list


def test_results_wait_for_a_slow_reader():
    """Features of a thousand tracks must not be in memory at once, when the disk is slow."""
    done = []
    results = ordered_map(done.append, range(MANY - 1), MANY - 1, "square")
    next(results)
    time.sleep(0.2)
    assert len(done) == 2 * AHEAD
    results.close()


def process_of(n: int) -> tuple[int, int]:
    time.sleep(0.001)
    return n, os.getpid()


def test_many_items_are_done_by_processes_in_order():
    numbers, pids = zip(*ordered_map(process_of, range(MANY), MANY, "pid"), strict=True)
    assert numbers == tuple(range(MANY))
    assert os.getpid() not in pids
    assert len(set(pids)) == 2


@pytest.mark.parametrize(("n_workers", "n_items"), [(1, MANY), (2, MANY - 1)])
def test_one_worker_or_few_items_use_threads(n_workers, n_items):
    edit_params("runtime", workers=n_workers)
    assert {pid for _, pid in ordered_map(process_of, range(n_items), n_items, "pid")} == {os.getpid()}


def dies(n: int) -> int:
    if n == 3:
        os.kill(os.getpid(), signal.SIGSEGV)
    return n


def test_an_item_that_kills_every_process_ends_in_one_line():
    with pytest.raises(
        EncoreError, match=rf"test: item 4 of {MANY} kills the process that reads it \(SIGSEGV\)"
    ):
        list(ordered_map(dies, range(MANY), MANY, "test"))


def killed_once(n: int, mark: Path) -> int:
    if n == 3 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return n


def test_an_item_whose_process_was_killed_is_done_again(tmp_path):
    function = partial(killed_once, mark=tmp_path / "mark")
    assert list(ordered_map(function, range(MANY), MANY, "test")) == list(range(MANY))


def test_any_number_of_items_is_done():
    for n in (1, 2 * AHEAD - 1, 2 * AHEAD, 2 * AHEAD + 1, 5 * AHEAD):
        assert list(ordered_map(str, range(n), n, "str")) == [str(i) for i in range(n)]


def fail(n: int) -> int:
    if n == 3:
        raise EncoreError("three is too many")
    return n


def test_an_exception_of_the_function_is_raised_here():
    with pytest.raises(EncoreError, match="three is too many"):
        list(ordered_map(fail, range(6), 6, "fail"))


def test_no_items_give_no_results():
    assert list(ordered_map(slow_square, [], 0, "square")) == []


def test_no_progress_bar_outside_a_terminal(capfd):
    list(ordered_map(slow_square, range(3), 3, "square"))
    assert capfd.readouterr() == ("", "")
