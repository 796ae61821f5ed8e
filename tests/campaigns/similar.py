"""Search a million tracks.

``python -m tests.campaigns.similar [--tracks 1000000] [--size 128] [--words 1290]``. The vectors are
synthetic, the index is the project's own. Prints seconds and peak memory of making the index and of asking
it, each in a process of its own, and compares what is found with all products in double precision. Exits with
1 if that differs, or a process takes more than `MOST_GB`.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from stages.inference.track_index import Index, Track, new_index

GENRES = 10
K = 10
N_QUERIES = 7
MOST_GB = 0.5
AT_ONCE = 10_000


def vectors(n_tracks: int, size: int, seed: int):
    """Yield blocks of vectors: some near one another, and some exactly alike."""
    random = np.random.default_rng(seed)
    centres = random.normal(size=(1000, size))
    for first in range(0, n_tracks, AT_ONCE):
        n = min(AT_ONCE, n_tracks - first)
        block = centres[random.integers(0, 1000, n)] + 0.5 * random.normal(size=(n, size))
        block[n // 2 : n // 2 + n // 100] = block[n // 2]
        yield block.astype(np.float32)


def peak_gb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def make(place: Path, given: argparse.Namespace) -> None:
    """Make the index."""
    start, row = time.perf_counter(), 0
    random = np.random.default_rng(1)
    with new_index(place, {"folder": "/music", "method": {}}) as index:
        for block in vectors(given.tracks, given.size, given.seed):
            for vector in block:
                genre = f"genre{row % GENRES}"
                track = Track(f"{genre}/{row:07d}.mp3", genre, "", f"artist{row // 8}", f"{row:064x}", 30.0)
                index.add(track, vector, random.integers(0, 1 << 32, given.words, np.uint32))
                row += 1
    size_gb = sum(path.stat().st_size for path in place.iterdir()) / 1e9
    seconds, used_gb = time.perf_counter() - start, peak_gb()
    print(f"made: {seconds:.1f} s, {used_gb:.2f} GB of memory, {size_gb:.2f} GB on the disk")
    if used_gb > MOST_GB:
        sys.exit(1)


def ask(place: Path, given: argparse.Namespace) -> None:
    """Ask it, and compare."""
    start = time.perf_counter()
    index = Index(place)
    opened = time.perf_counter() - start
    whole = np.load(place / "vectors.npy", mmap_mode="r")
    queries = np.random.default_rng(2).integers(0, given.tracks, N_QUERIES)
    queries[0] = AT_ONCE // 2  # of those exactly alike
    vectors_of = [np.array(whole[row]) for row in queries]
    del whole
    everything, seconds, found = np.ones(index.n_tracks, bool), [], []
    for vector in vectors_of:
        start = time.perf_counter()
        found.append(index.nearest(vector, K, everything))
        seconds.append(time.perf_counter() - start)
    start = time.perf_counter()
    of_genre = np.zeros(index.n_tracks, bool)
    of_genre[index.rows("genre", ["genre3"])] = True
    filtered = index.nearest(vectors_of[1], K, of_genre)
    with_genre = time.perf_counter() - start
    used_gb = peak_gb()
    print(
        f"asked: opened in {opened:.3f} s, {seconds[0]:.2f} s the first, {np.median(seconds):.2f} s the "
        f"median of {len(seconds)}, {with_genre:.2f} s in one genre; {used_gb:.2f} GB of memory"
    )
    n_wrong = sum(a != b for a, b in zip(found, _all_products(index, vectors_of), strict=True))
    n_wrong += any(row % GENRES != 3 for row, _ in filtered) + (len(filtered) != K)
    print(f"compared with all products in double precision: {n_wrong} of {N_QUERIES + 1} answers differ")
    if n_wrong or used_gb > MOST_GB:
        sys.exit(1)


def _all_products(index: Index, queries: list[np.ndarray]) -> list[list[tuple[int, float]]]:
    products = [
        (block.astype(np.float64)[None] * np.array(queries, np.float64)[:, None]).sum(axis=2)
        for whole in index.blocks()
        for block in np.array_split(whole, 16)
    ]
    every = np.concatenate(products, axis=1).astype(np.float32)
    orders = np.argsort(-every, axis=1, kind="stable")[:, :K]
    return [[(int(row), float(of[row])) for row in order] for of, order in zip(every, orders, strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tracks", type=int, default=1_000_000)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--words", type=int, default=1290, help="of a fingerprint: 43 a second")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=("make", "ask"), help=argparse.SUPPRESS)
    parser.add_argument("--place", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.only:
        {"make": make, "ask": ask}[given.only](given.place, given)
        return
    print(f"{given.tracks:,} tracks, vectors of {given.size} numbers, fingerprints of {given.words} words")
    with tempfile.TemporaryDirectory() as folder:
        for only in ("make", "ask"):
            words = [f"--{name}={getattr(given, name)}" for name in ("tracks", "size", "words", "seed")]
            command = [sys.executable, "-m", "tests.campaigns.similar", *words, f"--only={only}"]
            if status := subprocess.run([*command, f"--place={folder}/index"]).returncode:
                sys.exit(status)


if __name__ == "__main__":
    main()
