"""Find the links of a chained Ogg file: files one after the other, as recorders of radio write them."""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from mmap import mmap
from typing import NamedTuple

PAGE = struct.Struct("<4sBBqIIIB")  # mark, version, flags, position, stream, number, checksum, segments
MARK = b"OggS"
CHECKSUM = slice(22, 26)
BEGINS, ENDS = 2, 4  # flags of a stream's first and of its last page
OPUS_HEAD = b"OpusHead"
MUSIC = (b"\x01vorbis", OPUS_HEAD, b"\x7fFLAC", b"Speex   ")  # how streams begin
OTHERS = (b"fishead\0", b"\x80theora", b"\x80kate\0\0\0", b"BBCD\0", b"OVP80", b"CMML\0\0\0\0", b"\x01video")
OPUS_HZ = 48000  # whatever the header says, which is only what the music had before it was encoded
LOWERED_HZ = range(24001)  # libsndfile decodes at about that rate where the header has it
RATE_AT = slice(12, 16)  # in Opus's head
LONG_S = 10  # a first page that ends later is not the first: it is a recording of what ran already
MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


@dataclass
class Link:
    """A part of an Ogg file that is a whole file.

    Attributes
    ----------
    start, stop : int
        Where it lies.
    streams : list of int
        Numbers of its streams of music; the first is the one that is read.
    is_opus, is_lowered : bool
        Whether that is Opus; and whether libsndfile would leave out what lies above half the header's rate.
    is_damaged : bool
        Whether pages of that stream are damaged or missing, the last one included.
    first, last : int
        Positions, in samples, at the end of its first and last page of music, also if that one is cut off.
    n_in_front : int
        Samples in front that are no music.
    """

    start: int
    stop: int = 0
    streams: list[int] = field(default_factory=list)
    is_opus: bool = False
    is_lowered: bool = False
    is_damaged: bool = True
    first: int = 0
    last: int = 0
    n_in_front: int = 0

    def claimed_s(self, rate_hz: int) -> float:
        """Return how long the first stream should last if it is damaged; else 0.0, since decoders know."""
        rate_hz = OPUS_HZ if self.is_opus else rate_hz
        if not self.is_damaged or not rate_hz:
            return 0.0
        start = self.first if self.first > LONG_S * rate_hz else self.n_in_front
        return max(0.0, (self.last - start) / rate_hz)


class _Page(NamedTuple):
    start: int
    stop: int
    flags: int
    position: int  # of the last sample that ends in it; -1: none does
    stream: int
    number: int
    is_whole: bool
    content: bytes  # how it begins

    @property
    def begins_stream(self) -> bool:
        return bool(self.flags & BEGINS) and self.content.startswith(MUSIC + OTHERS)


def links(content: mmap | bytes) -> list[Link]:
    """Return the links of an Ogg file, one unless it is chained; none if no stream begins in it."""
    of_links: list[list[_Page]] = []
    n_without = 0  # pages before the first stream
    for page in _pages(content):
        if page.begins_stream and not (of_links and of_links[-1][-1].begins_stream):
            of_links.append([])
        if of_links:
            of_links[-1].append(page)
        else:
            n_without += 1
    found = [_link(pages) for pages in of_links]
    for link, following in pairwise(found):
        link.stop = following.start
    if found:
        found[0].is_damaged |= n_without > 0
        found[-1].stop = len(content)
    return found


def _link(pages: list[_Page]) -> Link:
    link = Link(pages[0].start)
    heads = [page for page in pages if page.begins_stream]
    music = [page for page in heads if page.content.startswith(MUSIC)]
    link.streams = [page.stream for page in music]
    if not music:
        return link
    head = music[0].content
    if head.startswith(OPUS_HEAD):
        link.is_opus = True
        link.n_in_front = int.from_bytes(head[10:12], "little")
        link.is_lowered = int.from_bytes(head[RATE_AT], "little") in LOWERED_HZ
    own = [page for page in pages if page.stream == link.streams[0]]
    positions = [page.position for page in own if page.position > 0]
    link.first, link.last = min(positions, default=0), max(positions, default=0)
    link.is_damaged = (
        not all(page.is_whole for page in own)
        or not own[-1].flags & ENDS
        or any(after.number != before.number + 1 for before, after in pairwise(own))
        or not {page.stream for page in pages} <= {page.stream for page in heads}
    )
    return link


def _pages(content: mmap | bytes) -> Iterator[_Page]:
    """Yield the pages whose checksum is right, and a last one that is cut off."""
    start = content.find(MARK)
    while start >= 0 and start + PAGE.size <= len(content):
        _, _, flags, position, stream, number, checksum, n_segments = PAGE.unpack_from(content, start)
        body = start + PAGE.size + n_segments
        stop = body + sum(content[start + PAGE.size : body])
        is_whole = stop <= len(content)
        is_right = is_whole and _checksum(content[start:stop]) == checksum
        if is_right or not is_whole:
            yield _Page(start, stop, flags, position, stream, number, is_whole, content[body : body + 32])
        start = content.find(MARK, stop if is_right else start + 1)


def at_full_rate(content: bytes) -> bytes:
    """Return a copy of an Opus file with 48 kHz in its header, where the rate is only a hint."""
    head = next(page for page in _pages(content) if page.content.startswith(OPUS_HEAD))
    page = bytearray(content[head.start : head.stop])
    body = page.index(OPUS_HEAD)
    page[body + RATE_AT.start : body + RATE_AT.stop] = OPUS_HZ.to_bytes(4, "little")
    page[CHECKSUM] = _checksum(bytes(page)).to_bytes(4, "little")
    return content[: head.start] + page + content[head.stop :]


def _checksum(page: bytes) -> int:
    """Return Ogg's CRC-32: zlib's with the bits of all bytes and of the result in the other order."""
    mirrored = (page[: CHECKSUM.start] + bytes(4) + page[CHECKSUM.stop :]).translate(MIRRORED)
    return int(f"{zlib.crc32(mirrored, 0xFFFFFFFF) ^ 0xFFFFFFFF:032b}"[::-1], 2)
