"""Where things live: the workspace's root, the work cache, and outputs that appear whole or not at all."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def root() -> Path:
    """The workspace's root.

    Under ``dvc exp run --temp`` and ``--queue`` a stage runs in a copy below ``.dvc/tmp``; DVC names
    the workspace it came from in ``DVC_ROOT``. Outside DVC it is the nearest folder with a ``.dvc``.
    """
    if given := os.environ.get("DVC_ROOT"):
        return Path(given)
    here = Path.cwd()
    return next((folder for folder in (here, *here.parents) if (folder / ".dvc").is_dir()), here)


def work_cache(name: str) -> Path:
    """A folder for work worth keeping across kills and runs; may be deleted at any time."""
    folder = work_cache_path() / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def work_cache_path() -> Path:
    """Where the work cache is, if there is one."""
    return root() / ".encore"


@contextmanager
def outputs(folder: Path) -> Iterator[Path]:
    """A temporary folder, whose files and folders go into `folder` when the block ends without an error.

    Each replaces the one of its name there, whole; whatever else lies in `folder` stays. A block that fails,
    or a process that is killed, leaves `folder` as it was. A process that is killed at the very end may leave
    some outputs old and some new, each of them whole; DVC has recorded none, and runs the stage again.
    """
    with _temporary(folder) as partial:
        yield partial
        folder.mkdir(parents=True, exist_ok=True)
        for made in sorted(partial.iterdir()):
            _publish(made, folder / made.name, partial.with_suffix(".old.partial"))


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A temporary folder beside `path` that takes its place when the block ends without an error.

    A block that fails, or a process that is killed, leaves `path` as it was, or for a moment at the very
    end absent; it is never seen in part.
    """
    with _temporary(path) as partial:
        yield partial
        _publish(partial, path, partial.with_suffix(".old.partial"))


@contextmanager
def _temporary(path: Path) -> Iterator[Path]:
    """An empty folder beside `path`, gone when the block ends, and what killed processes left of others."""
    for left in path.parent.glob(f".{path.name}.*.partial"):
        shutil.rmtree(left, ignore_errors=True)
    # named for the process, since workers of one that was killed may still write for a second
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    partial.mkdir(parents=True)
    try:
        yield partial
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _publish(made: Path, path: Path, old: Path) -> None:
    """Rename the file or folder `made` to `path`; a folder that is there becomes `old` for a moment."""
    if path.is_dir() and not path.is_symlink():
        path.rename(old)
    made.replace(path)
    shutil.rmtree(old, ignore_errors=True)
