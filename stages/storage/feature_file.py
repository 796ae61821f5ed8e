"""features.h5: arrays of all segments, and the table of the segments."""

import io
import os
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from stages.core.errors import EncoreError
from stages.storage.hdf5 import (
    SCHEMA,
    NewFile,
    attribute,
    damage_in_one_line,
    open_checked,
    store,
    strings,
    value_of,
)

CHUNK_BYTES = 1 << 16  # of a compressed array, at most, unless one segment takes more


@dataclass(frozen=True)
class Axis:
    """An axis of an array. Features share an axis of the same name.

    Attributes
    ----------
    name : str
    values : ndarray of float64 or str (n,)
    """

    name: str
    values: NDArray[Any]


@dataclass(frozen=True)
class Array:
    """A feature as an array (n_segments, n_bins, n_frames).

    Attributes
    ----------
    dtype : numpy dtype
        As stored.
    unit : str
    bins, time : Axis
    settings : mapping
        How the feature was computed; plain values.
    """

    dtype: np.dtype[Any]
    unit: str
    bins: Axis
    time: Axis
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class SegmentTable:
    """The segments that the rows of every array stand for.

    Attributes
    ----------
    track_id : sequence of str (n_segments,)
    segment : sequence of int (n_segments,)
        Its number within the track.
    start : sequence of int (n_segments,)
        Its first sample in the track.
    label : sequence of str (n_segments,)
        Empty: unlabelled; stored as index -1.
    """

    track_id: Sequence[str]
    segment: Sequence[int]
    start: Sequence[int]
    label: Sequence[str]


@dataclass(frozen=True)
class Contents:
    """What a features file holds.

    Attributes
    ----------
    arrays : mapping of str to Array
    table : SegmentTable
    attributes : mapping
        What is common to all features; nested values are stored as JSON.
    variants : sequence of str
        Names of variants of the segments; each variant has the same arrays.
    """

    arrays: Mapping[str, Array]
    table: SegmentTable
    attributes: Mapping[str, Any]
    variants: Sequence[str] = ()


def create_features(path: Path, contents: Contents) -> "NewFeatures":
    """Create a features file at its full size; its rows are still to be written."""
    reserved = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    reserved.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    reserved.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    with NewFile(path) as file:
        datasets = _create_arrays(file, contents, lambda shape, itemsize: {"dcpl": reserved})
        slots = {
            place: _Slot(dataset.id.get_offset(), checks.id.get_offset(), dataset.dtype, dataset.shape)
            for place, (dataset, checks) in datasets.items()
        }
    return NewFeatures(path, slots)


def compress_features(plain: Path, path: Path, contents: Contents, compression: str) -> None:
    """Write a copy of a features file whose arrays are compressed by chunk.

    Parameters
    ----------
    plain, path : Path
        The file, and its copy.
    contents : Contents
        Of the file.
    compression : {'lzf', 'gzip'}
    """

    def storage(shape: tuple[int, ...], itemsize: int) -> dict[str, Any]:
        per_chunk = max(1, CHUNK_BYTES // (itemsize * int(np.prod(shape[1:]))))
        chunks = (min(per_chunk, shape[0]), *shape[1:])
        return {"chunks": chunks, "compression": compression, "shuffle": True}

    with Features(plain) as source, NewFile(path) as file:
        for place, (dataset, checks) in _create_arrays(file, contents, storage).items():
            for first in range(0, len(checks), dataset.chunks[0]):
                rows = slice(first, first + dataset.chunks[0])
                dataset[rows] = source.stored(place, rows)
            checks[:] = source.checks(place)
            file.check()


def _create_arrays(
    file: NewFile, contents: Contents, storage: Callable[[tuple[int, ...], int], dict[str, Any]]
) -> dict[str, tuple[h5py.Dataset, h5py.Dataset]]:
    """Write all but the features; return the empty dataset of each, and that of the checksums of its rows.

    Parameters
    ----------
    file : NewFile
    contents : Contents
    storage : callable
        Takes a shape and the bytes of an item; returns how such an array is stored.
    """
    table = contents.table
    labels = sorted({label for label in table.label if label})
    index = {label: i for i, label in enumerate(labels)} | {"": -1}
    file.attrs.update(schema=strings(SCHEMA), labels=strings(labels))
    for key, value in contents.attributes.items():
        file.attrs[key] = attribute(value)
    if contents.variants:
        file.attrs["variants"] = attribute(list(contents.variants))
    store(file, "track_id", strings(table.track_id))
    store(file, "segment", np.array(table.segment, np.int32))
    store(file, "start", np.array(table.start, np.int64))
    store(file, "label", np.array([index[label] for label in table.label], np.int32))
    datasets = {}
    for variant in (None, *contents.variants):
        for name, array in contents.arrays.items():
            shape = (len(table.track_id), len(array.bins.values), len(array.time.values))
            place = place_of(name, variant)
            how = storage(shape, array.dtype.itemsize)
            dataset = file.create_dataset(place, shape, array.dtype, **how)
            _describe(file, dataset, array)
            how = {} if "chunks" in how else how
            datasets[place] = dataset, file.create_dataset(_checks(place), shape[:1], np.uint32, **how)
    return datasets


def _describe(file: NewFile, dataset: h5py.Dataset, array: Array) -> None:
    """Give a dataset its unit, settings and axes."""
    dataset.attrs["unit"] = attribute(array.unit)
    for key, value in array.settings.items():
        dataset.attrs[key] = attribute(value)
    dataset.dims[0].label = "segment"
    for dimension, axis in ((1, array.bins), (2, array.time)):
        if axis.name not in file:
            is_text = axis.values.dtype.kind == "U"
            values = strings(axis.values.tolist()) if is_text else axis.values
            store(file, axis.name, values).make_scale(axis.name)
        dataset.dims[dimension].label = axis.name
        dataset.dims[dimension].attach_scale(file[axis.name])


class _Slot(NamedTuple):
    """Where an array and the checksums of its rows begin in a file, in bytes, and what its rows are."""

    offset: int
    checks: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]


