"""Where tracks are cut into segments, and the index of all segments."""

import math
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, repeat
from pathlib import Path

import numpy as np
from pydantic import Field

from stages.core.errors import EncoreError
from stages.core.params import Params
from stages.core.tables import AudioTrack, Segment, SegmentedTrack, each_row

SAMPLES_PER_CHUNK = 1 << 22  # three minutes at 22,050 Hz: bounds the memory, however long a track is


class SegmentParams(Params):
    """The `segment` section.

    Attributes
    ----------
    length_s : float
        Length of a segment.
    max_per_track : int or None
        At most this many segments, spread evenly over the track; None for all.
    tail : float
        Share of a last segment that may be missing; it is padded with zeros. If more is missing, the
        segment is dropped.
    """

    length_s: float = Field(gt=0, le=86_400)
    max_per_track: int | None = Field(ge=1)
    tail: float = Field(ge=0, lt=1)


def cut(
    n_samples: int, n_windows: int, length: int, tail: float, max_per_track: int | None
) -> list[tuple[int, int]]:
    """Return where to cut a track.

    Parameters
    ----------
    n_samples, length : int
        Length of the track and of a segment, in samples.
    n_windows : int
        Number of equal windows that the track consists of. No segment spans two of them, and nothing is
        padded if there are several.
    tail : float
        Share of the last segment that may lie beyond the track's end.
    max_per_track : int or None
        See `SegmentParams`.

    Returns
    -------
    list of (start, stop)
        Adjacent segments in samples; the last stop may exceed `n_samples`.
    """
    window = n_samples // n_windows
    whole, rest = divmod(window, length)
    per_window = whole + (n_windows == 1 and rest > 0 and length - rest <= tail * length)
    starts = [i * window + j * length for i in range(n_windows) for j in range(per_window)]
    if max_per_track is not None and max_per_track < len(starts):
        chosen = np.linspace(0, len(starts) - 1, max_per_track).round().astype(int).tolist()
        starts = [starts[i] for i in chosen]
    return [(start, start + length) for start in starts]


def cut_all(
    tracks: Sequence[AudioTrack], params: SegmentParams, sample_rate_hz: int
) -> tuple[list[Segment], list[SegmentedTrack]]:
    """Cut all tracks.

    Returns
    -------
    segments : list of Segment
        In the order of the tracks.
    cuts : list of SegmentedTrack
        How each track was cut.

    Raises
    ------
    EncoreError
        If a segment is shorter than a sample or longer than every track.
    """
    length = round(params.length_s * sample_rate_hz)
    if length < 1:
        raise EncoreError(f"params.yaml: segment.length_s is {params.length_s}, under one sample")
    segments: list[Segment] = []
    cuts: list[SegmentedTrack] = []
    for track in tracks:
        places = cut(track.n_samples, track.n_windows, length, params.tail, params.max_per_track)
        segments += [Segment(track.track_id, i, start, stop) for i, (start, stop) in enumerate(places)]
        cuts.append(
            SegmentedTrack(
                track.track_id, track.label, track.group, track.recording, track.split, len(places)
            )
        )
    if not segments:
        longest_s = max(track.n_samples // track.n_windows for track in tracks) / sample_rate_hz
        raise EncoreError(
            f"params.yaml: segment.length_s is {params.length_s}, but the longest track "
            f"(or window of one) has {math.floor(longest_s * 1000) / 1000:g} s; choose at most that"
        )
    return segments, cuts


@dataclass(frozen=True)
class Index:
    """All segments in the order of segments.csv.

    Attributes
    ----------
    length : int
        Of each segment, in samples.
    tracks : mapping of str to (int, str, int)
        Row in data/audio/tracks.csv, label, and samples in a window of each track, by track_id.
    track_id : sequence of str
        Of each segment.
    segment, start : array of int
        Of each segment: its number within the track, and its first sample there.
    """

    length: int
    tracks: Mapping[str, tuple[int, str, int]]
    track_id: Sequence[str]
    segment: "array[int]"
    start: "array[int]"

    @classmethod
    def read(cls, tracks_csv: Path, segments_csv: Path) -> "Index":
        """Read the index from the tracks of the decode stage and the segments of the segment stage."""
        rows = enumerate(each_row(tracks_csv, AudioTrack))
        tracks = {
            track.track_id: (row, track.label, track.n_samples // track.n_windows) for row, track in rows
        }
        names = {name: name for name in tracks}  # one string for each track, however many segments it has
        track_id, segment, start, length = [], array("i"), array("q"), 0
        for row in each_row(segments_csv, Segment):
            track_id.append(names[row.track_id])
            segment.append(row.segment)
            start.append(row.start)
            length = row.stop - row.start
        return cls(length, tracks, track_id, segment, start)

    def window(self, row: int) -> int:
        """Return the number, within its track, of the window that contains the segment in row `row`."""
        return self.start[row] // self.tracks[self.track_id[row]][2]

    def chunks(self, by_window: bool) -> list[slice]:
        """Return the rows of each chunk: neighbouring segments of a track, or of a window of it.

        A chunk has at most `SAMPLES_PER_CHUNK` samples, or one segment.
        """
        at_once = max(1, SAMPLES_PER_CHUNK // self.length)
        windows = map(self.window, range(len(self.track_id))) if by_window else repeat(0)
        chunks, first = [], 0
        for _, together in groupby(zip(self.track_id, windows, strict=False)):
            stop = first + sum(1 for _ in together)
            chunks += [slice(i, min(i + at_once, stop)) for i in range(first, stop, at_once)]
            first = stop
        return chunks

    def labels(self) -> list[str]:
        """Return the label of each segment; empty: unlabelled."""
        return [self.tracks[track_id][1] for track_id in self.track_id]
