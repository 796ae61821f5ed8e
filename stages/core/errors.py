"""The one exception for mistakes a user can mend, and the one place that turns it into a line."""

import errno
import gc
import sys
from collections.abc import Callable

GARBAGE = 100_000  # objects made before a search for cycles; at Python's 700, imports take a fifth longer


class EncoreError(Exception):
    """What went wrong, where, and what to do, in one line."""


def run(stage: Callable[[], None]) -> None:
    """Run a stage's ``main``; a user's mistake ends in one line and exit status 1.

    Parameters
    ----------
    stage : callable
        The stage's ``main``; its module docstring answers ``--help``.
    """
    if sys.argv[1:]:
        print((sys.modules[stage.__module__].__doc__ or "").strip())
        sys.exit(0 if sys.argv[1:] in (["-h"], ["--help"]) else 2)
    gc.set_threshold(GARBAGE)
    try:
        stage()
    except EncoreError as error:
        sys.exit(f"error: {error}")
    except FileNotFoundError as error:
        if "data/" not in str(error):
            raise
        sys.exit(f"error: {error}; `dvc repro` makes what is missing")
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        sys.exit("error: disk full: make room and run again; what is downloaded or decoded is kept")
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        gc.freeze()  # else Python looks through all modules once more as it ends
