"""A user's files inside outputs, found before DVC removes the outputs with all that is in them."""

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from stages.core.errors import EncoreError, some
from stages.core.workspace import written
from stages.entry.internals import internals

# What file managers leave in folders that they show.
OF_THE_SYSTEM = (".DS_Store", "Thumbs.db", "desktop.ini")


def check_outputs(project: Path) -> None:
    """Check that no output holds a file that would be lost with it.

    A folder that is as dvc.lock says is Encore's. Of any other, each file has to be in DVC's cache under its
    name, as after ``git checkout`` or ``dvc exp apply``, or be one that Encore wrote, as after a stage that
    was killed before DVC had it. What has not changed since DVC last saw it is not read.

    Raises
    ------
    EncoreError
        One line that names the files, and where to put them.
    """
    from dvc.repo import Repo

    with Repo(str(project)) as repo:
        for out in repo.index.outs:
            path = Path(out.fs_path)
            if path.is_dir() and (foreign := sorted(_foreign(path, out, project))):
                raise EncoreError(_where_to_put(path.relative_to(project), foreign))


def _foreign(path: Path, out: Any, project: Path) -> Iterator[str]:
    """Yield the files of a folder that are neither Encore's nor in DVC's cache, by their path below it."""
    odd: list[str] = []
    plain: set[str] = set()
    for file in _files(path):
        name = file.relative_to(path).as_posix()
        (plain.add if file.is_file() else odd.append)(name)
    if odd:  # a link to a folder or to nothing, a pipe: DVC itself would fail at them, or hang
        yield from odd
        return
    _, _, tree = internals().hash_folder(out.cache, str(path), out.fs, out.hash_name, dry_run=True)
    if tree.hash_info == out.hash_info:
        return
    own, cached = written(path.relative_to(project)), _cached(Path(out.cache.path))
    for key, _, content in tree:
        name = "/".join(key)
        is_cached = (name, content.value) in cached and out.cache.exists(content.value)
        if name in plain and not is_cached and not _is_written(path / name, own.get(name)):
            yield name


def _cached(cache: Path) -> set[tuple[str, str]]:
    """Return name and hash of each file of the folders that DVC's cache has."""
    files: set[tuple[str, str]] = set()
    for folder in cache.glob("??/*.dir"):
        with suppress(ValueError):  # DVC makes a damaged list anew
            files.update((file["relpath"], file["md5"]) for file in json.loads(folder.read_bytes()))
    return files


def _files(folder: Path) -> Iterator[Path]:
    """Yield all that a folder holds but folders and files of the system."""
    for above, folders, files in os.walk(folder):
        links = [name for name in folders if Path(above, name).is_symlink()]
        for name in (*links, *files):
            if name not in OF_THE_SYSTEM:
                yield Path(above, name)


def _is_written(path: Path, noted: list[int] | None) -> bool:
    is_ = path.lstat()
    return noted == [is_.st_size, is_.st_mtime_ns]


def _where_to_put(output: Path, foreign: list[str]) -> str:
    own_place = (
        "your music goes into a folder of your own: dataset=folder dataset.path=/some/music"
        if output.name == "music"
        else f"what lies beside it in {output.parent} is kept"
    )
    return (
        f"{output} has files that are not Encore's, and would be removed with them: {some(foreign)}; "
        f"move or delete them first ({own_place})"
    )
