"""Downloads from a server on the loopback interface with faults on request."""

import contextlib
import errno
import hashlib
import os
import re
import shutil
import socket
import threading
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from types import SimpleNamespace
from typing import Self

import numpy as np
import pytest

from stages.sources import download as module
from stages.sources.download import download
from tests.loopback import serving
from tests.synthetic import line_of

CONTENT = np.random.default_rng(0).bytes(400_000)
OTHER = np.random.default_rng(1).bytes(300_000)


@dataclass
class Server:
    """One file, and the server's faults.

    Attributes
    ----------
    headers : dict of str to str
        What names this version of the file.
    status : int
        Of every answer; 200: as asked.
    knows_ranges : bool
    cuts : list of int
        After how many bytes each of the coming answers is cut; then no more are.
    is_silent : bool
        It sends nothing more where it would cut.
    asked : list of (str, str)
        ``Range`` and ``If-Range`` of each request.
    """

    content: bytes = CONTENT
    headers: dict[str, str] = field(default_factory=lambda: {"ETag": '"one"'})
    status: int = 200
    knows_ranges: bool = True
    cuts: list[int] = field(default_factory=list)
    is_silent: bool = False
    asked: list[tuple[str, str]] = field(default_factory=list)

    def __enter__(self) -> Self:
        self.released = threading.Event()
        self._serving = serving(type("Handler", (_Handler,), {"file": self}))
        self.url = f"{self._serving.__enter__()}/music.zip"
        return self

    def __exit__(self, *_: object) -> None:
        self.released.set()
        self._serving.__exit__(None, None, None)


class _Handler(BaseHTTPRequestHandler):
    file: Server

    def do_GET(self) -> None:
        asked, condition = self.headers.get("Range", ""), self.headers.get("If-Range", "")
        self.file.asked.append((asked, condition))
        self.close_connection = True
        status, start = self.file.status, 0
        is_same = not condition or condition in self.file.headers.values()
        if status == 200 and asked and is_same and self.file.knows_ranges:
            status, start = 206, int(re.fullmatch("bytes=([0-9]+)-", asked)[1])
        if start >= len(self.file.content):
            status = 416
        body = self.file.content[start:] if status in (200, 206) else b""
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in self.file.headers.items():
            self.send_header(name, value)
        self.end_headers()
        is_cut = bool(self.file.cuts)
        with contextlib.suppress(ConnectionError):
            self.wfile.write(body[: self.file.cuts.pop(0)] if is_cut else body)
        if is_cut and self.file.is_silent:
            self.wfile.flush()
            self.file.released.wait()

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture
def server(monkeypatch):
    for name in [*os.environ]:
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    with Server() as started:
        yield started


@pytest.fixture
def into(tmp_path):
    return tmp_path / "music.zip"


def fetch(server: Server, into: Path, content: bytes = CONTENT) -> None:
    download(server.url, hashlib.sha1(content).hexdigest(), into)


def files(into: Path) -> list[str]:
    return sorted(path.name for path in into.parent.iterdir())


def assert_whole(into: Path) -> None:
    assert into.read_bytes() == CONTENT
    assert files(into) == ["music.zip"]


def interrupt(server: Server, into: Path, *cuts: int) -> str:
    """Leave a partial download, as after a lost connection; return its one line."""
    server.cuts = [*cuts, 0]
    line = line_of(lambda: fetch(server, into))
    server.asked.clear()
    return line


def test_file_arrives_whole_and_alone(server, into, capfd):
    fetch(server, into)
    assert_whole(into)
    assert server.asked == [("", "")]
    assert capfd.readouterr() == ("", "")


def test_second_download_sends_no_request(server, into):
    fetch(server, into)
    server.asked.clear()
    fetch(server, into)
    assert server.asked == []


def test_cut_connections_are_resumed_at_once(server, into):
    server.cuts = [65536, 131072]
    fetch(server, into)
    assert_whole(into)
    assert server.asked == [("", ""), ("bytes=65536-", '"one"'), ("bytes=196608-", '"one"')]


def test_cut_download_resumes_in_a_later_call(server, into):
    line = interrupt(server, into, 131072)
    assert line == ("connection to 127.0.0.1 failed (cut off): 0 MB are kept, run again to resume")
    assert not into.exists()
    fetch(server, into)
    assert server.asked == [("bytes=131072-", '"one"')]
    assert_whole(into)


