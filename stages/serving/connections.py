"""The server on 127.0.0.1: its socket, and connections that may not wait for ever."""

import asyncio
import socket
from typing import Any

from uvicorn import Config, Server
from uvicorn.protocols.http.h11_impl import H11Protocol

from stages.core.errors import EncoreError

ADDRESS = "127.0.0.1"
HEAD_S = 10.0  # from the start of a connection, or of a request, to the end of its headers
MOST = 200  # connections at a time


def listening(port: int) -> socket.socket:
    """Return a socket that listens on `port` of this machine alone; 0: on any that is free.

    Raises
    ------
    EncoreError
        If the port is in use, or may not be used.
    """
    one = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        one.bind((ADDRESS, port))
        one.listen()
    except (OSError, OverflowError) as error:
        one.close()
        reason = getattr(error, "strerror", None) or str(error)
        raise EncoreError(f"port {port}: {reason}; give another one, such as --port {port + 1}") from None
    return one


class Connection(H11Protocol):
    """A connection that is closed if a request's headers do not come, or there are too many connections."""

    _head: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Accept it, unless there are too many."""
        super().connection_made(transport)
        if len(self.connections) > MOST:
            transport.close()
            return
        self._wait_for_head()

    def data_received(self, data: bytes) -> None:
        """Take bytes; begin to wait for the rest of a request's headers, or end it."""
        super().data_received(data)
        self._wait_for_head()

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        super().on_response_complete()
        self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        super().connection_lost(exc)
        if self._head:
            self._head.cancel()

    def _should_upgrade(self) -> bool:
        return False  # to web sockets, of which uvicorn would say on the terminal how to install them

    def _wait_for_head(self) -> None:
        """Have the connection closed in `HEAD_S`, unless a request is being answered."""
        is_asked = self.cycle is not None and not self.cycle.response_complete
        if is_asked and self._head:
            self._head.cancel()
            self._head = None
        elif not is_asked and not self._head and not self.transport.is_closing():
            self._head = self.loop.call_later(HEAD_S, self.transport.close)


def serve(app: Any, listener: socket.socket) -> None:
    """Answer requests until a signal ends the process."""
    config = Config(
        app,
        http=Connection,
        ws="none",
        lifespan="off",
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=2,
    )
    Server(config).run(sockets=[listener])
