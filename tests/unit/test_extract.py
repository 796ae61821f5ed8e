"""The extract stage: features.h5 of every segment in the index, each feature extracted once."""

import hashlib
import json
import shutil
from collections.abc import Iterable
from copy import deepcopy
from dataclasses import replace
from functools import cache, reduce
from importlib.metadata import version
from operator import getitem
from pathlib import Path
from typing import Any

import h5py
import librosa
import numpy as np
import pytest

from stages import extract, segment
from stages.core.tables import AudioTrack, Segment, read_rows, write_rows
from stages.features import cached
from stages.features.catalogue import CATALOGUE
from stages.features.variants import Variant
from stages.parallel import ordered
from tests.synthetic import (
    RATE_HZ,
    REPO,
    SMALL,
    composed_sections,
    line_of,
    noise,
    run_stage,
    write_audio,
)

FEATURES = Path("data/features/features.h5")
PIECES = Path(".encore/entries")
EVERY = {"features.include": [*CATALOGUE], "features.contrast.fmin_hz": 50.0}  # its octaves fit half of 8 kHz
VARIANTS = {"pitch_shift": [2.0], "time_stretch": [1.25, 0.8]}


@pytest.fixture
def cut(workspace):
    """Three tracks, cut into segments of a second; the last segment of the second one is padded."""
    waveforms = {
        "a": (noise(3 * RATE_HZ) * 32767).astype(np.int16),
        "b": noise(2 * RATE_HZ - 100, seed=1),
        "c": noise(5 * RATE_HZ, seed=2),
    }
    write_audio(waveforms)
    configure({})
    segment.main()
    return waveforms


@pytest.fixture
def computed(monkeypatch) -> list[tuple[int, tuple[str, ...]]]:
    """What is computed, stretch by stretch: its number of segments, and the features."""
    calls = []
    compute = cached.compute

    def recorded(music):
        calls.append((len(music.stretch.starts), tuple(music.stretch.features)))
        return compute(music)

    monkeypatch.setattr(cached, "compute", recorded)
    return calls


@cache
def small() -> dict[str, Any]:
    return {name: composed_sections(*SMALL)[name] for name in ("segment", "features", "runtime")}


def configure(changes: dict[str, Any]) -> None:
    """A params.yaml with what segment and extract read, quickly composed and quickly parsed."""
    sections = deepcopy(small())
    for key, value in changes.items():
        *path, last = key.split(".")
        inner = reduce(getitem, path, sections)
        assert last in inner
        inner[last] = value
    Path("params.yaml").write_text(json.dumps(sections), "utf-8")  # which is YAML


def written(changes: dict[str, Any]) -> bytes:
    """features.h5 under these parameters."""
    configure(changes)
    extract.main()
    return FEATURES.read_bytes()


def values_under(changes: dict[str, Any]) -> dict[str, np.ndarray]:
    """Its arrays."""
    written(changes)
    return arrays()


def forget() -> None:
    """Empty the work cache."""
    shutil.rmtree(PIECES)


def arrays() -> dict[str, np.ndarray]:
    with h5py.File(FEATURES) as file:
        return {name: dataset[:] for name, dataset in file.items() if dataset.ndim == 3}


def of_tracks() -> dict[str, dict[str, bytes]]:
    """Each track's rows of each feature."""
    with h5py.File(FEATURES) as file:
        tracks = file["track_id"].asstr()[:]
    return {
        track: {name: values[tracks == track].tobytes() for name, values in arrays().items()}
        for track in sorted(set(tracks.tolist()))
    }


def of_each_track(names: Iterable[str]) -> list[tuple[int, tuple[str, ...]]]:
    """What `computed` records when these features of all three tracks are computed."""
    return [(n_segments, tuple(names)) for n_segments in (3, 2, 5)]


def audio_anew(waveforms: dict[str, np.ndarray]) -> None:
    """Other tracks, cut by ./params.yaml."""
    shutil.rmtree("data/audio")
    write_audio(waveforms)
    segment.main()


def pieces() -> list[Path]:
    return sorted(PIECES.glob("*/*.npz"))


def cut_short(monkeypatch, done: list, after: int) -> None:
    """A run that is interrupted when `done`, which grows with each computation, has so many."""
    compute = cached.compute

    def ends(music):
        if len(done) == after:
            raise KeyboardInterrupt
        return compute(music)

    with monkeypatch.context() as patch:
        patch.setattr(cached, "compute", ends)
        with pytest.raises(KeyboardInterrupt):
            extract.main()


