"""From an artist and a seed to a finished song."""

from dataclasses import dataclass

from stages.sources.composer import accompaniment, form, melody, score
from stages.sources.composer.artists import Artist
from stages.sources.composer.chance import seeded
from stages.sources.composer.vocabulary import INSTRUMENTS, KITS

REFERENCE_DB = -48.0  # every instrument is brought to this loudness before the mix
MIX_DB = {"lead": 1.0, "second": 1.0, "comp": -5.0, "backing": -7.0, "bass": 1.0, "drums": 0.0}
HABITS = {"lead": "lead_db", "second": "lead_db", "comp": "comp_db", "backing": "backing_db",
          "bass": "bass_db", "drums": "drum_db"}  # fmt: skip
CHANNELS = {"lead": 0, "second": 1, "comp": 2, "backing": 3, "bass": 4, "drums": score.DRUM_CHANNEL}
COMP_CENTRE, BACKING_CENTRE = 59, 66


@dataclass(frozen=True)
class Composition:
    """A song as a Standard MIDI File, and the plan it came from."""

    midi: bytes
    song: form.Song


def compose(artist: Artist, seed: int, duration_s: float) -> Composition:
    """Compose a song of at least `duration_s` seconds; the same arguments give the same bytes.

    Parameters
    ----------
    artist : Artist
        Whose habits to follow; the genre comes with them.
    seed : int
        Of this song.
    duration_s : float
        How long it must last.
    """
    song = form.plan(artist, duration_s, seeded(seed, "plan"))
    notes: dict[str, list[score.Note]] = {role: [] for role in CHANNELS}
    harmonised = seeded(seed, "harmony").random() < 0.25
    for number, section in enumerate(song.sections):
        # a section's accompaniment returns with its label, its melody too; only drums vary each time
        rng = seeded(seed, section.label, "accompaniment")
        playing = {role: accompaniment.instrument(song, role) for role in ("comp", "backing", "bass")}
        if "drums" in section.players:
            variation = seeded(seed, number, "drums")
            notes["drums"] += accompaniment.drums(song, section, artist.density, variation)
        if "bass" in section.players:
            notes["bass"] += accompaniment.bass(song, section, playing["bass"], rng)
        if "comp" in section.players:
            notes["comp"] += accompaniment.chords(
                song, section, section.comp, playing["comp"], COMP_CENTRE, rng
            )
        if "backing" in section.players:
            reply = section.backing == "answer"
            args = (playing["backing"], BACKING_CENTRE, rng)
            notes["backing"] += (
                accompaniment.answers(song, section, *args)
                if reply
                else accompaniment.chords(song, section, section.backing, *args)
            )
        if "lead" in section.players:
            role = section.lead
            both = harmonised and section.label == "B" and not section.solo
            # an improvised solo never repeats its material, a sung melody does
            material = f"{seed} {number if section.solo else section.label} melody"
            notes[role] += melody.lead(
                song, section, artist, accompaniment.instrument(song, role), material, both
            )
    parts = [_part(song, artist, role, notes[role]) for role in CHANNELS if notes[role]]
    feel = score.Feel(
        song.tempo_bpm,
        song.swing,
        8 / artist.swing_note,
        artist.jitter_ms / 1000,
        artist.rubato,
        song.beats_per_bar,
    )
    return Composition(score.midi(parts, feel, song.n_bars, seeded(seed, "feel")), song)


def _part(song: form.Song, artist: Artist, role: str, notes: list[score.Note]) -> score.Part:
    name = song.instruments[role]
    player = KITS[name] if role == "drums" else INSTRUMENTS[name]
    level_db = MIX_DB[role] + getattr(artist, HABITS[role]) + REFERENCE_DB - player.loudness_db
    volume = round(127 * 10 ** (level_db / 60))  # the synthesiser cubes channel volumes
    return score.Part(CHANNELS[role], player.program, max(1, min(127, volume)), notes)
