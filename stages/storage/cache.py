"""The content-addressed part of the work cache: results that survive a kill and are shared by runs.

A piece is named by everything that it depends on, its code included, so it is never stale. The cache is
there for speed alone: a piece that cannot be kept, or is gone or damaged, is made again.
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

from stages.core.workspace import work_cache_path
from stages.storage.closure import import_closure

if TYPE_CHECKING:
    from numpy.typing import NDArray

SMALL = 1 << 25  # bytes that may stand in memory twice
ABANDONED_S = 3600.0  # an unfinished file of this age belongs to a process that is gone


def code_key(module: str, packages: Sequence[str]) -> str:
    """A digest of the code of `module`, of all that it imports, and of the versions of `packages`."""
    root = Path(__file__).parents[2]
    parts = [(path.as_posix(), (root / path).read_text("utf-8")) for path in import_closure(module, root)]
    return piece_key(parts, [(package, version(package)) for package in packages])


def piece_key(*parts: Any) -> str:
    """A digest of `parts`, which must be plain values."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def save(key: str, arrays: "Mapping[str, NDArray[Any]]", about: Mapping[str, Any]) -> None:
    """Keep `arrays` and the plain values `about` under `key`, whole or, for want of room, not at all."""
    import numpy as np

    record = json.dumps({"about": about, "arrays": list(arrays)})
    with suppress(OSError):
        path = _path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f".{key}.{os.getpid()}")
        try:
            with unfinished.open("wb") as file:
                # small ones in one go, since threads wait for each other at every little write
                is_small = sum(array.nbytes for array in arrays.values()) < SMALL
                buffer = io.BytesIO() if is_small else file
                np.savez(buffer, allow_pickle=False, record=np.array(record), **arrays)
                if isinstance(buffer, io.BytesIO):
                    file.write(buffer.getbuffer())
            unfinished.replace(path)
        except OSError:
            unfinished.unlink()


def load(key: str, names: Sequence[str]) -> "tuple[dict[str, NDArray[Any]], dict[str, Any]] | None":
    """Those of `names` that a piece has, and its plain values; None if there is no such piece."""
    import numpy as np

    try:
        with np.load(_path(key)) as file:  # which compares checksums
            record = json.loads(str(file["record"]))
            arrays = {name: file[name] for name in names if name in record["arrays"]}
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, EOFError, NotImplementedError, zipfile.BadZipFile):
        with suppress(OSError):
            _path(key).unlink()
        return None
    keep(key)
    return arrays, record["about"]


def keep(key: str) -> bool:
    """Whether there is such a piece; if so, it is now the last one to go."""
    try:
        os.utime(_path(key))
    except OSError:
        return False
    return True


@contextmanager
def bounded(limit_gb: float) -> Iterator[Callable[[float], None]]:
    """Keep to a limit while pieces are written, here or elsewhere: trim now and then, and at the end.

    Parameters
    ----------
    limit_gb : float
        See `trim`.

    Yields
    ------
    callable
        To be told of each piece's bytes.
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
    """Delete the pieces unused for longest until the others take at most `limit_gb` (10⁹ bytes)."""
    now = time.time()
    files = []
    with suppress(OSError):  # there may be no such folder
        for path in _folder().glob("*/*"):
            with suppress(OSError):  # another process trims as well
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
    return _folder() / key[:2] / f"{key}.npz"


def _folder() -> Path:
    return work_cache_path() / "pieces"
