"""Runs a command: answers ``--help``, checks params.yaml first, and ends a user's mistake in one line."""

import errno
import gc
import os
import select
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from stages.core.errors import EncoreError
from stages.core.runtime import prepare_for_numba

GC_THRESHOLD = 100_000  # new objects between two searches for cycles; Python's 700 slow imports by a fifth

_FULL = "disk full: make room and run again; what is downloaded or decoded is kept"
_REFUSES = "; mend that and run again, no output is half-written"
DISK = {  # what it says to a user when it does not work
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EIO: f"the disk, or the network that it is behind, fails (see `dmesg`){_REFUSES}",
    errno.EROFS: f"the disk is read-only, perhaps since it has failed (see `dmesg`){_REFUSES}",
    errno.EACCES: f"no permission{_REFUSES}",
    errno.EPERM: f"no permission{_REFUSES}",
    errno.ENAMETOOLONG: f"the name is too long{_REFUSES}",
    errno.EFBIG: f"the file is larger than the disk's format or `ulimit -f` allows{_REFUSES}",
}


def run(stage: Callable[[], None]) -> None:
    """Run a stage's ``main`` once the whole of params.yaml is known to be right.

    A wrong value of any stage is thus reported by the first stage that runs, not hours later.

    Parameters
    ----------
    stage : callable
        Its module's docstring answers ``--help``.
    """

    def checked() -> None:
        from stages.entry.registry import check_params

        check_params()
        stage()

    _answer_help(stage)
    _run(checked)


def run_command(command: Callable[[], None], takes_words: bool = False) -> None:
    """Run the ``main`` of a command that is not a stage, and checks by itself what it reads of params.yaml.

    Parameters
    ----------
    command : callable
        Its module's docstring answers ``--help``.
    takes_words : bool
        Whether it reads the words of the command line.
    """
    _answer_help(command, takes_words)
    _run(command)


def run_parsed(command: Callable[[], None]) -> None:
    """Run the ``main`` of a command that reads its words, and answers ``--help``, with argparse."""
    _run(command)


@contextmanager
def to_a_reader() -> Iterator[None]:
    """Print in the block, and end without a word if the reader has gone away, such as `head`."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        if not _reader_is_gone():
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what is flushed at exit
        sys.exit(128 + signal.SIGPIPE)


def _reader_is_gone() -> bool:
    poll = select.poll()
    poll.register(sys.stdout, 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def _answer_help(command: Callable[[], None], takes_words: bool = False) -> None:
    wants_help = sys.argv[1:] in (["-h"], ["--help"])
    if wants_help or (sys.argv[1:] and not takes_words):
        print((sys.modules[command.__module__].__doc__ or "").strip())
        sys.exit(0 if wants_help else 2)


def _run(command: Callable[[], None]) -> None:
    gc.set_threshold(GC_THRESHOLD)
    prepare_for_numba()
    try:
        with to_a_reader():
            command()
    except EncoreError as error:
        sys.exit(f"error: {error}")
    except FileNotFoundError as error:
        if "data/" not in str(error):
            raise
        sys.exit(f"error: {error}; `dvc repro` makes what is missing")
    except OSError as error:
        if error.errno not in DISK:
            raise
        place = f"{error.filename}: " if error.filename else ""
        sys.exit(f"error: {place}{DISK[error.errno]}")
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        gc.freeze()  # else Python searches all modules for cycles once more at exit
