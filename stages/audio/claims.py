"""Read from the header of a WAV, AIFF or AU file how many bytes of music it should have."""

import struct
from pathlib import Path
from typing import BinaryIO

# What programs write that do not know the length yet and never come back to it; give or take a header.
PLACEHOLDERS = (0x7F000000, 2**31, 2**32, 2**64)
NEAR = 1 << 16


def kept_share(path: Path, container: str) -> float:
    """Return the share of the bytes that the header claims which the file has.

    1.0 if all are there, if the header leaves the number open, and for other containers.
    """
    find = {"WAV": _wav, "AIFF": _aiff, "AU": _au}.get(container)
    with path.open("rb") as file:
        found = find(file) if find else None
        if found is None:
            return 1.0
        start, n_claimed = found
        n_held = max(0, path.stat().st_size - start)
    if n_claimed == 0 or any(abs(n_claimed - value) <= NEAR for value in PLACEHOLDERS):
        return 1.0
    return min(1.0, n_held / n_claimed)


def _wav(file: BinaryIO) -> tuple[int, int] | None:
    """Return where the samples begin and how many bytes of them the header claims; None if no header does."""
    order = ">" if file.read(12).startswith(b"RIFX") else "<"
    size_64: int | None = None
    while (chunk := _chunk(file, order)) is not None:
        name, size = chunk
        start = file.tell()
        if name == b"ds64":  # of RF64 and BW64
            size_64 = int.from_bytes(file.read(16)[8:], "little")
        elif name == b"data":
            return start, size if size_64 is None or size != 0xFFFFFFFF else size_64
        file.seek(start + size + size % 2)
    return None


def _aiff(file: BinaryIO) -> tuple[int, int] | None:
    file.seek(12)
    while (chunk := _chunk(file, ">")) is not None:
        name, size = chunk
        if name == b"SSND":
            return file.tell() + 8, max(0, size - 8)
        file.seek(size + size % 2, 1)
    return None


def _au(file: BinaryIO) -> tuple[int, int] | None:
    header = file.read(12)
    if len(header) < 12:
        return None
    start, size = struct.unpack("<II" if header.startswith(b"dns.") else ">II", header[4:])
    return start, size


def _chunk(file: BinaryIO, order: str) -> tuple[bytes, int] | None:
    """Read a chunk's name and size; None at the end, or where no chunk can begin."""
    header = file.read(8)
    if len(header) < 8 or not header[:4].isascii() or b"\0" in header[:4]:
        return None
    name, size = struct.unpack(order + "4sI", header)
    return name, size
