"""The split stage: every track in one split, and warnings."""

from collections import Counter
from pathlib import Path

import pytest

from stages import split
from stages.core.tables import Assignment, SegmentedTrack, read_rows, write_rows
from stages.splitting.assignment import assign_tracks
from stages.splitting.params import HoldoutParams
from tests.synthetic import line_of, write_params

pytestmark = pytest.mark.slow


def write_tracks(tracks: list[SegmentedTrack]) -> None:
    Path("data/segments").mkdir(parents=True, exist_ok=True)
    write_rows(Path("data/segments/tracks.csv"), tracks, SegmentedTrack)


def track(
    track_id: str, label: str, group: str = "", recording: str = "", split: str = "", n_segments: int = 5
) -> SegmentedTrack:
    return SegmentedTrack(track_id, label, group, recording or track_id, split, n_segments)


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
def test_tracks_of_an_artist_are_in_one_split(workspace, scheme):
    write_tracks(library())
    rows = assignments(f"split={scheme}")
    splits = {}
    for track in library():
        splits.setdefault(track.group, set()).add(rows[track.track_id].split)
        assert rows[track.track_id].unit == track.group
    assert all(len(found) == 1 for found in splits.values())


def test_a_track_without_a_group_is_its_own_unit(workspace):
    write_tracks([track(f"{c}{i}", c) for c in "ab" for i in range(10)])
    rows = assignments("split=grouped")
    assert all(row.unit == row.track_id for row in rows.values())
    assert Counter(row.split for row in rows.values()) == {"train": 12, "valid": 4, "test": 4}


def test_stratified_ignores_groups_and_warns(workspace, capsys):
    write_tracks(library(n_groups=2, per_group=20))
    rows = assignments("split=stratified")
    assert Counter((row.label, row.split) for row in rows.values()) == {
        (label, split): n
        for label in ("jazz", "rock")
        for split, n in (("train", 24), ("valid", 8), ("test", 8))
    }
    assert all(row.unit == row.track_id for row in rows.values())
    assert "4 groups" in capsys.readouterr().out


@pytest.mark.parametrize("scheme", ["grouped", "kfold", "stratified"])
def test_copies_of_a_recording_are_in_one_split(workspace, scheme, capsys):
    tracks = [track(f"{c}{i}", c, f"artist {c}{i}", f"{c}{i - i % 2}") for c in "ab" for i in range(20)]
    write_tracks(tracks)
    rows = assignments(f"split={scheme}")
    for c in "ab":
        for i in range(0, 20, 2):
            assert rows[f"{c}{i}"].split == rows[f"{c}{i + 1}"].split
            assert rows[f"{c}{i}"].unit == rows[f"{c}{i + 1}"].unit
    assert "recordings" not in capsys.readouterr().out


class TestPublished:
    """``split=published``: what tracks.csv says."""

    def test_tracks_are_in_the_published_split(self, workspace):
        splits = ["train", "valid", "test", ""]
        write_tracks([track(f"{c}{split}", c, split=split) for c in "ab" for split in splits])
        rows = assignments("split=published")
        assert {row.split for row in rows.values()} == {"train", "valid", "test", "excluded"}
        assert all(row.split == (track_id[1:] or "excluded") for track_id, row in rows.items())

    def test_copies_in_several_splits_warn(self, workspace, capsys):
        tracks = [
            track(f"{c}{split}", c, recording=f"{c} everywhere", split=split)
            for c in "ab"
            for split in ("train", "valid", "test")
        ]
        write_tracks(tracks)
        assignments("split=published")
        assert "warning: 2 recordings are in more than one split" in capsys.readouterr().out

    def test_a_dataset_without_a_split_is_refused_in_one_line(self, workspace):
        write_tracks(library())
        write_params("split=published")
        assert line_of(split.main) == (
            "split: this dataset publishes no split; choose another, such as grouped"
        )

    def test_a_published_split_without_a_part_is_refused(self, workspace):
        write_tracks([track(f"{c}{part}", c, split=part) for c in "ab" for part in ("train", "test")])
        write_params("split=published")
        assert line_of(split.main) == (
            "split: what the dataset publishes puts none of the 4 labelled tracks in valid"
        )


def test_no_warning_where_groups_stay_together(workspace, capsys):
    write_tracks(library())
    assignments("split=grouped")
    assert "warning" not in capsys.readouterr().out


def test_folds_are_written_and_do_not_depend_on_the_test_fold(workspace):
    write_tracks(library())
    folds = []
    for fold in range(3):
        rows = assignments("split=kfold", "split.k=3", f"split.fold={fold}")
        folds.append({track_id: row.fold for track_id, row in rows.items()})
        assert all((row.split == "test") == (row.fold == fold) for row in rows.values())
    assert folds[0] == folds[1] == folds[2]


