"""The real Kaggle client against a Kaggle on the loopback interface; nothing here leaves the machine."""

import csv
import errno
import gzip
import hashlib
import io
import os
import shutil
import socket
import stat
import struct
import tarfile
import time
import zipfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from stages import decode, fetch
from stages.core.errors import EncoreError
from stages.sources import gtzan
from stages.sources import kaggle as client
from stages.sources.disk import disk_full
from stages.sources.gtzan import Gtzan, GtzanParams
from tests.kaggle_server import (
    ARTISTS,
    KEY,
    REPO,
    TOKEN,
    USER,
    Kaggle,
    environment,
    member,
    run_stage,
    write_artists,
    zipped,
)
from tests.synthetic import composed

pytestmark = pytest.mark.slow

CLIPS = ["blues.00000", "jazz.00033", "jazz.00054", "rock.00099"]


def clip(track_id: str) -> bytes:
    """Noise, another in each clip; jazz.00054 is as unreadable as in Kaggle's copy."""
    if track_id == "jazz.00054":
        return b"not a wav at all"
    file = io.BytesIO()
    noise = np.random.default_rng(int(track_id[-5:])).uniform(-0.5, 0.5, 2 * 22050)
    soundfile.write(file, noise, 22050, format="WAV", subtype="PCM_16")
    return file.getvalue()


def gtzan_zip(**more: bytes) -> bytes:
    """Kaggle's layout, with its other files; over 3 MB, because the client keeps whole megabytes only."""
    clips = {member(track_id): clip(track_id) for track_id in reversed(CLIPS)}
    beside = {
        "Data/features_30_sec.csv": b"filename,length\n",
        "Data/genres_original/jazz/._jazz.00033.wav": b"AppleDouble",
        "Data/images_original/jazz/jazz00033.png": np.random.default_rng(1).bytes(3_000_000),
    }
    return zipped(beside | clips | more)


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A new home and workspace, and valid credentials."""
    for name in os.environ:
        if name.startswith("KAGGLE_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    variables = environment(tmp_path)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    from kaggle.api.kaggle_api_extended import KaggleApi

    settings = Path(variables["KAGGLE_CONFIG_DIR"])
    monkeypatch.setattr(KaggleApi, "config_dir", str(settings))  # read once, at import
    monkeypatch.setattr(KaggleApi, "config", str(settings / "kaggle.json"))
    monkeypatch.setattr(time, "sleep", lambda seconds: None)  # between the client's retries
    write_artists(tmp_path / "artists.csv", CLIPS)
    monkeypatch.chdir(tmp_path)
    return settings.parent


@pytest.fixture
def kaggle(home, monkeypatch):
    from kagglesdk.kaggle_env import KaggleEnv, _env_to_endpoint

    with Kaggle(archive=gtzan_zip()) as server:
        monkeypatch.setitem(_env_to_endpoint, KaggleEnv.LOCAL, server.url)
        yield server


@pytest.fixture
def into(tmp_path):
    folder = tmp_path / "raw"
    folder.mkdir()
    return folder


def source(**given) -> Gtzan:
    usual = {
        "classes": None,
        "tracks_per_class": None,
        "fraction": 1.0,
        "seed": 0,
        "watch": "x",
        "watch_metadata": "artists.csv",
        "watch_labels": "x",
    }
    return Gtzan(GtzanParams(name="gtzan", **(usual | given)))


def files_below(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def failure(into: Path, capfd: pytest.CaptureFixture[str], **given) -> str:
    """Return the one line of a fetch that fails; it must leave no file and print nothing."""
    with pytest.raises(EncoreError) as caught:
        source(**given).fetch(into)
    assert list(into.iterdir()) == []
    assert not into.with_name(".raw.partial").exists()
    assert capfd.readouterr() == ("", "")
    line = str(caught.value)
    assert "\n" not in line
    return line


def assert_refused_and_kept(
    own: Path, content: bytes, reason: str, into: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Fetch from an unusable archive of the user: one line gives the reason, and the file stays as it is."""
    own.write_bytes(content)
    assert failure(into, capfd, archive=str(own)).startswith(f"dataset.archive: {own} {reason}")
    assert own.read_bytes() == content


