"""Questions are answered by processes that die, hang and are killed; none is forgotten."""

import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError, wait
from pathlib import Path

import psutil
import pytest

from stages.parallel import service
from stages.parallel.processes import Lost
from stages.parallel.service import Service
from tests.synthetic import write_params

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("fork_server")]
TIMEOUT_S = 3.0
PATIENCE_S = 60.0
SOON_S = 20.0


@pytest.fixture
def asked(workspace: Path) -> Iterator[Service]:
    write_params("runtime.workers=2")
    one = Service([__name__], TIMEOUT_S)
    yield one
    one.stop()


def pid_after(seconds: float) -> int:
    time.sleep(seconds)
    return os.getpid()


def die(number: int) -> None:
    os.kill(os.getpid(), number)


def die_once(mark: Path) -> int:
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return os.getpid()


def fail() -> None:
    raise ValueError("from inside")


def take_memory(n_bytes: int) -> int:
    return len(bytearray(n_bytes))


def living_workers() -> set[int]:
    """The processes of pools: those that the process which they are forked from has as children."""
    found = set()
    for child in psutil.Process().children():
        found |= {grandchild.pid for grandchild in child.children()}
    return found


def wait_until(is_so: object) -> None:
    until = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_a_question_is_answered_and_its_exception_raised(asked):
    assert asked.ask(sorted, [2, 1]).result(PATIENCE_S) == [1, 2]
    with pytest.raises(ValueError, match="from inside"):
        asked.ask(fail).result(PATIENCE_S)


def test_a_death_or_a_hanging_process_loses_only_its_question(asked):
    good = [asked.ask(pid_after, 0.1) for _ in range(3)]
    died, hung = asked.ask(die, signal.SIGSEGV), asked.ask(pid_after, 600.0)
    good += [asked.ask(pid_after, 0.1) for _ in range(3)]
    assert died.result(PATIENCE_S) == Lost("kills the process that reads it")
    assert hung.result(PATIENCE_S) == Lost("keeps the process that reads it busy for over 3 s")
    assert all(isinstance(one.result(PATIENCE_S), int) for one in good)


def test_a_question_whose_process_is_killed_from_outside_is_asked_again(asked, tmp_path):
    assert isinstance(asked.ask(die_once, tmp_path / "mark").result(PATIENCE_S), int)


def test_a_question_whose_every_process_is_killed_is_lost(asked):
    assert asked.ask(die, signal.SIGKILL).result(PATIENCE_S) == Lost("kills the process that reads it")


def test_processes_that_are_killed_while_idle_are_replaced(asked):
    """The next question comes from a thread that is not the main one, as the pool's own callbacks do."""
    asked.ask(pid_after, 0.0).result(PATIENCE_S)
    before = living_workers()
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    time.sleep(0.5)
    answers = []
    thread = threading.Thread(target=lambda: answers.append(asked.ask(pid_after, 0.0)))
    thread.start()
    thread.join()
    assert answers[0].result(PATIENCE_S) not in before


def test_a_storm_of_kills_leaves_no_question_without_an_answer(asked):
    chance = random.Random(7)
    asked.ask(pid_after, 0.0).result(PATIENCE_S)
    questions = [asked.ask(pid_after, 0.05) for _ in range(60)]
    for _ in range(20):
        if alive := sorted(living_workers()):
            try:
                os.kill(chance.choice(alive), signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(chance.random() / 10)
    if wait(questions, SOON_S).not_done:  # a process has died in the middle of a word, which nothing notices
        asked.renew()
    done, left = wait(questions, PATIENCE_S)
    assert not left
    assert all(isinstance(one.result(), int | Lost) for one in done)
    assert isinstance(asked.ask(pid_after, 0.0).result(PATIENCE_S), int)


def test_questions_that_a_pool_forgets_are_asked_again_by_another(asked):
    """A process that is stopped has taken its question, and neither answers nor dies."""
    asked.ask(pid_after, 0.0).result(PATIENCE_S)
    stopped = living_workers()
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    questions = [asked.ask(pid_after, 0.0) for _ in range(4)]
    asked.renew()
    assert not {one.result(PATIENCE_S) for one in questions} & stopped
    wait_until(lambda: not stopped & living_workers())


def test_a_question_that_nobody_waits_for_ends(asked):
    asked.ask(pid_after, 0.0).result(PATIENCE_S)
    running, waiting = [asked.ask(pid_after, 2.5) for _ in range(2)], asked.ask(pid_after, 0.0)
    wait_until(lambda: all(asked._open[one].task.running() for one in running))
    assert waiting.cancel()
    assert all(one.cancel() for one in running)
    assert asked.ask(pid_after, 0.0).result(2.0)
    with pytest.raises(CancelledError):
        running[0].result()
    assert not asked._open


def test_a_question_may_not_take_all_memory(asked):
    with pytest.raises(MemoryError):
        asked.ask(take_memory, 2 * service.MEMORY_BYTES).result(PATIENCE_S)
    assert asked.ask(take_memory, 1000).result(PATIENCE_S) == 1000


def test_nothing_piles_up(asked):
    """Pools break again and again: their threads, processes and pipes go."""
    own = psutil.Process()

    def broken() -> tuple[int, int]:
        asked.ask(pid_after, 0.0).result(PATIENCE_S)
        for pid in living_workers():
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.5)
        asked.ask(pid_after, 0.0).result(PATIENCE_S)
        wait_until(lambda: len(living_workers()) == asked.n_workers)
        return threading.active_count(), own.num_fds()

    before = broken()
    for _ in range(4):
        broken()
    wait_until(lambda: (threading.active_count(), own.num_fds()) <= before)


def test_what_is_open_when_it_stops_is_cancelled(workspace):
    write_params("runtime.workers=1")
    one = Service([__name__], TIMEOUT_S)
    questions = [one.ask(pid_after, 600.0) for _ in range(3)]
    one.stop()
    assert all(question.cancelled() for question in questions)
    assert one.ask(pid_after, 0.0).cancelled()
