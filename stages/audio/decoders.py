"""Two decoders that give a file block by block: libsndfile, and FFmpeg for what libsndfile cannot read."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from stages.audio.claims import kept_share
from stages.audio.content import DEMUXERS

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.packet import Packet
    from soundfile import LibsndfileError

Block = tuple[int, NDArray[Any]]  # a rate in Hz, and samples (n_frames, n_channels)

FULL_SCALE_8 = 127 / 128  # the greatest possible values
FULL_SCALE_16 = 32767 / 32768
MISLEADING = {7: "No MP3 in it"}  # libsndfile says that such a file "does not exist"
MOST_PLANES = 8
NO_HEADER = "no header says what it holds"
NO_LENGTH = 1 << 62  # libsndfile's number of frames where the file does not say it, at least


class DecoderError(Exception):
    """Why a decoder gives up, in its own words."""


class Libsndfile:
    """A file that libsndfile has opened.

    Attributes
    ----------
    encoding : str
        Container and subtype as libsndfile names them, such as ``WAV/PCM_16``.
    n_channels, rate_hz : int
    full_scale : float
        The greatest value that a sample can have.
    claimed_s : float
        How long the file should last as its container says; 0.0 if it says nothing.
    n_streams : int
        Streams of music, of which one is read.
    is_damaged : bool
        Whether something was left out, of a file that does not say how long it is.

    Raises
    ------
    DecoderError
    """

    name = "libsndfile"
    n_streams = 1
    is_damaged = False

    def __init__(self, source: Path | IO[bytes], container: str) -> None:
        import soundfile

        self._error = soundfile.LibsndfileError
        try:
            # a name need not be UTF-8, of which soundfile would make bytes
            name = os.fsencode(source) if isinstance(source, Path) else source
            self._file = file = soundfile.SoundFile(name)
        except self._error as error:
            raise self._gives_up(error) from None
        except TypeError:  # the answer of soundfile for any file named .raw
            raise DecoderError(NO_HEADER) from None
        if file.format == "RAW":  # and of libsndfile for any file named .au
            file.close()
            raise DecoderError(NO_HEADER)
        self.encoding = f"{file.format}/{file.subtype}"
        self.rate_hz: int = file.samplerate
        self.n_channels: int = file.channels
        self.full_scale = FULL_SCALE_8 if file.subtype in ("PCM_S8", "PCM_U8") else FULL_SCALE_16
        self.claimed_s = 0.0
        if file.format != "MP3" and file.frames < NO_LENGTH:  # an MP3's is guessed from its first frame
            share = kept_share(source, container) if isinstance(source, Path) else 1.0
            self.claimed_s = file.frames / file.samplerate / (share or 1.0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()

    def blocks(self, n_values: int) -> Iterator[Block]:
        """Yield the samples, about `n_values` at a time: int16 if they are 16-bit mono, else float32."""
        n_frames = max(1, n_values // self.n_channels)
        dtype = "int16" if self._file.subtype == "PCM_16" and self.n_channels == 1 else "float32"
        try:
            while len(block := self._file.read(n_frames, dtype, always_2d=True)):
                yield self.rate_hz, block
        except self._error as error:
            raise self._gives_up(error) from None

    @staticmethod
    def _gives_up(error: "LibsndfileError") -> DecoderError:
        return DecoderError(MISLEADING.get(error.code, error.error_string.strip().rstrip(".")))


class Ffmpeg:
    """A file that FFmpeg has opened; see `Libsndfile`.

    `claimed_s` and `is_damaged` are known when all blocks are read.
    """

    name = "FFmpeg"
    full_scale = FULL_SCALE_16

    def __init__(self, source: Path | IO[bytes], container: str) -> None:
        import av

        self._container = container
        self._kept_share = kept_share(source, container) if isinstance(source, Path) else 1.0
        self._error = av.FFmpegError
        self._file = source.open("rb") if isinstance(source, Path) else source
        try:
            with self._one_error():
                # A file, since a name might be an address; one demuxer, since others follow names in a file.
                self._opened = av.open(self._file, "r", format=DEMUXERS[container], metadata_errors="ignore")
        except DecoderError:
            self._file.close()
            raise
        streams = self._opened.streams.audio
        if not streams or streams[0].codec_context is None:
            self._close()
            raise DecoderError("a codec that it does not know, or encrypted" if streams else "no sound in it")
        self._stream = streams[0]
        self.n_streams = len(streams)
        codec = self._stream.codec_context
        self.encoding = f"{container}/{codec.codec.canonical_name.upper()} (FFmpeg)"
        self.rate_hz, self.n_channels = codec.sample_rate, codec.channels
        self.claimed_s = 0.0
        self.is_damaged = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._close()

    def _close(self) -> None:
        self._opened.close()
        self._file.close()

    @contextmanager
    def _one_error(self) -> Iterator[None]:
        """Raise `DecoderError` for all that a file's content can cause."""
        try:
            yield
        except self._error as error:
            raise DecoderError(error.strerror) from None
        except OSError as error:
            if error.errno != errno.EINVAL:  # of a seek to where no file can reach; else the disk's
                raise
            raise DecoderError(str(error.strerror)) from None

    def blocks(self, n_values: int) -> Iterator[Block]:
        """Yield the samples, about `n_values` at a time; what cannot be decoded is left out."""
        waiting: list[NDArray[np.float32]] = []
        of_what, n_waiting = (0, 0), 0
        for frame in self._frames():
            samples = _samples(frame)
            this = frame.sample_rate, samples.shape[1]
            if waiting and (this != of_what or n_waiting > n_values):
                yield of_what[0], np.concatenate(waiting)
                waiting, n_waiting = [], 0
            of_what = this
            waiting.append(samples)
            n_waiting += samples.size
        if waiting:
            yield of_what[0], np.concatenate(waiting)

    def _frames(self) -> "Iterator[AudioFrame]":
        """Yield what can be decoded, and compare it in the end with what there should be."""
        span, read_s, lost_s = _Span(), 0.0, 0.0
        fault = ""
        packets = self._opened.demux(self._stream)
        try:
            while (packet := self._next(packets)) is not None:
                span.add(packet)
                try:
                    with self._one_error():
                        frames = packet.decode()
                except DecoderError as error:
                    fault = str(error)
                    lost_s += float((packet.duration or 0) * (packet.time_base or 0))
                    continue
                for frame in frames:
                    read_s += frame.samples / frame.sample_rate
                    yield frame
        finally:
            self._compare(span, read_s, lost_s, bool(fault))
        if fault and not read_s:
            raise DecoderError(fault)

    def _next(self, packets: "Iterator[Packet[AudioStream]]") -> "Packet[AudioStream] | None":
        with self._one_error():
            return next(packets, None)

    def _compare(self, span: "_Span", read_s: float, lost_s: float, is_damaged: bool) -> None:
        """Set how long the file should be, or that something is missing if nothing says how long that is."""
        if self._container == "MP3":  # junk counts as packets here; `stages.audio.mp3` knows better
            return
        unit_s = float(self._stream.time_base or 0)
        header_s = 0.0
        if self._container == "AAC":  # has no header, and FFmpeg guesses
            is_damaged |= span.n_skipped > 0
        elif self._stream.duration is not None:
            in_front = min(0, span.first) if self._container == "OGG" else 0  # MP4 does not count it
            header_s = (self._stream.duration + in_front) * unit_s
        elif self._opened.duration is not None:
            header_s = self._opened.duration / 1e6
        self.is_damaged = is_damaged and not header_s
        if not header_s or self._kept_share < 1:
            header_s = max(header_s, span.end * unit_s / (self._kept_share or 1))
        self.claimed_s = max(header_s, read_s + lost_s if lost_s else 0.0)


