"""Read all the music in a file, with the decoder that reads most of it, and say what is left out."""

import re
from dataclasses import dataclass
from io import BytesIO
from itertools import pairwise
from pathlib import Path

from stages.audio import mp3, ogg
from stages.audio.content import container, mapped
from stages.audio.decoders import DecoderError, Ffmpeg, Libsndfile
from stages.audio.waveform import Meter, Sink, Take, take

TOLERANCE_S = 0.05  # what may be missing: headers, frames and decoders' delays differ by so much
FLAC_START = rb"fLaC[\0\x80]\0\0\x22"  # with the size of the block that follows, always the same
WMA_FRAME_S = 0.064  # the longest frame of WMA, whose decoder keeps the last one


class UnreadableError(Exception):
    """Why no music can be read, as a predicate, and what to do."""


@dataclass(frozen=True)
class Reading:
    """What was read of a file.

    Attributes
    ----------
    encoding, rate_hz, n_channels
        See `stages.audio.waveform.Take`; of the first part of a chained file.
    claimed_s : float
        How long the file should last; 0.0: nothing says it.
    cut_short : str
        What is left out, as a predicate, and what to do; empty: nothing.
    meter, sink
        See `stages.audio.waveform.Take`.
    """

    encoding: str
    rate_hz: int
    n_channels: int
    claimed_s: float
    cut_short: str
    meter: Meter
    sink: Sink


@dataclass(frozen=True)
class _Part:
    """A file, or a link of a chained one.

    Attributes
    ----------
    path : Path
    container : str
        See `stages.audio.content.container`.
    frames_s : float
        How long its frames are; 0.0: not known before they are decoded.
    is_damaged : bool
        Whether something is missing in its frames or pages.
    link : Link or None
        What Ogg pages say of it.
    place : slice or None
        Where in the file it lies; None: it is the file.
    """

    path: Path
    container: str
    frames_s: float = 0.0
    is_damaged: bool = False
    link: ogg.Link | None = None
    place: slice | None = None

    def open(self) -> Path | BytesIO:
        is_lowered = self.link is not None and self.link.is_lowered
        if self.place is None and not is_lowered:
            return self.path
        with self.path.open("rb") as file:
            file.seek(self.place.start if self.place else 0)
            content = file.read(self.place.stop - self.place.start if self.place else -1)
        return BytesIO(ogg.at_full_rate(content) if is_lowered else content)


def read(path: Path, sample_rate_hz: int, max_duration_s: float, sink: Sink) -> Reading:
    """Read a file to a waveform: with libsndfile if it reads all, else with FFmpeg if that reads more.

    Parameters
    ----------
    path : Path
        Not empty, and not MIDI.
    sample_rate_hz : int
        Of the waveform.
    max_duration_s : float
        A longer file is not read to its end.
    sink : Sink
        What the waveform is added to, or to a copy of it: that of the result has it.

    Raises
    ------
    UnreadableError
    TooLongError
    """
    parts = _parts(path)
    meter, takes, notes = Meter(), [], []
    for number, part in enumerate(parts, 1):
        best = _best_take(part, sample_rate_hz, max_duration_s - meter.duration_s, sink)
        where = f"in its part {number} of {len(parts)} " if len(parts) > 1 else ""
        notes += [where + note for note in _left_out(part, best)]
        takes.append(best)
        meter.add(best.meter)
        sink = best.sink
    first = next((each for each in takes if each.meter.duration_s), takes[0])
    if first.fault and not first.meter.duration_s:
        raise UnreadableError(_refusal(parts[0].container, first.fault))
    claimed_s = sum(each.claimed_s for each in takes) if all(each.claimed_s for each in takes) else 0.0
    about = (first.encoding, first.rate_hz, first.n_channels, claimed_s)
    return Reading(*about, cut_short="; ".join(notes), meter=meter, sink=sink)


