"""How fast `encore predict` is, and how much memory it takes: `python -m tests.campaigns.prediction MODEL…`.

Each MODEL is a folder with a trained model. Music is noise of 30 s at 44,100 Hz in FLAC: it is decoded and
resampled. What start-up takes is the difference of two numbers of files; a file of hours is one more.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
import soundfile

FEW, MANY = 20, 220  # files
CLIP_S, LONG_H = 30, 3
RATE_HZ = 44_100


def main(models: list[str]) -> None:
    """Print a line for each model."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        few, many, long = folder / "few", folder / "many", folder / "long.flac"
        for where, n in ((few, FEW), (many, MANY)):
            where.mkdir()
            for i in range(n):
                soundfile.write(where / f"{i:03}.flac", noise(CLIP_S, i), RATE_HZ)
        with soundfile.SoundFile(long, "w", RATE_HZ, 1) as file:
            for i in range(LONG_H * 60):
                file.write(noise(60, i))
        for model in models:
            (start_s, _), (all_s, gb), (long_s, long_gb) = (asked(model, path) for path in (few, many, long))
            speed = (MANY - FEW) * CLIP_S / (all_s - start_s)
            alone_s = start_s - FEW * CLIP_S / speed
            print(
                f"{model}: {speed:.0f} times real time ({MANY} files {all_s:.1f} s, of which start-up about "
                f"{alone_s:.1f} s), {gb:.2f} GB; a file of {LONG_H} h {long_s:.1f} s, {long_gb:.2f} GB"
            )


def noise(seconds: float, seed: int) -> np.ndarray:
    """Low-passed a little, so that FLAC has something to do."""
    random = np.random.default_rng(seed)
    samples = random.standard_normal(round(seconds * RATE_HZ) + 1).astype(np.float32)
    return 0.1 * (samples[1:] + samples[:-1])


def asked(model: str, path: Path) -> tuple[float, float]:
    """Return seconds, and the greatest memory of all its processes together in GB, without mapped files."""
    start, peak = time.monotonic(), 0
    command = [sys.executable, "-m", "stages.predict", "--model", model, "--csv", "--quiet", str(path)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        own = psutil.Process(process.pid)
        while process.poll() is None:
            processes = [process.pid, *(child.pid for child in own.children(recursive=True))]
            peak = max(peak, sum(map(anonymous, processes)))
            time.sleep(0.1)
    if process.returncode:
        sys.exit(f"{' '.join(command)} ended with {process.returncode}")
    return time.monotonic() - start, peak / 1e9


def anonymous(pid: int) -> int:
    """Return the bytes of a process that are no file's; what it shares is divided."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:  # it has just ended
        return 0
    return 1024 * sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss_Anon"))


if __name__ == "__main__":
    if not sys.argv[1:]:
        sys.exit(__doc__)
    main(sys.argv[1:])
