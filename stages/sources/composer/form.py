"""A song's plan: key, harmony and sections, and who plays what in each."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from stages.sources.composer import theory
from stages.sources.composer.artists import Artist
from stages.sources.composer.chance import draw
from stages.sources.composer.styles import Weights
from stages.sources.composer.vocabulary import COMPS, PROGRESSIONS

Bar = tuple[theory.Chord, ...]  # one chord, or two that share the bar

INTROS = (
    {"comp"}, {"comp", "bass"}, {"comp", "drums"}, {"backing", "comp", "bass"},
    {"comp", "bass", "drums"}, {"comp", "bass", "drums", "backing"},
)  # fmt: skip
PLUCKED = {
    "nylon_guitar", "steel_guitar", "jazz_guitar", "clean_guitar", "muted_guitar", "overdriven_guitar",
    "clavinet", "harpsichord",
}  # fmt: skip
SUSTAINING = {
    "organ", "strings", "slow_strings", "choir", "warm_pad", "brass", "saw_lead", "tenor_sax", "alto_sax",
    "violin", "cello", "trumpet", "harmonica",
}  # fmt: skip
LOW = {
    "distortion_guitar",
    "overdriven_guitar",
    "steel_guitar",
    "clean_guitar",
    "piano",
    "honky_tonk",
    "saw_lead",
}


@dataclass(frozen=True)
class Section:
    """Some bars with one texture; sections of one label share their melodic material."""

    label: str
    start_bar: int
    bars: Sequence[Bar]
    players: frozenset[str]
    drums: str
    bass: str
    comp: str
    backing: str
    energy: float  # factor on velocities
    lead: str  # "lead", or "second" for the other melody instrument
    solo: bool  # improvised


@dataclass(frozen=True)
class Song:
    """What is fixed before a note is written."""

    tempo_bpm: float
    beats_per_bar: int
    tonic: int
    scale: str
    swing: float
    instruments: dict[str, str]  # lead, second, comp, backing, bass: names; drums: a kit
    progressions: tuple[str, ...]
    sections: tuple[Section, ...]

    @property
    def n_bars(self) -> int:
        """Length of the song."""
        return sum(len(section.bars) for section in self.sections)


def suits(how: str, instrument: str) -> bool:
    """Return whether an instrument can play chords that way; ``answer`` is a melody and suits all."""
    if how == "answer":
        return True
    if instrument == "distortion_guitar":
        return (
            COMPS[how].layout != "close" or COMPS[how].order != "together"
        )  # close chords are not heard as chords
    if COMPS[how].layout != "close":
        return instrument in LOW
    if how in ("strum", "boom_chuck", "scratch"):
        return instrument in PLUCKED or (how == "boom_chuck" and instrument not in SUSTAINING)
    return instrument in SUSTAINING if how == "pad" else True


def plan(artist: Artist, duration_s: float, rng: Random) -> Song:
    """Draw a song that lasts at least `duration_s`."""
    tempo_bpm = rng.uniform(artist.tempo_low_bpm, artist.tempo_high_bpm)
    beats_per_bar = 3 if rng.random() < artist.waltz else 4
    tonic = theory.KEYS.index(artist.pick("keys", rng))
    minor = rng.random() < artist.minor
    form = draw(artist.weights("form", rng), rng)
    first, second = _progressions(artist, form, minor, rng)
    scale = draw(_of_mode(artist.weights("scale", rng), minor), rng)
    lead, other = artist.pick("leads", rng), artist.pick("leads", rng)
    instruments = {
        "lead": lead,
        "second": other,
        "comp": artist.pick("comps", rng),
        "backing": artist.pick("backings", rng),
        "bass": artist.pick("basses", rng),
        "drums": artist.pick("kits", rng),
    }
    # straight players stay straight, swinging ones are never quite the same
    swing = max(0.5, artist.swing + rng.uniform(-0.02, 0.02)) if artist.swing > 0.5 else 0.5
    n_bars = int(duration_s * tempo_bpm / 60 / beats_per_bar * (1 + artist.rubato)) + 2
    sections = _sections(artist, form, (first, second), n_bars, beats_per_bar, tonic, instruments, rng)
    return Song(
        tempo_bpm,
        beats_per_bar,
        tonic,
        scale,
        swing,
        instruments,
        tuple(dict.fromkeys((first, second))),
        sections,
    )


def harmony(progression: str, tonic: int) -> list[Bar]:
    """Return the chords of a progression, bar by bar."""
    return [
        tuple(theory.chord(numeral, tonic) for numeral in bar.split())
        for bar in PROGRESSIONS[progression].split("|")
    ]


def chord_at(bar: Bar, step: int) -> theory.Chord:
    """Return the chord of a sixteenth of a bar; two chords change after its second beat."""
    return bar[1] if len(bar) == 2 and step >= 8 else bar[0]


def is_minor(progression: str) -> bool:
    """Return whether a progression's tonic chord is minor."""
    return any(numeral in ("i", "i7") for numeral in PROGRESSIONS[progression].split())


