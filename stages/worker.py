"""Start a Dask worker for runtime.backend=dask, with the kernels of numpy that give the same bits everywhere.

python -m stages.worker tcp://10.0.0.5:8786 --nthreads 1

Run it in a checkout of the same code. The words are those of `dask worker`; that command itself loads numpy
with the kernels of its machine, and is then refused.
"""

import os
import sys

from stages.core.workspace import python_path
from stages.entry.command import run_command


def main() -> None:
    """Become `dask worker`, with this project's code and settings."""
    command = [sys.executable, "-m", "distributed.cli.dask_worker", *sys.argv[1:]]
    os.execve(sys.executable, command, {**os.environ, "PYTHONPATH": python_path()})  # noqa: S606


if __name__ == "__main__":
    run_command(main, takes_words=True)
