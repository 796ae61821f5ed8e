"""Files that are sent to do harm: each gets an answer, and none has another file or an address opened."""

import ctypes
import gzip
import io
import os
import socket
import struct
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import numpy as np
import psutil
import pytest
import soundfile

from tests import hasty_server
from tests.serving import Server, make_project, serving
from tests.synthetic import CLASSES, RATE_HZ, noise

pytestmark = pytest.mark.slow
FIRST = f"{CLASSES[0]}/00.wav"
IN_OPEN = 0x20  # of inotify.h
LIMIT_BYTES = 1_500_000_000  # of a process that answers


@pytest.fixture(scope="module")
def music(module_workspace: Path) -> Path:
    return make_project(module_workspace)


@pytest.fixture(scope="module")
def server(music: Path, module_workspace: Path) -> Iterator[Server]:
    with serving(module_workspace, module=hasty_server.__name__) as started:
        yield started


def wav(
    data: bytes, channels: int = 1, rate_hz: int = RATE_HZ, claimed: int | None = None, bits: int = 16
) -> bytes:
    """A WAV whose header says what it is told to."""
    size = len(data) if claimed is None else claimed
    align = bits // 8 * channels & 0xFFFF
    about = struct.pack("<HHIIHH", 1, channels, rate_hz, rate_hz * align & 0xFFFFFFFF, align, bits)
    begin = b"RIFF" + struct.pack("<I", min(size + 36, 0xFFFFFFFF)) + b"WAVEfmt " + struct.pack("<I", 16)
    return begin + about + b"data" + struct.pack("<I", size) + data


def encoded(container: str, subtype: str, seconds: float, rate_hz: int = RATE_HZ) -> bytes:
    """Silence, written a minute at a time."""
    file = io.BytesIO()
    with soundfile.SoundFile(file, "w", rate_hz, 1, subtype, format=container) as writer:
        minute = np.zeros(60 * rate_hz, np.int16)
        for _ in range(round(seconds / 60)):
            writer.write(minute)
    return file.getvalue()


def by_ffmpeg(container: str, codec: str, seconds: float = 3.0, rate_hz: int = 48_000) -> bytes:
    """Music in a container that libsndfile does not read."""
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        stream = output.add_stream(codec, rate=rate_hz, layout="mono")
        samples = noise(round(seconds * rate_hz))[None]
        frame = av.AudioFrame.from_ndarray(samples, "fltp", "mono")
        frame.sample_rate = rate_hz
        resampler = av.AudioResampler(stream.format, stream.layout, rate_hz, stream.frame_size or 1024)
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            output.mux(stream.encode(part))
        output.mux(stream.encode(None))
    return file.getvalue()


def with_field(content: bytes, box: bytes, offset: int, value: bytes) -> bytes:
    """Replace a part of the first MP4 box of a name."""
    start = content.index(box) + 4 + offset
    return content[:start] + value + content[start + len(value) :]


def midi(*tracks: bytes, division: int = 480, n_counted: int | None = None) -> bytes:
    n = len(tracks) if n_counted is None else n_counted
    chunks = [b"MTrk" + struct.pack(">I", len(track)) + track for track in tracks]
    return b"MThd" + struct.pack(">IHHH", 6, 1, n, division) + b"".join(chunks)


END = b"\0\xff\x2f\0"
LATEST = b"\xff\xff\xff\x7f"  # the longest delta time
NOTE = b"\0\x90\x3c\x64\x10\x80\x3c\0"
TEMPO = b"\x01\xff\x51\x03\0\0\x01"

