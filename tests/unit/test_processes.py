"""A process that dies or hangs loses its item, and no other."""

import os
import shutil
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
from stages.parallel.window import AHEAD
from tests.synthetic import REPO, write_params

pytestmark = pytest.mark.slow


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
def two_workers(fork_server, monkeypatch):
    monkeypatch.setattr(processes, "workers", lambda: 2)


def answers(*items: object) -> list[object]:
    return list(isolated_map(answer, items, len(items), "test", timeout_s=1.0))


def test_results_come_in_order():
    assert answers(*range(200)) == list(range(200))


def test_dead_and_hanging_processes_lose_only_their_items():
    first, died, exited, hung, last = answers(1, "segfault", "exit", "hang", 2)
    assert (first, last) == (1, 2)
    assert died == Lost("kills the process that reads it (SIGSEGV)")
    assert exited == Lost("kills the process that reads it (3)")
    assert hung == Lost("keeps the process that reads it busy for over 1 s")


def test_of_items_that_a_process_takes_at_once_only_the_one_that_kills_it_is_lost():
    items: list[object] = [*range(2 * processes.BATCHES * processes.BATCH)]
    items[5] = "segfault"
    found = answers(*items)
    assert found.pop(5) == Lost("kills the process that reads it (SIGSEGV)")
    items.pop(5)
    assert found == items


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


def test_processes_have_the_prepared_modules(workspace):
    write_params()
    Path("script.py").write_text(PREPARED)
    done = subprocess.run(
        [sys.executable, "script.py"],
        env={**os.environ, "PYTHONPATH": str(REPO)},
        capture_output=True,
        text=True,
    )
    assert done.stdout == "[True, False]\n", done.stderr


ELSEWHERE = """
from stages.parallel import probe
from stages.parallel.processes import isolated_map
if __name__ == "__main__":
    print(list(isolated_map(probe.place, [0], 1, "test", 5.0)))
"""


def test_processes_run_the_code_that_starts_them(workspace):
    """Not that of the project that the environment belongs to, as under ``dvc exp run --temp``."""
    shutil.copytree(REPO / "stages", "stages")
    Path("stages/parallel/probe.py").write_text("def place(_):\n    return __file__\n")
    Path("script.py").write_text(ELSEWHERE)
    write_params()
    done = subprocess.run([sys.executable, "script.py"], capture_output=True, text=True)
    assert done.stdout == f"{[str(workspace / 'stages/parallel/probe.py')]}\n", done.stderr


def test_many_deaths_do_not_end_the_run():
    assert [type(answer) for answer in answers(*["segfault"] * 3)] == [Lost] * 3


def test_an_item_that_kills_once_is_done_again(tmp_path):
    """The first process that takes an item is killed; the second is not."""
    done = isolated_map(partial(answer_once_killed, folder=tmp_path), range(4), 4, "test", 5.0)
    assert list(done) == list(range(4))


def answer_once_killed(item: int, folder: Path) -> int:
    if not (folder / str(item)).exists():
        (folder / str(item)).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return item


def test_a_repeated_kill_from_outside_ends_the_run_in_one_line():
    with pytest.raises(EncoreError, match="SIGKILL from outside"):
        answers("kill")


def test_an_exception_of_the_function_is_raised_here():
    with pytest.raises(ValueError, match="from inside"):
        answers(1, "raise", 2)


def pid_of(item: int) -> int:
    return os.getpid()


def test_processes_killed_while_idle_are_replaced():
    """The reader is slow, all submitted items are done, and then the processes die."""
    pids = isolated_map(pid_of, range(40), 40, "test", 5.0)
    before = {next(pids) for _ in range(2 * AHEAD)}
    time.sleep(0.5)
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    time.sleep(0.5)
    rest = list(pids)
    assert len(rest) == 40 - 2 * AHEAD
    assert not {*rest[2 * AHEAD :]} & before
