"""`dvc repro` on many tracks of PCM: bytes on the disk with links and with copies, and one more track.

``python -m tests.campaigns.repro [--tracks 1000] [--rounds 3] [--epochs 2]``. The tracks last 30 s. Links
and copies have a project each. A round times decode and extract twice: with nothing changed, and after one
track has been added.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from tests.campaigns.speed import DURATION_S, size_mb
from tests.campaigns.workspace import run, write_music
from tests.pipeline.project import Project
from tests.synthetic import composed

TYPES = ("hardlink,copy", "copy")
PLACES = ("data/raw", "data/audio", "data/features", "data", ".dvc/cache", ".encore")
LIMIT_S = 3600.0


def timed(folder: Path, *stages: str) -> float:
    """Seconds of some stages, one after another, without DVC."""
    seconds = 0.0
    for stage in stages:
        ended = run(stage, folder)
        if ended.status:
            sys.exit(ended.stderr)
        seconds += ended.seconds
    return seconds


def one_more(project: Project, music: Path, number: int) -> tuple[float, float]:
    """Seconds of decode and extract with nothing changed, and with one more track; DVC then takes it in."""
    unchanged = timed(project.folder, "decode", "extract")
    more = music.with_name(f"more{number}")
    write_music(more, 1, DURATION_S, seed=10_000_000 + number)
    (more / "class0/000000.wav").rename(music / f"class0/more{number}.wav")
    timed(project.folder, "fetch")
    decode = timed(project.folder, "decode")
    timed(project.folder, "segment", "split")
    seconds = decode + timed(project.folder, "extract")
    project.dvc("repro", "extract", timeout_s=LIMIT_S)
    return unchanged, seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tracks", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=2)
    given = parser.parse_args()
    for kind in TYPES:
        with tempfile.TemporaryDirectory() as name:
            music, folder = Path(name, "music"), Path(name, "project")
            write_music(music, given.tracks, DURATION_S)
            folder.mkdir()
            project = Project(folder, music)
            words = ("dataset=folder", f"dataset.path={music}", f"train.epochs={given.epochs}")
            (folder / "params.yaml").write_text(composed(*words), "utf-8")
            project.dvc("config", "--local", "cache.type", kind)
            started = time.monotonic()
            project.dvc("repro", timeout_s=LIMIT_S)
            print(f"{kind}: dvc repro {time.monotonic() - started:.0f} s")
            raw_mb = size_mb(folder / "data/raw")
            all_mb = size_mb(*(folder / place for place in ("data", ".dvc/cache", ".encore")))
            print(f"  MB: {', '.join(f'{place} {size_mb(folder / place):.0f}' for place in PLACES)}")
            print(
                f"  MB of all, each file once: {all_mb:.0f}, {all_mb / raw_mb:.2f} times data/raw", flush=True
            )
            rounds = [one_more(project, music, number) for number in range(given.rounds)]
            cost = [more - unchanged for unchanged, more in rounds]
            print(
                f"  decode and extract: unchanged {median(unchanged for unchanged, _ in rounds):.1f} s, "
                f"one more track {median(more for _, more in rounds):.1f} s; "
                f"more by {median(cost):.2f} s ({min(cost):.2f} to {max(cost):.2f})",
                flush=True,
            )


if __name__ == "__main__":
    main()
