"""The content-addressed part of the work cache: results that survive a kill and are shared by runs.

A piece is named by everything that it depends on, its code included, so it is never stale; it may be
deleted at any time and is then made again.
"""

import hashlib
import json
import os
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stages.closure import import_closure
from stages.workspace import work_cache

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ABANDONED_S = 3600.0  # an unfinished file of this age belongs to a process that is gone


def code_key(module: str, packages: Sequence[str]) -> str:
    """A digest of the code of `module`, of all that it imports, and of the versions of `packages`."""
    root = Path(__file__).parents[1]
    parts = [(path.as_posix(), (root / path).read_text("utf-8")) for path in import_closure(module, root)]
    return piece_key(parts, [(package, version(package)) for package in packages])


def piece_key(*parts: Any) -> str:
    """A digest of `parts`, which must be plain values."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def save(key: str, arrays: "Mapping[str, NDArray[Any]]", about: Mapping[str, Any]) -> None:
    """Keep `arrays` and the plain values `about` under `key`; it is there whole or not at all."""
    from safetensors.numpy import save_file

    path = _path(key)
    path.parent.mkdir(exist_ok=True)
    unfinished = path.with_name(f".{key}.{os.getpid()}")
    save_file(dict(arrays), unfinished, {"about": json.dumps(about)})
    unfinished.replace(path)


def load(key: str, names: Sequence[str]) -> "tuple[dict[str, NDArray[Any]], dict[str, Any]] | None":
    """Those of `names` that a piece has, and its plain values; None if the piece is not there."""
    from safetensors import SafetensorError, safe_open

    path = _path(key)
    try:
        with safe_open(path, framework="np") as file:
            about = json.loads(file.metadata()["about"])
            arrays: dict[str, NDArray[np.generic]] = {
                name: file.get_tensor(name)
                for name in names
                if name in file.keys()  # noqa: SIM118
            }
        path.touch()  # the oldest go first
    except FileNotFoundError:
        return None
    except SafetensorError:  # damaged on disk
        path.unlink(missing_ok=True)
        return None
    return arrays, about


def trim(limit_gb: float) -> None:
    """Delete the pieces unused for longest until the others take at most `limit_gb` (10⁹ bytes)."""
    now = time.time()
    files = []
    for path in work_cache("pieces").glob("*/*"):
        try:
            about = path.stat()
        except FileNotFoundError:  # another process trims as well
            continue
        if not path.name.startswith("."):
            files.append((about.st_mtime, about.st_size, path))
        elif now - about.st_mtime > ABANDONED_S:
            path.unlink(missing_ok=True)
    excess = sum(size for _, size, _ in files) - limit_gb * 1e9
    for _, size, path in sorted(files):
        if excess <= 0:
            break
        path.unlink(missing_ok=True)
        excess -= size


def _path(key: str) -> Path:
    return work_cache("pieces") / key[:2] / f"{key}.safetensors"
