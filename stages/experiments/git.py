"""What grids ask of git."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from stages.core.errors import EncoreError

OF_CODE = ("conf", "models", "stages")  # folders in which a new file belongs to the experiment


def snapshot(project: Path) -> str:
    """Return a commit with all tracked files as they are in the project now; nothing there is changed.

    Raises
    ------
    EncoreError
        If git has no commit, or there are new files in the folders of code.
    """
    new = git(project, "ls-files", "--others", "--exclude-standard", "--", *OF_CODE).splitlines()
    if new:
        raise EncoreError(
            f"{new[0]}: git does not know this file, so experiments would run without it; `git add` it"
        )
    head = git(project, "rev-parse", "HEAD")
    try:
        return git(project, "stash", "create") or head
    except EncoreError as error:
        raise EncoreError(
            f"{error}; `git status` says why: `git add` what is new, or finish the merge"
        ) from None


def listed(project: Path, commit: str, paths: Sequence[str]) -> str:
    """Return path and content's hash of all files that a commit has at and below `paths`."""
    return git(project, "ls-tree", "-r", commit, "--", *paths)


def experiments(project: Path) -> dict[str, str]:
    """Return the reference of each of DVC's experiments by its name."""
    found = git(project, "for-each-ref", "--format=%(refname)", "refs/exps").splitlines()
    # refs/exps/12/34…/NAME; others are DVC's own
    return {reference.split("/")[4]: reference for reference in found if len(reference.split("/")) == 5}


def git(folder: Path, *words: str) -> str:
    """Return what a git command prints.

    Raises
    ------
    EncoreError
        If it fails.
    """
    done = subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        why = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        raise EncoreError(f"{folder}: git {words[0]} fails: {why}")
    return done.stdout.rstrip("\n")
