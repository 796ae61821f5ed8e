"""The folder that a command was called in, which paths on its command line are relative to."""

import os
import sys
from pathlib import Path

_folder: Path | None = None  # None: the current one


def enter(project: Path) -> None:
    """Make the project's root the current folder, and keep in mind where the command was called."""
    global _folder
    try:
        _folder = Path.cwd()
    except FileNotFoundError:
        sys.exit("error: the current folder was deleted; change to another one")
    os.chdir(project)


def given(path: str) -> Path:
    """Return the path that a user has typed, from the current folder."""
    return Path(path) if _folder is None else _folder / path
