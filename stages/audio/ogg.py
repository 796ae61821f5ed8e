"""Find the links of a chained Ogg file: files one after the other, as recorders of radio write them."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from mmap import mmap
from typing import NamedTuple

PAGE = struct.Struct("<4sBBqI8xB")  # mark, version, flags, position, stream, segments
MARK = b"OggS"
BEGINS, ENDS = 2, 4  # flags of a stream's first and of its last page
MUSIC = (b"\x01vorbis", b"OpusHead", b"\x7fFLAC", b"Speex   ")  # how streams begin
OTHERS = (b"fishead\0", b"\x80theora", b"\x80kate\0\0\0", b"BBCD\0", b"OVP80", b"CMML\0\0\0\0", b"\x01video")
OPUS_HZ = 48000  # whatever the header says, which is only what the music had before it was encoded
LOWERED_HZ = (8000, 12000, 16000, 24000)  # libsndfile decodes at these where the header has them


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
        Whether that is Opus; whether libsndfile would leave out what lies above half the rate in the header.
    has_end : bool
        Whether that stream ends with the mark of its end.
    n_cut : int
        How many samples of that stream the last page had that is not whole.
    """

    start: int
    stop: int = 0
    streams: list[int] = field(default_factory=list)
    is_opus: bool = False
    is_lowered: bool = False
    has_end: bool = False
    n_cut: int = 0


class _Page(NamedTuple):
    start: int
    stop: int
    flags: int
    position: int  # of the last sample that ends in it; -1: none does
    stream: int
    content: bytes  # how it begins


def links(content: mmap | bytes) -> list[Link]:
    """Return the links of an Ogg file, one unless it is chained; none if no stream begins in it."""
    found: list[Link] = []
    is_beginning, position = False, 0
    for page in _pages(content):
        if page.flags & BEGINS and page.content.startswith(MUSIC + OTHERS):
            if not is_beginning:
                found.append(Link(page.start if found else 0))
                is_beginning = True
            if page.content.startswith(MUSIC):
                _add_stream(found[-1], page)
                position = 0
        elif found:
            is_beginning = False
            link = found[-1]
            if link.streams and page.stream == link.streams[0]:
                if page.stop > len(content):
                    link.n_cut = max(0, page.position - position)
                else:
                    link.has_end = bool(page.flags & ENDS)
                position = max(position, page.position)
    for link, following in pairwise(found):
        link.stop = following.start
    if found:
        found[-1].stop = len(content)
    return found


def _add_stream(link: Link, page: _Page) -> None:
    link.streams.append(page.stream)
    if len(link.streams) == 1 and page.content.startswith(b"OpusHead"):
        link.is_opus = True
        link.is_lowered = int.from_bytes(page.content[12:16], "little") in LOWERED_HZ


def _pages(content: mmap | bytes) -> Iterator[_Page]:
    """Yield all pages, of which the last may not be whole; what lies between pages is skipped."""
    start = content.find(MARK)
    while start >= 0 and start + PAGE.size <= len(content):
        _, version, flags, position, stream, n_segments = PAGE.unpack_from(content, start)
        body = start + PAGE.size + n_segments
        stop = body + sum(content[start + PAGE.size : body])
        if version == 0:
            yield _Page(start, stop, flags, position, stream, content[body : body + 32])
        start = content.find(MARK, stop if version == 0 else start + 1)
