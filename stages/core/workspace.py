"""The workspace's root, its work cache, and outputs that are published whole or not at all."""

import errno
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from configparser import ConfigParser
from configparser import Error as ConfigParserError
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from threading import Event

from stages.core.errors import some

AT_ONCE = 16  # files that are flushed together; a disk merges such requests
EARLY_S = 1.0


def root() -> Path:
    """Return the workspace's root.

    Under ``dvc exp run --temp`` and ``--queue`` a stage runs in a copy below ``.dvc/tmp``; DVC names
    the workspace it came from in ``DVC_ROOT``. Outside DVC it is the nearest folder with a ``.dvc``. A grid's
    copies are below ``.dvc/tmp``, too.
    """
    here = Path.cwd()
    nearest = next((folder for folder in (here, *here.parents) if (folder / ".dvc").is_dir()), here)
    workspace, _, _ = os.environ.get("DVC_ROOT", str(nearest)).partition("/.dvc/tmp/")
    return Path(workspace)


def python_path() -> str:
    """Return the PYTHONPATH with which another process runs the code of this one.

    Under ``--temp``, and in an environment that belongs to another checkout, it would find other code.
    """
    own = str(Path(__file__).parents[2])
    return os.pathsep.join([own, *filter(None, [os.environ.get("PYTHONPATH")])])


def work_cache(name: str) -> Path:
    """Return a folder of the work cache, created if needed; it may be deleted at any time."""
    folder = work_cache_path() / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def work_cache_path() -> Path:
    """Return where the work cache is, or would be."""
    return root() / ".encore"


def dvc_copies_outputs() -> bool:
    """Return whether DVC keeps copies of outputs in its cache, and not links; see `stages.links`."""
    if not (root() / ".dvc").is_dir():
        return False
    config = ConfigParser()
    with suppress(ConfigParserError):
        config.read([root() / ".dvc/config", root() / ".dvc/config.local"], "utf-8")
    types = config.get("cache", "type", fallback="copy")
    return types.partition(",")[0].strip() == "copy"


def cached_output(path: Path) -> Path | None:
    """Return where DVC's cache has the output `path` as dvc.lock records it; None: it does not."""
    with suppress(OSError):
        text = Path("dvc.lock").read_text("utf-8")
        if found := re.search(rf"path: {re.escape(path.as_posix())}\s+hash: md5\s+md5: (\w\w)(\w+)\s", text):
            cached = root() / ".dvc/cache/files/md5" / found[1] / found[2]
            return cached if cached.is_file() else None
    return None


@contextmanager
def outputs(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder; its files and folders move into `folder` if the block ends without an error.

    Each replaces the one of the same name, as a whole; what else is in `folder` stays, and is named. If
    the block fails, the process is killed or the disk refuses, `folder` stays as it was. A kill or a power
    failure while they move may leave some of them absent, but none in part, and never an old one beside a new
    one.
    """
    with _temporary(folder) as partial:
        yield partial
        folder.mkdir(parents=True, exist_ok=True)
        all_made = {made: folder / made.name for made in sorted(partial.iterdir())}
        for made, path in all_made.items():
            _note_written(made, path)
        _publish(all_made, partial)
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
    text = json.dumps({name: [is_.st_size, is_.st_mtime_ns] for name, is_ in files.items()})
    with suppress(OSError):  # nobody may be able to write the work cache
        record.parent.mkdir(parents=True, exist_ok=True)
        with replaced(record) as unfinished:
            unfinished.write_text(text, "utf-8")


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

    If the block fails, the process is killed or the disk refuses, `path` stays as it was. A kill or a power
    failure while the folders are renamed may leave it absent, but not in part.
    """
    with _temporary(path) as partial:
        yield partial
        _publish({partial: path}, partial)


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """Yield a name beside `path`; what the block makes there becomes `path` if it ends without an error.

    It is whole even if the process is killed, but not after a power failure; see `publish`.
    """
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.unlink(missing_ok=True)
    try:
        yield unfinished
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def publish(made: Path, path: Path) -> None:
    """Rename the file `made` to `path`, where it is whole even after a power failure."""
    flush(made)
    made.replace(path)
    sync(path.parent)


def distrust(path: Path) -> None:
    """Have DVC check a damaged output, and make it anew, instead of bringing the damage back from its cache.

    The output may be a hard link to DVC's copy, which is read-only. DVC checks what is not, if it looks new.
    """
    with suppress(OSError):
        path.chmod(0o644)
        os.utime(path)


def flush(path: Path) -> None:
    """Have a file, or a folder with all that is in it, written to the disk."""
    if path.is_dir():
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for _ in pool.map(sync, path.rglob("*")):
                pass
    sync(path)


@contextmanager
def flushed_early(path: Path) -> Iterator[None]:
    """Have a file written to the disk while the block still fills it: `flush` then has little left to do."""
    over = Event()

    def sync_again() -> None:
        while not over.wait(EARLY_S):
            sync(path)

    with ThreadPoolExecutor(1) as pool:
        syncing = pool.submit(sync_again)
        try:
            yield
        finally:
            over.set()
    syncing.result()  # the kernel tells an error of the disk only once


def sync(path: Path) -> None:
    """Have a file's content, or the names in a folder, written to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # the answer of file systems that cannot flush a folder, such as some of networks
        if error.errno != errno.EINVAL or not path.is_dir():
            raise OSError(error.errno, error.strerror, str(path)) from None
    finally:
        os.close(descriptor)


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


def _publish(paths: Mapping[Path, Path], partial: Path) -> None:
    """Rename files and folders to their paths, all or, after an error, none; what was there is removed."""
    for made in paths:
        flush(made)
    old = partial.with_suffix(".old.partial")
    with ExitStack() as undo:
        old.mkdir()
        undo.callback(old.rmdir)
        for path in paths.values():
            if path.exists() or path.is_symlink():
                path.rename(old / path.name)
                undo.callback((old / path.name).rename, path)
        for made, path in paths.items():
            made.rename(path)
            undo.callback(path.rename, made)
        for folder in {path.parent for path in paths.values()}:
            sync(folder)
            sync(folder.parent)
        undo.pop_all()
    shutil.rmtree(old, ignore_errors=True)
