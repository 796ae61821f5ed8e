"""GTZAN, from Kaggle or from an archive that the user has; the only module that imports kaggle."""

import errno
import hashlib
import io
import lzma
import re
import shutil
import stat
import struct
import sys
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Any, Literal

from stages.core.errors import EncoreError
from stages.core.tables import RawTrack, read_rows
from stages.core.workspace import new_folder, work_cache
from stages.sources import Contents
from stages.sources.choice import choose
from stages.sources.download import broken_by
from stages.sources.params import SourceParams, absolute

OWNER, SLUG = "andradaolteanu", "gtzan-dataset-music-genre-classification"
PAGE = f"https://www.kaggle.com/datasets/{OWNER}/{SLUG}"
TOKENS = "https://www.kaggle.com/settings/api"
SILENCE_S = 60.0  # how long Kaggle may say nothing before we give up on it
FAULTS = Path(__file__).parents[2] / "data/facts/gtzan_faults.csv"
UNREADABLE = "unreadable in Kaggle's copy"
VERIFIED = ("replica of", "same recording as", "distorted", UNREADABLE)  # the faults a track's row tells

# A clip below whatever folder the archive has it in; AppleDouble's ._* files do not match.
CLIP = re.compile(r"(?:.*/)?(?P<label>[a-z]+)/(?P<track_id>(?P=label)\.[0-9]{5})(?P<suffix>\.wav|\.au)")
MAX_CLIP_BYTES = 64 << 20  # a clip has 1.3 MB; zipfile never reads more than a member claims
MAX_BYTES = 8 << 30  # all clips have 1.3 GB

# What zipfile and the decompressors below it raise for damaged archives.
DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    RuntimeError,
    ValueError,
    OverflowError,
)

DISK_FULL = (
    "disk full: GTZAN takes about 4 GB (its archive in .encore, its clips in data/raw and in DVC's cache); "
    "make room and run again, what is downloaded is kept"
)

ANSWERS = {
    401: f"Kaggle does not accept the credentials (401): make a new key at {TOKENS} and set KAGGLE_USERNAME "
    "and KAGGLE_KEY to it, or save it as ~/.kaggle/kaggle.json",
    403: f"Kaggle refuses the download (403): log in, open {PAGE}, accept what it asks, then run again",
    404: f"Kaggle does not find the dataset (404): see whether {PAGE} is still there",
}


class GtzanParams(SourceParams):
    """Parameters of the GTZAN source; `watch_metadata` is its table of artists.

    Attributes
    ----------
    archive : str or None
        Absolute path of an archive that the user has, which is only read; None: Kaggle's is downloaded.
    """

    name: Literal["gtzan"]
    archive: str | None = None


@dataclass(frozen=True)
class Artist:
    """Who plays on a clip (``data/facts/gtzan_artists.csv``)."""

    track_id: str
    artist: str  # the composer in classical; empty: unknown


@dataclass(frozen=True)
class Fault:
    """What is wrong with a clip (``data/facts/gtzan_faults.csv``)."""

    track_id: str
    fault: str  # with `others` it reads as a phrase
    others: str  # the track_ids it concerns, with spaces between; may be empty


class Gtzan:
    """1000 clips of 30 s in ten genres, as Kaggle has them; the group of a track is its artist."""

    name = "gtzan"
    licence = "none stated: excerpts of commercial recordings, shared for research"
    citation = (
        "G. Tzanetakis and P. Cook, Musical genre classification of audio signals, IEEE Transactions on "
        "Speech and Audio Processing 10(5), 2002; its faults: B. L. Sturm, The GTZAN dataset: its contents, "
        "its faults, their effects on evaluation, and its future use, arXiv:1306.1461, 2013"
    )
    caveat = (
        "GTZAN has known replicas, repeated artists and mislabelings, "
        "so its numbers compare only with numbers on the same split."
    )
    expected = Contents(n_tracks=1000)

    def __init__(self, params: GtzanParams):
        self.params = params

    def fetch(self, into: Path) -> list[RawTrack]:
        """Unpack the wanted clips as they are, from the given archive, the work cache's or a new download.

        A clip that is known to be unreadable may be missing from the archive; it then has no row.

        Raises
        ------
        EncoreError
            If a class of `classes` is not in GTZAN, Kaggle does not deliver, the archive is damaged,
            incomplete or hostile, or the disk is full.
        """
        from filelock import FileLock

        try:
            artists = _artists(Path(self.params.watch_metadata))
            # Known before anything is downloaded, so that a slip costs no gigabyte.
            wanted = choose({track_id: _label(track_id) for track_id in artists}, self.params, "GTZAN")
            if self.params.archive is not None:
                return _unpack(_given(self.params.archive), wanted, artists, into)
            archive = work_cache("downloads") / f"{SLUG}.zip"
            # Queued experiments share the cache: one downloads, the others wait for it.
            with FileLock(work_cache("locks") / "gtzan.lock"):
                if not archive.exists():
                    _download(work_cache("downloads/partial")).replace(archive)
                try:
                    return _unpack(archive, wanted, artists, into)
                except _UnusableError as error:
                    archive.unlink()
                    raise EncoreError(f"{archive} {error}; deleted, run again to download it anew") from None
        except _UnusableError as error:
            raise EncoreError(
                f"dataset.archive: {self.params.archive} {error}; give a whole zip archive of GTZAN, "
                "or leave the key out to download one"
            ) from None
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise EncoreError(DISK_FULL) from None
            raise EncoreError(f"{error.filename or into}: {error.strerror or error}") from None


