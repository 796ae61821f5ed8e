"""Paths that a user gives, checked before DVC looks for what they name."""

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
        If one is relative, begins with ``~``, names nothing, or holds what DVC cannot read.
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
            return
        there = next(
            (folder / path for folder in (Path.cwd(), Path.home()) if (folder / path).exists()), None
        )
        example = f"write {there}" if there else "give the absolute path, such as /home/me/music"
        raise EncoreError(f"{key} is {given!r}, which is relative; {example}")
    if not path.exists():
        above = next(folder for folder in path.parents if folder.is_dir())
        missing = path.relative_to(above).parts[0]
        similar = did_you_mean(missing, (other.name for other in above.iterdir()))
        raise EncoreError(f"{key} is {given!r}, but there is no {missing} in {above}{similar}")
    assert_readable(path)
