"""Read what a Standard MIDI File plays, as far as it can be understood where it breaks the standard.

Its notes are those that mido finds. mido itself refuses the whole file for a bad key signature, a missing
byte or an unknown chunk; the synthesiser's own reader loses notes and time.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stages.audio.formats import MIDI_MAGIC, is_riff_midi
from stages.core.errors import EncoreError

if TYPE_CHECKING:
    from tinysoundfont.midi import Action, Event

MAX_BYTES = 2**20  # the events take some 150 bytes of memory per byte of the file
MAX_TRACKS = 1024
MAX_NUMBER = 2**32  # the standard ends at 28 bits
DEFAULT_TEMPO_US = 500_000  # per beat
NTSC_FRAMES = 29  # a second, by name; there are 30000/1001

SYSTEM = 0xF0  # and above: messages of no channel
SYSEX = (0xF0, 0xF7)
META = 0xFF
META_CODE = 0xFF00  # plus the type of the meta event
END_OF_TRACK = META_CODE | 0x2F
SET_TEMPO = META_CODE | 0x51
BREAK = 0x10000  # in no file: here a track breaks off
N_DATA = {0x80: 2, 0x90: 2, 0xA0: 2, 0xB0: 2, 0xC0: 1, 0xD0: 1, 0xE0: 2, 0xF1: 1, 0xF2: 2, 0xF3: 1}

Message = tuple[int, int, bytes]  # time, status byte or one of the codes above, data


@dataclass(frozen=True)
class Score:
    """What a file plays.

    Attributes
    ----------
    events : list of tinysoundfont.midi.Event
        Notes, controllers, programs and bends, ordered by time: seconds, in whole milliseconds, rounded down.
    cut_short : str
        What is not among them, in a sentence whose subject is the file; empty: nothing.
    """

    events: "list[Event]"
    cut_short: str


def read_midi(content: bytes) -> Score:
    """Read a file, also one inside a RIFF file (.rmi).

    The tracks that the header counts are played together, in a file of any format, each as far as it can be
    read.

    Raises
    ------
    EncoreError
        If it is not a MIDI file, or too large.
    """
    if len(content) > MAX_BYTES:
        raise _unreadable(f"{len(content) / 2**20:.1f} MiB, over the limit of {MAX_BYTES / 2**20:g}")
    midi = content[content.find(MIDI_MAGIC) :] if is_riff_midi(content) else content
    if not midi.startswith(MIDI_MAGIC):
        raise _unreadable("it does not start with MThd")
    if len(midi) < 14:
        raise _unreadable("it ends within its header")
    n_counted = int.from_bytes(midi[10:12], "big")
    if n_counted > MAX_TRACKS:
        raise _unreadable(f"its header claims {n_counted} tracks")
    tracks = list(_tracks(midi))
    messages = [message for track in tracks[:n_counted] for message in _parsed(*track)]
    messages.sort(key=lambda message: message[0])  # at one time, the messages of the first track stay first
    timed = list(_timed(messages, midi[12:14]))
    breaks_ms = [ms for ms, status, _ in timed if status == BREAK]
    return Score(_events(timed), _cut_short(n_counted, len(tracks), breaks_ms))


def _unreadable(reason: str) -> EncoreError:
    return EncoreError(f"not a readable MIDI file ({reason}); leave it out")


def _cut_short(n_counted: int, n_found: int, breaks_ms: list[int]) -> str:
    parts = []
    if breaks_ms:
        parts.append(f"breaks off in {len(breaks_ms)} of its tracks, first after {breaks_ms[0] / 1000:.1f} s")
    if n_found < n_counted:
        parts.append(f"has {n_found} of the {n_counted} tracks that its header counts")
    if n_found > n_counted:
        parts.append(f"plays {n_counted} of its {n_found} tracks, since its header counts no more")
    return "; ".join([*parts, "export it again"]) if parts else ""


def _tracks(midi: bytes) -> Iterator[tuple[bytes, bool]]:
    """Yield the content of each track, and whether it is certain where it ends."""
    at = 0
    while 0 <= at <= len(midi) - 8:
        name, end = midi[at : at + 4], at + 8 + int.from_bytes(midi[at + 4 : at + 8], "big")
        following = end
        if not midi[end : end + 4].isalnum():  # none begins there: the length is wrong, or this is the last
            following = midi.find(b"MTrk", end if end <= len(midi) else at + 8)
        if name == b"MTrk" and following < 0:
            yield midi[at + 8 : end], end <= len(midi)
        elif name == b"MTrk":
            yield midi[at + 8 : following], following == end
        at = following


class _BrokenError(Exception):
    """A track cannot be read on."""


def _parsed(track: bytes, is_certain: bool) -> list[Message]:
    """Return the messages of a track, their times in ticks; the last one is a BREAK if there may be more."""
    messages: list[Message] = []
    n_to_end = 0
    try:
        for message in _messages(track):
            messages.append(message)
            if message[1] == END_OF_TRACK:
                n_to_end = n_to_end or len(messages)
    except _BrokenError:
        is_certain = False
    if is_certain:  # also what comes after an end of track, as mido does
        return messages
    if n_to_end:
        return messages[:n_to_end]
    return [*messages, (messages[-1][0] if messages else 0, BREAK, b"")]


def _messages(track: bytes) -> Iterator[Message]:
    at = ticks = running = 0
    while at < len(track):
        delta, at = _number(track, at)
        ticks += delta
        status, at = _byte(track, at)
        if status < 0x80:  # the last one goes on, in some files even after meta events and sysex
            status, at = running, at - 1
        elif _kind(status) in N_DATA:
            running = status
        if not status:
            raise _BrokenError
        if status == META:
            kind, at = _byte(track, at)
            status = META_CODE | kind
        if status in SYSEX or status >= META_CODE:
            size, at = _number(track, at)
        else:
            size = N_DATA.get(_kind(status), 0)
        if at + size > len(track):
            raise _BrokenError
        yield ticks, status, track[at : at + size]
        at += size


def _kind(status: int) -> int:
    return status if status >= SYSTEM else status & 0xF0


def _number(track: bytes, at: int) -> tuple[int, int]:
    """Return a number of seven bits a byte, and where it ends."""
    number, byte = 0, 0x80
    while byte >= 0x80:
        byte, at = _byte(track, at)
        number = number << 7 | byte & 0x7F
        if number > MAX_NUMBER:
            raise _BrokenError
    return number, at


def _byte(track: bytes, at: int) -> tuple[int, int]:
    if at == len(track):
        raise _BrokenError
    return track[at], at + 1


def _timed(messages: Iterable[Message], division: bytes) -> Iterator[Message]:
    """Turn ticks into whole milliseconds."""
    ms_per_tick = _ms_per_tick(division, DEFAULT_TEMPO_US)
    from_ticks, from_ms = 0, 0.0
    for ticks, status, data in messages:
        ms = from_ms + (ticks - from_ticks) * ms_per_tick  # rounded only below: a file may change tempo often
        if status == SET_TEMPO and len(data) >= 3:
            from_ticks, from_ms = ticks, ms
            ms_per_tick = _ms_per_tick(division, int.from_bytes(data[:3], "big"))
        yield int(ms), status, data


def _ms_per_tick(division: bytes, tempo_us: int) -> float:
    high, low = division
    is_smpte = high >= 0x80  # frames a second and ticks a frame, which no tempo changes
    if not (low if is_smpte else high | low):
        raise _unreadable("its header gives no ticks per beat")
    if not is_smpte:
        return tempo_us / (1000.0 * (high << 8 | low))
    frames = 256 - high
    return 1000.0 / (low * (30_000 / 1001 if frames == NTSC_FRAMES else frames))


def _events(timed: Iterable[Message]) -> "list[Event]":
    import numpy as np
    from tinysoundfont.midi import ControlChange, Event, NoteOff, NoteOn, PitchBend, ProgramChange

    actions: dict[int, Callable[[int, int], Action]] = {
        0x80: lambda key, _: NoteOff(key),
        0x90: NoteOn,
        0xB0: ControlChange,
        0xC0: lambda program, _: ProgramChange(program),
        0xE0: lambda low, high: PitchBend(high << 7 | low),
    }
    played = [message for message in timed if message[1] < SYSTEM and message[1] & 0xF0 in actions]
    # single precision, as in the synthesiser's own reader: the same samples as with it
    seconds = (np.array([ms for ms, _, _ in played], np.float32) * np.float32(0.001)).tolist()
    # persistent events stay in the queue after they are played, and slow down all later ones
    return [
        Event(actions[status & 0xF0](data[0] & 0x7F, data[-1] & 0x7F), t, status & 0xF, persistent=False)
        for t, (_, status, data) in zip(seconds, played, strict=True)
    ]
