"""Play MIDI to samples, with the General MIDI font of the installed pretty_midi wheel."""

import importlib.util
import math
from collections import defaultdict, deque
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from stages.audio.midi import read_midi
from stages.core.errors import EncoreError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from tinysoundfont.midi import Event

FONT = "TimGM6mb.sf2"  # GPL-2: played from the installed package, never copied
GAIN_DB = -10.0  # headroom: full scores clip inside the synthesiser at 0 dB
SILENCE_RMS = 1e-5
TARGET_RMS = 0.1
TARGET_PEAK = 0.98  # a track with spikes gets less than TARGET_RMS, so that it does not clip
DRUM_CHANNEL = 9
DRUM_BANK = 128
CONTROL_VELOCITY = 80
PREROLL_S = 2.0
RING_OUT_S = 1.0  # after the last note of music that is shorter than its window
MAX_DURATION_S = 24 * 3600.0
MAX_LATE_S = 0.045  # of music with thousands of events, which would come later and later


@dataclass(frozen=True)
class Rendered:
    """Windows of a MIDI file, one after another.

    Attributes
    ----------
    samples : float32 array, shape (n_windows * round(window_s * sample_rate_hz),)
        Mono mix, levelled over all windows together; shorter if the music is shorter than a window.
    n_windows : int
        Number of windows that fit into the music.
    duration_s : float
        Length of the music, up to the end of its last note.
    cut_short : str
        What of the file is not played, in a sentence whose subject is the file; empty: nothing.
    """

    samples: "NDArray[np.float32]"
    n_windows: int
    duration_s: float
    cut_short: str


def font_path() -> Path:
    """Return the path of the font without importing pretty_midi, which would take half a second.

    Raises
    ------
    EncoreError
        If pretty_midi is not installed or its font is missing.
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
        Length to render; after the end of the music the last notes fade into silence.

    Returns
    -------
    samples : float32 array, shape (round(duration_s * sample_rate_hz),)
        Mono mix with RMS `TARGET_RMS`, or less if its peak would exceed `TARGET_PEAK`.

    Raises
    ------
    EncoreError
        If the bytes are not a MIDI file, or play as silence.
    """
    mono = _play(read_midi(midi).events, sample_rate_hz, round(duration_s * sample_rate_hz))
    if _is_silent(mono):
        raise EncoreError(f"MIDI file plays as silence for its first {duration_s:g} s; leave it out")
    return levelled(mono)


def render_windows(
    midi: bytes, sample_rate_hz: int, window_s: float, n_windows: int, control: bool
) -> Rendered:
    """Play windows of a Standard MIDI File, spread evenly from its start to its end.

    Windows never overlap: if `n_windows` do not fit into the music, there are fewer, and music shorter than
    a window is played to `RING_OUT_S` after its end. Music between the windows is not rendered. If no note
    begins within `window_s` of the start, the first window begins with the first note instead.

    Parameters
    ----------
    midi : bytes
        The file's contents.
    sample_rate_hz : int
        Rate to render at.
    window_s : float
        Length of a window.
    n_windows : int
        Maximum number of windows, at least 1; a single one is the first.
    control : bool
        Play only the notes, as a control experiment: all on an acoustic grand piano at one velocity, without
        controllers or pitch bend, and without the drum channel, whose numbers are not pitches. The windows
        are the same.

    Returns
    -------
    rendered : Rendered
        The samples with RMS `TARGET_RMS`, or less if their peak would exceed `TARGET_PEAK`.

    Raises
    ------
    EncoreError
        If the bytes are not a MIDI file, claim to last more than `MAX_DURATION_S`, or play as silence.
    """
    import numpy as np

    score = read_midi(midi)
    timed = _timed(score.events)
    starts_s = [event.t for event, _ in timed if _is_note(event)]
    if not starts_s:
        why = f": it {score.cut_short}" if score.cut_short else "; leave it out"
        raise EncoreError(f"MIDI file has no notes{why}")
    duration_s = max(until for _, until in timed if math.isfinite(until))
    if duration_s > MAX_DURATION_S:
        raise EncoreError(f"MIDI file claims to last {duration_s / 3600:.0f} hours; leave it out")
    first_s = starts_s[0] if starts_s[0] >= window_s else 0.0
    if control:
        timed = _notes_only(timed)
    n_windows = min(n_windows, max(1, int((duration_s - first_s) / window_s)))
    n_samples = round(min(window_s, duration_s - first_s + RING_OUT_S) * sample_rate_hz)
    windows = []
    for start_s in np.linspace(first_s, max(first_s, duration_s - window_s), n_windows):
        # held notes start again in the pre-roll, so that these attacks are not in the window; notes that fade
        # or are pedalled from just before the window are heard in it as they should be
        from_s = max(0.0, float(start_s) - PREROLL_S)
        n_preroll = round((float(start_s) - from_s) * sample_rate_hz)
        chased = _chased(timed, from_s, float(start_s) + window_s)
        windows.append(_play(chased, sample_rate_hz, n_preroll + n_samples)[n_preroll:])
    mono = np.concatenate(windows)
    if _is_silent(mono):
        drums = ", without its drums" if control else ""
        played = f"{n_windows} x {window_s:g} s from {first_s:g} s on{drums}"
        raise EncoreError(f"MIDI file plays as silence ({played}); leave it out")
    return Rendered(levelled(mono), n_windows, duration_s, score.cut_short)