class _Span:
    """What the packets of a stream cover."""

    def __init__(self) -> None:
        self.first = self.end = 0  # in the stream's unit of time
        self.n_skipped = 0  # bytes between packets
        self._stop: int | None = None

    def add(self, packet: "Packet[AudioStream]") -> None:
        if packet.pts is not None:
            self.first = min(self.first, packet.pts)
            self.end = max(self.end, packet.pts + (packet.duration or 0))
        if packet.pos is not None:
            self.n_skipped += max(0, packet.pos - (packet.pos if self._stop is None else self._stop))
            self._stop = packet.pos + packet.size


def _samples(frame: "AudioFrame") -> NDArray[np.float32]:
    """Return the samples of a frame, (n_samples, n_channels), full scale 1.

    `AudioFrame.to_ndarray` would read beyond the frame's memory if it had eight or more planes (PyAV 18.1).
    """
    from av.audio.frame import format_dtypes

    n_channels, kind = frame.layout.nb_channels, format_dtypes.get(frame.format.name)
    if kind is None or (frame.format.is_planar and n_channels > MOST_PLANES):
        raise DecoderError(f"{n_channels} channels of {frame.format.name}, which cannot be read")
    planes: list[Any] = list(frame.planes[:n_channels])
    if frame.format.is_planar:
        array = np.stack([np.frombuffer(plane, kind, frame.samples) for plane in planes], axis=1)
    else:
        array = np.frombuffer(planes[0], kind, frame.samples * n_channels).reshape(-1, n_channels)
    samples = array.astype(np.float32)
    if kind == "u1":
        samples -= 128
    if kind[0] in "iu":
        samples /= 2 ** (8 * array.itemsize - 1)
    return samples
