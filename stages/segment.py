"""Stage segment: where are the cuts? Fills data/segments with an index; no audio is copied."""

import math
from pathlib import Path

from pydantic import Field

from stages.audio.segments import cut
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