def levelled(samples: "NDArray[np.floating]") -> "NDArray[np.float32]":
    """Scale samples (any shape, not silent) to RMS `TARGET_RMS`, or to `TARGET_PEAK` if that is less."""
    import numpy as np

    gain = min(TARGET_RMS / np.sqrt(np.mean(np.square(samples))), TARGET_PEAK / np.abs(samples).max())
    scaled: NDArray[np.float32] = (samples * gain).astype(np.float32)
    return scaled


def _is_silent(mono: "NDArray[np.float64]") -> bool:
    import numpy as np

    return not np.sqrt(np.mean(mono**2)) >= SILENCE_RMS  # the negation also catches NaN


def _timed(events: "list[Event]") -> "list[tuple[Event, float]]":
    """Return each event with the time in seconds until which it affects the sound.

    A note affects it until it ends; a note that never ends is a mistake, and affects only its attack. The
    end of a note does not affect it by itself; every other event affects it to the end.
    """
    from tinysoundfont.midi import NoteOff, NoteOn

    until = []
    sounding: dict[tuple[int, int], deque[int]] = defaultdict(deque)  # indices of notes, oldest first
    for index, event in enumerate(events):
        match event.action:
            case NoteOff(key) | NoteOn(key, 0):
                until.append(-math.inf)
                notes = sounding[event.channel, key]
                if notes:  # the synthesiser also ends the oldest
                    until[notes.popleft()] = event.t
            case NoteOn(key):
                until.append(event.t)
                sounding[event.channel, key].append(index)
            case _:
                until.append(math.inf)
    return list(zip(events, until, strict=True))


def _is_note(event: "Event") -> bool:
    """Return whether an event begins a note."""
    from tinysoundfont.midi import NoteOn

    return isinstance(event.action, NoteOn) and event.action.velocity > 0


def _notes_only(timed: "list[tuple[Event, float]]") -> "list[tuple[Event, float]]":
    """Return the pitched notes among the events, all at one velocity."""
    from tinysoundfont.midi import NoteOff, NoteOn

    notes = []
    for event, until in timed:
        match event.action:
            case _ if event.channel == DRUM_CHANNEL:
                pass
            case NoteOff() | NoteOn(velocity=0):
                notes.append((event, until))
            case NoteOn(key):
                notes.append((replace(event, action=NoteOn(key, CONTROL_VELOCITY)), until))
    return notes


def _chased(timed: "list[tuple[Event, float]]", from_s: float, to_s: float) -> "list[Event]":
    """Return the events between two times, after the earlier ones that still affect the sound.

    The earlier ones come at the start, in their order: parameter numbers stay before their data, and each
    note keeps the program it was played with.
    """
    return [
        replace(event, t=max(0.0, event.t - from_s))
        for event, until in timed
        if event.t <= to_s and (event.t >= from_s or until > from_s)
    ]


def _play(events: "list[Event]", sample_rate_hz: int, n_samples: int) -> "NDArray[np.float64]":
    """Play events to a mono mix, shape (n_samples,)."""
    import numpy as np
    from tinysoundfont import Sequencer, Synth

    synth = Synth(gain=GAIN_DB, samplerate=sample_rate_hz)
    font = synth.sfload(str(font_path()))
    # a channel without a program change is mute unless it starts with one
    for channel in range(16):
        is_drums = channel == DRUM_CHANNEL
        synth.program_select(channel, font, DRUM_BANK if is_drums else 0, 0, is_drums)
    sequencer = Sequencer(synth)
    sequencer.add(events)

    def advance(rest_s: float) -> float:
        # the synthesiser rounds each step up to whole samples, so that the music falls behind: but no further
        played_s = n_samples / sample_rate_hz - rest_s
        sequencer.time = max(sequencer.time, played_s - MAX_LATE_S)
        return float(sequencer.process(rest_s))

    synth.callback = advance
    stereo = np.frombuffer(synth.generate(n_samples), dtype=np.float32).reshape(-1, 2)
    mono: NDArray[np.float64] = stereo.mean(axis=1, dtype=np.float64)
    return mono
