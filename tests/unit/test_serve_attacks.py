"""What a page of another site, a broken client or a malicious file may try: the server stays as it is."""

import http.client
import json
import os
import socket
import stat
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

import psutil
import pytest

from stages.core.tables import RawTrack, read_rows, write_rows
from stages.serving.guard import HEADERS, SMALL_BYTES
from stages.serving.music import id_of
from stages.serving.site import WAITING
from stages.serving.uploads import AT_ONCE
from tests import hasty_server
from tests.hasty_server import CONNECTIONS, DIES, GROWS, HANGS, HEAD_S, IDLE_S, UPLOAD_BYTES, WHOLE_S
from tests.serving import Server, make_project, serving
from tests.synthetic import CLASSES, RATE_HZ, run_stage

pytestmark = pytest.mark.slow
PATIENCE_S = 30.0  # less than a question may take
SECRET = b"secret of another folder"
FIRST = f"{CLASSES[0]}/00.wav"
ERRORS = (400, 404, 405, 415, 422)


@pytest.fixture(scope="module")
def music(module_workspace: Path) -> Path:
    made = make_project(module_workspace)
    (module_workspace.parent / "secret.txt").write_bytes(SECRET)
    return made


@pytest.fixture(scope="module")
def server(music: Path, module_workspace: Path) -> Iterator[Server]:
    with serving(module_workspace, module=hasty_server.__name__) as started:
        yield started


@pytest.fixture(autouse=True)
def nothing_stays(request: pytest.FixtureRequest) -> Iterator[None]:
    """After each test the server answers rightly, and has no file and no question left."""
    yield
    if "server" not in request.fixturenames:
        return
    server, music = request.getfixturevalue("server"), request.getfixturevalue("music")
    answer = server.ask("POST", "/predict", (music / FIRST).read_bytes())
    assert answer.status == 200
    assert answer.json["seconds"] == 3.0
    wait_until(lambda: uploads(request.getfixturevalue("module_workspace")) == [])


def uploads(folder: Path) -> list[Path]:
    return [path for path in (folder / ".encore/uploads").rglob("*") if path.is_file()]


def wait_until(is_so: object) -> None:
    until = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.02)


@contextmanager
def connected(server: Server, first: bytes = b"") -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", server.port), PATIENCE_S) as one:
        one.sendall(first)
        yield one


def received(one: socket.socket) -> bytes:
    """All up to where the server closes the connection."""
    parts = []
    with suppress(ConnectionResetError):
        while part := one.recv(1 << 16):
            parts.append(part)
    return b"".join(parts)


def raw(server: Server, request: bytes) -> tuple[int, bytes]:
    """Send bytes; return the status of the answer, or 0 if there is none, and all of it."""
    with connected(server, request) as one:
        answer = received(one)
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.1 ") else 0, answer


