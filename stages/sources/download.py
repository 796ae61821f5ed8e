"""Download of a large file: resumed where it was cut off, also by a later process, and checked when whole."""

import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from stages.core.errors import EncoreError
from stages.core.workspace import publish
from stages.sources.disk import disk_errors_in_one_line, disk_full

SILENCE_S = 60.0  # how long a server may send nothing before the download is given up


def download(url: str, sha1: str, into: Path) -> None:
    """Download `url` to the file `into`, unless it is there already.

    What is downloaded is kept beside it as ``NAME.partial``, and the server is asked for the rest only. After
    a cut connection the download resumes at once, as long as every attempt brings something.

    Parameters
    ----------
    url : str
    sha1 : str
        Published checksum of the file, in hexadecimal.
    into : Path
        Appears whole and checked or not at all; its folder exists.

    Raises
    ------
    EncoreError
        If the file cannot be had, is not the one that `sha1` names, or the disk is full.
    """
    from requests import RequestException

    if into.exists():
        return
    partial = into.with_name(f"{into.name}.partial")
    with disk_errors_in_one_line(into, f"no room left in {into.parent}"):
        while True:
            before = _size(partial)
            try:
                _receive(url, partial)
                break
            except RequestException as error:
                if _size(partial) <= before:
                    raise EncoreError(_explain(error, url, _size(partial))) from None
        found = sha1_of(partial)
    _validator(partial).unlink(missing_ok=True)
    if found != sha1:
        partial.unlink()
        raise EncoreError(
            f"{url}: damaged in transit, or another file than expected (its sha1 is {found}, should be "
            f"{sha1}); deleted, run again to download a new copy"
        )
    publish(partial, into)


def sha1_of(path: Path) -> str:
    """Return the SHA-1 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha1").hexdigest()


def _receive(url: str, partial: Path) -> None:
    """Append to `partial` what it lacks of `url`, or start again if the server has another file by now."""
    import requests
    from tqdm import tqdm

    kept = _size(partial)
    # Ranges and checksum are of the file itself, not of a compressed form of it.
    headers = {"Accept-Encoding": "identity"}
    if kept:
        headers["Range"] = f"bytes={kept}-"
        if _validator(partial).exists():
            headers["If-Range"] = _validator(partial).read_text("utf-8")
    with requests.get(url, headers=headers, stream=True, timeout=SILENCE_S) as answer:
        if kept and answer.status_code == requests.codes.requested_range_not_satisfiable:
            return  # nothing is missing, or the checksum will differ
        answer.raise_for_status()
        if answer.status_code != requests.codes.partial_content:
            kept = 0
        missing = int(answer.headers.get("Content-Length", 0))
        if missing > shutil.disk_usage(partial.parent).free + (0 if kept else _size(partial)):
            needs = f"{partial.stem} needs {missing / 1e9:.1f} GB more in {partial.parent}"
            raise disk_full(needs)
        with (
            partial.open("ab" if kept else "wb") as file,
            tqdm(
                desc=f"download {partial.stem}",
                total=kept + missing or None,
                initial=kept,
                unit="B",
                unit_scale=True,
                disable=None,
            ) as bar,
        ):
            if not kept:
                _remember_validator(answer.headers, partial)
            for block in answer.iter_content(1 << 16):
                file.write(block)
                bar.update(len(block))


def _validator(partial: Path) -> Path:
    """Return the file that keeps the server's name for this version of the download."""
    return partial.with_name(f"{partial.name}.etag")


def _remember_validator(headers: Mapping[str, str], partial: Path) -> None:
    etag = headers.get("ETag", "W/")
    # A weak ETag does not promise the same bytes, and If-Range does not accept one.
    known = headers.get("Last-Modified", "") if etag.startswith("W/") else etag
    if known:
        _validator(partial).write_text(known, "utf-8")
    else:
        _validator(partial).unlink(missing_ok=True)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _explain(error: Exception, url: str, kept: int) -> str:
    """Return what a failed request means and what to do about it."""
    from requests import exceptions

    keeps = f"{kept / 1e6:.0f} MB are kept, " if kept else ""
    if isinstance(error, exceptions.HTTPError) and error.response is not None:
        status = f"{error.response.status_code} {error.response.reason}".strip()
        if error.response.status_code in (408, 429) or error.response.status_code >= 500:
            return f"{url}: the server cannot deliver now ({status}); {keeps}run again later"
        return f"{url}: the server refuses it ({status}); see whether it has moved, or use a copy of your own"
    if not isinstance(
        error, (exceptions.ConnectionError, exceptions.Timeout, exceptions.ChunkedEncodingError)
    ):
        return f"{url}: cannot be asked for ({error})"
    advice = f"{keeps}run again to resume" if kept else "check the network and run again"
    return f"connection to {urlsplit(url).hostname} failed ({broken_by(error, SILENCE_S)}): {advice}"


def broken_by(error: Exception, silence_s: float) -> str:
    """Return the root cause of a failed connection: "Connection refused", "silent for 60 s", "cut off"."""
    cause: BaseException = error
    while inner := cause.__cause__ or cause.__context__:
        cause = inner
    unnamed = f"silent for {silence_s:g} s" if isinstance(cause, TimeoutError) else "cut off"
    return getattr(cause, "strerror", None) or unnamed
