"""The split stage: who learns, who judges."""

from collections import Counter
from pathlib import Path

import pytest

from stages import split
from stages.core.tables import Assignment, SegmentedTrack, read_rows, write_rows
from tests.synthetic import line_of, write_params


def write_tracks(tracks: list[SegmentedTrack]) -> None:
    Path("data/segments").mkdir(parents=True, exist_ok=True)
    write_rows(Path("data/segments/tracks.csv"), tracks, SegmentedTrack)


def track(
    track_id: str, label: str, group: str = "", recording: str = "", side: str = "", n_segments: int = 5
) -> SegmentedTrack:
    return SegmentedTrack(track_id, label, group, recording or track_id, side, n_segments)


def library(
    n_groups: int = 5, per_group: int = 4, labels: tuple[str, ...] = ("jazz", "rock")
) -> list[SegmentedTrack]:
    """Tracks of some artists in each class."""
    return [
        track(f"{label}/{group}-{number}.wav", label, f"{label} artist {group}")
        for label in labels
        for group in range(n_groups)
        for number in range(per_group)
    ]


def assignments(*overrides: str) -> dict[str, Assignment]:
    write_params(*overrides)
    split.main()
    return {row.track_id: row for row in read_rows(Path("data/split/split.csv"), Assignment)}


@pytest.mark.parametrize("scheme", ["grouped", "kfold"])
def test_artists_never_stand_apart(workspace, scheme):
    write_tracks(library())
    rows = assignments(f"split={scheme}")
    sides = {}
    for track in library():
        sides.setdefault(track.group, set()).add(rows[track.track_id].split)
        assert rows[track.track_id].unit == track.group
    assert all(len(where) == 1 for where in sides.values())


def test_a_track_without_a_group_is_its_own(workspace):
    write_tracks([track(f"{c}{i}", c) for c in "ab" for i in range(10)])
    rows = assignments("split=grouped")
    assert all(row.unit == row.track_id for row in rows.values())
    assert Counter(row.split for row in rows.values()) == {"train": 12, "valid": 4, "test": 4}


def test_stratified_leaves_groups_aside_and_warns(workspace, capsys):
    write_tracks(library(n_groups=2, per_group=20))
    rows = assignments("split=stratified")
    assert Counter((row.label, row.split) for row in rows.values()) == {
        (label, side): n
        for label in ("jazz", "rock")
        for side, n in (("train", 24), ("valid", 8), ("test", 8))
    }
    assert all(row.unit == row.track_id for row in rows.values())
    assert "4 groups" in capsys.readouterr().out


@pytest.mark.parametrize("scheme", ["grouped", "kfold", "stratified"])
def test_copies_of_a_recording_never_stand_apart(workspace, scheme, capsys):
    tracks = [track(f"{c}{i}", c, f"artist {c}{i}", f"{c}{i - i % 2}") for c in "ab" for i in range(20)]
    write_tracks(tracks)
    rows = assignments(f"split={scheme}")
    for c in "ab":
        for i in range(0, 20, 2):
            assert rows[f"{c}{i}"].split == rows[f"{c}{i + 1}"].split
            assert rows[f"{c}{i}"].unit == rows[f"{c}{i + 1}"].unit
    assert "recordings" not in capsys.readouterr().out


class TestPublished:
    """``split=published``: what the manifest says."""

    def test_tracks_stand_where_the_dataset_says(self, workspace):
        sides = ["train", "valid", "test", ""]
        write_tracks([track(f"{c}{side}", c, side=side) for c in "ab" for side in sides])
        rows = assignments("split=published")
        assert {row.split for row in rows.values()} == {"train", "valid", "test", "excluded"}
        assert all(row.split == (track_id[1:] or "excluded") for track_id, row in rows.items())

    def test_copies_on_two_sides_warn(self, workspace, capsys):
        tracks = [
            track(f"{c}{side}", c, recording=f"{c} everywhere", side=side)
            for c in "ab"
            for side in ("train", "valid", "test")
        ]
        write_tracks(tracks)
        assignments("split=published")
        assert "warning: 2 recordings stand on two sides" in capsys.readouterr().out

    def test_a_dataset_that_publishes_none_is_one_line(self, workspace):
        write_tracks(library())
        write_params("split=published")
        assert "publishes no split" in line_of(split.main)


