"""The fetch stage: what it writes of any source, and what it leaves alone."""

import dataclasses
from pathlib import Path

import pytest

from stages import fetch
from stages.core.documents import read_document
from stages.core.errors import EncoreError
from stages.core.tables import RawTrack, read_rows
from stages.sources.params import SourceParams
from tests.synthetic import write_music, write_params

TRACKS = [
    RawTrack(
        track_id=f"{label}/{number}.wav",
        path=f"{label}/{number}.wav",
        label=label,
        group="",
        sha256="0" * 64,
        bytes=1,
        source="made up",
    )
    for label in ("jazz", "rock", "")
    for number in range(2)
]

PARAMS = SourceParams(
    name="made up",
    classes=None,
    tracks_per_class=None,
    fraction=1.0,
    seed=0,
    watch="x",
    watch_metadata="x",
    watch_labels="x",
)


@dataclasses.dataclass
class MadeUp:
    """A source that has these tracks."""

    tracks: list[RawTrack]
    params: SourceParams = PARAMS
    name: str = "made up"
    licence: str = "none"
    citation: str = "Ångström, 1868"
    caveat: str = ""

    def fetch(self, into: Path) -> list[RawTrack]:
        (into / "any.wav").write_bytes(b"music")
        return self.tracks


def test_music_table_and_source_are_written(tmp_path):
    assert fetch.fetch(MadeUp(TRACKS), tmp_path) == TRACKS
    assert read_rows(tmp_path / "tracks.csv", RawTrack) == TRACKS
    assert [path.name for path in (tmp_path / "music").iterdir()] == ["any.wav"]
    assert read_document(tmp_path / "source.json") == {
        "name": "made up",
        "licence": "none",
        "citation": "Ångström, 1868",
        "caveat": "",
    }


def test_a_source_without_tracks_is_refused(tmp_path):
    with pytest.raises(EncoreError, match="dataset made up: no audio files found"):
        fetch.fetch(MadeUp([]), tmp_path)


@pytest.mark.parametrize(
    ("tracks", "line"),
    [
        (TRACKS, "fetch: 6 tracks from made up in 2 classes, 2 of them unlabelled"),
        (TRACKS[:4], "fetch: 4 tracks from made up in 2 classes"),
    ],
)
def test_the_summary_counts_tracks_and_classes(tracks, line):
    assert fetch.summary("made up", tracks) == line


def test_music_is_replaced_and_files_beside_it_stay(workspace):
    write_music(workspace / "music", per_class=1, seconds=0.1)
    write_params("dataset=folder", f"dataset.path={workspace / 'music'}")
    Path("data/raw/music/old").mkdir(parents=True)
    Path("data/raw/music/old/a.wav").write_text("of another source")
    Path("data/raw/mine.wav").write_text("mine")
    fetch.main()
    assert {path.name for path in Path("data/raw").iterdir()} == {
        "music",
        "tracks.csv",
        "source.json",
        "mine.wav",
    }
    tracks = read_rows(Path("data/raw/tracks.csv"), RawTrack)
    music = {path for path in Path("data/raw/music").rglob("*") if path.is_file()}
    assert music == {Path("data/raw/music", track.path) for track in tracks}
    assert [path.name for path in Path("data").iterdir()] == ["raw"]
