"""Experiments and their runs in MLflow, on the real DVC and a real store."""

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from PIL import Image

from tests.pipeline.project import Project, stages_run

pytestmark = pytest.mark.slow


def runs_of(project: Project) -> tuple[MlflowClient, list[Run]]:
    client = MlflowClient(f"sqlite:///{project.folder / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("encore")
    assert experiment is not None
    return client, client.search_runs([experiment.experiment_id])


def figures_of(client: MlflowClient, run: Run) -> list[str]:
    return [file.path for file in client.list_artifacts(run.info.run_id) if file.path.endswith(".png")]


@pytest.mark.timeout(600)
def test_six_queued_experiments_end_as_six_runs(project: Project) -> None:
    for model in ("mlp", "cnn", "lstm"):
        for seed in (1, 2):
            project.experiment(f"model={model}", f"train.seed={seed}", queue=True)
    project.dvc("queue", "start", "--jobs", "2")
    project.wait_for_queue()
    assert project.dvc("queue", "status").count("Success") == 6
    client, runs = runs_of(project)
    queued = [run for run in runs if run.data.params["train.seed"] in ("1", "2")]
    assert sorted(run.data.tags["model"] for run in queued) == ["CNN", "CNN", "LSTM", "LSTM", "MLP", "MLP"]
    assert len({run.data.tags["dvc.exp_name"] for run in queued}) == 6
    for run in queued:
        assert run.info.status == "FINISHED"
        assert "test.track.accuracy" in run.data.metrics
        figures = figures_of(client, run)
        assert len(figures) == 5
        for figure in figures:
            with Image.open(client.download_artifacts(run.info.run_id, figure)) as image:
                image.verify()
    assert not list((project.folder / ".dvc/tmp/exps").rglob("mlflow.db"))


def test_tracking_can_be_off(project: Project) -> None:
    before = len(runs_of(project)[1])
    assert sorted(project.experiment("runtime.tracking=off", "train.seed=3")) == ["evaluate", "train"]
    assert len(runs_of(project)[1]) == before
    project.reset()


def test_a_dead_tracking_server_warns_and_ends_nothing(project: Project) -> None:
    words = project.settings("train.seed=4")
    output = project.dvc("exp", "run", *words, env={"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"})
    assert stages_run(output) == ["train", "evaluate"]
    assert output.count("warning: MLflow tracking failed") == 2  # once in train, once in evaluate
    assert "Traceback" not in output
    project.reset()


def test_a_model_restored_from_the_cache_gets_no_second_run(project: Project) -> None:
    before = len(runs_of(project)[1])
    project.experiment("evaluate.seed=5")
    runs = runs_of(project)[1]
    assert len(runs) == before
    assert all(run.info.status == "FINISHED" for run in runs)
