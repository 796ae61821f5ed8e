"""Checkpoints of trainings: saving, locking, damage, and a work cache that cannot be written."""

import os
import pickle
import random
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from stages.training.checkpoints import ABANDONED_S, Checkpoint
from tests.synthetic import REPO

pytestmark = pytest.mark.slow

KEY = "0123456789abcdef"
FOLDER = Path(".encore/checkpoints", KEY)
STATE = {
    "history": [(1, 0.1, float("nan"), 1e-300, float("inf")), (2, 1 / 3, 0.0, 0.5, -0.0)],
    "best": 1,
    "model": {"weight": torch.randn(30, 20), "n": torch.tensor(3)},
    "lr_schedule": {"rates": [0.1, 0.2], "name": "adam", "nothing": None, "on": True},
}


def same(found: object, wanted: object) -> bool:
    """Return whether two values are equal to the bit, dtype included."""
    if isinstance(wanted, torch.Tensor):
        return found.dtype == wanted.dtype and found.numpy().tobytes() == wanted.numpy().tobytes()
    if isinstance(wanted, dict):
        return found.keys() == wanted.keys() and all(same(found[key], wanted[key]) for key in wanted)
    if isinstance(wanted, list | tuple):
        return len(found) == len(wanted) and all(map(same, found, wanted))
    return repr(found) == repr(wanted) and type(found) is type(wanted)


@pytest.fixture
def saved(workspace):
    """Return the folder of a checkpoint with a state and the weights of two epochs."""
    with Checkpoint(KEY) as checkpoint:
        checkpoint.save({"best": 0})
        checkpoint.save(STATE)
        checkpoint.keep_weights(1, STATE["model"])
        checkpoint.keep_weights(12, {"weight": torch.zeros(2)})
        checkpoint.run_note.write_text("abc")
    return workspace / FOLDER


def test_load_returns_the_last_state(saved):
    with Checkpoint(KEY) as checkpoint:
        assert same(checkpoint.load(), STATE)
        assert same(checkpoint.load_weights(1), STATE["model"])
        assert same(checkpoint.load_weights(12), {"weight": torch.zeros(2)})
        assert checkpoint.run_id == "abc"


def test_new_checkpoint_is_empty(workspace):
    with Checkpoint(KEY) as checkpoint:
        assert checkpoint.load() is None
        assert checkpoint.load_weights(1) is None
        assert checkpoint.run_id == ""


def test_trainings_have_separate_checkpoints(saved):
    with Checkpoint("another") as checkpoint:
        assert checkpoint.load() is None
        assert checkpoint.load_weights(1) is None
        assert checkpoint.run_id == ""


def test_drop_weights_deletes_only_those(saved):
    with Checkpoint(KEY) as checkpoint:
        checkpoint.drop_weights(1)
        checkpoint.drop_weights(1)
        assert checkpoint.load_weights(1) is None
        assert checkpoint.load_weights(12) is not None


def test_no_unfinished_file_remains(saved):
    assert sorted(path.name for path in saved.iterdir()) == [
        "lock",
        "run_id",
        "state.pt",
        "weights_1.pt",
        "weights_12.pt",
    ]


class TestForget:
    """The end of a training."""

    def test_forget_deletes_only_this_folder(self, saved):
        with Checkpoint("another") as other:
            other.save(STATE)
        with Checkpoint(KEY) as checkpoint:
            checkpoint.forget()
            assert checkpoint.load() is None
        assert [path.name for path in saved.parent.iterdir()] == ["another"]

    def test_forget_deletes_abandoned_checkpoints(self, saved):
        for name, age_s in (("old", ABANDONED_S + 60), ("young", ABANDONED_S - 3600)):
            with Checkpoint(name) as other:
                other.save(STATE)
            then = time.time() - age_s
            os.utime(saved.parent / name, (then, then))
        with Checkpoint(KEY) as checkpoint:
            checkpoint.forget()
        assert [path.name for path in saved.parent.iterdir()] == ["young"]

    def test_saving_renews_the_age(self, saved):
        os.utime(saved, (0, 0))
        with Checkpoint(KEY) as checkpoint:
            checkpoint.save(STATE)
        with Checkpoint("another") as other:
            other.forget()
        assert (saved / "state.pt").is_file()

    def test_forgotten_training_can_start_again(self, saved):
        for _ in range(2):
            with Checkpoint(KEY) as checkpoint:
                assert checkpoint.load() is None or same(checkpoint.load(), STATE)
                checkpoint.save(STATE)
                checkpoint.forget()
        assert list(saved.parent.iterdir()) == []


HOLDER = """
import sys, time
from stages.training.checkpoints import Checkpoint
with Checkpoint(sys.argv[1]) as checkpoint:
    checkpoint.save({"best": 5})
    print("there", flush=True)
    time.sleep(100)
"""


