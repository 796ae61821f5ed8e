"""Work on all cores, in order."""

import time

import pytest

from stages.errors import EncoreError
from stages.parallel import AHEAD, ordered_map
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
    results = ordered_map(done.append, range(1000), 1000, "square")
    next(results)
    time.sleep(0.5)
    assert len(done) <= 2 * AHEAD
    results.close()


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