def _artists(path: Path) -> dict[str, str]:
    try:
        return {row.track_id: row.artist for row in read_rows(path, Artist)}
    except (KeyError, ValueError):
        raise EncoreError(
            f"dataset.watch_metadata: {path} should be a CSV table with columns track_id and artist"
        ) from None


def _label(track_id: str) -> str:
    return track_id.partition(".")[0]


def _download(folder: Path) -> Path:
    """Let Kaggle's client download the archive into `folder`, or go on where it was cut off."""
    from requests import RequestException

    partial = folder / f"{SLUG}.zip"
    try:
        # What the client says on stdout we say in one line; its progress bar goes to stderr.
        with redirect_stdout(io.StringIO()), _watched_requests(partial):
            # Importing it already makes its config folder and, where there is a token, asks Kaggle.
            from kaggle.api.kaggle_api_extended import KaggleApi

            api = KaggleApi()
            try:
                api.authenticate()
            except SystemExit:
                raise EncoreError(_without_credentials()) from None
            api.dataset_download_files(f"{OWNER}/{SLUG}", path=folder, quiet=not sys.stderr.isatty())
    except RequestException as error:
        raise EncoreError(_explain(error, partial)) from None
    except ValueError as error:
        # Another size than announced: the archive has changed on the way, so what is here is of no use.
        shutil.rmtree(folder)
        raise EncoreError(f"the download from Kaggle went wrong ({error}); deleted, run again") from None
    return partial


@contextmanager
def _watched_requests(partial: Path) -> Iterator[None]:
    """See to what the client does not see to, at each of its requests.

    - Its first ones would wait for ever (``socket.setdefaulttimeout`` does not reach them: requests
      takes no timeout to mean never).
    - Whatever answers its request for the rest of the archive, it writes over what it has.
    - On a full disk it tries on for a minute.
    """
    from requests.adapters import HTTPAdapter

    send = HTTPAdapter.send

    def watched_send(adapter: HTTPAdapter, request: Any, **options: Any) -> Any:
        answer = send(adapter, request, **(options | {"timeout": SILENCE_S}))
        # 416: there is no rest, which the client understands.
        if "Range" in request.headers and answer.status_code not in (200, 206, 416):
            raise EncoreError(
                f"Kaggle does not send the rest of the archive (it answers {answer.status_code}): "
                f"what is downloaded is kept; {_wait(answer)}"
            )
        kept = partial.stat().st_size if partial.exists() else 0
        if int(answer.headers.get("Content-Length", 0)) - kept > shutil.disk_usage(partial.parent).free:
            raise EncoreError(DISK_FULL)
        return answer

    HTTPAdapter.send = watched_send  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        HTTPAdapter.send = send  # type: ignore[method-assign]


def _without_credentials() -> str:
    from kagglesdk import get_access_token_from_env

    _, place = get_access_token_from_env()
    if place:
        return f"Kaggle does not accept the access token in {place}: make a new one at {TOKENS}"
    return (
        f"no Kaggle credentials: make a key at {TOKENS}, then set KAGGLE_USERNAME and KAGGLE_KEY or save it "
        "as ~/.kaggle/kaggle.json (a token: set KAGGLE_API_TOKEN or save it as ~/.kaggle/access_token)"
    )


def _explain(error: Exception, partial: Path) -> str:
    """What a failed request means and what to do about it."""
    from requests import exceptions

    if isinstance(error, exceptions.HTTPError) and error.response is not None:
        status = error.response.status_code
        if status == 429:
            return f"Kaggle has had too many requests from you (429): {_wait(error.response)}"
        return ANSWERS.get(
            status, f"Kaggle cannot deliver now (it answers {status}): {_wait(error.response)}"
        )
    if not isinstance(
        error, (exceptions.ConnectionError, exceptions.Timeout, exceptions.ChunkedEncodingError)
    ):
        return f"Kaggle's client cannot ask for the dataset ({error})"
    # Without the client's marker it would not resume but start anew.
    marker = partial.with_name(f"{partial.name}.kaggle-partial")
    kept_mb = partial.stat().st_size / 1e6 if marker.exists() and partial.exists() else 0
    advice = (
        f"{kept_mb:.0f} MB are kept, run again to resume" if kept_mb else "check the network and run again"
    )
    return f"connection to Kaggle failed ({broken_by(error, SILENCE_S)}): {advice}"


