"""Paths that a user gives, checked before DVC looks for what they name."""

import subprocess
from collections.abc import Mapping
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any

from stages.core.errors import EncoreError, did_you_mean
from stages.sources.watched import assert_readable

ABSOLUTE = ("dataset.path", "dataset.archive", "dataset.metadata_path", "features.encoder.path")
FROM_ROOT = ("dataset.labels", "split.path")  # may also be a file that git tracks
NOT_GIVEN = (None, "???")


def check_paths(values: Mapping[str, Any], project: Path) -> None:
    """Check that the paths in params.yaml are absolute, and that DVC can read them.

    Parameters
    ----------
    values : mapping
        The sections of params.yaml.
    project : Path
        The project's root.

    Raises
    ------
    EncoreError
        If one is relative, begins with ``~``, names nothing or a file that git does not track, or holds what
        DVC cannot read.
    """
    for full in (*ABSOLUTE, *FROM_ROOT):
        *sections, key = full.split(".")
        given = reduce(getitem, sections, values).get(key)
        if given not in NOT_GIVEN:
            _check(full, str(given), project)


def _check(key: str, given: str, project: Path) -> None:
    path = Path(given)
    if given.startswith("~"):
        raise EncoreError(f"{key} is {given!r}: ~ means nothing here; write {path.expanduser()}")
    if not path.is_absolute():
        if key in FROM_ROOT and (project / path).exists():
            _check_tracked(key, path, project)
            return
        there = next(
            (folder / path for folder in (Path.cwd(), Path.home()) if (folder / path).exists()), None
        )
        if there or key not in FROM_ROOT:
            example = f"write {there}" if there else "give the absolute path, such as /home/me/music"
            raise EncoreError(f"{key} is {given!r}, which is relative; {example}")
        path = project / path
    if not path.exists():
        above = next(folder for folder in path.parents if folder.is_dir())
        missing = path.relative_to(above).parts[0]
        similar = did_you_mean(missing, (other.name for other in above.iterdir()))
        raise EncoreError(f"{key} is {given!r}, but there is no {missing} in {above}{similar}")
    assert_readable(path)


def _check_tracked(key: str, path: Path, project: Path) -> None:
    """Raise `EncoreError` if git does not track a file of the project: copies of it would lack the file."""
    asked = ["git", "-C", str(project), "ls-files", "--error-unmatch", "--", str(path)]
    if subprocess.run(asked, capture_output=True).returncode == 1:  # 128: there is no repository
        raise EncoreError(
            f"{key} is {str(path)!r}, which git does not track, so that experiments in a copy of the project "
            f"would lack it; `git add {path}`, or give the absolute path {project / path}"
        )
