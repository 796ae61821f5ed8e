"""Layouts of features.h5: size, and time to write it and to read it as training does.

Training reads random batches, and all segments in order.
"""

import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import h5py
import numpy as np

from stages import extract
from stages.storage import feature_file
from tests.benchmarks.workspace import configure, music, quietly

BATCH = 32
N_BATCHES = 40
N_ROUNDS = 5
NONE: dict[str, Any] = {}
CHECKED: dict[str, Any] = {"fletcher32": True}
LZF: dict[str, Any] = {"compression": "lzf", "shuffle": True, **CHECKED}
GZIP: dict[str, Any] = {"compression": "gzip", "shuffle": True, **CHECKED}
LAYOUTS: dict[str, tuple[str, int, dict[str, Any]]] = {  # dtype, segments per chunk (0: not chunked), filters
    "float32, in one piece": ("float32", 0, NONE),
    "float32, chunks of 1": ("float32", 1, NONE),
    "float32, checked chunks of 1 *": ("float32", 1, CHECKED),
    "float32, checked chunks of 16": ("float32", 16, CHECKED),
    "float32, lzf, checked chunks of 1 *": ("float32", 1, LZF),
    "float32, gzip, checked chunks of 1 *": ("float32", 1, GZIP),
    "float16, checked chunks of 1 *": ("float16", 1, CHECKED),
    "float16, lzf, checked chunks of 1 *": ("float16", 1, LZF),
    "float16, gzip, checked chunks of 1 *": ("float16", 1, GZIP),
}


def run() -> None:
    """Store the same mel spectra in each layout; parameters can choose those with a star."""
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
        for _ in range(N_ROUNDS):
            for name, path in paths.items():
                seconds[name][0].append(timed(lambda p=path, n=name: write(p, mel, *LAYOUTS[n])))
                seconds[name][1].append(timed(lambda p=path: read(p, batches)))
                seconds[name][2].append(timed(lambda p=path: read(p, in_order)))
        for name, path in paths.items():
            share = path.stat().st_size / mel.nbytes
            times = "".join(f"{median(each):10.3f} s" for each in seconds[name])
            print(f"  {name:<36}{share:6.0%} {times}")


def timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def write(path: Path, values: np.ndarray, dtype: str, per_chunk: int, filters: dict[str, Any]) -> None:
    with h5py.File(path, "w") as file:
        chunks = {"chunks": (per_chunk, *values.shape[1:])} if per_chunk else {}
        dataset = file.create_dataset("mel", values.shape, dtype, **chunks, **filters)
        for first in range(0, len(values), 10):  # a track at a time
            dataset[first : first + 10] = values[first : first + 10]


def read(path: Path, batches: list[np.ndarray]) -> None:
    """Read batches as `stages.storage.feature_file.Features.read` does."""
    with h5py.File(path) as file:
        dataset = file["mel"]
        for rows in batches:
            values, filled = np.empty((len(rows), *dataset.shape[1:]), np.float32), 0
            for part in feature_file.runs(rows):
                dataset.read_direct(values, np.s_[part[0] : part[-1] + 1], np.s_[filled : filled + len(part)])
                filled += len(part)
