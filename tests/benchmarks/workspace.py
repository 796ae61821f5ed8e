"""A workspace with decoded music: what the folder in BENCH_AUDIO holds, or tracks of the sample."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

from stages import decode, fetch, segment
from stages.core.tables import Quality, read_rows
from tests.synthetic import composed

GIVEN = os.environ.get("BENCH_AUDIO")
SOURCE = (
    ("dataset=folder", f"dataset.path={Path(GIVEN).resolve()}") if GIVEN else ("dataset.tracks_per_class=3",)
)


@contextmanager
def music() -> Iterator[list[Path]]:
    """Be in a workspace up to the stage segment; yield its music files, without those that cannot be used."""
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        os.environ["DVC_ROOT"] = folder
        configure()
        quietly(fetch.main, decode.main, segment.main)
        rows = read_rows(Path("data/audio/quality.csv"), Quality)
        files = [Path("data/raw/music", row.path) for row in rows if row.outcome == "kept"]
        print(f"\n{len(files)} tracks from {GIVEN or 'the sample'}")
        for row in rows:
            if row.outcome == "dropped":
                print(f"  left out: {row.path}: {row.reason}")
        yield files
        del os.environ["DVC_ROOT"]


def configure(*overrides: str) -> None:
    """Write ./params.yaml: two workers, 13 MFCC without derivatives, and `overrides`."""
    text = composed(*SOURCE, "model=bare/mlp", "runtime.workers=2", *overrides)
    Path("params.yaml").write_text(text, "utf-8")


def quietly(*stages: Callable[[], None]) -> None:
    """Run stages one after another without what they print."""
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        for stage in stages:
            stage()


def forget() -> None:
    """Empty the work cache."""
    shutil.rmtree(".encore", ignore_errors=True)
