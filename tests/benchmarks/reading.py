"""Layouts of features.h5: size, and time to write it and to read it as training does.

Training reads random batches, and all segments in order.
"""

import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import h5py
import numpy as np

from stages import extract
from stages.storage import feature_file
from tests.benchmarks.workspace import configure, music, quietly

BATCH = 32
N_BATCHES = 40
N_ROUNDS = 3
LAYOUTS = {  # dtype, compression
    "float32 *": ("float32", "none"),
    "float32, lzf": ("float32", "lzf"),
    "float32, gzip": ("float32", "gzip"),
    "float16": ("float16", "none"),
    "float16, lzf": ("float16", "lzf"),
    "float16, gzip": ("float16", "gzip"),
}


def run() -> None:
    """Store the same mel spectra in each layout; the default has a star."""
    with music():
        configure()
        quietly(extract.main)
        with feature_file.Features(Path("data/features/features.h5")) as features:
            mel = features.read("mel", np.arange(len(features.label)))
        print(f"\nmel of {len(mel)} segments, {mel.nbytes / 1e6:.0f} MB in memory ({N_ROUNDS} rounds)")
        print(f"  {'':<36}   size      write   {N_BATCHES} random batches of {BATCH}   in order")
        random = np.random.default_rng(0)
        batches = [
            np.sort(random.choice(len(mel), min(BATCH, len(mel)), replace=False)) for _ in range(N_BATCHES)
        ]
        in_order = np.array_split(np.arange(len(mel)), max(1, len(mel) // BATCH))
        paths = {name: Path(f"{i}.h5") for i, name in enumerate(LAYOUTS)}
        seconds: dict[str, list[list[float]]] = {name: [[], [], []] for name in LAYOUTS}
        unchecked: list[list[float]] = [[], []]
        for _ in range(N_ROUNDS):
            for name, path in paths.items():
                seconds[name][0].append(timed(lambda p=path, n=name: write(p, mel, *LAYOUTS[n])))
                seconds[name][1].append(timed(lambda p=path: read(p, batches)))
                seconds[name][2].append(timed(lambda p=path: read(p, in_order)))
            unchecked[0].append(timed(lambda: read_unchecked(paths["float32 *"], batches)))
            unchecked[1].append(timed(lambda: read_unchecked(paths["float32 *"], in_order)))
        for name, path in paths.items():
            share = path.stat().st_size / mel.nbytes
            times = "".join(f"{median(each):10.3f} s" for each in seconds[name])
            print(f"  {name:<36}{share:6.0%} {times}")
        times = "".join(f"{median(each):10.3f} s" for each in unchecked)
        print(f"  {'float32, without checks':<36}{'':6} {'':12}{times}")


def timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def write(path: Path, values: np.ndarray, dtype: str, compression: str) -> None:
    """As the stage extract does, a track at a time."""
    axes = [
        feature_file.Axis(name, np.arange(n)) for name, n in zip(("bin", "s"), values.shape[1:], strict=True)
    ]
    n = len(values)
    contents = feature_file.Contents(
        {"mel": feature_file.Array(np.dtype(dtype), "dB", *axes, {})},
        feature_file.SegmentTable([""] * n, [0] * n, [0] * n, [""] * n),
        {},
    )
    plain = path if compression == "none" else path.with_suffix(".plain")
    file = feature_file.create_features(plain, contents)
    for first in range(0, n, 10):
        file.write(first, {"mel": values[first : first + 10]})
    if compression != "none":
        feature_file.compress_features(plain, path, contents, compression)


def read(path: Path, batches: list[np.ndarray]) -> None:
    with feature_file.Features(path) as features:
        for rows in batches:
            features.read("mel", rows)


def read_unchecked(path: Path, batches: list[np.ndarray]) -> None:
    """What `read` costs without its checks."""
    with h5py.File(path) as file:
        dataset = file["mel"]
        for rows in batches:
            values, filled = np.empty((len(rows), *dataset.shape[1:]), np.float32), 0
            for part in feature_file.runs(rows):
                dataset.read_direct(values, np.s_[part[0] : part[-1] + 1], np.s_[filled : filled + len(part)])
                filled += len(part)
