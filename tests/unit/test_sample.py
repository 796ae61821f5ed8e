import dataclasses
import hashlib
import io
import os
import subprocess
import sys
import wave
from collections import defaultdict
from pathlib import Path

import mido
import numpy as np
import pytest

from stages.core.errors import EncoreError
from stages.core.params import check
from stages.sources.composer import theory
from stages.sources.composer.artists import artists
from stages.sources.composer.form import chord_at
from stages.sources.composer.score import swung
from stages.sources.composer.song import compose
from stages.sources.composer.styles import GENRES, STYLES
from stages.sources.composer.vocabulary import (
    BASSES,
    COMPS,
    DRUM_KEYS,
    DRUMS,
    INSTRUMENTS,
    KITS,
    PROGRESSIONS,
    WALTZ_DRUMS,
)
from stages.sources.sample import DURATION_S, Sample, SampleParams, track_seed
from tests.synthetic import composed_sections

pytestmark = pytest.mark.slow

GTZAN = ["blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock"]
DEFAULTS = composed_sections()["dataset"]
FETCH = """
import sys
from pathlib import Path
from stages.parallel import processes
from stages.sources.sample import Sample, SampleParams
processes.workers = lambda: int(sys.argv[1])
given = {"name": "sample", "classes": ["jazz", "rock"], "tracks_per_class": 1, "fraction": 1.0, "seed": 3}
params = SampleParams(**given, watch="x", watch_metadata="x", watch_labels="x")
for row in Sample(params).fetch(Path(sys.argv[2])):
    print(row)
"""


def params(**changes):
    return check(DEFAULTS | changes, SampleParams, "dataset")


def fetch_apart(into, workers, hash_seed):
    """Fetch two tracks in a new process; return its rows as text, and the digest of every file."""
    into.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", FETCH, str(workers), str(into)],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONHASHSEED": hash_seed},
    )
    files = {str(path.relative_to(into)): digest(path) for path in into.rglob("*.wav")}
    return done.stdout, files


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def samples_of(path):
    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (22_050, 1, 2)
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(int)


def composed(genre, number, seed=0):
    artist = artists()[genre][number % 5]
    return compose(artist, track_seed(seed, f"{genre}.{number:05d}"), DURATION_S)


@pytest.fixture(scope="module")
def default_songs():
    """(genre, song, [(seconds, message)]) of the whole default dataset, not rendered."""
    songs = []
    for genre in GENRES:
        for number in range(DEFAULTS["tracks_per_class"]):
            composition = composed(genre, number)
            messages, seconds = [], 0.0
            for message in mido.MidiFile(file=io.BytesIO(composition.midi)):
                seconds += message.time
                messages.append((seconds, message))
            songs.append((genre, composition.song, messages))
    return songs


@pytest.fixture(scope="module")
def fetched(tmp_path_factory):
    """Return folder and rows of six tracks: by three artists of each of two genres."""
    into = tmp_path_factory.mktemp("sample")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("stages.parallel.processes.workers", lambda: 1)
        rows = Sample(params(classes=["metal", "jazz"], tracks_per_class=3)).fetch(into)
    return into, rows


def test_same_bytes_in_fresh_processes_and_with_any_number_of_workers(tmp_path):
    one = fetch_apart(tmp_path / "one", 1, "1")
    two = fetch_apart(tmp_path / "two", 2, "2")
    assert one == two
    assert sorted(one[1]) == ["jazz/jazz.00000.wav", "rock/rock.00000.wav"]


def test_rows_describe_the_files(fetched):
    into, rows = fetched
    ids = [f"{genre}.{number:05d}" for genre in ("jazz", "metal") for number in range(3)]
    assert [row.track_id for row in rows] == ids
    for row in rows:
        genre, number = row.track_id.split(".")
        path = into / row.path
        assert row.path == f"{genre}/{row.track_id}.wav"
        assert (row.label, row.split, row.source) == (genre, "", "sample")
        assert row.group == artists()[genre][int(number)].artist
        assert (row.sha256, row.bytes) == (digest(path), path.stat().st_size)
    assert len({row.sha256 for row in rows}) == len(rows)


