"""A tiny FMA in the layout of the real one, from a folder and from a server on the loopback interface."""

import csv
import errno
import hashlib
import io
import os
import zipfile
from collections.abc import Callable
from functools import cache, partial
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
import soundfile

from stages.core.tables import RawTrack
from stages.core.user_tables import read_pairs
from stages.sources import archive, fma
from stages.sources.fma import Fma, FmaParams
from tests.loopback import serving
from tests.synthetic import REPO, line_of, noise

# split, subset, top genre and artist of each track; 98565 and 133297 are known to be faulty
TRACKS = {
    2: ("training", "small", "Hip-Hop", "1"),
    5: ("validation", "small", "Hip-Hop", "1"),
    140: ("test", "small", "Folk", "54"),
    141: ("training", "small", "Folk", "54"),
    98565: ("training", "small", "Folk", "14"),
    133297: ("training", "small", "Hip-Hop", "18"),
    10: ("training", "medium", "Old-Time / Historic", "6"),
    20: ("training", "large", "", "4"),
}
SMALL = ["000002", "000005", "000140", "000141", "098565", "133297"]
HEADER = [
    # A column whose second line names another's, so that no single line of the header will do.
    ("album", "id"),
    ("album", "information"),
    ("artist", "bio"),
    ("artist", "id"),
    ("set", "split"),
    ("set", "subset"),
    ("track", "genre_top"),
    ("track", "title"),
]
# Longer than the csv module takes unasked, with what else is hard to read.
BIOGRAPHY = '<p>He said: "more,\nlouder"</p>\r\n' * 6000


def tracks_csv(header: list[tuple[str, str]] = HEADER) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([["", *names] for names in zip(*header, strict=True)])
    writer.writerow(["track_id"] + [""] * len(header))
    for track_id, (split, subset, genre, artist) in TRACKS.items():
        said = {
            ("album", "id"): "77",
            ("artist", "bio"): BIOGRAPHY if track_id == 2 else "",
            ("artist", "id"): artist,
            ("set", "split"): split,
            ("set", "subset"): subset,
            ("track", "genre_top"): genre,
            ("track", "title"): 'Ночь, "live"\n(take 2)',
        }
        writer.writerow([track_id, *(said.get(names, "") for names in header)])
    return text.getvalue().encode()


@cache
def clip(track_id: str) -> bytes:
    if track_id == "133297":
        return b"no frame of MP3"
    file = io.BytesIO()
    soundfile.write(file, noise(11025, int(track_id)), 22050, format="MP3")
    return file.getvalue()


def path_of(track_id: str) -> str:
    return f"{track_id[:3]}/{track_id}.mp3"


def members(subset: str) -> dict[str, bytes]:
    subsets = ["small", "medium", "large"]
    there = [number for number, track in TRACKS.items() if track[1] in subsets[: subsets.index(subset) + 1]]
    clips = {path_of(f"{number:06d}"): clip(f"{number:06d}") for number in there}
    return {"README.txt": b"FMA", "checksums": b"", **clips}


