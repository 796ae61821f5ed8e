"""Makes the library of the project's music, in a process that `stages.serving.library` starts.

Its standard input is open as long as the server lives: it ends with it, also if that was killed. It prints
lines of JSON: how far it is, and at last that it is done, or why not.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path
from threading import Thread

from stages.asking.collection import MUSIC, TRACKS
from stages.core.errors import EncoreError, in_one_line
from stages.core.runtime import runtime
from stages.core.tables import RawTrack, read_rows
from stages.core.workspace import work_cache
from stages.entry.command import run_command

GRACE_S = 5.0  # for what is half-written to be removed
NICENESS = 10  # questions to the server come first
ANOTHER = "by another server"


def main() -> None:
    """Make the library of a name, for the folder of a model and, if one is given, the file of its encoder."""
    name, model, *encoder = sys.argv[1:]
    os.nice(NICENESS)
    Thread(target=_end_with_the_server, daemon=True).start()
    try:
        _make(name, Path(model), Path(encoder[0]) if encoder else None)
    except EncoreError as error:
        _tell(failed=str(error))
    except OSError as error:
        _tell(failed=f"{error.filename or 'a file'}: {error.strerror or error}")
    except Exception as error:
        _tell(failed=f"unexpected: {in_one_line(error)}")
        raise
    else:
        _tell(done=True)


def _make(name: str, model: Path, encoder: Path | None) -> None:
    from filelock import FileLock, Timeout

    from stages.inference.embedding import Method
    from stages.inference.library import Library

    method = Method.of_model(model, encoder)
    library = Library.of(method, TRACKS)
    if library.folder.name != name:
        raise EncoreError(
            "model, list of tracks or code are others than at the server's start; start it again"
        )
    lock = FileLock(work_cache("locks") / f"library-{name}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        _tell(line=ANOTHER)
        lock.acquire()
    with lock:
        if not library.is_made:
            tracks = read_rows(TRACKS, RawTrack)
            library.make(method, MUSIC, tracks, runtime().cache_gb, lambda line: _tell(line=line))


def _tell(**what: object) -> None:
    print(json.dumps(what), flush=True)


def _end_with_the_server() -> None:
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(GRACE_S)
    os._exit(1)


if __name__ == "__main__":
    run_command(main, takes_words=True)
