"""Experiments in a fresh clone, their runs in a real MLflow store, and its pages in a real browser.

The tests build on one another. A user's files lie beside the outputs all the time.
"""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from PIL import Image
from playwright.sync_api import Page, sync_playwright
from ruamel.yaml import YAML

from stages.tracking import store, view
from tests.browser import CHROMIUM, QUIET, needs_chromium
from tests.pipeline.project import UNTRACKED, Project, stages_run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
MINE = ("data/raw/mine.wav", "data/segments/mine.csv", "data/model/mine.txt", "data/evaluation/mine.md")


@pytest.fixture(scope="module")
def clone(explored: Project) -> Project:
    """The clone itself: copies have no experiments, and their runs belong to the original."""
    for path in MINE:
        (explored.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (explored.folder / path).write_text("mine")
    with (explored.folder / ".git/info/exclude").open("a") as excluded:
        excluded.writelines(f"/{path}\n" for path in MINE)  # else git, and so DVC, would bring them back
    return explored


@pytest.fixture(autouse=True)
def users_files_survive(clone: Project) -> Iterator[None]:
    yield
    lost = [path for path in MINE if not (clone.folder / path).is_file()]
    assert not lost


def experiment(clone: Project, *overrides: str, option: str = "") -> list[str]:
    """Run a small experiment; return the names of the stages that ran."""
    words = clone.settings(*overrides)
    return stages_run(clone.dvc("exp", "run", *([option] if option else []), *words))


def runs_of(project: Project) -> tuple[MlflowClient, list[Run]]:
    client = MlflowClient(f"sqlite:///{project.folder / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("encore")
    assert experiment is not None
    return client, client.search_runs([experiment.experiment_id])


def figures_of(client: MlflowClient, run: Run) -> list[str]:
    return [file.path for file in client.list_artifacts(run.info.run_id) if file.path.endswith(".png")]


def test_queued_experiments_succeed_in_a_fresh_clone_and_are_tracked(clone: Project) -> None:
    status = (clone.folder.parent / "queue.txt").read_text()
    assert status.count("Success") == 4, status
    client, runs = runs_of(clone)
    assert sorted(run.data.tags["model"] for run in runs) == ["CNN", "EncoreCNN", "LSTM", "MLP"]
    assert len({run.data.tags["dvc.exp_name"] for run in runs}) == 4
    for run in runs:
        assert run.info.status == "FINISHED"
        assert "test/accuracy" in run.data.metrics
        figures = figures_of(client, run)
        assert len(figures) == 6
        pages = [file.path for file in client.list_artifacts(run.info.run_id, "pages/classes")]
        assert pages == [f"pages/classes/{label}.png" for label in ("high", "low", "noise")]
        for figure in figures:
            with Image.open(client.download_artifacts(run.info.run_id, figure)) as image:
                image.verify()
    assert not list((clone.folder / ".dvc/tmp/exps").rglob("mlflow.db"))


def test_an_experiment_then_git_checkout_then_another(clone: Project) -> None:
    assert experiment(clone) == [], "all of it is in the run cache"
    clone.git("checkout", "--quiet", ".")
    assert experiment(clone, "model=lstm", "train.seed=5", UNTRACKED) == ["train", "evaluate"]


def test_an_experiment_in_a_temporary_folder(clone: Project) -> None:
    clone.git("checkout", "--quiet", ".")
    assert experiment(clone, "train.seed=6", UNTRACKED, option="--temp") == ["train", "evaluate"]


@pytest.fixture(scope="module")
def project(clone: Project) -> Project:
    """The clone with an experiment in its workspace, committed."""
    clone.git("checkout", "--quiet", ".")
    experiment(clone)
    clone.commit("an experiment")
    return clone


def test_a_dead_tracking_server_warns_and_ends_nothing(project: Project) -> None:
    done = project.run("python", "-m", "stages.evaluate", env={"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"})
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("warning: MLflow tracking failed") == 1
    assert "Traceback" not in done.stdout


def test_evaluating_again_completes_the_same_run(project: Project) -> None:
    before = len(runs_of(project)[1])
    project.dvc("repro", "--single-item", "--force", "evaluate")
    assert len(runs_of(project)[1]) == before


def test_a_page_asked_for_later_joins_the_same_run(project: Project) -> None:
    before = {run.info.run_id for run in runs_of(project)[1]}
    assert sorted(experiment(project, "pictures.tracks=[low/0.wav]")) == [
        "evaluate",
        "pictures",
    ]
    client, runs = runs_of(project)
    assert {run.info.run_id for run in runs} == before
    pages = [file.path for run in runs for file in client.list_artifacts(run.info.run_id, "pages/tracks")]
    assert pages == ["pages/tracks/low_0.wav.png"]


def test_another_evaluation_of_a_cached_training_is_a_run_of_its_own(project: Project) -> None:
    before = {run.info.run_id for run in runs_of(project)[1]}
    assert experiment(project, "evaluate.seed=5") == ["evaluate"]
    new = [run for run in runs_of(project)[1] if run.info.run_id not in before]
    assert [run.data.params["evaluate.seed"] for run in new] == ["5"]
    assert new[0].info.status == "FINISHED"
    assert {"train_loss", "test/accuracy"} <= set(new[0].data.metrics)


def test_a_run_is_registered_afterwards_by_evaluate_alone_which_changes_no_output(project: Project) -> None:
    def outputs() -> object:
        return YAML(typ="safe", pure=True).load(project.folder / "dvc.lock")["stages"]["evaluate"]["outs"]

    assert experiment(project) == []
    before, runs = outputs(), {run.info.run_id for run in runs_of(project)[1]}
    assert experiment(project, "tracking.register=genres") == ["evaluate"]
    assert outputs() == before
    client, after = runs_of(project)
    assert {run.info.run_id for run in after} == runs
    (version,) = client.search_model_versions("name = 'genres'")
    assert client.get_run(version.run_id).data.tags["model"] == "CNN"


@pytest.fixture(scope="module")
def url(project: Project) -> Iterator[str]:
    """MLflow's UI over the project's runs."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    mlflow = Path(sys.executable).parent / "mlflow"
    server = subprocess.Popen(
        [mlflow, "ui", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"],
        cwd=project.folder,
        env=os.environ
        | {
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_TRACKING_URI": "sqlite:///mlflow.db",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    address = f"http://127.0.0.1:{port}"
    for _ in range(120):
        try:
            urllib.request.urlopen(f"{address}/health", timeout=1)
            break
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    yield address
    os.killpg(server.pid, 15)
    server.wait(timeout=20)


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        page = browser.new_page(viewport={"width": 1500, "height": 1100})
        page.route(lambda address: not address.startswith("http://127.0.0.1"), lambda route: route.abort())
        yield page
        browser.close()


@needs_chromium
def test_models_compare_side_by_side(project: Project, url: str, page: Page) -> None:
    runs = {run.data.tags["model"]: run for run in runs_of(project)[1]}
    ids = ",".join(f'"{run.info.run_id}"' for run in runs.values())
    page.goto(f'{url}/#/compare-runs?runs=[{ids}]&experiments=["{runs["MLP"].info.experiment_id}"]')
    page.get_by_text("test/accuracy", exact=True).first.wait_for(timeout=60_000)
    for model in ("MLP", "CNN", "LSTM"):
        page.get_by_text(f"models.{model}", exact=True).first.wait_for(timeout=10_000)


@needs_chromium
def test_the_table_of_runs_shows_what_a_person_compares(
    project: Project, url: str, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVC_ROOT", str(project.folder))
    page.goto(f"{url}/{view.address(store.EXPERIMENT)}")
    for column in ("test/accuracy", "baseline/accuracy", "model", "dataset", "split"):
        page.get_by_text(column, exact=True).first.wait_for(timeout=60_000)
    for name in ("lstm · folder · seed 0", "mlp · folder · seed 0"):
        page.get_by_text(name, exact=True).first.wait_for(timeout=10_000)


@needs_chromium
def test_a_run_shows_its_figures(project: Project, url: str, page: Page) -> None:
    run = runs_of(project)[1][0]
    page.goto(f"{url}/#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}/artifacts")
    page.get_by_text("confusion_test.png", exact=True).first.click(timeout=60_000)
    page.wait_for_function("[...document.images].some(image => image.naturalWidth > 400)", timeout=20_000)


@needs_chromium
def test_a_run_shows_its_card_with_pictures(project: Project, url: str, page: Page) -> None:
    run = runs_of(project)[1][0]
    page.goto("about:blank")  # else MLflow's page stays at the file that was open
    page.goto(
        f"{url}/#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}/artifacts/evaluation/card.html"
    )
    card = page.frame_locator("iframe.mlflow-html-iframe")
    card.get_by_role("heading", name="Limits").wait_for(timeout=60_000)
    for picture in card.locator("img").all():
        assert picture.evaluate("image => image.naturalWidth") > 400
    assert card.locator("img").count() >= 2


def test_files_beside_the_outputs_are_named_where_a_stage_writes(project: Project) -> None:
    said = project.dvc("repro", "--force", "--single-item", "fetch", "segment")
    assert "note: data/raw has files that are not Encore's: mine.wav; they are kept" in said


@pytest.mark.parametrize("command", ["checkout --force", "gc --workspace --force"])
def test_files_beside_the_outputs_survive_the_cleaning_up(project: Project, command: str) -> None:
    project.dvc(*command.split())