def write_files(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def write_zip(path: Path, files: dict[str, bytes]) -> None:
    # FMA's own archives are bzip2 inside.
    with zipfile.ZipFile(path, "w", zipfile.ZIP_BZIP2) as archive:
        for name, content in files.items():
            archive.writestr(name, content)


@pytest.fixture
def copy(tmp_path):
    """The user's own copy: fma_small and fma_metadata side by side."""
    write_files(tmp_path / "copy/fma_small", members("small"))
    write_files(tmp_path / "copy/fma_metadata", {"tracks.csv": tracks_csv(), "genres.csv": b""})
    return tmp_path / "copy"


@pytest.fixture
def into(workspace):
    folder = workspace / "data/raw"
    folder.mkdir(parents=True)
    return folder


class Server:
    """FMA's server: a folder of archives, and the paths that were requested."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch):
        self.folder, self.patch = folder, patch
        self.asked: list[str] = []

    def offer(self, name: str, files: dict[str, bytes], edit: Callable[[bytes], bytes] = bytes) -> None:
        """Offer an archive, whose checksum becomes the published one."""
        path = self.folder / f"{name}.zip"
        write_zip(path, {f"{name}/{file}": content for file, content in files.items()})
        path.write_bytes(edit(path.read_bytes()))
        self.patch.setitem(fma.SHA1, name, hashlib.sha1(path.read_bytes()).hexdigest())


@pytest.fixture
def server(tmp_path, monkeypatch):
    for name in [*os.environ]:
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    folder = tmp_path / "server"
    folder.mkdir()
    offered = Server(folder, monkeypatch)

    class Handler(SimpleHTTPRequestHandler):
        def log_request(self, *_: object) -> None:
            offered.asked.append(self.path)

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    offered.offer("fma_metadata", {"tracks.csv": tracks_csv()})
    offered.offer("fma_small", members("small"))
    with serving(partial(Handler, directory=str(folder))) as url:
        monkeypatch.setattr(fma, "SERVER", url)
        yield offered


def source(**values: Any) -> Fma:
    common = {
        "name": "fma",
        "subset": "small",
        "classes": None,
        "tracks_per_class": None,
        "fraction": 1.0,
        "seed": 0,
        "watch": "",
        "watch_metadata": "",
        "watch_labels": "",
    }
    return Fma(FmaParams(**(common | values)))


def own(copy: Path, **values: Any) -> Fma:
    paths = {"path": str(copy / "fma_small"), "metadata_path": str(copy / "fma_metadata")}
    return source(**(paths | values))


def ids(tracks: list[RawTrack]) -> list[str]:
    return [track.track_id for track in tracks]


def failure(fetching: Fma, into: Path) -> str:
    """Return the one line of a fetch that fails; it must leave no file."""
    line = line_of(lambda: fetching.fetch(into))
    assert list(into.iterdir()) == []
    assert [path.name for path in into.parent.iterdir()] == ["raw"]
    return line


class TestCopy:
    """The user has a copy of the music."""

    def test_clips_are_copied_with_their_metadata(self, copy, into, capfd):
        tracks = own(copy).fetch(into)
        assert ids(tracks) == SMALL
        assert tracks[0] == RawTrack(
            track_id="000002",
            path="000/000002.mp3",
            label="Hip-Hop",
            group="1",
            split="train",
            fault="",
            sha256=hashlib.sha256(clip("000002")).hexdigest(),
            bytes=len(clip("000002")),
            source="fma",
        )
        assert [track.split for track in tracks] == ["train", "valid", "test", "train", "train", "train"]
        assert [track.group for track in tracks] == ["1", "1", "54", "54", "14", "18"]
        assert [track.fault for track in tracks[4:]] == ["only 1.6 s long", "no audio in it"]
        for track in tracks:
            assert (into / track.path).read_bytes() == clip(track.track_id)
        assert sum(path.is_file() for path in into.rglob("*")) == len(tracks)
        assert capfd.readouterr() == ("", "")

    def test_a_copied_clip_is_music(self, copy, into):
        samples, rate_hz = soundfile.read(into / own(copy).fetch(into)[0].path)
        assert rate_hz == 22050
        assert abs(samples).max() > 0.1

    @pytest.mark.parametrize("metadata", ["fma_metadata", "fma_metadata/tracks.csv", ""])
    @pytest.mark.parametrize("clips", ["fma_small", ""])
    def test_paths_may_name_folder_file_or_parent(self, copy, into, clips, metadata):
        fetching = own(copy, path=str(copy / clips), metadata_path=str(copy / metadata))
        assert ids(fetching.fetch(into)) == SMALL

    @pytest.mark.parametrize(("subset", "n_tracks"), [("small", 6), ("medium", 7), ("large", 8)])
    def test_subsets_are_nested(self, copy, into, subset, n_tracks):
        write_files(copy / "fma_small", members("large"))
        tracks = own(copy, subset=subset).fetch(into)
        assert len(tracks) == n_tracks
        assert [track.track_id for track in tracks if not track.label] == ["000020"] * (subset == "large")

    def test_choice_is_made_among_the_clips_that_exist(self, copy, into):
        (copy / "fma_small" / path_of("000140")).unlink()
        tracks = own(copy, classes=["Folk"], fraction=0.5).fetch(into)
        assert len(tracks) == 1
        assert tracks[0].track_id in ("000141", "098565")
        assert sum(path.is_file() for path in into.rglob("*")) == 1

    def test_unknown_class_lists_those_there(self, copy, into):
        line = failure(own(copy, classes=["Folk", "Polka"]), into)
        assert line == "dataset.classes: no class Polka in FMA small; there are: Folk, Hip-Hop"

    def test_missing_clips_are_counted_and_named(self, copy, into, capfd):
        for track_id in SMALL[1:3]:
            (copy / "fma_small" / path_of(track_id)).unlink()
        assert len(own(copy).fetch(into)) == 4
        assert capfd.readouterr().out == (
            f"  warning: 2 of 6 tracks are not in {copy / 'fma_small'}: 000005, 000140\n"
        )

    def test_folder_without_a_clip(self, copy, into):
        line = failure(own(copy, path=str(copy / "fma_metadata")), into)
        assert line == (
            f"dataset.path: {copy / 'fma_metadata'} has no clip of the subset, such as 000/000002.mp3"
        )

    @pytest.mark.parametrize("key", ["path", "metadata_path"])
    def test_relative_path_is_answered_with_the_absolute_one(self, copy, into, key):
        line = failure(own(copy, **{key: "copy"}), into)
        assert line.startswith(f"dataset.{key}: 'copy' is relative; give the absolute path, such as {copy}")

    @pytest.mark.parametrize("key", ["path", "metadata_path"])
    def test_missing_folder_is_named(self, copy, into, key):
        line = failure(own(copy, **{key: str(copy / "nowhere")}), into)
        assert line.startswith(f"dataset.{key}: no folder {copy / 'nowhere'}")

    def test_folder_without_metadata(self, copy, into):
        line = failure(own(copy, metadata_path=str(copy / "fma_small")), into)
        assert line.startswith(f"dataset.metadata_path: no tracks.csv in {copy / 'fma_small'}")

    def test_too_large_clip_is_refused(self, copy, into):
        path = copy / "fma_small" / path_of("000005")
        with path.open("wb") as file:
            file.truncate(65_000_000)
        assert (
            failure(own(copy), into)
            == f"{path}: over 64 MB, too large for a clip of 30 s; use FMA's own file"
        )

    def test_full_disk_is_one_line(self, copy, into, monkeypatch):
        def full(*_: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(archive, "copy", full)
        assert failure(own(copy), into).startswith("disk full: no room for the clips of fma_small")


class TestMetadata:
    """What tracks.csv may look like."""

    def fetch(self, copy: Path, into: Path, table: bytes) -> str:
        (copy / "fma_metadata/tracks.csv").write_bytes(table)
        return failure(own(copy), into).removeprefix(f"{copy / 'fma_metadata/tracks.csv'}: ")

    @pytest.mark.parametrize("column", [("set", "subset"), ("set", "split"), ("artist", "id")])
    def test_missing_column_is_named(self, copy, into, column):
        header = [names for names in HEADER if names != column]
        line = self.fetch(copy, into, tracks_csv(header))
        assert line == f"no column '{' '.join(column)}'; give FMA's own tracks.csv"

    def test_order_of_columns_does_not_matter(self, copy, into):
        (copy / "fma_metadata/tracks.csv").write_bytes(tracks_csv(HEADER[::-1]))
        assert ids(own(copy).fetch(into)) == SMALL

    def test_a_table_saved_anew_by_a_spreadsheet_is_the_same(self, copy, into):
        before = own(copy).fetch(into)
        text = io.StringIO(newline="")
        rows = csv.reader(io.StringIO(tracks_csv().decode(), newline=""))
        with fma._long_fields_allowed():
            csv.writer(text, delimiter=";").writerows([f"{field} " for field in row] for row in rows)
        (copy / "fma_metadata/tracks.csv").write_text(text.getvalue(), "utf-8-sig", newline="")
        assert own(copy).fetch(into) == before

    @pytest.mark.parametrize(
        ("table", "expected"),
        [
            (b"", "no column 'track_id'"),
            (b"track_id,genre\n2,Rock\n", "no column 'track_id'"),
            (tracks_csv() + b"7,too,few\n", "not as FMA writes it about line "),
            (tracks_csv().replace(b"\n140,", b"\n../../140,"), "not as FMA writes it about line "),
            (tracks_csv().replace("Ночь".encode(), b"\xff"), "not as FMA writes it about line "),
            (b"".join(tracks_csv().splitlines(keepends=True)[:3]), "has no track of FMA small"),
        ],
        ids=["empty", "other table", "cut line", "odd number", "no UTF-8", "no rows"],
    )
    def test_another_table_is_one_line(self, copy, into, table, expected):
        assert self.fetch(copy, into, table).startswith(expected)

    def test_limit_of_the_csv_module_is_restored(self, copy, into):
        before = csv.field_size_limit()
        own(copy).fetch(into)
        (copy / "fma_metadata/tracks.csv").write_bytes(tracks_csv() + b"7\n")
        line_of(lambda: own(copy).fetch(into))
        assert csv.field_size_limit() == before


class TestDownload:
    """The music comes from the server."""

    def test_both_archives_are_downloaded_once(self, server, into):
        tracks = source().fetch(into)
        assert ids(tracks) == SMALL
        for track in tracks:
            assert (into / track.path).read_bytes() == clip(track.track_id)
        assert server.asked == ["/fma_metadata.zip", "/fma_small.zip"]
        assert source().fetch(into) == tracks
        assert len(server.asked) == 2

    def test_same_rows_as_from_a_copy(self, server, copy, into):
        assert source().fetch(into) == own(copy).fetch(into)

    def test_given_metadata_is_not_downloaded(self, server, copy, into):
        assert ids(source(metadata_path=str(copy)).fetch(into)) == SMALL
        assert server.asked == ["/fma_small.zip"]

    def test_given_clips_are_not_downloaded(self, server, copy, into):
        assert ids(source(path=str(copy)).fetch(into)) == SMALL
        assert server.asked == ["/fma_metadata.zip"]

    def test_unknown_class_is_refused_before_the_clips_are_downloaded(self, server, into):
        assert "no class Polka" in failure(source(classes=["Polka"]), into)
        assert server.asked == ["/fma_metadata.zip"]

    @pytest.mark.parametrize("key", ["path", "metadata_path"])
    def test_wrong_path_is_refused_before_anything_is_downloaded(self, server, into, key):
        assert f"dataset.{key}" in failure(source(**{key: "/nowhere"}), into)
        assert server.asked == []

    def test_only_the_chosen_clips_are_unpacked(self, server, into):
        assert ids(source(classes=["Hip-Hop"]).fetch(into)) == ["000002", "000005", "133297"]
        assert sum(path.is_file() for path in into.rglob("*")) == 3

    def test_members_that_lead_elsewhere_are_not_written(self, server, into):
        evil = {"../../evil.mp3": b"evil", "000/../../../000001.mp3": b"evil", "000/000001.mp3": b"evil"}
        server.offer("fma_small", members("small") | evil)
        assert ids(source().fetch(into)) == SMALL
        assert sum(path.is_file() for path in into.rglob("*")) == len(SMALL)
        assert not any(path.read_bytes() == b"evil" for path in into.parent.parent.rglob("*.mp3"))

    def test_clip_that_unpacks_too_large_is_refused(self, server, into):
        server.offer("fma_small", members("small") | {path_of("000005"): bytes(65_000_000)})
        line = failure(source(), into)
        assert "fma_small.zip/fma_small/000/000005.mp3: over 64 MB, too large for a clip of 30 s" in line

    def test_other_content_than_published_is_refused(self, server, into, monkeypatch):
        monkeypatch.setitem(fma.SHA1, "fma_small", "0" * 40)
        assert "another file than expected" in failure(source(), into)

    def test_missing_archive(self, server, into):
        (server.folder / "fma_small.zip").unlink()
        line = failure(source(), into)
        assert line.startswith(f"{fma.SERVER}/fma_small.zip: the server refuses it (404 ")

    @pytest.mark.parametrize(
        "damage",
        [lambda archive: archive[:-100], lambda archive: archive.replace(b"BZh9", b"BZx9")],
        ids=["end missing", "stream damaged"],
    )
    def test_archive_damaged_in_the_cache_is_deleted(self, server, into, workspace, damage):
        source().fetch(into)
        path = workspace / ".encore/downloads/fma_small.zip"
        path.write_bytes(damage(path.read_bytes()))
        line = line_of(lambda: source().fetch(into))
        assert line.startswith(f"{path} is damaged (")
        assert line.endswith("; deleted, run again to download a new copy")
        assert len(source().fetch(into)) == len(SMALL)


def test_known_faults():
    faults = read_pairs(REPO / "data/facts/fma_faults.csv", "track_id", "fault", "facts")
    assert len(faults) == 21
    assert all(len(track_id) == 6 and fault for track_id, fault in faults.items())
    assert {"098565", "098567", "098569", "099134", "108925", "133297"} < faults.keys()
