"""Sends what happens in a run to MLflow, which runs in a separate process (`stages.tracking.process`).

MLflow takes seconds to import and to open its store, and a server may be slow; training waits for neither.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from stages.core.workspace import python_path

if TYPE_CHECKING:
    from stages.core.tables import Epoch

MLFLOW = {  # settings of MLflow, unless the environment has others
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # Give up on a server that does not answer after seconds; MLflow's defaults are many minutes.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
SILENT_WAIT_S = 20.0  # how long a finished stage waits for MLflow before it prints why


class Tracking:
    """Sends the events of a run to the tracking process, in order; at exit it waits until all are logged.

    If tracking fails, it prints a warning on standard error; the stage goes on.

    Parameters
    ----------
    mode : {'on', 'off'}
        Off: nothing is tracked.
    """

    def __init__(self, mode: str):
        self._process: subprocess.Popen[str] | None = None
        self._has_run = False
        if mode == "on":
            try:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "stages.tracking.process"],
                    stdin=subprocess.PIPE,
                    text=True,
                    env={**MLFLOW, **os.environ, "PYTHONPATH": python_path()},
                    start_new_session=True,  # Ctrl-C interrupts the stage alone, which sends "KILLED"
                )
            except OSError as error:
                print(f"warning: MLflow tracking is off for this run: {error}", file=sys.stderr)
            self._write(str(os.getpid()))

    def __enter__(self) -> "Tracking":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None and not self._has_run and self._process is not None:
            self._process.kill()  # the user shall not wait for it to learn of a mistake
            self._process.wait()
            return
        if kind is not None:
            self._send("end", status="KILLED" if issubclass(kind, KeyboardInterrupt) else "FAILED")
        self.wait()

    def wait(self) -> None:
        """Wait until all is logged; nothing can be logged afterwards."""
        if self._process is None or self._process.stdin is None or self._process.stdin.closed:
            return
        with suppress(OSError):
            self._process.stdin.close()
        try:
            status = self._process.wait(SILENT_WAIT_S)
        except subprocess.TimeoutExpired:
            print("waiting for MLflow to log the rest of this run", file=sys.stderr)
            status = self._process.wait()
        if status:
            print(f"warning: MLflow tracking ended with status {status}", file=sys.stderr)

    def start(self, content_key: str, killed: str = "", note: Path | None = None) -> None:
        """Start the run of a training; `complete` completes it.

        Parameters
        ----------
        content_key : str
            The training's content key.
        killed : str
            Id of the run in which this training was killed; that run is continued.
        note : Path or None
            File to write the run's id to.
        """
        self._has_run = True
        self._send("start", content_key=content_key, killed=killed, note=note and str(note))

    def log_epoch(self, epoch: "Epoch", seconds: float | None = None) -> None:
        """Log a row of the history, unless the run already has that epoch."""
        self._send("log_epoch", row=asdict(epoch), seconds=seconds)

    def complete(
        self,
        metrics: Mapping[str, float],
        evaluation: Path,
        pictures: Path,
        model: Path,
        register: str | None = None,
    ) -> None:
        """Add the results of `evaluate` to the run of the training.

        Parameters
        ----------
        metrics : mapping of str to float
            Metrics by flat name.
        evaluation, pictures, model : Path
            Folders whose files become artifacts, the last one a pyfunc model.
        register : str or None
            Name of the registered model of which the run becomes a new version.
        """
        self._has_run = True
        folders = {"evaluation": str(evaluation), "pictures": str(pictures), "model": str(model)}
        self._send("complete", metrics=dict(metrics), register=register, **folders)

    def _send(self, method: str, **arguments: Any) -> None:
        self._write(json.dumps([method, arguments, int(time.time() * 1000)]))

    def _write(self, line: str) -> None:
        if self._process is not None and self._process.stdin is not None and not self._process.stdin.closed:
            with suppress(OSError):  # the process has ended, and has printed why
                print(line, file=self._process.stdin, flush=True)
