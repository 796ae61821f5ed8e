"""Reads the weights of a TensorFlow checkpoint without TensorFlow.

A checkpoint (TensorFlow's "tensor bundle") is a table of names, dtypes, shapes and offsets in the format of
LevelDB, and a file with the values. Nothing here checks its checksums: the caller knows the files' digests.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

FOOTER_BYTES = 48
FLOAT32 = 1  # TensorFlow's DT_FLOAT
VARINT, DELIMITED = 0, 2  # wire types of protocol buffers; the only other one here has four bytes
SHAPE, DIMENSION, SIZE, DTYPE, OFFSET = 2, 2, 1, 1, 4  # fields of BundleEntryProto and TensorShapeProto


def read_weights(index: Path, values: Path) -> dict[str, NDArray[np.float32]]:
    """Return the float32 tensors of a checkpoint of one shard, by name.

    Parameters
    ----------
    index, values : Path
        The files ``….index`` and ``….data-00000-of-00001``.

    Raises
    ------
    OSError
        If a file cannot be read.
    """
    table, content = index.read_bytes(), values.read_bytes()
    _, position = _handle(table, len(table) - FOOTER_BYTES)  # of the table about the table, which is empty
    (start, size), _ = _handle(table, position)
    tensors = {}
    for _, pointer in _entries(table[start : start + size]):
        (start, size), _ = _handle(pointer, 0)
        for name, entry in _entries(table[start : start + size]):
            about = _message(entry)
            if name and about.get(DTYPE) == [FLOAT32]:
                dimensions = _message(about[SHAPE][0]).get(DIMENSION, [])  # none: a single number
                shape = [_message(dimension)[SIZE][0] for dimension in dimensions]
                flat = np.frombuffer(content, "<f4", math.prod(shape), about.get(OFFSET, [0])[0])
                tensors[name.decode()] = flat.reshape(shape)
    return tensors


def _entries(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield keys and values of a block of the table; a key shares its beginning with the one before."""
    n_restarts = int.from_bytes(block[-4:], "little")
    key, position, end = b"", 0, len(block) - 4 * (n_restarts + 1)
    while position < end:
        (shared, own, size), position = _varints(block, position, 3)
        key = key[:shared] + block[position : position + own]
        yield key, block[position + own : position + own + size]
        position += own + size


def _handle(data: bytes, position: int) -> tuple[tuple[int, int], int]:
    """Read where a block is: its start and size, and the position after that."""
    (start, size), position = _varints(data, position, 2)
    return (start, size), position


def _varints(data: bytes, position: int, n: int) -> tuple[list[int], int]:
    """Read `n` integers of seven bits a byte; return them, and the position after them."""
    numbers = []
    for _ in range(n):
        number = shift = 0
        while data[position] & 0x80:
            number |= (data[position] & 0x7F) << shift
            position, shift = position + 1, shift + 7
        numbers.append(number | data[position] << shift)
        position += 1
    return numbers, position


def _message(data: bytes) -> dict[int, list[Any]]:
    """Return the values of each field of a protocol buffer: integers, or bytes."""
    fields: dict[int, list[Any]] = {}
    position = 0
    while position < len(data):
        (tag,), position = _varints(data, position, 1)
        value: Any
        if tag & 7 == VARINT:
            (value,), position = _varints(data, position, 1)
        else:
            size = 4
            if tag & 7 == DELIMITED:
                (size,), position = _varints(data, position, 1)
            value, position = data[position : position + size], position + size
        fields.setdefault(tag >> 3, []).append(value)
    return fields
