"""A Kaggle on 127.0.0.1 that serves GTZAN to the real client, with faults on request."""

import base64
import csv
import hashlib
import io
import json
import os
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Self

from tests.loopback import serving
from tests.synthetic import composed_sections

REPO = Path(__file__).parents[1]
ARTISTS = REPO / "data/facts/gtzan_artists.csv"
USER, KEY, TOKEN = "someone", "right-key", "right-token"


@dataclass
class Kaggle:
    """What the server serves, its faults, and the requests it received.

    Attributes
    ----------
    archive : bytes
        The dataset.
    status : int
        Answer to a request for the dataset; 302 leads to the archive.
    rest_status : int
        Answer to a request for the rest of the archive; 206 gives it.
    retry_after : str
        ``Retry-After`` of refusals; empty: none.
    cut_at : int or None
        The byte of the archive at which it cuts every connection; None: none.
    is_silent : bool
        It sends nothing more where it would cut; cut at byte 0, from the first request on.
    asked : list of (str, str, int)
        Of each request its path, its ``Range`` header, and how many bytes the answer announced.
    """

    archive: bytes = b""
    status: int = 302
    rest_status: int = 206
    retry_after: str = ""
    cut_at: int | None = None
    is_silent: bool = False
    asked: list[tuple[str, str, int]] = field(default_factory=list)

    def __enter__(self) -> Self:
        self.released = threading.Event()
        self._serving = serving(type("Handler", (_Handler,), {"kaggle": self}))
        self.url = self._serving.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.released.set()
        self._serving.__exit__(None, None, None)


class _Handler(BaseHTTPRequestHandler):
    kaggle: Kaggle

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.kaggle.asked.append((self.path, "", 0))
        if self.kaggle.is_silent and self.kaggle.cut_at == 0:
            self.kaggle.released.wait()
        elif self.path.endswith("/IntrospectToken"):
            self._answer(200, {"active": body["token"] == TOKEN, "username": USER})
        elif self.headers["Authorization"] not in (f"Bearer {TOKEN}", f"Basic {_basic()}"):
            self._answer(401, {"code": 401, "message": "Unauthenticated"})
        elif self.kaggle.status != 302:
            self._answer(self.kaggle.status, {"code": self.kaggle.status, "message": "No"})
        else:
            self.send_response(302)
            self.send_header("Location", f"{self.kaggle.url}/archive.zip")
            self.send_header("Content-Length", "0")
            self.end_headers()

    def do_GET(self) -> None:
        archive, asked_range = self.kaggle.archive, self.headers.get("Range", "")
        etag = f'"{hashlib.md5(archive).hexdigest()}"'
        wants_rest = asked_range and self.headers.get("If-Range", etag) == etag
        start = int(asked_range.removeprefix("bytes=").removesuffix("-")) if wants_rest else 0
        self.kaggle.asked.append((self.path, asked_range, len(archive) - start))
        self.close_connection = True
        if wants_rest and self.kaggle.rest_status != 206:
            self._answer(self.kaggle.rest_status, {"error": "No"})
            return
        if self.kaggle.cut_at is None or start < self.kaggle.cut_at:
            self.send_response(206 if wants_rest else 200)
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("Content-Length", str(len(archive) - start))
            self.send_header("ETag", etag)
            self.send_header("Last-Modified", "Tue, 24 Mar 2020 14:05:33 GMT")
            self.end_headers()
            # The client looks at the headers of a whole archive, then asks for the rest of it only.
            with suppress(ConnectionError):
                self.wfile.write(archive[start : self.kaggle.cut_at])
        if self.kaggle.is_silent:
            self.kaggle.released.wait()

    def _answer(self, status: int, answer: dict[str, object]) -> None:
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if self.kaggle.retry_after:
            self.send_header("Retry-After", self.kaggle.retry_after)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


def _basic() -> str:
    return base64.b64encode(f"{USER}:{KEY}".encode()).decode()


def member(track_id: str, folder: str = "Data/genres_original", suffix: str = ".wav") -> str:
    """Return the path of a clip in Kaggle's archive."""
    return f"{folder}/{track_id.partition('.')[0]}/{track_id}{suffix}"


def zipped(members: dict[str, bytes]) -> bytes:
    """Return a zip archive."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def write_artists(path: Path, track_ids: Iterable[str]) -> None:
    """Write a table of artists with these clips only, for archives with these clips only."""
    with ARTISTS.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.reader(file) if row[0] in {"track_id", *track_ids}]
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)


def environment(folder: Path) -> dict[str, str]:
    """Return variables for a home and a workspace below `folder`, and valid credentials."""
    settings = folder / "home" / ".kaggle"
    settings.mkdir(parents=True, exist_ok=True)
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(REPO),
        "HOME": str(settings.parent),
        "KAGGLE_CONFIG_DIR": str(settings),
        "KAGGLE_API_ENVIRONMENT": "LOCALHOST",
        "KAGGLE_USERNAME": USER,
        "KAGGLE_KEY": KEY,
        "DVC_ROOT": str(folder),
    }


PROGRAM = """
import time
time.sleep = lambda seconds: None  # between the client's retries
from kagglesdk.kaggle_env import KaggleEnv, _env_to_endpoint as endpoints
endpoints[KaggleEnv.LOCAL] = {url!r}
from stages.sources import kaggle
kaggle.SILENCE_S = 1.0
from stages.entry.command import run
from stages.fetch import main
run(main)
"""


def run_stage(
    folder: Path, url: str, without: str = "", **more: str | None
) -> subprocess.CompletedProcess[str]:
    """Run stage fetch in a new process, in `folder`, which has an artists.csv.

    Parameters
    ----------
    folder : Path
        Workspace and current folder.
    url : str
        Of Kaggle.
    without : str
        A variable to leave out of the environment.
    **more : str or None
        Parameters of the dataset other than the usual ones.
    """
    dataset = {
        "name": "gtzan",
        "classes": None,
        "tracks_per_class": None,
        "fraction": 1.0,
        "seed": 0,
        "watch": "artists.csv",
        "watch_metadata": "artists.csv",
        "watch_labels": "artists.csv",
        **more,
    }
    (folder / "params.yaml").write_text(json.dumps({**composed_sections(), "dataset": dataset}), "utf-8")
    variables = {name: value for name, value in environment(folder).items() if name != without}
    return subprocess.run(
        [sys.executable, "-c", PROGRAM.format(url=url)],
        check=False,
        cwd=folder,
        env=variables,
        capture_output=True,
        text=True,
    )