def _parts(path: Path) -> list[_Part]:
    """Return the file, or the links of a chained one."""
    content = mapped(path)
    kind = container(content, path)
    if kind == "MP3":
        frames = mp3.count(content)
        return [_Part(path, kind if frames.seconds else "", frames.seconds, frames.is_damaged)]
    if kind == "FLAC":
        starts = [found.start() for found in re.finditer(FLAC_START, content)][1:]
        places = [slice(*ends) for ends in pairwise([0, *starts, len(content)])]
        return [_Part(path, kind, place=place if starts else None) for place in places]
    links = ogg.links(content) if kind == "OGG" else []
    if not links:
        return [_Part(path, kind)]
    whole = slice(0, len(content))
    places = [slice(link.start, link.stop) for link in links]
    return [
        _Part(path, kind, 0.0, link.is_damaged, link, None if place == whole else place)
        for link, place in zip(links, places, strict=True)
    ]


def _best_take(part: _Part, sample_rate_hz: int, max_duration_s: float, sink: Sink) -> Take:
    """Read a part with the first decoder that reads all of it, else with the one that reads more."""
    decoders: list[type[Libsndfile | Ffmpeg]] = [Libsndfile]
    if part.container:
        decoders.append(Ffmpeg)
    best = None
    for decoder in decoders:
        new = _try(decoder, part, sample_rate_hz, max_duration_s, sink.copy())
        best = new if best is None else _better(best, new)
        read_s = best.meter.duration_s
        if not best.fault and read_s > 0 and read_s >= best.claimed_s - TOLERANCE_S:
            break
    assert best is not None
    return best


def _try(
    decoder: type[Libsndfile | Ffmpeg], part: _Part, sample_rate_hz: int, max_duration_s: float, sink: Sink
) -> Take:
    try:
        with decoder(part.open(), part.container) as opened:
            result = take(opened, sample_rate_hz, max_duration_s, sink)
    except DecoderError as error:
        result = Take(sink, fault=str(error))
    if result.fault:
        result.fault = f"{decoder.name}: {result.fault}"
    pages_s = part.link.claimed_s(result.rate_hz) if part.link else 0.0
    result.claimed_s = max(part.frames_s, pages_s, result.claimed_s)
    return result


def _better(one: Take, other: Take) -> Take:
    """Return the take that has more of the music, or `one`; it claims what either claims."""
    more_s = other.meter.duration_s - one.meter.duration_s
    mends = bool(one.fault) and not other.fault and more_s >= -TOLERANCE_S
    best = other if more_s > TOLERANCE_S or mends else one
    best.claimed_s = max(one.claimed_s, other.claimed_s)
    if one.fault and other.fault:
        best.fault = f"{one.fault}; {other.fault}"
    return best


def _left_out(part: _Part, best: Take) -> list[str]:
    """Return what of a part is not read, in sentences without a subject."""
    read_s = best.meter.duration_s
    tolerance_s = TOLERANCE_S + (WMA_FRAME_S if part.container == "ASF" else 0.0)
    why = f" ({best.fault})" if best.fault else ""
    notes = []
    if best.claimed_s - read_s > tolerance_s:
        notes.append(f"should last {best.claimed_s:.2f} s, but {read_s:.2f} s can be read{why}; get it again")
    elif best.fault and not best.claimed_s:
        notes.append(f"breaks off after {read_s:.2f} s, its length is not known{why}; get it again")
    elif part.is_damaged or best.is_damaged:
        notes.append(f"is damaged within, or cut off after the {read_s:.2f} s that can be read; get it again")
    n_streams = len(part.link.streams) if part.link else best.n_streams
    if n_streams > 1:
        notes.append(f"has {n_streams} streams of music, of which the first is read; split it to use all")
    return notes


def _refusal(kind: str, fault: str) -> str:
    if not kind:
        return (
            f"cannot be decoded: it is no music that is known here, or is damaged where it begins ({fault}); "
            "get it again, convert it to FLAC or WAV, or take it away"
        )
    return (
        f"cannot be decoded: it looks like {kind}, but is damaged, encrypted or of unknown kind ({fault}); "
        "get it again, or convert it to FLAC or WAV"
    )
