"""Know which files contain music, and which encoding a file name promises."""

from pathlib import Path, PurePath

MIDI = "MIDI"
MIDI_MAGIC = b"MThd"

# The containers that a file with such a name should hold, as `AudioInfo.encoding` names them.
CONTAINERS = {
    ".wav": {"WAV", "WAVEX", "RF64"},
    ".flac": {"FLAC"},
    ".ogg": {"OGG"},
    ".oga": {"OGG"},
    ".opus": {"OGG"},
    ".mp3": {"MP3"},
    ".au": {"AU"},
    ".snd": {"AU"},
    ".aif": {"AIFF"},
    ".aiff": {"AIFF"},
    ".aifc": {"AIFF"},
    ".kar": {MIDI},
    ".rmi": {MIDI},
    ".mid": {MIDI},
    ".midi": {MIDI},
    # by FFmpeg
    ".aac": {"AAC", "MP4"},
    ".ape": {"APE"},
    ".caf": {"CAF"},
    ".m4a": {"MP4"},
    ".m4b": {"MP4"},
    ".mka": {"MATROSKA"},
    ".mp2": {"MP3"},
    ".mp4": {"MP4"},
    ".spx": {"OGG"},
    ".tta": {"TTA"},
    ".w64": {"W64"},
    ".webm": {"MATROSKA"},
    ".wma": {"ASF"},
    ".wv": {"WAVPACK"},
}


def is_music(path: PurePath) -> bool:
    """Return whether a file of this name should contain music."""
    return path.suffix.lower() in CONTAINERS


def is_midi(path: Path) -> bool:
    """Return whether a file is MIDI by its content."""
    with path.open("rb") as file:
        head = file.read(12)
    return head.startswith(MIDI_MAGIC) or is_riff_midi(head)


def is_riff_midi(content: bytes) -> bool:
    """Return whether `content`, at least 12 bytes, begins a RIFF file that holds a MIDI file (.rmi)."""
    return content[:4] == b"RIFF" and content[8:12] == b"RMID"


def is_mislabelled(path: PurePath, encoding: str) -> bool:
    """Return whether `encoding` (such as ``WAV/PCM_16``) is not what the name of `path` promises."""
    return encoding.partition("/")[0] not in CONTAINERS.get(path.suffix.lower(), set())