def head(server: Server, line: str, *headers: str, host: str | None = None) -> bytes:
    """The head of a request in HTTP/1.1 whose connection is closed afterwards."""
    lines = [f"{line} HTTP/1.1", f"Host: {host or f'127.0.0.1:{server.port}'}", "Connection: close", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def first_track(server: Server) -> str:
    return f"/tracks/{id_of(FIRST)}"


# Paths

ESCAPES = [
    "../secret.txt",
    "../../../../../../../../etc/passwd",
    "/etc/passwd",
    "..\\..\\secret.txt",
    "....//....//secret.txt",
    FIRST,
    "data/raw/tracks.csv",
    "params.yaml",
    "__init__.py",
    "..",
    ".",
    "",
    "\0",
    "index.html\0.css",
    "a" * 5000,
    "file:///etc/passwd",
    "~/secret.txt",
]
ENCODED = [
    "%2e%2e%2fsecret.txt",
    "%2e%2e/%2e%2e/secret.txt",
    "%252e%252e%252fsecret.txt",
    "%25252e%25252e%25252fsecret.txt",
    "..%5c..%5csecret.txt",
    "..%c0%afsecret.txt",
    "%c0%ae%c0%ae%c0%afsecret.txt",
    "%e0%80%ae%e0%80%ae/secret.txt",
    "%uff0e%uff0e/secret.txt",
    "%ff%fe",
    "%ed%a0%80",
    "%",
    "%2",
    "%00",
    "..;/secret.txt",
    "..%2f..%2f..%2f..%2f..%2f..%2f..%2f..%2fetc%2fpasswd",
]


def targets(server: Server) -> list[tuple[str, str]]:
    """Each route with each attack in the place of each of its parameters, and after it."""
    routes = [
        (method.upper(), path)
        for path, methods in server.get("/openapi.json").json["paths"].items()
        for method in methods
    ] + [("GET", "/page/{name}"), ("GET", "/"), ("GET", "/api")]
    assert len(routes) > 6
    found = []
    for method, path in routes:
        for attack in [*(quote(each, safe="/") for each in ESCAPES), *(ENCODED)]:
            filled = path
            while "{" in filled:
                filled = filled[: filled.index("{")] + attack + filled[filled.index("}") + 1 :]
            found.append((method, filled if "{" in path else f"{path.rstrip('/')}/{attack}"))
            found.append((method, f"{attack}{path}" if attack.startswith("/") else f"/{attack}{path}"))
    return found


def test_no_path_from_outside_reaches_a_file(server):
    found = targets(server)
    for method, target in found:
        if target in ("/", "/api", "/about", "/tracks", "/openapi.json"):
            continue
        status, answer = raw(server, head(server, f"{method} {target}", "Content-Length: 0"))
        assert status in (*ERRORS, 200), (method, target)
        assert not any(word in answer for word in (SECRET, b"root:", b"track_id,path", b"RIFF")), target
        body = answer.partition(b"\r\n\r\n")[2]
        if status == 200:  # a route whose parameter is empty or a dot is another route
            assert target.strip("/.").split("/")[0] in ("", "page", "api", "tracks", "about"), target
        else:
            assert body.startswith((b'{"error":', b"Invalid HTTP request")), (target, answer)


@pytest.mark.parametrize(
    "target", ["http://example.com/about", "example.com:443", "*", "//example.com/about"]
)
def test_a_target_that_is_no_path_is_not_found(server, target):
    for method in ("GET", "OPTIONS", "CONNECT"):
        assert raw(server, head(server, f"{method} {target}"))[0] in (404, 405)


# Files of the dataset


@contextmanager
def in_place_of_a_track(folder: Path, name: str = FIRST) -> Iterator[Path]:
    """The path of a track in data/raw/music, which is free for something else."""
    path, kept = folder / "data/raw/music" / name, folder / "kept.wav"
    path.rename(kept)
    try:
        yield path
    finally:
        with suppress(FileNotFoundError):
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
        kept.rename(path)


def test_a_link_that_leads_out_is_not_followed(server, module_workspace):
    outside = module_workspace.parent / "outside.wav"
    outside.write_bytes((module_workspace / "data/raw/music" / FIRST).read_bytes())
    inside = module_workspace / "inside.wav"  # of the project, but no file of the dataset
    inside.write_bytes(outside.read_bytes())
    aim = os.path.relpath(outside, (module_workspace / "data/raw/music" / FIRST).parent)
    for to in (outside, inside, aim, "/etc/passwd", "/dev/zero", "/proc/self/environ", "loop"):
        with in_place_of_a_track(module_workspace) as path:
            path.symlink_to(path if to == "loop" else to)
            for what in ("audio", "over-time"):
                answer = server.get(f"{first_track(server)}/{what}")
                assert answer.status == 404, to
                assert FIRST in answer.json["error"]


def test_a_link_to_a_folder_that_leads_out_is_not_followed(server, module_workspace):
    folder = module_workspace / "data/raw/music" / CLASSES[0]
    away = module_workspace / "away"
    folder.rename(away)
    try:
        folder.symlink_to(away)
        assert server.get(f"{first_track(server)}/audio").status == 404
    finally:
        folder.unlink()
        away.rename(folder)


def test_a_link_into_the_cache_of_dvc_is_followed(server, module_workspace):
    cached = module_workspace / ".dvc/cache/files/md5/00/1234"
    cached.parent.mkdir(parents=True, exist_ok=True)
    content = (module_workspace / "data/raw/music" / FIRST).read_bytes()
    cached.write_bytes(content)
    for link in (os.symlink, os.link):
        with in_place_of_a_track(module_workspace) as path:
            link(cached, path)
            assert server.get(f"{first_track(server)}/audio").body == content
            assert server.get(f"{first_track(server)}/over-time").status == 200


def test_a_track_that_is_no_file_is_refused(server, module_workspace):
    def listen(path: Path) -> None:
        with socket.socket(socket.AF_UNIX) as one:
            here = os.open(path.parent, os.O_RDONLY)
            one.bind(f"/proc/self/fd/{here}/{path.name}")  # the path itself may be too long for a socket
            os.close(here)

    for make in (Path.mkdir, os.mkfifo, listen, lambda path: None):
        with in_place_of_a_track(module_workspace) as path:
            make(path)
            for what in ("audio", "over-time"):
                answer = server.get(f"{first_track(server)}/{what}")
                assert answer.status == 404
                assert "`dvc checkout` brings it back" in answer.json["error"]


def test_a_track_that_is_no_music_is_never_a_page(server, module_workspace):
    with in_place_of_a_track(module_workspace) as path:
        path.write_bytes(b"<html><script>alert(1)</script></html>")
        answer = server.get(f"{first_track(server)}/audio")
    assert answer.status == 422
    assert answer.headers["content-type"] == "application/json"
    assert b"<script>" not in answer.body


def test_a_list_with_paths_from_outside(music, module_workspace):
    """A table whose checksums are right: somebody has written it on purpose."""
    table = module_workspace / "data/raw/tracks.csv"
    kept = table.read_bytes()
    rows = read_rows(table, RawTrack)
    secret = str(module_workspace.parent / "secret.txt")
    paths = ["../../../../secret.txt", secret, "../tracks.csv", ".", "", "\0"]
    wrong = [
        RawTrack(**{**vars(rows[0]), "track_id": f"wrong {number}", "path": path})
        for number, path in enumerate(paths)
    ]
    try:
        write_rows(table, [*rows, *wrong], RawTrack)
        with serving(module_workspace) as other:
            for row in wrong:
                answer = other.get(f"/tracks/{id_of(row.track_id)}/audio")
                assert answer.status == 404, row.path
    finally:
        table.write_bytes(kept)


def test_a_list_that_was_changed_is_refused(music, module_workspace):
    table = module_workspace / "data/raw/tracks.csv"
    kept = table.read_bytes()
    try:
        table.write_bytes(kept.replace(FIRST.encode(), b"../00000.wav", 2))
        done = run_stage("serve", module_workspace, "--port", "0")
    finally:
        table.write_bytes(kept)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert "tracks.csv" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


# Ranges


@pytest.mark.parametrize(
    ("wanted", "status"),
    [
        ("bytes=0-0", 206),
        ("bytes=-5", 206),
        ("bytes=10-99999999999999999999", 206),
        ("bytes=0-1,3-4", 200),
        (f"bytes={','.join(['0-'] * 1000)}", 200),
        (f"bytes={','.join(f'{i}-{i}' for i in range(0, 2000, 2))}", 200),
        ("bytes=999999999-", 416),
        (f"bytes={'9' * 5000}-", 400),
        ("bytes=-0", 416),
        ("bytes=5-2", 400),
        ("bytes=--5", 416),
        ("bytes=a-b", 400),
        ("bytes=-", 400),
        ("bytes", 400),
        ("tracks=0-1", 400),
    ],
)
def test_a_range_gives_no_more_than_the_file(server, module_workspace, wanted, status):
    content = (module_workspace / "data/raw/music" / FIRST).read_bytes()
    answer = server.get(f"{first_track(server)}/audio", range=wanted)
    assert answer.status == status
    assert len(answer.body) <= len(content)
    if status == 416:
        assert answer.headers["content-range"] == f"bytes */{len(content)}"
    if status == 200:
        assert answer.body == content


# Who asks


@pytest.mark.parametrize(
    "host",
    [
        "example.com",
        "example.com:{port}",
        "127.0.0.1",
        "127.0.0.1:1",
        "127.0.0.1:0{port}",
        "127.0.0.1:{port}@example.com",
        "example.com@127.0.0.1:{port}",
        "localhost.:{port}",
        "127.0.0.1.:{port}",
        "127.0.0.1.nip.io:{port}",
        "127.1:{port}",
        "2130706433:{port}",
        "0.0.0.0:{port}",
        "[::1]:{port}",
        "[::ffff:127.0.0.1]:{port}",
        "127.0.0.1:{port},127.0.0.1:{port}",
        "localhost:{port}/",
        "http://localhost:{port}",
    ],
)
def test_another_host_is_refused(server, host):
    status, answer = raw(server, head(server, "GET /about", host=host.format(port=server.port)))
    assert status == 421
    assert answer.endswith(
        b'{"error":"this server answers for 127.0.0.1:%d and localhost:%d only"}' % ((server.port,) * 2)
    )


def test_its_own_hosts_are_answered(server):
    for host in ("127.0.0.1", "localhost", "LOCALHOST"):
        assert raw(server, head(server, "GET /about", host=f"{host}:{server.port}"))[0] == 200


def test_no_host_and_two_hosts_are_refused(server):
    end = b"Connection: close\r\n\r\n"
    own = b"Host: 127.0.0.1:%d\r\n" % server.port
    assert raw(server, b"GET /about HTTP/1.1\r\n" + end)[0] == 400
    assert raw(server, b"GET /about HTTP/1.0\r\n" + end)[0] == 421
    assert raw(server, b"GET /about HTTP/1.1\r\nHost: \r\n" + end)[0] == 421
    assert raw(server, b"GET /about HTTP/1.1\r\n" + own + b"Host: example.com\r\n" + end)[0] == 400
    assert raw(server, b"GET /about HTTP/1.1\r\n" + own + own + end)[0] == 400


@pytest.mark.parametrize(
    "name", ["X-Forwarded-Host", "X-Host", "Forwarded", "X-Original-URL", "X-Rewrite-URL"]
)
def test_headers_of_proxies_change_nothing(server, name):
    own = f"127.0.0.1:{server.port}"
    assert raw(server, head(server, "GET /about", f"{name}: {own}", host="example.com"))[0] == 421
    value = "host=example.com;proto=https" if name == "Forwarded" else "/api"
    status, answer = raw(server, head(server, "GET /about", f"{name}: {value}", "X-Forwarded-For: 10.0.0.1"))
    assert status == 200
    assert b'"model":' in answer


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "http://example.com",
        "https://127.0.0.1:{port}",
        "http://127.0.0.1",
        "http://127.0.0.1:1",
        "http://localhost:{port}",  # another program may listen there on ::1
        "http://127.0.0.1:{port}.example.com",
        "http://127.0.0.1:{port}@example.com",
        "http://example.com@127.0.0.1:{port}",
        "http://127.0.0.1:{port}/",
        "http://127.0.0.1:{port} http://example.com",
        "file://",
        "http://[",
        "",
    ],
)
def test_another_origin_is_refused(server, music, origin):
    origin = origin.format(port=server.port)
    body = (music / FIRST).read_bytes()
    for method, path in (("POST", "/predict"), ("GET", "/tracks"), ("GET", "/")):
        answer = server.ask(method, path, body if method == "POST" else None, origin=origin)
        assert answer.status == 403
        assert not [name for name in answer.headers if name.lower().startswith("access-control")]


