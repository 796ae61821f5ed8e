"""A Kaggle on 127.0.0.1 that serves one dataset to the real client, and can be made to misbehave."""

import base64
import contextlib
import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

USER, KEY, TOKEN = "someone", "right-key", "right-token"


@dataclass
class Kaggle:
    """What the server serves, how it misbehaves, and what it was asked.

    Attributes
    ----------
    archive : bytes
        The dataset.
    status : int
        Answer to a request for the dataset; 302 leads to the archive.
    budget : int or None
        How many bytes of archives it sends before it cuts every connection; None: no end.
    is_silent : bool
        It falls silent where it would cut; with no budget at all, from the first request on.
    link_expires : bool
        Where it would cut again, the archive's address answers 403 instead.
    asked : list of (str, str, int)
        Of each request its path, its ``Range`` header, and how many bytes the answer announced.
    """

    archive: bytes = b""
    status: int = 302
    budget: int | None = None
    is_silent: bool = False
    link_expires: bool = False
    asked: list[tuple[str, str, int]] = field(default_factory=list)

    def __enter__(self) -> Self:
        self.released = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"kaggle": self}))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    kaggle: Kaggle

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.kaggle.asked.append((self.path, "", 0))
        if self.kaggle.is_silent and self.kaggle.budget == 0:
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
        start = int(asked_range.removeprefix("bytes=").removesuffix("-") or 0)
        self.kaggle.asked.append((self.path, asked_range, len(archive) - start))
        self.close_connection = True
        if self.kaggle.budget == 0:
            self._cut()
            return
        self.send_response(206 if asked_range else 200)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(archive) - start))
        self.send_header("ETag", '"gtzan"')
        self.send_header("Last-Modified", "Tue, 24 Mar 2020 14:05:33 GMT")
        self.end_headers()
        body = archive[start:]
        if self.kaggle.budget is not None:
            body = body[: self.kaggle.budget]
            self.kaggle.budget -= len(body)
        # The client looks at the headers of a whole archive, then asks for the rest of it only.
        with contextlib.suppress(ConnectionError):
            self.wfile.write(body)
        if self.kaggle.is_silent:
            self.kaggle.released.wait()

    def _cut(self) -> None:
        if self.kaggle.is_silent:
            self.kaggle.released.wait()
        elif self.kaggle.link_expires:
            self._answer(403, {"error": "expired"})

    def _answer(self, status: int, answer: dict[str, object]) -> None:
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Keep the terminal clean."""


def _basic() -> str:
    return base64.b64encode(f"{USER}:{KEY}".encode()).decode()
