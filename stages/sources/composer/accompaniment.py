"""Drums, bass and chords: grooves from the vocabulary, played over a section's harmony."""

from collections.abc import Iterator, Sequence
from random import Random

from stages.sources.composer import theory
from stages.sources.composer.form import Section, Song, chord_at
from stages.sources.composer.score import Note
from stages.sources.composer.vocabulary import (
    BASSES,
    COMPS,
    DRUM_KEYS,
    DRUMS,
    INSTRUMENTS,
    WALTZ_DRUMS,
    Comp,
    Instrument,
)

VELOCITIES = {"X": 104, "x": 86, "o": 54}
STEP = 0.25  # beats in a sixteenth
BASS_CENTRE = 38
POWER_CENTRE = 45
FILLS = (
    ("snare", "snare", "high_tom", "low_tom"),
    ("snare", "snare", "snare", "snare"),
    ("high_tom", "mid_tom", "mid_tom", "low_tom"),
    ("snare", "kick", "snare", "snare"),
)


def drums(song: Song, section: Section, density: float, rng: Random) -> Iterator[Note]:
    """Yield the section's groove with small changes from bar to bar, a crash first and a fill at the end."""
    groove = (WALTZ_DRUMS if song.beats_per_bar == 3 else DRUMS)[section.drums]
    if not groove:
        return
    steps = song.beats_per_bar * 4
    to_ride = "hat" in groove and section.label == "B" and rng.random() < 0.4
    quiet = "snare" not in groove or section.drums == "brushes"
    fill = rng.choice(FILLS)
    for index, _ in enumerate(section.bars):
        bar = (section.start_bar + index) * song.beats_per_bar
        last = index == len(section.bars) - 1 and not quiet
        fill_from = steps - 4 if last else steps
        if index == 0 and section.label != "intro" and not quiet:
            yield _stroke("crash", bar, 0, "o", section.energy)
        for name, line in groove.items():
            drum = "ride" if name == "hat" and to_ride else name
            yield from _line(drum, line[:fill_from], bar, section.energy)
        if rng.random() < 0.5 * density:
            drum, mark = rng.choice((("snare", "o"), ("kick", "x")))
            if drum in groove:
                yield _stroke(drum, bar, rng.choice((3, 7, 10, 11)), mark, section.energy)
        for step in range(fill_from, steps):
            if rng.random() < 0.85:
                yield _stroke(fill[step - fill_from], bar, step, "x", section.energy)


def bass(song: Song, section: Section, instrument: Instrument, rng: Random) -> Iterator[Note]:
    """Yield the section's bass groove: a main figure, and another in every second or fourth bar."""
    figures = BASSES[section.bass]
    main, other = rng.choice(figures), rng.choice(figures)
    every = rng.choice((2, 4))
    root = None
    for index, bar in enumerate(section.bars):
        figure = other if index % every == every - 1 else main
        following = section.bars[(index + 1) % len(section.bars)][0]
        for step, length, mark in _hits(figure, bar, song.beats_per_bar * 4):
            now = chord_at(bar, step)
            centre = BASS_CENTRE if root is None else (BASS_CENTRE + root) / 2
            root = theory.nearest(
                theory.ladder(frozenset({now.root}), instrument.low, instrument.low + 23), centre
            )
            if mark == "a":
                target = root + (following.root - root + 5) % 12 - 5
                pitch = target + rng.choice((-1, 1, -2))
            else:
                pitch = root + now.degree(mark)
            pitch = _into(pitch, instrument.low, instrument.high)
            velocity = round((96 if step % 8 == 0 else 86) * section.energy)
            start = (section.start_bar + index) * song.beats_per_bar + step * STEP
            yield Note(start, length * STEP * 0.92, pitch, velocity)


def chords(
    song: Song, section: Section, how: str, instrument: Instrument, centre: int, rng: Random
) -> Iterator[Note]:
    """Yield a section's chords, voice-led from one to the next, in one of the ways of `COMPS`."""
    comp = COMPS[how]
    main, other = rng.choice(comp.grooves), rng.choice(comp.grooves)
    voicing: Sequence[int] = ()
    sounding: theory.Chord | None = None
    count = 0
    for index, bar in enumerate(section.bars):
        groove = other if index % 4 == 3 else main
        for step, length, mark in _hits(groove, bar, song.beats_per_bar * 4):
            now = chord_at(bar, step)
            if now != sounding:
                voicing, sounding, count = _layout(comp, now, centre, voicing), now, 0
            start = (section.start_bar + index) * song.beats_per_bar + step * STEP
            velocity = VELOCITIES[mark] * section.energy * (0.8 if comp.order != "together" else 1)
            pitches = _selected(comp, voicing, count)
            count += 1
            for place, pitch in enumerate(pitches):
                delay = comp.spread * place / len(pitches)
                pitch = _into(pitch, instrument.low, instrument.high)
                yield Note(start + delay, length * STEP * comp.length - delay, pitch, round(velocity))


