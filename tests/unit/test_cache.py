"""The work cache returns what was saved under the same key, or nothing."""

import os
import shutil
import time

import numpy as np
import pytest

from stages.core.workspace import work_cache
from stages.storage import cache
from tests.synthetic import REPO

SAMPLES = np.arange(1000, dtype=np.int16)
KEY = cache.entry_key("an entry")


@pytest.fixture(autouse=True)
def own_work_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))


def keep(name: str) -> str:
    key = cache.entry_key(name)
    cache.save(key, {"samples": SAMPLES}, {"name": name})
    return key


def files() -> list[str]:
    return [path.name for path in work_cache("entries").rglob("*") if path.is_file()]


def test_saved_arrays_and_values_are_loaded():
    cache.save(KEY, {"samples": SAMPLES, "other": np.ones((2, 3), np.float32)}, {"rate": 0.1, "name": "é"})
    arrays, about = cache.load(KEY, ["samples", "never"])
    assert list(arrays) == ["samples"]
    np.testing.assert_array_equal(arrays["samples"], SAMPLES)
    assert arrays["samples"].dtype == np.int16
    assert about == {"rate": 0.1, "name": "é"}


def test_an_unknown_key_is_none():
    assert cache.load(KEY, ["samples"]) is None


def test_a_damaged_entry_is_never_used():
    random = np.random.default_rng(0)
    key = keep("x")
    [path] = [path for path in work_cache("entries").rglob("*") if path.is_file()]
    whole = path.read_bytes()
    for trial in range(150):
        damaged = bytearray(whole)
        damaged[random.integers(len(whole))] ^= 1 << random.integers(8)
        path.write_bytes(damaged if trial % 3 else whole[: random.integers(len(whole))])
        loaded = cache.load(key, ["samples"])
        if loaded is None:
            assert files() == []
        else:  # the damaged bit has no meaning, such as the time of day
            np.testing.assert_array_equal(loaded[0]["samples"], SAMPLES)
            assert loaded[1] == {"name": "x"}


def test_an_entry_whose_damage_reads_as_encryption_is_never_used():
    key = keep("x")
    [path] = [path for path in work_cache("entries").rglob("*") if path.is_file()]
    damaged = bytearray(path.read_bytes())
    damaged[damaged.rindex(b"PK\x01\x02") + 8] ^= 1  # a flag in zip's directory
    path.write_bytes(damaged)
    assert cache.load(key, ["samples"]) is None
    assert files() == []


def test_a_cache_that_cannot_be_written_does_no_harm(tmp_path):
    (tmp_path / ".encore").mkdir(exist_ok=True)
    (tmp_path / ".encore/entries").write_text("no folder")
    key = keep("x")
    assert cache.load(key, ["samples"]) is None


def test_keys_differ_in_every_part():
    parts = [("a", 1), ("a", 1.5), ("a", "1"), ("a1",), ("a", [1]), ("a", True)]
    assert len({cache.entry_key(*part) for part in parts}) == len(parts)


def test_the_longest_unused_entries_are_deleted_first():
    keys = [keep(name) for name in "abcd"]
    for age, path in enumerate(sorted(work_cache("entries").glob("*/*"), key=lambda p: keys.index(p.stem))):
        os.utime(path, (time.time() - 100 + age,) * 2)
    cache.load(keys[0], [])
    size = next(work_cache("entries").glob("*/*")).stat().st_size
    cache.trim(2.5 * size / 1e9)
    assert sorted(files()) == sorted(f"{key}.npz" for key in (keys[0], keys[3]))
    cache.trim(0)
    assert files() == []


def test_keep_marks_an_entry_as_used_and_says_if_it_exists():
    keys = [keep(name) for name in "ab"]
    for age, key in enumerate(keys):
        os.utime(work_cache("entries") / key[:2] / f"{key}.npz", (time.time() - 100 + age,) * 2)
    assert cache.keep(keys[0])
    cache.trim(1.5 * next(work_cache("entries").glob("*/*")).stat().st_size / 1e9)
    assert [cache.keep(key) for key in keys] == [True, False]
    assert files() == [f"{keys[0]}.npz"]


def test_old_unfinished_files_are_deleted():
    folder = work_cache("entries") / "ab"
    folder.mkdir()
    for name, age_s in ((".young.1", 10), (".old.2", 2 * cache.ABANDONED_S)):
        (folder / name).write_bytes(b"half")
        os.utime(folder / name, (time.time() - age_s,) * 2)
    cache.trim(1)
    assert files() == [".young.1"]


def test_a_change_of_imported_code_changes_the_key(tmp_path, monkeypatch):
    shutil.copytree(REPO / "stages", tmp_path / "stages", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(cache, "__file__", str(tmp_path / "stages/storage/cache.py"))
    before = cache.code_key("stages.audio.cached", [])
    for path, is_part in (("stages/train.py", False), ("stages/audio/fingerprint.py", True)):
        with (tmp_path / path).open("a") as file:
            file.write("# changed\n")
        assert (cache.code_key("stages.audio.cached", []) != before) == is_part


def test_code_and_versions_are_in_the_key(tmp_path, monkeypatch):
    before = cache.code_key("stages.audio.decode", ["numpy"])
    assert cache.code_key("stages.audio.decode", ["numpy"]) == before
    assert cache.code_key("stages.audio.decode", ["numpy", "soxr"]) != before
    assert cache.code_key("stages.features.spectra", ["numpy"]) != before
    monkeypatch.setattr(cache, "version", lambda package: "0.0")
    assert cache.code_key("stages.audio.decode", ["numpy"]) != before
