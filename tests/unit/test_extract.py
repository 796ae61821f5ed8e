"""The extract stage: features.h5 of every segment in the index, each feature extracted once."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
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
from stages.features import cached, known
from stages.features.variants import Variant
from stages.parallel import ordered
from tests.synthetic import (
    FRAMED,
    RATE_HZ,
    REPO,
    SMALL,
    composed_sections,
    line_of,
    noise,
    write_audio,
)

pytestmark = pytest.mark.slow

FEATURES = Path("data/features/features.h5")
ENTRIES = Path(".encore/entries")
EVERY = {"features.include": [*FRAMED], "features.contrast.fmin_hz": 50.0}  # whose octaves fit into 4 kHz
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
    """What is computed, by chunk: its number of segments, and the features."""
    calls = []
    compute = cached.compute

    def recorded(loaded):
        calls.append((len(loaded.chunk.starts), tuple(loaded.chunk.features)))
        return compute(loaded)

    monkeypatch.setattr(cached, "compute", recorded)
    return calls


@cache
def small() -> dict[str, Any]:
    return {name: composed_sections(*SMALL)[name] for name in ("segment", "features", "runtime")}


def configure(changes: dict[str, Any]) -> None:
    """Write params.yaml with the sections that segment and extract read."""
    write_sections(small(), changes)


def write_sections(sections: dict[str, Any], changes: dict[str, Any]) -> None:
    """Write params.yaml with these sections, changed at dotted keys."""
    sections = deepcopy(sections)
    for key, value in changes.items():
        *path, last = key.split(".")
        inner = reduce(getitem, path, sections)
        assert last in inner
        inner[last] = value
    Path("params.yaml").write_text(json.dumps(sections), "utf-8")  # JSON is YAML, and parsed faster


def written(changes: dict[str, Any]) -> bytes:
    """features.h5 under these parameters."""
    configure(changes)
    extract.main()
    return FEATURES.read_bytes()


def values_under(changes: dict[str, Any]) -> dict[str, np.ndarray]:
    """Arrays of features.h5 under these parameters."""
    written(changes)
    return arrays()


def clear_cache() -> None:
    """Empty the work cache."""
    shutil.rmtree(ENTRIES)


def arrays() -> dict[str, np.ndarray]:
    with h5py.File(FEATURES) as file:
        return {name: dataset[:] for name, dataset in file.items() if getattr(dataset, "ndim", 0) == 3}


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


def lock(md5: str) -> None:
    """Write a dvc.lock that records features.h5."""
    lines = (f"- path: {FEATURES}", "  hash: md5", f"  md5: {md5}", "  size: 1")
    Path("dvc.lock").write_text("".join(f"    {line}\n" for line in lines))


def replace_audio(waveforms: dict[str, np.ndarray]) -> None:
    """Write other tracks, cut by ./params.yaml."""
    shutil.rmtree("data/audio")
    write_audio(waveforms)
    segment.main()


def entries() -> list[Path]:
    return sorted(path for path in ENTRIES.glob("*/*") if path.is_file())


def damage(row: int, name: str = "mel") -> None:
    """Change a byte of a row in the only features file of the work cache, which is also the output."""
    [path] = ENTRIES.glob("*/*.h5")
    with h5py.File(path) as file:
        dataset = file[name]
        place = dataset.id.get_offset() + row * dataset[0].nbytes + 5
    with path.open("r+b") as bytes_:
        bytes_.seek(place)
        [byte] = bytes_.read(1)
        bytes_.seek(place)
        bytes_.write(bytes([byte ^ 1]))


def interrupt(monkeypatch, done: list, after: int) -> None:
    """Interrupt a run before computation number `after`; `done` has those before."""
    compute = cached.compute

    def ends(loaded):
        if len(done) == after:
            raise KeyboardInterrupt
        return compute(loaded)

    with monkeypatch.context() as patch:
        patch.setattr(cached, "compute", ends)
        with pytest.raises(KeyboardInterrupt):
            extract.main()


def texts(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes, with those that are bytes as text."""
    return {key: value.decode() if isinstance(value, bytes) else value for key, value in attributes.items()}


