"""Work on all cores, in order."""

import os
import time
from pathlib import Path

import pytest

from stages.errors import EncoreError
from stages.runtime import ordered_map, runtime, workers
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


def test_items_are_taken_a_few_at_a_time():
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


def fail(n: int) -> int:
    if n == 3:
        raise EncoreError("three is too many")
    return n


def test_a_failure_inside_reaches_the_caller():
    with pytest.raises(EncoreError, match="three is too many"):
        list(ordered_map(fail, range(6), 6, "fail"))


def test_nothing_to_do_is_fine():
    assert list(ordered_map(slow_square, [], 0, "square")) == []


def test_zero_workers_means_one_per_core():
    edit_params("runtime", workers=0)
    assert workers() == os.cpu_count()
    edit_params("runtime", workers=3)
    assert workers() == 3


def test_progress_stays_out_of_logs(capfd):
    list(ordered_map(slow_square, range(3), 3, "square"))
    assert capfd.readouterr() == ("", "")


def test_defaults_are_checked():
    assert runtime().tracking == "off"
    Path("params.yaml").write_text("runtime: {device: cpu, workers: 1, tracking: on, cache_gb: 1}\n")
    assert runtime().tracking == "on"
