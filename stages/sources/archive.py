"""Zip archives that may be damaged."""

import errno
import hashlib
import lzma
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from stages.core.errors import EncoreError

# What zipfile and the decompressors below it raise for damaged archives.
DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    RuntimeError,
    ValueError,
    OverflowError,
)


class UnusableError(Exception):
    """Why an archive cannot be used, as a predicate: "is damaged"."""


class TooLargeError(Exception):
    """A file is larger than any clip of its dataset."""


@contextmanager
def opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open an archive for reading; zipfile compares the checksum of each member that is read to its end.

    Raises
    ------
    UnusableError
        If the archive turns out to be damaged, at any time until the block ends.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except (*DAMAGE, OSError) as error:
        # Damage makes zipfile seek out of bounds (EINVAL), and bz2 raise an OSError without a number; any
        # other OSError is the disk's.
        if isinstance(error, OSError) and error.errno not in (errno.EINVAL, None):
            raise
        raise UnusableError(f"is damaged ({str(error) or 'ends too early'})") from None


def deleted(path: Path, error: UnusableError) -> EncoreError:
    """Delete a downloaded archive that is of no use; return the error that says so."""
    path.unlink()
    return EncoreError(f"{path} {error}; deleted, run again to download a new copy")


def copy(packed: IO[bytes], target: Path, max_bytes: int) -> tuple[str, int]:
    """Write what `packed` reads to `target`, into a folder that may be new; return its SHA-256 and size.

    Raises
    ------
    TooLargeError
        If there are more than `max_bytes` of it.
    """
    target.parent.mkdir(exist_ok=True)
    digest, n_bytes = hashlib.sha256(), 0
    with target.open("wb") as file:
        while block := packed.read(1 << 20):
            n_bytes += len(block)
            if n_bytes > max_bytes:
                raise TooLargeError
            digest.update(block)
            file.write(block)
    return digest.hexdigest(), n_bytes