def test_no_warning_where_groups_stay_together(workspace, capsys):
    write_tracks(library())
    assignments("split=grouped")
    assert "warning" not in capsys.readouterr().out


def test_folds_are_written_and_do_not_depend_on_fold(workspace):
    write_tracks(library())
    folds = []
    for fold in range(3):
        rows = assignments("split=kfold", "split.k=3", f"split.fold={fold}")
        folds.append({track_id: row.fold for track_id, row in rows.items()})
        assert all((row.split == "test") == (row.fold == fold) for row in rows.values())
    assert folds[0] == folds[1] == folds[2]


def test_schemes_without_folds_say_so(workspace):
    write_tracks(library())
    assert {row.fold for row in assignments("split=grouped").values()} == {-1}


def test_unlabelled_tracks_stay_unlabelled_and_segmentless_ones_are_out(workspace):
    extra = [track("loose.wav", ""), track("jazz/short.wav", "jazz", n_segments=0)]
    write_tracks(library() + extra)
    rows = assignments()
    assert (rows["loose.wav"].split, rows["loose.wav"].label) == ("unlabelled", "")
    assert "jazz/short.wav" not in rows
    assert set(rows) == {track.track_id for track in library()} | {"loose.wav"}


def test_same_seed_same_bytes_and_another_seed_another_split(workspace):
    write_tracks(library(n_groups=9))
    written = []
    for seed in (0, 0, 1, 2, 3):
        assignments(f"split.seed={seed}")
        written.append(Path("data/split/split.csv").read_bytes())
    assert written[0] == written[1]
    assert len(set(written)) > 1


@pytest.mark.parametrize(
    ("tracks", "told"),
    [
        (library(labels=("jazz",)), "one class only, 'jazz'"),
        ([track("a", "")], "no track has a label"),
        (library(n_groups=2), "class 'jazz' has no track in"),
    ],
)
def test_what_cannot_be_split_gives_one_line_and_no_folder(workspace, tracks, told):
    write_tracks(tracks)
    write_params()
    assert told in line_of(split.main)
    assert not Path("data/split").exists()


class TestFile:
    """``split=file``: the user's own CSV."""

    @pytest.fixture
    def given(self, workspace):
        """Write the user's file and split by it."""
        write_tracks(library(n_groups=3, per_group=1))

        def by_file(content: bytes | str) -> dict[str, Assignment]:
            path = workspace / "mine.csv"
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
            return assignments("split=file", f"split.path={path}")

        return by_file

    ALL = "".join(
        f"{label}/{group}-0.wav,{side}\n"
        for label in ("jazz", "rock")
        for group, side in enumerate(("train", "valid", "test"))
    )

    @pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
    @pytest.mark.parametrize("end", [b"\n", b"\r\n"])
    def test_tracks_stand_where_the_file_says(self, given, mark, end):
        content = mark + ("track_id,split\n" + self.ALL).encode().replace(b"\n", end)
        rows = given(content)
        assert {track_id: row.split for track_id, row in rows.items()} == {
            f"{label}/{group}-0.wav": side
            for label in ("jazz", "rock")
            for group, side in enumerate(("train", "valid", "test"))
        }

    def test_more_columns_in_any_order_do_no_harm(self, given):
        lines = ["split,note,track_id"] + [
            f"{line.split(',')[1]},hm,{line.split(',')[0]}" for line in self.ALL.splitlines()
        ]
        assert given("\n".join(lines))["jazz/0-0.wav"].split == "train"

    def test_tracks_not_named_are_excluded(self, given):
        rows = given("track_id,split\n" + self.ALL.replace("rock/2-0.wav,test\n", ""))
        assert rows["rock/2-0.wav"].split == "excluded"
        assert Counter(row.split for row in rows.values()) == {
            "excluded": 1,
            "train": 2,
            "valid": 2,
            "test": 1,
        }

    def test_a_class_missing_on_a_side_is_said(self, given, capsys):
        given("track_id,split\n" + self.ALL.replace("rock/2-0.wav,test\n", ""))
        assert "warning: no track of rock stands in test" in capsys.readouterr().out

    def test_names_of_tracks_that_are_not_there_do_no_harm(self, given):
        assert len(given("track_id,split\nblues/9.wav,test\n" + self.ALL)) == 6

    @pytest.mark.parametrize(
        ("content", "told"),
        [
            (
                "track_id,split\n" + ALL + "jazz/9.wav,dev\n",
                "jazz/9.wav is 'dev', should be train, valid or test",
            ),
            ("track_id,split\njazz/0-0.wav\n", "line 2: ends too early"),
            ("track,side\n" + ALL, "needs the columns track_id and split"),
            ("", "needs the columns track_id and split"),
            (b"track_id,split\n\xff\xfe,train\n", "cannot read"),
            ("track_id,split\n" + ALL.replace("valid", "train"), "none of the 6 labelled tracks in valid"),
            ("track_id,split\n" + ALL.replace("rock/0-0.wav,train\n", ""), "under two classes in train"),
            ("track_id,split\n", "none of the 6 labelled tracks in train"),
        ],
    )
    def test_a_wrong_file_gives_one_line(self, given, content, told):
        line = line_of(lambda: given(content))
        assert line.startswith(("split.path", "params.yaml: split.path"))
        assert told in line
        assert "mine.csv" in line

    def test_a_track_named_twice_on_two_sides_is_refused(self, given):
        line = line_of(lambda: given("track_id,split\n" + self.ALL + "jazz/0-0.wav,test\n"))
        assert "jazz/0-0.wav" in line

    @pytest.mark.parametrize("path", ["/nowhere/mine.csv", "/tmp"])
    def test_a_missing_file_gives_one_line(self, workspace, path):
        write_tracks(library())
        write_params("split=file", f"split.path={path}")
        line = line_of(split.main)
        assert "split.path" in line
        assert path in line

    def test_a_file_that_tears_an_artist_apart_warns(self, workspace, given, capsys):
        write_tracks([track(t.track_id, t.label, f"one {t.label}") for t in library(3, 1)])
        (workspace / "mine.csv").write_text("track_id,split\n" + self.ALL)
        assignments("split=file", f"split.path={workspace / 'mine.csv'}")
        assert "2 groups" in capsys.readouterr().out