def test_fetch_unpacks_the_clips_unchanged(kaggle, into, capfd):
    tracks = source().fetch(into)
    assert [track.track_id for track in tracks] == CLIPS
    assert [track.group for track in tracks] == ["John Lee Hooker", "Coleman Hawkins", "", "The Stone Roses"]
    assert [track.fault for track in tracks] == [
        "",
        "replica of jazz.00051",
        "unreadable in Kaggle's copy",
        "",
    ]
    for track in tracks:
        content = clip(track.track_id)
        assert (into / track.path).read_bytes() == content
        assert track.path == f"{track.label}/{track.track_id}.wav"
        assert (track.sha256, track.bytes) == (hashlib.sha256(content).hexdigest(), len(content))
        assert (track.split, track.source) == ("", "gtzan")
    assert files_below(into) == sorted(track.path for track in tracks)
    assert capfd.readouterr() == ("", "")


def test_second_fetch_sends_no_request(kaggle, into, tmp_path):
    first = source().fetch(into)
    kaggle.asked.clear()
    again = tmp_path / "again"
    again.mkdir()
    assert source().fetch(again) == first
    assert kaggle.asked == []


def test_classes_restrict_the_clips(kaggle, into):
    tracks = source(classes=["jazz", "rock"]).fetch(into)
    assert [track.track_id for track in tracks] == ["jazz.00033", "jazz.00054", "rock.00099"]
    assert len(files_below(into)) == 3


def test_unknown_class_is_refused_before_the_download(kaggle, into, capfd):
    line = failure(into, capfd, classes=["jazz", "techno"])
    assert line.startswith("dataset.classes: no class techno in GTZAN; there are: blues, jazz, rock")
    assert kaggle.asked == []


def test_tracks_are_chosen_before_the_download(kaggle, into):
    source().fetch(into)
    few = into.with_name("few")
    few.mkdir()
    tracks = source(tracks_per_class=1).fetch(few)
    assert [track.label for track in tracks] == ["blues", "jazz", "rock"]
    assert files_below(few) == [track.path for track in tracks]
    assert len(source(fraction=0.5, seed=1).fetch(few)) == 3


def test_wrong_table_of_artists_is_refused(kaggle, into, capfd):
    Path("artists.csv").write_text("clip,player\nblues.00000,John Lee Hooker\n", "utf-8")
    line = failure(into, capfd)
    assert (
        line == "dataset.watch_metadata: artists.csv should be a CSV table with columns track_id and artist"
    )


@pytest.mark.parametrize(("folder", "suffix"), [("genres", ".au"), ("a/b c", ".wav"), (".", ".wav")])
def test_users_archive_is_unpacked_and_not_changed(kaggle, into, tmp_path, folder, suffix):
    own = tmp_path / "own.zip"
    clips = {member(track_id, folder, suffix).removeprefix("./"): clip(track_id) for track_id in CLIPS}
    own.write_bytes(zipped(clips))
    own.chmod(0o400)
    before = own.stat()
    tracks = source(archive=str(own)).fetch(into)
    assert [track.path for track in tracks] == [f"{track.label}/{track.track_id}{suffix}" for track in tracks]
    assert [track.track_id for track in tracks] == CLIPS
    assert kaggle.asked == []
    assert not (tmp_path / ".encore").exists()
    assert own.stat().st_mtime_ns == before.st_mtime_ns


def test_the_unreadable_clip_may_be_missing(into, home, tmp_path):
    (tmp_path / "own.zip").write_bytes(
        zipped({member(name): clip(name) for name in CLIPS if name != "jazz.00054"})
    )
    tracks = source(archive=str(tmp_path / "own.zip")).fetch(into)
    assert [track.track_id for track in tracks] == ["blues.00000", "jazz.00033", "rock.00099"]


