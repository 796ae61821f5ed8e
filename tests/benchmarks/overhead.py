"""How long `dvc exp run -S model=lstm` takes on the sample, without its training epochs."""

import tempfile
import time
from pathlib import Path
from statistics import median

from mlflow import MlflowClient

from tests.pipeline.project import Project

N_ROUNDS = 3
REQUIRED_S = 10


def run() -> None:
    """Time it in a project whose stages have all run before; MLflow has the duration of each epoch."""
    with tempfile.TemporaryDirectory() as folder:
        project = Project(Path(folder))
        done = project.run("dvc", "repro", "--quiet", timeout_s=3600)
        assert done.returncode == 0, done.stdout
        project.commit("all has been run")
        print(f"\ndvc exp run -S model=lstm, without its epochs ({N_ROUNDS} rounds)")
        rounds = [_seconds(project, seed) for seed in range(1, N_ROUNDS + 1)]
    for what, times in zip(
        ("whole command", "sum of epochs", "overhead"), zip(*rounds, strict=True), strict=True
    ):
        print(f"  {what:<38}{median(times):8.3f} s ({min(times):.3f} to {max(times):.3f})", flush=True)
    print(f"  required overhead: under {REQUIRED_S} s")


def _seconds(project: Project, seed: int) -> tuple[float, float, float]:
    """Return the seconds of the command, of its epochs, and the difference.

    Each round has another seed, so that the model is not in DVC's cache.
    """
    started = time.perf_counter()
    project.dvc("exp", "run", "-S", "model=lstm", "-S", f"train.seed={seed}")
    wall = time.perf_counter() - started
    client = MlflowClient(f"sqlite:///{project.folder / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("encore")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id], f"params.`train.seed` = '{seed}'")
    epochs = sum(point.value for point in client.get_metric_history(run.info.run_id, "seconds"))
    return wall, epochs, wall - epochs


if __name__ == "__main__":
    run()
