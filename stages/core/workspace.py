"""The workspace's root, its work cache, and outputs that are published whole or not at all."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stages.core.errors import some


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

    Each replaces the one of the same name, as a whole; what else is in `folder` stays, and is named. If
    the block fails, or the process is killed, `folder` stays as it was. A kill while they move may leave some
    old and some new; DVC has recorded none of them, and runs the stage again.
    """
    with _temporary(folder) as partial:
        yield partial
        folder.mkdir(parents=True, exist_ok=True)
        all_made = sorted(partial.iterdir())
        for made in all_made:
            _note_written(made, folder / made.name)
            _publish(made, folder / made.name, partial.with_suffix(".old.partial"))
    _name_the_others(folder, {made.name for made in all_made})


def written(path: Path) -> dict[str, list[int]]:
    """Return the files that Encore last wrote into an output that is a folder.

    DVC's cache has their content once the stage has ended. If it is killed before that, only this tells them
    from a user's files.

    Parameters
    ----------
    path : Path
        The output, from the workspace's root.

    Returns
    -------
    dict of str to list of int
        Size in bytes and time of the last change in ns, by the path below the folder.
    """
    try:
        noted: dict[str, list[int]] = json.loads(_record_of(path).read_bytes())
    except (OSError, ValueError):
        return {}
    return noted


def _note_written(made: Path, path: Path) -> None:
    """Record what is in the folder `made` before it becomes the output `path`, for `written`."""
    if not made.is_dir() or path.is_absolute() or not Path.cwd().samefile(root()):
        return  # a copy below .dvc/tmp is DVC's own
    files = {file.relative_to(made).as_posix(): file.stat() for file in made.rglob("*") if file.is_file()}
    record = _record_of(path)
    record.parent.mkdir(parents=True, exist_ok=True)
    partial = record.with_suffix(f".{os.getpid()}.partial")
    partial.write_text(
        json.dumps({name: [is_.st_size, is_.st_mtime_ns] for name, is_ in files.items()}), "utf-8"
    )
    partial.replace(record)


def _record_of(path: Path) -> Path:
    return work_cache_path() / "written" / f"{'-'.join(path.parts)}.json"


def _name_the_others(folder: Path, own: set[str]) -> None:
    """Print which files beside the outputs are not Encore's."""
    others = sorted(path.name for path in folder.iterdir() if path.name not in own and path.name[0] != ".")
    if others:
        print(f"note: {folder} has files that are not Encore's: {some(others)}; they are kept and not read")


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