def tarred(compression: str = "gz", **more: tarfile.TarInfo | bytes) -> bytes:
    """GTZAN as it was published, genres.tar.gz, with more members."""
    file = io.BytesIO()
    clips = {member(track_id, "genres", ".au"): clip(track_id) for track_id in reversed(CLIPS)}
    with tarfile.open(fileobj=file, mode=f"w:{compression}") as archive:
        archive.addfile(folder_info("genres"))
        for name, content in {**clips, "genres/bextract_single.mf": b"list", **more}.items():
            if isinstance(content, bytes):
                info = tarfile.TarInfo(name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
            else:
                archive.addfile(content)
    return file.getvalue()


def folder_info(name: str, kind: bytes = tarfile.DIRTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, "/etc/passwd"
    return info


@pytest.mark.parametrize("compression", ["gz", "bz2", "xz", ""])
def test_original_tar_archive_gives_the_same_tracks(kaggle, into, tmp_path, compression):
    own = tmp_path / "genres.tar.gz"
    own.write_bytes(tarred(compression))
    tracks = source(archive=str(own), classes=["jazz", "blues"]).fetch(into)
    of_zip = into.with_name("zip")
    of_zip.mkdir()
    known = source(classes=["jazz", "blues"]).fetch(of_zip)
    assert [replace(track, path=track.path.replace(".au", ".wav")) for track in tracks] == known
    assert [track.path for track in tracks][:2] == ["blues/blues.00000.au", "jazz/jazz.00033.au"]
    for track in tracks:
        assert (into / track.path).read_bytes() == clip(track.track_id)
    assert files_below(into) == [track.path for track in tracks]


TAR_UNUSABLE = {
    "end missing": (tarred()[:-9000], "is damaged (Compressed file ended before the end-of-stream marker"),
    "end of tar missing": (tarred("")[:-60_000], "is damaged (unexpected end of data)"),
    "bit flipped": (tarred()[:-6] + bytes(6), "is damaged (CRC check failed"),
    "no tar in it": (
        gzip.compress(b"words" * 900),
        "is damaged (file could not be opened successfully); give",
    ),
    "parent": (tarred(**{"../evil.au": b""}), "has a member that leads out of its folder ('../evil.au')"),
    "root": (tarred(**{"/etc/passwd": b""}), "has a member that leads out of its folder ('/etc/passwd')"),
    "bomb": (
        tarred(**{"genres/rock/rock.00001.au": bytes(gtzan.MAX_CLIP_BYTES + 1)}),
        "has a clip of 67 MB ('genres/rock/rock.00001.au')",
    ),
    "clip twice": (tarred(**{"other/jazz/jazz.00033.au": b""}), "has jazz.00033 twice"),
} | {
    f"type {kind!r}": (
        tarred(**{"genres/rock/rock.00001.au": folder_info("genres/rock/rock.00001.au", kind)}),
        "has a member that is a link or a device ('genres/rock/rock.00001.au')",
    )
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE)
}


@pytest.mark.parametrize("case", TAR_UNUSABLE)
def test_unusable_tar_archive_is_one_line(into, home, tmp_path, capfd, case):
    content, reason = TAR_UNUSABLE[case]
    assert_refused_and_kept(tmp_path / "genres.tar.gz", content, reason, into, capfd)
    assert not [*tmp_path.rglob("evil*")]


@pytest.mark.parametrize("compression", ["gz", "bz2", "xz"])
def test_any_wrong_byte_of_a_tar_archive_is_noticed(into, home, tmp_path, compression):
    own, sound, rng = tmp_path / "own.tar", tarred(compression), np.random.default_rng(0)
    for at in rng.choice(len(sound), 20, replace=False):
        damaged = bytearray(sound)
        damaged[at] ^= 1 << rng.integers(8)
        own.write_bytes(damaged)
        try:
            for track in source(archive=str(own)).fetch(into):
                assert (into / track.path).read_bytes() == clip(track.track_id)
        except EncoreError as error:
            assert str(error).startswith(f"dataset.archive: {own} ")  # noqa: PT017


@pytest.mark.parametrize(
    ("path", "advice"),
    [
        ("own.zip", "dataset.archive: 'own.zip' is relative; give the absolute path, such as {0}/own.zip"),
        ("{0}/none.zip", "dataset.archive: no file {0}/none.zip"),
        ("{0}", "dataset.archive: no file {0}"),
        ("{0}/artists.csv", "dataset.archive: {0}/artists.csv is damaged (File is not a zip file); give"),
    ],
)
def test_wrong_path_of_the_users_archive_is_one_line(into, home, tmp_path, capfd, path, advice):
    line = failure(into, capfd, archive=path.format(tmp_path))
    assert line.startswith(advice.format(tmp_path))


@pytest.mark.parametrize("place", ["kaggle.json", "access_token", "KAGGLE_API_TOKEN"])
def test_credentials_are_found_in_every_place(kaggle, into, home, monkeypatch, place):
    monkeypatch.delenv("KAGGLE_USERNAME")
    monkeypatch.delenv("KAGGLE_KEY")
    if place == "KAGGLE_API_TOKEN":
        monkeypatch.setenv(place, TOKEN)
    else:
        file = home / ".kaggle" / place
        file.write_text(f'{{"username": "{USER}", "key": "{KEY}"}}' if place == "kaggle.json" else TOKEN)
        file.chmod(0o600)
    assert len(source().fetch(into)) == len(CLIPS)


def test_missing_credentials_are_one_line(kaggle, into, capfd, monkeypatch):
    monkeypatch.delenv("KAGGLE_KEY")
    line = failure(into, capfd)
    assert line.startswith("no Kaggle credentials: ")
    for way in (
        "https://www.kaggle.com/settings/api",
        "KAGGLE_USERNAME and KAGGLE_KEY",
        "~/.kaggle/kaggle.json",
    ):
        assert way in line
    assert kaggle.asked == []


def test_expired_token(kaggle, into, capfd, monkeypatch):
    monkeypatch.delenv("KAGGLE_KEY")
    monkeypatch.setenv("KAGGLE_API_TOKEN", "old-token")
    assert "does not accept the access token in KAGGLE_API_TOKEN" in failure(into, capfd)


def test_wrong_credentials(kaggle, into, capfd, monkeypatch):
    monkeypatch.setenv("KAGGLE_KEY", "wrong-key")
    assert "does not accept the credentials (401)" in failure(into, capfd)


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        (403, f"refuses the download (403): log in, open {client.page(gtzan.DATASET)},"),
        (404, f"does not find the dataset (404): see whether {client.page(gtzan.DATASET)}"),
        (429, "too many requests from you (429): wait 60 s, then run again"),
        (418, "cannot deliver now (it answers 418): wait 60 s, then run again"),
        (500, "cannot deliver now (it answers 500): wait 60 s, then run again"),
        (503, "cannot deliver now (it answers 503): wait 60 s, then run again"),
    ],
)
def test_refusals(kaggle, into, capfd, status, advice):
    kaggle.status = status
    assert advice in failure(into, capfd)


