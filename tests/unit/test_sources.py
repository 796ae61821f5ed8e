"""The contract that every source of music keeps."""

import hashlib
from collections import Counter
from pathlib import Path

import pytest

from stages import decode, fetch
from stages.core.documents import read_document
from stages.core.tables import AudioTrack, Quality, RawTrack, read_rows
from stages.sources import sample
from tests.kaggle_server import member, write_artists, zipped
from tests.synthetic import REPO, edit_params, line_of, write_music, write_params
from tests.unit.test_fma import TRACKS, members, tracks_csv, write_files

pytestmark = pytest.mark.slow

NAMES = sorted(path.stem for path in (REPO / "conf/dataset").glob("*.yaml"))


def a_folder(place: Path) -> list[str]:
    return [f"dataset.path={write_music(place / 'music', per_class=3, seconds=0.1)}"]


def a_sample(_: Path) -> list[str]:
    return ["dataset.tracks_per_class=2", "dataset.classes=[jazz,pop]"]


def gtzan_clips(place: Path) -> list[str]:
    clips = [f"{label}.{number:05d}" for label in ("blues", "jazz", "rock") for number in (7, 8, 9)]
    (place / "gtzan.zip").write_bytes(zipped({member(clip): clip.encode() for clip in clips}))
    write_artists(place / "artists.csv", clips)
    return [f"dataset.archive={place / 'gtzan.zip'}", f"dataset.watch_metadata={place / 'artists.csv'}"]


def fma_clips(place: Path) -> list[str]:
    write_files(place / "fma_small", members("small"))
    write_files(place / "fma_metadata", {"tracks.csv": tracks_csv()})
    return [f"dataset.path={place / 'fma_small'}", f"dataset.metadata_path={place / 'fma_metadata'}"]


MUSIC = {"folder": a_folder, "sample": a_sample, "gtzan": gtzan_clips, "fma": fma_clips}


@pytest.fixture
def short_songs(monkeypatch):
    """The sample composes songs of one second, in this process; tests/unit/test_sample.py has whole ones."""
    monkeypatch.setattr(sample, "DURATION_S", 1.0)
    monkeypatch.setattr(sample, "isolated_map", lambda make, tracks, *_: map(make, tracks))


@pytest.fixture(params=NAMES)
def given(request, workspace, short_songs):
    """Return the overrides for a little music from one of the sources."""
    return [f"dataset={request.param}", *MUSIC[request.param](workspace)]


def fetched(overrides: list[str], **changes: object) -> list[RawTrack]:
    write_params(*overrides)
    edit_params("dataset", **changes)
    fetch.main()
    return read_rows(Path("data/raw/tracks.csv"), RawTrack)


def files() -> dict[str, bytes]:
    return {
        path.relative_to("data/raw").as_posix(): path.read_bytes()
        for path in Path("data/raw").rglob("*")
        if path.is_file()
    }


def test_the_table_of_tracks_lists_every_file(given):
    tracks = fetched(given)
    there = files()
    assert set(there) == {f"music/{track.path}" for track in tracks} | {"tracks.csv", "source.json"}
    assert [track.track_id for track in tracks] == sorted({track.track_id for track in tracks})
    assert not [path for path in Path("data/raw").rglob("*") if path.is_symlink()]
    name = given[0].removeprefix("dataset=")
    for track in tracks:
        assert track.sha256 == hashlib.sha256(there[f"music/{track.path}"]).hexdigest()
        assert (track.bytes, track.source) == (len(there[f"music/{track.path}"]), name)
        assert track.split in {"", "train", "valid", "test"}
    assert len({track.label for track in tracks}) >= 2


def test_the_source_says_whose_music_it_is(given):
    fetched(given)
    about = read_document(Path("data/raw/source.json"))
    assert set(about) == {"name", "licence", "citation", "caveat"}
    assert about["name"] == given[0].removeprefix("dataset=")
    assert about["licence"]
    assert about["citation"]


def test_a_second_fetch_gives_the_same_bytes(given):
    fetched(given)
    before = files()
    fetched(given)
    assert files() == before


def test_a_small_share_is_one_track_of_each_class(given):
    every = {track.track_id: track.label for track in fetched(given)}
    for less in ({"tracks_per_class": 1}, {"fraction": 0.01}):
        some = {track.track_id: track.label for track in fetched(given, **less)}
        assert some.items() <= every.items()
        assert Counter(some.values()) == dict.fromkeys(every.values(), 1)
        assert len(files()) == len(some) + 2, "what is not wanted is not even copied"


def test_another_seed_is_another_choice(given):
    if given[0] == "dataset=sample":
        pytest.skip("a seed of the sample is other music under the same names")
    choices = {
        tuple(track.track_id for track in fetched(given, tracks_per_class=1, seed=seed)) for seed in range(4)
    }
    assert len(choices) > 1


def test_unknown_class_is_one_line_and_leaves_the_music(given):
    fetched(given)
    before = files()
    edit_params("dataset", classes=["polka"])
    line = line_of(fetch.main)
    assert line.startswith("dataset.classes: no class polka in ")
    assert "there are: " in line
    assert files() == before


def test_published_splits_and_known_faults_reach_the_decoded_tracks(workspace, capsys):
    lenient = ["quality.min_duration_s=0.1", "quality.max_dc_offset=1"]
    tracks = fetched(["dataset=fma", *fma_clips(workspace), *lenient])
    assert {track.track_id for track in tracks if track.fault} == {"098565", "133297"}
    assert len(tracks) == sum(track[1] == "small" for track in TRACKS.values())
    decode.main()
    quality = {row.track_id: row for row in read_rows(Path("data/audio/quality.csv"), Quality)}
    assert {row.verdict for row in quality.values()} == {"good", "known fault", "decode error"}
    assert quality["000002"].encoding == "MP3/MPEG_LAYER_III"
    assert quality["098565"].outcome == "kept"
    assert quality["133297"].outcome == "dropped"
    kept = read_rows(Path("data/audio/tracks.csv"), AudioTrack)
    assert {track.split for track in kept} == {"train", "valid", "test"}
    assert "6 found = 5 kept + 1 dropped" in capsys.readouterr().out
