"""Open MLflow's page of the project's runs on port 5000 of this machine.

`encore ui` prints the address, and opens it in the browser if there is a display. Ctrl-C ends it.
"""

import http.client
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import suppress

from stages.core.errors import EncoreError
from stages.entry.browser import open_in_browser
from stages.entry.command import run_command
from stages.tracking import store, view

PORT = 5000
# A browser takes every name under localhost for its own machine (RFC 6761). Under 127.0.0.1 and localhost
# MLflow opens its assistant at first, which covers the scores.
HOST = "encore.localhost"
SERVER = {  # settings of MLflow's server, unless the environment has others
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # Encore has no background jobs (such as tests of language models), whose processes take time and memory
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "MLFLOW_SERVER_ALLOWED_HOSTS": f"{HOST}:*,localhost:*,127.0.0.1:*",
    "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS": f"http://{HOST}:*",
}


def main() -> None:
    """Run MLflow's server on the project's own store, or on the one that MLFLOW_TRACKING_URI names.

    Raises
    ------
    EncoreError
        If the port is in use, or the server ends before it answers.
    """
    given = os.environ.get("MLFLOW_TRACKING_URI")
    if not given:
        try:
            store.relocate()
        except sqlite3.Error as error:  # as of a store that is read-only: its runs can still be seen
            print(f"warning: {store.path()}: {error}; figures may not be found", file=sys.stderr)
    place = ["--host", "127.0.0.1", "--port", str(PORT), "--workers", "1"]  # for one person
    uri = given or store.sqlite_uri(store.path())
    experiment = os.environ.get("MLFLOW_EXPERIMENT_NAME", store.EXPERIMENT)
    address = f"http://{HOST}:{PORT}/{'' if given else view.address(experiment)}"
    _assert_free()
    for number in (signal.SIGTERM, signal.SIGHUP):  # so that the server ends, too
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    server = subprocess.Popen(
        [sys.executable, "-m", "mlflow", "ui", *place, "--backend-store-uri", uri],
        env={**SERVER, **os.environ},
        start_new_session=True,  # of Ctrl-C it would print a traceback
    )
    try:
        _wait(server)
        print(address, flush=True)
        open_in_browser(address)
        server.wait()
    except KeyboardInterrupt:
        print()
    finally:
        server.terminate()
        server.wait()


def _assert_free() -> None:
    with suppress(OSError):  # nobody answers
        http.client.HTTPConnection("127.0.0.1", PORT, timeout=1).connect()
        raise EncoreError(f"port {PORT} is in use; end what uses it, such as another `make ui`")


def _wait(server: "subprocess.Popen[bytes]") -> None:
    """Wait until the server answers."""
    while server.poll() is None:
        connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=1)
        with suppress(OSError, http.client.HTTPException):
            connection.request("GET", "/health")
            if connection.getresponse().status == http.client.OK:
                return
        connection.close()
        time.sleep(0.2)
    raise EncoreError("MLflow's server has ended before it answered; it says why above")


if __name__ == "__main__":
    run_command(main)