@pytest.mark.parametrize(
    ("retry_after", "advice"),
    [
        ("37", "wait 37 s, then run again"),
        ("Wed, 26 Mar 2036 00:00:00 GMT", "run again after Wed, 26 Mar 2036 00:00:00 GMT"),
    ],
)
def test_message_names_the_wait_that_kaggle_asks_for(kaggle, into, capfd, retry_after, advice):
    kaggle.status, kaggle.retry_after = 429, retry_after
    assert failure(into, capfd).endswith(f"(429): {advice}")


def test_cut_connection_resumes_at_the_next_fetch(kaggle, into, capfd):
    kaggle.cut_at = 2_500_000
    line = failure(into, capfd)
    assert line == "connection to Kaggle failed (cut off): 2 MB are kept, run again to resume"

    kaggle.cut_at = None
    kaggle.asked.clear()
    tracks = source().fetch(into)
    kept = 2 * 2**20
    assert kaggle.asked[-1] == ("/archive.zip", f"bytes={kept}-", len(kaggle.archive) - kept)
    assert len(tracks) == len(CLIPS)
    [archive] = (into.parent / ".encore").rglob("*.zip*")
    assert archive.read_bytes() == kaggle.archive


def test_refused_connection(kaggle, into, capfd, monkeypatch):
    from kagglesdk.kaggle_env import KaggleEnv, _env_to_endpoint

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    monkeypatch.setitem(_env_to_endpoint, KaggleEnv.LOCAL, f"http://127.0.0.1:{port}")
    line = failure(into, capfd)
    assert line == "connection to Kaggle failed (Connection refused): check the network and run again"


