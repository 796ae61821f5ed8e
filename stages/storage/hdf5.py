"""The HDF5 schema; the only module that opens HDF5."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from stages.core.errors import EncoreError

SCHEMA = "encore/2"
CHUNK_BYTES = 1 << 16  # at most, unless one segment takes more; small chunks suit random batches


def create_audio(path: Path, sample_rate_hz: int) -> h5py.File:
    """Create an audio file: datasets ``waveform/000000`` and so on, in the order of tracks.csv."""
    file = h5py.File(path, "w")
    file.attrs.update(schema=SCHEMA, sample_rate_hz=sample_rate_hz)
    return file


def append_waveform(file: h5py.File, row: int, track_id: str, samples: NDArray[Any], digest: str) -> None:
    """Write row `row` of tracks.csv.

    Parameters
    ----------
    file : h5py.File
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
    dataset = file.create_dataset(f"waveform/{row:06d}", data=samples)
    dataset.attrs.update(track_id=track_id, sha256=digest)


def read_sample_rate_hz(path: Path) -> int:
    """Return the sample rate of an audio file."""
    with open_audio(path) as file:
        return int(file.attrs["sample_rate_hz"])


def read_digest(file: h5py.File, row: int) -> str:
    """Return the SHA-256 of row `row` of tracks.csv as float32."""
    return str(file[f"waveform/{row:06d}"].attrs["sha256"])


def read_waveform(file: h5py.File, row: int, start: int = 0, stop: int | None = None) -> NDArray[np.float32]:
    """Read samples `start` to `stop` of row `row` of tracks.csv as float32 (n_samples,), full scale 1."""
    return at_full_scale(file[f"waveform/{row:06d}"][start:stop])


def at_full_scale(samples: NDArray[Any]) -> NDArray[np.float32]:
    """Return int16 samples as float32 with full scale 1; float32 samples stay as they are."""
    if samples.dtype == np.int16:
        return samples.astype(np.float32) / np.float32(32768)
    return samples


def open_audio(path: Path) -> h5py.File:
    """Open an audio file for `read_waveform`."""
    return _open(path)


def _open(path: Path) -> h5py.File:
    file = h5py.File(path, "r")
    if (schema := file.attrs.get("schema")) != SCHEMA:
        file.close()
        raise EncoreError(f"{path} has the schema {schema}, not {SCHEMA}; run `dvc repro` to make it again")
    return file


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


class NewFeatures:
    """A new features file, written feature by feature from the first row to the last.

    Parameters
    ----------
    path : Path
        File to create.
    arrays : mapping of str to Array
    table : SegmentTable
    attributes : mapping
        What is common to all features; nested values are stored as JSON.
    compression : {'none', 'lzf', 'gzip'}
    variants : sequence of str
        Names of variants of the segments; each variant has the same arrays.
    """

    def __init__(
        self,
        path: Path,
        arrays: Mapping[str, Array],
        table: SegmentTable,
        attributes: Mapping[str, Any],
        compression: str,
        variants: Sequence[str] = (),
    ):
        labels = sorted({label for label in table.label if label})
        index = {label: i for i, label in enumerate(labels)} | {"": -1}
        self._file = h5py.File(path, "w")
        self._file.attrs.update(schema=SCHEMA, labels=np.array(labels, dtype=h5py.string_dtype()))
        for key, value in attributes.items():
            self._file.attrs[key] = _attribute(value)
        if variants:
            self._file.attrs["variants"] = _attribute(list(variants))
        n_segments = len(table.track_id)
        self._file["track_id"] = np.array(table.track_id, dtype=h5py.string_dtype())
        self._file["segment"] = np.array(table.segment, np.int32)
        self._file["start"] = np.array(table.start, np.int64)
        self._file["label"] = np.fromiter((index[label] for label in table.label), np.int32, n_segments)
        for variant in (None, *variants):
            for name, array in arrays.items():
                self._create(_place(name, variant), array, n_segments, compression)

    def _create(self, name: str, array: Array, n_segments: int, compression: str) -> None:
        shape = (n_segments, len(array.bins.values), len(array.time.values))
        how: dict[str, Any] = {}
        if compression != "none":  # else contiguous, which is the fastest to read in any order
            per_chunk = max(1, CHUNK_BYTES // (array.dtype.itemsize * shape[1] * shape[2]))
            how = {
                "compression": compression,
                "shuffle": True,
                "chunks": (min(per_chunk, n_segments), *shape[1:]),
            }
        dataset = self._file.create_dataset(name, shape, array.dtype, **how)
        dataset.attrs["unit"] = array.unit
        for key, value in array.settings.items():
            dataset.attrs[key] = _attribute(value)
        dataset.dims[0].label = "segment"
        for dimension, axis in ((1, array.bins), (2, array.time)):
            if axis.name not in self._file:
                self._file[axis.name] = axis.values
                self._file[axis.name].make_scale(axis.name)
            dataset.dims[dimension].label = axis.name
            dataset.dims[dimension].attach_scale(self._file[axis.name])

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
        """
        dataset = self._file[_place(name, variant)]
        with np.errstate(over="ignore"):
            stored = values.astype(dataset.dtype, copy=False)
        if dataset.dtype == np.float16 and not np.isfinite(stored).all():
            raise EncoreError(
                f"params.yaml: features.dtype is 'float16', which ends at 65504, but {name} reaches "
                f"{np.abs(values).max():.0f}; choose float32"
            )
        dataset[first : first + len(stored)] = stored

    def __enter__(self) -> "NewFeatures":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def _place(name: str, variant: str | None) -> str:
    """Return the path of a dataset: variants have a group of their own, so that no reader mistakes them."""
    return name if variant is None else f"variants/{variant}/{name}"


def _attribute(value: Any) -> Any:
    return value if isinstance(value, str | int | float) else json.dumps(value)


def _value(attribute: Any) -> Any:
    """Invert `_attribute`."""
    if isinstance(attribute, str) and (attribute == "null" or attribute.startswith(("[", "{"))):
        return json.loads(attribute)
    return attribute.item() if isinstance(attribute, np.generic) else attribute


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
        attributes = dict(self._file.attrs)
        self.labels = [str(label) for label in attributes.pop("labels")]
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
        return [name for name, value in self._file.items() if getattr(value, "ndim", 0) == 3]

    def shape(self, name: str) -> tuple[int, int]:
        """Return (n_bins, n_frames) of a feature."""
        _, n_bins, n_frames = self._file[name].shape
        return int(n_bins), int(n_frames)

    def unit(self, name: str) -> str:
        """Return the unit of a feature."""
        return str(self._file[name].attrs["unit"])

    def settings(self, name: str) -> dict[str, Any]:
        """Return how a feature was computed; see `Array.settings`."""
        return {
            key: _value(value)
            for key, value in self._file[name].attrs.items()
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