class TestFile:
    """Contents of features.h5."""

    def test_contains_every_segment_in_order(self, cut):
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

    def test_attributes_describe_how_it_was_made(self, cut):
        extract.main()
        with h5py.File(FEATURES) as file:
            attributes, of_mel, of_mfcc = (texts(part.attrs) for part in (file, file["mel"], file["mfcc"]))
        assert list(attributes["labels"]) == [b"jazz"]
        wanted = {
            "sample_rate_hz": RATE_HZ,
            "n_fft": 512,
            "hop_length": 256,
            "window": "hann",
            "pad_mode": "constant",
            "segment_length": RATE_HZ,
            "made_with": ", ".join(f"{name} {version(name)}" for name in ("librosa", "numpy", "scipy")),
        }
        assert {key: attributes[key] for key in wanted} == wanted
        assert json.loads(attributes["include"]) == ["mfcc", "mel"]
        wanted = {"unit": "dB", "n_mels": 32, "n_fft": 512, "norm": "slaney", "top_db": 80.0}
        assert {key: of_mel[key] for key in wanted} == wanted
        assert (of_mfcc["unit"], of_mfcc["n_mfcc"], json.loads(of_mfcc["mel"])["n_mels"]) == ("1", 13, 32)

    def test_audio_sha256_is_the_digest_of_the_samples(self, cut):
        def audio_sha256() -> str:
            extract.main()
            with h5py.File(FEATURES) as file:
                return file.attrs["audio_sha256"].decode()

        full = [cut["a"].astype(np.float32) / 32768, cut["b"], cut["c"]]
        digests = [hashlib.sha256(samples.tobytes()).hexdigest() for samples in full]
        before = audio_sha256()
        assert before == hashlib.sha256("".join(digests).encode()).hexdigest()
        cut["b"][500] += 2**-20
        replace_audio(cut)
        assert audio_sha256() != before

    def test_values_equal_librosas_of_the_cut_samples(self, cut):
        extract.main()
        padded = np.pad(cut["b"], (0, 100))
        power = librosa.feature.melspectrogram(
            y=padded[RATE_HZ:], sr=RATE_HZ, n_fft=512, hop_length=256, n_mels=32, pad_mode="constant"
        )
        mel = librosa.power_to_db(power, top_db=80)
        np.testing.assert_allclose(arrays()["mel"][4], mel, rtol=0, atol=1e-3)

    def test_only_included_features_are_written(self, cut):
        assert list(values_under({"features.include": ["mel"]})) == ["mel"]

    def test_every_feature_is_written_with_its_axes(self, cut):
        written(EVERY)
        with h5py.File(FEATURES) as file:
            for name in FRAMED:
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
    def test_a_feature_with_other_frames_has_another_time_axis(self, cut, framing, axis):
        written({"features.mel.framing": framing})
        with h5py.File(FEATURES) as file:
            assert [file[name].dims[2].label for name in ("mel", "mfcc")] == [axis, "time_s"]
            assert file["mel"].attrs["hop_length"] == framing.get("hop_length", 256)
            assert file.attrs["hop_length"] == 256
            times = np.arange(file["mel"].shape[2]) * framing.get("hop_length", 256) / RATE_HZ
            np.testing.assert_allclose(file[axis][:], times, rtol=1e-12)

    def test_framing_of_a_section_changes_no_other_feature(self, cut):
        before = values_under(EVERY)
        after = values_under({**EVERY, "features.mel.framing": {"pad_mode": "reflect"}})
        assert [name for name in before if not np.array_equal(before[name], after[name])] == ["mel"]

    def test_a_window_may_be_longer_than_the_segment(self, cut):
        assert np.isfinite(values_under({"features.n_fft": 16384})["mel"]).all()

    def test_a_window_may_have_an_odd_length(self, cut):
        written({"features.n_fft": 511, "features.hop_length": 250})
        with h5py.File(FEATURES) as file:
            assert file["mel"].shape[2] == len(file["time_s"])

    def test_tracks_without_segments_are_ignored(self, cut):
        replace_audio({"short": noise(100), **cut, "brief": noise(RATE_HZ // 2)})
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
        replace_audio({f"c{i}": cut["c"][i * window :][:RATE_HZ] for i in range(3)})
        np.testing.assert_allclose(values_under({})["mel"], of_windows, rtol=0, atol=1e-4)


class TestStorage:
    """The form of storage changes no number; numbers that do not fit are refused."""

    @pytest.mark.parametrize("compression", ["lzf", "gzip"])
    def test_compressed_numbers_are_the_same(self, cut, compression):
        before = values_under(EVERY)
        for name, values in values_under({**EVERY, "features.compression": compression}).items():
            assert values.tobytes() == before[name].tobytes()
        with h5py.File(FEATURES) as file:
            assert {file[name].compression for name in FRAMED} == {compression}

    def test_float16_is_float32_rounded(self, cut):
        before = values_under(EVERY)
        for name, values in values_under({**EVERY, "features.dtype": "float16"}).items():
            assert values.dtype == (np.uint8 if name == "mel_levels" else np.float16)
            np.testing.assert_array_equal(values, before[name].astype(values.dtype))

    def test_values_too_large_for_float16_are_refused(self, cut):
        before = written({})
        replace_audio({"b": cut["b"], "loud": 100 * cut["c"]})
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

    def test_audio_of_another_schema_is_refused(self, cut):
        with h5py.File("data/audio/audio.h5", "a") as file:
            file.attrs["schema"] = "encore/1"
        line = line_of(extract.main)
        for part in ("audio.h5", "encore/1", "dvc repro"):
            assert part in line
        assert not Path("data/features").exists()

    def test_a_window_too_long_to_reflect_is_refused(self, cut):
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
            clear_cache()
        assert files[0] == files[1] == files[2]

    def test_in_processes(self, cut, monkeypatch, computed):
        changes = {"features.variants": VARIANTS}
        here = written(changes)
        clear_cache()
        monkeypatch.setattr(ordered, "MANY", 1)
        computed.clear()
        assert written({**changes, "runtime.workers": 2}) == here
        assert not computed, "extracted in this process"
        assert entries(), "what the processes write is kept"

    @pytest.mark.parametrize("compression", ["none", "gzip"])
    def test_after_an_interrupted_run(self, cut, monkeypatch, computed, compression):
        changes = {**EVERY, "features.compression": compression}
        whole = written(changes)
        clear_cache()
        FEATURES.unlink()
        computed.clear()
        interrupt(monkeypatch, computed, 2)
        assert entries(), "results are kept"
        assert not FEATURES.exists()
        computed.clear()
        assert written(changes) == whole
        assert 1 <= len(computed) < 3, "not everything again"

    @pytest.mark.parametrize("compression", ["none", "gzip"])
    def test_when_some_features_are_in_the_cache(self, cut, compression):
        changes = {**EVERY, "features.compression": compression}
        whole = written(changes)
        clear_cache()
        written({**EVERY, "features.include": ["mel", "timbre33", "zcr"]})
        assert written(changes) == whole
        for path in entries()[::2]:
            path.unlink()
        assert written(changes) == whole

    def test_of_each_track_in_any_order_of_tracks(self, cut):
        written(EVERY)
        before = of_tracks()
        clear_cache()
        replace_audio({name: cut[name] for name in "cab"})
        written(EVERY)
        assert of_tracks() == before

    def test_of_each_track_in_any_order_of_the_index(self, cut):
        written(EVERY)
        before = of_tracks()
        clear_cache()
        segments = Path("data/segments/segments.csv")
        rows = read_rows(segments, Segment)
        write_rows(segments, [*rows[5:], *rows[:5]], Segment)
        written(EVERY)
        with h5py.File(FEATURES) as file:
            assert file["track_id"].asstr()[:].tolist() == ["c"] * 5 + ["a"] * 3 + ["b"] * 2
        assert of_tracks() == before


class TestChunks:
    """A long track is extracted in chunks, which bounds the memory."""

    @pytest.mark.parametrize(
        ("at_once", "chunks"),
        [(1, [1] * 10), (2, [2, 1, 2, 2, 2, 1]), (3, [3, 2, 3, 2]), (0.1, [1] * 10)],
    )
    def test_chunks_make_the_same_file(self, cut, computed, monkeypatch, at_once, chunks):
        whole = values_under(EVERY)
        clear_cache()
        computed.clear()
        monkeypatch.setattr("stages.features.segments.SAMPLES_PER_CHUNK", round(at_once * RATE_HZ))
        parts = values_under(EVERY)
        assert [n_segments for n_segments, _ in computed] == chunks
        codes = parts.pop("mel_levels").astype(int) - whole["mel_levels"]
        assert np.abs(codes).max() <= 1
        assert np.mean(codes != 0) < 0.001
        for name, values in parts.items():
            np.testing.assert_allclose(values, whole[name], rtol=0, atol=1e-4, err_msg=name)

    def test_a_chunk_is_computed_again_alone(self, cut, computed, monkeypatch):
        monkeypatch.setattr("stages.features.segments.SAMPLES_PER_CHUNK", 2 * RATE_HZ)
        first = written({})
        computed.clear()
        damage(row=6)  # the second of the first chunk of the last track
        assert written({}) == first
        assert computed == [(2, ("mel",))]


class TestIncremental:
    """Nothing is extracted twice."""

    def test_a_second_run_computes_nothing(self, cut, computed):
        first = written(EVERY)
        assert computed == of_each_track(FRAMED)
        computed.clear()
        assert written(EVERY) == first
        assert computed == []

    def test_only_a_new_track_is_computed(self, cut, computed):
        written({})
        computed.clear()
        replace_audio({"0": noise(4 * RATE_HZ, seed=9), **cut})
        written({})
        assert computed == [(4, ("mfcc", "mel"))]
        assert list(of_tracks()) == ["0", "a", "b", "c"]

    def test_a_renamed_track_is_not_computed_again(self, cut, computed):
        written({})
        computed.clear()
        replace_audio({f"new {name}": samples for name, samples in cut.items()})
        written({})
        assert computed == []
        assert list(of_tracks()) == ["new a", "new b", "new c"]

    def test_only_a_changed_track_is_computed(self, cut, computed):
        written({})
        computed.clear()
        cut["b"][7] += 2**-20
        replace_audio(cut)
        written({})
        assert computed == [(2, ("mfcc", "mel"))]

    def test_other_cuts_are_computed(self, cut, computed):
        written({})
        computed.clear()
        configure({"segment.length_s": 0.5})
        segment.main()
        extract.main()
        assert [n_segments for n_segments, _ in computed] == [6, 4, 10]

    def test_a_changed_setting_computes_the_features_that_depend_on_it(self, cut, computed):
        written(EVERY)
        for key, value, names in [
            ("features.mfcc.n_mfcc", 20, ["mfcc"]),
            ("features.mfcc.deltas", 1, ["mfcc"]),
            ("features.chroma.tuning", 0.1, ["chroma", "timbre33"]),
            ("features.rolloff.roll_percent", 0.5, ["rolloff"]),
            ("features.pitch.scale", "power", ["pitch"]),
            ("features.mel.htk", True, ["mfcc", "mel", "mel_levels", "timbre33"]),
            ("features.mel.framing", {"pad_mode": "reflect"}, ["mel"]),
            ("features.window", "hamming", [*FRAMED]),
            ("features.dtype", "float16", []),
            ("features.compression", "gzip", []),
            ("runtime.workers", 2, []),
        ]:
            computed.clear()
            written({**EVERY, key: value})
            assert computed == (of_each_track(names) if names else []), key
        computed.clear()
        written(EVERY)
        assert computed == [], "earlier settings are still in the cache"

    def test_only_a_new_feature_is_computed(self, cut, computed):
        written({"features.include": ["mel"]})
        computed.clear()
        written({"features.include": ["rms", "mel"]})
        assert computed == of_each_track(["rms"])

    def test_a_deleted_cache_is_rebuilt(self, cut, computed):
        first, before = written(EVERY), entries()
        clear_cache()
        computed.clear()
        assert written(EVERY) == first
        assert computed == of_each_track(FRAMED)
        assert entries() == before

    @pytest.mark.parametrize("row", [0, 4, 9])
    def test_damaged_rows_are_computed_again(self, cut, computed, row):
        first = written(EVERY)
        damage(row)
        computed.clear()
        assert written(EVERY) == first
        track = 0 if row < 3 else 1 if row < 5 else 2
        assert computed == [((3, 2, 5)[track], ("mel",))]
        computed.clear()
        assert written(EVERY) == first
        assert computed == [], "and kept again"

    @pytest.mark.parametrize("kind", [".h5", ".json"])
    @pytest.mark.parametrize("content", [b"", b'{"rows": [[1]], "checks": ""}', b"{", None], ids=str)
    def test_a_damaged_cache_is_made_anew(self, cut, computed, kind, content):
        first = written({})
        [path] = ENTRIES.glob(f"*/*{kind}")
        whole = path.read_bytes()
        path.unlink()  # the output keeps its own
        path.write_bytes(whole[:200] if content is None else content)
        computed.clear()
        assert written({}) == first
        assert computed == of_each_track(["mfcc", "mel"])
        computed.clear()
        assert written({}) == first
        assert computed == []

    def test_the_cache_takes_no_room_beside_the_output(self, cut):
        written({})
        [path] = ENTRIES.glob("*/*.h5")
        assert path.samefile(FEATURES)
        list_, _ = sorted(path.stat().st_size for path in entries())
        assert list_ < 2_000

    def test_where_dvc_copies_outputs_its_copy_is_the_cache(self, cut, computed):
        first = written({})
        clear_cache()
        Path(".dvc").mkdir()
        assert written({}) == first
        assert [path.suffix for path in entries()] == [".json"], "no third copy"
        md5 = hashlib.md5(first).hexdigest()
        copy = Path(".dvc/cache/files/md5") / md5[:2] / md5[2:]
        copy.parent.mkdir(parents=True)
        FEATURES.rename(copy)
        lock(md5)
        computed.clear()
        assert written({}) == first
        assert computed == []
        replace_audio({"0": noise(4 * RATE_HZ, seed=9), **cut})
        written({})
        assert computed == [(4, ("mfcc", "mel"))]
        copy.write_bytes(FEATURES.read_bytes())
        computed.clear()
        written({"features.window": "hamming"})
        assert computed == [(n, ("mfcc", "mel")) for n in (4, 3, 2, 5)]

    def test_dvcs_copy_of_another_run_is_not_mistaken(self, cut, computed):
        Path(".dvc/cache/files/md5/ab").mkdir(parents=True)
        written({})
        Path("dvc.lock").write_text(
            f"    - path: {FEATURES}\n      hash: md5\n      md5: abc\n      size: 1\n"
        )
        cut["b"][7] += 2**-20
        replace_audio(cut)
        changed = written({})
        Path(".dvc/cache/files/md5/ab/c").write_bytes(changed)
        cut["b"][7] -= 2**-20
        replace_audio(cut)
        computed.clear()
        written({})
        assert computed == [(2, ("mfcc", "mel"))], "the others are in it"

    def test_where_files_cannot_be_linked_the_result_is_the_same(self, cut, monkeypatch):
        first = written({})
        clear_cache()

        def refused(*_: object) -> None:
            raise PermissionError

        monkeypatch.setattr(os, "link", refused)
        assert written({}) == first
        assert entries() == []

    def test_without_a_writable_cache_the_result_is_the_same(self, cut):
        first = written({})
        clear_cache()
        ENTRIES.write_text("no folder")
        assert written({}) == first

    def test_files_deleted_during_the_run_are_used_or_computed_again(self, cut, monkeypatch):
        first = written(EVERY)
        has = known.Known.has

        def has_while_another_trims(self, key, dtype):
            for path in entries():
                path.unlink()
            return has(self, key, dtype)

        monkeypatch.setattr(known.Known, "has", has_while_another_trims)
        assert written(EVERY) == first

    def test_with_a_cache_of_size_zero_all_is_computed(self, cut, computed):
        first = written(EVERY)
        assert written({**EVERY, "runtime.cache_gb": 0.0}) == first
        assert entries() == []
        computed.clear()
        assert written({**EVERY, "runtime.cache_gb": 0.0}) == first
        assert computed == of_each_track(FRAMED)
        assert entries() == []

    def test_changed_code_that_extracts_computes_again_other_code_does_not(self, cut):
        wanted = {"features.include": ["mel", "rms"], "features.mel.top_db": None}
        before = values_under(wanted)
        made = entries()  # named after what is extracted, and with which code
        for package in ("stages", "models"):
            shutil.copytree(REPO / package, package, ignore=shutil.ignore_patterns("__pycache__"))
        # a stage that is run checks all sections
        write_sections(
            composed_sections(*SMALL), {**wanted, "model.feature": "mel", "baseline.features": ["mel"]}
        )
        with Path("stages/summarize.py").open("a") as report:
            report.write("# changed\n")
        extract_by_the_copy()
        assert entries() == made, "extracted again"
        edit("stages/features/catalogue.py", "level *= DB_PER_NEPER", "level *= 2 * DB_PER_NEPER")
        after = extract_by_the_copy()
        np.testing.assert_array_equal(after["mel"], 2 * before["mel"])
        np.testing.assert_array_equal(after["rms"], before["rms"])
        assert len(entries()) == 2 * len(made)


class TestVariants:
    """Variants are stored beside the original features and change none of them."""

    NAMES = ("pitch_shift=2.0", "time_stretch=1.25", "time_stretch=0.8")

    @pytest.fixture
    def made(self, monkeypatch) -> list[tuple[str, int]]:
        """What is computed, by chunk: variant and number of segments."""
        calls = []
        compute = cached.compute

        def recorded(loaded):
            variant = loaded.chunk.variant
            calls.append((variant.name if variant else "", len(loaded.chunk.starts)))
            return compute(loaded)

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
            others = ("variants", "track_id", "crc32")
            return {name: file[name][:].tobytes() for name in file if name not in others}

    @pytest.mark.parametrize("compression", ["none", "gzip"])
    def test_variants_do_not_change_the_original_features(self, cut, compression):
        how = {**EVERY, "features.compression": compression}
        written(how)
        before, tracks = self.originals(), of_tracks()
        with h5py.File(FEATURES) as file:
            assert "variants" not in file.attrs
            assert "variants" not in file
        clear_cache()
        written({**how, "features.variants": VARIANTS})
        assert self.originals() == before
        with h5py.File(FEATURES) as file:
            assert json.loads(file.attrs["variants"]) == [*self.NAMES]
            rows = file["track_id"].asstr()[:]
            for name, values in tracks["b"].items():
                assert file[name][rows == "b"].tobytes() == values

    def test_each_variant_has_every_feature_of_every_segment(self, cut):
        written({**EVERY, "features.variants": VARIANTS})
        variants = self.of_variants()
        assert set(variants) == {*self.NAMES}
        with h5py.File(FEATURES) as file:
            for variant, values in variants.items():
                assert set(values) == {*FRAMED}
                for name, array in values.items():
                    assert array.shape == file[name].shape
                    assert array.dtype == file[name].dtype
                    assert np.isfinite(array).all(), (variant, name)
                assert not np.array_equal(values["mel"], file["mel"])

    @pytest.mark.parametrize("name", NAMES)
    def test_variants_are_computed_from_the_whole_track(self, cut, name):
        """Altered by librosa, and cut where the music of each segment starts."""
        written({"features.include": ["rms", "mel"], "features.variants": VARIANTS})
        whole = self.of_variants()[name]["mel"][5:]
        kind, _, amount = name.partition("=")
        rate = float(amount) if kind == "time_stretch" else 1.0
        altered = Variant(kind, float(amount)).of(cut["c"])
        latest = len(altered) - RATE_HZ
        starts = [min(round(start / rate), latest) for start in range(0, 5 * RATE_HZ, RATE_HZ)]
        assert starts[-1] == (latest if rate >= 1 else round(4 * RATE_HZ / rate))
        replace_audio({str(i): altered[start : start + RATE_HZ] for i, start in enumerate(starts)})
        np.testing.assert_allclose(values_under({})["mel"], whole, rtol=0, atol=1e-4)

    def test_only_a_new_variant_is_computed(self, cut, made):
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

    def test_an_interrupted_run_continues_to_the_same_bytes(self, cut, monkeypatch, made):
        changes = {"features.variants": VARIANTS}
        whole = written(changes)
        clear_cache()
        FEATURES.unlink()
        made.clear()
        interrupt(monkeypatch, made, 7)
        assert not FEATURES.exists()
        made.clear()
        assert written(changes) == whole
        assert 5 <= len(made) < 12, "not everything again"
        assert made[-1] == ("time_stretch=0.8", 5)

    def test_windows_of_a_rendered_track_are_altered_separately(self, cut, made):
        """They come from different parts of the music, and must not run into each other."""
        tracks, window = Path("data/audio/tracks.csv"), 5 * RATE_HZ // 3
        rows = read_rows(tracks, AudioTrack)
        write_rows(tracks, [*rows[:2], replace(rows[2], n_windows=3)], AudioTrack)
        segment.main()
        made.clear()
        written({"features.variants": VARIANTS})
        assert made[:3] == [("", 3), ("", 2), ("", 3)], "as without variants"
        assert made[3:8] == [("pitch_shift=2.0", n) for n in (3, 2, 1, 1, 1)]
        of_windows = {name: values["mel"][5:] for name, values in self.of_variants().items()}
        replace_audio({f"c{i}": cut["c"][i * window :][:window] for i in range(3)})
        written({"features.variants": VARIANTS})
        for name, values in self.of_variants().items():
            np.testing.assert_allclose(values["mel"], of_windows[name], rtol=0, atol=1e-4)

    def test_a_sped_up_segment_contains_the_music_that_follows(self, cut):
        replace_audio({"once": noise(2 * RATE_HZ)[:RATE_HZ], "twice": noise(2 * RATE_HZ)})
        configure({"segment.max_per_track": 1})
        segment.main()
        asked = {"pitch_shift": [], "time_stretch": [1.25]}
        configure({"features.include": ["rms"], "features.variants": asked})
        extract.main()
        once, twice = self.of_variants()["time_stretch=1.25"]["rms"][:, 0]
        assert twice.min() > 0.01
        assert np.corrcoef(once[:20], twice[:20])[0, 1] > 0.9
        assert not once[28:].any(), "there is music for 0.8 s"

    def test_a_long_track_is_altered_in_chunks(self, cut, made, monkeypatch):
        monkeypatch.setattr("stages.features.segments.SAMPLES_PER_CHUNK", 2 * RATE_HZ)
        written({"features.include": ["rms"], "features.variants": VARIANTS})
        assert made == [(name, n) for name in ("", *self.NAMES) for n in (2, 1, 2, 2, 2, 1)]
        for name, values in self.of_variants().items():
            assert values["rms"].min() > 0.001 or name == "time_stretch=1.25"


def extract_by_the_copy() -> dict[str, np.ndarray]:
    """Extract with the code in ./stages."""
    here = str(Path.cwd())
    subprocess.run(
        [sys.executable, "-c", "from stages.extract import main; main()"],
        env={**os.environ, "DVC_ROOT": here, "PYTHONPATH": here, "PYTHONDONTWRITEBYTECODE": "1"},
        check=True,
        timeout=120,
    )
    return arrays()


def edit(path: str, old: str, new: str) -> None:
    text = Path(path).read_text("utf-8")
    assert text.count(old) == 1, f"{path} reads otherwise now"
    Path(path).write_text(text.replace(old, new), "utf-8")


def test_empty_mel_bands_are_reported_in_every_run(cut, capsys):
    for _ in range(2):
        configure({"features.mel.n_mels": 512})
        extract.main()
        out, err = capsys.readouterr()
        assert "of 512 bands of mel hold no bin" in out
        assert not err
    configure({"features.mel.n_mels": 32})
    extract.main()
    assert "hold no bin" not in capsys.readouterr().out
