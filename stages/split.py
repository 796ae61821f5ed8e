"""Stage split: which tracks are for training, and which for testing? Writes data/split/split.csv."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from stages.core.params import read
from stages.core.tables import Assignment, SegmentedTrack, read_rows, write_rows
from stages.core.workspace import outputs
from stages.entry.command import run
from stages.splitting.assignment import NOT_SCORED, assign_tracks
from stages.splitting.params import check_split
from stages.splitting.schemes import SPLITS

TRACKS = Path("data/segments/tracks.csv")


def summary(name: str, rows: Sequence[Assignment]) -> str:
    """Return the line that says how many tracks are in each split."""
    counts = Counter(row.split for row in rows)
    return f"split: {name}: " + ", ".join(
        f"{counts[split]} {split}" for split in (*SPLITS, *NOT_SCORED) if counts[split]
    )


def main() -> None:
    """Split the tracks that have segments."""
    params = check_split(read("split"))
    rows, warnings = assign_tracks(read_rows(TRACKS, SegmentedTrack), params)
    with outputs(Path("data/split")) as folder:
        write_rows(folder / "split.csv", rows, Assignment)
    print(summary(params.name, rows))
    for warning in warnings:
        print(f"  warning: {warning}")


if __name__ == "__main__":
    run(main)