class NewFeatures:
    """A features file whose rows may be written by many processes at once, each row by one of them.

    Attributes
    ----------
    path : Path
    """

    def __init__(self, path: Path, slots: Mapping[str, _Slot]):
        self.path = path
        self._slots = slots

    def write(self, first: int, values: Mapping[str, NDArray[Any]], variant: str | None = None) -> None:
        """Write rows of some features.

        Parameters
        ----------
        first : int
            Number of the first row.
        values : mapping of str to ndarray (n_rows, n_bins, n_frames)
            By feature.
        variant : str or None
            Name of the variant; None for the original music.

        Raises
        ------
        EncoreError
            If a number is too large for the array's dtype.
        OSError
            If something could not be written.
        """
        with self.path.open("r+b", buffering=0) as file:
            for name, array in values.items():
                slot = self._slots[place_of(name, variant)]
                rows = _as_stored(name, array, slot.dtype)
                _write_at(file, slot.offset + first * rows[0].nbytes, rows)
                # after the rows: what a killed process leaves is told by it
                _write_at(file, slot.checks + 4 * first, _checks_of_rows(rows))


def _as_stored(name: str, values: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    with np.errstate(over="ignore"):
        stored = np.ascontiguousarray(values, dtype)
    if dtype == np.float16 and not np.isfinite(stored).all():
        raise EncoreError(
            f"params.yaml: features.dtype is 'float16', which ends at 65504, but {name} reaches "
            f"{np.abs(values).max():.0f}; choose float32"
        )
    return stored


def _checks_of_rows(rows: NDArray[Any]) -> NDArray[np.uint32]:
    """Return the CRC-32 of each row; 0 stands for a row that is not written, so 1 for a CRC-32 of 0."""
    return np.array([zlib.crc32(row.data) or 1 for row in rows], np.uint32)


def _write_at(file: io.FileIO, offset: int, values: NDArray[Any]) -> None:
    rest = values.data.cast("B")
    try:
        while rest:
            n_written = os.pwrite(file.fileno(), rest, offset)
            rest, offset = rest[n_written:], offset + n_written
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(file.name)) from None


def place_of(name: str, variant: str | None) -> str:
    """Return the path of a dataset: variants have a group of their own, so that no reader mistakes them."""
    return name if variant is None else f"variants/{variant}/{name}"


def _checks(place: str) -> str:
    return f"crc32/{place}"


