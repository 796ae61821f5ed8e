"""The made-up artists and their habits, from data/facts/sample_artists.csv."""

import csv
import functools
from dataclasses import dataclass, fields
from pathlib import Path
from random import Random
from typing import Any

from stages.sources.composer.styles import STYLES, Weights

TABLE = Path(__file__).parents[3] / "data" / "facts" / "sample_artists.csv"


@dataclass(frozen=True)
class Artist:
    """One row of the table; lists of names are separated by blanks, levels are relative to an even mix."""

    genre: str
    artist: str
    leans_to: str  # a neighbouring genre that some choices are drawn from
    lean: float  # how many of them
    tempo_low_bpm: float
    tempo_high_bpm: float
    waltz: float  # share of songs in three
    swing: float  # 0.5 straight, 0.67 triplets
    swing_note: int  # 8 swings eighths, 16 sixteenths
    keys: str
    minor: float  # share of songs in a minor key
    leads: str
    comps: str
    backings: str
    basses: str
    kits: str
    density: float  # 0 sparse melodies, 1 busy
    register: int  # MIDI note that melodies circle around
    legato: float  # share of a note's time that it sounds
    jitter_ms: float
    rubato: float  # greatest change of a bar's tempo, relative
    lead_db: float
    comp_db: float
    backing_db: float
    bass_db: float
    drum_db: float
    reverb_s: float  # 60 dB decay of the room
    reverb_db: float  # its level beside the dry sound
    loudness_db: float  # of the finished track, below the renderer's level

    def pick(self, what: str, rng: Random) -> str:
        """Draw a name from one of the columns that list several."""
        names: str = getattr(self, what)
        return rng.choice(names.split())

    def weights(self, what: str, rng: Random) -> Weights:
        """Return the weights of the artist's genre, or sometimes of the one it leans to."""
        genre = self.leans_to if rng.random() < self.lean else self.genre
        weights: Weights = getattr(STYLES[genre], what)
        return weights


@functools.cache
def artists() -> dict[str, tuple[Artist, ...]]:
    """Return the artists of each genre, in the table's order."""
    with TABLE.open(newline="", encoding="utf-8") as file:
        convert: dict[str, Any] = {field.name: field.type for field in fields(Artist)}
        rows = [
            Artist(**{name: convert[name](line[name]) for name in convert}) for line in csv.DictReader(file)
        ]
    return {genre: tuple(row for row in rows if row.genre == genre) for genre in STYLES}
