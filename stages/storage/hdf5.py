"""What audio.h5 and features.h5 have in common: how they are opened, checked and written.

A byte that has changed on the disk is noticed where it is read. HDF5 checks small arrays by chunk
(Fletcher-32) and, in its format of version 1.10, all its own structures but one: the heap of strings of
variable length, which can make it hang when damaged. So strings here have a fixed length. What it cannot
check has a CRC-32 of ours: features, whose rows many processes write, and music that stays in its files.
"""

import io
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from stages.core.errors import EncoreError, in_one_line
from stages.core.workspace import distrust

SCHEMA = "encore/4"
FORMAT = ("v110", "v110")  # the oldest of HDF5's formats that has checksums
CHUNK_VALUES = 1 << 16  # of a waveform and other rows of single values
CACHE_BYTES = 1 << 20  # of each array while a file is written


def read_arrays(content: bytes) -> dict[str, NDArray[Any]]:
    """Return all arrays of a file, by name, whatever its schema; checksums of music that lies elsewhere.

    Raises
    ------
    OSError
        If it is damaged; the message begins with the array's name, if it is known.
    """
    arrays = {}

    def collect(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            try:
                arrays[name] = item.attrs["crc32"] if item.external else item[()]
            except OSError as error:
                raise OSError(f"{name}: {error}") from None

    with h5py.File(io.BytesIO(content), "r") as file:
        file.visititems(collect)
    return arrays


def open_checked(path: Path) -> h5py.File:
    """Open a file of the schema for reading."""
    with damage_in_one_line(path):
        file = h5py.File(path, "r")
        schema = value_of(file.attrs["schema"]) if "schema" in file.attrs else None
    if schema != SCHEMA:
        file.close()
        raise EncoreError(f"{path} has the schema {schema}, not {SCHEMA}; delete it and run `dvc repro`")
    return file


@contextmanager
def damage_in_one_line(path: Path | str) -> Iterator[None]:
    """Turn what h5py raises for a damaged file into an `EncoreError`."""
    try:
        yield
    except FileNotFoundError:
        raise
    except (OSError, KeyError, RuntimeError, TypeError, ValueError) as error:
        reason = in_one_line(error)
        distrust(Path(path))
        raise EncoreError(
            f"{path}: damaged, or not readable ({reason}); delete it and run `dvc repro`"
        ) from None


class NewFile(h5py.File):
    """A new file; HDF5 never hears of an error of the disk, since it loses some and crashes over others.

    Parameters
    ----------
    path : Path
    """

    def __init__(self, path: Path):
        self._disk = _Disk(path, "w+")
        super().__init__(self._disk, "w", libver=FORMAT, rdcc_nbytes=CACHE_BYTES)

    def check(self) -> None:
        """Raise the first `OSError` that there was, if there was one."""
        if self._disk.error:
            raise OSError(*self._disk.error)

    def close(self) -> None:
        """Close it; the block that it manages then raises what `check` does."""
        super().close()
        self._disk.close()

    def __exit__(self, *_: object) -> None:
        self.close()
        self.check()


class _Disk(io.FileIO):
    """What a `NewFile` writes to: it keeps its first error, and from then on seems to write."""

    error: tuple[Any, ...] = ()  # the arguments of an OSError

    def write(self, data: Any) -> int:
        rest = memoryview(data)
        with self._errors_kept():
            while rest and not self.error:
                rest = rest[super().write(rest) :]
        return len(data)

    def truncate(self, size: int | None = None) -> int:
        with self._errors_kept():
            if not self.error:
                super().truncate(size)
        return size or 0

    @contextmanager
    def _errors_kept(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.error = (error.errno, error.strerror, str(self.name))


def store(file: h5py.File, name: str, values: NDArray[Any]) -> h5py.Dataset:
    """Write a list of single values as a dataset."""
    chunks = (min(CHUNK_VALUES, len(values)),)
    return file.create_dataset(name, data=values, chunks=chunks, fletcher32=True)


def strings(texts: str | Sequence[str]) -> NDArray[Any]:
    """Return one or more strings as HDF5 stores them in place."""
    encoded = np.array(texts.encode() if isinstance(texts, str) else [text.encode() for text in texts], bytes)
    return encoded.astype(h5py.string_dtype("utf-8", max(1, encoded.itemsize)))


def attribute(value: Any) -> Any:
    """Return a plain value, which may be nested, as an attribute of HDF5."""
    if isinstance(value, int | float):
        return value
    return strings(value if isinstance(value, str) else json.dumps(value))


def value_of(attribute: Any) -> Any:
    """Invert `attribute`."""
    if not isinstance(attribute, bytes):
        return attribute.item() if isinstance(attribute, np.generic) else attribute
    text = attribute.decode()
    return json.loads(text) if text == "null" or text.startswith(("[", "{")) else text