class Features:
    """A features file, open for reading.

    Attributes
    ----------
    labels : list of str
        Class names; `label` indexes them.
    track_id : ndarray of str (n_segments,)
    segment, label : ndarray of int (n_segments,)
        `label` is -1 for unlabelled tracks.
    attributes : dict
        The attributes that the file was created with.
    variants : list of str
        Names of the variants that the file has besides the original music.
    """

    def __init__(self, path: Path):
        self._file = open_checked(path)
        self._damage_in_one_line = partial(damage_in_one_line, path)
        self._datasets: dict[str, h5py.Dataset] = {}  # HDF5 takes longer to find one than to read a row
        self._read_checks: dict[str, NDArray[np.uint32]] = {}
        with self._damage_in_one_line():
            attributes = dict(self._file.attrs)
            self.labels = [label.decode() for label in attributes.pop("labels").tolist()]
            self.attributes = {key: value_of(value) for key, value in attributes.items()}
            self.variants: list[str] = self.attributes.get("variants", [])
            self.track_id = self._file["track_id"].asstr()[:]
            self.segment = self._file["segment"][:]
            self.label = self._file["label"][:]

    def __enter__(self) -> "Features":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    @property
    def names(self) -> list[str]:
        """Names of the features in the file."""
        with self._damage_in_one_line():
            return [name for name in self._file if getattr(self._file[name], "ndim", 0) == 3]

    def shape(self, name: str) -> tuple[int, int]:
        """Return (n_bins, n_frames) of a feature."""
        with self._damage_in_one_line():
            _, n_bins, n_frames = self._file[name].shape
        return int(n_bins), int(n_frames)

    def unit(self, name: str) -> str:
        """Return the unit of a feature."""
        with self._damage_in_one_line():
            return str(value_of(self._file[name].attrs["unit"]))

    def axes(self, name: str) -> tuple[Axis, Axis]:
        """Return bins and time of a feature."""
        with self._damage_in_one_line():
            names = [dimension.label for dimension in self._file[name].dims]
            bins, time = (Axis(name, self._axis(name)) for name in names[1:])
        return bins, time

    def _axis(self, name: str) -> NDArray[Any]:
        values = self._file[name]
        return np.asarray((values if values.dtype.kind == "f" else values.asstr())[:])

    def settings(self, name: str) -> dict[str, Any]:
        """Return how a feature was computed; see `Array.settings`."""
        with self._damage_in_one_line():
            attributes = self._file[name].attrs
            return {
                key: value_of(attributes[key])
                for key in attributes
                if key.islower() and key != "unit"  # attributes of HDF5 itself are in capitals
            }

    def read(self, name: str, rows: NDArray[np.intp], variants: Sequence[str] = ()) -> NDArray[Any]:
        """Read some segments of a feature.

        Parameters
        ----------
        name : str
        rows : ndarray of int (n,)
            Ascending. Rows from n_segments on are those of the first of `variants`, and so on.
        variants : sequence of str

        Returns
        -------
        ndarray of float32 or uint8 (n, n_bins, n_frames)
        """
        with self._damage_in_one_line():
            return self._read(name, rows, variants)

    def _read(self, name: str, rows: NDArray[np.intp], variants: Sequence[str]) -> NDArray[Any]:
        places = [place_of(name, variant) for variant in (None, *variants)]
        n_segments, *shape = self._dataset(places[0]).shape
        stored = np.empty((len(rows), *shape), self._dataset(places[0]).dtype)
        filled = 0
        for which, place in enumerate(places):
            first, stop = np.searchsorted(rows, [which * n_segments, (which + 1) * n_segments])
            for run in runs(rows[first:stop] - which * n_segments):
                part = stored[filled : filled + len(run)]
                self._fill(part, place, slice(run[0], run[-1] + 1))
                filled += len(run)
        return stored.astype(np.float32) if stored.dtype == np.float16 else stored

    def stored(self, place: str, rows: slice) -> NDArray[Any]:
        """Return neighbouring rows of an array as it is stored, (n_rows, n_bins, n_frames).

        Parameters
        ----------
        place : str
            See `place_of`.
        rows : slice
        """
        with self._damage_in_one_line():
            dataset = self._dataset(place)
            first, stop, _ = rows.indices(len(dataset))
            values = np.empty((stop - first, *dataset.shape[1:]), dataset.dtype)
            self._fill(values, place, slice(first, stop))
        return values

    def checks(self, place: str) -> NDArray[np.uint32]:
        """Return the CRC-32 of each row of an array (n_segments,); 0: the row has not been written."""
        if place not in self._read_checks:
            with self._damage_in_one_line():
                self._read_checks[place] = self._file[_checks(place)][:]
        return self._read_checks[place]

    def dtype(self, place: str) -> np.dtype[Any]:
        """Return how an array is stored."""
        with self._damage_in_one_line():
            dtype: np.dtype[Any] = self._dataset(place).dtype
        return dtype

    def _dataset(self, place: str) -> h5py.Dataset:
        if place not in self._datasets:
            self._datasets[place] = self._file[place]
        return self._datasets[place]

    def _fill(self, values: NDArray[Any], place: str, rows: slice) -> None:
        """Read rows of an array into `values`, and check them."""
        self._dataset(place).read_direct(values, np.s_[rows])
        if not np.array_equal(_checks_of_rows(values), self.checks(place)[rows]):
            raise OSError(f"checksum of {place}")


def runs(rows: NDArray[np.intp]) -> Iterable[NDArray[np.intp]]:
    """Cut ascending integers where they are not consecutive; HDF5 reads a run with one call."""
    if len(rows) == 0:
        return []
    return np.split(rows, np.flatnonzero(np.diff(rows) != 1) + 1)
