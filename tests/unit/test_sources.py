"""The contract that every source of music keeps."""

import hashlib
import json
import re
from collections import Counter
from pathlib import Path

import pytest

from stages import decode, fetch
from stages.core.tables import AudioTrack, Quality, RawTrack, read_rows
from stages.sources import Contents, build
from tests.kaggle_server import member, write_artists, zipped
from tests.synthetic import REPO, composed_sections, line_of, write_music, write_params
from tests.unit.test_fma import TRACKS, members, tracks_csv, write_files

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


@pytest.fixture(params=NAMES)
def given(request, workspace):
    """What a user types to have a little music from one of the sources."""
    return [f"dataset={request.param}", *MUSIC[request.param](workspace)]


def fetched(overrides: list[str], *more: str) -> list[RawTrack]:
    write_params(*overrides, *more)
    fetch.main()
    return read_rows(Path("data/raw/tracks.csv"), RawTrack)


def files() -> dict[str, bytes]:
    return {
        path.relative_to("data/raw").as_posix(): path.read_bytes()
        for path in Path("data/raw").rglob("*")
        if path.is_file()
    }


def test_the_manifest_tells_what_is_there(given):
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
    about = json.loads(Path("data/raw/source.json").read_text("utf-8"))
    assert set(about) == {"name", "licence", "citation", "caveat"}
    assert about["name"] == given[0].removeprefix("dataset=")
    assert about["licence"]
    assert about["citation"]


def test_the_source_says_what_it_should_hold(given):
    source = build(composed_sections(*given)["dataset"])
    assert isinstance(source.expected, Contents)
    assert source.expected.n_tracks is None or source.expected.n_tracks >= 1000
    for name, checksum in source.expected.checksums.items():
        assert re.fullmatch(r"[\w.]+\.zip", name)
        assert re.fullmatch(r"sha1:[0-9a-f]{40}", checksum)


def test_the_same_again_gives_the_same_bytes(given):
    if given[0] == "dataset=sample":
        pytest.skip("tests/unit/test_sample.py tries harder")
    fetched(given)
    before = files()
    fetched(given)
    assert files() == before


@pytest.mark.parametrize("less", ["dataset.tracks_per_class=1", "dataset.fraction=0.01"])
def test_less_of_it_is_one_of_each_class(given, less):
    every = {track.track_id: track.label for track in fetched(given)}
    some = {track.track_id: track.label for track in fetched(given, less)}
    assert some.items() <= every.items()
    assert Counter(some.values()) == dict.fromkeys(every.values(), 1)
    assert len(files()) == len(some) + 2, "what is not wanted is not even copied"


def test_another_seed_is_another_choice(given):
    if given[0] == "dataset=sample":
        pytest.skip("a seed of the sample is other music under the same names")
    few = {tuple(t.track_id for t in fetched(given, "dataset.tracks_per_class=1", f"dataset.seed={seed}"))
           for seed in range(4)}  # fmt: skip
    assert len(few) > 1


def test_a_class_that_is_not_there_is_one_line_and_leaves_the_old(given):
    fetched(given)
    before = files()
    write_params(*given, "dataset.classes=[polka]")
    line = line_of(fetch.main)
    assert line.startswith("dataset.classes: no class polka in ")
    assert "there are: " in line
    assert files() == before


def test_published_splits_and_known_faults_go_all_the_way(workspace, capsys):
    lenient = ["quality.min_duration_s=0.1", "quality.max_dc_offset=1"]
    tracks = fetched(["dataset=fma", *fma_clips(workspace)], *lenient)
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
