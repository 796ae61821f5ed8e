"""Run all stages over more and more tracks: seconds, memory and files of each, and how the seconds grow.

``python -m tests.campaigns.growth [--tracks 100 1000 10000] [--seconds 10]``. The tracks are synthetic.
Each stage is a new process, and the work cache is empty at first.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from tests.campaigns.workspace import new_workspace, run, write_music

STAGES = ("fetch", "decode", "segment", "split", "extract", "pictures", "baseline", "train", "evaluate")
FEW = ("train.epochs=2", "runtime.tracking=off")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tracks", type=int, nargs="+", default=[100, 1000, 10000])
    parser.add_argument("--seconds", type=float, default=10.0)
    given = parser.parse_args()
    seconds: dict[str, list[float]] = {stage: [] for stage in STAGES}
    print(f"tracks of {given.seconds:g} s, {', '.join(FEW)}")
    print("tracks  stage       seconds   MB   MB of its largest worker   files")
    for n_tracks in given.tracks:
        with tempfile.TemporaryDirectory() as name:
            music = Path(name, "music")
            write_music(music, n_tracks, given.seconds)
            folder = new_workspace(Path(name, "w"), "dataset=folder", f"dataset.path={music}", *FEW)
            n_before = 0
            for stage in STAGES:
                ended = run(stage, folder)
                if ended.status:
                    sys.exit(ended.stderr)
                seconds[stage].append(ended.seconds)
                n_files = sum(path.is_file() for path in folder.rglob("*"))
                own_mb = ended.peaks_mb.pop(ended.pid)
                print(
                    f"{n_tracks:6d}  {stage:<10} {ended.seconds:8.1f} {own_mb:5.0f} "
                    f"{max(ended.peaks_mb.values(), default=0.0):8.0f} {n_files - n_before:24d}",
                    flush=True,
                )
                n_before = n_files
    if len(given.tracks) > 1:
        few, many = given.tracks[-2:]
        print(f"ms a track, from {few} to {many}:")
        for stage, each in seconds.items():
            print(f"{stage:<10} {(each[-1] - each[-2]) / (many - few) * 1000:8.2f}")


if __name__ == "__main__":
    main()
