"""The README's pictures of MLflow, of a project's runs: `python -m tests.campaigns.screenshots FOLDER`.

It opens the page of `make ui` in Debian's Chromium as a person would, with this checkout's code and the runs
of the project in FOLDER, and writes tests/screenshots/*.png. The comparison is of three models' latest runs.
"""

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from tests.campaigns.pictures import save

ROOT = Path(__file__).parents[2]
WIDTH = 1400
LATEST = """
SELECT tags.value, runs.run_uuid FROM runs JOIN tags ON tags.run_uuid = runs.run_uuid AND tags.key = 'model'
JOIN inputs ON inputs.destination_id = runs.run_uuid
WHERE runs.status = 'FINISHED' AND runs.lifecycle_stage = 'active' ORDER BY runs.start_time
"""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Yield the address that `make ui` prints for a project."""
    server = subprocess.Popen(
        [sys.executable, "-m", "stages.ui"],
        cwd=ROOT,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "DVC_ROOT": str(folder),
            "DISPLAY": "",
            "BROWSER": "true",
        },
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout is not None
        yield next(line.strip() for line in server.stdout if line.startswith("http://"))
    finally:
        server.terminate()
        server.wait()


def runs_of_three_models(folder: Path) -> list[str]:
    with closing(sqlite3.connect(folder / "mlflow.db")) as store:
        latest = dict(store.execute(LATEST).fetchall())
    if len(latest) < 3:
        sys.exit(
            f"{folder} has runs of {len(latest)} models, should be 3: `dvc exp run -S model=lstm` adds one"
        )
    return list(latest.values())[-3:]


def take(page: Page, name: str, height: int) -> None:
    """Write a picture of the page."""
    page.set_viewport_size({"width": WIDTH, "height": height})
    page.wait_for_timeout(4000)  # charts are drawn bit by bit, and nothing says when they are complete
    save(page.screenshot(), name)


def main() -> None:
    folder = Path(sys.argv[1]).resolve()
    run_ids = runs_of_three_models(folder)
    with served(folder) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH, "height": 1900})
        page.goto(address)
        page.get_by_text("test/accuracy", exact=True).first.wait_for(timeout=60_000)
        take(page, "runs.png", 700)
        search = page.get_by_placeholder("metrics.rmse", exact=False)
        search.fill(f"attributes.run_id IN ({', '.join(map(repr, run_ids))})")
        search.press("Enter")
        page.get_by_text("3 matching runs").wait_for(timeout=60_000)
        page.set_viewport_size({"width": WIDTH, "height": 1900})
        page.locator("label:has(input[value=CHART])").click()
        page.get_by_text("Confusion of test tracks").wait_for(timeout=60_000)
        take(page, "comparison.png", 2230)
        place, _, _ = address.partition("?")
        page.goto("about:blank")
        page.goto(f"{place}/{run_ids[-1]}")
        page.get_by_text("Show more", exact=True).first.click(timeout=60_000)
        take(page, "run.png", 1000)
        browser.close()


if __name__ == "__main__":
    main()
