"""Time decode and extract against a straightforward script, from the same files to the same features.

``python -m tests.campaigns.speed [--tracks 1000] [--rounds 3] [--format wav|mp3]``. The tracks last 30 s.
Each round runs all ways one after another, with an empty work cache, every process from its start. The script
loads with librosa, computes mel and MFCC of each segment, and writes HDF5, in one process with one thread of
OpenBLAS; it cannot read MIDI. Prints seconds, ratios, and the bytes that each folder takes.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from subprocess import DEVNULL

from tests.campaigns.workspace import new_workspace, run, start, write_music
from tests.synthetic import composed

DURATION_S = 30
STAGES = ("decode", "segment", "extract")
SCRIPT = """
import sys
from pathlib import Path

import h5py
import librosa
import numpy as np

files = sorted(Path(sys.argv[1]).rglob("*.*"))
mel, mfcc = [], []
for path in files:
    samples, rate_hz = librosa.load(path, sr=22050)
    for start in range(0, len(samples) - 66149, 66150):
        segment = samples[start : start + 66150]
        power = librosa.feature.melspectrogram(y=segment, sr=rate_hz)
        mel.append(librosa.power_to_db(power))
        static = librosa.feature.mfcc(S=mel[-1], n_mfcc=20)
        derivatives = [librosa.feature.delta(static, order=order) for order in (1, 2)]
        mfcc.append(np.concatenate([static, *derivatives]))
with h5py.File(sys.argv[2], "w") as file:
    file["mel"], file["mfcc"] = np.stack(mel), np.stack(mfcc)
"""


def timed_script(music: Path, target: Path) -> float:
    started = time.monotonic()
    command = [sys.executable, "-c", SCRIPT, str(music), str(target)]
    subprocess.run(command, check=True, env={**os.environ, "OPENBLAS_NUM_THREADS": "1"})
    return time.monotonic() - started


def timed_stages(folder: Path, workers: int) -> list[float]:
    """Seconds of each stage, with nothing in the work cache."""
    for made in (".encore", "data/audio", "data/segments", "data/features"):
        shutil.rmtree(folder / made, ignore_errors=True)
    (folder / "params.yaml").write_text((folder / f"{workers}.yaml").read_text())
    os.sync()
    seconds = []
    for stage in STAGES:
        started = time.monotonic()
        if start(stage, folder, stdout=DEVNULL, stderr=DEVNULL).wait():
            sys.exit(f"{stage} has failed")
        seconds.append(time.monotonic() - started)
    return seconds


def size_mb(*paths: Path) -> float:
    """What files take on the disk, each once however many links it has."""
    files = [path.stat() for folder in paths for path in folder.rglob("*") if path.is_file()]
    return sum({about.st_ino: about.st_blocks * 512 for about in files}.values()) / 1e6


def report(seconds: dict[str, list[float]], data: Path) -> None:
    """Print medians and ranges, ratios within each round, and sizes."""
    for way, each in seconds.items():
        print(f"{way:<20} {median(each):7.1f} s ({min(each):.1f} to {max(each):.1f})")
    one, two = "all, 1 workers", "all, 2 workers"
    for over, under in (("script", two), ("script", one), (one, two)):
        if over in seconds:
            ratios = [a / b for a, b in zip(seconds[over], seconds[under], strict=True)]
            print(f"{over} / {under}: {median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
    cache = data.parent / ".encore"
    print(
        f"MB: music {size_mb(data / 'raw'):.0f}, audio {size_mb(data / 'audio'):.0f}, "
        f"features {size_mb(data / 'features'):.0f}, all with the work cache {size_mb(data, cache):.0f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tracks", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--format", choices=["wav", "mp3"], default="wav")
    parser.add_argument("--music", type=Path, help="a folder of your own instead")
    parser.add_argument("--no-script", action="store_true", help="the stages alone, as for MIDI")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    seconds: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as name:
        music = given.music or Path(name, "music")
        if not given.music:
            write_music(music, given.tracks, DURATION_S, given.format, given.seed)
        source = ("dataset=folder", f"dataset.path={music.resolve()}")
        folder = new_workspace(Path(name, "workspace"), *source)
        for workers in (1, 2):
            (folder / f"{workers}.yaml").write_text(composed(*source, f"runtime.workers={workers}"), "utf-8")
        if (ended := run("fetch", folder)).status:
            sys.exit(ended.stderr)
        for number in range(given.rounds):
            for workers in (1, 2):
                each = timed_stages(folder, workers)
                for stage, of_stage in zip((*STAGES, "all"), (*each, sum(each)), strict=True):
                    seconds.setdefault(f"{stage}, {workers} workers", []).append(of_stage)
            if not given.no_script:
                seconds.setdefault("script", []).append(timed_script(music, Path(name, "script.h5")))
            print(
                f"round {number + 1}: {', '.join(f'{way} {s[-1]:.1f}' for way, s in seconds.items())}",
                flush=True,
            )
        report(seconds, folder / "data")


if __name__ == "__main__":
    main()