def test_artists_of_a_genre_take_turns():
    groups = [track.group for track in Sample(params(tracks_per_class=6)).published().tracks]
    jazz = [artist.artist for artist in artists()["jazz"]]
    assert groups[6 * GTZAN.index("jazz") :][:6] == [*jazz, jazz[0]]


def test_thirty_seconds_neither_silent_nor_clipped(fetched):
    into, rows = fetched
    for row in rows:
        samples = samples_of(into / row.path)
        assert samples.shape == (661_500,)
        assert np.abs(samples).max() < 32_767, row.track_id
        seconds = samples.reshape(30, -1).std(axis=1)
        assert np.sqrt(np.mean(samples**2.0)) > 0.02 * 32_768, row.track_id
        assert (seconds > 30).mean() > 0.9, row.track_id  # -60 dB: music goes on throughout


def test_a_track_depends_on_its_id_alone(fetched, tmp_path, monkeypatch):
    monkeypatch.setattr("stages.parallel.processes.workers", lambda: 1)
    rows = Sample(params(classes=["metal"], tracks_per_class=1)).fetch(tmp_path)
    assert rows == [row for row in fetched[1] if row.track_id == "metal.00000"]


def test_another_seed_is_another_song():
    assert composed("pop", 0, seed=0).midi != composed("pop", 0, seed=1).midi


def test_genres_and_artists():
    assert list(GENRES) == GTZAN
    everyone = [artist for genre in GENRES for artist in artists()[genre]]
    assert len(everyone) == len({artist.artist for artist in everyone}) == 50
    assert all(len(artists()[genre]) == 5 for genre in GENRES)
    for artist in everyone:
        assert artist.leans_to in GENRES
        assert artist.leans_to != artist.genre
        assert artist.tempo_low_bpm <= artist.tempo_high_bpm
        assert artist.reverb_s > 0
        assert artist.loudness_db <= 0, "would clip"
        for role in ("leads", "comps", "backings", "basses"):
            assert set(getattr(artist, role).split()) <= set(INSTRUMENTS)
        assert set(artist.kits.split()) <= set(KITS)
        assert set(artist.keys.split()) <= set(theory.KEYS)


def test_every_instrument_and_progression_is_heard_in_three_genres(default_songs):
    genres = defaultdict(set)
    for genre, song, messages in default_songs:
        programs = {}
        for seconds, message in messages:
            if message.type == "program_change":
                programs[message.channel] = message.program
            elif message.type == "note_on" and seconds < DURATION_S:
                genres["kit" if message.channel == 9 else "program", programs[message.channel]].add(genre)
        for progression in song.progressions:
            genres["progression", progression].add(genre)
    assert {name for kind, name in genres if kind == "progression"} == set(PROGRESSIONS)
    assert {name for kind, name in genres if kind == "program"} == {i.program for i in INSTRUMENTS.values()}
    assert {name for kind, name in genres if kind == "kit"} == {kit.program for kit in KITS.values()}
    rare = {name: sorted(where) for name, where in genres.items() if len(where) < 3}
    assert not rare


@pytest.mark.parametrize("table", [field.name for field in dataclasses.fields(STYLES["pop"])])
def test_every_entry_is_in_at_least_three_genres(table):
    vocabulary = {
        "progression": PROGRESSIONS,
        "drums": DRUMS,
        "waltz": WALTZ_DRUMS,
        "bass": BASSES,
        "scale": theory.SCALES,
    }
    count = defaultdict(int)
    for style in STYLES.values():
        for name, weight in getattr(style, table).items():
            assert weight > 0
            count[name] += 1
    assert min(count.values()) >= 3, {name: n for name, n in count.items() if n < 3}
    if table in vocabulary:
        assert set(count) == set(vocabulary[table])
    elif table in ("comp", "backing"):
        assert set(count) <= set(COMPS) | {"answer"}


def test_grooves_fill_a_bar():
    for name, groove in DRUMS.items():
        assert set(groove) <= set(DRUM_KEYS)
        assert all(len(line) == 16 and set(line) <= set("Xxo.") for line in groove.values()), name
    for name, groove in WALTZ_DRUMS.items():
        assert all(len(line) == 12 and set(line) <= set("Xxo.") for line in groove.values()), name
    for name, grooves in BASSES.items():
        assert all(len(groove) == 16 and set(groove) <= set("R35678a-.") for groove in grooves), name
    for name, comp in COMPS.items():
        assert all(len(groove) == 16 and set(groove) <= set("Xxo-.") for groove in comp.grooves), name


