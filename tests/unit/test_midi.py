"""Every note of a MIDI file is heard, when it should be, however the file is written."""

import contextlib
import io
from dataclasses import dataclass, field
from fractions import Fraction
from random import Random

import mido
import numpy as np
import pytest

from stages.audio.formats import is_midi
from stages.audio.midi import MAX_BYTES, read_midi
from stages.audio.render import render_windows
from stages.core.errors import EncoreError

RATE = 22_050
CLICK = (9, 76)  # channel and key of a wood block
BEAT = 0.5  # s, where nothing says otherwise

# What may stand between two notes and leaves the running status as it is, by the standard or in real files.
BETWEEN = {
    "text": bytes.fromhex("FF 01 02 68 69"),
    "lyric": bytes.fromhex("FF 05 03 6C 61 20"),
    "time signature": bytes.fromhex("FF 58 04 04 02 18 08"),
    "bad key signature": bytes.fromhex("FF 59 02 09 07"),
    "tempo without a value": bytes.fromhex("FF 51 00"),
    "unknown meta": bytes.fromhex("FF 60 02 90 40"),
    "end of track": bytes.fromhex("FF 2F 00"),
    "sysex": bytes.fromhex("F0 05 7E 7F 09 01 F7"),
    "empty sysex": bytes.fromhex("F0 00"),
    "escape": bytes.fromhex("F7 02 F3 01"),
    "active sensing": bytes.fromhex("FE"),
}
IN_MIDO = ("text", "lyric", "time signature", "sysex", "end of track")


def number(value: int) -> bytes:
    digits = [value & 0x7F]
    while value := value >> 7:
        digits.append(0x80 | value & 0x7F)
    return bytes(reversed(digits))


def chunk(name: bytes, content: bytes) -> bytes:
    return name + len(content).to_bytes(4, "big") + content


@dataclass
class Writer:
    """Writes MIDI bytes by itself, and knows by exact arithmetic when each message is due."""

    division: tuple[int, int] = (1, 0xE0)  # 480 ticks a beat
    kind: int = 1
    header: bytes = b""  # what follows the six bytes of the standard
    alien: bytes = b""  # before each track
    is_terse: bool = True  # omits the status after everything that is no channel message
    tempos: list[tuple[int, int]] = field(default_factory=list)
    tracks: list[list[tuple[int, bytes]]] = field(default_factory=list)

    def content(self) -> bytes:
        tempos = [(tick, b"\xff\x51\x03" + us.to_bytes(3, "big")) for tick, us in self.tempos]
        tracks = [[*tempos, *self.tracks[0]], *self.tracks[1:]]
        numbers = b"".join(n.to_bytes(2, "big") for n in (self.kind, len(tracks)))
        header = chunk(b"MThd", numbers + bytes(self.division) + self.header)
        return header + b"".join(self.alien + chunk(b"MTrk", self._track(track)) for track in tracks)

    def _track(self, messages: list[tuple[int, bytes]]) -> bytes:
        written, now, running = b"", 0, 0
        for tick, message in sorted(messages, key=lambda pair: pair[0]):
            is_short = message[0] == running
            written += number(tick - now) + message[is_short:]
            now = tick
            if message[0] < 0xF0:
                running = message[0]
            elif not self.is_terse:
                running = 0
        return written + bytes.fromhex("00 FF 2F 00")

    def seconds(self, tick: int) -> Fraction:
        high, low = self.division
        if high >= 0x80:
            frames = Fraction(30_000, 1001) if high == 256 - 29 else 256 - high
            return tick / Fraction(frames * low)
        units, since, tempo = 0, 0, 500_000  # a unit is a microsecond over the ticks of a beat
        for at, us in [*self.tempos, (tick, 0)]:
            units += max(0, min(at, tick) - since) * tempo
            since, tempo = min(at, tick), us
        return Fraction(units, 1_000_000 * (high << 8 | low))

    def due(self) -> list[tuple[int, int, int, Fraction]]:
        """Begin and end of each note: status, key, velocity, time."""
        messages = [pair for track in self.tracks for pair in track if pair[1][0] < 0xA0]
        return sorted((*normal(*message), self.seconds(tick)) for tick, message in messages)


