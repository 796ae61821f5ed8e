"""The building blocks of all genres: instruments, progressions, grooves.

Grooves are one bar on a grid of sixteenths: ``X`` accent, ``x`` hit, ``o`` ghost, ``-`` holds what
sounds, ``.`` rests. A bar of three beats plays the first twelve.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Instrument:
    """A General MIDI program, its range, and how loud the font plays it (dB, measured at velocity 95)."""

    program: int
    low: int
    high: int
    loudness_db: float


INSTRUMENTS = {
    "piano": Instrument(0, 28, 98, -42.0),
    "honky_tonk": Instrument(3, 31, 93, -43.8),
    "electric_piano": Instrument(4, 31, 93, -37.9),
    "harpsichord": Instrument(6, 36, 89, -43.5),
    "clavinet": Instrument(7, 36, 84, -41.8),
    "vibraphone": Instrument(11, 53, 89, -29.5),
    "organ": Instrument(16, 36, 90, -34.4),
    "harmonica": Instrument(22, 55, 88, -34.3),
    "nylon_guitar": Instrument(24, 40, 83, -32.9),
    "steel_guitar": Instrument(25, 40, 84, -37.5),
    "jazz_guitar": Instrument(26, 40, 84, -31.0),
    "clean_guitar": Instrument(27, 40, 86, -38.9),
    "muted_guitar": Instrument(28, 40, 80, -32.5),
    "overdriven_guitar": Instrument(29, 38, 88, -37.7),
    "distortion_guitar": Instrument(30, 36, 88, -35.3),
    "upright_bass": Instrument(32, 28, 60, -28.4),
    "fingered_bass": Instrument(33, 26, 60, -27.8),
    "picked_bass": Instrument(34, 26, 60, -32.1),
    "fretless_bass": Instrument(35, 28, 60, -28.0),
    "slap_bass": Instrument(36, 28, 60, -27.7),
    "synth_bass": Instrument(38, 24, 60, -27.9),
    "violin": Instrument(40, 55, 93, -31.4),
    "cello": Instrument(42, 36, 76, -30.6),
    "strings": Instrument(48, 36, 93, -37.8),
    "slow_strings": Instrument(49, 36, 91, -38.9),
    "choir": Instrument(52, 43, 81, -32.8),
    "trumpet": Instrument(56, 54, 84, -31.2),
    "trombone": Instrument(57, 40, 72, -35.2),
    "brass": Instrument(61, 43, 82, -38.8),
    "alto_sax": Instrument(65, 49, 82, -30.0),
    "tenor_sax": Instrument(66, 44, 77, -35.9),
    "clarinet": Instrument(71, 50, 88, -32.7),
    "flute": Instrument(73, 60, 94, -26.2),
    "square_lead": Instrument(80, 43, 90, -39.3),
    "saw_lead": Instrument(81, 43, 90, -37.3),
    "warm_pad": Instrument(89, 40, 84, -35.8),
}
KITS = {  # drum kits; low and high are not used
    "standard": Instrument(0, 0, 127, -35.0),
    "room": Instrument(8, 0, 127, -31.0),
    "power": Instrument(16, 0, 127, -32.0),
    "electronic": Instrument(24, 0, 127, -31.0),
    "analog": Instrument(25, 0, 127, -30.0),
    "jazz": Instrument(32, 0, 127, -35.0),
    "brush": Instrument(40, 0, 127, -37.0),
}

# bars are separated by |; a blank within a bar changes the chord half-way
PROGRESSIONS = {
    "twelve_bar": "I7 | I7 | I7 | I7 | IV7 | IV7 | I7 | I7 | V7 | IV7 | I7 | V7",
    "quick_change": "I7 | IV7 | I7 | I7 | IV7 | IV7 | I7 | VI7 | ii7 | V7 | I7 VI7 | ii7 V7",
    "eight_bar": "I7 | V7 | IV7 | IV7 | I7 | V7 | I7 IV7 | I7 V7",
    "axis": "I | V | vi | IV",
    "fifties": "I | vi | IV | V",
    "three_chord": "I | IV | I | V",
    "cadence": "I | V7 | V7 | I",
    "canon": "I V | vi iii | IV I | IV V",
    "mixolydian": "I | bVII | IV | I",
    "two_five_one": "ii7 | V7 | Imaj7 | Imaj7",
    "turnaround": "Imaj7 vi7 | ii7 V7 | iii7 VI7 | ii7 V7",
    "plagal": "I | IV | I | IV",
    "sensitive": "vi | IV | I | V",
    "step_up": "I | ii | IV | V",
    "ragtime": "I | VI7 | II7 | V7",
    "backdoor": "Imaj7 | IVmaj7 | iv7 | bVII7",
    "minor_blues": "i7 | i7 | i7 | i7 | iv7 | iv7 | i7 | i7 | bVI7 | V7 | i7 | V7",
    "aeolian": "i | bVI | bIII | bVII",
    "andalusian": "i | bVII | bVI | V7",
    "minor_cadence": "i | iv | V7 | i",
    "dorian": "i7 | IV7 | i7 | IV7",
    "fifths": "i7 | iv7 | bVII7 | bIIImaj7 | bVImaj7 | iim7b5 | V7 | i7",
    "minor_two_five": "iim7b5 | V7 | i7 | i7",
    "phrygian": "i | bII | i | bVII",
    "minor_climb": "i | bVI | bVII | i",
    "minor_vamp": "i7 | i7 | iv7 | i7",
}

DRUM_KEYS = {
    "kick": 36, "stick": 37, "snare": 38, "clap": 39, "hat": 42, "pedal": 44, "open": 46, "crash": 49,
    "ride": 51, "tambourine": 54, "cowbell": 56, "conga": 63, "low_conga": 64, "shaker": 70,
    "low_tom": 45, "mid_tom": 47, "high_tom": 50,
}  # fmt: skip
DRUMS: dict[str, dict[str, str]] = {
    "none": {},
    "backbeat": {"kick": "X.......x.x.....", "snare": "....X.......X...", "hat": "x.x.x.x.x.x.x.x."},
    "drive": {"kick": "X..x..x.X..x....", "snare": "....X.......X..o", "open": "x...x...x...x..."},
    "half_time": {"kick": "X.....x.........", "snare": "........X.......", "hat": "x.x.x.x.x.x.x.x."},
    "ballad": {"kick": "X.........x.....", "stick": "....X.......X...", "hat": "x.o.x.o.x.o.x.o."},
    "shuffle": {"kick": "X.....o.X.....o.", "snare": "....X.......X...", "ride": "x.x.x.x.x.x.x.x."},
    "swing": {"kick": "o.......o.......", "pedal": "....x.......x...", "ride": "X...x.x.X...x.x."},
    "brushes": {"snare": "o.o.x.o.o.o.x.o.", "pedal": "....x.......x...", "kick": "o...............",
                "ride": "x...x...x...x..."},
    "train": {"kick": "X.......X.......", "snare": "o.ooX.ooo.ooX.oo", "pedal": "....x.......x..."},
    "two_step": {"kick": "X.......X.......", "snare": "....x.......x...", "hat": "x.x.x.x.x.x.x.x."},
    "four_floor": {"kick": "X...X...X...X...", "snare": "....X.......X...", "open": "..x...x...x...x.",
                   "hat": "x..ox..ox..ox..o", "tambourine": "..x...x...x...x."},
    "club": {"kick": "X...X...X...X...", "clap": "....X.......X...", "open": "..X...X...X...X.",
             "shaker": "x.xxx.xxx.xxx.xx"},
    "boom_bap": {"kick": "X..x......x.....", "snare": "....X..o....X...", "hat": "x.x.x.x.x.x.x.xo"},
    "trap": {"kick": "X.....x...x.....", "clap": "........X.......", "hat": "x.xxx.x.xxx.xoxo"},
    "funk": {"kick": "X.x.......x..x..", "snare": "....X..o.o..X..o", "hat": "xxxxxxxxxxxxxx.x",
             "open": "..............x."},
    "double_kick": {"kick": "XxxxXxxxXxxxXxxx", "snare": "....X.......X...", "crash": "o.......o......."},
    "gallop": {"kick": "X.xxX.xxX.xxX.xx", "snare": "....X.......X...", "hat": "x...x...x...x..."},
    "one_drop": {"kick": "........X.......", "stick": "........X.......", "hat": "x.x.x.x.x.x.x.xo"},
    "steppers": {"kick": "X...X...X...X...", "stick": "........X.....x.", "hat": "..x...x...x...x.",
                 "conga": "......x......xx."},
    "rockers": {"kick": "X.....x.X.......", "snare": "........X.......", "hat": "x.x.x.xxx.x.x.x.",
                "cowbell": "x.....x.....x..."},
    "bossa": {"kick": "X.....xxX.....xx", "stick": "x.....x.....x...", "shaker": "x.x.x.x.x.x.x.x."},
    "conga": {"low_conga": "......xx......xx", "conga": "X...x...X...x...", "shaker": "x.xxx.xxx.xxx.xx",
              "kick": "x.......x......."},
}  # fmt: skip
WALTZ_DRUMS: dict[str, dict[str, str]] = {
    "none": {},
    "waltz": {"kick": "X...........", "snare": "....x...x...", "hat": "x.x.x.x.x.x."},
    "jazz_waltz": {
        "kick": "o...........",
        "pedal": "....x.......",
        "ride": "X...x.x.X...",
        "snare": "......o.....",
    },
    "waltz_ballad": {"kick": "X...........", "stick": "........x...", "hat": "x.o.x.o.x.o."},
}

# bass grooves name chord degrees (R 3 5 6 7 8); 'a' leads into the next root by step
BASSES = {
    "whole": ("R---------------", "R-----------5---"),
    "root_fifth": ("R---....5---....", "R-----..5-----..", "R---..R.5---..a."),
    "walking": ("R---3---5---a---", "R---5---8---a---", "8---5---3---a---", "R---3---5---6-a-"),
    "boogie": ("R-R-3-3-5-5-6-6-", "R---3---5---6---", "8-8-7-7-6-6-5-5-"),
    "eighths": ("R-R-R-R-R-R-R-R-", "R-R-R-R-R-R-5-a-"),
    "octaves": ("R.8.R.8.R.8.R.8.", "R.8.R.8.R.85R.a."),
    "syncopated": ("R--R..R...R.5...", "R.....R-..5.8...", "R--8..7...5.R-.."),
    "sub": ("R--------.R-....", "R-----R-......a-"),
    "one_drop": ("....R-R-5---R...", "..R-R-..3-5-R...", "R-..R-5-..R-3-.."),
    "riff": ("R-R-..7-R-..5-7-", "R-..R-8-..7-5-..", "R-R-8-..R-R-7-5-"),
    "gallop": ("R.RRR.RRR.RRR.RR", "R.RRR.RRR.RR5.a."),
    "latin": ("R-----5---..8---", "R-----5-5-----a-"),
}


@dataclass(frozen=True)
class Comp:
    """A way to play chords: its grooves, the order of a chord's notes, and how they are laid out."""

    grooves: tuple[str, ...]
    order: str = "together"  # or up, updown, alberti: one note of the chord a hit
    layout: str = "close"  # or power (root, fifth, octave), boogie (fifth and sixth in turn)
    spread: float = 0.0  # beats from the first to the last note of a strummed chord
    length: float = 1.0  # share of a hit's time on the grid that it sounds


