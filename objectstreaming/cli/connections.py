"""Bounds on connections, which uvicorn does not have: how many there are, and how long one may wait without a request.

`Connections` stands between asyncio and uvicorn's protocols. A connection *waits* until the head of a request is
complete, and again after its answer. It closes connections that

* wait longer than `head_seconds`: silent ones, and those that send a header now and then;
* are more than `most`, or more than `most_per_client` of one address: the one that has waited longest makes room, so
  that silent connections keep nobody out. If none of them waits, the new one is closed;
* were closed by the server, but whose peer reads nothing for `close_seconds`: their socket would stay, with what it
  still has to send, until the peer goes.
"""

from __future__ import annotations

import asyncio
import resource
import socket
from collections import Counter
from collections.abc import Callable
from typing import Any, Final, cast

from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["Connections"]

SEND_BUFFER: Final = 256 * 1024
"""Bytes that the kernel holds for a peer that does not read. Its own choice is several megabytes."""


class Connections:
    """The connections of one server. Peers that are proxies have no limit of their own."""

    def __init__(
        self,
        *,
        most: int = 512,
        most_per_client: int = 64,
        head_seconds: float = 10,
        close_seconds: float = 2,
        is_proxy: Callable[[str], bool] = lambda address: False,
    ) -> None:
        # Half of the descriptors are for programs, files and requests of our own.
        self._most = min(most, max(8, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2))
        self._most_per_client = most_per_client
        self.head_seconds = head_seconds
        self.close_seconds = close_seconds
        self._is_proxy = is_proxy
        self._waiting: dict[_Connection, None] = {}  # the one that has waited longest is the first
        self._open: dict[tuple[Any, ...], _Connection] = {}
        self._of: Counter[str] = Counter()

    def app(self, app: ASGIApp) -> ASGIApp:
        """The application, so that it is known which connections wait for a request."""

        async def watched(scope: Scope, receive: Receive, send: Send) -> None:
            connection = self._open.get((scope.get("client"), scope.get("server")))
            if connection is None:
                await app(scope, receive, send)
                return
            connection.stop_waiting()
            try:
                await app(scope, receive, send)
            finally:
                connection.start_waiting()

        return watched

    def protocol(self, made: Callable[..., asyncio.Protocol]) -> Callable[..., asyncio.Protocol]:
        """The factory of the protocols that asyncio talks to, in front of uvicorn's."""
        return lambda **options: _Connection(self, made(**options))

    def add(self, connection: _Connection) -> None:
        self._open[connection.key] = connection
        self._of[connection.peer] += 1
        connection.start_waiting()
        if self._of[connection.peer] > self._most_per_client and not self._is_proxy(connection.peer):
            self._make_room(lambda other: other.peer == connection.peer)
        elif len(self._open) > self._most:
            self._make_room(lambda other: True)

    def _make_room(self, may_go: Callable[[_Connection], bool]) -> None:
        # The new one waits too. It is the last.
        next(other for other in self._waiting if may_go(other)).abort()

    def remove(self, connection: _Connection) -> None:
        self._waiting.pop(connection, None)
        if self._open.get(connection.key) is connection:
            del self._open[connection.key]
            self._of -= Counter((connection.peer,))

    def note(self, connection: _Connection, waits: bool) -> None:
        self._waiting.pop(connection, None)
        if waits:
            self._waiting[connection] = None


class _Connection(asyncio.Protocol):
    """Passes everything on to uvicorn's protocol, and after an upgrade to that of the WebSocket."""

    def __init__(self, connections: Connections, inner: asyncio.Protocol) -> None:
        self._connections = connections
        self.inner = inner
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        sock: socket.socket = transport.get_extra_info("socket")
        peer, own = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        self.peer = str(peer[0]) if peer else ""
        self.key = (peer and tuple(peer[:2]), own and tuple(own[:2]))
        self.inner.connection_made(cast("asyncio.BaseTransport", _Transport(self, self._transport)))
        self._connections.add(self)

    def data_received(self, data: bytes) -> None:
        self.inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self.inner.eof_received()

    def pause_writing(self) -> None:
        self.inner.pause_writing()

    def resume_writing(self) -> None:
        self.inner.resume_writing()

    def connection_lost(self, error: Exception | None) -> None:
        self._connections.remove(self)
        self._set_timer(None)
        self.inner.connection_lost(error)

    def start_waiting(self) -> None:
        if not self._transport.is_closing():
            self._connections.note(self, True)
            self._set_timer(self._connections.head_seconds, self.abort)

    def stop_waiting(self) -> None:
        self._connections.note(self, False)
        if not self._transport.is_closing():
            self._set_timer(None)

    def abort(self) -> None:
        self._connections.remove(self)
        self._transport.abort()

    def close(self) -> None:
        """Close when everything is sent, or when nothing was taken for some time."""
        if not self._transport.is_closing():
            self._transport.close()
            self._connections.note(self, False)
            self._look_after_close(self._transport.get_write_buffer_size())

    def _look_after_close(self, left: int) -> None:
        def look() -> None:
            now = self._transport.get_write_buffer_size()
            if now < left:
                self._look_after_close(now)
            else:
                self._transport.abort()

        self._set_timer(self._connections.close_seconds, look)

    def _set_timer(self, seconds: float | None, call: Callable[[], None] | None = None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if seconds is None or call is None else self._loop.call_later(seconds, call)


class _Transport:
    """The transport as the inner protocol sees it. Closing is looked after; a new protocol becomes the inner one."""

    def __init__(self, connection: _Connection, transport: asyncio.Transport) -> None:
        self._connection = connection
        self._transport = transport

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def close(self) -> None:
        self._connection.close()

    def set_protocol(self, protocol: asyncio.Protocol) -> None:
        self._connection.inner = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._connection.inner
