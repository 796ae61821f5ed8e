"""Melodies: two-bar motifs that return, vary and answer one another, with rests between."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

from stages.sources.composer import theory
from stages.sources.composer.artists import Artist
from stages.sources.composer.chance import seeded
from stages.sources.composer.form import Section, Song, chord_at
from stages.sources.composer.score import Note
from stages.sources.composer.vocabulary import Instrument

# how motifs follow one another: same letter, same motif; a digit shifts it by steps of the scale;
# '_' is a rest for the others to fill
PHRASES = (
    ("a0", "a1", "b0", "z0"),
    ("a0", "b0", "a0", "z0"),
    ("a0", "a-1", "a-2", "z0"),
    ("a0", "_", "a1", "z0"),
    ("a0", "b0", "b1", "z0"),
)
SOLOS = (("a0", "b0", "c0", "z0"), ("a0", "c2", "b0", "z0"), ("c0", "b1", "a0", "_"))
CELLS: tuple[tuple[tuple[float, ...], float, float], ...] = (  # lengths; weight when sparse, when busy
    ((2.0,), 2.0, 0.2),
    ((1.0,), 3.0, 1.2),
    ((-1.0,), 1.2, 0.3),  # a rest
    ((0.5, 0.5), 2.0, 4.0),
    ((-0.5, 0.5), 1.2, 1.6),
    ((1.5, 0.5), 1.5, 1.2),
    ((0.5, 1.0, 0.5), 0.8, 1.4),
    ((0.75, 0.25), 0.5, 0.8),
    ((0.5, 0.25, 0.25), 0.1, 1.0),
    ((0.25, 0.25, 0.25, 0.25), 0.0, 0.8),
)
FAST_BPM = 132  # sixteenths are left out above it
STEPS = (-2, -1, -1, -1, 0, 1, 1, 1, 2, -3, 4)


@dataclass(frozen=True)
class Tone:
    """A note of a motif: when, how long (beats), and how many steps of the scale from its centre."""

    start: float
    length: float
    step: int


def motif(beats: float, density: float, tempo_bpm: float, rng: Random) -> list[Tone]:
    """Draw a rhythm of cells with a line that moves by steps, sometimes leaps, and returns to its centre."""
    cells = [cell for cell in CELLS if tempo_bpm < FAST_BPM or min(map(abs, cell[0])) > 0.25]
    weights = [sparse * (1 - density) + busy * density for _, sparse, busy in cells]
    breath = beats - rng.choice((0.5, 1.0, 1.0, 1.5))
    start, step = 0.0, rng.choice((-1, 0, 0, 2))
    tones: list[Tone] = []
    while start < breath:
        for length in rng.choices(cells, weights)[0][0]:
            if length > 0 and start < breath:
                tones.append(Tone(start, min(length, breath - start), step))
                step += rng.choice(STEPS) if abs(step) < 4 else (-1 if step > 0 else 1) * rng.choice((1, 2))
            start += abs(length)
    return tones or [Tone(0.0, 1.0, step)]


def lead(
    song: Song, section: Section, artist: Artist, instrument: Instrument, seed: str, harmonised: bool
) -> Iterator[Note]:
    """Yield a section's melody; the same `seed` gives the same motifs, over whatever harmony there is."""
    rng = seeded(seed)
    beats = 2 * song.beats_per_bar
    density = min(1.0, artist.density + (0.3 if section.solo else 0.0))
    motifs = {name: motif(beats, density, song.tempo_bpm, rng) for name in "abc"}
    motifs["z"] = motif(beats - 2, density, song.tempo_bpm, rng)
    plan = rng.choice(SOLOS if section.solo else PHRASES)
    centre = artist.register + (3 if section.label == "B" else 0)
    scoops = rng.random() < (0.8 if song.scale in ("blues", "minor_pentatonic") else 0.3)
    for index in range(0, len(section.bars), 2):
        unit = plan[index // 2 % len(plan)]
        if unit == "_":
            continue
        tones = motifs[unit[0]]
        shift = int(unit[1:])
        if unit[0] == "z":
            tones = [*tones, Tone(beats - 2, 1.5, 0)]  # a phrase ends on a long note at its centre
        bars = section.bars[index : index + 2]
        for tone in tones:
            place = int(tone.start // song.beats_per_bar)
            if place >= len(bars):
                break
            step = int(tone.start % song.beats_per_bar * 4)
            over = chord_at(bars[place], step)
            strong = step % 4 == 0 and (tone.length >= 1 or step % 8 == 0)
            pitches = _pitches(song, over, instrument, centre, tone.step + shift, strong, harmonised)
            accent = 1.06 if step % 8 == 0 else 0.97
            start = (section.start_bar + index) * song.beats_per_bar + tone.start
            scoop = rng.choice((0.0, 0.0, 1.0, 2.0)) if scoops and tone.length >= 1 else 0.0
            for pitch, loudness in zip(pitches, (94, 76), strict=False):
                velocity = round(loudness * accent * section.energy)
                yield Note(start, tone.length * artist.legato, pitch, velocity, scoop)
                scoop = 0.0  # the wheel moves both voices; ask for it once


def _pitches(
    song: Song,
    over: theory.Chord,
    instrument: Instrument,
    centre: int,
    step: int,
    strong: bool,
    harmonised: bool,
) -> Sequence[int]:
    """Return a note of the scale around `centre`, of the chord if `strong`; with the third below if asked."""
    scale = theory.chord_scale(theory.SCALES[song.scale], song.tonic, over)
    centre = max(instrument.low + 7, min(instrument.high - 7, centre))
    rungs = theory.ladder(scale, max(instrument.low, centre - 14), min(instrument.high, centre + 14))
    place = rungs.index(theory.nearest(rungs, centre)) + step
    pitch = rungs[max(0, min(len(rungs) - 1, place))]
    if strong:
        pitch = theory.nearest([rung for rung in rungs if rung % 12 in over.pitch_classes], pitch)
    if not harmonised:
        return [pitch]
    below = [rung for rung in rungs if 3 <= pitch - rung <= 5]
    return [pitch, below[-1]] if below else [pitch]