@pytest.mark.parametrize(
    ("cut_at", "advice"),
    [(0, "check the network and run again"), (2_500_000, "2 MB are kept, run again to resume")],
)
def test_download_from_a_silent_server_ends(kaggle, into, capfd, monkeypatch, cut_at, advice):
    monkeypatch.setattr(client, "SILENCE_S", 0.2)
    kaggle.cut_at, kaggle.is_silent = cut_at, True
    assert failure(into, capfd) == f"connection to Kaggle failed (silent for 0.2 s): {advice}"


def flip_byte_of_a_clip(archive: bytes) -> bytes:
    at = archive.index(b"not a wav at all")
    return archive[:at] + b"N" + archive[at + 1 :]


def with_member(name: str, content: bytes = b"evil", mode: int = 0) -> bytes:
    """Return GTZAN's archive with one more member."""
    file = io.BytesIO(gtzan_zip())
    with zipfile.ZipFile(file, "a") as archive:
        info = zipfile.ZipInfo(name)
        info.external_attr = mode << 16
        archive.writestr(info, content, zipfile.ZIP_DEFLATED)
    return file.getvalue()


def claiming_less() -> bytes:
    """Return an archive with a clip that unpacks to a hundred times the size that it claims."""
    archive = with_member(member("rock.00001"), bytes(100_000))
    return archive.replace(struct.pack("<L", 100_000), struct.pack("<L", 1000))