def normal(status: int, key: int, velocity: int) -> tuple[int, int, int]:
    """An end is an end, in whichever way it is written."""
    is_end = status < 0x90 or velocity == 0
    return (0x80 | status & 0xF, key, 0) if is_end else (status, key, velocity)


def found(content: bytes) -> list[tuple[int, int, int, float]]:
    notes = []
    for event in read_midi(content).events:
        if hasattr(event.action, "key"):
            velocity = getattr(event.action, "velocity", 0)
            notes.append((*normal(0x90 | event.channel, event.action.key, velocity), event.t))
    return sorted(notes)


def found_by_mido(content: bytes) -> list[tuple[int, int, int]]:
    messages = [message for track in mido.MidiFile(file=io.BytesIO(content)).tracks for message in track]
    notes = [message for message in messages if message.type in ("note_on", "note_off")]
    return sorted(normal(*message.bytes()) for message in notes)


def timed_by_mido(content: bytes) -> list[tuple[int, int, int, float]]:
    now, notes = 0.0, []
    for message in mido.MidiFile(file=io.BytesIO(content)):
        now += message.time
        if message.type in ("note_on", "note_off"):
            notes.append((*normal(*message.bytes()), now))
    return sorted(notes)


def some_music(rng: Random, between: list[bytes]) -> Writer:
    """Tracks of notes that overlap, also at one pitch, among messages of all kinds."""
    ticks = rng.choice((24, 96, 384, 480, 10_000, 32_767))
    smpte = (256 - rng.choice((24, 25, 29, 30)), rng.choice((4, 40, 80, 100)))
    writer = Writer(rng.choice(((ticks >> 8, ticks & 0xFF), smpte)), kind=rng.choice((0, 1, 2)))
    length = rng.choice((4, 60)) * ticks
    late = rng.choice((0, 0, 1, 100)) * ticks
    for _ in range(1 if writer.kind == 0 else rng.randint(1, 4)):
        messages: list[tuple[int, bytes]] = []
        for _ in range(rng.randint(0, 40)):
            channel, key = rng.choice((0, 1, 9, 15)), rng.choice((0, 60, 61, 127))
            start, stop = sorted(late + rng.randrange(length) for _ in range(2))
            end = rng.choice((bytes([0x80 | channel, key, 64]), bytes([0x90 | channel, key, 0])))
            messages += [(start, bytes([0x90 | channel, key, rng.randint(1, 127)])), (stop, end)]
            other = (rng.choice((0xA0, 0xB0, 0xC0, 0xD0, 0xE0)) | channel, 7, 100)
            messages.append((start, bytes(other[: 2 if other[0] >> 4 in (0xC, 0xD) else 3])))
            messages.append((start, rng.choice(between)))
        rng.shuffle(messages)
        writer.tracks.append(messages)
    changes = rng.choice((0, 1, 10, 300))
    writer.tempos = sorted((rng.randrange(late + length), rng.randint(1, 2_000_000)) for _ in range(changes))
    return writer


def assert_due(content: bytes, writer: Writer) -> None:
    got, want = found(content), writer.due()
    assert [note[:3] for note in got] == [note[:3] for note in want]
    for *_, at_s in got:
        due_s = float(want.pop(0)[3])
        single = 2e-7 * due_s + 1e-9  # precision of the synthesiser's times
        assert -single <= due_s - at_s <= 1e-3 + single, "whole milliseconds, rounded down"


def test_notes_are_those_that_mido_finds():
    for seed in range(60):
        writer = some_music(Random(seed), [BETWEEN[name] for name in IN_MIDO])
        writer.is_terse = False
        writer.header = bytes(seed % 5)
        content = writer.content() + bytes(seed % 7)
        assert [note[:3] for note in found(content)] == found_by_mido(content), seed
        if writer.kind != 2 and writer.division[0] < 0x80:  # times that mido knows
            theirs = [note[3] for note in timed_by_mido(content)]
            assert [note[3] for note in found(content)] == pytest.approx(theirs, abs=1.2e-3), seed
        assert_due(content, writer)


