"""audio.h5: the waveforms of all tracks, or where they are in the files of music."""

import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from stages.core.errors import EncoreError
from stages.core.workspace import distrust
from stages.storage.hdf5 import (
    CHUNK_VALUES,
    SCHEMA,
    NewFile,
    damage_in_one_line,
    open_checked,
    store,
    strings,
    value_of,
)


@contextmanager
def create_audio(path: Path, sample_rate_hz: int) -> Iterator[NewFile]:
    """Create an audio file: datasets ``waveform/000000`` and so on, in the order of tracks.csv."""
    with NewFile(path) as file:
        file.attrs.update(schema=strings(SCHEMA), sample_rate_hz=sample_rate_hz)
        yield file


def append_waveform(file: NewFile, row: int, track_id: str, samples: NDArray[Any], digest: str) -> None:
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
        See `stages.audio.decode.AudioInfo`; it identifies the samples without reading them.
    """
    dataset = store(file, _waveform(row), samples)
    dataset.attrs.update(track_id=strings(track_id), sha256=strings(digest))
    file.check()


@dataclass(frozen=True)
class StoredMusic:
    """Where the waveform of a track lies in its own file.

    Attributes
    ----------
    path : Path
        From the workspace's root.
    offset : int
        Of the first sample, in bytes.
    dtype : {'<i2', '>i2'}
    n_samples : int
    checks : ndarray of uint32 (n_blocks,)
        CRC-32 of each `CHUNK_VALUES` samples; see `checks_of`.
    """

    path: Path
    offset: int
    dtype: str
    n_samples: int
    checks: NDArray[np.uint32]


def refer_to_music(file: NewFile, row: int, track_id: str, music: StoredMusic, digest: str) -> None:
    """Write row `row` of tracks.csv as a reference to the file of music (external storage, as HDF5 calls it).

    The parameters are those of `append_waveform`.
    """
    parts = [(str(music.path), music.offset, 2 * music.n_samples)]
    dataset = file.create_dataset(_waveform(row), (music.n_samples,), music.dtype, external=parts)
    dataset.attrs.update(track_id=strings(track_id), sha256=strings(digest), crc32=music.checks)
    file.check()


def checks_of(samples: NDArray[np.int16]) -> NDArray[np.uint32]:
    """Return the CRC-32 of each `CHUNK_VALUES` samples (n_blocks,)."""
    blocks = range(0, len(samples), CHUNK_VALUES)
    return np.array([zlib.crc32(samples[first : first + CHUNK_VALUES].data) for first in blocks], np.uint32)


def _waveform(row: int) -> str:
    return f"waveform/{row:06d}"


def read_sample_rate_hz(path: Path) -> int:
    """Return the sample rate of an audio file."""
    with open_audio(path) as file, damage_in_one_line(path):
        return int(file.attrs["sample_rate_hz"])


def read_digest(file: h5py.File, row: int) -> str:
    """Return the digest of the samples of row `row` of tracks.csv."""
    with damage_in_one_line(file.filename):
        return str(value_of(file[_waveform(row)].attrs["sha256"]))


def read_waveform(file: h5py.File, row: int, start: int = 0, stop: int | None = None) -> NDArray[np.float32]:
    """Read samples `start` to `stop` of row `row` of tracks.csv as float32 (n_samples,), full scale 1."""
    with damage_in_one_line(file.filename):
        dataset = file[_waveform(row)]
        samples = _read_music(dataset, start, stop) if dataset.external else dataset[start:stop]
        return at_full_scale(samples)


def _read_music(dataset: h5py.Dataset, start: int, stop: int | None) -> NDArray[Any]:
    """Read samples that lie in a file of music, if it is still the file that was decoded."""
    start, stop, _ = slice(start, stop).indices(len(dataset))
    first, last = start // CHUNK_VALUES, -(-stop // CHUNK_VALUES)
    wanted = dataset.attrs["crc32"][first:last]
    try:
        samples: NDArray[Any] = dataset[first * CHUNK_VALUES : last * CHUNK_VALUES]
    except OSError:  # it is not there
        samples = np.empty(0, dataset.dtype)
    if not np.array_equal(checks_of(samples), wanted):
        path = os.fsdecode(dataset.external[0][0])
        distrust(Path(path))
        raise EncoreError(f"{path} has changed since it was decoded; run `dvc repro`")
    return samples[start - first * CHUNK_VALUES : stop - first * CHUNK_VALUES]


def at_full_scale(samples: NDArray[Any]) -> NDArray[np.float32]:
    """Return int16 samples as float32 with full scale 1; float32 samples stay as they are."""
    if samples.dtype.kind == "i":
        scaled = samples.astype(np.float32)
        scaled *= np.float32(1 / 32768)  # exact, as a power of two
        return scaled
    return samples


def open_audio(path: Path) -> h5py.File:
    """Open an audio file for `read_waveform`."""
    return open_checked(path)
