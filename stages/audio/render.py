"""MIDI to samples, through the General MIDI font that the installed pretty_midi wheel carries."""

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

from stages.errors import EncoreError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FONT = "TimGM6mb.sf2"  # GPL-2: played from the installed package, never copied
GAIN_DB = -10.0  # headroom: full scores clip inside the synthesiser at 0 dB
SILENCE_RMS = 1e-5
TARGET_RMS = 0.1
TARGET_PEAK = 0.98  # a spiky track is turned down below TARGET_RMS rather than clipped
DRUM_CHANNEL = 9
DRUM_BANK = 128


def font_path() -> Path:
    """Where the font lies; importing pretty_midi itself would cost half a second for nothing.

    Raises
    ------
    EncoreError
        If pretty_midi is not installed or has lost its font.
    """
    spec = importlib.util.find_spec("pretty_midi")
    path = Path(spec.origin).with_name(FONT) if spec and spec.origin else None
    if path is None or not path.is_file():
        raise EncoreError(f"{FONT}: not found in the pretty_midi package; reinstall requirements.lock")
    return path


def render(midi: bytes, sample_rate_hz: int, duration_s: float) -> "NDArray[np.float32]":
    """Play a Standard MIDI File from its start.

    Parameters
    ----------
    midi : bytes
        The file's contents.
    sample_rate_hz : int
        Rate to render at.
    duration_s : float
        How much to render; past the music's end the last notes ring out into silence.

    Returns
    -------
    samples : float32 array, shape (round(duration_s * sample_rate_hz),)
        Mono mix with RMS `TARGET_RMS`, or less where its peak would pass `TARGET_PEAK`.

    Raises
    ------
    EncoreError
        If the bytes are no MIDI file, or play as silence.
    """
    import numpy as np

    events = _events(midi)
    n_samples = round(duration_s * sample_rate_hz)
    stereo = np.frombuffer(_play(events, sample_rate_hz, n_samples), dtype=np.float32).reshape(-1, 2)
    mono = stereo.mean(axis=1, dtype=np.float64)
    if not np.sqrt(np.mean(mono**2)) >= SILENCE_RMS:  # the negation also catches NaN
        raise EncoreError(f"MIDI file plays as silence for its first {duration_s:g} s; leave it out")
    return levelled(mono)


def levelled(samples: "NDArray[np.floating]") -> "NDArray[np.float32]":
    """Samples (any shape, not silent) brought to RMS `TARGET_RMS`, or to `TARGET_PEAK` where that is less."""
    import numpy as np

    gain = min(TARGET_RMS / np.sqrt(np.mean(np.square(samples))), TARGET_PEAK / np.abs(samples).max())
    scaled: NDArray[np.float32] = (samples * gain).astype(np.float32)
    return scaled


def _events(midi: bytes) -> list[object]:
    from tinysoundfont.midi import load_memory

    try:
        # persistent events stay queued once played, and each is searched past again for every later one
        events: list[object] = load_memory(midi, persistent=False)
    except Exception as error:  # the binding raises whatever its C++ side threw
        raise EncoreError(
            f"not a readable MIDI file ({' '.join(str(error).split())}); leave it out"
        ) from None
    return events


def _play(events: list[object], sample_rate_hz: int, n_samples: int) -> memoryview:
    """Interleaved stereo float32."""
    from tinysoundfont import Sequencer, Synth

    synth = Synth(gain=GAIN_DB, samplerate=sample_rate_hz)
    font = synth.sfload(str(font_path()))
    # a channel that never gets a program change is mute unless it starts with one
    for channel in range(16):
        is_drums = channel == DRUM_CHANNEL
        synth.program_select(channel, font, DRUM_BANK if is_drums else 0, 0, is_drums)
    sequencer = Sequencer(synth)
    sequencer.add(events)
    played: memoryview = synth.generate(n_samples)
    return played
