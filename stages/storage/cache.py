"""The content-addressed part of the work cache: results that survive a kill and are shared by runs.

The key of an entry covers everything that it depends on, including the code, so an entry is never stale. The
cache only saves time: an entry that cannot be written, or is missing or damaged, is computed again.
"""

import hashlib
import io
import json
import os
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stages.core.workspace import replaced, work_cache_path
from stages.storage.closure import import_closure

if TYPE_CHECKING:
    from numpy.typing import NDArray

SMALL = 1 << 25  # bytes that may be in memory twice
ABANDONED_S = 3600.0  # an unfinished file of this age was left by a killed process


def code_key(module: str, packages: Sequence[str]) -> str:
    """Return a digest of the code of `module` and all that it imports, and of the versions of `packages`."""
    root = Path(__file__).parents[2]
    parts = [(path.as_posix(), (root / path).read_text("utf-8")) for path in import_closure(module, root)]
    return entry_key(parts, [(package, version(package)) for package in packages])


def entry_key(*parts: Any) -> str:
    """Return a digest of `parts`, which must be plain values."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def save(key: str, arrays: "Mapping[str, NDArray[Any]]", about: Mapping[str, Any]) -> None:
    """Save `arrays` and the plain values `about` as the entry `key`; if the disk is full, save nothing."""
    import numpy as np

    record = json.dumps({"about": about, "arrays": list(arrays)})
    with suppress(OSError):
        path = _path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        with replaced(path) as unfinished, unfinished.open("wb") as file:
            # small ones with one write: threads wait for each other at each
            is_small = sum(array.nbytes for array in arrays.values()) < SMALL
            buffer = io.BytesIO() if is_small else file
            np.savez(buffer, allow_pickle=False, record=np.array(record), **arrays)
            if isinstance(buffer, io.BytesIO):
                file.write(buffer.getbuffer())


def load(key: str, names: Sequence[str]) -> "tuple[dict[str, NDArray[Any]], dict[str, Any]] | None":
    """Load those of `names` that an entry has, and its plain values; None if there is no such entry."""
    import numpy as np

    try:
        with np.load(_path(key)) as file:  # checks the checksums
            record = json.loads(str(file["record"]))
            arrays = {name: file[name] for name in names if name in record["arrays"]}
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, EOFError, RuntimeError, zipfile.BadZipFile):
        with suppress(OSError):
            _path(key).unlink()
        return None
    keep(key)
    return arrays, record["about"]


def keep(key: str) -> bool:
    """Return whether there is such an entry, and mark it as used now: `trim` deletes the oldest first."""
    try:
        os.utime(_path(key))
    except OSError:
        return False
    return True


@contextmanager
def bounded(limit_gb: float) -> Iterator[Callable[[float], None]]:
    """Keep the cache within a limit while entries are written: trim it from time to time and at the end.

    Parameters
    ----------
    limit_gb : float
        See `trim`.

    Yields
    ------
    callable
        Call it with the number of bytes of each new entry.
    """
    since = 0.0

    def written(n_bytes: float) -> None:
        nonlocal since
        since += n_bytes / 1e9
        if since > 0.1 * limit_gb + 0.1:
            trim(limit_gb)
            since = 0.0

    try:
        yield written
    finally:
        trim(limit_gb)


def trim(limit_gb: float) -> None:
    """Delete the entries that are unused for longest, until the rest takes at most `limit_gb` (10⁹ bytes)."""
    now = time.time()
    files = []
    with suppress(OSError):  # the folder may not exist
        for path in folder().glob("*/*"):
            with suppress(OSError):  # another process may trim at the same time
                about = path.stat()
                if not path.name.startswith("."):
                    files.append((about.st_mtime, about.st_size, path))
                elif now - about.st_mtime > ABANDONED_S:
                    path.unlink()
    excess = sum(size for _, size, _ in files) - limit_gb * 1e9
    for _, size, path in sorted(files):
        if excess <= 0:
            break
        with suppress(OSError):
            path.unlink()
        excess -= size


def _path(key: str) -> Path:
    return folder() / key[:2] / f"{key}.npz"


def folder() -> Path:
    """Return the folder of the entries; each is in a folder below it."""
    return work_cache_path() / "entries"