BOMBS: dict[str, Callable[[], bytes]] = {
    "a WAV that claims 4 GB": lambda: wav(bytes(1000), claimed=0xFFFFFF00),
    "a WAV of 65,535 channels": lambda: wav(bytes(200_000), channels=65_535),
    "a WAV of no channels": lambda: wav(bytes(200_000), channels=0),
    "a WAV at 1 Hz": lambda: wav(bytes(200_000), rate_hz=1),
    "a WAV at 4 GHz": lambda: wav(bytes(200_000), rate_hz=0xFFFFFFFF),
    "a WAV of 65,535 bits": lambda: wav(bytes(200_000), bits=65_535),
    "a FLAC of two hours of silence": lambda: encoded("FLAC", "PCM_16", 7200),
    "a WAV of a minute of silence": lambda: wav(bytes(2 * 60 * RATE_HZ)),
    "an Ogg of two hours of silence": lambda: encoded("OGG", "VORBIS", 7200, 8000),
    "many FLACs in one": lambda: b"fLaC\0\0\0\x22" * 1000,
    "many Oggs in one": lambda: encoded("OGG", "VORBIS", 60, 8000)[:4000] * 300,
    "an MP4 that claims to last for ever": lambda: with_field(
        with_field(by_ffmpeg("mp4", "aac"), b"mdhd", 16, b"\xff" * 4), b"mvhd", 16, b"\xff" * 4
    ),
    "an MP4 that claims 2^28 samples of one size": lambda: with_field(
        by_ffmpeg("mp4", "aac"), b"stsz", 4, struct.pack(">II", 1, 1 << 28)
    ),
    "an MP4 whose sound lies elsewhere": lambda: by_ffmpeg("mp4", "aac").replace(
        b"stco\0\0\0\0", b"stco\0\0\0\xff"
    ),
    "a WebM that claims to last for ever": lambda: by_ffmpeg("webm", "libopus").replace(
        b"\x44\x89\x88", b"\x44\x89\x88\x7f\xef", 1
    ),
    "a zip": lambda: zipped(bytes(10_000_000)),
    "a gzip of zeros": lambda: gzip.compress(bytes(10_000_000)),
    "a gzip of a gzip": lambda: gzip.compress(gzip.compress(bytes(100_000_000))),
    "zeros": lambda: bytes(10_000_000),
    "an MP3 of nothing but sync words": lambda: b"\xff\xfb\x90\x64" * 1_000_000,
    "an ID3 tag that claims 256 MB": lambda: b"ID3\4\0\0\x7f\x7f\x7f\x7f" + bytes(1000),
    "a MIDI file whose note is 2^28 ticks away": lambda: midi(LATEST + NOTE[1:] + END, division=1),
    "a MIDI file that lasts for years": lambda: midi((LATEST + b"\x90\x3c\x64") * 50_000 + END),
    "a MIDI file of 100,000 tempos": lambda: midi(TEMPO * 100_000 + NOTE * 100 + END),
    "a MIDI file of 120,000 notes at once": lambda: midi(b"\0\x90\x3c\x64" * 120_000 + NOTE + END),
    "a MIDI file of 120,000 notes": lambda: midi(NOTE * 120_000 + END),
    "a MIDI file that claims 65,535 tracks": lambda: midi(NOTE + END, n_counted=65_535),
    "a MIDI file of 1024 empty tracks": lambda: midi(*[END] * 1024),
    "a MIDI file over its limit": lambda: midi(NOTE * 200_000 + END),
    "a page": lambda: b"<html><script>alert(1)</script></html>" * 1000,
}


