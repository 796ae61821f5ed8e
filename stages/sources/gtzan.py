"""GTZAN, downloaded by Kaggle's own client; the only module that imports kaggle."""

import errno
import hashlib
import io
import re
import shutil
import sys
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from stages.errors import EncoreError
from stages.sources.params import SourceParams
from stages.tables import RawTrack, read_rows
from stages.workspace import new_folder, work_cache

OWNER, SLUG = "andradaolteanu", "gtzan-dataset-music-genre-classification"
PAGE = f"https://www.kaggle.com/datasets/{OWNER}/{SLUG}"
TOKENS = "https://www.kaggle.com/settings/api"
SILENCE_S = 60.0  # how long Kaggle may say nothing before we give up on it

# The only members we take. What does not match (features, images, AppleDouble's ._*, anything that
# points elsewhere) is never written, so no name in the archive can lead out of the folder.
MEMBER = re.compile(r"Data/genres_original/(?P<label>[a-z]+)/(?P<track_id>(?P=label)\.[0-9]{5})\.wav")

# What zipfile raises for damaged archives.
DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError)

ANSWERS = {
    401: f"Kaggle does not accept the credentials (401): make a new key at {TOKENS} and set KAGGLE_USERNAME "
    "and KAGGLE_KEY to it, or save it as ~/.kaggle/kaggle.json",
    403: f"Kaggle refuses the download (403): log in, open {PAGE}, accept what it asks, then run again",
    404: f"Kaggle does not find the dataset (404): see whether {PAGE} is still there",
    429: "Kaggle has had too many requests from you (429): wait some minutes, then run again",
}


class GtzanParams(SourceParams):
    """Parameters of the GTZAN source; `watch` is its table of artists."""

    name: Literal["gtzan"]


@dataclass(frozen=True)
class Artist:
    """Who plays on a clip (``data/facts/gtzan_artists.csv``)."""

    track_id: str
    artist: str  # the composer in classical; empty: unknown


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

    def __init__(self, params: GtzanParams):
        self.params = params

    def fetch(self, into: Path) -> list[RawTrack]:
        """Download the archive, unless the work cache has it, and unpack its clips as they are.

        Raises
        ------
        EncoreError
            If a class of `classes` is not in GTZAN, Kaggle does not deliver, the archive is damaged,
            or the disk is full.
        """
        from filelock import FileLock

        try:
            artists = {row.track_id: row.artist for row in read_rows(Path(self.params.watch), Artist)}
            labels = self._wanted_labels(artists)
            archive = work_cache("downloads") / f"{SLUG}.zip"
            # Queued experiments share the cache: one downloads, the others wait for it.
            with FileLock(work_cache("locks") / "gtzan.lock"):
                if not archive.exists():
                    _download(work_cache("downloads/partial")).replace(archive)
                return _unpack(archive, labels, artists, into)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise EncoreError(
                    "disk full: GTZAN takes about 4 GB (its archive in .encore, its clips in data/raw and "
                    "in DVC's cache); make room and run again, what is downloaded is kept"
                ) from None
            raise EncoreError(f"{error.filename or into}: {error.strerror or error}") from None

    def _wanted_labels(self, artists: dict[str, str]) -> set[str]:
        """Known before anything is downloaded, so that a slip costs no gigabyte."""
        there = {track_id.partition(".")[0] for track_id in artists}
        wanted = there if self.params.classes is None else set(self.params.classes)
        if missing := sorted(wanted - there):
            raise EncoreError(
                f"dataset.classes: no class {', '.join(missing)} in GTZAN; "
                f"there are: {', '.join(sorted(there))}"
            )
        return wanted


def _download(folder: Path) -> Path:
    """Let Kaggle's client download the archive into `folder`, or go on where it was cut off."""
    from requests import RequestException

    partial = folder / f"{SLUG}.zip"
    try:
        # What the client says on stdout we say in one line; its progress bar goes to stderr.
        with redirect_stdout(io.StringIO()), _no_endless_silence():
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
        # The client may have written an error page over what it had, and would resume from that.
        shutil.rmtree(folder)
        raise EncoreError(f"the download from Kaggle went wrong ({error}); deleted, run again") from None
    return partial


@contextmanager
def _no_endless_silence() -> Iterator[None]:
    """Give every request a timeout: the client's first ones have none and would wait for ever.

    ``socket.setdefaulttimeout`` does not reach them: requests takes no timeout to mean never.
    """
    from requests.adapters import HTTPAdapter

    send = HTTPAdapter.send

    def send_with_timeout(adapter: HTTPAdapter, request: Any, **options: Any) -> Any:
        return send(adapter, request, **(options | {"timeout": SILENCE_S}))

    HTTPAdapter.send = send_with_timeout  # type: ignore[method-assign, assignment]
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
        return ANSWERS.get(status, f"Kaggle cannot deliver now (it answers {status}): run again later")
    if not isinstance(
        error, (exceptions.ConnectionError, exceptions.Timeout, exceptions.ChunkedEncodingError)
    ):
        return f"Kaggle's client cannot ask for the dataset ({error})"
    cause: BaseException = error
    while inner := cause.__cause__ or cause.__context__:
        cause = inner
    unnamed = f"silent for {SILENCE_S:g} s" if isinstance(cause, TimeoutError) else "cut off"
    reason = getattr(cause, "strerror", None) or unnamed
    # Without the client's marker it would not resume but start anew.
    marker = partial.with_name(f"{partial.name}.kaggle-partial")
    kept_mb = partial.stat().st_size / 1e6 if marker.exists() and partial.exists() else 0
    advice = (
        f"{kept_mb:.0f} MB are kept, run again to resume" if kept_mb else "check the network and run again"
    )
    return f"connection to Kaggle failed ({reason}): {advice}"


def _unpack(archive: Path, labels: set[str], artists: dict[str, str], into: Path) -> list[RawTrack]:
    """Unpack the clips of `labels`, all or none; the archive's checksums are compared on the way."""
    from tqdm import tqdm

    try:
        with zipfile.ZipFile(archive) as opened, new_folder(into) as folder:
            matches = map(MEMBER.fullmatch, opened.namelist())
            members = {match["track_id"]: match for match in matches if match}
            if not members:
                raise zipfile.BadZipFile("no Data/genres_original/<genre>/*.wav in it")
            return [
                _unpack_clip(opened, member, artists, folder)
                for _, member in tqdm(sorted(members.items()), "unpack", unit="track", disable=None)
                if member["label"] in labels
            ]
    except (*DAMAGE, OSError) as error:
        # A damaged index makes zipfile seek out of bounds (EINVAL); any other OSError is the disk's.
        if isinstance(error, OSError) and error.errno != errno.EINVAL:
            raise
        archive.unlink()
        raise EncoreError(f"{archive}: damaged ({error}); deleted, run again to download it anew") from None


def _unpack_clip(
    archive: zipfile.ZipFile, member: re.Match[str], artists: dict[str, str], folder: Path
) -> RawTrack:
    track_id, label = member["track_id"], member["label"]
    target = folder / label / f"{track_id}.wav"
    target.parent.mkdir(exist_ok=True)
    digest = hashlib.sha256()
    with archive.open(member.string) as packed, target.open("wb") as file:
        while block := packed.read(1 << 20):
            digest.update(block)
            file.write(block)
    return RawTrack(
        track_id=track_id,
        path=target.relative_to(folder).as_posix(),
        label=label,
        group=artists.get(track_id, ""),
        split="",
        sha256=digest.hexdigest(),
        bytes=target.stat().st_size,
        source=Gtzan.name,
    )
