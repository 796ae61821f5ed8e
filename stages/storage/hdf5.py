"""The HDF5 schema; the only module that opens HDF5.

A byte that has changed on the disk is noticed where it is read. HDF5 checks arrays by chunk
(Fletcher-32) and, in its format of version 1.10, all its own structures but one: the heap of strings of
variable length, which can make it hang when damaged. So strings here have a fixed length.
"""

import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from stages.core.errors import EncoreError

SCHEMA = "encore/3"
FORMAT = ("v110", "v110")  # the oldest of HDF5's formats that has checksums
CHUNK_BYTES = 1 << 16  # at most, unless one segment takes more; small chunks suit random batches
CHUNK_VALUES = 1 << 16  # of a waveform and other rows of single values
CACHE_BYTES = 1 << 20  # of each array while a file is written


@contextmanager
def create_audio(path: Path, sample_rate_hz: int) -> Iterator["NewFile"]:
    """Create an audio file: datasets ``waveform/000000`` and so on, in the order of tracks.csv."""
    with NewFile(path) as file:
        file.attrs.update(schema=_strings(SCHEMA), sample_rate_hz=sample_rate_hz)
        yield file


def append_waveform(file: "NewFile", row: int, track_id: str, samples: NDArray[Any], digest: str) -> None:
    """Write row `row` of tracks.csv.

    Parameters
    ----------
    file : NewFile
        From `create_audio`.
    row : int
        Row of tracks.csv, from 0.
    track_id : str
        Stored as an attribute, so that the file can be read without its table.
    samples : ndarray of int16 or float32 (n_samples,)
        int16 at full scale 32768, float32 at full scale 1.
    digest : str
        SHA-256 of the samples as float32; it identifies them without reading them.
    """
    dataset = _store(file, f"waveform/{row:06d}", samples)
    dataset.attrs.update(track_id=_strings(track_id), sha256=_strings(digest))
    file.check()


def read_sample_rate_hz(path: Path) -> int:
    """Return the sample rate of an audio file."""
    with open_audio(path) as file, _damage_in_one_line(path):
        return int(file.attrs["sample_rate_hz"])


def read_digest(file: h5py.File, row: int) -> str:
    """Return the SHA-256 of row `row` of tracks.csv as float32."""
    with _damage_in_one_line(file.filename):
        return str(_value(file[f"waveform/{row:06d}"].attrs["sha256"]))


def read_waveform(file: h5py.File, row: int, start: int = 0, stop: int | None = None) -> NDArray[np.float32]:
    """Read samples `start` to `stop` of row `row` of tracks.csv as float32 (n_samples,), full scale 1."""
    with _damage_in_one_line(file.filename):
        return at_full_scale(file[f"waveform/{row:06d}"][start:stop])


def at_full_scale(samples: NDArray[Any]) -> NDArray[np.float32]:
    """Return int16 samples as float32 with full scale 1; float32 samples stay as they are."""
    if samples.dtype == np.int16:
        return samples.astype(np.float32) / np.float32(32768)
    return samples


