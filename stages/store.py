"""The HDF5 schema; the only module that opens HDF5."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

SCHEMA = "encore/1"


def create_audio(path: Path, sample_rate_hz: int) -> h5py.File:
    """Create an audio file: datasets ``waveform/000000`` and so on, in the order of tracks.csv."""
    file = h5py.File(path, "w")
    file.attrs.update(schema=SCHEMA, sample_rate_hz=sample_rate_hz)
    return file


def append_waveform(file: h5py.File, row: int, track_id: str, samples: NDArray[Any]) -> None:
    """Write row `row` of tracks.csv.

    Parameters
    ----------
    file : h5py.File
        From `create_audio`.
    row : int
        Row of tracks.csv, from 0.
    track_id : str
        Kept as an attribute, so that the file reads without its table.
    samples : ndarray of int16 or float32 (n_samples,)
        int16 at full scale 32768, float32 at full scale 1.
    """
    dataset = file.create_dataset(f"waveform/{row:06d}", data=samples)
    dataset.attrs["track_id"] = track_id


def read_sample_rate_hz(path: Path) -> int:
    """The sample rate of an audio file."""
    with h5py.File(path, "r") as file:
        return int(file.attrs["sample_rate_hz"])


def read_waveform(file: h5py.File, row: int) -> NDArray[np.float32]:
    """Row `row` of tracks.csv as float32 (n_samples,) with full scale 1."""
    samples: NDArray[Any] = file[f"waveform/{row:06d}"][:]
    if samples.dtype == np.int16:
        return samples.astype(np.float32) / np.float32(32768)
    return samples


def open_audio(path: Path) -> h5py.File:
    """Open an audio file for `read_waveform`."""
    return h5py.File(path, "r")


def create_features(
    path: Path,
    shapes: Mapping[str, tuple[int, int]],
    scales: Mapping[str, tuple[str, NDArray[np.float64]]],
    time_s: NDArray[np.float64],
    rows: Sequence[tuple[str, int, str]],
    attributes: Mapping[str, Any],
) -> h5py.File:
    """Create a features file whose arrays are filled afterwards, segment by segment.

    Parameters
    ----------
    path : Path
        File to create.
    shapes : mapping of str to (n_bins, n_frames)
        Each feature becomes a float32 dataset (n_segments, n_bins, n_frames).
    scales : mapping of str to (str, ndarray)
        For each feature the name and the values of its frequency axis.
    time_s : ndarray (n_frames,)
        Centre of each frame.
    rows : sequence of (track_id, segment, label)
        One for each segment; an empty label is stored as index -1.
    attributes : mapping
        Everything that was set when the features were made; nested values are stored as JSON.
    """
    labels = sorted({label for _, _, label in rows if label})
    index = {label: i for i, label in enumerate(labels)} | {"": -1}
    file = h5py.File(path, "w")
    file.attrs.update(schema=SCHEMA, labels=np.array(labels, dtype=h5py.string_dtype()))
    for key, value in attributes.items():
        file.attrs[key] = value if isinstance(value, str | int | float) else json.dumps(value)
    file["track_id"] = np.array([row[0] for row in rows], dtype=h5py.string_dtype())
    file["segment"] = np.array([row[1] for row in rows], dtype=np.int32)
    file["label"] = np.array([index[row[2]] for row in rows], dtype=np.int32)
    file["time_s"] = time_s
    file["time_s"].make_scale("time_s")
    for name, (n_bins, n_frames) in shapes.items():
        dataset = file.create_dataset(name, (len(rows), n_bins, n_frames), np.float32)
        scale_name, values = scales[name]
        file[scale_name] = values
        file[scale_name].make_scale(scale_name)
        for axis, label in enumerate(("segment", scale_name, "time_s")):
            dataset.dims[axis].label = label
        dataset.dims[1].attach_scale(file[scale_name])
        dataset.dims[2].attach_scale(file["time_s"])
    return file


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
        Everything that was set when the features were made.
    """

    def __init__(self, path: Path):
        self._file = h5py.File(path, "r")
        attributes = dict(self._file.attrs)
        self.labels = [str(label) for label in attributes.pop("labels")]
        self.attributes = {
            key: value.item() if isinstance(value, np.generic) else value for key, value in attributes.items()
        }
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
        return [name for name, dataset in self._file.items() if dataset.ndim == 3]

    def shape(self, name: str) -> tuple[int, int]:
        """(n_bins, n_frames) of a feature."""
        _, n_bins, n_frames = self._file[name].shape
        return int(n_bins), int(n_frames)

    def scale(self, name: str, axis: int) -> NDArray[np.float64]:
        """Values along axis 1 (frequency) or 2 (time) of a feature."""
        values: NDArray[np.float64] = self._file[name].dims[axis][0][:]
        return values

    def read(self, name: str, rows: NDArray[np.intp]) -> NDArray[np.float32]:
        """The segments `rows` (ascending) of a feature, float32 (len(rows), n_bins, n_frames)."""
        dataset = self._file[name]
        values = np.empty((len(rows), *dataset.shape[1:]), np.float32)
        filled = 0
        for run in runs(rows):
            dataset.read_direct(values, np.s_[run[0] : run[-1] + 1], np.s_[filled : filled + len(run)])
            filled += len(run)
        return values


def runs(rows: NDArray[np.intp]) -> Iterable[NDArray[np.intp]]:
    """Cut ascending integers where they are not consecutive; HDF5 reads a run in one go."""
    if len(rows) == 0:
        return []
    return np.split(rows, np.flatnonzero(np.diff(rows) != 1) + 1)
