"""Run extract over more and more tracks: memory, time, and the cost of one more track.

``python -m tests.campaigns.scale [--tracks 100 1000 10000] [--seconds 10] [--seed 0]``. The tracks are
synthetic; each stage runs in a process, which starts workers for many tracks. Exits with 1 if
memory grows by more than `MOST_KB` a track, or one more track changes what the others give.
"""

import argparse
import hashlib
import shutil
import sys
import tempfile
from pathlib import Path

import h5py
import numpy as np

from stages.core.tables import AudioTrack, write_rows
from stages.storage import audio_file
from tests.campaigns.workspace import Ended, new_workspace, run
from tests.synthetic import noise

RATE_HZ = 22050
MOST_KB = 8.0  # per track: its name and places in the index, and what HDF5 stores about its waveform
POOL_S = 120
CACHE_GB = 2.0


def write_tracks(folder: Path, n_tracks: int, seconds: float, seed: int) -> None:
    """./data/audio as decode leaves it: excerpts of the same noise, no two alike."""
    audio = folder / "data/audio"
    shutil.rmtree(audio, ignore_errors=True)
    audio.mkdir(parents=True)
    pool = (noise(POOL_S * RATE_HZ, seed) * 32767).astype(np.int16)
    n_samples = round(seconds * RATE_HZ)
    starts = np.random.default_rng(seed).permutation(len(pool) - n_samples)[:n_tracks]
    rows = []
    with audio_file.create_audio(audio / "audio.h5", RATE_HZ) as file:
        for row, start in enumerate(starts):
            samples = pool[start : start + n_samples]
            digest = hashlib.sha256((samples.astype(np.float32) / 32768).tobytes()).hexdigest()
            name = f"class{row % 10}/{row:05d}.wav"
            audio_file.append_waveform(file, row, name, samples, digest)
            rows.append(AudioTrack(name, f"class{row % 10}", "", name, "", n_samples, 1))
    write_rows(audio / "tracks.csv", rows, AudioTrack)


def extract(folder: Path) -> Ended:
    """Run segment and extract; fail loudly."""
    for stage in ("segment", "extract"):
        ended = run(stage, folder)
        if ended.status:
            sys.exit(ended.stderr)
    return ended


def digest_of(folder: Path, n_tracks: int) -> str:
    """SHA-256 over the arrays of the first tracks."""
    digest = hashlib.sha256()
    with h5py.File(folder / "data/features/features.h5") as file:
        n_segments = int(np.searchsorted(np.cumsum(file["segment"][:] == 0), n_tracks, "right"))
        for first in range(0, n_segments, 1000):
            rows = slice(first, min(first + 1000, n_segments))
            digest.update(file["mel"][rows].tobytes() + file["mfcc"][rows].tobytes())
    return digest.hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tracks", type=int, nargs="+", default=[100, 1000, 10000])
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    peaks_mb: dict[int, float] = {}
    is_wrong = False
    print(f"seed {given.seed}, tracks of {given.seconds:g} s, work cache of at most {CACHE_GB:g} GB")
    print("tracks  peak MB  of a worker  extract s  nothing new s  one more s   cache GB  features.h5 GB")
    for n_tracks in given.tracks:
        with tempfile.TemporaryDirectory() as name:
            folder = new_workspace(Path(name, "workspace"), f"runtime.cache_gb={CACHE_GB}")
            write_tracks(folder, n_tracks, given.seconds, given.seed)
            first = extract(folder)
            peaks_mb[n_tracks] = first.peaks_mb.pop(first.pid)
            worker_mb = max(first.peaks_mb.values(), default=0.0)
            before = digest_of(folder, n_tracks)
            again = extract(folder)
            write_tracks(folder, n_tracks + 1, given.seconds, given.seed)
            more = extract(folder)
            is_wrong |= digest_of(folder, n_tracks) != before
            cache_gb = sum(path.stat().st_size for path in folder.glob(".encore/entries/*/*")) / 1e9
            size_gb = (folder / "data/features/features.h5").stat().st_size / 1e9
        print(
            f"{n_tracks:6d} {peaks_mb[n_tracks]:8.0f} {worker_mb:12.0f} {first.seconds:10.1f}"
            f" {again.seconds:14.1f} {more.seconds:11.1f} {cache_gb:10.2f} {size_gb:15.2f}",
            flush=True,
        )
    if len(peaks_mb) > 1:
        (few, less_mb), (many, more_mb) = [*peaks_mb.items()][-2:]
        slope = (more_mb - less_mb) / (many - few) * 1000
        print(f"slope from {few} to {many} tracks: {slope:.2f} kB a track")
        is_wrong |= slope > MOST_KB
    if is_wrong:
        sys.exit("memory grows too fast, or one more track changed the others")


if __name__ == "__main__":
    main()
