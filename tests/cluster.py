"""A Dask cluster on this machine: real processes."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from distributed import Client

from tests.synthetic import REPO


class Cluster:
    """A scheduler, and workers that start and end."""

    def __init__(self, folder: Path, deaths: int):
        self.file = folder / "scheduler.json"
        self.log = (folder / "log.txt").open("w")
        self.processes: list[subprocess.Popen] = []
        allowed = {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": str(deaths - 1)}
        self.scheduler = self._start("scheduler", "--port", "0", **allowed)

    def _start(self, kind: str, *options: str, **environment: str) -> subprocess.Popen:
        command = [sys.executable, "-m", f"distributed.cli.dask_{kind}", "--host", "127.0.0.1"]
        process = subprocess.Popen(
            [*command, "--no-dashboard", "--scheduler-file", str(self.file), *options],
            cwd=self.file.parent,
            env={**os.environ, "PYTHONPATH": str(REPO), **environment},
            stdout=self.log,
            stderr=self.log,
        )
        self.processes.append(process)
        return process

    def start_worker(self, code: Path = REPO, **environment: str) -> subprocess.Popen:
        options = ("--nthreads", "1", "--no-nanny", "--memory-limit", "0")
        return self._start("worker", *options, PYTHONPATH=str(code), **environment)

    @property
    def address(self) -> str:
        while not (self.file.exists() and self.file.read_text()):
            assert self.scheduler.poll() is None
            time.sleep(0.05)
        return json.loads(self.file.read_text())["address"]

    def wait_for(self, n_workers: int) -> None:
        """Wait until the scheduler has this number of workers."""
        with Client(self.address, set_as_default=False) as client:
            while len(client.nthreads()) != n_workers:
                time.sleep(0.05)

    def end(self, *processes: subprocess.Popen) -> None:
        for process in processes or self.processes:
            process.kill()
            process.wait()
