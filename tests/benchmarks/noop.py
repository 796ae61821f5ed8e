"""A `dvc repro` with nothing to do: this pipeline against as many empty stages."""

import subprocess
import tempfile
from pathlib import Path

from tests.benchmarks.timing import compare

STAGES = ("fetch", "decode", "segment", "split", "extract", "pictures", "baseline", "train", "evaluate")


def run() -> None:
    """Time both in turn; the project's pipeline has to be up to date."""
    root = Path(__file__).parents[2]
    with tempfile.TemporaryDirectory() as folder:
        bare = Path(folder)
        stages = "".join(
            f"  {name}:\n    cmd: touch {name}\n    deps: [{before}]\n    outs: [{name}]\n"
            for before, name in zip(("start", *STAGES), STAGES, strict=False)
        )
        (bare / "dvc.yaml").write_text(f"stages:\n{stages}")
        (bare / "start").touch()
        for command in ("git init -q", "dvc init -q", "dvc config core.analytics false"):
            subprocess.run(command.split(), cwd=bare, check=True)
        _repro(bare)
        _repro(root)
        ways = {"this pipeline": lambda: _repro(root), "as many empty stages": lambda: _repro(bare)}
        compare("no-op dvc repro", ways, 7)


def _repro(folder: Path) -> None:
    subprocess.run(["dvc", "repro", "--quiet"], cwd=folder, check=True, capture_output=True)
