"""Well-formed music files of every encoding, and a few that are far larger than they look."""

import io
from functools import cache
from random import Random
from typing import NamedTuple

import mido
import numpy as np
import soundfile

from tests.synthetic import noise, tone

RATES_HZ = (8000, 16000, 22050, 44100, 48000)
OPUS_RATES_HZ = (8000, 16000, 48000)
ENCODINGS = (
    (".wav", "WAV", "PCM_U8"),
    (".wav", "WAV", "PCM_16"),
    (".wav", "WAV", "PCM_24"),
    (".wav", "WAV", "PCM_32"),
    (".wav", "WAV", "FLOAT"),
    (".wav", "WAVEX", "DOUBLE"),
    (".wav", "WAV", "IMA_ADPCM"),
    (".flac", "FLAC", "PCM_16"),
    (".flac", "FLAC", "PCM_24"),
    (".ogg", "OGG", "VORBIS"),
    (".opus", "OGG", "OPUS"),
    (".mp3", "MP3", "MPEG_LAYER_III"),
    (".au", "AU", "PCM_16"),
    (".au", "AU", "ULAW"),
    (".aiff", "AIFF", "PCM_16"),
    (".aiff", "AIFF", "FLOAT"),
)
HOUR_S = 3590  # just not "too long"


class File(NamedTuple):
    """A file without its name."""

    suffix: str
    content: bytes


def originals(rng: Random) -> list[File]:
    """One file of each audio encoding and four of MIDI."""
    return [recording(rng, *encoding) for encoding in ENCODINGS] + [score(rng) for _ in range(4)]


def recording(rng: Random, suffix: str, container: str, subtype: str) -> File:
    """A few seconds of notes over noise."""
    rate_hz = rng.choice(OPUS_RATES_HZ if subtype == "OPUS" else RATES_HZ)
    n_samples = round(rng.uniform(2, 7) * rate_hz)
    samples = noise(n_samples, rng.randrange(2**32), 0.2)
    for start in range(0, n_samples, rate_hz // 3):
        note = samples[start : start + rate_hz // 3]
        note += tone(len(note), 110 * 2 ** (rng.randrange(48) / 12), rate_hz, 0.3)
    channels = np.stack([samples, samples[::-1]], axis=1)[:, : rng.randint(1, 2)]
    return File(suffix, encoded(channels, rate_hz, container, subtype))


def encoded(samples: np.ndarray, rate_hz: int, container: str, subtype: str) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate_hz, format=container, subtype=subtype)
    return file.getvalue()


def score(rng: Random, n_notes: int = 30) -> File:
    """Melodic tracks with programs, controllers and bends, drums, and a tempo that changes."""
    conductor = mido.MidiTrack()
    for _ in range(4):
        conductor.append(mido.MetaMessage("set_tempo", tempo=rng.randrange(300_000, 900_000), time=960))
    tracks = [conductor, *(_part(rng, n_notes, channel) for channel in (*range(rng.randint(1, 5)), 9))]
    return File(".mid", _midi(tracks))


def _part(rng: Random, n_notes: int, channel: int) -> mido.MidiTrack:
    part = mido.MidiTrack([mido.Message("program_change", channel=channel, program=rng.randrange(128))])
    for _ in range(n_notes):
        note, control, value = rng.randrange(36, 84), rng.randrange(120), rng.randrange(128)
        part += [
            mido.Message("control_change", channel=channel, control=control, value=value),
            mido.Message("pitchwheel", channel=channel, pitch=rng.randrange(-8192, 8192)),
            mido.Message("note_on", channel=channel, note=note, velocity=rng.randint(40, 127)),
            mido.Message("note_off", channel=channel, note=note, time=rng.choice((120, 240, 480))),
        ]
    return part


def _midi(tracks: list[mido.MidiTrack]) -> bytes:
    file = io.BytesIO()
    mido.MidiFile(tracks=tracks).save(file=file)
    return file.getvalue()


def bomb(rng: Random) -> File:
    """A small file that is an hour long, or holds more notes than anybody can hear."""
    return _bomb(rng.choice(sorted(_BOMBS)))


def _hour(container: str, subtype: str, rate_hz: int, level: float, n_channels: int = 1) -> bytes:
    """A second of noise and an hour of one value."""
    file = io.BytesIO()
    with soundfile.SoundFile(file, "w", rate_hz, n_channels, subtype, format=container) as sound:
        sound.write(np.repeat(noise(rate_hz)[:, None], n_channels, axis=1))
        minute = np.full((60 * rate_hz, n_channels), level, np.float32)
        for _ in range(HOUR_S // 60):
            sound.write(minute)
    return file.getvalue()


def _mp3_hour() -> bytes:
    """Ten seconds again and again, without their first frame, which tells how many there are."""
    content = encoded(noise(80_000, level=0.1), 8000, "MP3", "MPEG_LAYER_III")
    return (HOUR_S // 10) * content[content.index(content[:2], 2) :]


def _many_notes(n_notes: int, ticks: int) -> bytes:
    """Notes that never end."""
    messages = (mido.Message("note_on", note=n % 128, velocity=100, time=ticks) for n in range(n_notes))
    return _midi([mido.MidiTrack(messages)])


_BOMBS = {
    "FLAC, silence": lambda: File(".flac", _hour("FLAC", "PCM_16", 22050, 0.0)),
    "FLAC, stereo": lambda: File(".flac", _hour("FLAC", "PCM_16", 44100, 0.0, 2)),
    "FLAC, constant": lambda: File(".flac", _hour("FLAC", "PCM_24", 22050, 0.25)),
    "WAV, 1 kHz": lambda: File(".wav", _hour("WAV", "PCM_U8", 1000, 0.0)),
    "MP3": lambda: File(".mp3", _mp3_hour()),
    "Opus, silence": lambda: File(".opus", _hour("OGG", "OPUS", 8000, 0.0)),
    "MIDI, a chord of 300,000": lambda: File(".mid", _many_notes(300_000, 0)),
    "MIDI, 12 hours": lambda: File(".mid", _many_notes(10_000, 4150)),
}


@cache
def _bomb(name: str) -> File:
    return _BOMBS[name]()
