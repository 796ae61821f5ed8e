"""Find the samples of an uncompressed file in it: they need no copy."""

from mmap import mmap
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.audio.content import HEAD, container, mapped
from stages.storage.audio_file import StoredMusic, checks_of

RIFF_HEADER, CHUNK_HEADER = 12, 8  # bytes


def find(path: Path, samples: NDArray[Any]) -> StoredMusic | None:
    """Return where the decoded `samples` are in their file; None: it has them in another form.

    Parameters
    ----------
    path : Path
    samples : ndarray of int16 or float32 (n_samples,)
    """
    if samples.dtype != np.int16:
        return None
    content = mapped(path)
    kind = container(content[:HEAD], path)
    if kind == "WAV":
        offset, dtype = _data_of_wav(content), "<i2"
    elif kind == "AU":
        offset, dtype = int.from_bytes(content[4:8], "big"), ">i2"
    else:
        return None
    if offset + samples.nbytes > len(content):
        return None
    there = np.frombuffer(content, dtype, len(samples), offset)
    if not np.array_equal(there, samples):
        return None
    return StoredMusic(path, offset, dtype, len(samples), checks_of(there))


def _data_of_wav(content: mmap) -> int:
    """Return where the samples of a RIFF file begin."""
    place = RIFF_HEADER
    while content[place : place + 4] not in (b"data", b""):
        size = int.from_bytes(content[place + 4 : place + CHUNK_HEADER], "little")
        place += CHUNK_HEADER + size + size % 2
    return place + CHUNK_HEADER
