"""Stage segment: where are the cuts? Writes an index to data/segments; no audio is copied."""

from pathlib import Path

from stages.core.params import load
from stages.core.tables import AudioTrack, Segment, SegmentedTrack, read_rows, write_rows
from stages.core.workspace import outputs
from stages.entry.command import run
from stages.features.segments import SegmentParams, cut_all
from stages.storage import audio_file

AUDIO = Path("data/audio")


def main() -> None:
    """Cut every track of data/audio."""
    params = load("segment", SegmentParams)
    tracks = read_rows(AUDIO / "tracks.csv", AudioTrack)
    segments, cuts = cut_all(tracks, params, audio_file.read_sample_rate_hz(AUDIO / "audio.h5"))
    with outputs(Path("data/segments")) as folder:
        write_rows(folder / "segments.csv", segments, Segment)
        write_rows(folder / "tracks.csv", cuts, SegmentedTrack)
    print(f"segment: {len(segments)} segments of {params.length_s:g} s from {len(cuts)} tracks")
    if too_short := [track.track_id for track in cuts if track.n_segments == 0]:
        print(f"  {len(too_short)} tracks are shorter than one segment: {', '.join(too_short[:5])} …")


if __name__ == "__main__":
    run(main)
