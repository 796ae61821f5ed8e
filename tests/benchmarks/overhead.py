"""What `dvc exp run -S model=lstm` takes beside its epochs, on some of the sample, against empty stages.

And a `dvc repro` with nothing to do.
"""

import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from statistics import median

from mlflow import MlflowClient

from tests.benchmarks.timing import compare
from tests.campaigns.growth import STAGES
from tests.pipeline.project import Project

N_ROUNDS = 2
FEW = ("dataset.tracks_per_class=4", "train.epochs=2")  # their number hardly counts


def run() -> None:
    """Time both in turn, in projects whose stages have all run before.

    In the bare one the last two stages run anew, as train and evaluate do here, and only import torch.
    """
    with tempfile.TemporaryDirectory() as folder:
        project, bare = Project(Path(folder, "project")), Path(folder, "bare")
        project.dvc("exp", "run", *_settings(), timeout_s=3600)
        project.commit("all has been run")
        _make_bare(bare)
        folders = {"this pipeline": project.folder, "as many empty stages": bare}
        ways = {name: partial(_dvc, folder, "repro", "--quiet") for name, folder in folders.items()}
        compare("dvc repro with nothing to do", ways, 1)
        print(f"\ndvc exp run -S model=lstm ({N_ROUNDS} rounds in turn)")
        rounds = []
        for seed in range(1, N_ROUNDS + 1):
            whole, epochs = _seconds(project, seed)
            started = time.perf_counter()
            _dvc(bare, "exp", "run", "-S", f"seed={seed}")
            rounds.append((whole, epochs, whole - epochs, time.perf_counter() - started))
    names = ("whole command", "its epochs", "the rest", "DVC with as many empty stages, two import torch")
    for what, times in zip(names, zip(*rounds, strict=True), strict=True):
        print(f"  {what:<50}{median(times):8.3f} s ({min(times):.3f} to {max(times):.3f})", flush=True)
    ratios = [rest / empty for _, _, rest, empty in rounds]
    what = "the rest / DVC with empty stages"
    print(f"  {what:<50}{median(ratios):8.2f}   ({min(ratios):.2f} to {max(ratios):.2f})", flush=True)


def _seconds(project: Project, seed: int) -> tuple[float, float]:
    """Return the seconds of the command and of its epochs.

    Each round has another seed, so that the model is not in DVC's cache.
    """
    started = time.perf_counter()
    project.dvc("exp", "run", *_settings("model=lstm", f"train.seed={seed}"))
    wall = time.perf_counter() - started
    client = MlflowClient(f"sqlite:///{project.folder / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("encore")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id], f"params.`train.seed` = '{seed}'")
    return wall, sum(point.value for point in client.get_metric_history(run.info.run_id, "seconds"))


def _settings(*more: str) -> list[str]:
    return [word for setting in (*FEW, *more) for word in ("-S", setting)]


def _make_bare(folder: Path) -> None:
    folder.mkdir()
    imports = f"{sys.executable} -c 'import torch'"
    text = "stages:\n"
    for before, name in zip(("start", *STAGES), STAGES, strict=False):
        is_slow = name in STAGES[-2:]
        command = f"{imports} && echo ${{seed}} >{name}" if is_slow else f"touch {name}"
        text += f"  {name}:\n    cmd: {command}\n    deps: [{before}]\n    outs: [{name}]\n"
    (folder / "dvc.yaml").write_text(text)
    (folder / "params.yaml").write_text("seed: 0\n")
    (folder / "start").touch()
    (folder / ".gitignore").write_text("".join(f"/{name}\n" for name in STAGES))
    identity = "git -c user.name=t -c user.email=t@localhost"
    for command in (
        "git init -q",
        "dvc init -q",
        "dvc config core.analytics false",
        "dvc repro -q",
        "git add -A",
        f"{identity} commit -qm bare",
    ):
        subprocess.run(command.split(), cwd=folder, check=True)


def _dvc(folder: Path, *words: str) -> None:
    subprocess.run(["dvc", *words], cwd=folder, check=True, capture_output=True)


if __name__ == "__main__":
    run()
