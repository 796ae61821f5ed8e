"""The real Kaggle client against a Kaggle on the loopback interface; nothing here leaves the machine."""

import csv
import errno
import hashlib
import io
import os
import shutil
import socket
import subprocess
import sys
import time
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

from stages import decode, fetch
from stages.errors import EncoreError
from stages.sources import gtzan
from stages.sources.gtzan import Gtzan, GtzanParams
from tests.kaggle_server import KEY, TOKEN, USER, Kaggle
from tests.synthetic import composed

REPO = Path(__file__).parents[2]
ARTISTS = REPO / "data/facts/gtzan_artists.csv"
CLIPS = ["blues.00000", "jazz.00033", "jazz.00054", "rock.00099"]


def wav() -> bytes:
    file = io.BytesIO()
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 2205)
    soundfile.write(file, noise, 22050, format="WAV", subtype="PCM_16")
    return file.getvalue()


def clip(track_id: str) -> bytes:
    return b"not a wav at all" if track_id == "jazz.00054" else wav()


def member(track_id: str) -> str:
    return f"Data/genres_original/{track_id.partition('.')[0]}/{track_id}.wav"


def zipped(members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def gtzan_zip(**more: bytes) -> bytes:
    """Kaggle's layout, with what rides along; over 3 MB, because the client keeps whole megabytes only."""
    clips = {member(track_id): clip(track_id) for track_id in reversed(CLIPS)}
    beside = {
        "Data/features_30_sec.csv": b"filename,length\n",
        "Data/genres_original/jazz/._jazz.00033.wav": b"AppleDouble",
        "Data/images_original/jazz/jazz00033.png": np.random.default_rng(1).bytes(3_000_000),
    }
    return zipped(beside | clips | more)


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home and a workspace of their own, and credentials that are right."""
    for name in os.environ:
        if name.startswith("KAGGLE_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    settings = tmp_path / "home" / ".kaggle"
    settings.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(settings.parent))
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(settings))
    monkeypatch.setenv("KAGGLE_API_ENVIRONMENT", "LOCALHOST")
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    from kaggle.api.kaggle_api_extended import KaggleApi

    monkeypatch.setattr(KaggleApi, "config_dir", str(settings))  # read once, at import
    monkeypatch.setattr(KaggleApi, "config", str(settings / "kaggle.json"))
    monkeypatch.setenv("KAGGLE_USERNAME", USER)
    monkeypatch.setenv("KAGGLE_KEY", KEY)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)  # between the client's retries
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


def source(classes: list[str] | None = None) -> Gtzan:
    return Gtzan(GtzanParams(name="gtzan", classes=classes, watch=str(ARTISTS)))


def files_below(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def failure(into: Path, capfd: pytest.CaptureFixture[str], classes: list[str] | None = None) -> str:
    """The one line of a fetch that fails, which must leave nothing and print nothing."""
    with pytest.raises(EncoreError) as caught:
        source(classes).fetch(into)
    assert list(into.iterdir()) == []
    assert capfd.readouterr() == ("", "")
    line = str(caught.value)
    assert "\n" not in line
    return line


def test_fetch_delivers_the_clips_as_they_are(kaggle, into, capfd):
    tracks = source().fetch(into)
    assert [track.track_id for track in tracks] == CLIPS
    assert [track.group for track in tracks] == ["John Lee Hooker", "Coleman Hawkins", "", "The Stone Roses"]
    for track in tracks:
        content = clip(track.track_id)
        assert (into / track.path).read_bytes() == content
        assert track.path == f"{track.label}/{track.track_id}.wav"
        assert (track.sha256, track.bytes) == (hashlib.sha256(content).hexdigest(), len(content))
        assert (track.split, track.source) == ("", "gtzan")
    assert files_below(into) == sorted(track.path for track in tracks)
    assert capfd.readouterr() == ("", "")


def test_second_fetch_asks_nobody(kaggle, into, tmp_path):
    first = source().fetch(into)
    kaggle.asked.clear()
    again = tmp_path / "again"
    again.mkdir()
    assert source().fetch(again) == first
    assert kaggle.asked == []


def test_classes_restricts_the_clips(kaggle, into):
    tracks = source(["jazz", "rock"]).fetch(into)
    assert [track.track_id for track in tracks] == ["jazz.00033", "jazz.00054", "rock.00099"]
    assert len(files_below(into)) == 3


def test_unknown_class_is_refused_before_the_download(kaggle, into, capfd):
    line = failure(into, capfd, ["jazz", "techno"])
    assert line.startswith("dataset.classes: no class techno in GTZAN; there are: blues, classical,")
    assert kaggle.asked == []


@pytest.mark.parametrize("place", ["kaggle.json", "access_token", "KAGGLE_API_TOKEN"])
def test_credentials_may_stand_elsewhere(kaggle, into, home, monkeypatch, place):
    monkeypatch.delenv("KAGGLE_USERNAME")
    monkeypatch.delenv("KAGGLE_KEY")
    if place == "KAGGLE_API_TOKEN":
        monkeypatch.setenv(place, TOKEN)
    else:
        file = home / ".kaggle" / place
        file.write_text(f'{{"username": "{USER}", "key": "{KEY}"}}' if place == "kaggle.json" else TOKEN)
        file.chmod(0o600)
    assert len(source().fetch(into)) == len(CLIPS)


def test_no_credentials(kaggle, into, capfd, monkeypatch):
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
        (403, f"refuses the download (403): log in, open {gtzan.PAGE},"),
        (404, f"does not find the dataset (404): see whether {gtzan.PAGE}"),
        (429, "too many requests from you (429): wait"),
        (418, "cannot deliver now (it answers 418): run again later"),
        (500, "cannot deliver now (it answers 500): run again later"),
        (503, "cannot deliver now (it answers 503): run again later"),
    ],
)
def test_refusals(kaggle, into, capfd, status, advice):
    kaggle.status = status
    assert advice in failure(into, capfd)


def test_cut_connection_resumes_at_the_next_fetch(kaggle, into, capfd):
    kaggle.budget = 2_500_000
    line = failure(into, capfd)
    assert line == "connection to Kaggle failed (cut off): 2 MB are kept, run again to resume"
    assert kaggle.budget == 0

    kaggle.budget = None
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
    ("budget", "advice"),
    [(0, "check the network and run again"), (2_500_000, "2 MB are kept, run again to resume")],
)
def test_silent_server_is_given_up(kaggle, into, capfd, monkeypatch, budget, advice):
    monkeypatch.setattr(gtzan, "SILENCE_S", 0.2)
    kaggle.budget, kaggle.is_silent = budget, True
    assert failure(into, capfd) == f"connection to Kaggle failed (silent for 0.2 s): {advice}"


def flip_byte_of_a_clip(archive: bytes) -> bytes:
    at = archive.index(b"not a wav at all")
    return archive[:at] + b"N" + archive[at + 1 :]


@pytest.mark.parametrize(
    ("archive", "reason"),
    [
        (b"<html>Please log in</html>", "File is not a zip file"),
        (gtzan_zip()[:-100], "File is not a zip file"),
        (flip_byte_of_a_clip(gtzan_zip()), f"Bad CRC-32 for file '{member('jazz.00054')}'"),
        (zipped({"Data/features_30_sec.csv": b""}), "no Data/genres_original/<genre>/*.wav in it"),
    ],
    ids=["web page", "end missing", "bit flipped", "other content"],
)
def test_damaged_archive_is_deleted(kaggle, into, capfd, archive, reason):
    kaggle.archive = archive
    assert failure(into, capfd).endswith(f".zip: damaged ({reason}); deleted, run again to download it anew")
    kaggle.archive = gtzan_zip()
    assert len(source().fetch(into)) == len(CLIPS)


def test_error_page_in_place_of_the_rest_is_not_resumed_from(kaggle, into, capfd):
    """The client writes over what it has whatever answers its request for the rest."""
    kaggle.budget, kaggle.link_expires = 2_500_000, True
    assert failure(into, capfd).startswith("the download from Kaggle went wrong (Downloaded file size ")
    kaggle.budget = None
    kaggle.asked.clear()
    assert len(source().fetch(into)) == len(CLIPS)
    assert [asked_range for _, asked_range, _ in kaggle.asked] == ["", ""]


def test_members_that_lead_elsewhere_are_not_written(kaggle, into, tmp_path):
    kaggle.archive = gtzan_zip(
        **{
            "../evil.wav": b"evil",
            "Data/genres_original/../../../evil.wav": b"evil",
            "Data/genres_original/jazz/../../../../jazz.00001.wav": b"evil",
            "/Data/genres_original/jazz/jazz.00002.wav": b"evil",
            "Data/genres_original/rock/jazz.00003.wav": b"evil",
        }
    )
    assert [track.track_id for track in source().fetch(into)] == CLIPS
    assert len(files_below(into)) == len(CLIPS)
    assert not any(path.read_bytes() == b"evil" for path in tmp_path.rglob("*.wav"))


def test_link_in_the_archive_becomes_a_plain_file(kaggle, into):
    file = io.BytesIO(kaggle.archive)
    with zipfile.ZipFile(file, "a") as archive:
        link = zipfile.ZipInfo(member("rock.00001"))
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    kaggle.archive = file.getvalue()
    source().fetch(into)
    written = into / "rock/rock.00001.wav"
    assert not written.is_symlink()
    assert written.read_bytes() == b"/etc/passwd"


def test_full_disk(kaggle, into, capfd, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(gtzan, "_unpack_clip", full)
    assert failure(into, capfd).startswith("disk full: ")


@pytest.mark.parametrize("has_credentials", [True, False])
def test_stage_ends_in_one_line(kaggle, home, tmp_path, has_credentials):
    kaggle.status = 403
    (tmp_path / "params.yaml").write_text(
        f"dataset:\n  name: gtzan\n  classes: null\n  watch: {ARTISTS}\n", encoding="utf-8"
    )
    program = (
        "from kagglesdk.kaggle_env import KaggleEnv, _env_to_endpoint as endpoints\n"
        f"endpoints[KaggleEnv.LOCAL] = {kaggle.url!r}\n"
        "from stages.errors import run\n"
        "from stages.fetch import main\n"
        "run(main)\n"
    )
    environment = os.environ | {"PYTHONPATH": str(REPO)}
    if not has_credentials:
        del environment["KAGGLE_KEY"]
    ended = subprocess.run(
        [sys.executable, "-c", program],
        check=False,
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    expected = "Kaggle refuses the download (403)" if has_credentials else "no Kaggle credentials"
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith(f"error: {expected}")
    assert ended.stderr.count("\n") == 1
    assert not (tmp_path / "data/raw").exists()


def test_an_unreadable_clip_is_listed_and_the_run_goes_on(kaggle, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data/facts").mkdir(parents=True)
    shutil.copyfile(ARTISTS, tmp_path / "data/facts/gtzan_artists.csv")
    (tmp_path / "params.yaml").write_text(composed("dataset=gtzan"), "utf-8")
    fetch.main()
    decode.main()
    assert "4 found = 3 kept + 1 dropped" in capsys.readouterr().out
    quality = {row["track_id"]: row for row in rows(tmp_path / "data/audio/quality.csv")}
    assert sorted(quality) == CLIPS
    assert quality["jazz.00054"]["verdict"] == "unreadable"
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
