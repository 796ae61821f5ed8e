"""A dataset's archive from Kaggle, through Kaggle's own client; the only module that imports kaggle."""

import io
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

from stages.core.errors import EncoreError
from stages.sources.disk import disk_full
from stages.sources.download import broken_by

TOKENS = "https://www.kaggle.com/settings/api"
SILENCE_S = 60.0  # after so long without data the download fails


def page(dataset: str) -> str:
    """Return the address of a dataset's page."""
    return f"https://www.kaggle.com/datasets/{dataset}"


def download(dataset: str, folder: Path, needs: str) -> Path:
    """Download a dataset's archive with Kaggle's client, or resume an interrupted download.

    Parameters
    ----------
    dataset : str
        ``OWNER/NAME``.
    folder : Path
        For the archive. If the download fails, the downloaded part stays there.
    needs : str
        What needs the disk space, for the message when it is full.

    Returns
    -------
    Path
        The archive, of the size that Kaggle announced.

    Raises
    ------
    EncoreError
        If there are no credentials, the download fails, or the disk is too small.
    """
    from requests import RequestException

    partial = folder / f"{dataset.partition('/')[2]}.zip"
    try:
        # Encore replaces what the client prints by one line; its progress bar goes to stderr.
        with redirect_stdout(io.StringIO()), _watched_requests(partial, needs):
            # The import makes the client's config folder and, if there is a token, asks Kaggle.
            from kaggle.api.kaggle_api_extended import KaggleApi

            api = KaggleApi()
            try:
                api.authenticate()
            except SystemExit:
                raise EncoreError(_without_credentials()) from None
            api.dataset_download_files(dataset, path=folder, quiet=not sys.stderr.isatty())
    except RequestException as error:
        raise EncoreError(_explain(error, dataset, partial)) from None
    except ValueError as error:
        # Another size than announced: the archive changed during the download, so the file is useless.
        shutil.rmtree(folder)
        raise EncoreError(f"the download from Kaggle went wrong ({error}); deleted, run again") from None
    return partial


@contextmanager
def _watched_requests(partial: Path, needs: str) -> Iterator[None]:
    """Add the checks that the client lacks to each of its requests.

    - Its first requests have no timeout (``socket.setdefaulttimeout`` has no effect on them: in requests,
      no timeout means to wait forever).
    - Any answer to its request for the rest of the archive overwrites what is already downloaded.
    - On a full disk it retries for a minute.

    Within the block this replaces a method of a class of requests, because the client offers no other way:
    it sends its first requests while it is imported, keeps the session of the next ones private, and
    downloads by ``requests.request``, which makes a new session. All of them call this method.
    """
    from requests.adapters import HTTPAdapter

    send = HTTPAdapter.send

    def watched_send(adapter: HTTPAdapter, request: Any, **options: Any) -> Any:
        answer = send(adapter, request, **(options | {"timeout": SILENCE_S}))
        # 416: nothing remains to be sent, which the client understands.
        if "Range" in request.headers and answer.status_code not in (200, 206, 416):
            raise EncoreError(
                f"Kaggle does not send the rest of the archive (it answers {answer.status_code}): "
                f"what is downloaded is kept; {_wait(answer)}"
            )
        kept = partial.stat().st_size if partial.exists() else 0
        if int(answer.headers.get("Content-Length", 0)) - kept > shutil.disk_usage(partial.parent).free:
            raise disk_full(needs)
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


def _explain(error: Exception, dataset: str, partial: Path) -> str:
    """Return why a request failed and what to do about it."""
    from requests import exceptions

    if isinstance(error, exceptions.HTTPError) and error.response is not None:
        return _refusal(error.response, page(dataset))
    if not isinstance(
        error, (exceptions.ConnectionError, exceptions.Timeout, exceptions.ChunkedEncodingError)
    ):
        return f"Kaggle's client cannot ask for the dataset ({error})"
    # Without the client's marker file it would start again instead of resuming.
    marker = partial.with_name(f"{partial.name}.kaggle-partial")
    kept_mb = partial.stat().st_size / 1e6 if marker.exists() and partial.exists() else 0
    advice = (
        f"{kept_mb:.0f} MB are kept, run again to resume" if kept_mb else "check the network and run again"
    )
    return f"connection to Kaggle failed ({broken_by(error, SILENCE_S)}): {advice}"


def _refusal(answer: Any, address: str) -> str:
    """Return what an answer other than the archive means and what to do about it."""
    status = answer.status_code
    known = {
        401: f"Kaggle does not accept the credentials (401): make a new key at {TOKENS} and set "
        "KAGGLE_USERNAME and KAGGLE_KEY to it, or save it as ~/.kaggle/kaggle.json",
        403: f"Kaggle refuses the download (403): log in, open {address}, accept what it asks, then "
        "run again",
        404: f"Kaggle does not find the dataset (404): see whether {address} is still there",
        429: f"Kaggle has had too many requests from you (429): {_wait(answer)}",
    }
    return known.get(status, f"Kaggle cannot deliver now (it answers {status}): {_wait(answer)}")


def _wait(answer: Any) -> str:
    """Return how long to wait: the seconds or the date that the answer asks for, or else a minute."""
    after = answer.headers.get("Retry-After") or "60"
    return f"wait {after} s, then run again" if after.isdigit() else f"run again after {after}"