def test_without_folds_the_fold_is_minus_one(workspace):
    write_tracks(library())
    assert {row.fold for row in assignments("split=grouped").values()} == {-1}


def test_unlabelled_tracks_are_unlabelled_and_those_without_segments_left_out(workspace):
    extra = [track("loose.wav", "", n_segments=1), track("jazz/short.wav", "jazz", n_segments=0)]
    write_tracks(library() + extra)
    rows = assignments()
    assert rows["loose.wav"] == Assignment("loose.wav", "", "loose.wav", "unlabelled", -1)
    assert "jazz/short.wav" not in rows
    assert set(rows) == {track.track_id for track in library()} | {"loose.wav"}


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(workspace):
    write_tracks(library(n_groups=9))
    written = []
    for seed in (0, 0, 1, 2, 3):
        assignments(f"split.seed={seed}")
        written.append(Path("data/split/split.csv").read_bytes())
    assert written[0] == written[1]
    assert len(set(written)) > 1


@pytest.mark.parametrize(
    ("tracks", "expected"),
    [
        (
            library(labels=("jazz",)),
            "split: there is one class only, 'jazz'; a classifier needs two",
        ),
        (
            [track("a", "")],
            "split: no track has a label; put the files of each class into a separate folder",
        ),
        (
            library(n_groups=2),
            "split: class 'jazz' has no track in test: it has 2 tracks or groups that stay together, and at "
            "least 3 are needed; add music, leave the class out with dataset.classes, or choose another "
            "split",
        ),
    ],
)
def test_tracks_that_cannot_be_split_give_one_line_and_no_folder(workspace, tracks, expected):
    write_tracks(tracks)
    write_params()
    assert line_of(split.main) == expected
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
        f"{label}/{group}-0.wav,{split}\n"
        for label in ("jazz", "rock")
        for group, split in enumerate(("train", "valid", "test"))
    )

    @pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
    @pytest.mark.parametrize("end", [b"\n", b"\r\n"])
    def test_tracks_are_in_the_split_that_the_file_gives(self, given, mark, end):
        content = mark + ("track_id,split\n" + self.ALL).encode().replace(b"\n", end)
        rows = given(content)
        assert {track_id: row.split for track_id, row in rows.items()} == {
            f"{label}/{group}-0.wav": split
            for label in ("jazz", "rock")
            for group, split in enumerate(("train", "valid", "test"))
        }

    def test_spaces_case_and_separator_do_not_matter(self, given):
        rows = given("Track_ID; Split\n" + self.ALL.replace(",", " ;").replace("train", "Train "))
        assert rows["jazz/0-0.wav"].split == "train"
        assert len(rows) == 6

    def test_columns_may_be_more_and_in_any_order(self, given):
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

    def test_a_class_missing_in_a_split_warns(self, given, capsys):
        given("track_id,split\n" + self.ALL.replace("rock/2-0.wav,test\n", ""))
        assert "warning: no track of rock is in test" in capsys.readouterr().out

    def test_classes_missing_in_a_split_are_listed(self, workspace, given, capsys):
        write_tracks([*library(3, 1), *(track(f"pop/{i}.wav", "pop") for i in range(3))])
        (workspace / "mine.csv").write_text(
            "track_id,split\n" + self.ALL.replace("rock/2-0.wav,test\n", "") + "pop/0.wav,train\n"
        )
        assignments("split=file", f"split.path={workspace / 'mine.csv'}")
        lines = capsys.readouterr().out.splitlines()
        assert lines[1:] == [
            "  warning: no track of pop is in valid",
            "  warning: no track of pop, rock is in test",
        ]

    def test_tracks_that_do_not_exist_are_ignored(self, given):
        assert len(given("track_id,split\nblues/9.wav,test\n" + self.ALL)) == 6

    @pytest.mark.parametrize(
        ("content", "expected"),
        [
            (
                "track_id,split\n" + ALL + "jazz/9.wav,dev\n",
                "jazz/9.wav is 'dev', should be train, valid or test",
            ),
            ("track_id,split\njazz/0-0.wav\n", "line 2: ends too early"),
            ("track,split\n" + ALL, "needs the columns track_id and split"),
            ("", "needs the columns track_id and split"),
            (b"track_id,split\n\xff\xfe,train\n", "cannot read"),
            ("track_id,split\n" + ALL.replace("valid", "train"), "none of the 6 labelled tracks in valid"),
            ("track_id,split\n" + ALL.replace("rock/0-0.wav,train\n", ""), "fewer than two classes in train"),
            ("track_id,split\n", "none of the 6 labelled tracks in train"),
            (
                "track_id,split\n" + ALL.replace("jazz/", "").replace("rock/", "x"),
                "its first track_id is '0-0.wav', should look like 'jazz/0-0.wav'",
            ),
        ],
    )
    def test_a_wrong_file_gives_one_line(self, given, content, expected):
        line = line_of(lambda: given(content))
        assert line.startswith(("split.path", "params.yaml: split.path"))
        assert expected in line
        assert "mine.csv" in line

    def test_a_track_with_two_splits_is_refused(self, given):
        line = line_of(lambda: given("track_id,split\n" + self.ALL + "jazz/0-0.wav,test\n"))
        assert "jazz/0-0.wav" in line

    @pytest.mark.parametrize("path", ["/nowhere/mine.csv", "/tmp"])
    def test_a_missing_file_gives_one_line(self, workspace, path):
        write_tracks(library())
        write_params("split=file", f"split.path={path}")
        line = line_of(split.main)
        assert "split.path" in line
        assert path in line

    def test_an_artist_in_several_splits_warns(self, workspace, given, capsys):
        write_tracks([track(t.track_id, t.label, f"one {t.label}") for t in library(3, 1)])
        (workspace / "mine.csv").write_text("track_id,split\n" + self.ALL)
        assignments("split=file", f"split.path={workspace / 'mine.csv'}")
        assert "2 groups" in capsys.readouterr().out