def test_notes_are_found_in_files_that_break_the_standard():
    for seed in range(100):
        rng = Random(seed)
        writer = some_music(rng, list(BETWEEN.values()))
        writer.header = bytes(rng.choice((0, 1, 2, 30)))
        writer.alien = rng.choice((b"", chunk(b"XFIH", b"MTrk"), chunk(b"junk", bytes(9))))
        content = writer.content() + rng.randbytes(rng.choice((0, 1, 100)))
        if seed % 3 == 0:
            content = b"RIFF" + len(content).to_bytes(4, "little") + b"RMIDdata" + bytes(4) + content
        assert_due(content, writer)
        assert read_midi(content).cut_short == "", seed


def clicks(*ticks: int, between: bytes = b"", **wishes) -> Writer:
    """Wood blocks, each as long as a beat of 480 ticks."""
    channel, key = CLICK
    messages = []
    for tick in ticks:
        messages += [(tick, bytes([0x90 | channel, key, 100])), (tick + 480, bytes([0x90 | channel, key, 0]))]
        messages += [(tick + 1, between), (tick + 481, between)] if between else []
    return Writer(tracks=[messages], **wishes)


def heard_s(content: bytes, window_s: float) -> list[float]:
    """Where the sound gets loud, in seconds."""
    samples = render_windows(content, RATE, window_s, 1, control=False).samples
    step = RATE // 500
    level = np.abs(samples[: len(samples) // step * step]).reshape(-1, step).max(axis=1)
    before = np.maximum.reduce([np.roll(level, shift) for shift in range(1, 16)])
    before[:16] = 0
    is_loud = (level > 0.1 * level.max()) & (level > 2 * before)
    starts = np.flatnonzero(is_loud & ~np.roll(is_loud, 1))
    kept = starts[np.diff(starts, prepend=-100) > 20]
    return [float(start * step / RATE) for start in kept]


STEADY = range(0, 4800, 240)
FILES = {
    **{f"running status after {name}": clicks(*STEADY, between=data) for name, data in BETWEEN.items()},
    "long header": clicks(*STEADY, header=bytes(2)),
    "unknown chunk": clicks(*STEADY, alien=chunk(b"XFKM", b"words")),
    "SMPTE, 25 frames": clicks(*STEADY, division=(256 - 25, 40)),
    "SMPTE, 29.97 frames": clicks(*STEADY, division=(256 - 29, 20)),
    "overlapping notes of one pitch": clicks(*STEADY, *range(120, 4800, 960)),
    "tempos": clicks(*STEADY, tempos=[(tick, 300_000 + 97 * tick) for tick in range(0, 4800, 10)]),
}


@pytest.mark.parametrize("name", FILES)
def test_every_note_is_heard_when_it_is_due(name):
    writer = FILES[name]
    due = sorted({float(time) for status, _, _, time in writer.due() if status >= 0x90})
    assert heard_s(writer.content(), due[-1] + 1) == pytest.approx(due, abs=0.012)


def test_a_thousand_tempos_in_four_minutes_lose_no_time():
    ticks = range(0, 240_000, 1000)
    rng = Random(0)
    tempos = [(tick, rng.randint(400_000, 600_000)) for tick in range(0, 240_000, 240)]
    writer = clicks(*ticks, tempos=tempos)
    due = [float(writer.seconds(tick)) for tick in ticks]
    assert due[-1] > 200
    assert heard_s(writer.content(), due[-1] + 1) == pytest.approx(due, abs=0.05)


def test_thousands_of_controllers_do_not_make_the_music_late():
    writer = clicks(*range(0, 19_200, 480))
    writer.tracks.append([(tick, bytes([0xE0, tick % 128, 64])) for tick in range(19_200)])
    due = [n * BEAT for n in range(40)]
    assert heard_s(writer.content(), 20.0) == pytest.approx(due, abs=0.05)


@pytest.mark.parametrize(("n_windows", "expected_s"), [(1, 4.0), (2, 8.0), (9, 16.0)])
def test_windows_begin_with_a_first_note_that_comes_late(n_windows, expected_s):
    content = clicks(*range(40_000, 55_360, 480)).content()
    played = render_windows(content, RATE, 4.0, n_windows, control=False)
    assert len(played.samples) == expected_s * RATE
    assert np.abs(played.samples[: RATE // 20]).max() > 0.1
    assert played.duration_s == pytest.approx(40_000 / 960 + 16, abs=2e-3)


def test_a_window_that_holds_one_note_begins_at_the_start():
    content = clicks(3 * 960, *range(40_000, 44_800, 480)).content()
    assert heard_s(content, 4.0) == pytest.approx([3.0], abs=0.01)


def test_damaged_files_play_the_notes_that_mido_finds():
    n_read = 0
    for seed in range(300):
        rng = Random(seed)
        writer = some_music(rng, [BETWEEN[name] for name in ("text", "lyric")])
        damaged = bytearray(writer.content())
        for _ in range(rng.randint(1, 3)):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        with contextlib.suppress(Exception):  # mido raises of all kinds
            theirs = found_by_mido(bytes(damaged))
            n_read += 1
            assert [note[:3] for note in found(bytes(damaged))] == theirs, seed
    assert n_read > 50


ONE = clicks(*STEADY).content()
TWO = Writer(tracks=clicks(*STEADY).tracks * 2).content()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (ONE[:-4], "breaks off in 1 of its tracks, first after 5.2 s; export it again"),
        (ONE[:-60], "breaks off in 1 of its tracks, first after 3.0 s; export it again"),
        (TWO.replace(b"MTrk", b"MTrx", 1), "has 1 of the 2 tracks that its header counts; export it again"),
        (
            TWO.replace(b"\0\2", b"\0\1"),
            "plays 1 of its 2 tracks, since its header counts no more; export it again",
        ),
    ],
    ids=["no end", "half a track", "no second track", "a track too many"],
)
def test_what_is_not_played_is_said(content, reason):
    assert render_windows(content, RATE, 1.0, 1, control=False).cut_short == reason


@pytest.mark.parametrize("length", [0, 20, 1000, 2**31])
def test_a_wrong_length_of_a_track_loses_no_note(length):
    content = TWO[:18] + length.to_bytes(4, "big") + TWO[22:]
    assert found(content) == found(TWO)
    assert read_midi(content).cut_short == ""


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (clicks(*STEADY, division=(0, 0)).content(), "its header gives no ticks per beat"),
        (clicks(*STEADY, division=(256 - 25, 0)).content(), "its header gives no ticks per beat"),
        (ONE[:13], "it ends within its header"),
        (b"RIFF" + bytes(4) + b"WAVE" + ONE, "it does not start with MThd"),
        (b"RIFF" + bytes(4) + b"RMID", "it does not start with MThd"),
    ],
)
def test_what_is_no_midi_is_one_line(content, reason):
    with pytest.raises(EncoreError, match=rf"^not a readable MIDI file \({reason}\); leave it out$"):
        read_midi(content)


def test_midi_is_known_by_its_content(tmp_path):
    path = tmp_path / "music"
    for content, is_known in [
        (ONE, True),
        (b"RIFF\0\0\0\0RMIDdata", True),
        (b"RIFF\0\0\0\0WAVEfmt ", False),
        (b"", False),
    ]:
        path.write_bytes(content)
        assert is_midi(path) == is_known


def test_a_number_that_never_ends_takes_no_time():
    content = ONE[:14] + chunk(b"MTrk", b"\xff" * (MAX_BYTES - 100))
    assert read_midi(content).cut_short.startswith("breaks off in 1 of its tracks, first after 0.0 s")
