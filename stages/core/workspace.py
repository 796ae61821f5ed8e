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
def new_folder(path: Path) -> Iterator[Path]:
    """A temporary folder beside `path` that takes its place when the block ends without an error.

    A block that fails, or a process that is killed, leaves `path` as it was, or for a moment at the very
    end absent; it is never seen in part.
    """
    # named for the process, since workers of one that was killed may still write for a second
    partial, old = (path.with_name(f".{path.name}.{os.getpid()}.{what}") for what in ("partial", "old"))
    for kind in ("partial", "old"):
        for left in path.parent.glob(f".{path.name}.*.{kind}"):
            shutil.rmtree(left, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    if path.exists():
        path.rename(old)
    partial.rename(path)
    shutil.rmtree(old, ignore_errors=True)
