"""The client's end of a duplex stream over a WebSocket (SPEC section 6.4, "WebSocket"), with the library `websockets`.

The pings of the WebSocket protocol are off. A slow program makes its library stop reading; then no WebSocket ping is
answered, as if the peer had gone. The stream has pings of its own, which tell the two cases apart.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from ..errors import (
    ContentTypeError,
    FrameError,
    FrameTooLarge,
    HeaderTooLarge,
    ObjectStreamError,
    PayloadError,
    ProtocolError,
)
from ..extras import extra
from ..response_problems import read_problem
from .framed import SUBPROTOCOL, FramedStream, Pipe, PipeClosed

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

__all__ = ["WebSocketClientStream"]

_MESSAGES: Final = 4
"""How many messages `websockets` reads ahead. Few: a message may be as large as a frame."""

_PROBLEM_SIZE: Final = 16 * 1024


class WebSocketClientStream(FramedStream):
    """A duplex stream to a server, over a WebSocket.

        async with WebSocketClientStream("wss://host/duplex") as stream:
            session = DuplexSession(stream)

    `connect` raises `ResponseError` if the server refuses, `ContentTypeError` if it does not speak the subprotocol,
    `ValueError` if `url` is not a URL, and `OSError` (`TimeoutError` is one) if the server cannot be reached.

    Args:
        url: `ws://` or `wss://`, or `http://` or `https://` for the same.
        connection: is passed to `websockets.connect`, for example `{"additional_headers": {...}, "ssl": context}`.
        **options: those of `FramedStream`.
    """

    _method = "WEBSOCKET"

    def __init__(self, url: str, *, connection: dict[str, Any] | None = None, **options: Any) -> None:
        super().__init__(**options)
        self._url = "ws" + url[4:] if url.startswith(("http://", "https://")) else url
        self._connection = connection or {}

    async def _open(self) -> Pipe:
        with extra("client"):
            from websockets.asyncio.client import connect
            from websockets.exceptions import InvalidHandshake, InvalidStatus, InvalidURI
            from websockets.typing import Subprotocol

        options: dict[str, Any] = {"open_timeout": 10, "close_timeout": self._patience, **self._connection}
        try:
            connection = await connect(
                self._url,
                subprotocols=[Subprotocol(SUBPROTOCOL)],
                compression=None,
                max_size=self._limits.frame,
                max_queue=_MESSAGES,
                ping_interval=None,
                **options,
            )
        except InvalidURI as error:
            raise ValueError(str(error)) from None
        except InvalidStatus as error:
            body = bytes(error.response.body or b"")[:_PROBLEM_SIZE]
            raise read_problem(error.response.status_code, "the server refused the WebSocket", body) from None
        except InvalidHandshake as error:
            raise ContentTypeError(f"{self._url} did not answer as a WebSocket: {error}") from None
        if connection.subprotocol != SUBPROTOCOL:
            await connection.close(1002, "the subprotocol is missing")
            raise ContentTypeError(f"{self._url} is a WebSocket, but does not speak {SUBPROTOCOL}")
        parts = urlsplit(self._url)
        self._shown_url = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
        return _ClientPipe(connection)


class _ClientPipe(Pipe):
    def __init__(self, connection: ClientConnection) -> None:
        from websockets.exceptions import ConnectionClosed

        self._connection = connection
        self._closed = ConnectionClosed

    async def send(self, message: bytes) -> None:
        try:
            await self._connection.send(message)
        except self._closed as error:
            raise PipeClosed from error

    async def receive(self) -> bytes | None:
        try:
            message = await self._connection.recv()
        except self._closed as error:
            if error.sent is not None and error.sent.code == _TOO_BIG and not error.rcvd_then_sent:
                raise FrameTooLarge("a message is larger than a frame may be") from None
            return None
        if isinstance(message, str):
            raise ProtocolError("invalid_control", "a text message, where only binary ones are allowed", 0)
        return message

    async def close(self, error: ObjectStreamError | None = None) -> None:
        code, reason = close_code(error)
        with contextlib.suppress(self._closed):
            await self._connection.close(code, reason)

    def abort(self) -> None:
        self._connection.transport.abort()


_TOO_BIG: Final = 1009


def close_code(error: ObjectStreamError | None) -> tuple[int, str]:
    """The WebSocket close code (RFC 6455, section 7.4.1) and reason for what a connection ended with.

    >>> close_code(None), close_code(ProtocolError("invalid_control", "a secret", 3))
    ((1000, ''), (1002, 'invalid_control'))
    """
    if error is None:
        return 1000, ""
    if isinstance(error, FrameTooLarge | HeaderTooLarge):
        return _TOO_BIG, error.code
    if isinstance(error, FrameError | PayloadError | ProtocolError):
        return 1002, error.code
    return 1011, error.code