def _progressions(artist: Artist, form: str, minor: bool, rng: Random) -> tuple[str, str]:
    weights = artist.weights("progression", rng)
    of_mode = {name: weight for name, weight in weights.items() if is_minor(name) == minor} or weights
    first = draw(of_mode, rng)
    rest = {name: weight for name, weight in of_mode.items() if name != first}
    # a solo goes over the head's changes, a loop is one progression; so is a twelve-bar, whatever the form
    if form in ("head_solo", "loop") or len(harmony(first, 0)) > 8 or not rest:
        return first, first
    short = {name: weight for name, weight in rest.items() if len(harmony(name, 0)) <= 8}
    return first, draw(short, rng) if short else first


def _of_mode(scales: Weights, minor: bool) -> Weights:
    of_mode = {
        name: weight
        for name, weight in scales.items()
        if name == "blues" or (3 in theory.SCALES[name] and 4 not in theory.SCALES[name]) == minor
    }
    return of_mode or scales


def _sections(
    artist: Artist,
    form: str,
    progressions: tuple[str, str],
    n_bars: int,
    beats_per_bar: int,
    tonic: int,
    instruments: dict[str, str],
    rng: Random,
) -> tuple[Section, ...]:
    chords = {label: harmony(name, tonic) for label, name in zip("AB", progressions, strict=True)}
    running = progressions[0] == progressions[1]  # one progression runs on across sections
    unit = 4 if n_bars < 16 else 12 if running and len(chords["A"]) == 12 and n_bars >= 24 else 8
    textures = {label: _texture(artist, beats_per_bar, instruments, rng) for label in "AB"}
    textures["B"]["lead"] = "second" if form == "head_solo" or rng.random() < 0.5 else "lead"
    sections: list[Section] = []
    start, position = 0, 0
    if rng.random() < 0.6:
        intro = chords["A"][-2:]  # a song often starts from its turnaround
        players = frozenset(rng.choice(INTROS))
        sections.append(Section("intro", 0, intro, players, energy=0.8, solo=False, **textures["A"]))
        start = 2
    labels = rng.choice(("AB", "AAB", "ABB")) if n_bars >= 24 else "AB"
    turn = 0
    while start < n_bars:
        label = labels[turn % len(labels)]
        if not running:
            position = 0
        bars = [chords[label][(position + offset) % len(chords[label])] for offset in range(unit)]
        players = _players(form, label, turn, rng)
        energy = 1.0 if label == "B" else 0.9
        solo = label == "B" and form == "head_solo"
        sections.append(Section(label, start, bars, players, energy=energy, solo=solo, **textures[label]))
        start, position, turn = start + unit, position + unit, turn + 1
    return tuple(sections)


def _texture(artist: Artist, beats_per_bar: int, instruments: dict[str, str], rng: Random) -> dict[str, str]:
    """Draw how each role plays in the sections of one label."""

    def way(role: str) -> str:
        weights = artist.weights(role, rng)
        fitting = {how: weight for how, weight in weights.items() if suits(how, instruments[role])}
        fallback = {how: 1 for how in ("pad", "power", "block") if suits(how, instruments[role])}
        return draw(fitting or fallback, rng)

    waltz = beats_per_bar == 3
    drums = draw(artist.weights("waltz" if waltz else "drums", rng), rng)
    return {
        "drums": drums,
        "bass": draw(artist.weights("bass", rng), rng),
        "comp": way("comp"),
        "backing": way("backing"),
        "lead": "lead",
    }


def _players(form: str, label: str, turn: int, rng: Random) -> frozenset[str]:
    players = {"comp", "bass", "drums"}
    if form == "loop":
        melodic = [{"lead"}, {"backing"}, {"lead", "backing"}]
        players |= {"lead", "backing"} if label == "B" else rng.choice(melodic)
        if turn > 0 and rng.random() < 0.2:
            players.discard(rng.choice(("drums", "bass")))  # a break
    else:
        players.add("lead")
        if label == "B" or rng.random() < 0.5:
            players.add("backing")
    return frozenset(players)
