"""Archives that may be damaged: zip, and tar with or without compression."""

import errno
import hashlib
import lzma
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from stages.core.errors import EncoreError

# What zipfile, tarfile and the decompressors below them raise for damaged archives.
DAMAGE = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    RuntimeError,
    ValueError,
    OverflowError,
)


TAR_MARKS = ((0, b"\x1f\x8b"), (0, b"BZh"), (0, b"\xfd7zXZ"), (257, b"ustar"))
MOST_BYTES = 32 << 30  # in a tar archive, which has to be read to its end to know what is in it


@dataclass(frozen=True)
class Member:
    """A file or folder in an archive.

    Attributes
    ----------
    name : str
        As the archive has it: not to be trusted.
    n_bytes : int
    is_ordinary : bool
        Whether it is a file or a folder, and no link or device.
    open : callable
        Returns a file to read the content from. In a tar archive that is fast in the order of the members.
    """

    name: str
    n_bytes: int
    is_ordinary: bool
    open: Callable[[], IO[bytes]]


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
    with _damage_in_words(), zipfile.ZipFile(path) as archive:
        yield archive


@contextmanager
def members(path: Path) -> Iterator[list[Member]]:
    """Open a zip or tar archive for reading, and list what is in it.

    Raises
    ------
    UnusableError
        If the archive turns out to be damaged, at any time until the block ends.
    """
    with path.open("rb") as file:
        head = file.read(512)
    if not any(head.startswith(mark, place) for place, mark in TAR_MARKS):
        with opened(path) as archive:
            yield [_of_zip(archive, info) for info in archive.infolist()]
        return
    with _damage_in_words(), tarfile.open(path) as tar:
        yield [_of_tar(tar, info) for info in _read_through(tar)]


def _of_zip(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Member:
    kind = stat.S_IFMT(info.external_attr >> 16)
    is_ordinary = kind in (0, stat.S_IFREG, stat.S_IFDIR)
    return Member(info.filename, info.file_size, is_ordinary, lambda: archive.open(info))


def _of_tar(tar: tarfile.TarFile, info: tarfile.TarInfo) -> Member:
    def content() -> IO[bytes]:
        file = tar.extractfile(info)
        assert file is not None  # only links and folders have none
        return file

    return Member(info.name, info.size, info.isreg() or info.isdir(), content)


def _read_through(tar: tarfile.TarFile) -> list[tarfile.TarInfo]:
    """List a tar archive and read it to its end, where the checksum of a compressed one is compared."""
    infos = []
    for info in tar:
        infos.append(info)
        if tar.offset > MOST_BYTES:
            raise UnusableError(f"holds over {MOST_BYTES / 1e9:.0f} GB")
    assert tar.fileobj is not None
    while tar.fileobj.read(1 << 20):
        pass
    return infos


@contextmanager
def _damage_in_words() -> Iterator[None]:
    try:
        yield
    except (*DAMAGE, OSError) as error:
        # Damage makes zipfile seek out of bounds (EINVAL), and bz2 raise an OSError without a number; any
        # other OSError is the disk's.
        if isinstance(error, OSError) and error.errno not in (errno.EINVAL, None):
            raise
        first_line = str(error).partition("\n")[0].rstrip(":")  # tarfile lists what it has tried below it
        raise UnusableError(f"is damaged ({first_line or 'ends too early'})") from None


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