def test_its_own_origin_is_answered_and_two_are_not(server):
    own = f"http://127.0.0.1:{server.port}"
    assert server.get("/about", origin=own).status == 200
    assert raw(server, head(server, "GET /about", f"Origin: {own}", f"Origin: {own}"))[0] == 403
    assert raw(server, head(server, "GET /about", f"Origin: {own}", "Origin: http://example.com"))[0] == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site", "unknown"])
@pytest.mark.parametrize(
    ("mode", "dest"),
    [
        ("no-cors", "script"),
        ("no-cors", "image"),
        ("no-cors", "audio"),
        ("cors", "empty"),
        ("navigate", "iframe"),
        ("navigate", "embed"),
    ],
)
def test_another_site_gets_nothing_to_show_or_to_play(server, site, mode, dest):
    headers = {"sec_fetch_site": site, "sec_fetch_mode": mode, "sec_fetch_dest": dest}
    for path in ("/", "/page/page.css", "/about", "/tracks", f"{first_track(server)}/audio"):
        assert server.get(path, **headers).status == 403


def test_another_site_may_link_to_the_page_alone(server):
    linked = {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate", "sec_fetch_dest": "document"}
    assert server.get("/", **linked).status == 200
    for path in ("/tracks", f"{first_track(server)}/over-time", f"{first_track(server)}/audio"):
        assert server.get(path, **linked).status == 403
    assert server.ask("POST", "/predict", b"x", **linked).status == 403


def test_no_origin_gets_leave_by_a_preflight(server):
    for origin in (f"http://127.0.0.1:{server.port}", "http://example.com"):
        asked = {"origin": origin, "access_control_request_method": "POST"}
        answer = server.ask("OPTIONS", "/predict", **asked, access_control_request_private_network="true")
        assert answer.status in (403, 405)
        assert not [name for name in answer.headers if name.lower().startswith("access-control")]


@pytest.mark.parametrize("method", ["TRACE", "TRACK", "PUT", "DELETE", "PATCH", "PROPFIND", "HACK", "get"])
def test_other_methods_do_nothing(server, method):
    for target in ("/", "/predict", "/about", "/tracks"):
        status, answer = raw(
            server, head(server, f"{method} {target}", "X-Secret: mirror", "Content-Length: 0")
        )
        assert status == 405
        assert b"mirror" not in answer
    for name in ("X-HTTP-Method-Override", "X-Method-Override", "X-HTTP-Method"):
        status, answer = raw(server, head(server, "GET /predict", f"{name}: POST"))
        assert status == 405


def test_forms_of_other_pages_reach_no_route_that_changes_something(server):
    """What a page can send without a preflight: three types of content, and no header of its own."""
    changing = [
        path
        for path, methods in server.get("/openapi.json").json["paths"].items()
        for method, about in methods.items()
        if method != "get" and "application/json" in about.get("requestBody", {}).get("content", {})
    ]
    sent = json.dumps({"verdict": "ambiguous", "label": ""}).encode()
    for path in changing:
        path = path.replace("{id}", id_of(FIRST))
        for kind in (
            "text/plain",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=a",
            "",
        ):
            answer = server.ask("POST", path, sent, content_type=kind)
            assert answer.status in (415, 422), (path, kind)
            answer = server.ask("POST", path, sent, content_type=kind, origin="http://example.com")
            assert answer.status == 403


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 60_000,
        b'{"a":' * 10_000,
        b"{",
        b"",
        b"\xff\xfe{}",
        b"null",
        b'{"verdict": 1}',
        b'{"verdict": "ambiguous", "label": NaN}',
        b'{"verdict": "ambiguous", "path": "/etc/passwd"}',
        b'{"verdict": "label_wrong", "label": "a\\nb"}',
        b'{"verdict": "label_wrong", "label": "%s"}' % (b"a" * 60_000),
        b'{"verdict": "label_wrong", "label": "\\ud800"}',
        b'{"verdict": "../../x"}',
    ],
)
def test_what_is_no_verdict_leaves_nothing(server, module_workspace, body):
    address = f"{first_track(server)}/verdict"
    answer = server.ask("POST", address, body, content_type="application/json")
    assert answer.status in (400, 422)
    assert "\n" not in answer.json["error"]
    assert len(answer.body) < 1000
    assert not (module_workspace / "data/verdicts/me.csv").exists()