UNUSABLE = {
    "web page": (b"<html>Please log in</html>", "is damaged (File is not a zip file)"),
    "end missing": (gtzan_zip()[:-100], "is damaged (File is not a zip file)"),
    "bit flipped": (
        flip_byte_of_a_clip(gtzan_zip()),
        f"is damaged (Bad CRC-32 for file '{member('jazz.00054')}')",
    ),
    "other content": (
        zipped({"Data/features_30_sec.csv": b"", "__MACOSX/jazz/._jazz.00033.wav": b""}),
        "lacks 3 of 4 clips (blues.00000, jazz.00033, rock.00099)",
    ),
    "clip missing": (zipped({member(name): b"" for name in CLIPS[:3]}), "lacks 1 of 4 clips (rock.00099)"),
    "parent": (with_member("../evil.wav"), "has a member that leads out of its folder ('../evil.wav')"),
    "parent below": (
        with_member("Data/../../jazz/jazz.00001.wav"),
        "has a member that leads out of its folder ('Data/../../jazz/jazz.00001.wav')",
    ),
    "parent on Windows": (
        with_member("Data\\..\\evil.wav"),
        "has a member that leads out of its folder ('Data\\\\..\\\\evil.wav')",
    ),
    "root": (with_member("/etc/passwd"), "has a member that leads out of its folder ('/etc/passwd')"),
    "drive": (with_member("C:/evil.wav"), "has a member that leads out of its folder ('C:/evil.wav')"),
    "link": (
        with_member(member("rock.00001"), b"/etc/passwd", stat.S_IFLNK | 0o777),
        f"has a member that is a link or a device ('{member('rock.00001')}')",
    ),
    "device": (with_member("x", b"", stat.S_IFCHR), "has a member that is a link or a device ('x')"),
    "bomb": (
        with_member(member("rock.00001"), bytes(gtzan.MAX_CLIP_BYTES + 1)),
        f"has a clip of 67 MB ('{member('rock.00001')}')",
    ),
    "clip twice": (with_member(member("jazz.00033", "genres", ".au")), "has jazz.00033 twice"),
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_unusable_download_is_deleted(kaggle, into, tmp_path, capfd, case):
    kaggle.archive, reason = UNUSABLE[case]
    assert failure(into, capfd).endswith(f".zip {reason}; deleted, run again to download a new copy")
    assert not [*tmp_path.rglob("evil*"), *(tmp_path / ".encore").rglob("*.zip*")]


def test_damaged_download_is_replaced_by_the_next(kaggle, into, capfd):
    kaggle.archive = flip_byte_of_a_clip(gtzan_zip())
    failure(into, capfd)
    kaggle.archive = gtzan_zip()
    assert len(source().fetch(into)) == len(CLIPS)


@pytest.mark.parametrize("case", UNUSABLE)
def test_unusable_archive_of_the_user_is_not_deleted(into, home, tmp_path, capfd, case):
    content, reason = UNUSABLE[case]
    assert_refused_and_kept(tmp_path / "own.zip", content, f"{reason}; give a whole", into, capfd)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_archive_with_a_name_twice_is_refused(into, home, tmp_path, capfd):
    own = tmp_path / "own.zip"
    own.write_bytes(with_member("Data/features_30_sec.csv"))
    assert " has 'Data/features_30_sec.csv' twice; give" in failure(into, capfd, archive=str(own))


def test_archive_with_too_many_bytes_is_refused(into, home, tmp_path, capfd, monkeypatch):
    (tmp_path / "own.zip").write_bytes(gtzan_zip())
    monkeypatch.setattr(gtzan, "MAX_BYTES", 200_000)
    assert "has 0 GB of clips" in failure(into, capfd, archive=str(tmp_path / "own.zip"))


def test_unpacking_stops_at_the_size_a_clip_claims(into, home, tmp_path, capfd):
    (tmp_path / "own.zip").write_bytes(claiming_less())
    write_artists(tmp_path / "artists.csv", [*CLIPS, "rock.00001"])
    line = failure(into, capfd, archive=str(tmp_path / "own.zip"))
    assert f"is damaged (Bad CRC-32 for file '{member('rock.00001')}')" in line


@pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_any_wrong_byte_is_one_line_or_does_no_harm(into, home, tmp_path, compression):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for track_id in CLIPS:
            archive.writestr(member(track_id), clip(track_id)[:200])
    own, sound, rng = tmp_path / "own.zip", file.getvalue(), np.random.default_rng(compression)
    for at in rng.choice(len(sound), 50, replace=False):
        damaged = bytearray(sound)
        damaged[at] ^= 1 << rng.integers(8)
        own.write_bytes(damaged)
        try:
            for track in source(archive=str(own)).fetch(into):
                assert (into / track.path).read_bytes() == clip(track.track_id)[:200]
        except EncoreError as error:
            assert str(error).startswith(f"dataset.archive: {own} ")  # noqa: PT017


@pytest.mark.parametrize(
    ("status", "retry_after", "advice"),
    [
        (403, "", "wait 60 s, then run again"),
        (429, "37", "wait 37 s, then run again"),
        (503, "", "wait 60 s, then run again"),
    ],
)
def test_error_page_does_not_overwrite_a_partial_download(kaggle, into, capfd, status, retry_after, advice):
    """Without the check, the client overwrites its partial file with any answer."""
    kaggle.cut_at, kaggle.rest_status, kaggle.retry_after = 2_500_000, status, retry_after
    line = failure(into, capfd)
    assert line.startswith(f"Kaggle does not send the rest of the archive (it answers {status}): ")
    assert line.endswith(f"what is downloaded is kept; {advice}")
    kaggle.cut_at, kaggle.rest_status = None, 206
    kaggle.asked.clear()
    assert len(source().fetch(into)) == len(CLIPS)
    assert kaggle.asked[-1][1] == f"bytes={2 * 2**20}-"


def test_archive_that_changes_during_download_is_downloaded_again(kaggle, into, capfd, monkeypatch):
    old, new = gtzan_zip(), gtzan_zip(**{"Data/new.csv": b"new"})

    def change(seconds: float) -> None:
        kaggle.archive, kaggle.cut_at = new, None

    kaggle.cut_at = 2_500_000
    monkeypatch.setattr(time, "sleep", change)
    line = failure(into, capfd)
    sizes = f"Downloaded file size ({len(new)}) does not match expected size ({len(old)})"
    assert line == f"the download from Kaggle went wrong ({sizes}); deleted, run again"
    assert len(source().fetch(into)) == len(CLIPS)


def test_archive_that_changes_between_runs_is_downloaded_again(kaggle, into, capfd):
    kaggle.cut_at = 2_500_000
    failure(into, capfd)
    kaggle.archive, kaggle.cut_at = gtzan_zip(**{"Data/new.csv": b"new"}), None
    assert len(source().fetch(into)) == len(CLIPS)
    [archive] = (into.parent / ".encore").rglob("*.zip*")
    assert archive.read_bytes() == kaggle.archive


def test_too_small_a_disk_is_noticed_before_the_download(kaggle, into, capfd, monkeypatch):
    full = shutil.disk_usage("/")._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: full)
    assert failure(into, capfd) == str(disk_full(gtzan.NEEDS))


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_full_disk_is_one_line(kaggle, into, capfd, monkeypatch, code):
    def full(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(gtzan, "_unpack_clip", full)
    assert failure(into, capfd) == str(disk_full(gtzan.NEEDS))


@pytest.mark.parametrize(
    ("without", "reason"),
    [("", "Kaggle refuses the download (403)"), ("KAGGLE_KEY", "no Kaggle credentials")],
)
def test_stage_ends_in_one_line(kaggle, tmp_path, without, reason):
    kaggle.status = 403
    ended = run_stage(tmp_path, kaggle.url, without)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith(f"error: {reason}")
    assert ended.stderr.count("\n") == 1
    assert not (tmp_path / "data/raw").exists()


def test_unreadable_clip_is_listed_and_decoding_continues(kaggle, tmp_path, capsys):
    (tmp_path / "data/facts").mkdir(parents=True)
    write_artists(tmp_path / "data/facts/gtzan_artists.csv", CLIPS)
    (tmp_path / "params.yaml").write_text(composed("dataset=gtzan"), "utf-8")
    fetch.main()
    decode.main()
    assert "4 found = 3 kept + 1 dropped" in capsys.readouterr().out
    quality = {row["track_id"]: row for row in rows(tmp_path / "data/audio/quality.csv")}
    assert sorted(quality) == CLIPS
    assert quality["jazz.00054"]["verdict"] == "decode error"
    assert "Format not recognised" in quality["jazz.00054"]["reason"]


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_artists_of_all_clips_are_known_or_empty():
    artists = {row["track_id"]: row["artist"] for row in rows(ARTISTS)}
    assert len(artists) == 1000
    assert set(Counter(track_id.partition(".")[0] for track_id in artists).values()) == {100}
    assert list(artists.values()).count("") == 81
    assert len(set(artists.values()) - {""}) == 240
    assert artists["reggae.00087"] == "Bob Marley"


def test_fault_filtered_split_has_its_published_sizes():
    split = rows(REPO / "data/facts/gtzan_fault_filtered.csv")
    assert Counter(row["split"] for row in split) == {"train": 443, "valid": 197, "test": 290}
    assert len({row["track_id"] for row in split}) == 930


def test_faults_name_known_clips_and_their_source():
    known = {row["track_id"] for row in rows(ARTISTS)}
    faults = rows(REPO / "data/facts/gtzan_faults.csv")
    for row in faults:
        assert {row["track_id"], *row["others"].split()} <= known
        assert row["track_id"] not in row["others"].split()
        assert row["source"]
        assert set(row["source"]) <= set("ABCDEF")
    assert {row["fault"] for row in faults} >= set(gtzan.VERIFIED)
    assert len({(row["track_id"], row["fault"]) for row in faults}) == len(faults)


def test_faults_between_clips_are_symmetric():
    pairs = {
        (row["fault"], row["track_id"], other)
        for row in rows(REPO / "data/facts/gtzan_faults.csv")
        for other in row["others"].split()
    }
    assert pairs
    assert {(fault, other, track_id) for fault, track_id, other in pairs} == pairs


def test_faults_have_the_published_counts():
    faults = rows(REPO / "data/facts/gtzan_faults.csv")
    replicas = [row for row in faults if row["fault"] == "replica of"]
    groups = {frozenset([row["track_id"], *row["others"].split()]) for row in replicas}
    assert sum(len(group) - 1 for group in groups) == 50
    left_out = {row["track_id"] for row in faults if row["fault"].startswith("left out")}
    kept = {row["track_id"] for row in rows(REPO / "data/facts/gtzan_fault_filtered.csv")}
    assert left_out == {row["track_id"] for row in rows(ARTISTS)} - kept
