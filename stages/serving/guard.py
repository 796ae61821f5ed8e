"""Who may ask, and how much they may send: every page in the browser can reach this server."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from fastapi import HTTPException
from fastapi.responses import JSONResponse

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

NAMES = ("127.0.0.1", "localhost")
READING = ("GET", "HEAD")
SMALL_BYTES = 1 << 16  # of a body that is no upload
IDLE_S, WHOLE_S = 10.0, 120.0  # without a byte of a body, and for all of it
HEADERS = {
    # nothing but what this server sends itself; blob: is the file that the user has just dropped
    b"content-security-policy": (
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
        b"media-src 'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
        b"frame-ancestors 'none'"
    ),
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
    b"permissions-policy": b"microphone=(self), camera=(), geolocation=()",
    b"cache-control": b"no-store",  # another model may be behind the same address tomorrow
}


class Guard:
    """ASGI middleware that lets this machine's own pages and commands in, and bounds what they send.

    Parameters
    ----------
    app : callable
    port : int
        Where the server listens: with the names of this machine it is the only host that is answered, since
        another name that leads here is DNS rebinding.
    largest : mapping of str to int
        Bytes that a body may have, by path; else `SMALL_BYTES`.
    """

    def __init__(self, app: App, port: int, largest: Mapping[str, int]):
        self._app, self._largest = app, largest
        self._hosts = {f"{name}:{port}" for name in NAMES} | (set(NAMES) if port == 80 else set())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise NotImplementedError(scope["type"])

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = [pair for pair in message.get("headers", []) if pair[0].lower() not in HEADERS]
                message = {**message, "headers": [*own, *HEADERS.items()]}
            await send(message)

        if refusal := self._refusal(scope):
            status, line = refusal
            answer = JSONResponse({"error": line}, status, {"connection": "close"})
            await answer(scope, receive, send_guarded)
            return
        most = self._largest.get(scope["path"], SMALL_BYTES)
        await self._app(scope, _bounded(receive, most), send_guarded)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        """Return status and reason if a request is not to be answered."""
        hosts, origins = _values(scope, b"host"), _values(scope, b"origin")
        if len(hosts) != 1 or hosts[0].lower() not in self._hosts:
            return 421, f"this server answers for {' and '.join(sorted(self._hosts))} only"
        if any(not self._is_own(origin) for origin in origins):
            return 403, "a page of another origin asks; only this server's own page may"
        site, mode = _values(scope, b"sec-fetch-site"), _values(scope, b"sec-fetch-mode")
        is_link = scope["method"] == "GET" and mode == ["navigate"]
        if any(one not in ("none", "same-origin") for one in site) and not is_link:
            return 403, "a page of another site asks; only this server's own page may"
        return _too_much(_values(scope, b"content-length"), self._largest.get(scope["path"], SMALL_BYTES))

    def _is_own(self, origin: str) -> bool:
        parts = urlsplit(origin)
        return parts.scheme == "http" and parts.netloc.lower() in self._hosts


def _values(scope: Scope, name: bytes) -> list[str]:
    return [value.decode("latin-1").strip() for key, value in scope["headers"] if key.lower() == name]


def _too_much(declared: list[str], most: int) -> tuple[int, str] | None:
    if any(not length.isascii() or not length.isdigit() for length in declared) or len(declared) > 1:
        return 400, "Content-Length should be one number"
    return (413, too_large(most)) if declared and int(declared[0]) > most else None


def too_large(most: int) -> str:
    """Return the line for a body that is too large."""
    return f"over {most / 1e6:.3g} MB, which is the most that is taken"


def _bounded(receive: Receive, most: int) -> Receive:
    """Return a `receive` that refuses a body which is too large, or comes too slowly."""
    n_bytes, is_whole = 0, False
    loop = asyncio.get_running_loop()
    until = loop.time() + WHOLE_S

    async def receive_bounded() -> Message:
        nonlocal n_bytes, is_whole
        if is_whole:  # what is asked for now is whether the client is still there
            return await receive()
        try:
            message = await asyncio.wait_for(receive(), max(0.0, min(IDLE_S, until - loop.time())))
        except TimeoutError:
            line = f"the body comes too slowly: {IDLE_S:g} s without a byte, or not whole in {WHOLE_S:g} s"
            raise HTTPException(408, line, {"connection": "close"}) from None
        n_bytes += len(message.get("body", b""))
        is_whole = not message.get("more_body", False)
        if n_bytes > most:
            raise HTTPException(413, too_large(most), {"connection": "close"})
        return message

    return receive_bounded