@pytest.mark.parametrize("name", ["../me", "..", "/etc/passwd", "me.csv", "\0", "%2e%2e", "a" * 1000, ""])
def test_a_reviewer_is_no_path(server, music, module_workspace, name):
    assert server.get(f"/verdicts/agreement?with={quote(name, safe='%')}").status == 404
    done = run_stage("serve", module_workspace, "--port", "0", "--reviewer", name.replace("\0", "a/b"))
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


# What is answered


def test_every_answer_has_the_headers_that_protect_it(server):
    asked = [
        ("GET", "/", None, {}),
        ("GET", "/about", None, {}),
        ("GET", "/openapi.json", None, {}),
        ("GET", f"{first_track(server)}/audio", None, {}),
        ("GET", f"{first_track(server)}/audio", None, {"range": "bytes=0-1"}),
        ("GET", f"{first_track(server)}/audio", None, {"range": "bytes=99999999-"}),
        ("GET", f"{first_track(server)}/audio", None, {"range": "x"}),
        ("GET", "/none", None, {}),
        ("PUT", "/about", None, {}),
        ("POST", "/predict", b"", {}),
        ("POST", "/predict", b"no music", {}),
        ("POST", "/predict", DIES, {}),
        ("GET", "/about", b"x" * (SMALL_BYTES + 1), {}),
        ("GET", "/about", None, {"host": "example.com"}),
        ("GET", "/about", None, {"origin": "null"}),
        ("GET", "/tracks?limit=x", None, {}),
    ]
    statuses = []
    for method, path, body, headers in asked:
        answer = server.ask(method, path, body, **headers)
        statuses.append(answer.status)
        for name, value in HEADERS.items():
            assert answer.headers.get_all(name.decode()) == [value.decode()], path
        assert "server" not in answer.headers
        if answer.headers.get_content_type() == "text/html":
            assert path == "/"
        if answer.status >= 400 and "range" not in headers:
            assert [*answer.json] == ["error"]
            assert "\n" not in answer.json["error"]
    assert {200, 206, 400, 403, 404, 405, 413, 416, 421, 422} == {*statuses}


