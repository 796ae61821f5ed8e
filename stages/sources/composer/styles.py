"""What each genre tends to do: weights over the shared vocabulary, never rules.

Every entry stands in at least three genres: a genre is a way of weighing, not a list of its own.
"""

from dataclasses import dataclass

Weights = dict[str, int]


@dataclass(frozen=True)
class Style:
    """A genre's weights; `form` says how sections follow one another, `answer` what backings do."""

    progression: Weights
    drums: Weights
    waltz: Weights
    bass: Weights
    comp: Weights
    backing: Weights
    scale: Weights  # for the melody; those of the other mode are passed over
    form: Weights


def _weights(text: str) -> Weights:
    return {name: int(weight) for name, weight in (entry.split(":") for entry in text.split())}


STYLES = {
    "blues": Style(
        _weights("twelve_bar:6 quick_change:4 eight_bar:4 minor_blues:5 minor_vamp:3 mixolydian:1 ragtime:1 plagal:1"
                 " dorian:2"),
        _weights("shuffle:7 swing:2 backbeat:3 brushes:1 train:1 ballad:1 half_time:1"),
        _weights("waltz:2 jazz_waltz:2 waltz_ballad:2"),
        _weights("boogie:5 walking:5 root_fifth:2 riff:3 eighths:1"),
        _weights("boogie:4 block:2 charleston:3 strum:2 stab:2 power:1"),
        _weights("pad:4 stab:3 answer:4"),
        _weights("blues:8 minor_pentatonic:3 mixolydian:3 major_pentatonic:2"),
        _weights("head_solo:8 verse_chorus:2"),
    ),
    "classical": Style(
        _weights("cadence:5 canon:4 step_up:3 fifths:4 minor_cadence:5 three_chord:2 andalusian:2 aeolian:1"
                 " fifties:2 sensitive:1 minor_climb:1"),
        _weights("none:14 brushes:1 ballad:1"),
        _weights("none:8 waltz_ballad:1"),
        _weights("whole:6 root_fifth:4 walking:3 eighths:1"),
        _weights("alberti:5 arpeggio:4 harp:2 block:4 boom_chuck:2 pad:1"),
        _weights("pad:6 arpeggio:2 answer:4"),
        _weights("major:8 minor:8"),
        _weights("aba:8 verse_chorus:1"),
    ),
    "country": Style(
        _weights("three_chord:6 cadence:4 axis:2 plagal:2 ragtime:4 mixolydian:2 eight_bar:2 step_up:2 aeolian:2"
                 " minor_climb:2 canon:1"),
        _weights("train:4 two_step:5 backbeat:4 brushes:2 ballad:2 none:1"),
        _weights("waltz:4 waltz_ballad:4 none:1"),
        _weights("root_fifth:8 walking:2 whole:2 eighths:1 boogie:1"),
        _weights("strum:5 boom_chuck:6 arpeggio:2 harp:2 block:1"),
        _weights("pad:3 answer:5 arpeggio:2"),
        _weights("major:5 major_pentatonic:6 mixolydian:2 minor:3 dorian:1 minor_pentatonic:2"),
        _weights("verse_chorus:8 head_solo:2 aba:1"),
    ),
    "disco": Style(
        _weights("fifths:4 dorian:5 minor_vamp:3 aeolian:3 axis:2 two_five_one:2 backdoor:3 sensitive:2 fifties:2"
                 " minor_climb:2 plagal:1 turnaround:1"),
        _weights("four_floor:8 club:6 funk:3 conga:1 backbeat:2"),
        _weights("waltz:1"),
        _weights("octaves:7 syncopated:5 eighths:3 riff:2 latin:1"),
        _weights("scratch:6 stab:4 block:2 strum:1 skank:1 charleston:1"),
        _weights("pad:4 stab:5 answer:3 arpeggio:1"),
        _weights("minor:4 dorian:5 major:4 mixolydian:2 minor_pentatonic:2 major_pentatonic:1"),
        _weights("verse_chorus:6 loop:5"),
    ),
    "hiphop": Style(
        _weights("minor_vamp:5 dorian:3 phrygian:3 aeolian:3 two_five_one:3 backdoor:3 minor_two_five:2 andalusian:2"
                 " plagal:2 minor_cadence:1 turnaround:1"),
        _weights("boom_bap:8 trap:5 funk:3 half_time:2 rockers:1 none:1"),
        _weights("waltz_ballad:1"),
        _weights("sub:7 syncopated:5 riff:3 whole:1 one_drop:1"),
        _weights("stab:4 arpeggio:3 block:4 charleston:3 skank:1 pad:2 scratch:2"),
        _weights("pad:5 stab:3 arpeggio:2 answer:2"),
        _weights("minor_pentatonic:6 dorian:3 minor:3 phrygian:2 major_pentatonic:3 mixolydian:2 blues:1"),
        _weights("loop:9 verse_chorus:2"),
    ),
    "jazz": Style(
        _weights("two_five_one:6 turnaround:5 minor_two_five:4 fifths:4 quick_change:3 backdoor:3 minor_blues:2"
                 " ragtime:2 dorian:2"),
        _weights("swing:8 brushes:5 bossa:4 shuffle:1 funk:1 none:1"),
        _weights("jazz_waltz:6 waltz_ballad:1"),
        _weights("walking:9 latin:3 root_fifth:1 riff:1 whole:1"),
        _weights("charleston:8 block:2 stab:2 boom_chuck:2 arpeggio:1"),
        _weights("pad:2 stab:2 answer:5"),
        _weights("mixolydian:2 major:5 dorian:5 blues:2 minor:3"),
        _weights("head_solo:8 aba:3"),
    ),
    "metal": Style(
        _weights("phrygian:6 aeolian:4 minor_climb:4 andalusian:3 minor_cadence:3 minor_vamp:1 mixolydian:3 axis:1"
                 " plagal:1 fifths:1"),
        _weights("double_kick:6 gallop:4 drive:4 half_time:4 backbeat:2 trap:1"),
        _weights("waltz:3"),
        _weights("gallop:5 eighths:5 riff:4 whole:2 sub:1"),
        _weights("chug:8 power:4 arpeggio:2 block:1 harp:1"),
        _weights("pad:4 chug:3 power:3 harp:1"),
        _weights("minor:6 phrygian:6 minor_pentatonic:3 blues:1 mixolydian:2 major:1"),
        _weights("verse_chorus:6 loop:3 aba:1"),
    ),
    "pop": Style(
        _weights("axis:6 sensitive:5 fifties:3 step_up:3 aeolian:4 canon:2 backdoor:2 plagal:2 minor_climb:2"
                 " minor_cadence:1 three_chord:1 dorian:1"),
        _weights("backbeat:5 four_floor:3 ballad:3 club:2 half_time:2 funk:1 two_step:1 conga:2 boom_bap:1 bossa:1"
                 " drive:1 trap:1"),
        _weights("waltz_ballad:3 waltz:2 none:1"),
        _weights("whole:3 eighths:5 syncopated:4 root_fifth:2 octaves:2 sub:1 latin:1"),
        _weights("block:5 strum:4 arpeggio:3 stab:2 pad:2 harp:2 skank:1 alberti:1 scratch:1 power:1"),
        _weights("pad:6 arpeggio:3 answer:2 stab:2"),
        _weights("major:6 major_pentatonic:5 minor:5 minor_pentatonic:2 dorian:1"),
        _weights("verse_chorus:9 loop:2"),
    ),
    "reggae": Style(
        _weights("plagal:4 three_chord:3 step_up:2 minor_vamp:3 minor_cadence:3 dorian:3 mixolydian:2 andalusian:2"
                 " fifties:2 axis:1 aeolian:1 two_five_one:1"),
        _weights("one_drop:7 steppers:4 rockers:5 conga:1 two_step:1 half_time:1"),
        _weights("waltz_ballad:1"),
        _weights("one_drop:8 riff:3 syncopated:3 root_fifth:1 sub:1 latin:1"),
        _weights("skank:10 block:1 arpeggio:1 scratch:1 strum:1"),
        _weights("skank:4 stab:3 answer:4 pad:2 arpeggio:1"),
        _weights("major:4 minor:4 major_pentatonic:4 dorian:3 minor_pentatonic:3 mixolydian:2"),
        _weights("verse_chorus:5 loop:5"),
    ),
    "rock": Style(
        _weights("mixolydian:5 axis:3 three_chord:3 aeolian:3 minor_climb:3 sensitive:2 twelve_bar:2 fifties:1"
                 " eight_bar:1 step_up:2 phrygian:1 minor_blues:1 andalusian:1"),
        _weights("backbeat:7 drive:6 half_time:2 shuffle:2 two_step:1 gallop:1 double_kick:1 train:1 rockers:1"
                 " one_drop:1 boom_bap:1 steppers:1"),
        _weights("waltz:3 waltz_ballad:1"),
        _weights("eighths:7 riff:4 root_fifth:2 syncopated:2 boogie:1 octaves:1 gallop:1 one_drop:1 whole:1"),
        _weights("power:5 strum:4 chug:3 boogie:2 arpeggio:2 block:2 stab:1 skank:1 alberti:1"),
        _weights("pad:4 answer:3 power:3 strum:2 chug:1 skank:1 harp:1"),
        _weights("minor_pentatonic:6 mixolydian:3 major_pentatonic:4 blues:3 major:2 minor:3 phrygian:1"),
        _weights("verse_chorus:8 head_solo:2 loop:1"),
    ),
}  # fmt: skip
GENRES = tuple(STYLES)
