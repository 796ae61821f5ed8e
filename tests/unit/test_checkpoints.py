"""A checkpoint saves time and can do nothing else: not fail a training, not be taken for another's."""

import os
import pickle
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from stages.training.checkpoints import ABANDONED_S, Checkpoint
from tests.synthetic import REPO

KEY = "0123456789abcdef"
FOLDER = Path(".encore/checkpoints", KEY)
STATE = {
    "history": [(1, 0.1, float("nan"), 1e-300, float("inf")), (2, 1 / 3, 0.0, 0.5, -0.0)],
    "best": 1,
    "model": {"weight": torch.randn(30, 20), "n": torch.tensor(3)},
    "course": {"rates": [0.1, 0.2], "name": "adam", "nothing": None, "on": True},
}


def same(found: object, wanted: object) -> bool:
    """Equal to the bit, dtype included."""
    if isinstance(wanted, torch.Tensor):
        return found.dtype == wanted.dtype and found.numpy().tobytes() == wanted.numpy().tobytes()
    if isinstance(wanted, dict):
        return found.keys() == wanted.keys() and all(same(found[key], wanted[key]) for key in wanted)
    if isinstance(wanted, list | tuple):
        return len(found) == len(wanted) and all(map(same, found, wanted))
    return repr(found) == repr(wanted) and type(found) is type(wanted)


@pytest.fixture
def saved(workspace):
    """The folder of a training of which a state and two epochs' weights were saved."""
    with Checkpoint(KEY) as checkpoint:
        checkpoint.save({"best": 0})
        checkpoint.save(STATE)
        checkpoint.keep_weights(1, STATE["model"])
        checkpoint.keep_weights(12, {"weight": torch.zeros(2)})
        checkpoint.run_note.write_text("abc")
    return workspace / FOLDER


def test_what_was_saved_last_is_what_is_loaded(saved):
    with Checkpoint(KEY) as checkpoint:
        assert same(checkpoint.load(), STATE)
        assert same(checkpoint.load_weights(1), STATE["model"])
        assert same(checkpoint.load_weights(12), {"weight": torch.zeros(2)})
        assert checkpoint.run_id == "abc"


def test_what_was_not_saved_is_not_there(workspace):
    with Checkpoint(KEY) as checkpoint:
        assert checkpoint.load() is None
        assert checkpoint.load_weights(1) is None
        assert checkpoint.run_id == ""


def test_a_training_has_its_own(saved):
    with Checkpoint("another") as checkpoint:
        assert checkpoint.load() is None
        assert checkpoint.load_weights(1) is None
        assert checkpoint.run_id == ""


def test_dropped_weights_are_gone_and_the_others_stay(saved):
    with Checkpoint(KEY) as checkpoint:
        checkpoint.drop_weights(1)
        checkpoint.drop_weights(1)
        assert checkpoint.load_weights(1) is None
        assert checkpoint.load_weights(12) is not None


def test_nothing_unfinished_is_left_lying(saved):
    assert sorted(path.name for path in saved.iterdir()) == [
        "lock",
        "run_id",
        "state.pt",
        "weights_1.pt",
        "weights_12.pt",
    ]