COMPS = {
    "pad": Comp(("x---------------",)),
    "block": Comp(("x-------x-------", "x-----x-----x---", "x---x---x---x---")),
    "strum": Comp(("X---x-x--xx-x-x-", "X-x-x-x-X-x-x-x-", "X---x-xx..x-x-xx"), spread=0.06),
    "stab": Comp(
        ("x.....x.........", "...x..x...x.....", "......x.......x.", "x..x......x..x.."), length=0.8
    ),
    "charleston": Comp(("x.....x-........", "......x-....x...", "x-..........x-..", "..x-......x-....")),
    "skank": Comp(("..x...x...x...x.", "....x.......x...", "..x...x...x..xx."), length=0.6),
    "boom_chuck": Comp(("....x-......x-..", "....x-.x....x-xx", "....x-......x-x-"), spread=0.04, length=0.7),
    "scratch": Comp(("x.xx..x.x.xx.xx.", "..x..xx...x..xx.", "x..x..xx.x..x.x."), length=0.5, spread=0.02),
    "chug": Comp(("X.xxX.xxX.xxX.xx", "X.x.x.x.X.x.x.x.", "Xx.xx.x.Xx.xx.x."), layout="power", length=0.6),
    "power": Comp(("X---------------", "X-----X---------", "X-----X-----X---"), layout="power"),
    "boogie": Comp(("X-x-X-x-X-x-X-x-",), layout="boogie", length=0.7),
    "arpeggio": Comp(("x-x-x-x-x-x-x-x-", "x---x---x---x---"), order="updown"),
    "harp": Comp(("xxxxxxxxxxxxxxxx", "x-x-x-x-x-x-x-x-"), order="up"),
    "alberti": Comp(("x-x-x-x-x-x-x-x-",), order="alberti"),
}
