"""Print what changes against another revision, as Markdown for a review: scores, parameters, a chart.

`encore changes main` compares the workspace with main, `encore changes main HEAD` two
commits. The page of `dvc plots diff` goes to dvc_plots/. Nothing is run: metrics are in git, plots in DVC's
cache or a remote.
"""

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from stages.core.errors import EncoreError
from stages.core.workspace import root
from stages.entry.command import run_command

if TYPE_CHECKING:
    from stages.review.changes import Change

CURVES, FIELD = "Accuracy per segment", "valid_accuracy"  # of dvc.yaml
WORKSPACE = "workspace"  # as DVC names it


def main() -> None:
    """Print the changes between the one or two revisions that the command line names."""
    from stages.review.changes import Changes, markdown

    revisions = sys.argv[1:]
    if not 1 <= len(revisions) <= 2:
        raise EncoreError("name the revision to compare with, such as `make changes BASE=main`")
    base, revision = revisions if len(revisions) == 2 else [*revisions, WORKSPACE]
    changes = Changes(
        base=base,
        revision=revision,
        metrics=_values("metrics", "diff", "--all", "--json", *revisions),
        params=_values("params", "diff", "--deps", "--json", *revisions),
        curves=_curves(revisions),
        page=_page(revisions),
    )
    print(markdown(changes), end="")


def _values(*words: str) -> "dict[str, Change]":
    """Return what DVC says of the values of all files together."""
    by_file = json.loads(_dvc(*words)).values()
    return {name: change for values in by_file for name, change in values.items()}


def _curves(revisions: list[str]) -> dict[str, list[float]]:
    plots = json.loads(_dvc("plots", "diff", "--json", *revisions, "--targets", CURVES))["data"][CURVES]
    curves: dict[str, list[float]] = {}
    for row in (row for plot in plots for row in plot["content"]["data"]["values"]):
        if row["field"] == FIELD:
            curves.setdefault(row["rev"], []).append(float(row[FIELD]))
    return curves


def _page(revisions: list[str]) -> str:
    """Draw all plots; return where the page is, or nothing if DVC knows no plot."""
    addresses = _dvc("plots", "diff", *revisions).split()
    return os.path.relpath(unquote(urlsplit(addresses[-1]).path), root().resolve()) if addresses else ""


def _dvc(*words: str) -> str:
    done = subprocess.run([sys.executable, "-m", "dvc", *words], cwd=root(), capture_output=True, text=True)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["unknown"])[0].removeprefix("ERROR: ")
        raise EncoreError(f"`dvc {' '.join(words)}` failed: {reason}")
    return done.stdout


if __name__ == "__main__":
    run_command(main, takes_words=True)