@pytest.mark.parametrize(
    "name", ["<script>alert(1)</script>", "a\r\nSet-Cookie: x=1", "\0\x1b[31m", "é", "\U0001f600"]
)
def test_a_name_is_only_ever_data(server, music, name):
    answer = server.ask("POST", f"/predict?name={quote(name)}", (music / FIRST).read_bytes())
    assert answer.status == 200
    assert answer.json["name"] == name
    assert answer.headers.get_content_type() == "application/json"
    assert "set-cookie" not in answer.headers


def test_a_name_that_is_too_long(server, music):
    answer = server.ask("POST", f"/predict?name={'a' * 10_000}", (music / FIRST).read_bytes())
    assert answer.status == 422
    assert answer.json == {"error": "name: String should have at most 300 characters"}


def test_the_document_of_the_api_is_whole(server):
    document = server.get("/openapi.json").json
    assert document["openapi"].startswith("3.")
    assert {"/predict", "/tracks", "/tracks/{id}/audio", "/about"} <= {*document["paths"]}
    schemas = document["components"]["schemas"]
    for reference in json.dumps(document).split('"$ref": "')[1:]:
        assert reference.partition('"')[0].removeprefix("#/components/schemas/") in schemas


def test_it_listens_on_this_machine_alone(server):
    own = psutil.Process(server.process.pid)
    listens = [
        one.laddr
        for process in (own, *own.children(recursive=True))
        for one in process.net_connections("inet")
        if one.status == psutil.CONN_LISTEN or not one.raddr
    ]
    assert {*listens} == {("127.0.0.1", server.port)}


