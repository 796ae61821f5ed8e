"""The library of the project's music, made in a separate process: its progress, and its folder."""

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock, Thread
from typing import Literal

from stages.asking.collection import TRACKS
from stages.core.errors import EncoreError
from stages.core.workspace import python_path
from stages.inference.embedding import Method
from stages.inference.library import Library

HEARING = "The music is being heard for the first time"
ENDED_WITHIN_S = 10.0  # a process that is asked to end


@dataclass(frozen=True)
class Status:
    """Whether the library can be used.

    Attributes
    ----------
    state : {'none', 'running', 'ready', 'failed'}
        None: there is no music.
    line : str
        What to tell people; empty: nothing.
    """

    state: Literal["none", "running", "ready", "failed"]
    line: str = ""


class PreparedLibrary:
    """The library for one model, made in the background unless the work cache has it.

    Parameters
    ----------
    model : Path
        Folder of model.json and the weights.
    encoder : Path or None
        See `stages.inference.listening.Inputs`.
    """

    def __init__(self, model: Path, encoder: Path | None):
        self._words = [str(path.absolute()) for path in (model, encoder) if path]
        self._library: Library | None = None
        self._lock = Lock()
        self._process: subprocess.Popen[str] | None = None
        self._status = Status("running", HEARING)
        try:
            self._library = Library.of(Method.of_model(model, encoder), TRACKS)
        except FileNotFoundError:
            self._status = Status("none", f"There is no music: {TRACKS} is missing; `dvc repro` makes it")
        except (EncoreError, OSError) as error:
            self._status = Status("failed", str(error))

    def start(self) -> None:
        """Begin; this returns at once."""
        if self._library is None:
            return
        if self._library.is_made:
            self._status = Status("ready")
            return
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "stages.serving.preparing", self._library.folder.name, *self._words],
                stdin=subprocess.PIPE,  # closed with this process, however that ends
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                encoding="utf-8",
                env={**os.environ, "PYTHONPATH": python_path()},
                start_new_session=True,  # Ctrl-C interrupts the server alone
            )
        except OSError as error:
            self._status = Status("failed", f"The music cannot be heard: {error.strerror or error}")
            return
        Thread(target=self._follow, args=[self._process], daemon=True).start()

    def stop(self) -> None:
        """End what was begun, and wait until it has; what was heard stays in the work cache."""
        process = self._process
        if process is None or process.stdin is None:
            return
        with suppress(OSError):
            process.stdin.close()
        try:
            process.wait(ENDED_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    @property
    def status(self) -> Status:
        """Whether it can be used now; if somebody has deleted the work cache, it is made again."""
        with self._lock:
            if self._library and self._status.state == "ready" and not self._library.is_made:
                self._status = Status("running", HEARING)
                self.start()
            return self._status

    @property
    def library(self) -> Library:
        """The library, which can be used.

        Raises
        ------
        EncoreError
            If it cannot be used: the line of `status`.
        """
        status = self.status
        if self._library is None or status.state != "ready":
            raise EncoreError(status.line)
        return self._library

    def _follow(self, process: "subprocess.Popen[str]") -> None:
        """Read what the process says until it ends."""
        assert process.stdout is not None
        last = Status("running", HEARING)
        for line in process.stdout:
            last = _said(line) or last
            if last.state == "running":
                self._status = last
        status = process.wait()
        if last.state == "running":
            last = Status("failed", f"The music cannot be heard: the process that hears it {_ended(status)}")
        self._status = last


def _said(line: str) -> Status | None:
    """Return what a line of the process says; None: it is not for us."""
    try:
        said = json.loads(line)
    except ValueError:
        return None
    match said:
        case {"done": True}:
            return Status("ready")
        case {"failed": str(reason)}:
            return Status("failed", f"The music cannot be heard: {reason}")
        case {"line": str(words)}:
            return Status("running", f"{HEARING}: {words}")
    return None


def _ended(status: int) -> str:
    return f"was killed ({signal.Signals(-status).name})" if status < 0 else f"has ended with status {status}"
