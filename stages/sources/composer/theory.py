"""Chords, scales and voice leading; pitches are MIDI note numbers, pitch classes 0-11 count from C."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

DEGREES = {"i": 0, "ii": 2, "iii": 4, "iv": 5, "v": 7, "vi": 9, "vii": 11}
QUALITIES = {
    "": ((0, 4, 7), (0, 3, 7)),  # on an upper-case numeral, on a lower-case one
    "7": ((0, 4, 7, 10), (0, 3, 7, 10)),
    "maj7": ((0, 4, 7, 11), (0, 3, 7, 11)),
    "m7b5": ((0, 3, 6, 10), (0, 3, 6, 10)),
}
KEYS = ("C", "Db", "D", "Eb", "E", "F", "Gb", "G", "Ab", "A", "Bb", "B")
SCALES = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
    "major_pentatonic": (0, 2, 4, 7, 9),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "phrygian": (0, 1, 3, 5, 7, 8, 10),
    "minor_pentatonic": (0, 3, 5, 7, 10),
    "blues": (0, 3, 5, 6, 7, 10),
}


@dataclass(frozen=True)
class Chord:
    """A chord in a key: `root` is a pitch class, `intervals` are semitones above it."""

    root: int
    intervals: tuple[int, ...]

    @property
    def pitch_classes(self) -> tuple[int, ...]:
        """Its notes, root first."""
        return tuple((self.root + interval) % 12 for interval in self.intervals)

    def degree(self, name: str) -> int:
        """Return the semitones above the root of a bass's ``R``, ``3``, ``5``, ``6``, ``7`` or ``8``."""
        third, fifth = self.intervals[1:3]
        seventh = self.intervals[3] if len(self.intervals) > 3 else 10
        return {"R": 0, "3": third, "5": fifth, "6": 9, "7": seventh, "8": 12}[name]


def chord(numeral: str, tonic: int) -> Chord:
    """Return the chord that a roman numeral such as ``bVII`` or ``iim7b5`` names above `tonic`."""
    match = re.fullmatch(r"([b#]?)([iv]+|[IV]+)(.*)", numeral)
    if match is None:
        raise ValueError(f"no roman numeral: {numeral!r}")
    accidental, degree, quality = match.groups()
    root = tonic + DEGREES[degree.lower()] + {"b": -1, "#": 1, "": 0}[accidental]
    return Chord(root % 12, QUALITIES[quality][degree.islower()])


def chord_scale(scale: Sequence[int], tonic: int, over: Chord) -> frozenset[int]:
    """Return the scale's pitch classes, in which the chord's notes replace those they are altered from.

    A foreign major third is a raised note (G sharp over E7 in A minor replaces G, not A); any other
    foreign note is a lowered one.
    """
    tones = set(over.pitch_classes)
    kept = {(tonic + step) % 12 for step in scale}
    raised = (over.root + 4) % 12
    altered = {(tone - 1 if tone == raised else tone + 1) % 12 for tone in tones - kept}
    return frozenset((kept - altered) | tones)


def ladder(pitch_classes: frozenset[int], low: int, high: int) -> list[int]:
    """Return every pitch from `low` to `high` of these classes, ascending."""
    return [pitch for pitch in range(low, high + 1) if pitch % 12 in pitch_classes]


def nearest(pitches: Sequence[int], target: float) -> int:
    """Return the pitch closest to `target`, the lower of two equally close."""
    return min(pitches, key=lambda pitch: (abs(pitch - target), pitch))


def voicing(over: Chord, centre: int, previous: Sequence[int]) -> list[int]:
    """Return the close position that moves least from `previous`, or lies nearest to `centre` without one."""
    classes = over.pitch_classes
    candidates = []
    for lowest in range(centre - 10, centre + 4):
        if lowest % 12 in classes:
            pitches = sorted(lowest + (pitch_class - lowest) % 12 for pitch_class in classes)
            drift = abs(sum(pitches) / len(pitches) - centre)
            movement = sum(min(abs(pitch - old) for old in previous) for pitch in pitches) if previous else 0
            candidates.append((movement + drift, pitches))
    return min(candidates)[1]
