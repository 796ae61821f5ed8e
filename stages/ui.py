"""Open MLflow's page of the project's runs on http://127.0.0.1:5000."""

import os
import sqlite3
import sys

from stages.entry.command import run_command
from stages.tracking import store, view


def main() -> None:
    """Run MLflow's server on the project's own store, or on the one that MLFLOW_TRACKING_URI names."""
    given = os.environ.get("MLFLOW_TRACKING_URI")
    if not given:
        try:
            store.relocate()
        except sqlite3.Error as error:  # as of a store that is read-only: its runs can still be seen
            print(f"warning: {store.path()}: {error}; figures may not be found", file=sys.stderr)
    # Encore has no background jobs (such as tests of language models), whose processes take time and memory
    os.environ.setdefault("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")
    server = ["--host", "127.0.0.1", "--port", "5000"]
    address = given or store.sqlite_uri(store.path())
    experiment = os.environ.get("MLFLOW_EXPERIMENT_NAME", store.EXPERIMENT)
    print(f"http://127.0.0.1:5000/{'' if given else view.address(experiment)}", flush=True)
    os.execv(  # noqa: S606
        sys.executable, [sys.executable, "-m", "mlflow", "ui", *server, "--backend-store-uri", address]
    )


if __name__ == "__main__":
    run_command(main)
