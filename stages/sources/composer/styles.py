"""What each genre prefers: weights over the shared vocabulary, never rules.

Every entry is in at least three genres: genres differ by their weights, not by their lists.
"""

from dataclasses import dataclass

Weights = dict[str, int]


@dataclass(frozen=True)
class Style:
    """A genre's weights; `form` says how sections follow one another, `scale` is the melody's."""

    progression: Weights
    drums: Weights
    waltz: Weights
    bass: Weights
    comp: Weights
    backing: Weights
    scale: Weights
    form: Weights


def _style(**weights: str) -> Style:
    tables = {name: dict(entry.split(":") for entry in text.split()) for name, text in weights.items()}
    return Style(**{name: {key: int(n) for key, n in table.items()} for name, table in tables.items()})


STYLES = {
    "blues": _style(
        progression="""twelve_bar:6 quick_change:4 eight_bar:4 minor_blues:6 minor_vamp:2 ragtime:2
            plagal:1 dorian:2 minor_two_five:2 turnaround:2 minor_cadence:1""",
        drums="shuffle:9 ballad:1 two_step:1 swing:1 backbeat:2 train:1 gallop:1",
        waltz="waltz:2 jazz_waltz:2 waltz_ballad:2",
        bass="boogie:6 walking:4 root_fifth:1 riff:2 gallop:1",
        comp="boogie:3 block:2 charleston:3 stab:2 alberti:1 power:1",
        backing="pad:4 stab:2 answer:5",
        scale="blues:8 minor_pentatonic:3 mixolydian:3 major_pentatonic:2",
        form="head_solo:8 verse_chorus:2",
    ),
    "classical": _style(
        progression="""cadence:5 canon:5 step_up:4 fifths:4 minor_cadence:5 three_chord:2 andalusian:3
            aeolian:1 fifties:5 sensitive:3 minor_climb:1 minor_two_five:2 phrygian:2 ragtime:2""",
        drums="none:14 brushes:1 ballad:1",
        waltz="none:9 waltz_ballad:1 jazz_waltz:1",
        bass="whole:6 root_fifth:4 walking:2 eighths:1",
        comp="alberti:5 arpeggio:4 harp:2 block:4 boom_chuck:1 pad:2",
        backing="pad:6 arpeggio:2 answer:4 strum:1",
        scale="major:8 minor:7 phrygian:1",
        form="aba:8 verse_chorus:1",
    ),
    "country": _style(
        progression="""three_chord:5 cadence:5 ragtime:4 mixolydian:3 eight_bar:3 sensitive:2 step_up:5
            quick_change:3 aeolian:2 axis:5 minor_climb:2 minor_cadence:2 canon:2 twelve_bar:3 fifties:5""",
        drums="train:6 two_step:5 ballad:1 brushes:2 backbeat:1 shuffle:1 gallop:1",
        waltz="waltz:5 waltz_ballad:2 jazz_waltz:1 none:1",
        bass="root_fifth:8 walking:2 boogie:1 gallop:1",
        comp="strum:5 boom_chuck:6 arpeggio:2 harp:2 boogie:1 alberti:1",
        backing="pad:2 answer:6 arpeggio:2 harp:1",
        scale="major:5 major_pentatonic:6 mixolydian:2 minor:3 dorian:1 minor_pentatonic:1",
        form="verse_chorus:8 head_solo:2 aba:1",
    ),
    "disco": _style(
        progression="""fifths:5 dorian:4 minor_vamp:2 aeolian:2 axis:4 two_five_one:3 backdoor:3
            sensitive:4 fifties:4 step_up:3 minor_climb:2 turnaround:3 minor_two_five:2 minor_blues:4""",
        drums="four_floor:9 boom_bap:1 club:5 funk:2 conga:2",
        waltz="waltz:1",
        bass="octaves:8 syncopated:4 eighths:2 latin:1",
        comp="scratch:8 stab:3 block:1 skank:1",
        backing="pad:5 stab:4 answer:2 skank:1",
        scale="minor:4 dorian:5 major:4 mixolydian:2 minor_pentatonic:2",
        form="verse_chorus:6 loop:5",
    ),
    "hiphop": _style(
        progression="""minor_vamp:4 dorian:2 phrygian:4 aeolian:1 two_five_one:3 backdoor:4
            minor_two_five:3 andalusian:3 turnaround:3 minor_blues:4 canon:2 quick_change:2""",
        drums="boom_bap:8 trap:6 funk:2 rockers:2 double_kick:1 club:1 bossa:1 steppers:1",
        waltz="waltz_ballad:1",
        bass="sub:9 syncopated:4 riff:2 one_drop:1 octaves:1",
        comp="stab:3 arpeggio:3 block:4 charleston:3 scratch:1 pad:1",
        backing="pad:6 stab:2 arpeggio:1 power:1 skank:1",
        scale="minor_pentatonic:6 dorian:3 minor:3 phrygian:3 major_pentatonic:3 mixolydian:2 blues:1",
        form="loop:9 verse_chorus:2",
    ),
    "jazz": _style(
        progression="""two_five_one:6 turnaround:5 minor_two_five:5 fifths:4 quick_change:4 backdoor:3
            minor_blues:5 ragtime:3 eight_bar:3 twelve_bar:3 step_up:1""",
        drums="swing:10 brushes:3 bossa:2 shuffle:1 funk:1 none:1",
        waltz="jazz_waltz:8 waltz_ballad:1",
        bass="walking:10 latin:2 boogie:1 riff:1",
        comp="charleston:9 block:2 stab:1 boom_chuck:1",
        backing="pad:1 stab:2 answer:6",
        scale="mixolydian:3 major:5 dorian:5 blues:2 minor:3",
        form="head_solo:8 aba:3",
    ),
    "metal": _style(
        progression="""phrygian:7 aeolian:3 minor_climb:4 andalusian:4 minor_cadence:3 mixolydian:3
            canon:2 fifths:2 step_up:2 minor_blues:1""",
        drums="double_kick:8 gallop:4 drive:2 half_time:2 trap:1",
        waltz="waltz:3",
        bass="gallop:6 eighths:5 riff:3 whole:1 sub:2",
        comp="chug:9 power:3 arpeggio:1 alberti:1",
        backing="pad:3 chug:4 power:3 harp:1",
        scale="minor:6 phrygian:6 minor_pentatonic:3 blues:1 mixolydian:2 major:1",
        form="verse_chorus:6 loop:3 aba:1",
    ),
    "pop": _style(
        progression="""axis:6 sensitive:6 fifties:4 step_up:5 aeolian:4 canon:3 backdoor:3 plagal:2
            minor_climb:3 cadence:2 three_chord:2 dorian:2 turnaround:3 ragtime:3""",
        drums="""backbeat:6 none:1 train:1 half_time:1 drive:1 club:3 four_floor:2 ballad:3 two_step:1 funk:1
            boom_bap:1 conga:1 one_drop:1 bossa:2""",
        waltz="waltz_ballad:3 waltz:1 none:1 jazz_waltz:1",
        bass="whole:3 eighths:5 syncopated:3 octaves:2 sub:3 latin:2",
        comp="block:5 arpeggio:4 strum:2 pad:2 harp:2 skank:1 scratch:1 chug:1",
        backing="pad:8 arpeggio:3 strum:1",
        scale="major:6 major_pentatonic:5 minor:5 minor_pentatonic:2 dorian:1",
        form="verse_chorus:9 loop:2",
    ),
    "reggae": _style(
        progression="""plagal:5 three_chord:4 step_up:5 minor_vamp:4 minor_cadence:2 dorian:3
            mixolydian:2 andalusian:3 fifties:7 two_five_one:3 cadence:3 ragtime:2 eight_bar:3
            twelve_bar:2 backdoor:2""",
        drums="one_drop:8 steppers:4 rockers:5 swing:1 four_floor:1 conga:1",
        waltz="waltz_ballad:1",
        bass="one_drop:10 sub:2 riff:2 syncopated:2 latin:1",
        comp="skank:12 arpeggio:1 scratch:1",
        backing="skank:6 stab:2 answer:3 chug:1",
        scale="major:4 minor:4 major_pentatonic:4 dorian:3 minor_pentatonic:3 mixolydian:2",
        form="verse_chorus:5 loop:5",
    ),
    "rock": _style(
        progression="""mixolydian:6 axis:6 three_chord:4 aeolian:3 minor_climb:3 sensitive:5 twelve_bar:4
            plagal:3 phrygian:3 minor_blues:5 andalusian:2 step_up:4 eight_bar:3 quick_change:3""",
        drums="backbeat:7 drive:8 half_time:2 double_kick:1 rockers:2 one_drop:1 steppers:1 trap:1",
        waltz="waltz:3 waltz_ballad:1",
        bass="eighths:8 riff:4 root_fifth:1 syncopated:1 whole:1 one_drop:1",
        comp="power:6 strum:4 chug:3 boogie:2 arpeggio:1",
        backing="power:5 answer:2 strum:3 chug:2 harp:1",
        scale="minor_pentatonic:6 mixolydian:3 major_pentatonic:4 blues:3 major:2 minor:3 phrygian:1",
        form="verse_chorus:8 head_solo:2 loop:1",
    ),
}
GENRES = tuple(STYLES)
