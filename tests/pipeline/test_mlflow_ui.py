"""The comparison of two runs as a person sees it in MLflow's UI."""

import os
import shutil
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
from playwright.sync_api import Page, sync_playwright

from tests.pipeline.project import Project

CHROMIUM = shutil.which("chromium")
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    pytest.mark.skipif(
        CHROMIUM is None, reason="CHROMIUM IS MISSING: no page was tested (apt install chromium)"
    ),
]


@pytest.fixture(scope="module")
def url(project: Project) -> Iterator[str]:
    """MLflow's UI over the runs of an mlp and an lstm."""
    project.experiment("model=lstm")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    mlflow = Path(sys.executable).parent / "mlflow"
    server = subprocess.Popen(
        [mlflow, "ui", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"],
        cwd=project.folder,
        env=os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_TRACKING_URI": "sqlite:///mlflow.db"},
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


def test_two_models_compare_side_by_side(project: Project, url: str, page: Page) -> None:
    client = MlflowClient(f"sqlite:///{project.folder / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("encore")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    assert {run.data.tags["model"] for run in runs} == {"MLP", "LSTM"}
    ids = ",".join(f'"{run.info.run_id}"' for run in runs)
    page.goto(f'{url}/#/compare-runs?runs=[{ids}]&experiments=["{experiment.experiment_id}"]')
    page.get_by_text("test.track.accuracy", exact=True).first.wait_for(timeout=60_000)
    page.get_by_text("models.LSTM", exact=True).first.wait_for(timeout=10_000)
    page.get_by_text("models.MLP", exact=True).first.wait_for(timeout=10_000)
    page.screenshot(path=project.folder / "compare.png", full_page=True)


def test_a_run_shows_its_figures(project: Project, url: str, page: Page) -> None:
    client = MlflowClient(f"sqlite:///{project.folder / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("encore")
    assert experiment is not None
    run = client.search_runs([experiment.experiment_id])[0]
    page.goto(f"{url}/#/experiments/{experiment.experiment_id}/runs/{run.info.run_id}/artifacts")
    with page.expect_response(lambda answer: "get-artifact" in answer.url, timeout=60_000) as answer:
        page.get_by_text("confusion_test.png", exact=True).first.click(timeout=60_000)
    assert answer.value.status == 200
    assert answer.value.body().startswith(b"\x89PNG")
    page.screenshot(path=project.folder / "artifact.png")
