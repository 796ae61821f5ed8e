"""Rows of features that earlier runs have computed.

The work cache has a link to each features file, made when the file is created, and a list of what its rows
are computed from. So a file costs no room while DVC links to it, too, and what a killed run has computed
counts: a row without its checksum was not finished. Where DVC copies outputs, the link of a complete file
would keep a third copy; only the list stays, and DVC's copy is read.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stages.core.errors import EncoreError
from stages.core.workspace import cached_output, dvc_copies_outputs, replaced
from stages.storage import cache
from stages.storage.feature_file import Features

OUTPUT = Path("data/features/features.h5")


class Rows(NamedTuple):
    """Neighbouring rows of an array in a features file.

    Attributes
    ----------
    place : str
        See `stages.storage.feature_file.place_of`.
    first, stop : int
    """

    place: str
    first: int
    stop: int


class Known:
    """What is in the features files that the work cache has."""

    def __init__(self) -> None:
        self._where: dict[str, list[tuple[Path, Rows]]] = {}
        self._files: dict[Path, Features | None] = {}
        self._copied = cached_output(OUTPUT)
        for listed in sorted(_folder().glob("*.json")):
            with suppress(
                OSError, ValueError, TypeError, KeyError
            ):  # another process may trim, or the disk has damaged it
                content = json.loads(listed.read_bytes())
                path = self._file_of(listed, content)
                if path and _name(content["rows"]) == listed.stem:
                    for key, *rows in content["rows"]:
                        self._where.setdefault(key, []).append((path, Rows(*rows)))

    def _file_of(self, listed: Path, content: Mapping[str, Any]) -> Path | None:
        """Return the file that a list describes: the link to it, or the copy that DVC has of the output."""
        linked = listed.with_suffix(".h5")
        if linked.exists() or not self._copied:
            return linked
        with suppress(OSError, EncoreError, KeyError):
            file = self._open(self._copied)
            if file and _digest(file, content["rows"]) == content["checks"]:
                return self._copied
        return None

    def has(self, key: str, dtype: np.dtype[Any]) -> bool:
        """Return whether there are rows that are computed from `key`, and can be stored as `dtype`."""
        return self._find(key, dtype) is not None

    def read(self, key: str, dtype: np.dtype[Any]) -> NDArray[Any] | None:
        """Return those rows, (n_rows, n_bins, n_frames); None if there are none, or they are damaged."""
        while found := self._find(key, dtype):
            file, rows = found
            with suppress(EncoreError):
                return file.stored(rows.place, slice(rows.first, rows.stop))
            self._where[key].pop(0)
        return None

    def _find(self, key: str, dtype: np.dtype[Any]) -> tuple[Features, Rows] | None:
        places = self._where.get(key, [])
        while places:
            path, rows = places[0]
            with suppress(EncoreError):
                file = self._open(path)
                if file and file.dtype(rows.place) in (dtype, np.float32) and _are_written(file, rows):
                    return file, rows
            places.pop(0)
        return None

    def _open(self, path: Path) -> Features | None:
        if path not in self._files:
            self._files[path] = None
            with suppress(OSError, EncoreError):
                self._files[path] = Features(path)
        return self._files[path]


def _are_written(file: Features, rows: Rows) -> bool:
    return bool(file.checks(rows.place)[rows.first : rows.stop].all())


def link(path: Path, keys: Mapping[str, Rows]) -> Path:
    """Have the work cache know a features file whose rows are, or will be, computed from `keys`.

    Returns
    -------
    Path
        Of the list, for `complete`.
    """
    rows = [[key, *rows] for key, rows in keys.items()]
    listed = _folder() / f"{_name(rows)}.json"
    with suppress(OSError):  # the cache only saves time
        _folder().mkdir(parents=True, exist_ok=True)
        with replaced(listed.with_suffix(".h5")) as unfinished:
            os.link(path, unfinished)
        _write_list(listed, rows, "")
    return listed


def complete(path: Path, listed: Path) -> None:
    """Keep only the list of a features file if DVC will copy the file."""
    if not dvc_copies_outputs():
        return
    with suppress(OSError, ValueError):
        rows = json.loads(listed.read_bytes())["rows"]
        with Features(path) as file:
            checks = _digest(file, rows)
        _write_list(listed, rows, checks)
        listed.with_suffix(".h5").unlink()


def _write_list(listed: Path, rows: Sequence[Any], checks: str) -> None:
    with replaced(listed) as unfinished:
        unfinished.write_text(json.dumps({"rows": rows, "checks": checks}), "utf-8")


def _digest(file: Features, rows: Iterable[Sequence[Any]]) -> str:
    """Return a digest of the checksums of all rows of the arrays that a list names."""
    places = sorted({place for _, place, *_ in rows})
    return hashlib.sha256(b"".join(file.checks(place).tobytes() for place in places)).hexdigest()


def _name(rows: Sequence[Any]) -> str:
    """Return the name of a list and its file; it tells a list that is damaged."""
    return cache.entry_key(rows)[:32]


def _folder() -> Path:
    return cache.folder() / "features"
