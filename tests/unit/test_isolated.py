"""A process that dies or hangs costs its item, and no other."""

import os
import signal
import time

import pytest

from stages import isolated
from stages.isolated import Lost, isolated_map


def answer(item: object) -> object:
    match item:
        case "segfault":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "exit":
            os._exit(3)
        case "hang":
            time.sleep(60)
        case "raise":
            raise ValueError("from inside")
    return item


@pytest.fixture(autouse=True)
def two_workers(monkeypatch):
    monkeypatch.setattr(isolated, "workers", lambda: 2)


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


def test_an_exception_is_raised_here():
    with pytest.raises(ValueError, match="from inside"):
        answers(1, "raise", 2)
