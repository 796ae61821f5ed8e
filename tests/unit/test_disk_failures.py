"""A stage whose n-th write, flush or rename fails leaves the old outputs, or the new ones, and says so."""

import errno
import functools
import hashlib
import importlib
import itertools
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from matplotlib.figure import Figure

import stages.audio.cached
import stages.features.cached
from stages.audio import files
from stages.entry import command
from stages.plots import figures, spectrograms
from tests import disk_faults
from tests.synthetic import write_music, write_params

pytestmark = pytest.mark.slow

OUTPUTS = {  # in the order of the pipeline
    "fetch": "raw",
    "decode": "audio",
    "segment": "segments",
    "split": "split",
    "extract": "features",
    "pictures": "pictures",
    "baseline": "baseline",
    "train": "model",
    "evaluate": "evaluation",
}
TINY = (
    "model=bare/mlp",
    "model.hidden=[4]",
    "train.epochs=1",
    "features.include=[mfcc]",
    "features.mel.n_mels=16",
    "pictures.duration_s=1.0",
    "evaluate.bootstrap_samples=100",
)
OLD = b"what a run before this one wrote"


def main_of(stage: str) -> Callable[[], None]:
    main: Callable[[], None] = importlib.import_module(f"stages.{stage}").main
    return main


def digests(folder: Path) -> dict[str, str]:
    """The SHA-256 of each file below a folder, hidden ones included."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "lock"
    }


@pytest.fixture(scope="module")
def project(module_workspace: Path) -> Iterator[Path]:
    """A workspace with six short tracks; pictures are drawn, but small ones."""
    shutil.rmtree(write_music(module_workspace / "music", per_class=3, seconds=1.2) / "rock")
    write_params("dataset=folder", f"dataset.path={module_workspace}/music", *TINY)
    with pytest.MonkeyPatch.context() as patch:
        # in this process, which is the one whose disk fails
        patch.setattr(files, "isolated_map", lambda work, items, *_: map(work, items))
        patch.setattr(files, "prepare", lambda modules: None)
        for module in (stages.audio.cached, stages.features.cached):
            patch.setattr(module, "code", functools.cache(module.code))  # slow, and the same each time
        for module, names in (
            (spectrograms, ("page", "overview")),
            (figures, ("confusions", "curves", "novelties")),
        ):
            for name in names:
                patch.setattr(module, name, lambda *_: Figure(figsize=(0.3, 0.3)))
        yield module_workspace


@pytest.fixture
def outputs(project: Path, stage: str) -> Iterator[Path]:
    """The folder of a stage after it has run, and again when the test is over."""
    folder, kept = project / "data" / OUTPUTS[stage], project / "kept"
    for before in OUTPUTS:  # no stage sooner: forking takes longer the more is loaded
        if not (project / "data" / OUTPUTS[before]).exists():
            main_of(before)()
        if before == stage:
            break
    shutil.copytree(folder, kept)
    yield folder
    shutil.rmtree(folder)
    kept.rename(folder)


def make_old(folder: Path) -> None:
    """Put other content in the place of each output in a folder."""
    for output in [*folder.iterdir()]:
        if output.is_dir():
            shutil.rmtree(output)
            output.mkdir()
            (output / "old").write_bytes(OLD)
        else:
            output.write_bytes(OLD)


@pytest.mark.skipif(not disk_faults.is_possible(), reason="this system cannot refuse system calls (seccomp)")
@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO], ids=errno.errorcode.get)
@pytest.mark.parametrize("stage", OUTPUTS)
def test_a_failing_disk_leaves_old_or_new_outputs(
    project: Path, outputs: Path, stage: str, error: int
) -> None:
    def work() -> None:
        command._run(main_of(stage))

    cache, new = project / ".encore", digests(outputs)
    make_old(outputs)
    old = digests(outputs)
    with disk_faults.FailingDisk(project, work) as disk:
        for n in itertools.count(1):
            shutil.rmtree(cache, ignore_errors=True)
            ended = disk.run(n, error)
            there, what = digests(outputs), f"call {n}, {ended.calls[n - 1 : n]}: {ended.output}"
            unfinished = [path for path in cache.rglob(".*") if path.is_file()]
            assert not [*outputs.parent.glob(".*"), *unfinished], what
            if len(ended.calls) < n:
                break
            if ended.status:
                assert ended.output.startswith("error: "), what
                assert ended.output.count("\n") == 1, what
                assert there == old, what
            else:
                assert there == new, what
                make_old(outputs)
    assert ended.status == 0, ended.output
    assert there == new