def zipped(content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("../../song.wav", content)
    return file.getvalue()


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_gets_an_answer_in_one_line(server, music, name):
    content = BOMBS[name]()
    answer = server.ask("POST", "/predict?over_time=true", content)
    assert answer.status in (200, 422), answer.body[:300]
    if answer.status == 422:
        assert "\n" not in answer.json["error"]
        assert "busy" not in answer.json["error"]
        assert len(answer.json["error"]) < 500
    else:
        assert 0 < answer.json["seconds"] <= 3600
    below = psutil.Process(server.process.pid).children(recursive=True)
    assert max(one.memory_info().rss for one in below) < LIMIT_BYTES
    assert server.ask("POST", "/predict", (music / FIRST).read_bytes()).status == 200


# Files that name others


@contextmanager
def watched(path: Path) -> Iterator[Callable[[], bool]]:
    """Whether a file has been opened since the last time that was asked."""
    libc = ctypes.CDLL(None, use_errno=True)
    handle = libc.inotify_init1(os.O_NONBLOCK)
    assert libc.inotify_add_watch(handle, os.fsencode(path), IN_OPEN) >= 0

    def is_opened() -> bool:
        try:
            return bool(os.read(handle, 1 << 16))
        except BlockingIOError:
            return False

    try:
        yield is_opened
    finally:
        os.close(handle)


def referring(file: str, address: str) -> dict[str, bytes]:
    """What makes FFmpeg, a player or a browser open a file or an address, as it is and in disguise."""
    plain = {
        "HLS": f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{address}/a.ts\n#EXTINF:9,\nfile://{file}\n"
        "#EXT-X-ENDLIST\n",
        "HLS with a key": f'#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI="{address}/key"\n#EXTINF:9,\n{file}\n',
        "concat": f"ffconcat version 1.0\nfile '{file}'\nfile '{address}/a.wav'\n",
        "concat without a mark": f"file '{file}'\n",
        "SDP": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
        f"m=audio {address.rpartition(':')[2]} RTP/AVP 0\n",
        "DASH": f'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period>'
        f'<AdaptationSet mimeType="audio/mp4"><Representation id="1" bandwidth="1"><BaseURL>{address}/a.mp4'
        "</BaseURL></Representation></AdaptationSet></Period></MPD>",
        "PLS": f"[playlist]\nFile1={file}\nFile2={address}/a.wav\nNumberOfEntries=2\n",
        "ASX": f'<asx version="3.0"><entry><ref href="{address}/a.wma"/></entry></asx>',
        "XSPF": f"<playlist><trackList><track><location>file://{file}</location></track></trackList></playlist>",
        "SVG": f'<svg xmlns="http://www.w3.org/2000/svg"><image href="{address}/a.png"/></svg>',
        "XML entity": f'<!DOCTYPE a [<!ENTITY b SYSTEM "file://{file}">]><a>&b;</a>',
        "RTSP": f"RTSPtextRTSP {address}",
        "name": file,
        "address": f"{address}/a.wav",
        "lavfi": f"amovie={file}",
        "subfile": f"subfile,,start,0,end,0,,:{file}",
        "image sequence": f"{file}%d",
    }
    found = {name: text.encode() for name, text in plain.items()}
    for name in ("HLS", "concat", "SDP", "DASH"):
        for disguise, mark in (
            ("MP3", b"ID3\4\0\0\0\0\0\0"),
            ("WAV", b"RIFF\xff\xff\xff\xffWAVE"),
            ("MP4", b"\0\0\0\x14ftypM4A \0\0\0\0M4A "),
            ("Ogg", b"OggS"),
            ("ASF", bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")),
            ("Matroska", bytes.fromhex("1a45dfa3")),
            ("AAC", b"\xff\xf1"),
            ("white space", b"\n\n"),
        ):
            found[f"{name} as {disguise}"] = mark + found[name]
    referred = by_ffmpeg("mp4", "aac")
    alias = b"\0" * 14 + b"\xff\xff" + b"\0" * 134  # a record of an alias, which names a path
    entry = b"alis\0\0\0\0" + alias + struct.pack(">HH", 18, len(file)) + file.encode() + b"\xff\xff\0\0"
    url = b"url \0\0\0\0" + f"file://{file}\0".encode()
    for name, inner in (("alias", entry), ("address in an MP4", url), ("own address in an MP4", url)):
        place = referred.index(b"dref")
        kept = referred[: place + 12] + struct.pack(">I", len(inner) + 4) + inner + referred[place + 24 :]
        found[name] = with_sizes(kept, place, len(inner) + 4 - 12)
    return found


def with_sizes(content: bytes, place: int, more: int) -> bytes:
    """Add to the sizes of the MP4 boxes around a place."""
    made = bytearray(content)
    for box in (b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref"):
        at = content.rindex(box, 0, place + 4) - 4
        made[at : at + 4] = struct.pack(">I", int.from_bytes(content[at : at + 4], "big") + more)
    return bytes(made)


def test_a_file_that_names_others_has_none_of_them_opened(server, music, module_workspace):
    canary = module_workspace / "canary.wav"
    canary.write_bytes((music / FIRST).read_bytes())
    with socket.create_server(("127.0.0.1", 0)) as listener, watched(canary) as is_opened:
        listener.setblocking(False)
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        canary.read_bytes()
        assert is_opened()
        for name, content in referring(str(canary), address).items():
            answer = server.ask("POST", "/predict?over_time=true", content)
            # sound that lies in the file itself is music, whatever else it names
            assert answer.status == 422 or "in an MP4" in name or name == "alias", name
            assert not is_opened(), name
            with pytest.raises(BlockingIOError):
                listener.accept()