# Heads and bodies that lie, or do not come


@pytest.mark.parametrize(
    "headers",
    [
        ["Content-Length: 4", "Transfer-Encoding: chunked"],
        ["Content-Length: 4", "Content-Length: 5"],
        ["Content-Length: -4"],
        ["Content-Length: +4"],
        ["Content-Length: 0x4"],
        ["Content-Length: 4 4"],
        ["Content-Length: ٤"],
        [f"Content-Length: {'9' * 5000}"],
        ["Content-Length : 4"],
        ["Transfer-Encoding: chunked, identity"],
        ["Transfer-Encoding: gzip, chunked"],
        ["Transfer-Encoding: xchunked"],
        ["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"],
        ["X: \0"],
    ],
)
def test_a_head_that_says_two_things_is_refused(server, headers):
    encoded = [header.encode().decode("latin-1") for header in headers]
    assert raw(server, head(server, "POST /predict", *encoded) + b"4\r\nabcd\r\n0\r\n\r\n")[0] == 400


@pytest.mark.parametrize(
    "head_", [b"\x16\x03\x01\x02\0\x01\0", b"\0" * 100, b"GET\r\n\r\n", b"\r\n" * 5 + b"x\r\n\r\n"]
)
def test_what_is_no_http_is_refused(server, head_):
    assert raw(server, head_ + b"\r\n\r\n")[0] == 400


def test_a_head_that_is_too_long_is_refused(server):
    for long in ("X: " + "a" * 100_000, "\r\n".join(["X: a"] * 5000)):
        assert raw(server, head(server, "GET /about", long))[0] in (400, 431)
    assert raw(server, head(server, f"GET /about?{'a' * 100_000}"))[0] in (400, 431)


def test_requests_that_come_at_once_are_answered_in_their_order(server):
    asked = b"".join(
        b"GET /%s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n" % (path, server.port)
        for path in (b"about", b"none", b"tracks") * 20
    )
    status, answer = raw(server, asked + head(server, "GET /about"))
    assert status == 200
    found = [part.split(b" ", 1)[0] for part in answer.split(b"HTTP/1.1 ")[1:]]
    assert found == [b"200", b"404", b"200"] * 20 + [b"200"]