class TestFile:
    """What stands in features.h5."""

    def test_holds_every_segment_in_order(self, cut):
        extract.main()
        with h5py.File(FEATURES) as file:
            assert file["track_id"].asstr()[:].tolist() == ["a"] * 3 + ["b"] * 2 + ["c"] * 5
            assert file["segment"][:].tolist() == [0, 1, 2, 0, 1, 0, 1, 2, 3, 4]
            assert file["start"][:].tolist() == [RATE_HZ * i for i in (0, 1, 2, 0, 1, 0, 1, 2, 3, 4)]
            assert file["mfcc"].shape == (10, 13, 32)
            assert file["mel"].shape == (10, 32, 32)
            assert file["mfcc"].dtype == file["mel"].dtype == np.float32
            assert file["mel"].dims[1][0].shape == (32,)
            assert file["mel"].dims[2][0].shape == (32,)

    def test_says_how_it_was_made(self, cut):
        extract.main()
        with h5py.File(FEATURES) as file:
            attributes, of_mel, of_mfcc = dict(file.attrs), dict(file["mel"].attrs), dict(file["mfcc"].attrs)
        assert list(attributes["labels"]) == ["jazz"]
        wanted = {
            "sample_rate_hz": RATE_HZ,
            "n_fft": 512,
            "hop_length": 256,
            "window": "hann",
            "pad_mode": "constant",
            "segment_length": RATE_HZ,
            "made_with": f"librosa {version('librosa')}, torch {version('torch').partition('+')[0]}",
        }
        assert {key: attributes[key] for key in wanted} == wanted
        assert json.loads(attributes["include"]) == ["mfcc", "mel"]
        wanted = {"unit": "dB", "n_mels": 32, "n_fft": 512, "norm": "slaney", "top_db": 80.0}
        assert {key: of_mel[key] for key in wanted} == wanted
        assert (of_mfcc["unit"], of_mfcc["n_mfcc"], json.loads(of_mfcc["mel"])["n_mels"]) == ("1", 13, 32)

    def test_says_of_which_samples(self, cut):
        def audio_sha256() -> str:
            extract.main()
            with h5py.File(FEATURES) as file:
                return file.attrs["audio_sha256"]

        full = [cut["a"].astype(np.float32) / 32768, cut["b"], cut["c"]]
        digests = [hashlib.sha256(samples.tobytes()).hexdigest() for samples in full]
        before = audio_sha256()
        assert before == hashlib.sha256("".join(digests).encode()).hexdigest()
        cut["b"][500] += 2**-20
        audio_anew(cut)
        assert audio_sha256() != before

    def test_values_are_librosas_of_the_cut_samples(self, cut):
        extract.main()
        padded = np.pad(cut["b"], (0, 100))
        power = librosa.feature.melspectrogram(
            y=padded[RATE_HZ:], sr=RATE_HZ, n_fft=512, hop_length=256, n_mels=32, pad_mode="constant"
        )
        mel = librosa.power_to_db(power, top_db=80)
        np.testing.assert_allclose(arrays()["mel"][4], mel, rtol=0, atol=1e-3)

    def test_include_decides_what_is_written(self, cut):
        assert list(values_under({"features.include": ["mel"]})) == ["mel"]

    def test_every_feature_is_written_with_its_axes(self, cut):
        written(EVERY)
        with h5py.File(FEATURES) as file:
            for name in CATALOGUE:
                n_segments, n_bins, n_frames = file[name].shape
                assert (n_segments, n_frames) == (10, 32)
                assert file[name].dtype == (np.uint8 if name == "mel_levels" else np.float32)
                assert file[name].dims[1][0].shape == (n_bins,)
                assert file[name].dims[2][0] == file["time_s"]
                assert np.isfinite(file[name][:]).all()

    @pytest.mark.parametrize(
        ("framing", "axis"),
        [
            ({"n_fft": 256, "hop_length": 128}, "time_s_mel"),
            ({"hop_length": 128}, "time_s_mel"),
            ({"n_fft": 511}, "time_s_mel"),
            ({"pad_mode": "reflect"}, "time_s"),
            ({"window": "boxcar"}, "time_s"),
            ({"n_fft": 512, "hop_length": 256}, "time_s"),
        ],
        ids=str,
    )
    def test_a_feature_with_other_frames_has_times_of_its_own(self, cut, framing, axis):
        written({"features.mel.framing": framing})
        with h5py.File(FEATURES) as file:
            assert [file[name].dims[2].label for name in ("mel", "mfcc")] == [axis, "time_s"]
            assert file["mel"].attrs["hop_length"] == framing.get("hop_length", 256)
            assert file.attrs["hop_length"] == 256
            times = np.arange(file["mel"].shape[2]) * framing.get("hop_length", 256) / RATE_HZ
            np.testing.assert_allclose(file[axis][:], times, rtol=1e-12)

    def test_a_framing_of_its_own_changes_no_other_feature(self, cut):
        before = values_under(EVERY)
        after = values_under({**EVERY, "features.mel.framing": {"pad_mode": "reflect"}})
        assert [name for name in before if not np.array_equal(before[name], after[name])] == ["mel"]

    def test_a_window_longer_than_the_segment_works_with_zeros(self, cut):
        assert np.isfinite(values_under({"features.n_fft": 16384})["mel"]).all()

    def test_a_window_of_odd_length_works(self, cut):
        written({"features.n_fft": 511, "features.hop_length": 250})
        with h5py.File(FEATURES) as file:
            assert file["mel"].shape[2] == len(file["time_s"])

    def test_a_track_without_segments_is_passed_over(self, cut):
        audio_anew({"short": noise(100), **cut, "brief": noise(RATE_HZ // 2)})
        extract.main()
        assert list(of_tracks()) == ["a", "b", "c"]

    def test_windows_of_a_rendered_track_are_cut_as_the_index_says(self, cut):
        tracks, window = Path("data/audio/tracks.csv"), 5 * RATE_HZ // 3
        rows = read_rows(tracks, AudioTrack)
        write_rows(tracks, [*rows[:2], replace(rows[2], n_windows=3)], AudioTrack)
        segment.main()
        of_windows = values_under({})["mel"][5:]
        with h5py.File(FEATURES) as file:
            assert file["segment"][:].tolist()[5:] == [0, 1, 2]
            assert file["start"][:].tolist()[5:] == [0, window, 2 * window]
        audio_anew({f"c{i}": cut["c"][i * window :][:RATE_HZ] for i in range(3)})
        np.testing.assert_allclose(values_under({})["mel"], of_windows, rtol=0, atol=1e-4)


class TestStorage:
    """How numbers are stored changes none of them, and what cannot be stored is refused."""

    @pytest.mark.parametrize("compression", ["lzf", "gzip"])
    def test_compressed_numbers_are_the_same(self, cut, compression):
        before = values_under(EVERY)
        for name, values in values_under({**EVERY, "features.compression": compression}).items():
            assert values.tobytes() == before[name].tobytes()
        with h5py.File(FEATURES) as file:
            assert {file[name].compression for name in CATALOGUE} == {compression}

    def test_float16_is_float32_rounded(self, cut):
        before = values_under(EVERY)
        for name, values in values_under({**EVERY, "features.dtype": "float16"}).items():
            assert values.dtype == (np.uint8 if name == "mel_levels" else np.float16)
            np.testing.assert_array_equal(values, before[name].astype(values.dtype))

    def test_what_float16_cannot_hold_is_refused_and_nothing_is_written(self, cut):
        before = written({})
        audio_anew({"b": cut["b"], "loud": 100 * cut["c"]})
        configure(
            {
                "features.include": ["mel", "pitch"],
                "features.pitch.scale": "power",
                "features.dtype": "float16",
            }
        )
        line = line_of(extract.main)
        for part in ("params.yaml: features.dtype is 'float16'", "65504", "pitch", "float32"):
            assert part in line
        assert FEATURES.read_bytes() == before
        assert sorted(path.name for path in Path("data").iterdir()) == ["audio", "features", "segments"]

    def test_audio_of_another_schema_is_refused_in_a_line(self, cut):
        with h5py.File("data/audio/audio.h5", "a") as file:
            file.attrs["schema"] = "encore/1"
        line = line_of(extract.main)
        for part in ("audio.h5", "encore/1", "dvc repro"):
            assert part in line
        assert not Path("data/features").exists()

    def test_a_window_that_reflection_cannot_fill_is_refused(self, cut):
        configure({"features.n_fft": 16384, "features.pad_mode": "reflect"})
        line = line_of(extract.main)
        assert "features.n_fft is 16384" in line
        assert "8000 samples" in line
        assert not Path("data/features").exists()


class TestSameBytes:
    """The file is a function of the samples, the cuts and the parameters."""

    def test_with_any_number_of_workers(self, cut):
        files = []
        for workers in (1, 2, 3):
            files.append(written({**EVERY, "features.variants": VARIANTS, "runtime.workers": workers}))
            forget()
        assert files[0] == files[1] == files[2]

    def test_in_processes(self, cut, monkeypatch, computed):
        changes = {**EVERY, "features.variants": VARIANTS}
        here = written(changes)
        forget()
        monkeypatch.setattr(ordered, "MANY", 1)
        computed.clear()
        assert written({**changes, "runtime.workers": 2}) == here
        assert not computed, "something was extracted here"
        assert pieces(), "processes keep what they extract"

    @pytest.mark.parametrize("compression", ["none", "gzip"])
    def test_after_a_run_that_was_cut_short(self, cut, monkeypatch, computed, compression):
        changes = {**EVERY, "features.compression": compression}
        whole = written(changes)
        forget()
        FEATURES.unlink()
        computed.clear()
        cut_short(monkeypatch, computed, 2)
        assert pieces(), "what was extracted is kept"
        assert not FEATURES.exists()
        computed.clear()
        assert written(changes) == whole
        assert 1 <= len(computed) < 3, "not all of it again"

    @pytest.mark.parametrize("compression", ["none", "gzip"])
    def test_when_some_features_are_kept_and_others_not(self, cut, compression):
        changes = {**EVERY, "features.compression": compression}
        whole = written(changes)
        forget()
        written({**EVERY, "features.include": ["mel", "timbre33", "zcr"]})
        assert written(changes) == whole
        for path in pieces()[::2]:
            path.unlink()
        assert written(changes) == whole

    def test_of_each_track_whatever_the_order_of_tracks(self, cut):
        written(EVERY)
        before = of_tracks()
        forget()
        audio_anew({name: cut[name] for name in "cab"})
        written(EVERY)
        assert of_tracks() == before

    def test_of_each_track_whatever_the_order_of_the_index(self, cut):
        written(EVERY)
        before = of_tracks()
        forget()
        segments = Path("data/segments/segments.csv")
        rows = read_rows(segments, Segment)
        write_rows(segments, [*rows[5:], *rows[:5]], Segment)
        written(EVERY)
        with h5py.File(FEATURES) as file:
            assert file["track_id"].asstr()[:].tolist() == ["c"] * 5 + ["a"] * 3 + ["b"] * 2
        assert of_tracks() == before


class TestStretches:
    """A long track is extracted in stretches, which bounds the memory."""

    @pytest.mark.parametrize(
        ("at_once", "stretches"),
        [(1, [1] * 10), (2, [2, 1, 2, 2, 2, 1]), (3, [3, 2, 3, 2]), (0.1, [1] * 10)],
    )
    def test_make_the_same_file(self, cut, computed, monkeypatch, at_once, stretches):
        whole = values_under(EVERY)
        forget()
        computed.clear()
        monkeypatch.setattr(extract, "SAMPLES_PER_STRETCH", round(at_once * RATE_HZ))
        parts = values_under(EVERY)
        assert [n_segments for n_segments, _ in computed] == stretches
        codes = parts.pop("mel_levels").astype(int) - whole["mel_levels"]
        assert np.abs(codes).max() <= 1
        assert np.mean(codes != 0) < 0.001
        for name, values in parts.items():
            np.testing.assert_allclose(values, whole[name], rtol=0, atol=1e-4, err_msg=name)

    def test_are_known_one_by_one(self, cut, computed, monkeypatch):
        monkeypatch.setattr(extract, "SAMPLES_PER_STRETCH", 2 * RATE_HZ)
        first = written({})
        computed.clear()
        pieces()[0].unlink()
        assert written({}) == first
        assert len(computed) == 1


class TestIncremental:
    """What is known already is not extracted again."""

    def test_a_second_run_computes_nothing(self, cut, computed):
        first = written(EVERY)
        assert computed == of_each_track(CATALOGUE)
        computed.clear()
        assert written(EVERY) == first
        assert computed == []

    def test_a_new_track_is_computed_alone(self, cut, computed):
        written({})
        computed.clear()
        audio_anew({"0": noise(4 * RATE_HZ, seed=9), **cut})
        written({})
        assert computed == [(4, ("mfcc", "mel"))]
        assert list(of_tracks()) == ["0", "a", "b", "c"]

    def test_a_renamed_track_is_known_by_its_samples(self, cut, computed):
        written({})
        computed.clear()
        audio_anew({f"new {name}": samples for name, samples in cut.items()})
        written({})
        assert computed == []
        assert list(of_tracks()) == ["new a", "new b", "new c"]

    def test_a_changed_track_is_computed_alone(self, cut, computed):
        written({})
        computed.clear()
        cut["b"][7] += 2**-20
        audio_anew(cut)
        written({})
        assert computed == [(2, ("mfcc", "mel"))]

    def test_other_cuts_are_computed(self, cut, computed):
        written({})
        computed.clear()
        configure({"segment.length_s": 0.5})
        segment.main()
        extract.main()
        assert [n_segments for n_segments, _ in computed] == [6, 4, 10]

    def test_a_changed_setting_computes_what_depends_on_it(self, cut, computed):
        written(EVERY)
        for key, value, names in [
            ("features.mfcc.n_mfcc", 20, ["mfcc"]),
            ("features.mfcc.deltas", 1, ["mfcc"]),
            ("features.chroma.tuning", 0.1, ["chroma", "timbre33"]),
            ("features.rolloff.roll_percent", 0.5, ["rolloff"]),
            ("features.pitch.scale", "power", ["pitch"]),
            ("features.mel.htk", True, ["mfcc", "mel", "mel_levels", "timbre33"]),
            ("features.mel.framing", {"pad_mode": "reflect"}, ["mel"]),
            ("features.window", "hamming", [*CATALOGUE]),
            ("features.dtype", "float16", []),
            ("features.compression", "gzip", []),
            ("runtime.workers", 2, []),
        ]:
            computed.clear()
            written({**EVERY, key: value})
            assert computed == (of_each_track(names) if names else []), key
        computed.clear()
        written(EVERY)
        assert computed == [], "what was tried before is still known"

    def test_one_more_feature_is_computed_alone(self, cut, computed):
        written({"features.include": ["mel"]})
        computed.clear()
        written({"features.include": ["rms", "mel"]})
        assert computed == of_each_track(["rms"])

    def test_a_lost_cache_is_made_again(self, cut, computed):
        first, before = written(EVERY), pieces()
        forget()
        computed.clear()
        assert written(EVERY) == first
        assert computed == of_each_track(CATALOGUE)
        assert pieces() == before

    def test_a_damaged_piece_is_made_again(self, cut, computed):
        first = written(EVERY)
        for number, path in enumerate(pieces()[::4]):
            content = bytearray(path.read_bytes())
            content[len(content) // 2] ^= 1
            path.write_bytes((content, content[:1000], b"")[number % 3])
        computed.clear()
        assert written(EVERY) == first
        assert len(computed) == 3, "once for all features of a track"
        computed.clear()
        assert written(EVERY) == first
        assert computed == [], "and kept again"

    def test_a_cache_that_cannot_be_written_costs_time_alone(self, cut):
        first = written({})
        forget()
        PIECES.write_text("no folder")
        assert written({}) == first

    def test_pieces_that_vanish_meanwhile_are_made_again(self, cut, monkeypatch):
        first = written(EVERY)
        load = cached.load

        def load_while_another_trims(key):
            for path in pieces()[::3]:
                path.unlink()
            return load(key)

        monkeypatch.setattr(cached, "load", load_while_another_trims)
        assert written(EVERY) == first

    def test_without_room_for_a_cache_all_is_computed(self, cut, computed):
        first = written(EVERY)
        assert written({**EVERY, "runtime.cache_gb": 0.0}) == first
        assert pieces() == []
        computed.clear()
        assert written({**EVERY, "runtime.cache_gb": 0.0}) == first
        assert computed == of_each_track(CATALOGUE)
        assert pieces() == []

    def test_changed_code_is_heeded_and_other_code_is_not(self, cut):
        before = values_under({"features.include": ["mel", "rms"], "features.mel.top_db": None})
        made = {path: path.stat().st_ino for path in pieces()}
        shutil.copytree(REPO / "stages", "stages", ignore=shutil.ignore_patterns("__pycache__"))
        with Path("stages/summarize.py").open("a") as report:
            report.write("# changed\n")
        extract_by_the_copy()
        assert {path: path.stat().st_ino for path in pieces()} == made, "something was extracted again"
        edit("stages/features/catalogue.py", ".log10_().mul_(10)", ".log10_().mul_(20)")
        after = extract_by_the_copy()
        np.testing.assert_array_equal(after["mel"], 2 * before["mel"])
        np.testing.assert_array_equal(after["rms"], before["rms"])
        assert len(pieces()) == 2 * len(made)


class TestVariants:
    """The same segments of altered waveforms stand beside those of the music, and touch nothing."""

    NAMES = ("pitch_shift=2.0", "time_stretch=1.25", "time_stretch=0.8")

    @pytest.fixture
    def made(self, monkeypatch) -> list[tuple[str, int]]:
        """What is computed: variant and number of segments."""
        calls = []
        compute = cached.compute

        def recorded(music):
            variant = music.stretch.variant
            calls.append((variant.name if variant else "", len(music.stretch.starts)))
            return compute(music)

        monkeypatch.setattr(cached, "compute", recorded)
        return calls

    def of_variants(self) -> dict[str, dict[str, np.ndarray]]:
        with h5py.File(FEATURES) as file:
            return {
                variant: {name: values[:] for name, values in group.items()}
                for variant, group in file["variants"].items()
            }

    def originals(self) -> dict[str, bytes]:
        with h5py.File(FEATURES) as file:
            return {name: file[name][:].tobytes() for name in file if name not in ("variants", "track_id")}

    @pytest.mark.parametrize("compression", ["none", "gzip"])
    def test_what_stands_beside_them_is_the_same_to_the_bit(self, cut, compression):
        how = {**EVERY, "features.compression": compression}
        written(how)
        before, tracks = self.originals(), of_tracks()
        with h5py.File(FEATURES) as file:
            assert "variants" not in file.attrs
            assert "variants" not in file
        forget()
        written({**how, "features.variants": VARIANTS})
        assert self.originals() == before
        with h5py.File(FEATURES) as file:
            assert json.loads(file.attrs["variants"]) == [*self.NAMES]
            rows = file["track_id"].asstr()[:]
            for name, values in tracks["b"].items():
                assert file[name][rows == "b"].tobytes() == values

    def test_each_has_every_feature_of_every_segment(self, cut):
        written({**EVERY, "features.variants": VARIANTS})
        variants = self.of_variants()
        assert set(variants) == {*self.NAMES}
        with h5py.File(FEATURES) as file:
            for variant, values in variants.items():
                assert set(values) == {*CATALOGUE}
                for name, array in values.items():
                    assert array.shape == file[name].shape
                    assert array.dtype == file[name].dtype
                    assert np.isfinite(array).all(), (variant, name)
                assert not np.array_equal(values["mel"], file["mel"])

    @pytest.mark.parametrize("name", NAMES)
    def test_they_are_those_of_the_whole_tracks_waveform(self, cut, name):
        """Altered by librosa, and cut where the music of each segment begins."""
        written({"features.include": ["rms", "mel"], "features.variants": VARIANTS})
        whole = self.of_variants()[name]["mel"][5:]
        kind, _, amount = name.partition("=")
        rate = float(amount) if kind == "time_stretch" else 1.0
        altered = Variant(kind, float(amount)).of(cut["c"])
        latest = len(altered) - RATE_HZ
        starts = [min(round(start / rate), latest) for start in range(0, 5 * RATE_HZ, RATE_HZ)]
        assert starts[-1] == (latest if rate >= 1 else round(4 * RATE_HZ / rate))
        audio_anew({str(i): altered[start : start + RATE_HZ] for i, start in enumerate(starts)})
        np.testing.assert_allclose(values_under({})["mel"], whole, rtol=0, atol=1e-4)

    def test_one_more_is_computed_alone(self, cut, made):
        written({})
        made.clear()
        for asked, new in [
            ({"pitch_shift": [2.0], "time_stretch": []}, "pitch_shift=2.0"),
            ({"pitch_shift": [-2.0, 2.0], "time_stretch": []}, "pitch_shift=-2.0"),
            ({"pitch_shift": [2.0], "time_stretch": [1.25]}, "time_stretch=1.25"),
        ]:
            written({"features.variants": asked})
            assert made == [(new, 3), (new, 2), (new, 5)]
            made.clear()
        written({"features.variants": {"pitch_shift": [2.0, -2.0], "time_stretch": [1.25]}})
        written({})
        assert made == []

    def test_a_run_that_was_cut_short_goes_on_to_the_same_bytes(self, cut, monkeypatch, made):
        changes = {"features.variants": VARIANTS}
        whole = written(changes)
        forget()
        FEATURES.unlink()
        made.clear()
        cut_short(monkeypatch, made, 7)
        assert not FEATURES.exists()
        made.clear()
        assert written(changes) == whole
        assert 5 <= len(made) < 12, "not all of it again"
        assert made[-1] == ("time_stretch=0.8", 5)

    def test_windows_of_a_rendered_track_are_altered_one_by_one(self, cut, made):
        """They come from different places, and one must not run into the next."""
        tracks, window = Path("data/audio/tracks.csv"), 5 * RATE_HZ // 3
        rows = read_rows(tracks, AudioTrack)
        write_rows(tracks, [*rows[:2], replace(rows[2], n_windows=3)], AudioTrack)
        segment.main()
        made.clear()
        written({"features.variants": VARIANTS})
        assert made[:3] == [("", 3), ("", 2), ("", 3)], "as without variants"
        assert made[3:8] == [("pitch_shift=2.0", n) for n in (3, 2, 1, 1, 1)]
        of_windows = {name: values["mel"][5:] for name, values in self.of_variants().items()}
        audio_anew({f"c{i}": cut["c"][i * window :][:window] for i in range(3)})
        written({"features.variants": VARIANTS})
        for name, values in self.of_variants().items():
            np.testing.assert_allclose(values["mel"], of_windows[name], rtol=0, atol=1e-4)

    def test_a_segment_takes_in_the_music_that_follows_it_and_silence_after_the_last(self, cut):
        audio_anew({"once": noise(2 * RATE_HZ)[:RATE_HZ], "twice": noise(2 * RATE_HZ)})
        configure({"segment.max_per_track": 1})
        segment.main()
        asked = {"pitch_shift": [], "time_stretch": [1.25]}
        configure({"features.include": ["rms"], "features.variants": asked})
        extract.main()
        once, twice = self.of_variants()["time_stretch=1.25"]["rms"][:, 0]
        assert twice.min() > 0.01
        assert np.corrcoef(once[:20], twice[:20])[0, 1] > 0.9
        assert not once[28:].any(), "four fifths of a second of music are there"

    def test_a_long_track_is_altered_in_stretches(self, cut, made, monkeypatch):
        monkeypatch.setattr(extract, "SAMPLES_PER_STRETCH", 2 * RATE_HZ)
        written({"features.include": ["rms"], "features.variants": VARIANTS})
        assert made == [(name, n) for name in ("", *self.NAMES) for n in (2, 1, 2, 2, 2, 1)]
        for name, values in self.of_variants().items():
            assert values["rms"].min() > 0.001 or name == "time_stretch=1.25"


def extract_by_the_copy() -> dict[str, np.ndarray]:
    """What the code in ./stages extracts."""
    done = run_stage("extract", Path.cwd(), PYTHONPATH=str(Path.cwd()), PYTHONDONTWRITEBYTECODE="1")
    assert done.returncode == 0, done.stderr
    return arrays()


def edit(path: str, old: str, new: str) -> None:
    text = Path(path).read_text("utf-8")
    assert text.count(old) == 1, f"{path} reads otherwise now"
    Path(path).write_text(text.replace(old, new), "utf-8")


def test_bands_without_a_bin_are_told_of_each_time(cut, capsys):
    for _ in range(2):
        configure({"features.mel.n_mels": 512})
        extract.main()
        out, err = capsys.readouterr()
        assert "of 512 bands of mel hold no bin" in out
        assert not err
    configure({"features.mel.n_mels": 32})
    extract.main()
    assert "hold no bin" not in capsys.readouterr().out