def test_songs_last_and_contrast(default_songs):
    for genre, song, messages in default_songs:
        assert messages[-1][0] >= DURATION_S - 1, genre
        bar_s = song.beats_per_bar * 60 / song.tempo_bpm
        labels = {section.label for section in song.sections if section.start_bar * bar_s < DURATION_S - 2}
        assert {"A", "B"} <= labels, (genre, labels)


def test_melodies_fit_the_harmony(default_songs):
    fitting = long_fitting = total = long = 0
    for genre, song, messages in default_songs:
        if song.swing > 0.5 or genre == "classical":  # straight and in tempo: notes can be distinguished
            continue
        bars = [bar for section in song.sections for bar in section.bars]
        started = {}
        for seconds, message in messages:
            if message.type not in ("note_on", "note_off") or message.channel > 1:
                continue
            if message.type == "note_on":
                started[message.note] = seconds
                continue
            beat = (started.pop(message.note) + 0.02) * song.tempo_bpm / 60
            bar, step = divmod(int(beat * 4), song.beats_per_bar * 4)
            over = chord_at(bars[min(bar, len(bars) - 1)], step)
            scale = theory.chord_scale(theory.SCALES[song.scale], song.tonic, over)
            is_long = seconds * song.tempo_bpm / 60 - beat > 0.8
            total += 1
            long += is_long
            fitting += message.note % 12 in scale
            long_fitting += is_long and message.note % 12 in over.pitch_classes
    assert total > 1000
    assert fitting / total > 0.95
    assert long_fitting / long > 0.8


def test_swing():
    assert [swung(beat, 0.5, 1.0) for beat in (0, 0.25, 0.5, 1.75)] == [0, 0.25, 0.5, 1.75]
    assert swung(3.5, 2 / 3, 1.0) == pytest.approx(3 + 2 / 3)
    assert swung(3.75, 0.6, 0.5) == pytest.approx(3.8)


def test_chords():
    assert theory.chord("V7", 0).pitch_classes == (7, 11, 2, 5)
    assert theory.chord("bVII", 2).pitch_classes == (0, 4, 7)
    assert theory.chord("iim7b5", 9).pitch_classes == (11, 2, 5, 9)
    harmonic_minor = theory.chord_scale(theory.SCALES["minor"], 9, theory.chord("V7", 9))
    assert harmonic_minor == {9, 11, 0, 2, 4, 5, 8}
    tonic, subdominant = theory.chord("I", 0), theory.chord("IV", 0)
    first = theory.voicing(tonic, 60, [])
    assert sum(abs(a - b) for a, b in zip(first, theory.voicing(subdominant, 60, first), strict=True)) <= 5


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"classes": ["blues", "polka"]}, "dataset.classes: no class polka in .* blues, classical, .*rock$"),
        ({"classes": []}, "dataset.classes is"),
        ({"tracks_per_class": 0}, "dataset.tracks_per_class is 0"),
        ({"tracks_per_class": 101}, "dataset.tracks_per_class is 101"),
        ({"seed": -1}, "dataset.seed is -1"),
        ({"seeds": 1}, "dataset.seeds: unknown key"),
    ],
)
def test_wrong_parameters_are_one_clear_line(changes, says, tmp_path):
    with pytest.raises(EncoreError, match=says) as caught:
        Sample(params(**changes)).fetch(tmp_path)
    assert "\n" not in str(caught.value)


def test_caveat_says_that_the_sample_is_a_toy():
    sample = Sample(params())
    assert "toy" in sample.caveat
    assert "no evidence about models" in sample.caveat
    assert "GPL-2" in sample.licence


def test_the_font_is_not_in_the_repository():
    root = Path(__file__).parents[2]
    listed = subprocess.run(["git", "ls-files"], cwd=root, capture_output=True, text=True, check=True)
    assert not [line for line in listed.stdout.splitlines() if line.endswith((".sf2", ".sf3"))]
