"""The server's end of a duplex stream over a WebSocket of Starlette or FastAPI (SPEC section 6.4, "WebSocket")
[extra: server].

Starlette is not imported before a stream connects. Run uvicorn with `ws_ping_interval=None` if clients may be slow to
play: a library that has stopped reading answers no WebSocket ping, and the stream has pings of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import MutableMapping
from typing import Any, Final, Protocol

from ..errors import ObjectStreamError, ProtocolError, StreamError, StreamIncomplete
from ..shutdown import running, stopping
from .framed import SUBPROTOCOL, FramedStream, Pipe, PipeClosed
from .websocket_client import close_code

__all__ = ["WebSocketServerStream"]

_STOP_SECONDS: Final = 0.5
"""How long a peer gets to read our `end` and to send its own when the server stops."""


class _WebSocket(Protocol):
    """The part of `starlette.websockets.WebSocket` that is used here."""

    @property
    def scope(self) -> MutableMapping[str, Any]: ...
    async def accept(self, subprotocol: str | None = None) -> None: ...
    async def receive(self) -> MutableMapping[str, Any]: ...
    async def send_bytes(self, data: bytes) -> None: ...
    async def close(self, code: int = 1000, reason: str | None = None) -> None: ...


class WebSocketServerStream(FramedStream):
    """The duplex stream of a WebSocket that is not yet accepted. It connects once.

        @app.websocket("/duplex")
        async def duplex(websocket: WebSocket):
            async with WebSocketServerStream(websocket) as stream:
                session = DuplexSession(stream)

    A client that does not offer the subprotocol is refused with HTTP 403, and `connect` raises `ProtocolError`. If the
    client has left meanwhile, `connect` raises `StreamIncomplete`. The endpoint must check which pages may connect
    (`Origin`): a browser sends cookies with a WebSocket from any page.

    Args:
        websocket: of Starlette or FastAPI; `connect` accepts it.
        **options: those of `FramedStream`.
    """

    _method = "WEBSOCKET"

    def __init__(self, websocket: _WebSocket, **options: Any) -> None:
        super().__init__(**options)
        self._websocket: _WebSocket | None = websocket
        self._loop: asyncio.AbstractEventLoop | None = None

    async def connect(self) -> None:
        connected = self.is_connected
        await super().connect()
        if not connected and self._tasks:
            running.add(self)
            self._tasks[-1].add_done_callback(lambda _: running.discard(self))  # the reader, which lasts as long

    def stop_from_anywhere(self, why: StreamError) -> None:
        """End the connection with an error, from another thread or a signal handler: see `end_streams`."""
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._stop, why)

    def _stop(self, why: StreamError) -> None:
        # The peer's own `end` is not waited for as long as otherwise: the server is about to leave.
        self._patience = min(self._patience, _STOP_SECONDS)
        self._give_up(StreamError(why.code, why.message, why.details))

    async def _open(self) -> Pipe:
        websocket, self._websocket = self._websocket, None
        if websocket is None:
            raise ConnectionError("a WebSocket is accepted once")
        self._loop = asyncio.get_running_loop()
        self._scope = websocket.scope
        self._shown_url = websocket.scope.get("path", "")
        pipe = _ServerPipe(websocket)
        try:
            if stopping.begun:
                await websocket.close(1012)
                stopping.refuse()
            if SUBPROTOCOL not in websocket.scope.get("subprotocols", ()):
                await websocket.close(1002)
                raise ProtocolError("invalid_control", f"the client does not offer the subprotocol {SUBPROTOCOL}", 0)
            await websocket.accept(SUBPROTOCOL)
        except pipe.closed as error:
            raise StreamIncomplete("the client left during the handshake") from error
        return pipe


class _ServerPipe(Pipe):
    def __init__(self, websocket: _WebSocket) -> None:
        from starlette.websockets import WebSocketDisconnect

        self._websocket = websocket
        # For a send after the close Starlette raises RuntimeError, and uvicorn OSError, which Starlette may replace.
        self.closed = (WebSocketDisconnect, RuntimeError, OSError)
        self._gone = False

    async def send(self, message: bytes) -> None:
        if self._gone:
            raise PipeClosed
        try:
            await self._websocket.send_bytes(message)
        except self.closed as error:
            raise PipeClosed from error

    async def receive(self) -> bytes | None:
        if self._gone:
            return None
        message = await self._websocket.receive()
        if message["type"] == "websocket.disconnect":
            self._gone = True
            return None
        data: bytes | None = message.get("bytes")
        if data is None:
            raise ProtocolError("invalid_control", "a text message, where only binary ones are allowed", 0)
        return data

    async def close(self, error: ObjectStreamError | None = None) -> None:
        if self._gone:
            return
        self._gone = True
        code, reason = close_code(error)
        with contextlib.suppress(*self.closed):
            await self._websocket.close(code, reason)
