"""Two people share a project through git and a remote of DVC, and compare its revisions offline."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, sync_playwright

from tests.browser import CHROMIUM, QUIET, needs_chromium
from tests.pipeline.project import UNTRACKED, Project, stages_run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
EXPERIMENT, BRANCH = "a-perceptron", "lstm"


@pytest.fixture(scope="module")
def mine(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A copy of the project that was pushed: main has a CNN, a branch an LSTM, an experiment an MLP."""
    folder = tmp_path_factory.mktemp("shared")
    mine = Project.existing(shutil.copytree(project.folder, folder / "mine", symlinks=True), project.music)
    mine.git("init", "--quiet", "--bare", "--initial-branch", "main", str(folder / "hub.git"))
    mine.git("remote", "set-url", "origin", str(folder / "hub.git"))
    mine.git("branch", "--move", "main")
    mine.dvc("remote", "add", "--default", "storage", str(folder / "storage"))
    mine.commit("a remote")
    mine.git("checkout", "--quiet", "-b", BRANCH)
    mine.experiment("model=lstm", UNTRACKED)
    mine.commit("an LSTM")
    mine.git("checkout", "--quiet", "main")
    mine.dvc("push", "--all-branches")
    mine.git("tag", "--annotate", "model@v1.0.0", "--message", "the first")
    mine.git("push", "--quiet", "--tags", "--set-upstream", "origin", "main", BRANCH)
    mine.dvc("exp", "run", "--name", EXPERIMENT, *mine.settings("model=mlp", UNTRACKED))
    mine.dvc("exp", "push", "origin", EXPERIMENT)
    return mine


@pytest.fixture(scope="module")
def theirs(mine: Project) -> Project:
    """A clone elsewhere; only git and the remote have what is in it."""
    theirs = Project.existing(mine.folder.parent / "theirs", mine.music)
    mine.git("clone", "--quiet", str(mine.folder.parent / "hub.git"), str(theirs.folder))
    return theirs


def test_what_was_pushed_is_pulled_elsewhere_and_nothing_runs(mine: Project, theirs: Project) -> None:
    assert not (theirs.folder / "data/model").exists()
    theirs.dvc("pull")
    assert stages_run(theirs.dvc("repro")) == []
    assert theirs.git("status", "--porcelain") == ""


def test_an_experiment_is_pulled_elsewhere_and_nothing_runs(theirs: Project) -> None:
    theirs.dvc("exp", "pull", "origin", EXPERIMENT)
    theirs.dvc("exp", "apply", EXPERIMENT)
    assert stages_run(theirs.dvc("repro")) == []
    assert "models.MLP" in (theirs.folder / "params.yaml").read_text()
    theirs.reset()


def test_the_model_is_had_by_its_name_without_a_clone(theirs: Project, tmp_path: Path) -> None:
    hub = str(theirs.folder.parent / "hub.git")
    theirs.dvc("artifacts", "get", hub, "model", "--out", str(tmp_path / "model"))
    pulled = theirs.folder / "data/model"
    for name in ("model.json", "weights.safetensors"):
        assert (tmp_path / "model" / name).read_bytes() == (pulled / name).read_bytes()


def test_the_changes_of_a_branch_whose_outputs_are_in_the_remote_alone(theirs: Project) -> None:
    done = theirs.run("python", "-m", "stages.changes", "main", f"origin/{BRANCH}")
    assert done.returncode == 0, done.stdout
    assert done.stdout.startswith(f"## `origin/{BRANCH}` against `main`\n")
    assert re.search(r"^\| accuracy \| [\d.]+ \([\d.]+ to [\d.]+\) \| [\d.]+ \(", done.stdout, re.MULTILINE)
    assert "| `model._target_` | models.CNN | models.LSTM |" in done.stdout
    assert f"main grey, origin/{BRANCH} orange" in done.stdout
    assert done.stdout.count("\n  line [") == 2
    assert done.stdout.endswith("All plots: `dvc_plots/index.html`\n")
    assert (theirs.folder / "dvc_plots/index.html").is_file()


def test_changes_of_the_workspace_without_outputs_are_those_of_metrics(theirs: Project) -> None:
    bare = theirs.clone(theirs.folder.parent / "bare")
    bare.dvc("remote", "remove", "storage")
    done = bare.run("python", "-m", "stages.changes", "HEAD~1")
    assert done.returncode == 0, done.stdout
    assert "| accuracy |" in done.stdout
    assert "Without plots of `HEAD~1` and `workspace`" in done.stdout


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ([], "error: name the revision to compare with, such as `make changes BASE=main`"),
        (["mian"], "error: `dvc metrics diff --all --json mian` failed: unknown Git revision 'mian'"),
    ],
)
def test_a_revision_that_is_missing_is_one_line(theirs: Project, words: list[str], line: str) -> None:
    done = theirs.run("python", "-m", "stages.changes", *words)
    assert (done.returncode, done.stdout.strip()) == (1, line)


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    """A page of a browser that reaches nothing but files."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        page = browser.new_page()
        page.context.set_offline(True)
        yield page
        browser.close()


@needs_chromium
@pytest.mark.parametrize("revisions", [[], ["main", f"origin/{BRANCH}", EXPERIMENT]], ids=["show", "diff"])
def test_plots_are_drawn_without_a_network(theirs: Project, page: Page, revisions: list[str]) -> None:
    done = theirs.run("python", "-m", "stages.offline")
    assert done.returncode == 0, done.stdout
    theirs.dvc("plots", *(["diff", *revisions] if revisions else ["show"]))
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    for width in (1400, 390):
        page.set_viewport_size({"width": width, "height": 900})
        page.goto((theirs.folder / "dvc_plots/index.html").as_uri())
        page.locator("svg.marks .mark-rect path").first.wait_for(timeout=20_000)
        plots = page.locator("svg.marks").all()
        assert [plot.locator(".mark-line path").count() > 0 for plot in plots] == [True, True, False]
        for plot in plots:
            for name in revisions or ["workspace"]:
                assert plot.get_by_text(name, exact=True).count() == 1
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        pictures = page.locator("img").all()
        assert len(pictures) == 7 * max(1, len(revisions))
        for picture in pictures:
            assert picture.evaluate("it => it.naturalWidth > 0 && it.width <= it.parentElement.clientWidth")
    assert [address for address in asked if not address.startswith(("file:", "data:"))] == []
