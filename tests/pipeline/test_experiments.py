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

from stages import ui
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
        assert len(figures) == 7
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
        env=os.environ | ui.SERVER | {"MLFLOW_TRACKING_URI": "sqlite:///mlflow.db"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    address = f"http://{ui.HOST}:{port}"
    for _ in range(120):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1)
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
        page = browser.new_page(viewport={"width": 1400, "height": 1100})
        page.route(lambda address: not address.startswith(f"http://{ui.HOST}"), lambda route: route.abort())
        yield page
        browser.close()


@pytest.fixture
def table(project: Project, url: str, page: Page, monkeypatch: pytest.MonkeyPatch) -> Page:
    """The page that `make ui` names."""
    monkeypatch.setenv("DVC_ROOT", str(project.folder))
    page.goto("about:blank")
    page.goto(f"{url}/{view.address(store.EXPERIMENT)}")
    page.get_by_text("test/accuracy", exact=True).first.wait_for(timeout=60_000)
    return page


def search_for(table: Page, runs: str) -> None:
    search = table.get_by_placeholder("metrics.rmse", exact=False)
    search.fill(runs)
    search.press("Enter")


def is_in_sight(page: Page, text: str) -> bool:
    """Whether a person sees a text at once, in the whole of its width."""
    found = page.get_by_text(text, exact=True).first
    found.wait_for(timeout=20_000)
    box, window = found.bounding_box(), page.viewport_size
    assert box is not None
    assert window is not None
    return box["x"] >= 0 and box["x"] + box["width"] <= window["width"] and 0 <= box["y"] < window["height"]


@needs_chromium
def test_the_table_of_runs_shows_what_a_person_compares(table: Page) -> None:
    for column in ("model", "Dataset", "split", "test/accuracy", "test_baseline/accuracy"):
        assert is_in_sight(table, column), column
    for name in ("lstm · folder · seed 0", "mlp · folder · seed 0", "LSTM", "grouped"):
        assert is_in_sight(table, name), name
    assert table.get_by_text("folder (", exact=False).first.is_visible(), "the dataset and its digest"


@needs_chromium
@pytest.mark.parametrize("tag", ["model", "dataset", "split", "seed", "dvc.exp_name", "git.commit"])
def test_tags_filter_the_table(project: Project, table: Page, tag: str) -> None:
    _, runs = runs_of(project)
    wanted = next(run for run in runs if run.info.run_name == "lstm · folder · seed 0").data.tags[tag]
    n_wanted = sum(run.data.tags.get(tag) == wanted for run in runs)
    search_for(table, f"tags.`{tag}` = '{wanted}'")
    table.get_by_text(f"{n_wanted} matching run", exact=False).wait_for(timeout=20_000)
    table.get_by_text("lstm · folder · seed 0", exact=True).first.wait_for(timeout=20_000)


def sections(page: Page) -> list[str]:
    """Names of the sections of charts, in their order."""
    headers = page.get_by_test_id("experiment-view-compare-runs-section-header")
    headers.first.wait_for(timeout=60_000)
    return [text.partition("(")[0].strip() for text in headers.all_inner_texts()]


@needs_chromium
def test_charts_compare_three_runs(project: Project, table: Page) -> None:
    runs = {run.data.tags["model"]: run.info.run_id for run in runs_of(project)[1]}
    search_for(table, f"attributes.run_id IN ('{runs['MLP']}', '{runs['CNN']}', '{runs['LSTM']}')")
    table.get_by_text("3 matching runs").wait_for(timeout=20_000)
    table.locator("label:has(input[value=CHART])").click()
    table.get_by_text("models.LSTM", exact=True).first.wait_for(timeout=60_000)
    assert is_in_sight(table, "models.MLP"), "parameters that differ"
    assert not table.get_by_text("audio.sample_rate_hz").count(), "a parameter that does not"
    shown = sections(table)
    wanted = ["Parameters that differ", "test", "Confusion of test tracks", "test_baseline"]
    assert [name for name in shown if name in [*wanted, "Model metrics"]] == [*wanted, "Model metrics"]
    table.get_by_text("Confusion of test tracks", exact=True).scroll_into_view_if_needed()
    table.wait_for_function(
        "[...document.images].filter(i => i.src.includes('confusion') && i.naturalWidth > 200).length >= 3",
        timeout=30_000,
    )
    # charts out of sight are not drawn
    table.get_by_text("Model metrics", exact=True).scroll_into_view_if_needed()
    for curve in ("learning_rate", "train_accuracy", "valid_accuracy"):
        table.get_by_text(curve, exact=True).first.wait_for(timeout=20_000)


@needs_chromium
def test_models_compare_side_by_side(project: Project, url: str, page: Page) -> None:
    runs = {run.data.tags["model"]: run for run in runs_of(project)[1]}
    ids = ",".join(f'"{runs[model].info.run_id}"' for model in ("MLP", "CNN", "LSTM"))
    page.goto(f'{url}/#/compare-runs?runs=[{ids}]&experiments=["{runs["MLP"].info.experiment_id}"]')
    page.get_by_text("test/accuracy", exact=True).first.wait_for(timeout=60_000)
    for model in ("MLP", "CNN", "LSTM"):
        page.get_by_text(f"models.{model}", exact=True).first.wait_for(timeout=10_000)


@needs_chromium
def test_a_run_opens_with_its_scores_and_pictures(project: Project, url: str, page: Page) -> None:
    run = runs_of(project)[1][0]
    page.goto("about:blank")
    page.goto(f"{url}/#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}")
    page.get_by_text("Show more", exact=True).first.click(timeout=60_000)
    assert is_in_sight(page, "Accuracy per test track, with its 95 % interval:")
    assert is_in_sight(page, "About this run")
    page.wait_for_function(
        "[...document.images].filter(image => image.naturalWidth == 600).length == 2", timeout=20_000
    )


@needs_chromium
def test_metrics_open_with_test_then_baseline_then_curves(project: Project, url: str, page: Page) -> None:
    run = runs_of(project)[1][0]
    page.goto("about:blank")
    page.goto(f"{url}/#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}/model-metrics")
    shown = sections(page)
    assert shown[:3] == ["test", "test_baseline", "test_minus_baseline"]
    assert shown[-1] == "Model metrics"


def test_a_learning_rate_is_not_zero_and_a_training_has_system_metrics(project: Project) -> None:
    for run in runs_of(project)[1]:
        assert run.data.metrics["learning_rate"] > 0
        was_trained = "seconds" in run.data.metrics  # else DVC had the model
        assert ("system/cpu_utilization_percentage" in run.data.metrics) == was_trained


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
