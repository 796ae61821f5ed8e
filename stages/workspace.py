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
    folder = root() / ".encore" / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A temporary folder beside `path` that takes its place when the block ends without an error.

    A block that fails, or a process that is killed, leaves `path` as it was.
    """
    partial = path.with_name(f".{path.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    shutil.rmtree(path, ignore_errors=True)
    partial.rename(path)