class TestTwoAtOnce:
    """While a process trains, another process with the same training has no checkpoint."""

    def has_no_access(self, other: Checkpoint, folder: Path) -> None:
        before = {path.name: path.read_bytes() for path in folder.iterdir()}
        with other:
            assert other.load() is None
            assert other.load_weights(1) is None
            assert other.run_id == ""
            other.save({"best": 7})
            other.keep_weights(9, STATE["model"])
            other.drop_weights(1)
            assert other.run_note is None
            other.forget()
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == before

    def test_second_process_has_no_checkpoint(self, saved):
        with Checkpoint(KEY) as checkpoint:
            self.has_no_access(Checkpoint(KEY), saved)
            assert same(checkpoint.load(), STATE)
        with Checkpoint(KEY) as checkpoint:
            assert same(checkpoint.load(), STATE), "the lock was not released"

    def test_lock_of_a_killed_process_is_released(self, workspace):
        with subprocess.Popen(
            [sys.executable, "-c", HOLDER, KEY],
            env={**os.environ, "PYTHONPATH": str(REPO)},
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout.readline() == "there\n"
            self.has_no_access(Checkpoint(KEY), FOLDER)
            process.kill()
        with Checkpoint(KEY) as checkpoint:
            assert checkpoint.load() == {"best": 5}

    def test_other_ranks_have_no_checkpoint(self, saved):
        self.has_no_access(Checkpoint(KEY, is_first=False), saved)

    def test_other_ranks_make_no_folder(self, workspace):
        with Checkpoint(KEY, is_first=False) as checkpoint:
            checkpoint.save(STATE)
        assert list(workspace.iterdir()) == []

    def test_unlocked_checkpoint_is_empty(self, saved):
        assert Checkpoint(KEY).load() is None
        assert Checkpoint(KEY).run_id == ""


class Code:
    """Makes a file if it is ever unpickled."""

    def __reduce__(self):
        return (Path.touch, (Path("executed"),))


class TestDamage:
    """A damaged checkpoint is treated like a missing one."""

    def damaged(self, saved: Path, content: bytes) -> object:
        for name in ("state.pt", "weights_1.pt"):
            (saved / name).write_bytes(content)
        with Checkpoint(KEY) as checkpoint:
            assert checkpoint.load_weights(1) is None
            return checkpoint.load()

    def test_truncated_file_is_not_loaded(self, saved):
        whole = (saved / "state.pt").read_bytes()
        for length in (0, 1, 3, 30, 100, *range(200, len(whole), 211), len(whole) - 1):
            assert self.damaged(saved, whole[:length]) is None, length

    def test_file_with_other_content_is_not_loaded(self, saved):
        size = (saved / "state.pt").stat().st_size
        for content in (b"\0" * size, random.Random(0).randbytes(size), b"no checkpoint", b"PK\x03\x04"):
            assert self.damaged(saved, content) is None

    def test_pickled_code_is_not_loaded(self, saved):
        assert self.damaged(saved, pickle.dumps(Code(), protocol=2)) is None
        torch.save({"best": Code()}, saved / "made.pt")
        assert self.damaged(saved, (saved / "made.pt").read_bytes()) is None
        assert not Path("executed").exists()

    def test_folder_instead_of_the_file_is_tolerated(self, saved):
        (saved / "state.pt").unlink()
        (saved / "state.pt" / "in").mkdir(parents=True)
        with Checkpoint(KEY) as checkpoint:
            assert checkpoint.load() is None
            checkpoint.save(STATE)
            assert checkpoint.load() is None
            checkpoint.forget()
        assert not saved.exists()

    def test_damaged_file_is_overwritten(self, saved):
        (saved / "state.pt").write_bytes(b"")
        with Checkpoint(KEY) as checkpoint:
            checkpoint.save(STATE)
            assert same(checkpoint.load(), STATE)


def stores_nothing(checkpoint: Checkpoint) -> None:
    """Assert that all methods work, and store nothing."""
    checkpoint.save(STATE)
    checkpoint.keep_weights(1, STATE["model"])
    checkpoint.drop_weights(2)
    assert checkpoint.load() is None
    assert checkpoint.load_weights(1) is None
    assert checkpoint.run_id == ""
    checkpoint.forget()


class TestUnwritable:
    """A work cache that cannot be written raises no error."""

    def test_file_instead_of_the_work_cache(self, workspace):
        Path(".encore").write_text("in the way")
        with Checkpoint(KEY) as checkpoint:
            stores_nothing(checkpoint)
        assert Path(".encore").read_text() == "in the way"

    def test_file_instead_of_the_checkpoint_folder(self, workspace):
        FOLDER.parent.mkdir(parents=True)
        FOLDER.write_text("in the way")
        with Checkpoint(KEY) as checkpoint:
            stores_nothing(checkpoint)
        assert FOLDER.read_text() == "in the way"

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
    def test_read_only_work_cache(self, workspace):
        Path(".encore").mkdir(mode=0o500)
        with Checkpoint(KEY) as checkpoint:
            stores_nothing(checkpoint)

    def test_deleted_work_cache(self, saved):
        with Checkpoint(KEY) as checkpoint:
            shutil.rmtree(".encore")
            stores_nothing(checkpoint)
        assert not Path(".encore").exists()

    def test_full_disk_keeps_the_previous_state(self, saved):
        before = (saved / "state.pt").read_bytes()
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        with Checkpoint(KEY) as checkpoint:
            resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, limits[1]))  # bytes a file may have
            try:
                checkpoint.save({"weight": torch.zeros(1000, 1000)})
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            assert same(checkpoint.load(), STATE)
        assert (saved / "state.pt").read_bytes() == before
        assert not [path for path in saved.iterdir() if path.name.startswith(".")]


def test_single_changed_byte_is_detected(saved):
    whole = (saved / "state.pt").read_bytes()
    for place in range(0, len(whole), 101):
        damaged = bytearray(whole)
        damaged[place] ^= 1
        (saved / "state.pt").write_bytes(damaged)
        with Checkpoint(KEY) as checkpoint:
            assert checkpoint.load() is None, place


def test_binary_run_id_is_ignored(saved):
    (saved / "run_id").write_bytes(b"\xff\xfe\x00")
    with Checkpoint(KEY) as checkpoint:
        assert checkpoint.run_id == ""
