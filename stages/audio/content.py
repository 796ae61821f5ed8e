"""Know what a file holds by its first bytes, where its name may be wrong."""

from mmap import ACCESS_READ, mmap
from pathlib import Path, PurePath

HEAD = 64  # bytes that are enough to tell

# FFmpeg's reader of each container. Only these are used: others open files and addresses that a file names.
DEMUXERS = {
    "AAC": "aac",
    "AIFF": "aiff",
    "APE": "ape",
    "ASF": "asf",
    "AU": "au",
    "CAF": "caf",
    "FLAC": "flac",
    "MATROSKA": "matroska",
    "MP3": "mp3",
    "MP4": "mov",
    "OGG": "ogg",
    "TTA": "tta",
    "W64": "w64",
    "WAV": "wav",
    "WAVPACK": "wv",
}

MARKS = (
    (0, b"fLaC", "FLAC"),
    (0, b"OggS", "OGG"),
    (8, b"WAVE", "WAV"),
    (8, b"AIFF", "AIFF"),
    (8, b"AIFC", "AIFF"),
    (0, b".snd", "AU"),
    (0, b"dns.", "AU"),
    (4, b"ftyp", "MP4"),
    (0, bytes.fromhex("3026b2758e66cf11"), "ASF"),
    (0, b"wvpk", "WAVPACK"),
    (0, b"MAC ", "APE"),
    (0, b"TTA1", "TTA"),
    (0, bytes.fromhex("1a45dfa3"), "MATROSKA"),
    (0, b"caff", "CAF"),
    (0, b"riff\x2e\x91\xcf\x11", "W64"),
)
ID3_HEADER = 10  # bytes
MPEG_NAMES = {".mp2", ".mp3"}


def mapped(path: Path) -> mmap:
    """Return the content of a file, mapped into memory.

    It closes with the last thing that refers to it. That may be after its reader has returned: a
    profiler, such as the one in Dask's workers, holds what it has just seen.
    """
    with path.open("rb") as file:
        return mmap(file.fileno(), 0, access=ACCESS_READ)


def container(content: mmap | bytes, path: PurePath) -> str:
    """Return the container that the first bytes of `content` show, or "" for none that is known.

    "MP3" is a guess, since its frames have no mark of their own: the name counts if nothing else is found.
    """
    start = id3_size(content[:ID3_HEADER])
    head = content[start : start + HEAD]
    for place, mark, name in MARKS:
        if head.startswith(mark, place):
            return name
    is_named_mp3 = path.suffix.lower() in MPEG_NAMES
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xF6 == 0xF0 and not is_named_mp3:  # layer 0
        return "AAC"
    if start or head[:1] == b"\xff" or is_named_mp3:
        return "MP3"
    return ""


def id3_size(header: bytes) -> int:
    """Return how many bytes an ID3v2 tag takes that begins with `header`; 0 if none begins there."""
    if len(header) < ID3_HEADER or not header.startswith(b"ID3"):
        return 0
    has_footer = header[5] >> 4 & 1
    size = 0
    for byte in header[6:10]:
        size = size << 7 | byte & 0x7F
    return ID3_HEADER * (1 + has_footer) + size
