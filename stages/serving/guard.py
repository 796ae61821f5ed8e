"""Who may ask, and how much they may send: every page in the browser can reach this server."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from fastapi import HTTPException
from fastapi.responses import JSONResponse

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

NAMES = ("127.0.0.1", "localhost")
LINKED = ("/", "/api")  # what other sites may link to, and do not see: pages, which compute nothing
HEAD_BYTES = 1 << 14
SMALL_BYTES = 1 << 16  # of a body that is no upload
MOST_DIGITS = 18  # of a number of bytes
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

        client = _Client(receive, self._largest.get(scope["path"], SMALL_BYTES))

        async def send_guarded(message: Message) -> None:
            client.is_answered |= _is_last(message)
            if message["type"] == "http.response.start":
                own = [pair for pair in message.get("headers", []) if pair[0].lower() not in HEADERS]
                message = {**message, "headers": [*own, *HEADERS.items()]}
            await send(message)

        async def refuse(status: int, line: str) -> None:
            # a connection that is closed in the middle of a body seldom brings the answer
            headers = None if status == 413 else {"connection": "close"}
            await JSONResponse({"error": line}, status, headers)(scope, receive, send_guarded)

        if refusal := self._refusal(scope):
            await refuse(*refusal)
            return
        if scope["path"] not in self._largest:
            try:
                await client.send_all()
            except HTTPException as error:
                await refuse(error.status_code, error.detail)
                return
        await client.answered(self._app(scope, client.receive, send_guarded))

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        """Return status and reason if a request is not to be answered."""
        hosts, origins = _values(scope, b"host"), _values(scope, b"origin")
        if len(hosts) != 1 or hosts[0].lower() not in self._hosts:
            return 421, f"this server answers for {' and '.join(sorted(self._hosts))} only"
        if len(origins) > 1 or any(origin.lower() != f"http://{hosts[0].lower()}" for origin in origins):
            return 403, "a page of another origin asks; only this server's own page may"
        sites = _values(scope, b"sec-fetch-site")
        if any(site not in ("none", "same-origin") for site in sites) and not _is_link(scope):
            return 403, "a page of another site asks; only this server's own page may"
        if (
            len(scope["raw_path"])
            + len(scope["query_string"])
            + sum(len(key) + len(value) for key, value in scope["headers"])
            > HEAD_BYTES
        ):
            return 431, f"address and headers are over {HEAD_BYTES} bytes"
        lengths = _values(scope, b"content-length")
        if len(lengths) + len(_values(scope, b"transfer-encoding")) > 1:
            return 400, "either one Content-Length or Transfer-Encoding should say where the body ends"
        return _too_much(lengths, self._largest.get(scope["path"], SMALL_BYTES))


def _is_last(message: Message) -> bool:
    return message["type"] == "http.response.body" and not message.get("more_body", False)


def _is_link(scope: Scope) -> bool:
    """Return whether a user has followed a link to one of the pages."""
    kind = _values(scope, b"sec-fetch-mode") + _values(scope, b"sec-fetch-dest")
    return scope["method"] == "GET" and scope["path"] in LINKED and kind == ["navigate", "document"]


def _values(scope: Scope, name: bytes) -> list[str]:
    return [value.decode("latin-1").strip() for key, value in scope["headers"] if key.lower() == name]


def _too_much(lengths: list[str], most: int) -> tuple[int, str] | None:
    for length in lengths:
        if not (length.isascii() and length.isdigit() and len(length) <= MOST_DIGITS):
            return 400, "Content-Length should be a number"
        if int(length) > most:
            return 413, too_large(most)
    return None


def too_large(most: int) -> str:
    """Return the line for a body that is too large."""
    return f"over {most / 1e6:.3g} MB, which is the most that is taken"


class _Client:
    """What comes from a client: a body that is neither too large nor too slow, and then that it has gone.

    Parameters
    ----------
    receive : callable
    most : int
        Bytes of the body.

    Attributes
    ----------
    is_answered : bool
        Whether the answer is whole; to be set.
    """

    def __init__(self, receive: Receive, most: int):
        self.is_answered = False
        self._receive, self._most = receive, most
        self._until = asyncio.get_running_loop().time() + WHOLE_S
        self._n_bytes = 0
        self._is_whole = self._is_gone = False
        self._read: list[Message] = []
        self._end = asyncio.Event()  # of the body

    async def send_all(self) -> None:
        """Read the body before the answer is begun.

        Raises
        ------
        HTTPException
            As `receive` does.
        """
        while not self._is_whole:
            self._read.append(await self._next())

    async def answered(self, answer: Awaitable[None]) -> None:
        """Wait for an answer, and give it up if nobody waits for it any more."""
        work = asyncio.ensure_future(answer)
        watch = asyncio.ensure_future(self._watch(work))
        try:
            await work
        except asyncio.CancelledError:
            if not self._is_gone:  # the server ends
                raise
        finally:
            watch.cancel()

    async def receive(self) -> Message:
        """Return the next part of the body; after the last one, wait to be cancelled.

        Raises
        ------
        HTTPException
            413 if the body is too large, 408 if it comes too slowly, 400 if it ends too early.
        """
        if self._read:
            return self._read.pop(0)
        if not self._is_whole:
            return await self._next()
        await asyncio.Event().wait()  # until the answer is whole, or given up
        raise AssertionError

    async def _next(self) -> Message:
        left_s = self._until - asyncio.get_running_loop().time()
        try:
            message = await asyncio.wait_for(self._receive(), max(0.0, min(IDLE_S, left_s)))
        except TimeoutError:
            line = f"the body comes too slowly: {IDLE_S:g} s without a byte, or not whole in {WHOLE_S:g} s"
            raise HTTPException(408, line, {"connection": "close"}) from None
        self._n_bytes += len(message.get("body", b""))
        if self._n_bytes > self._most:
            raise HTTPException(413, too_large(self._most))
        self._is_whole = not message.get("more_body", False)
        self._is_gone = message["type"] == "http.disconnect"
        if self._is_whole:
            self._end.set()
        if self._is_gone:
            raise HTTPException(400, "the client has gone")  # which nobody reads
        return message

    async def _watch(self, work: "asyncio.Future[None]") -> None:
        await self._end.wait()
        while not self._is_gone:
            self._is_gone = (await self._receive())["type"] == "http.disconnect"
        if not self.is_answered:  # else the server says "disconnect", too
            work.cancel()