@pytest.mark.parametrize(
    ("headers", "condition"),
    [
        (
            {"ETag": 'W/"weak"', "Last-Modified": "Tue, 09 May 2017 10:00:00 GMT"},
            "Tue, 09 May 2017 10:00:00 GMT",
        ),
        ({"Last-Modified": "Tue, 09 May 2017 10:00:00 GMT"}, "Tue, 09 May 2017 10:00:00 GMT"),
        ({"ETag": 'W/"weak"'}, ""),
        ({}, ""),
    ],
)
def test_download_resumes_without_a_strong_etag(server, into, headers, condition):
    server.headers = headers
    interrupt(server, into, 131072)
    fetch(server, into)
    assert server.asked == [("bytes=131072-", condition)]
    assert_whole(into)


def test_changed_file_is_downloaded_from_the_start(server, into):
    server.content, server.headers = OTHER, {"ETag": '"zero"'}
    interrupt(server, into, 131072)
    server.content, server.headers = CONTENT, {"ETag": '"one"'}
    fetch(server, into)
    assert server.asked == [("bytes=131072-", '"zero"')]
    assert_whole(into)


def test_server_without_ranges_sends_from_the_start(server, into):
    server.knows_ranges = False
    interrupt(server, into, 131072)
    fetch(server, into)
    assert_whole(into)


def test_download_ends_when_attempts_bring_nothing_more(server, into):
    server.knows_ranges, server.cuts = False, [131072] * 9
    assert "cut off" in line_of(lambda: fetch(server, into))
    assert len(server.asked) == 2


def test_download_killed_before_its_check_is_checked_later(server, into):
    into.with_name("music.zip.partial").write_bytes(CONTENT)
    fetch(server, into)
    assert_whole(into)


@pytest.mark.parametrize("kept", [0, 131072], ids=["whole", "resumed"])
def test_wrong_checksum_deletes_the_file(server, into, kept):
    if kept:
        into.with_name("music.zip.partial").write_bytes(OTHER[:kept])
    else:
        server.content = OTHER
    line = line_of(lambda: fetch(server, into))
    assert line.startswith(f"{server.url}: damaged in transit, or another file than expected (its sha1 is ")
    assert line.endswith("deleted, run again to download a new copy")
    assert files(into) == []
    server.content = CONTENT
    fetch(server, into)
    assert_whole(into)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (403, "the server refuses it (403 Forbidden); see whether it has moved, or use a copy of your own"),
        (404, "the server refuses it (404 Not Found); see whether it has moved, or use a copy of your own"),
        (416, f"the server refuses it (416 {HTTPStatus(416).phrase}); see whether it has moved"),
        (429, "the server cannot deliver now (429 Too Many Requests); run again later"),
        (503, "the server cannot deliver now (503 Service Unavailable); run again later"),
    ],
)
def test_refusals(server, into, status, expected):
    server.status = status
    assert line_of(lambda: fetch(server, into)).startswith(f"{server.url}: {expected}")
    assert files(into) == []


def test_refusal_keeps_the_partial_download(server, into):
    interrupt(server, into, 131072)
    server.status = 503
    assert "0 MB are kept, run again later" in line_of(lambda: fetch(server, into))
    server.status = 200
    fetch(server, into)
    assert_whole(into)


@pytest.mark.parametrize(
    ("cuts", "advice"),
    [([0], "check the network and run again"), ([131072, 0], "0 MB are kept, run again to resume")],
)
def test_download_from_a_silent_server_ends(server, into, monkeypatch, cuts, advice):
    monkeypatch.setattr(module, "SILENCE_S", 0.2)
    server.cuts, server.is_silent = cuts, True
    line = line_of(lambda: fetch(server, into))
    assert line == f"connection to 127.0.0.1 failed (silent for 0.2 s): {advice}"


def test_refused_connection(into):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    line = line_of(lambda: download(f"http://127.0.0.1:{port}/music.zip", "", into))
    assert line == "connection to 127.0.0.1 failed (Connection refused): check the network and run again"


def test_no_network(into, monkeypatch):
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    line = line_of(lambda: download("http://music.example/music.zip", "", into))
    assert line == (
        "connection to music.example failed (Temporary failure in name resolution): "
        "check the network and run again"
    )


def test_too_small_a_disk_is_noticed_before_it_is_full(server, into, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    line = line_of(lambda: fetch(server, into))
    assert line.startswith(
        f"disk full: music.zip needs 0.0 GB more in {into.parent}; make room and run again"
    )
    assert files(into) == []


def test_disk_that_fills_up_on_the_way(server, into, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module, "_remember_validator", full)
    line = line_of(lambda: fetch(server, into))
    assert line.startswith(f"disk full: no room left in {into.parent}; make room and run again")


def test_folder_that_cannot_be_written_is_named(server, into):
    missing = into.parent / "nowhere" / "music.zip"
    assert str(missing.parent) in line_of(lambda: fetch(server, missing))
