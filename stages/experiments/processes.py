"""Processes of cells: started as groups of their own, found and ended wherever they are.

Each carries a mark in its environment, and so do all that it starts: those in other groups and sessions, and
those that live on after their parent, too. No id can be taken by another process after a restart of the
machine, and none is lost if the runner is killed right after a start.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psutil

MARK = "ENCORE_GRID"  # the environment variable that holds the folder of a grid, or of a slot in it
POLL_S = 0.05


def start(
    command: Sequence[str], folder: Path, log: Path, mark: Path, env: Mapping[str, str]
) -> "subprocess.Popen[bytes]":
    """Start a process in a new process group and session.

    Parameters
    ----------
    command : sequence of str
    folder : Path
        Where it runs.
    log : Path
        Gets what it prints.
    mark : Path
        For `end`.
    env : mapping of str to str
        What its environment has beside this process's own.
    """
    own = {key: value for key, value in os.environ.items() if not key.startswith("DVC_")}
    own["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{own.get('PATH', os.defpath)}"  # where python is
    with log.open("wb") as output:
        return subprocess.Popen(
            command,
            cwd=folder,
            env={**own, **env, MARK: str(mark)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C interrupts the runner alone, which ends its cells
        )


def end(mark: Path) -> int:
    """Kill all processes with a mark, or one below it, and wait until they are gone; return how many."""
    import psutil

    ended: set[int] = set()
    while left := list(_marked(mark)):
        # all are stopped before one is killed: nobody goes on because another has ended
        for kill in (psutil.Process.suspend, psutil.Process.kill):
            for process in left:
                with suppress(psutil.NoSuchProcess):
                    kill(process)
        ended.update(process.pid for process in left)
        time.sleep(POLL_S)
    return len(ended)


def _marked(mark: Path) -> "Iterator[psutil.Process]":
    import psutil

    for process in psutil.process_iter():
        with suppress(psutil.Error):
            given = process.environ().get(MARK)
            is_dead = process.status() == psutil.STATUS_ZOMBIE
            if given and not is_dead and Path(given).is_relative_to(mark):
                yield process
