"""Count the frames of an MP3 file: many files say nothing, or something wrong, about their length."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from mmap import mmap
from typing import NamedTuple

from stages.audio.content import ID3_HEADER, id3_size

# kbit/s by the number in the frame's header, for MPEG 1 and its layers, and for MPEG 2 and 2.5.
BITRATES = {
    (1, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (2, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
RATES_HZ = (44100, 48000, 32000)  # of MPEG 1; MPEG 2 has half of it, 2.5 a quarter
HEADER = 4  # bytes
IN_A_ROW = 3  # so many frames do not fit together by chance
DELAYS = 21  # bytes from the encoder's name to how many samples it added


class Frames(NamedTuple):
    """What the frames of a file add up to.

    Attributes
    ----------
    seconds : float
        How long the file should last: all its frames, or as many as its encoder says there are, without what
        the encoder added in front and at the end. 0.0 if there are no frames. Those of "free" bit rate are
        not found, since they do not say how long they are.
    is_damaged : bool
        Whether frames are missing, but nothing says how many: the last one is not whole, or something that is
        no frame lies between two.
    """

    seconds: float
    is_damaged: bool


@dataclass(frozen=True)
class _Frame:
    kind: tuple[int, int]  # layer and sample rate
    n_bytes: int
    n_samples: int
    rate_hz: int

    @property
    def seconds(self) -> float:
        return self.n_samples / self.rate_hz


@dataclass(frozen=True)
class _Info:
    """What the encoder says in a first frame that has no sound."""

    n_frames: int = 0  # 0: not said
    n_added: int = 0  # samples in front and at the end that are not of the music


def count(content: mmap | bytes) -> Frames:
    """Count the frames of an MP3 file."""
    info: _Info | None = None
    counts: Counter[_Frame] = Counter()
    is_damaged = False
    for place, n_skipped, frame in _walk(content):
        if info is None:
            info = _info(content[place : place + frame.n_bytes])
            if info is not None:
                continue
            info = _Info()
        is_damaged |= n_skipped > 0 < counts.total()
        if place + frame.n_bytes > len(content):
            is_damaged = True
        else:
            counts[frame] += 1
    if info is None or not counts:
        return Frames(0.0, is_damaged=False)
    [(usual, _)] = counts.most_common(1)
    seconds = sum(n * frame.seconds for frame, n in counts.items())
    if info.n_frames > counts.total() + 1:  # some encoders count the frame that says it
        seconds += (info.n_frames - counts.total()) * usual.seconds
    return Frames(seconds - info.n_added / usual.rate_hz, is_damaged and not info.n_frames)


def _walk(content: mmap | bytes) -> Iterator[tuple[int, int, _Frame]]:
    """Yield each frame: its place, how many bytes before it belong to nothing, and what its header says.

    The last one may not be whole.
    """
    place = stop = 0  # stop: where the frame or tag before ends
    while True:
        head = content[place : place + ID3_HEADER]
        if place == stop and (tag := id3_size(head)):
            place = stop = place + tag
            continue
        frame = _frame_at(content, place)
        is_next = place == stop > 0
        if frame is None or not (is_next or _in_a_row(content, place, frame)):
            place = content.find(b"\xff", place + 1)
            if place < 0:
                return
            continue
        yield place, place - stop, frame
        place = stop = place + frame.n_bytes


def _in_a_row(content: mmap | bytes, place: int, frame: _Frame) -> bool:
    for _ in range(IN_A_ROW - 1):
        place += frame.n_bytes
        following = _frame_at(content, place)
        if following is None or following.kind != frame.kind:
            return False
        frame = following
    return True


def _frame_at(content: mmap | bytes, place: int) -> _Frame | None:
    header = content[place : place + HEADER]
    return _frame(header[1], header[2]) if len(header) == HEADER and header[0] == 0xFF else None


@cache
def _frame(second: int, third: int) -> _Frame | None:
    """Return what the second and third byte of a header say; None if they are of no header."""
    version, layer = second >> 3 & 3, 4 - (second >> 1 & 3)  # version 0: MPEG 2.5, 1: none
    rate, bitrate = third >> 2 & 3, third >> 4
    if second < 0xE0 or version == 1 or layer == 4 or rate == 3 or bitrate in (0, 15):
        return None
    rate_hz = RATES_HZ[rate] >> {3: 0, 2: 1, 0: 2}[version]
    bits_per_s = 1000 * BITRATES[1 if version == 3 else 2, layer][bitrate - 1]
    padding = third >> 1 & 1
    if layer == 1:
        return _Frame((layer, rate_hz), (12 * bits_per_s // rate_hz + padding) * 4, 384, rate_hz)
    n_samples = 576 if layer == 3 and version != 3 else 1152
    return _Frame((layer, rate_hz), n_samples // 8 * bits_per_s // rate_hz + padding, n_samples, rate_hz)


def _info(frame: bytes) -> _Info | None:
    """Return what a first frame says of the file (Xing, LAME; Fraunhofer's VBRI); None if it has sound."""
    if frame.startswith(b"VBRI", HEADER + 32):
        return _Info(int.from_bytes(frame[HEADER + 32 + 14 :][:4], "big"))
    mark = max(frame.find(sign, HEADER, HEADER + 40) for sign in (b"Xing", b"Info"))
    if mark < 0:
        return None
    flags = int.from_bytes(frame[mark + 4 : mark + 8], "big")
    at = mark + 8
    n_frames = int.from_bytes(frame[at : at + 4], "big") if flags & 1 else 0
    at += 4 * (flags & 1) + 4 * (flags >> 1 & 1) + 100 * (flags >> 2 & 1) + 4 * (flags >> 3 & 1) + DELAYS
    delays = int.from_bytes(frame[at : at + 3], "big")
    return _Info(n_frames, (delays >> 12) + (delays & 0xFFF))
