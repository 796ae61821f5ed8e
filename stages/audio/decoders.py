"""Two decoders that give a file block by block: libsndfile, and FFmpeg for what libsndfile cannot read."""

from collections.abc import Iterator
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
MISLEADING = {7: "No MP3 in it."}  # libsndfile says that such a file "does not exist"
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

    Raises
    ------
    DecoderError
    """

    name = "libsndfile"
    n_streams = 1

    def __init__(self, source: Path | IO[bytes], container: str) -> None:
        import soundfile

        self._error = soundfile.LibsndfileError
        try:
            self._file = file = soundfile.SoundFile(source)
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
        return DecoderError(MISLEADING.get(error.code, error.error_string.strip()))


class Ffmpeg:
    """A file that FFmpeg has opened; see `Libsndfile`. `claimed_s` is known when all blocks are read."""

    name = "FFmpeg"
    full_scale = FULL_SCALE_16

    def __init__(self, source: Path | IO[bytes], container: str) -> None:
        import av

        self._error = av.FFmpegError
        self._file = source.open("rb") if isinstance(source, Path) else source
        try:
            # A file, since a name might be an address; and one demuxer, since others follow such names in it.
            self._opened = av.open(self._file, format=DEMUXERS[container], metadata_errors="ignore")
        except self._error as error:
            self._file.close()
            raise DecoderError(error.strerror) from None
        streams = self._opened.streams.audio
        if not streams or streams[0].codec_context is None:
            self._close()
            raise DecoderError("a codec that it does not know, or encrypted" if streams else "no sound in it")
        self._stream = streams[0]
        self._container = container
        self.n_streams = len(streams)
        codec = self._stream.codec_context
        self.encoding = f"{container}/{codec.codec.canonical_name.upper()} (FFmpeg)"
        self.rate_hz, self.n_channels = codec.sample_rate, codec.channels
        self.claimed_s = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._close()

    def _close(self) -> None:
        self._opened.close()
        self._file.close()

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
        span = _Span()
        failed = None
        n_frames = 0
        try:
            for packet in self._opened.demux(self._stream):
                span.add(packet)
                try:
                    for frame in packet.decode():
                        n_frames += 1
                        yield frame
                except self._error as error:
                    failed = error
        except self._error as error:
            raise DecoderError(error.strerror) from None
        finally:
            self.claimed_s = self._length_s(span)
        if failed and not n_frames:
            raise DecoderError(failed.strerror)

    def _length_s(self, span: "_Span") -> float:
        """Return how long the file should be: as its header says, or as its packets do, if they say more."""
        if self._container == "MP3":  # the demuxer counts junk as packets
            return 0.0
        unit_s = float(self._stream.time_base or 0)
        in_front_s = min(0, span.first) * unit_s  # before the time zero lies what the encoder added
        if self._container == "AAC":
            return span.end * unit_s * (1 + span.n_skipped / max(1, span.n_bytes))
        of_file_s = (self._opened.duration or 0) / 1e6
        header_s = self._stream.duration * unit_s if self._stream.duration else of_file_s
        return header_s + in_front_s if header_s else span.end * unit_s


class _Span:
    """What the packets of a stream cover."""

    def __init__(self) -> None:
        self.first = self.end = 0  # in the stream's unit of time
        self.n_bytes = self.n_skipped = 0  # in packets, and between them
        self._stop: int | None = None

    def add(self, packet: "Packet[AudioStream]") -> None:
        if packet.pts is not None:
            self.first = min(self.first, packet.pts)
            self.end = max(self.end, packet.pts + (packet.duration or 0))
        if packet.pos is not None:
            if self._stop is not None:
                self.n_skipped += max(0, packet.pos - self._stop)
            self._stop = packet.pos + packet.size
            self.n_bytes += packet.size


def _samples(frame: "AudioFrame") -> NDArray[np.float32]:
    """Return the samples of a frame, (n_samples, n_channels), full scale 1."""
    array: NDArray[Any] = frame.to_ndarray()
    array = array.T if frame.format.is_planar else array.reshape(-1, frame.layout.nb_channels)
    samples = array.astype(np.float32)
    if array.dtype == np.uint8:
        samples -= 128
    if array.dtype.kind in "iu":
        samples /= 2 ** (8 * array.dtype.itemsize - 1)
    return samples