def answers(song: Song, section: Section, instrument: Instrument, centre: int, rng: Random) -> Iterator[Note]:
    """Yield short replies at the end of every second bar, where melodies rest."""
    shape = [(0.0, rng.choice((-1, 0, 1)))]
    while len(shape) < rng.choice((3, 4)):
        shape.append((shape[-1][0] + rng.choice((0.5, 0.5, 0.25)), shape[-1][1] + rng.choice((-1, 1, 1, 2))))
    for index in range(1, len(section.bars), 2):
        bar = section.bars[index]
        scale = theory.chord_scale(theory.SCALES[song.scale], song.tonic, bar[-1])
        rungs = theory.ladder(scale, max(instrument.low, centre - 12), min(instrument.high, centre + 14))
        tones = [pitch for pitch in rungs if pitch % 12 in bar[-1].pitch_classes]
        anchor = rungs.index(theory.nearest(tones, centre))
        beat = (section.start_bar + index + 1) * song.beats_per_bar - 2
        for place, (offset, step) in enumerate(shape):
            rung = rungs[max(0, min(len(rungs) - 1, anchor + step))]
            last = place == len(shape) - 1
            pitch = theory.nearest(tones, rung) if last else rung
            length = 2 - offset if last else shape[place + 1][0] - offset
            yield Note(beat + offset, length * 0.9, pitch, round(84 * section.energy))


def _line(drum: str, line: str, bar: float, energy: float) -> Iterator[Note]:
    for step, mark in enumerate(line):
        if mark in VELOCITIES:
            yield _stroke(drum, bar, step, mark, energy)


def _stroke(drum: str, bar: float, step: int, mark: str, energy: float) -> Note:
    return Note(bar + step * STEP, STEP, DRUM_KEYS[drum], round(VELOCITIES[mark] * energy))


def _hits(groove: str, bar: Sequence[theory.Chord], steps: int) -> Iterator[tuple[int, int, str]]:
    """Yield (step, length in steps, mark) of each hit; one held across a change of chord is played again."""
    groove = groove[:steps]
    for step, mark in enumerate(groove):
        if mark in ".-":
            continue
        length = 1
        while step + length < steps and groove[step + length] == "-":
            length += 1
        if len(bar) == 2 and step < 8 < step + length:
            yield step, 8 - step, mark
            yield 8, step + length - 8, mark
        else:
            yield step, length, mark


def _layout(comp: Comp, over: theory.Chord, centre: int, previous: Sequence[int]) -> list[int]:
    if comp.layout == "close":
        return theory.voicing(over, centre, previous)
    root = theory.nearest(range(POWER_CENTRE - 6 + (over.root - POWER_CENTRE + 6) % 12, 60, 12), POWER_CENTRE)
    if comp.layout == "power":
        return [root, root + over.degree("5"), root + 12]
    return [root, root + over.degree("5"), root + over.degree("6")]


def _selected(comp: Comp, voicing: Sequence[int], count: int) -> list[int]:
    """Return the notes of a chord's `count`-th hit."""
    if comp.layout == "boogie":
        return [voicing[0], voicing[1 + count // 2 % 2]]
    if comp.order == "together":
        return list(voicing)
    climb = [*voicing, voicing[0] + 12]
    if comp.order == "alberti":
        return [(voicing[0], voicing[-1], voicing[1], voicing[-1])[count % 4]]
    path = climb if comp.order == "up" else climb + climb[-2:0:-1]
    return [path[count % len(path)]]


def _into(pitch: int, low: int, high: int) -> int:
    """Return the pitch, moved by octaves into a range."""
    while pitch < low:
        pitch += 12
    while pitch > high:
        pitch -= 12
    return pitch


def instrument(song: Song, role: str) -> Instrument:
    """Return the instrument of a role."""
    return INSTRUMENTS[song.instruments[role]]