class TestForget:
    """The end of a training."""

    def test_its_folder_is_gone_and_those_of_others_stay(self, saved):
        with Checkpoint("another") as other:
            other.save(STATE)
        with Checkpoint(KEY) as checkpoint:
            checkpoint.forget()
            assert checkpoint.load() is None
        assert [path.name for path in saved.parent.iterdir()] == ["another"]

    def test_what_was_abandoned_goes_along_and_what_was_not_stays(self, saved):
        for name, age_s in (("old", ABANDONED_S + 60), ("young", ABANDONED_S - 3600)):
            with Checkpoint(name) as other:
                other.save(STATE)
            then = time.time() - age_s
            os.utime(saved.parent / name, (then, then))
        with Checkpoint(KEY) as checkpoint:
            checkpoint.forget()
        assert [path.name for path in saved.parent.iterdir()] == ["young"]

    def test_saving_makes_a_training_young_again(self, saved):
        os.utime(saved, (0, 0))
        with Checkpoint(KEY) as checkpoint:
            checkpoint.save(STATE)
        with Checkpoint("another") as other:
            other.forget()
        assert (saved / "state.pt").is_file()

    def test_it_may_begin_anew(self, saved):
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
    """While a process trains, there is no checkpoint for another that trains the same."""

    def takes_no_part(self, other: Checkpoint, folder: Path) -> None:
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

    def test_the_second_takes_no_part(self, saved):
        with Checkpoint(KEY) as checkpoint:
            self.takes_no_part(Checkpoint(KEY), saved)
            assert same(checkpoint.load(), STATE)
        with Checkpoint(KEY) as checkpoint:
            assert same(checkpoint.load(), STATE), "free again"

    def test_what_a_killed_process_held_is_free(self, workspace):
        with subprocess.Popen(
            [sys.executable, "-c", HOLDER, KEY],
            env={**os.environ, "PYTHONPATH": str(REPO)},
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout.readline() == "there\n"
            self.takes_no_part(Checkpoint(KEY), FOLDER)
            process.kill()
        with Checkpoint(KEY) as checkpoint:
            assert checkpoint.load() == {"best": 5}

    def test_all_but_the_first_of_several_that_train_together_have_none(self, saved):
        self.takes_no_part(Checkpoint(KEY, is_first=False), saved)

    def test_and_make_no_folder(self, workspace):
        with Checkpoint(KEY, is_first=False) as checkpoint:
            checkpoint.save(STATE)
        assert list(workspace.iterdir()) == []

    def test_before_it_is_entered_there_is_none(self, saved):
        assert Checkpoint(KEY).load() is None
        assert Checkpoint(KEY).run_id == ""


class Mischief:
    """Says if it is ever called."""

    def __reduce__(self):
        return (Path.touch, (Path("mischief"),))


class TestDamage:
    """What is not whole is as good as absent."""

    def damaged(self, saved: Path, content: bytes) -> object:
        for name in ("state.pt", "weights_1.pt"):
            (saved / name).write_bytes(content)
        with Checkpoint(KEY) as checkpoint:
            assert checkpoint.load_weights(1) is None
            return checkpoint.load()

    def test_cut_off_anywhere(self, saved):
        whole = (saved / "state.pt").read_bytes()
        for length in (0, 1, 3, 30, 100, *range(200, len(whole), 211), len(whole) - 1):
            assert self.damaged(saved, whole[:length]) is None, length

    def test_filled_with_something_else(self, saved):
        size = (saved / "state.pt").stat().st_size
        for content in (b"\0" * size, random.Random(0).randbytes(size), b"no checkpoint", b"PK\x03\x04"):
            assert self.damaged(saved, content) is None

    def test_what_would_run_code_is_not_loaded(self, saved):
        assert self.damaged(saved, pickle.dumps(Mischief(), protocol=2)) is None
        torch.save({"best": Mischief()}, saved / "made.pt")
        assert self.damaged(saved, (saved / "made.pt").read_bytes()) is None
        assert not Path("mischief").exists()

    def test_a_folder_in_its_place(self, saved):
        (saved / "state.pt").unlink()
        (saved / "state.pt" / "in").mkdir(parents=True)
        with Checkpoint(KEY) as checkpoint:
            assert checkpoint.load() is None
            checkpoint.save(STATE)
            assert checkpoint.load() is None
            checkpoint.forget()
        assert not saved.exists()

    def test_what_was_damaged_is_saved_over(self, saved):
        (saved / "state.pt").write_bytes(b"")
        with Checkpoint(KEY) as checkpoint:
            checkpoint.save(STATE)
            assert same(checkpoint.load(), STATE)


def has_none(checkpoint: Checkpoint) -> None:
    """Everything can be asked of it, and nothing comes of it."""
    checkpoint.save(STATE)
    checkpoint.keep_weights(1, STATE["model"])
    checkpoint.drop_weights(2)
    assert checkpoint.load() is None
    assert checkpoint.load_weights(1) is None
    assert checkpoint.run_id == ""
    checkpoint.forget()


class TestUnwritable:
    """A cache that cannot be written fails nothing."""

    def test_a_file_where_the_cache_should_be(self, workspace):
        Path(".encore").write_text("in the way")
        with Checkpoint(KEY) as checkpoint:
            has_none(checkpoint)
        assert Path(".encore").read_text() == "in the way"

    def test_a_file_where_its_folder_should_be(self, workspace):
        FOLDER.parent.mkdir(parents=True)
        FOLDER.write_text("in the way")
        with Checkpoint(KEY) as checkpoint:
            has_none(checkpoint)
        assert FOLDER.read_text() == "in the way"

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
    def test_a_cache_that_may_not_be_written(self, workspace):
        Path(".encore").mkdir(mode=0o500)
        with Checkpoint(KEY) as checkpoint:
            has_none(checkpoint)

    def test_a_cache_that_is_deleted_meanwhile(self, saved):
        with Checkpoint(KEY) as checkpoint:
            shutil.rmtree(".encore")
            has_none(checkpoint)
        assert not Path(".encore").exists()

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
    def test_a_full_disk_leaves_what_was_saved_before(self, saved):
        before = (saved / "state.pt").read_bytes()
        with Checkpoint(KEY) as checkpoint:
            (saved / f".state.{os.getpid()}").symlink_to("/dev/full")
            checkpoint.save({"weight": torch.zeros(1000, 1000)})
            assert same(checkpoint.load(), STATE)
        assert (saved / "state.pt").read_bytes() == before
        assert not [path for path in saved.iterdir() if path.name.startswith(".")]


def test_a_byte_that_changed_anywhere(saved):
    whole = (saved / "state.pt").read_bytes()
    for place in range(0, len(whole), 37):
        damaged = bytearray(whole)
        damaged[place] ^= 1
        (saved / "state.pt").write_bytes(damaged)
        with Checkpoint(KEY) as checkpoint:
            assert checkpoint.load() is None, place


def test_a_run_id_that_is_no_text(saved):
    (saved / "run_id").write_bytes(b"\xff\xfe\x00")
    with Checkpoint(KEY) as checkpoint:
        assert checkpoint.run_id == ""
