"""A process that dies or hangs costs its item, and no other."""

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from stages.core.errors import EncoreError
from stages.parallel import processes
from stages.parallel.processes import Lost, isolated_map
from tests.synthetic import REPO, write_params


def answer(item: object) -> object:
    match item:
        case "segfault":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "exit":
            os._exit(3)
        case "hang":
            time.sleep(60)
        case "raise":
            raise ValueError("from inside")
    return item


@pytest.fixture(autouse=True)
def two_workers(monkeypatch):
    monkeypatch.setattr(processes, "workers", lambda: 2)


def answers(*items: object) -> list[object]:
    return list(isolated_map(answer, items, len(items), "test", timeout_s=1.0))


def test_answers_come_in_order():
    assert answers(*range(200)) == list(range(200))


def test_a_death_and_a_hang_are_told_and_the_others_answered():
    first, died, left, hung, last = answers(1, "segfault", "exit", "hang", 2)
    assert (first, last) == (1, 2)
    assert died == Lost("kills the process that reads it (SIGSEGV)")
    assert left == Lost("kills the process that reads it (3)")
    assert hung == Lost("keeps the process that reads it busy for over 1 s")


PREPARED = """
import sys
from stages.parallel.processes import isolated_map, prepare
from tests.unit.test_processes import has_loaded
if __name__ == "__main__":
    prepare(["colorsys"])
    print(list(isolated_map(has_loaded, ["colorsys", "sndhdr"], 2, "test", 5.0)))
"""


def has_loaded(module: str) -> bool:
    return module in sys.modules


def test_processes_have_what_was_prepared(workspace):
    write_params()
    Path("script.py").write_text(PREPARED)
    done = subprocess.run(
        [sys.executable, "script.py"],
        env={**os.environ, "PYTHONPATH": str(REPO)},
        capture_output=True,
        text=True,
    )
    assert done.stdout == "[True, False]\n", done.stderr


def test_many_deaths_end_no_run():
    assert [type(answer) for answer in answers(*["segfault"] * 3)] == [Lost] * 3


def test_a_neighbour_that_dies_or_a_single_mishap_costs_nothing(tmp_path):
    """The first process that takes an item is killed; the second is not."""
    done = isolated_map(partial(answer_once_killed, folder=tmp_path), range(4), 4, "test", 5.0)
    assert list(done) == list(range(4))


def answer_once_killed(item: int, folder: Path) -> int:
    if not (folder / str(item)).exists():
        (folder / str(item)).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return item


def test_what_something_outside_keeps_killing_is_no_verdict_on_the_item():
    with pytest.raises(EncoreError, match="SIGKILL from outside"):
        answers("kill")


def test_an_exception_is_raised_here():
    with pytest.raises(ValueError, match="from inside"):
        answers(1, "raise", 2)
