"""Work on all cores, in order."""

import math
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


@pytest.fixture(autouse=True)
def _params(workspace):
    write_params("runtime.workers=2")


def slow_square(n: int) -> int:
    time.sleep(0.02 * (n % 3))
    return n * n


@pytest.mark.parametrize("n_workers", [1, 2, 4])
def test_results_come_in_order(n_workers):
    edit_params("runtime", workers=n_workers)
    assert list(ordered_map(slow_square, range(9), 9, "square")) == [n * n for n in range(9)]


def test_items_are_taken_a_few_at_a_time(recwarn):
    """Waveforms of a thousand tracks must not lie in memory at once."""
    taken = []

    def items():
        for n in range(100):
            taken.append(n)
            yield n

    results = ordered_map(slow_square, items(), 100, "square")
    next(results)
    assert len(taken) < 50
    results.close()
    assert not recwarn.list, "joblib says what has not been read"


def test_results_do_not_pile_up():
    """Nor must the features of a thousand tracks, when a slow disk takes them."""
    done = []
    results = ordered_map(done.append, range(MANY - 1), MANY - 1, "square")
    next(results)
    time.sleep(0.5)
    assert len(done) <= 2 * AHEAD
    results.close()


def process_of(n: int) -> int:
    time.sleep(0.001)
    return os.getpid()


def test_many_items_are_done_by_processes_in_order():
    pids = list(ordered_map(process_of, range(MANY), MANY, "pid"))
    assert os.getpid() not in pids
    assert len(set(pids)) == 2
    assert list(ordered_map(math.sqrt, range(MANY), MANY, "root")) == [math.sqrt(n) for n in range(MANY)]


@pytest.mark.parametrize(("n_workers", "n_items"), [(1, MANY), (2, MANY - 1)])
def test_one_worker_or_few_items_need_no_processes(n_workers, n_items):
    edit_params("runtime", workers=n_workers)
    assert set(ordered_map(process_of, range(n_items), n_items, "pid")) == {os.getpid()}


def dies(n: int) -> int:
    if n == 3:
        os.kill(os.getpid(), signal.SIGSEGV)
    return n


def test_an_item_that_kills_every_process_is_a_line():
    with pytest.raises(
        EncoreError, match=rf"test: item 4 of {MANY} kills the process that reads it \(SIGSEGV\)"
    ):
        list(ordered_map(dies, range(MANY), MANY, "test"))


def killed_once(n: int, mark: Path) -> int:
    if n == 3 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return n


def test_a_process_killed_by_another_costs_nothing(tmp_path):
    function = partial(killed_once, mark=tmp_path / "mark")
    assert list(ordered_map(function, range(MANY), MANY, "test")) == list(range(MANY))


def test_rounds_are_as_long_as_there_are_items():
    for n in (1, 2 * AHEAD - 1, 2 * AHEAD, 2 * AHEAD + 1, 5 * AHEAD):
        assert list(ordered_map(str, range(n), n, "str")) == [str(i) for i in range(n)]


def fail(n: int) -> int:
    if n == 3:
        raise EncoreError("three is too many")
    return n


def test_a_failure_inside_reaches_the_caller():
    with pytest.raises(EncoreError, match="three is too many"):
        list(ordered_map(fail, range(6), 6, "fail"))


def test_nothing_to_do_is_fine():
    assert list(ordered_map(slow_square, [], 0, "square")) == []


def test_progress_stays_out_of_logs(capfd):
    list(ordered_map(slow_square, range(3), 3, "square"))
    assert capfd.readouterr() == ("", "")
