"""The workspace's root, its work cache, and outputs that are published whole or not at all."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def root() -> Path:
    """Return the workspace's root.

    Under ``dvc exp run --temp`` and ``--queue`` a stage runs in a copy below ``.dvc/tmp``; DVC names
    the workspace it came from in ``DVC_ROOT``. Outside DVC it is the nearest folder with a ``.dvc``.
    """
    if given := os.environ.get("DVC_ROOT"):
        return Path(given)
    here = Path.cwd()
    return next((folder for folder in (here, *here.parents) if (folder / ".dvc").is_dir()), here)


def work_cache(name: str) -> Path:
    """Return a folder of the work cache, created if needed; it may be deleted at any time."""
    folder = work_cache_path() / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def work_cache_path() -> Path:
    """Return where the work cache is, or would be."""
    return root() / ".encore"


@contextmanager
def outputs(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder; its files and folders move into `folder` if the block ends without an error.

    Each replaces the one of the same name, as a whole; what else is in `folder` stays. If the block fails, or
    the process is killed, `folder` stays as it was. A kill while they move may leave some old and some new;
    DVC has recorded none of them, and runs the stage again.
    """
    with _temporary(folder) as partial:
        yield partial
        folder.mkdir(parents=True, exist_ok=True)
        for made in sorted(partial.iterdir()):
            _publish(made, folder / made.name, partial.with_suffix(".old.partial"))


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `path`; it replaces `path` if the block ends without an error.

    If the block fails, `path` stays as it was. If the process is killed, too; or, while the folders are
    renamed, `path` is absent. It is never there in part.
    """
    with _temporary(path) as partial:
        yield partial
        _publish(partial, path, partial.with_suffix(".old.partial"))


@contextmanager
def _temporary(path: Path) -> Iterator[Path]:
    """Yield an empty folder beside `path`, removed afterwards, as are those that killed processes left."""
    for leftover in path.parent.glob(f".{path.name}.*.partial"):
        shutil.rmtree(leftover, ignore_errors=True)
    # the process in the name: workers of a killed process may still write for a second
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    partial.mkdir(parents=True)
    try:
        yield partial
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _publish(made: Path, path: Path, old: Path) -> None:
    """Rename the file or folder `made` to `path`; a folder there is renamed to `old` first, then removed."""
    if path.is_dir() and not path.is_symlink():
        path.rename(old)
    made.replace(path)
    shutil.rmtree(old, ignore_errors=True)