def read_arrays(content: bytes) -> dict[str, NDArray[Any]]:
    """Return all arrays of a file, by name, whatever its schema.

    Raises
    ------
    OSError
        If it is damaged; the message begins with the array's name, if it is known.
    """
    arrays = {}

    def collect(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            try:
                arrays[name] = item[()]
            except OSError as error:
                raise OSError(f"{name}: {error}") from None

    with h5py.File(io.BytesIO(content), "r") as file:
        file.visititems(collect)
    return arrays


def open_audio(path: Path) -> h5py.File:
    """Open an audio file for `read_waveform`."""
    return _open(path)


def _open(path: Path) -> h5py.File:
    with _damage_in_one_line(path):
        file = h5py.File(path, "r")
        schema = _value(file.attrs["schema"]) if "schema" in file.attrs else None
    if schema != SCHEMA:
        file.close()
        raise EncoreError(f"{path} has the schema {schema}, not {SCHEMA}; delete it and run `dvc repro`")
    return file


@contextmanager
def _damage_in_one_line(path: Path | str) -> Iterator[None]:
    """Turn what h5py raises for a damaged file into an `EncoreError`."""
    try:
        yield
    except FileNotFoundError:
        raise
    except (OSError, KeyError, RuntimeError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
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


def _store(file: h5py.File, name: str, values: NDArray[Any]) -> h5py.Dataset:
    chunks = (min(CHUNK_VALUES, len(values)),)
    return file.create_dataset(name, data=values, chunks=chunks, fletcher32=True)


@dataclass(frozen=True)
class Axis:
    """An axis of an array. Features share an axis of the same name.

    Attributes
    ----------
    name : str
    values : ndarray (n,)
    """

    name: str
    values: NDArray[np.float64]


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


@contextmanager
def create_features(
    path: Path,
    arrays: Mapping[str, Array],
    table: SegmentTable,
    attributes: Mapping[str, Any],
    compression: str,
    variants: Sequence[str] = (),
) -> Iterator["NewFeatures"]:
    """Create a features file.

    Parameters
    ----------
    path : Path
    arrays : mapping of str to Array
    table : SegmentTable
    attributes : mapping
        What is common to all features; nested values are stored as JSON.
    compression : {'none', 'lzf', 'gzip'}
    variants : sequence of str
        Names of variants of the segments; each variant has the same arrays.
    """
    labels = sorted({label for label in table.label if label})
    index = {label: i for i, label in enumerate(labels)} | {"": -1}
    with NewFile(path) as file:
        file.attrs.update(schema=_strings(SCHEMA), labels=_strings(labels))
        for key, value in attributes.items():
            file.attrs[key] = _attribute(value)
        if variants:
            file.attrs["variants"] = _attribute(list(variants))
        _store(file, "track_id", _strings(table.track_id))
        _store(file, "segment", np.array(table.segment, np.int32))
        _store(file, "start", np.array(table.start, np.int64))
        _store(file, "label", np.array([index[label] for label in table.label], np.int32))
        places = [
            (_place(name, variant), array) for variant in (None, *variants) for name, array in arrays.items()
        ]
        yield NewFeatures(
            file,
            {
                place: _create_array(file, place, array, len(table.track_id), compression)
                for place, array in places
            },
        )


def _create_array(
    file: h5py.File, name: str, array: Array, n_segments: int, compression: str
) -> h5py.Dataset:
    shape = (n_segments, len(array.bins.values), len(array.time.values))
    per_chunk = max(1, CHUNK_BYTES // (array.dtype.itemsize * shape[1] * shape[2]))
    chunks = (min(per_chunk, n_segments), *shape[1:])
    smaller = {} if compression == "none" else {"compression": compression, "shuffle": True}
    dataset = file.create_dataset(name, shape, array.dtype, chunks=chunks, fletcher32=True, **smaller)
    dataset.attrs["unit"] = _attribute(array.unit)
    for key, value in array.settings.items():
        dataset.attrs[key] = _attribute(value)
    dataset.dims[0].label = "segment"
    for dimension, axis in ((1, array.bins), (2, array.time)):
        if axis.name not in file:
            _store(file, axis.name, axis.values).make_scale(axis.name)
        dataset.dims[dimension].label = axis.name
        dataset.dims[dimension].attach_scale(file[axis.name])
    return dataset


class NewFeatures:
    """The arrays of a new features file, written feature by feature from the first row to the last."""

    def __init__(self, file: NewFile, arrays: Mapping[str, h5py.Dataset]):
        self._file = file
        self._arrays = arrays  # open, so that HDF5 writes each chunk once

    def write(self, name: str, first: int, values: NDArray[Any], variant: str | None = None) -> None:
        """Write rows of a feature.

        Parameters
        ----------
        name : str
        first : int
            Number of the first row.
        values : ndarray (n_rows, n_bins, n_frames)
        variant : str or None
            Name of the variant; None for the original music.

        Raises
        ------
        EncoreError
            If a number is too large for the array's dtype.
        OSError
            If something could not be written.
        """
        dataset = self._arrays[_place(name, variant)]
        with np.errstate(over="ignore"):
            stored = values.astype(dataset.dtype, copy=False)
        if dataset.dtype == np.float16 and not np.isfinite(stored).all():
            raise EncoreError(
                f"params.yaml: features.dtype is 'float16', which ends at 65504, but {name} reaches "
                f"{np.abs(values).max():.0f}; choose float32"
            )
        dataset[first : first + len(stored)] = stored
        self._file.check()


def _place(name: str, variant: str | None) -> str:
    """Return the path of a dataset: variants have a group of their own, so that no reader mistakes them."""
    return name if variant is None else f"variants/{variant}/{name}"


def _strings(texts: str | Sequence[str]) -> NDArray[Any]:
    """Return one or more strings as HDF5 stores them in place."""
    encoded = np.array(texts.encode() if isinstance(texts, str) else [text.encode() for text in texts], bytes)
    return encoded.astype(h5py.string_dtype("utf-8", max(1, encoded.itemsize)))


def _attribute(value: Any) -> Any:
    if isinstance(value, int | float):
        return value
    return _strings(value if isinstance(value, str) else json.dumps(value))


def _value(attribute: Any) -> Any:
    """Invert `_attribute`."""
    if not isinstance(attribute, bytes):
        return attribute.item() if isinstance(attribute, np.generic) else attribute
    text = attribute.decode()
    return json.loads(text) if text == "null" or text.startswith(("[", "{")) else text


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
        self._file = _open(path)
        self._damage_in_one_line = partial(_damage_in_one_line, path)
        with self._damage_in_one_line():
            attributes = dict(self._file.attrs)
            self.labels = [label.decode() for label in attributes.pop("labels").tolist()]
            self.attributes = {key: _value(value) for key, value in attributes.items()}
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
            return str(_value(self._file[name].attrs["unit"]))

    def settings(self, name: str) -> dict[str, Any]:
        """Return how a feature was computed; see `Array.settings`."""
        with self._damage_in_one_line():
            attributes = self._file[name].attrs
            return {
                key: _value(attributes[key])
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
        datasets = [self._file[_place(name, variant)] for variant in (None, *variants)]
        n_segments, *shape = datasets[0].shape
        dtype = np.float32 if np.issubdtype(datasets[0].dtype, np.floating) else datasets[0].dtype
        values = np.empty((len(rows), *shape), dtype)
        filled = 0
        for which, dataset in enumerate(datasets):
            first, stop = np.searchsorted(rows, [which * n_segments, (which + 1) * n_segments])
            for run in runs(rows[first:stop] - which * n_segments):
                dataset.read_direct(values, np.s_[run[0] : run[-1] + 1], np.s_[filled : filled + len(run)])
                filled += len(run)
        return values


def runs(rows: NDArray[np.intp]) -> Iterable[NDArray[np.intp]]:
    """Cut ascending integers where they are not consecutive; HDF5 reads a run with one call."""
    if len(rows) == 0:
        return []
    return np.split(rows, np.flatnonzero(np.diff(rows) != 1) + 1)
