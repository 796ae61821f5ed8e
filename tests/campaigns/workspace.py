"""Run stages in separate folders, watch their memory, and find their processes."""

import hashlib
import os
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import soundfile

from tests.synthetic import REPO, composed, noise

SAMPLING_S = 0.05
RATE_HZ = 22050  # of made-up music


@dataclass
class Ended:
    """How a stage ended.

    Attributes
    ----------
    status : int
    stdout, stderr : str
    seconds : float
    pid : int
        Process id of the stage.
    peaks_mb : dict of int to float
        Peak resident memory of each of its processes, by process id.
    """

    status: int
    stdout: str
    stderr: str
    seconds: float
    pid: int
    peaks_mb: dict[int, float]


def new_workspace(folder: Path, *overrides: str) -> Path:
    """Create a folder with the params.yaml that conf/ composes to under `overrides`."""
    folder.mkdir(parents=True)
    (folder / "params.yaml").write_text(composed(*overrides), "utf-8")
    return folder.resolve()


def write_music(folder: Path, n_tracks: int, seconds: float, kind: str = "wav", seed: int = 0) -> None:
    """Write noise as files of music in ten classes; excerpts of one noise would be near-duplicates."""
    for number in range(n_tracks):
        path = folder / f"class{number % 10}" / f"{number:06d}.{kind}"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, noise(round(seconds * RATE_HZ), seed + number), RATE_HZ)


def start(stage: str, folder: Path, hooks: str = "", **streams: Any) -> subprocess.Popen[bytes]:
    """Start ``python -m stages.STAGE`` in `folder`; `hooks` come before the repository in its path."""
    path = os.pathsep.join(part for part in (hooks, str(REPO)) if part)
    environment = {**os.environ, "PYTHONPATH": path, "DVC_ROOT": str(folder)}
    command = [sys.executable, "-m", f"stages.{stage}"]
    return subprocess.Popen(command, cwd=folder, env=environment, **streams)


def run(stage: str, folder: Path, hooks: str = "") -> Ended:
    """Run a stage to its end and measure the memory of all its processes."""
    started = time.monotonic()
    peaks_mb: dict[int, float] = {}
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        process = start(stage, folder, hooks, stdout=stdout, stderr=stderr)
        while process.poll() is None:
            peaks_mb |= {pid: peak for pid in processes(folder) if (peak := peak_mb(pid))}
            time.sleep(SAMPLING_S)
        seconds = time.monotonic() - started
        out, err = (_text(stream) for stream in (stdout, stderr))
    return Ended(process.returncode, out, err, seconds, process.pid, peaks_mb)


def _text(stream: IO[bytes]) -> str:
    stream.seek(0)
    return stream.read().decode()


def processes(folder: Path) -> list[int]:
    """Find the processes in `folder`: a stage and all that it started, even if the stage has ended."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended, or belongs to another user
            if (process / "cwd").readlink() == folder:
                found.append(int(process.name))
    return found


def left_after(folder: Path, seconds: float) -> list[int]:
    """Find the processes that are still in `folder` after some time to end."""
    deadline = time.monotonic() + seconds
    while (left := processes(folder)) and time.monotonic() < deadline:
        time.sleep(SAMPLING_S)
    return left


def peak_mb(pid: int) -> float:
    """Return the peak resident memory of a process in 10⁶ bytes; 0 if it has ended."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    return 0.0


def digests(folder: Path) -> dict[str, str]:
    """Compute the SHA-256 of each file below `folder`, by its path; empty if there is no such folder."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
