"""Stage fetch: which tracks are there? Writes data/raw/music, tracks.csv and source.json."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from stages.core.documents import write_document
from stages.core.errors import EncoreError, some
from stages.core.params import read
from stages.core.tables import RawTrack, write_rows
from stages.core.workspace import outputs
from stages.entry.command import run
from stages.sources.choices import build
from stages.sources.corrected import caveat_of, changed_since
from stages.sources.source import Source
from stages.sources.watched import assert_readable

RAW = Path("data/raw")


def fetch(source: Source, folder: Path) -> list[RawTrack]:
    """Write the music of a source, its table of tracks and what reports say about it.

    Parameters
    ----------
    source : Source
    folder : Path
        Empty; gets ``music``, ``tracks.csv`` and ``source.json``.

    Returns
    -------
    list of RawTrack
        The rows of ``tracks.csv``.

    Raises
    ------
    EncoreError
        If the source has no tracks, or cannot be read.
    """
    music = folder / "music"
    music.mkdir()
    tracks = source.fetch(music)
    if not tracks:
        raise EncoreError(f"dataset {source.name}: no audio files found")
    if others := changed_since(tracks, source.params):
        n = f"{len(others)} verdict{'s are' if others[1:] else ' is'}"
        print(f"  warning: {n} of files that have changed since: {some(others)}")
    write_rows(folder / "tracks.csv", tracks, RawTrack)
    about = {key: getattr(source, key) for key in ("name", "licence", "citation")}
    about["caveat"] = " ".join(filter(None, [source.caveat, caveat_of(source.params)]))
    write_document(folder / "source.json", about)
    return tracks


def summary(name: str, tracks: Sequence[RawTrack]) -> str:
    """Return the line that says how many tracks a source has."""
    classes = Counter(track.label for track in tracks)
    unlabelled = classes.pop("", 0)
    aside = f", {unlabelled} of them unlabelled" if unlabelled else ""
    return f"fetch: {len(tracks)} tracks from {name} in {len(classes)} classes{aside}"


def main() -> None:
    """Fetch what the `dataset` section of params.yaml names."""
    source = build(read("dataset"))
    params = source.params
    for watched in (params.watch, params.watch_metadata, params.watch_labels):
        assert_readable(Path(watched))  # else DVC fails after the stage, and says less
    with outputs(RAW) as folder:
        tracks = fetch(source, folder)
    print(summary(source.name, tracks))


if __name__ == "__main__":
    run(main)
