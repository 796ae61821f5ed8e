"""Tracks are cut into adjacent segments of one length."""

from pathlib import Path

import numpy as np
import pytest

from stages import segment
from stages.core.tables import Segment, SegmentedTrack, read_rows
from stages.features.segments import cut
from tests.synthetic import RATE_HZ, line_of, write_audio, write_params

RATE_22K = 22050


@pytest.mark.parametrize(
    ("n_samples", "length_s", "wanted"),
    [
        (30 * RATE_22K, 3.0, 10),
        (30 * RATE_22K, 6.0, 5),
        (660_000, 3.0, 10),  # GTZAN's shortest clip and its longest
        (675_808, 3.0, 10),
        (660_000, 6.0, 5),
        (675_808, 6.0, 5),
    ],
)
def test_a_gtzan_clip_gives_the_usual_number_of_segments(n_samples, length_s, wanted):
    assert len(cut(n_samples, 1, round(length_s * RATE_22K), 0.05, None)) == wanted


def test_segments_are_adjacent():
    assert cut(250, 1, 100, 0.0, None) == [(0, 100), (100, 200)]


@pytest.mark.parametrize(
    ("n_samples", "tail", "wanted"),
    [
        (295, 0.05, 3),
        (294, 0.05, 2),
        (299, 0.0, 2),
        (300, 0.0, 3),
        (95, 0.05, 1),
        (94, 0.05, 0),
        (201, 0.99, 3),
        (0, 0.5, 0),
    ],
)
def test_a_last_segment_is_padded_or_dropped(n_samples, tail, wanted):
    cuts = cut(n_samples, 1, 100, tail, None)
    assert len(cuts) == wanted
    if cuts:
        assert cuts[-1][1] - n_samples <= tail * 100
        assert all(stop - start == 100 for start, stop in cuts)


@pytest.mark.parametrize(
    ("most", "starts"),
    [(1, [0]), (2, [0, 900]), (3, [0, 400, 900]), (4, [0, 300, 600, 900]), (99, range(0, 1000, 100))],
)
def test_max_per_track_spreads_segments_over_the_track(most, starts):
    assert [start for start, _ in cut(1000, 1, 100, 0.0, most)] == list(starts)


def test_no_segment_spans_two_windows():
    assert cut(3 * 250, 3, 100, 0.9, None) == [(w + s, w + s + 100) for w in (0, 250, 500) for s in (0, 100)]
    assert cut(3 * 200, 3, 100, 0.0, 3) == [(0, 100), (200, 300), (500, 600)]


def test_max_per_track_never_repeats_a_segment():
    for n_segments in range(1, 40):
        for most in range(1, 45):
            chosen = cut(n_segments * 10, 1, 10, 0.0, most)
            assert len(set(chosen)) == len(chosen) == min(most, n_segments)


class TestStage:
    """`python -m stages.segment`."""

    def test_index_and_counts(self, workspace):
        write_audio({"a": np.ones(3 * RATE_HZ, np.int16), "b": np.ones(RATE_HZ + 10, np.int16)})
        write_params()
        segment.main()
        assert read_rows(Path("data/segments/segments.csv"), Segment) == [
            Segment("a", 0, 0, RATE_HZ),
            Segment("a", 1, RATE_HZ, 2 * RATE_HZ),
            Segment("a", 2, 2 * RATE_HZ, 3 * RATE_HZ),
            Segment("b", 0, 0, RATE_HZ),
        ]
        assert read_rows(Path("data/segments/tracks.csv"), SegmentedTrack) == [
            SegmentedTrack("a", "jazz", "", "a", "", 3),
            SegmentedTrack("b", "jazz", "", "b", "", 1),
        ]

    def test_tracks_shorter_than_a_segment_are_listed(self, workspace, capsys):
        write_audio({"long": np.ones(2 * RATE_HZ, np.int16), "short": np.ones(RATE_HZ // 2, np.int16)})
        write_params()
        segment.main()
        tracks = read_rows(Path("data/segments/tracks.csv"), SegmentedTrack)
        assert {track.track_id: track.n_segments for track in tracks} == {"long": 2, "short": 0}
        printed = capsys.readouterr().out
        assert "short" in printed
        assert "1 track" in printed

    def test_a_length_longer_than_every_track_is_refused(self, workspace):
        write_audio({"a": np.ones(2 * RATE_HZ, np.int16), "b": np.ones(RATE_HZ, np.int16)})
        write_params("segment.length_s=7.5")
        line = line_of(segment.main)
        assert "segment.length_s is 7.5" in line
        assert "2 s" in line
        assert not Path("data/segments").exists()

    def test_the_length_in_the_message_works(self, workspace):
        write_audio({"a": np.ones(round(2.3456789 * RATE_HZ), np.int16)})
        write_params("segment.length_s=9", "segment.tail=0.0")
        advised = line_of(segment.main).split(" has ")[1].split(" s")[0]
        write_params(f"segment.length_s={advised}", "segment.tail=0.0")
        segment.main()

    def test_a_length_under_one_sample_is_refused(self, workspace):
        write_audio({"a": np.ones(RATE_HZ, np.int16)})
        write_params("segment.length_s=0.00001")
        assert "segment.length_s" in line_of(segment.main)

    def test_max_per_track(self, workspace):
        write_audio({"a": np.ones(10 * RATE_HZ, np.int16), "b": np.ones(RATE_HZ, np.int16)})
        write_params("segment.max_per_track=2")
        segment.main()
        rows = read_rows(Path("data/segments/segments.csv"), Segment)
        assert [(row.track_id, row.segment, row.start // RATE_HZ) for row in rows] == [
            ("a", 0, 0),
            ("a", 1, 9),
            ("b", 0, 0),
        ]
