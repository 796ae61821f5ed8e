"""Read from the header of a file how many bytes it should have."""

import struct
from pathlib import Path
from typing import BinaryIO, NamedTuple

# What programs write that do not know the length yet and never come back to it; give or take a header.
PLACEHOLDERS = (0x7F000000, 2**31, 2**32, 2**63, 2**64)
NEAR = 1 << 16
MOST_BYTES = 1 << 40  # no file can be sought beyond some such place


class _Chunks(NamedTuple):
    """How a container is made of chunks."""

    start: int  # of the first
    header: str  # name and size, for struct
    music: bytes  # name of the chunk with the samples
    in_front: int = 0  # bytes of that chunk before the samples
    counted: int = 0  # bytes of the header that the size counts
    align: int = 2


RIFF = _Chunks(12, "<4sI", b"data")
CHUNKS = {
    "AIFF": _Chunks(12, ">4sI", b"SSND", in_front=8),
    "CAF": _Chunks(8, ">4sQ", b"data", in_front=4, align=1),
    "W64": _Chunks(40, "<16sQ", bytes.fromhex("64617461f3acd3118cd100c04f8edb8a"), counted=24, align=8),
}
ASF_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
IS_LIVE = 1  # flag of ASF: its size was not known


def kept_share(path: Path, container: str) -> float:
    """Return the share of the bytes that the header claims which the file has.

    1.0 if all are there, if the header leaves the number open, and for containers that claim no bytes.
    """
    with path.open("rb") as file:
        if container == "WAV":
            found = _riff(file)
        elif container in CHUNKS:
            found = _chunks(file, CHUNKS[container])
        elif container == "AU":
            found = _au(file)
        elif container == "ASF":
            found = _asf(file)
        else:
            return 1.0
    if found is None:
        return 1.0
    start, n_claimed = found
    if n_claimed <= 0 or any(abs(n_claimed - value) <= NEAR for value in PLACEHOLDERS):
        return 1.0
    return min(1.0, max(0, path.stat().st_size - start) / n_claimed)


def _riff(file: BinaryIO) -> tuple[int, int] | None:
    head = file.read(12)
    is_big = head.startswith(b"RIFX")
    return _chunks(file, RIFF._replace(header=">4sI") if is_big else RIFF)


def _chunks(file: BinaryIO, kind: _Chunks) -> tuple[int, int] | None:
    """Return where the samples begin, and how many bytes of them the header claims; None: it does not."""
    header = struct.Struct(kind.header)
    place, size_64 = kind.start, None
    while True:
        file.seek(place)
        raw = file.read(header.size)
        if len(raw) < header.size:
            return None
        name, size = header.unpack(raw)
        if not name[:4].isascii() or b"\0" in name[:4]:
            return None  # lost the step
        if name == b"ds64":  # of RF64 and BW64: sizes that do not fit into 32 bits
            size_64 = int.from_bytes(file.read(16)[8:], "little")
        size -= kind.counted
        if name == kind.music:
            if size == 0xFFFFFFFF and size_64 is not None:
                size = size_64
            return place + header.size + kind.in_front, size - kind.in_front
        place += header.size + size + -size % kind.align
        if size < 0 or place > MOST_BYTES:
            return None


def _au(file: BinaryIO) -> tuple[int, int] | None:
    header = file.read(12)
    if len(header) < 12:
        return None
    start, size = struct.unpack("<II" if header.startswith(b"dns.") else ">II", header[4:])
    return start, size


def _asf(file: BinaryIO) -> tuple[int, int] | None:
    header = file.read(1 << 16)
    place = header.find(ASF_PROPERTIES)
    fields = header[place + 40 : place + 92]
    if place < 0 or len(fields) < 52 or fields[48] & IS_LIVE:
        return None
    return 0, int.from_bytes(fields[:8], "little")
