"""Cells of grids: their names, what they share, what is said of them; and the processes that they leave."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from stages.core.errors import EncoreError
from stages.core.workspace import root
from stages.experiments import processes
from stages.experiments.cells import Cell, Maker
from stages.experiments.estimate import estimate
from stages.experiments.git import git
from stages.experiments.grid import Grid
from stages.experiments.record import Record
from stages.experiments.search import Space
from stages.experiments.shared import Shared
from stages.experiments.slot import reason
from stages.experiments.terminal import asked, duration, number
from stages.grid import COMMANDS, OPTIONS
from stages.tracking.groups import Past

REPO = Path(__file__).parents[2]
SHARED = ("fetch", "decode", "segment", "extract", "pictures")


@pytest.fixture(scope="module")
def maker():
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(REPO)
        with Maker(REPO, git(REPO, "rev-parse", "HEAD")) as maker:
            yield maker


def names(maker, *words):
    return [cell.name for cell in maker.make(words)]


class TestCells:
    """What words become."""

    def test_a_name_says_what_a_person_tells_cells_apart_by(self, maker):
        cells = maker.make(["model=mlp,lstm", "split=kfold", "split.fold=range(0,2)", "train.seed=7"])
        begins = [cell.name.rpartition("-")[0] for cell in cells]
        assert begins == [f"{model}-sample-fold{fold}-seed7" for model in ("mlp", "lstm") for fold in (0, 1)]
        assert cells[1].words == ("model=mlp", "split=kfold", "split.fold=1", "train.seed=7")

    def test_a_name_follows_from_the_content(self, maker):
        (name,) = names(maker, "model=mlp", "train.seed=0")
        assert names(maker, "train.seed=0", "model=mlp", "runtime.workers=3") == [name]
        assert names(maker, "model=mlp", "pictures.duration_s=3.0") == [name]
        assert names(maker, "model=mlp", "model.dropout=0.4") != [name]

    def test_a_name_follows_from_the_music(self, maker, tmp_path):
        """A file in the folder is another experiment."""
        (tmp_path / "jazz").mkdir()
        (tmp_path / "jazz/a.wav").write_bytes(b"a")
        words = ["dataset=folder", f"dataset.path={tmp_path}"]
        (before,) = names(maker, *words)
        (tmp_path / "jazz/b.wav").write_bytes(b"b")
        with Maker(REPO, git(REPO, "rev-parse", "HEAD")) as later:
            assert names(later, *words) != [before]

    def test_the_same_experiment_twice_is_refused(self, maker):
        with pytest.raises(EncoreError, match=r"train\.seed=0 is the same experiment as train\.seed=0"):
            maker.make(["train.seed=0,0"])

    def test_no_values_are_no_cell(self, maker):
        with pytest.raises(EncoreError, match="a word has no values"):
            maker.make(["train.seed=range(0,0)"])

    def test_a_slip_in_one_cell_is_found_before_any_runs(self, maker):
        with pytest.raises(EncoreError, match=r"model=lsmt: model is one of .*did you mean lstm"):
            maker.make(["model=mlp,lsmt", "train.seed=0,1"])

    def test_cells_share_the_stages_that_have_the_same_inputs(self, maker):
        first, other_fold, other_model = (
            maker.make(["split=kfold", *words])[0].keys
            for words in (["split.fold=0"], ["split.fold=1"], ["split.fold=0", "model=lstm"])
        )
        equal = {stage for stage in first if first[stage] == other_fold[stage]}
        assert equal == {*SHARED}
        equal = {stage for stage in first if first[stage] == other_model[stage]}
        assert equal == {*SHARED, "split", "baseline"}


def cell(name: str, **keys: str) -> Cell:
    return Cell(name, (f"model={name}",), {"runtime": {"tracking": "off"}}, keys)


class TestShared:
    """The first cell makes what others need, too."""

    def test_others_wait_until_it_is_made(self):
        one, two = cell("one", decode="a", train="b"), cell("two", decode="a", train="c")
        other = cell("other", decode="d", train="e")
        shared = Shared()
        assert shared.may_start(one, [])
        assert not shared.may_start(two, [one])
        assert shared.may_start(other, [one])
        shared.add(one)
        assert shared.may_start(two, [one])


class TestGrid:
    """What is to be done."""

    @pytest.fixture
    def grid(self, tmp_path):
        cells = [cell(str(i), decode="a", train=str(i)) for i in range(5)]
        self.seen: list[tuple[int, str]] = []
        return Grid(cells, tmp_path, ["0"], None, lambda *shown: self.seen.append(shown))

    def test_what_has_finished_is_left_out_and_shown(self, grid):
        assert self.seen == [(1, "")]
        assert [grid.next([]).name for _ in range(4)] == ["1", "2", "3", "4"]
        assert grid.next([]) is None

    def test_a_failure_stays_alone(self, grid, tmp_path):
        failed = grid.next([])
        assert grid.ended(failed, None, "no", "ERROR: failed to reproduce 'train': no") == "no"
        assert grid.outcome.failed == {"1": "no"}
        assert grid.next([]).name == "2"

    def test_what_two_cells_could_not_make_is_not_tried_again(self, grid, tmp_path):
        for _ in range(2):
            grid.ended(grid.next([]), None, "no disk", "ERROR: failed to reproduce 'decode': no disk")
        assert grid.outcome.failed == dict.fromkeys("1234", "no disk")
        assert grid.next([]) is None
        assert (tmp_path / "4.failed").read_text() == "no disk"


def test_what_failed_is_said_by_the_stage_itself(tmp_path):
    log = tmp_path / "log"
    log.write_text("Running stage 'train':\nerror: too small\nERROR: failed to reproduce 'train'\n\n")
    assert reason(log, 255) == "too small"
    log.write_text("Running stage 'train':\nERROR: failed to reproduce 'train': died\n")
    assert reason(log, 255) == "failed to reproduce 'train': died"
    log.write_text("")
    assert reason(log, 3) == "exit status 3"
    assert reason(log, -9) == "killed by signal 9"


def test_all_that_a_cell_has_started_is_ended_and_nothing_else(tmp_path):
    script = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(60)'])"
    detached = script.replace("run(", "Popen(").replace("])", "], start_new_session=True)")
    started = [
        processes.start([sys.executable, "-c", words], tmp_path, tmp_path / "log", tmp_path / mark, {})
        for words, mark in ((script, "grid/0"), (detached, "grid/1"), (script, "another"))
    ]
    assert started[1].wait(timeout=20) == 0
    ended = processes.end(tmp_path / "grid")
    assert ended >= 2  # of the first cell, perhaps with its child, and the detached one
    assert processes.end(tmp_path / "grid") == 0
    assert started[0].wait(timeout=20) == -signal.SIGKILL
    assert started[2].poll() is None
    assert processes.end(tmp_path / "another") >= 1
    assert started[2].wait(timeout=20) == -signal.SIGKILL


def test_the_copies_of_a_grid_belong_to_the_project(tmp_path, monkeypatch):
    copy = tmp_path / ".dvc/tmp/grids/one/slots/0"
    (copy / ".dvc").mkdir(parents=True)
    monkeypatch.chdir(copy)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    assert root() == tmp_path
    monkeypatch.setenv("DVC_ROOT", str(copy))
    assert root() == tmp_path


class TestCommandLine:
    """Words, commands and options."""

    def test_words_and_options(self):
        found = asked(["model=mlp,cnn", "--jobs", "2", "--dry-run", "--name", "n"], COMMANDS, OPTIONS)
        assert (found.words, found.jobs, found.name) == (["model=mlp,cnn"], 2, "n")
        assert "dry-run" in found.options
        assert asked(["delete", "n"], COMMANDS, OPTIONS).name == "n"

    @pytest.mark.parametrize(
        ("arguments", "line"),
        [
            ([], "give words such as"),
            (["list", "a=1"], "give words such as"),
            (["lst"], "lst: should be KEY=VALUE, or one of list, resume, delete; did you mean list?"),
            (
                ["--job", "2"],
                "--job: not an option; options: --jobs, --dry-run, --name; did you mean --jobs?",
            ),
            (["a=1", "--jobs"], "--jobs: needs a value"),
            (["a=1", "--name", "a/b"], "a/b: a name has letters, digits, dots, _ and -"),
            (["delete"], "delete: needs a value"),
        ],
    )
    def test_a_slip_is_one_line(self, arguments, line):
        with pytest.raises(EncoreError) as error:
            asked(arguments, COMMANDS, OPTIONS)
        assert line in str(error.value)

    @pytest.mark.parametrize("value", ["0", "two", "1000"])
    def test_a_number_has_a_range(self, value):
        with pytest.raises(EncoreError, match="should be a number from 1 to 64"):
            number("jobs", value, 64)

    @pytest.mark.parametrize(("seconds", "words"), [(8.4, "8 s"), (61, "1 min 01 s"), (3900, "1 h 05 min")])
    def test_durations(self, seconds, words):
        assert duration(seconds) == words


class TestRecord:
    """What is kept on the disk."""

    def test_other_words_need_another_name(self, tmp_path):
        record = Record.named(tmp_path, "mine", ["model=mlp,cnn"])
        record.have(["a", "b"])
        assert Record.named(tmp_path, "mine", ["model=mlp,cnn"]) == record
        assert Record.load(tmp_path, "mine") == record
        with pytest.raises(EncoreError, match="mine has other words: model=mlp,cnn; give another name"):
            Record.named(tmp_path, "mine", ["model=mlp"])
        with pytest.raises(EncoreError, match="yours: no grid of that name; there is mine"):
            Record.load(tmp_path, "yours")

    def test_former_cells_are_remembered(self, tmp_path):
        record = Record.named(tmp_path, "mine", [])
        record.have(["a", "b"])
        record.have(["b", "c"])
        assert (record.cells, record.former) == (["b", "c"], ["a"])

    def test_a_record_that_is_not_whole_is_none(self, tmp_path):
        Record.named(tmp_path, "mine", []).have([])
        (tmp_path / ".dvc/tmp/grids/mine/grid.json").write_bytes(b"")
        assert Record.all(tmp_path) == []
        with pytest.raises(EncoreError, match="mine: no grid of that name; there is none"):
            Record.load(tmp_path, "mine")

    def test_wrong_words_leave_nothing(self, tmp_path):
        record = Record.named(tmp_path, "mine", [])
        with pytest.raises(EncoreError), record.alone():
            raise EncoreError("wrong")
        assert not record.folder.exists()

    def test_two_processes_never_run_one_grid(self, tmp_path):
        record = Record.named(tmp_path, "mine", [])
        with record.alone():
            script = (
                "import sys; from pathlib import Path; from stages.experiments.record import Record\n"
                "with Record.named(Path(sys.argv[1]), 'mine', []).alone(): pass"
            )
            done = subprocess.run(
                [sys.executable, "-c", script, tmp_path],
                env={**os.environ, "PYTHONPATH": str(REPO)},
                capture_output=True,
                text=True,
            )
        assert "mine: another process has this grid" in done.stderr


def test_an_estimate_is_of_runs_of_the_same_model(maker):
    cells = maker.make(["model=mlp,lstm", "train.epochs=10"])
    past = [
        Past("models.MLP", "sample", epochs=5.0, seconds=3.0, bytes=1000),
        Past("models.CNN", "sample", epochs=10.0, seconds=20.0, bytes=3000),
    ]
    (mlp, lstm) = (estimate([cell], [], past, maker.sizes) for cell in cells)
    assert (mlp.seconds, lstm.seconds) == (5.0 + 6.0, 5.0 + 13.0)
    both = estimate(cells, [], past, maker.sizes)
    assert mlp.bytes < both.bytes < 2 * mlp.bytes, "features are shared"
    assert estimate(cells, [cells[0]], [], maker.sizes).seconds is None


class TestSpace:
    """What a search takes from words."""

    def test_kinds_of_ranges(self):
        space = Space.read(
            ["model=mlp,cnn", "a.b=tag(log,interval(1e-4,1e-2))", "a.c=int(interval(1,5))", "train.seed=3"]
        )
        assert space.fixed == ["train.seed=3"]
        kinds = {key: type(kind).__name__ for key, kind in space.ranges.items()}
        assert kinds == {
            "model": "CategoricalDistribution",
            "a.b": "FloatDistribution",
            "a.c": "IntDistribution",
        }
        assert space.ranges["a.b"].log
        assert space.words({"model": "cnn"}, 10) == ["train.seed=3", "model=cnn", "train.epochs=10"]
        assert space.words({"model": "cnn"}, 0) == ["train.seed=3", "model=cnn"]

    def test_corners_are_ends_with_all_choices(self):
        space = Space.read(["model=mlp,cnn", "a.b=interval(1,2)"])
        assert space.corners() == [
            [f"model={model}", f"a.b={value}"] for model in ("mlp", "cnn") for value in (1.0, 2.0)
        ]

    @pytest.mark.parametrize(
        ("words", "line"),
        [
            (["model=mlp"], "no word has a range"),
            (["train.epochs=3,5"], "epochs are not searched"),
            (["a.b=interval(5,1)"], "a.b=interval"),
            (["model=glob(*)"], "glob and interval name no values"),
        ],
    )
    def test_a_slip_is_one_line(self, words, line):
        with pytest.raises(EncoreError, match=line):
            Space.read(words)