class TestUnknownClasses:
    """Classes that are held out."""

    LABELS = ("blues", "jazz", "rock")

    @pytest.mark.parametrize("scheme", ["grouped", "kfold", "stratified"])
    def test_their_tracks_stand_apart_and_change_nothing_for_the_others(self, workspace, scheme):
        write_tracks(library(labels=self.LABELS))
        rows = assignments(f"split={scheme}", "split.unknown_classes=[jazz]")
        for row in rows.values():
            assert (row.split == "unknown") == (row.label == "jazz")
            assert row.label == row.track_id.partition("/")[0]
        write_tracks(library(labels=("blues", "rock")))
        without = assignments(f"split={scheme}")
        assert {name: row for name, row in rows.items() if row.split != "unknown"} == without

    def test_a_class_that_is_not_there(self, workspace):
        write_tracks(library(labels=self.LABELS))
        write_params("split.unknown_classes=[polka]")
        assert line_of(split.main) == (
            "params.yaml: split.unknown_classes has 'polka', should be among blues, jazz, rock"
        )

    @pytest.mark.parametrize(
        ("held_out", "left"),
        [("[blues,jazz]", "one class only, 'rock'"), ("[blues,jazz,rock]", "no class")],
    )
    def test_two_classes_must_be_left(self, workspace, held_out, left):
        write_tracks(library(labels=self.LABELS))
        write_params(f"split.unknown_classes={held_out}")
        line = line_of(split.main)
        assert left in line
        assert "beside those of split.unknown_classes" in line
        assert not Path("data/split").exists()

    def test_an_artist_of_both_kinds_is_told(self, workspace, capsys):
        write_tracks([*library(labels=self.LABELS), track("jazz/x.wav", "jazz", "rock artist 0")])
        assignments("split.unknown_classes=[jazz]")
        assert (
            "1 groups (artists, albums or works) have music of known and unknown" in capsys.readouterr().out
        )

    def test_a_copy_of_known_music_is_not_counted_as_new(self, workspace, capsys):
        copy = track("jazz/copy.wav", "jazz", "", "rock/0-0.wav")
        write_tracks([*library(labels=self.LABELS), copy])
        rows = assignments("split.unknown_classes=[jazz]")
        assert rows["jazz/copy.wav"].split == "excluded"
        assert "1 tracks of unknown classes are copies of known ones" in capsys.readouterr().out