@pytest.mark.parametrize("is_declared", [True, False])
def test_an_upload_that_is_too_large_gets_an_answer(server, is_declared):
    blocks = [bytes(1 << 20)] * (UPLOAD_BYTES // (1 << 20) + 1)
    headers = {"content_length": str(len(blocks) << 20)} if is_declared else {}
    answer = server.ask("POST", "/predict", iter(blocks), **headers)
    assert answer.status == 413
    assert answer.json == {"error": "over 20 MB, which is the most that is taken"}


def test_a_large_body_where_none_belongs_is_refused(server):
    for method, path in (("GET", "/about"), ("POST", "/about"), ("GET", f"{first_track(server)}/audio")):
        assert server.ask(method, path, iter([bytes(SMALL_BYTES)] * 2)).status == 413


def test_an_upload_without_an_end_is_cut(server):
    """Bytes for ever, in chunks: memory and disk are bounded, and so is the time."""
    with connected(server, head(server, "POST /predict", "Transfer-Encoding: chunked")) as one:
        block = b"%x\r\n" % (1 << 20) + bytes(1 << 20) + b"\r\n"
        n_sent = 0
        with suppress(BrokenPipeError, ConnectionResetError):
            while n_sent < 100_000:
                one.sendall(block)
                n_sent += 1
    assert n_sent < 100_000


def test_a_body_that_is_longer_than_it_says_is_no_second_request(server):
    sent = head(server, "POST /predict", "Content-Length: 4") + b"abcd" + head(server, "GET /about")
    status, answer = raw(server, sent)
    assert status == 422
    assert answer.count(b"HTTP/1.1") == 1


def test_slow_uploads_end(server):
    """More than may be sent at once; some send a byte now and then, some nothing."""
    start = head(server, "POST /predict", "Content-Length: 1000")
    statuses: list[int] = []

    def send(pause_s: float) -> None:
        with connected(server, start) as one:
            until = time.monotonic() + PATIENCE_S
            one.settimeout(pause_s)
            while time.monotonic() < until:
                try:
                    answer = one.recv(1 << 16)
                except TimeoutError:
                    with suppress(BrokenPipeError, ConnectionResetError):
                        one.sendall(b"a")
                    continue
                except ConnectionResetError:
                    answer = b""
                statuses.append(int(answer.split(b" ")[1]) if answer else 0)
                return

    pauses = [IDLE_S / 4, 100 * IDLE_S] * (AT_ONCE // 2 + 2)
    threads = [threading.Thread(target=send, args=[pause_s]) for pause_s in pauses]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(statuses) == len(pauses)
    assert {*statuses} == {408, 503}
    assert statuses.count(503) == len(pauses) - AT_ONCE


def test_slow_heads_end(server):
    """Nothing, a part, or a byte now and then; also after an answer, on a connection that is kept."""
    own = b"GET /about HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n" % server.port

    def trickle(one: socket.socket) -> None:
        with suppress(BrokenPipeError, ConnectionResetError):
            for _ in range(round(10 * PATIENCE_S / HEAD_S)):
                one.sendall(b"a")
                time.sleep(HEAD_S / 10)
            pytest.fail("it waits for ever")

    for first in (b"", b"GET", own, own + b"X: ", own + b"\r\n", own + b"\r\n" + own + b"X: "):
        with connected(server, first) as one:
            assert received(one).count(b"HTTP/1.1 200") == first.count(b"\r\n\r\n")
    for first in (b"G", own + b"X: ", own + b"\r\n" + own + b"X: "):
        with connected(server, first) as one:
            trickle(one)


def test_a_long_answer_is_not_cut(server, module_workspace):
    """Music that is played takes its time, longer than heads and bodies may."""
    with in_place_of_a_track(module_workspace) as path:
        n_bytes = 40_000_000  # more than what lies between two sockets
        path.write_bytes(wav(bytes(n_bytes)))
        with connected(server, head(server, f"GET {first_track(server)}/audio")) as one:
            n_received = len(one.recv(1000))
            time.sleep(max(HEAD_S, WHOLE_S) + 2 * IDLE_S)
            n_received += len(received(one))
    assert n_received > n_bytes


def test_a_client_that_hangs_up_while_it_is_answered_leaves_nothing(server, module_workspace):
    own = psutil.Process(server.process.pid)
    with in_place_of_a_track(module_workspace) as path:
        path.write_bytes(wav(bytes(40_000_000)))
        n_files = own.num_fds()
        for _ in range(5):
            with connected(server, head(server, f"GET {first_track(server)}/audio")) as one:
                assert one.recv(1000)
        wait_until(lambda: own.num_fds() <= n_files)


def test_too_many_connections_are_closed_and_others_go_on(server):
    held = []
    try:
        with connected(server, head(server, "POST /predict", "Content-Length: 4")) as early:
            where = ("127.0.0.1", server.port)
            held += [socket.create_connection(where, PATIENCE_S) for _ in range(CONNECTIONS + 20)]
            assert received(held[-1]) == b""
            early.sendall(b"abcd")
            assert b" 422 " in received(early)
    finally:
        for one in held:
            one.close()
    wait_until(lambda: raw(server, head(server, "GET /about"))[0] == 200)


# Files that are sent


def test_a_file_that_is_sent_can_be_read_by_its_owner_alone(server, module_workspace):
    with connected(server, head(server, "POST /predict", "Content-Length: 1000") + b"abc") as one:
        wait_until(lambda: uploads(module_workspace))
        (path,) = uploads(module_workspace)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        one.close()
        wait_until(lambda: not uploads(module_workspace))  # long before the body counts as slow


def test_a_file_that_kills_or_fills_its_process_is_named(server):
    assert server.ask("POST", "/predict", DIES).json == {"error": "it kills the process that reads it"}
    answer = server.ask("POST", "/predict", GROWS)
    assert answer.status == 422
    assert answer.json == {"error": "it takes more memory than a file may"}


def test_a_file_that_hangs_is_given_up(server):
    answer = server.ask("POST", "/predict", HANGS)
    assert answer.status == 422
    assert answer.json == {"error": "it keeps the process that reads it busy for over 40 s"}


def test_a_client_that_hangs_up_frees_its_place(server, music, module_workspace):
    """Nobody waits for the answers: others are answered at once, not when the questions would time out."""
    n = 2 * (os.cpu_count() or 1) + WAITING
    sent = head(server, "POST /predict", f"Content-Length: {len(HANGS)}") + HANGS
    for _ in range(3):
        ones = [socket.create_connection(("127.0.0.1", server.port), PATIENCE_S) for _ in range(n)]
        for one in ones:
            one.sendall(sent)
        time.sleep(0.5)
        for one in ones:
            one.close()
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE_S)
    body = (music / FIRST).read_bytes()
    while True:
        connection.request("POST", "/predict", body)
        answer = connection.getresponse()
        answer.read()
        if answer.status != 503:
            break
    assert answer.status == 200


def test_when_it_is_full_it_says_when_to_try_again(server):
    n_most = psutil.cpu_count() + WAITING + AT_ONCE
    sent = head(server, "POST /predict", f"Content-Length: {len(HANGS)}") + HANGS
    ones = [socket.create_connection(("127.0.0.1", server.port), PATIENCE_S) for _ in range(min(n_most, 36))]
    try:
        for one in ones:
            one.sendall(sent)
        wait_until(lambda: server.ask("POST", "/predict", b"x").status == 503)
        answer = server.ask("POST", "/predict", b"x")
        assert answer.status == 503
        assert int(answer.headers["retry-after"]) > 0
        assert server.get("/about").status == 200
    finally:
        for one in ones:
            one.close()


def wav(data: bytes, channels: int = 1, rate_hz: int = RATE_HZ, claimed: int | None = None) -> bytes:
    """A 16-bit WAV whose header says what it is told to."""
    size = len(data) if claimed is None else claimed
    align = 2 * channels & 0xFFFF
    about = struct.pack("<HHIIHH", 1, channels, rate_hz, rate_hz * align & 0xFFFFFFFF, align, 16)
    riff = min(size + 36, 0xFFFFFFFF)
    return b"".join(
        [
            b"RIFF",
            struct.pack("<I", riff),
            b"WAVEfmt ",
            struct.pack("<I", 16),
            about,
            b"data",
            struct.pack("<I", size),
            data,
        ]
    )
