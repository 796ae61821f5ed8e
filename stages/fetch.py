"""Stage fetch: which tracks are there? Fills data/raw with audio and its manifest, tracks.csv."""

import json
from collections import Counter
from pathlib import Path

from stages.core.errors import EncoreError, run
from stages.core.params import read
from stages.core.tables import RawTrack, write_rows
from stages.core.workspace import new_folder
from stages.sources.choices import build


def main() -> None:
    """Fetch what the `dataset` section of params.yaml names."""
    source = build(read("dataset"))
    with new_folder(Path("data/raw")) as folder:
        tracks = source.fetch(folder)
        if not tracks:
            raise EncoreError(f"dataset {source.name}: no audio files found")
        write_rows(folder / "tracks.csv", tracks, RawTrack)
        about = {key: getattr(source, key) for key in ("name", "licence", "citation", "caveat")}
        (folder / "source.json").write_text(json.dumps(about, indent=2, ensure_ascii=False) + "\n", "utf-8")
    classes = Counter(track.label for track in tracks)
    unlabelled = classes.pop("", 0)
    aside = f", {unlabelled} of them unlabelled" if unlabelled else ""
    print(f"fetch: {len(tracks)} tracks from {source.name} in {len(classes)} classes{aside}")


if __name__ == "__main__":
    run(main)
