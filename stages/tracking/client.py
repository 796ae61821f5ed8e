"""What stages tell MLflow, which runs in a process of its own (`stages.tracking.process`).

Its imports and its store take seconds, and a server answers when it likes; no training waits for that.
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

if TYPE_CHECKING:
    from stages.core.tables import Epoch

MLFLOW = {  # settings of MLflow's that the environment may change
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # A server that does not answer is given up after seconds; MLflow's own patience is many minutes.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_LOGGING_LEVEL": "ERROR",  # it remarks on all that it does
}
PATIENCE_S = 20.0  # of a stage that has ended, before it says what it waits for


class Tracking:
    """Tells the tracker what happens, in order; left, it has waited until all is done.

    A tracker that fails says so on standard error and never ends a stage.

    Parameters
    ----------
    mode : {'on', 'off'}
        Off: everything is ignored.
    """

    def __init__(self, mode: str):
        self._process: subprocess.Popen[str] | None = None
        if mode == "on":
            here = os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
            try:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "stages.tracking.process"],
                    stdin=subprocess.PIPE,
                    text=True,
                    env={**MLFLOW, **os.environ, "PYTHONPATH": here},
                    start_new_session=True,  # Ctrl-C is for the stage, which then says how its run ended
                )
            except OSError as error:
                print(f"warning: MLflow tracking is off for this run: {error}", file=sys.stderr)
            self._write(str(os.getpid()))

    def __enter__(self) -> "Tracking":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._tell("end", status="KILLED" if issubclass(kind, KeyboardInterrupt) else "FAILED")
        if self._process is not None and self._process.stdin is not None:
            with suppress(OSError):
                self._process.stdin.close()
            try:
                status = self._process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                print("waiting for MLflow to take what this run has logged", file=sys.stderr)
                status = self._process.wait()
            if status:
                print(f"warning: MLflow tracking ended with status {status}", file=sys.stderr)

    def start(self, content_key: str, killed: str = "", note: Path | None = None) -> None:
        """Start the run of a training, to be completed by `complete`.

        Parameters
        ----------
        content_key : str
            Of the training.
        killed : str
            Id of the run in which this training was killed; it goes on.
        note : Path or None
            File that gets the run's id.
        """
        self._tell("start", content_key=content_key, killed=killed, note=note and str(note))

    def log_epoch(self, epoch: "Epoch", seconds: float | None = None) -> None:
        """Log a row of the history, unless it was logged before a training was killed."""
        self._tell("log_epoch", row=asdict(epoch), seconds=seconds)

    def complete(self, metrics: Mapping[str, float], evaluation: Path, pictures: Path, model: Path) -> None:
        """Complete the run of a training with what `evaluate` found.

        Parameters
        ----------
        metrics : mapping of str to float
            Test metrics by flat name.
        evaluation, pictures, model : Path
            Folders whose files become artifacts, the last as a pyfunc model.
        """
        folders = {"evaluation": str(evaluation), "pictures": str(pictures), "model": str(model)}
        self._tell("complete", metrics=dict(metrics), **folders)

    def _tell(self, method: str, **arguments: Any) -> None:
        self._write(json.dumps([method, arguments, int(time.time() * 1000)]))

    def _write(self, line: str) -> None:
        if self._process is not None and self._process.stdin is not None:
            with suppress(OSError):  # it is gone, and has said why
                print(line, file=self._process.stdin, flush=True)
