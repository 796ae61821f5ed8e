"""Music for a browser: the file itself where every browser can play it, else a WAV of it."""

import asyncio
import io
from collections import OrderedDict, defaultdict
from collections.abc import Awaitable, Callable
from pathlib import Path

import numpy as np
import soundfile

from stages.audio.params import RenderParams
from stages.audio.waveform import Waveform
from stages.inference.listening import listen
from stages.storage.audio_file import at_full_scale

MOST_FILES = 16  # that were decoded stay, and the longest unused is deleted first
HEAD_BYTES = 64
PLAIN_WAV = (1, 3)  # formats of WAVE: PCM and float


def media_type(path: Path) -> str | None:
    """Return the media type of a file, by its content; None: some browsers cannot play it."""
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if head[:4] == b"RIFF" and head[8:16] == b"WAVEfmt ":
        return "audio/wav" if int.from_bytes(head[20:22], "little") in PLAIN_WAV else None
    if head[:4] == b"fLaC":
        return "audio/flac"
    if head[:4] == b"OggS":
        return "audio/ogg" if b"vorbis" in head or b"OpusHead" in head else None
    is_mp3 = head[:3] == b"ID3" or (
        head[0:1] == b"\xff" and head[1:2] in (b"\xfb", b"\xfa", b"\xf3", b"\xf2")
    )
    return "audio/mpeg" if is_mp3 else None


class Decoded:
    """Files of music that were made into WAV, to be played.

    Parameters
    ----------
    folder : Path
    """

    def __init__(self, folder: Path):
        self._folder = folder
        self._files: OrderedDict[str, Path] = OrderedDict()
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def wav(self, name: str, make: Callable[[Path], Awaitable[None]]) -> Path:
        """Return the WAV of that name; `make` is called to write it, unless it is there."""
        async with self._locks[name]:
            if name not in self._files:
                made = self._folder / f"{name}.wav"
                try:
                    await make(made)
                except BaseException:  # also if nobody waits for it any more
                    made.unlink(missing_ok=True)
                    raise
                self._files[name] = made
            self._files.move_to_end(name)
            while len(self._files) > MOST_FILES:
                _, oldest = self._files.popitem(last=False)
                oldest.unlink(missing_ok=True)
            return self._files[name]


def write_wav(path: Path, to: Path, sample_rate_hz: int, rendering: RenderParams) -> None:
    """Decode a file as a model hears it, and write it as 16-bit WAV.

    Raises
    ------
    EncoreError
        If it cannot be decoded.
    OSError
        If it cannot be written.
    """
    _, sink = listen(path, "it", Waveform(), sample_rate_hz, rendering)
    assert isinstance(sink, Waveform)
    samples = at_full_scale(sink.joined())
    content = io.BytesIO()  # of a full disk libsndfile says nothing that can be told to people
    soundfile.write(content, np.clip(samples, -1, 1), sample_rate_hz, subtype="PCM_16", format="WAV")
    to.write_bytes(content.getbuffer())
