"""Notes as written, and how players time them: swing, early and late notes, uneven loudness."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

TICKS_PER_BEAT = 480  # of the notes as written
MS_PER_BEAT = 500  # of the file, at the tempo of a file that names none: a tick is a millisecond
DRUM_CHANNEL = 9
BEND_RANGE = 2.0  # semitones that the pitch wheel covers
BEND_STEPS = 6


@dataclass(frozen=True)
class Note:
    """A note as written: beats from the start of the song, before swing."""

    start: float
    length: float
    pitch: int
    velocity: int
    scoop: float = 0.0  # semitones below the pitch that a bent note starts from


@dataclass(frozen=True)
class Part:
    """One player: a channel, a General MIDI program (or drum kit), a channel volume, and notes."""

    channel: int
    program: int
    volume: int
    notes: Sequence[Note]


@dataclass(frozen=True)
class Feel:
    """How a band plays what is written."""

    tempo_bpm: float
    swing: float  # share of a pair's time that its first half gets: 0.5 straight, 0.67 triplets
    swing_pair: float  # beats in a pair: 1 swings eighths, 0.5 sixteenths
    jitter_s: float  # greatest random change of an onset
    rubato: float  # greatest change of a bar's tempo, relative
    beats_per_bar: int


def swung(beat: float, swing: float, pair: float) -> float:
    """Return where a straight beat falls once every pair of notes is played long-short."""
    whole, rest = divmod(beat, pair)
    part = rest / pair
    bent = part * 2 * swing if part < 0.5 else swing + (part - 0.5) * 2 * (1 - swing)
    return (whole + bent) * pair


def midi(parts: Sequence[Part], feel: Feel, n_bars: int, rng: Random) -> bytes:
    """Return a Standard MIDI File (type 0) of the parts as the band plays them."""
    import mido

    tempos = [feel.tempo_bpm * (1 + feel.rubato * rng.uniform(-1, 1)) for _ in range(n_bars)]
    messages: list[tuple[int, int, mido.Message]] = []  # tick, order within the tick, message
    for part in parts:
        setup = [
            mido.Message("program_change", channel=part.channel, program=part.program),
            mido.Message("control_change", channel=part.channel, control=7, value=part.volume),
        ]
        messages += [(0, 1, message) for message in setup]
        messages += _played(part, feel, rng)
    track = mido.MidiTrack()
    messages.sort(key=lambda entry: entry[:2])  # stable: ties keep their order
    now = 0
    times = _milliseconds([tick for tick, _, _ in messages], tempos, feel.beats_per_bar * TICKS_PER_BEAT)
    for time, (_, _, message) in zip(times, messages, strict=True):
        message.time = time - now
        track.append(message)
        now = time
    file = mido.MidiFile(type=0, ticks_per_beat=MS_PER_BEAT)
    file.tracks.append(track)
    buffer = io.BytesIO()
    file.save(file=buffer)
    return buffer.getvalue()


def _milliseconds(ticks: Sequence[int], tempos_bpm: Sequence[float], ticks_per_bar: int) -> list[int]:
    """Return when ticks are played: bars begin, and notes in them, at whole milliseconds."""
    import mido

    ms_per_tick = [mido.bpm2tempo(tempo) / (1000.0 * TICKS_PER_BEAT) for tempo in tempos_bpm]
    starts = [0]
    for scale in ms_per_tick:
        starts.append(starts[-1] + int(ticks_per_bar * scale))
    times = []
    for tick in ticks:
        bar = min(tick // ticks_per_bar, len(tempos_bpm) - 1)
        times.append(starts[bar] + int((tick - bar * ticks_per_bar) * ms_per_tick[bar]))
    return times


def _played(part: Part, feel: Feel, rng: Random) -> list[tuple[int, int, object]]:
    import mido

    lag_s = rng.uniform(-0.3, 0.6) * feel.jitter_s  # each player is a little early or late throughout
    played = []
    for note in sorted(part.notes, key=lambda note: (note.start, note.pitch)):
        error_s = lag_s + feel.jitter_s * rng.uniform(-0.5, 0.5)
        start = swung(note.start, feel.swing, feel.swing_pair) + error_s * feel.tempo_bpm / 60
        stop = swung(note.start + note.length, feel.swing, feel.swing_pair)
        velocity = round(note.velocity * rng.uniform(0.92, 1.08))
        played.append((max(0, round(start * TICKS_PER_BEAT)), round(stop * TICKS_PER_BEAT), note, velocity))
    played.sort(key=lambda entry: entry[0])
    next_start: dict[int, int] = {}
    messages = []
    for start, stop, note, velocity in reversed(played):
        # a note still sounding when its pitch is struck again would cut the new one off at its own end
        stop = max(start + 1, min(stop, next_start.get(note.pitch, stop)))
        next_start[note.pitch] = start
        key = {"channel": part.channel, "note": note.pitch}
        messages.append((start, 4, mido.Message("note_on", velocity=max(1, min(127, velocity)), **key)))
        messages.append((stop, 2, mido.Message("note_off", **key)))
        if note.scoop:
            messages += _bend(part.channel, start, note.scoop)
    return messages


def _bend(channel: int, start: int, semitones: float) -> list[tuple[int, int, object]]:
    """Return the messages of the pitch wheel, from below up to the note within about an eighth."""
    import mido

    bends = []
    for step in range(BEND_STEPS + 1):
        wheel = round(-8191 * semitones / BEND_RANGE * (1 - step / BEND_STEPS))
        tick = start + step * TICKS_PER_BEAT // 4 // BEND_STEPS
        bends.append((tick, 3, mido.Message("pitchwheel", channel=channel, pitch=wheel)))
    return bends
