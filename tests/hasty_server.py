"""`encore serve` with little patience and few connections, so that tests of slow clients are quick.

Its decoder dies, hangs, or takes all memory over files that begin with `DIES`, `HANGS` or `GROWS`.
"""

import os
import signal
import time
from pathlib import Path
from typing import Any

import soundfile

DIES, HANGS, GROWS = b"DIES....", b"HANGS...", b"GROWS..."
IDLE_S, WHOLE_S, HEAD_S = 1.0, 3.0, 1.5
QUESTION_S = 40.0
UPLOAD_BYTES = 20_000_000
CONNECTIONS = 40


class Dying(soundfile.SoundFile):
    """What opens a file in the processes of the server, which load this module, too."""

    def __init__(self, file: Any, *words: Any, **settings: Any):
        head = Path(os.fsdecode(file)).read_bytes()[:8] if isinstance(file, bytes) else b""
        if head == DIES:
            os.kill(os.getpid(), signal.SIGSEGV)
        if head == HANGS:
            time.sleep(3600)
        if head == GROWS:
            bytearray(1 << 40)
        super().__init__(file, *words, **settings)


soundfile.SoundFile = Dying  # type: ignore[misc]

if __name__ == "__main__":
    from stages import serve
    from stages.entry.command import run_parsed
    from stages.serving import connections, guard, site, uploads

    guard.IDLE_S, guard.WHOLE_S, connections.HEAD_S = IDLE_S, WHOLE_S, HEAD_S
    uploads.MOST_BYTES, connections.MOST, site.TIMEOUT_S = UPLOAD_BYTES, CONNECTIONS, QUESTION_S
    run_parsed(serve.main)