def _wait(answer: Any) -> str:
    """How long to wait: what the answer asks for, a number of seconds or a date, or else a minute."""
    after = answer.headers.get("Retry-After") or "60"
    return f"wait {after} s, then run again" if after.isdigit() else f"run again after {after}"


class _UnusableError(Exception):
    """Why an archive cannot be taken for GTZAN, as a predicate: "is damaged"."""


def _given(path: str) -> Path:
    archive = absolute(path, "archive")
    if not archive.is_file():
        raise EncoreError(f"dataset.archive: no file {archive}")
    return archive


def _unpack(archive: Path, wanted: list[str], artists: dict[str, str], into: Path) -> list[RawTrack]:
    """Unpack the `wanted` clips, all or none; zipfile compares their checksums on the way."""
    from tqdm import tqdm

    faults = _faults()
    try:
        with zipfile.ZipFile(archive) as opened:
            clips = _checked_clips(opened)
            missing = [
                clip for clip in sorted(artists.keys() - clips.keys()) if UNREADABLE not in faults[clip]
            ]
            if missing:
                some = ", ".join(missing[:3]) + (", …" if missing[3:] else "")
                raise _UnusableError(f"lacks {len(missing)} of {len(artists)} clips ({some})")
            tracks = []
            with new_folder(into) as folder:
                present = [track_id for track_id in wanted if track_id in clips]
                for track_id in tqdm(present, "unpack", unit="track", disable=None):
                    suffix = Path(clips[track_id].filename).suffix
                    target = folder / _label(track_id) / f"{track_id}{suffix}"
                    track = RawTrack(
                        track_id=track_id,
                        path=target.relative_to(folder).as_posix(),
                        label=_label(track_id),
                        group=artists[track_id],
                        split="",
                        fault="; ".join(faults[track_id]),
                        sha256=_unpack_clip(opened, clips[track_id], target),
                        bytes=target.stat().st_size,
                        source=Gtzan.name,
                    )
                    tracks.append(track)
            return tracks
    except (*DAMAGE, OSError) as error:
        # Damaged indices make zipfile seek out of bounds (EINVAL), bz2's errors have no errno at all;
        # any other OSError is the disk's.
        if isinstance(error, OSError) and error.errno not in (errno.EINVAL, None):
            raise
        raise _UnusableError(f"is damaged ({str(error) or 'ends too early'})") from None


def _faults() -> dict[str, list[str]]:
    """What is wrong with each clip, as far as it is verified."""
    faults = defaultdict(list)
    for row in read_rows(FAULTS, Fault):
        if row.fault in VERIFIED:
            faults[row.track_id].append(f"{row.fault} {row.others}".strip())
    return faults


def _checked_clips(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """The member of each clip.

    Where a clip is written follows from its track_id, never from a name in the archive. An archive that
    tries to lead elsewhere is refused all the same, since nothing in it can be trusted.
    """
    clips: dict[str, zipfile.ZipInfo] = {}
    names = set()
    for member in archive.infolist():
        name = member.filename
        path = PureWindowsPath(name)  # splits at both kinds of slash and knows drives
        if path.anchor or ".." in path.parts:
            raise _UnusableError(f"has a member that leads out of its folder ({name!r})")
        if stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise _UnusableError(f"has a member that is a link or a device ({name!r})")
        clip = CLIP.fullmatch(name)
        if name in names or (clip and clip["track_id"] in clips):
            raise _UnusableError(f"has {clip['track_id'] if clip else repr(name)} twice")
        names.add(name)
        if clip:
            if member.file_size > MAX_CLIP_BYTES:
                raise _UnusableError(f"has a clip of {member.file_size / 1e6:.0f} MB ({name!r})")
            clips[clip["track_id"]] = member
    if (n_bytes := sum(member.file_size for member in clips.values())) > MAX_BYTES:
        raise _UnusableError(f"has {n_bytes / 1e9:.0f} GB of clips")
    return clips


def _unpack_clip(archive: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path) -> str:
    """Write a clip; its sha256."""
    target.parent.mkdir(exist_ok=True)
    digest = hashlib.sha256()
    with archive.open(member) as packed, target.open("wb") as file:
        while block := packed.read(1 << 20):
            digest.update(block)
            file.write(block)
    return digest.hexdigest()