def test_assigning_tracks_returns_rows_in_order_and_warnings():
    params = HoldoutParams(name="stratified", valid=0.2, test=0.2, seed=0, unknown_classes=[], watch="x")
    tracks = library(n_groups=2, per_group=20)
    rows, warnings = assign_tracks(tracks, params)
    assert [row.track_id for row in rows] == [track.track_id for track in tracks]
    assert warnings == [
        "4 groups (artists, albums or works) are in more than one split: accuracy will be optimistic"
    ]


class TestUnknownClasses:
    """Classes that are not trained on."""

    LABELS = ("blues", "jazz", "rock")

    @pytest.mark.parametrize("scheme", ["grouped", "kfold", "stratified"])
    def test_their_tracks_are_unknown_and_the_others_stay(self, workspace, scheme):
        write_tracks(library(labels=self.LABELS))
        rows = assignments(f"split={scheme}", "split.unknown_classes=[jazz]")
        for row in rows.values():
            assert (row.split == "unknown") == (row.label == "jazz")
            assert row.label == row.track_id.partition("/")[0]
        write_tracks(library(labels=("blues", "rock")))
        without = assignments(f"split={scheme}")
        assert {name: row for name, row in rows.items() if row.split != "unknown"} == without

    def test_a_class_without_tracks_is_refused(self, workspace):
        write_tracks(library(labels=self.LABELS))
        write_params("split.unknown_classes=[polka]")
        assert line_of(split.main) == (
            "params.yaml: split.unknown_classes has 'polka', should be among blues, jazz, rock"
        )

    @pytest.mark.parametrize(
        ("unknown", "known"),
        [("[blues,jazz]", "one class only, 'rock'"), ("[blues,jazz,rock]", "no class")],
    )
    def test_two_known_classes_are_needed(self, workspace, unknown, known):
        write_tracks(library(labels=self.LABELS))
        write_params(f"split.unknown_classes={unknown}")
        assert line_of(split.main) == (
            f"split: there is {known} beside those of split.unknown_classes, "
            f"{unknown[1:-1].replace(',', ', ')}; a classifier needs two"
        )
        assert not Path("data/split").exists()

    def test_an_artist_with_known_and_unknown_classes_warns(self, workspace, capsys):
        write_tracks([*library(labels=self.LABELS), track("jazz/x.wav", "jazz", "rock artist 0")])
        assignments("split.unknown_classes=[jazz]")
        assert capsys.readouterr().out.endswith(
            "  warning: 1 groups (artists, albums or works) have music of known and unknown classes, which "
            "will look less new than it is\n"
        )

    def test_a_copy_of_known_music_is_excluded(self, workspace, capsys):
        copy = track("jazz/copy.wav", "jazz", "", "rock/0-0.wav")
        write_tracks([*library(labels=self.LABELS), copy])
        rows = assignments("split.unknown_classes=[jazz]")
        assert rows["jazz/copy.wav"].split == "excluded"
        assert "1 tracks of unknown classes are copies of known ones" in capsys.readouterr().out
