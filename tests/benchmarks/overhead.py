"""What `dvc exp run -S model=lstm` takes on the sample besides its epochs."""

import tempfile
import time
from pathlib import Path
from statistics import median

from mlflow import MlflowClient

from tests.pipeline.project import Project

N_ROUNDS = 3
REQUIRED_S = 10


def run() -> None:
    """Time it where all stages have run before; the epochs' seconds are those that MLflow has."""
    with tempfile.TemporaryDirectory() as folder:
        project = Project(Path(folder))
        done = project.run("dvc", "repro", "--quiet", timeout_s=3600)
        assert done.returncode == 0, done.stdout
        project.commit("all has been run")
        print(f"\ndvc exp run -S model=lstm, all but its epochs ({N_ROUNDS} rounds)")
        rounds = [_seconds(project, seed) for seed in range(1, N_ROUNDS + 1)]
    for what, times in zip(
        ("whole command", "sum of epochs", "overhead"), zip(*rounds, strict=True), strict=True
    ):
        print(f"  {what:<38}{median(times):8.3f} s ({min(times):.3f} to {max(times):.3f})", flush=True)
    print(f"  required of the overhead: under {REQUIRED_S} s")


def _seconds(project: Project, seed: int) -> tuple[float, float, float]:
    """Of the command, of its epochs, and the rest; a seed of its own, lest the cache has the model."""
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
