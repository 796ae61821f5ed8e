"""Stage segment: where are the cuts? Fills data/segments with an index; no audio is copied."""

import math
from pathlib import Path

import numpy as np
from pydantic import Field

from stages.core.errors import EncoreError
from stages.core.params import Params, load
from stages.core.tables import AudioTrack, Segment, SegmentedTrack, read_rows, write_rows
from stages.core.workspace import outputs
from stages.entry.command import run
from stages.storage import hdf5

AUDIO = Path("data/audio")


class SegmentParams(Params):
    """The `segment` section.

    Attributes
    ----------
    length_s : float
        Length of a segment.
    max_per_track : int or None
        At most so many segments, spread evenly over the track; None for all.
    tail : float
        Share of a last segment that may be missing; it is padded with zeros. A larger gap drops it.
    """

    length_s: float = Field(gt=0)
    max_per_track: int | None = Field(ge=1)
    tail: float = Field(ge=0, lt=1)


def cut(
    n_samples: int, n_windows: int, length: int, tail: float, max_per_track: int | None
) -> list[tuple[int, int]]:
    """Where to cut a track.

    Parameters
    ----------
    n_samples, length : int
        Length of the track and of a segment, in samples.
    n_windows : int
        Into how many equal stretches the track falls; no segment spans two of them, so that with
        several there is no padding.
    tail : float
        Share of the last segment that may lie beyond the track's end.
    max_per_track : int or None
        See `SegmentParams`.

    Returns
    -------
    list of (start, stop)
        Segments side by side in samples; the last stop may pass `n_samples`.
    """
    window = n_samples // n_windows
    whole, rest = divmod(window, length)
    per_window = whole + (n_windows == 1 and rest > 0 and length - rest <= tail * length)
    starts = [i * window + j * length for i in range(n_windows) for j in range(per_window)]
    if max_per_track is not None and max_per_track < len(starts):
        chosen = np.linspace(0, len(starts) - 1, max_per_track).round().astype(int).tolist()
        starts = [starts[i] for i in chosen]
    return [(start, start + length) for start in starts]


def main() -> None:
    """Cut every track of data/audio."""
    params = load("segment", SegmentParams)
    sample_rate_hz = hdf5.read_sample_rate_hz(AUDIO / "audio.h5")
    length = round(params.length_s * sample_rate_hz)
    if length < 1:
        raise EncoreError(f"params.yaml: segment.length_s is {params.length_s}, under one sample")
    tracks = read_rows(AUDIO / "tracks.csv", AudioTrack)
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
    with outputs(Path("data/segments")) as folder:
        write_rows(folder / "segments.csv", segments, Segment)
        write_rows(folder / "tracks.csv", cuts, SegmentedTrack)
    too_short = [track.track_id for track in cuts if track.n_segments == 0]
    print(f"segment: {len(segments)} segments of {params.length_s:g} s from {len(cuts)} tracks")
    if too_short:
        print(f"  {len(too_short)} tracks are shorter than one segment: {', '.join(too_short[:5])} …")


if __name__ == "__main__":
    run(main)
