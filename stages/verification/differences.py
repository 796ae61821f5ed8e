"""Where two versions of an output differ: which arrays, columns or keys, how many values, and by how much."""

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.core.params import flat
from stages.storage import hdf5

MOST = 8  # lines about one file


def differences(name: PurePath, recorded: bytes, found: bytes) -> list[str]:
    """Describe where a file differs from the recorded one, in a few lines.

    Parameters
    ----------
    name : PurePath
        Its suffix says what is in it: HDF5, safetensors, CSV, JSON; anything else is compared by byte.
    recorded, found : bytes
        Not equal.
    """
    read = READERS.get(name.suffix)
    lines: list[str] = []
    if read is not None:
        try:
            lines = [*_of_arrays(read(recorded), read(found))]
        except Exception as error:  # a damaged file may raise anything, in any of four libraries
            lines = [f"cannot be read: {' '.join(str(error).split())}"]
    if not lines:
        lines = [_of_bytes(recorded, found)]
    more = [f"and {len(lines) - MOST} more"] if len(lines) > MOST else []
    return lines[:MOST] + more


def _of_arrays(recorded: Mapping[str, NDArray[Any]], found: Mapping[str, NDArray[Any]]) -> Iterator[str]:
    for name in sorted({*recorded, *found}):
        if name not in found or name not in recorded:
            yield f"{name}: {'missing' if name in recorded else 'not recorded'}"
            continue
        before, after = recorded[name], found[name]
        if before.shape != after.shape:
            yield f"{name}: shape {after.shape}, recorded {before.shape}"
            continue
        are_numbers = before.dtype.kind in "iuf" and after.dtype.kind in "iuf"
        differ = ~((before == after) | (_nan(before) & _nan(after))) if are_numbers else before != after
        if n := int(np.count_nonzero(differ)):
            most = ""
            if are_numbers:
                away = np.abs(before[differ].astype(np.float64) - after[differ].astype(np.float64))
                most = f", by at most {np.nanmax(away):.2g}" if np.isfinite(away).any() else ""
            of = f" of {before.size:,} values" if before.size > 1 else ""
            yield f"{name}: {n:,}{of} differ{'s' if n == 1 else ''}{most}"


def _nan(values: NDArray[Any]) -> NDArray[np.bool_]:
    return np.isnan(values) if values.dtype.kind == "f" else np.zeros(values.shape, bool)


def _of_bytes(recorded: bytes, found: bytes) -> str:
    if len(recorded) != len(found):
        return f"{len(found):,} bytes, recorded {len(recorded):,}"
    before, after = (np.frombuffer(content, np.uint8) for content in (recorded, found))
    places = np.flatnonzero(before != after)
    return f"{len(places):,} of {len(found):,} bytes differ, the first at {places[0]:,}"


def _csv(content: bytes) -> dict[str, NDArray[Any]]:
    rows = [*csv.reader(io.StringIO(content.decode()))]
    columns = zip(*rows[1:], strict=True) if len(rows) > 1 else [()] * len(rows[0])
    return {f"column {name}": _values(column) for name, column in zip(rows[0], columns, strict=True)}


def _json(content: bytes) -> dict[str, NDArray[Any]]:
    return {key: _values([value]) for key, value in flat(json.loads(content)).items()}


def _values(values: Sequence[Any]) -> NDArray[Any]:
    """Return numbers as numbers, anything else as text."""
    try:
        return np.array([float(value) for value in values])
    except (TypeError, ValueError):
        return np.array([str(value) for value in values])


def _safetensors(content: bytes) -> dict[str, NDArray[Any]]:
    from safetensors.numpy import load

    return load(content)


READERS: Mapping[str, Callable[[bytes], Mapping[str, NDArray[Any]]]] = {
    ".csv": _csv,
    ".h5": hdf5.read_arrays,
    ".json": _json,
    ".safetensors": _safetensors,
}
