"""A fresh clone: the committed dvc.lock names outputs that are in no cache here."""

from pathlib import Path

import pytest

from tests.pipeline.project import Project, stages_run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
SEEDS = (1, 2, 3, 4)
TINY = ("train.epochs=2", "pictures.duration_s=1.0", "runtime.tracking=off")
MINE = ("data/raw/mine.wav", "data/segments/mine.csv", "data/model/mine.txt", "data/evaluation/mine.md")


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory, music: Path) -> Project:
    """The project as git clones it, with dvc.lock; nothing has run in it."""
    origin = Project(tmp_path_factory.mktemp("origin"), music, keep_lock=True)
    clone = origin.clone(tmp_path_factory.mktemp("clone") / "encore")
    assert (clone.folder / "dvc.lock").is_file()
    assert not (clone.folder / ".dvc/cache").exists()
    return clone


def experiment(clone: Project, seed: int, *words: str) -> str:
    return clone.dvc("exp", "run", *words, *clone.settings(*TINY, f"train.seed={seed}"))


def test_queued_experiments_on_a_users_music_all_succeed(clone: Project) -> None:
    seeds = ",".join(map(str, SEEDS))
    clone.dvc("exp", "run", "--queue", *clone.settings(*TINY, f"train.seed={seeds}"))
    clone.dvc("queue", "start", "--jobs", "2", timeout_s=560)
    clone.wait_for_queue()
    status = clone.dvc("queue", "status")
    assert status.count("Success") == len(SEEDS), status


def test_an_experiment_then_git_checkout_then_another(clone: Project) -> None:
    assert stages_run(experiment(clone, 1)) == []
    clone.git("checkout", "--quiet", ".")
    assert stages_run(experiment(clone, 5)) == ["train", "evaluate"]


def test_an_experiment_in_a_temporary_folder(clone: Project) -> None:
    clone.git("checkout", "--quiet", ".")
    assert stages_run(experiment(clone, 6, "--temp")) == ["train", "evaluate"]


def test_files_beside_the_outputs_survive_every_command(clone: Project) -> None:
    for path in MINE:
        (clone.folder / path).write_text("mine")
    commands = (
        ["repro"],
        ["repro", "--force", "--single-item", "fetch", "segment"],
        ["exp", "run", *clone.settings(*TINY, "train.seed=1")],
        ["checkout", "--force"],
        ["gc", "--workspace", "--force"],
    )
    for command in commands:
        clone.dvc(*command)
        lost = [path for path in MINE if not (clone.folder / path).is_file()]
        assert not lost, command
