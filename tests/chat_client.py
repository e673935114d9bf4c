"""A client of `WS /api/chat/stream` in the event loop of the application, without a network."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from deadlines import DEADLINE

from objectstreaming import RawCoder, StreamDecoder, StreamEncoder
from objectstreaming.duplex.framed import SUBPROTOCOL

__all__ = ["ChatClient", "Message"]

Message = tuple[Mapping[str, Any], bytes]


class ChatClient:
    """Connects, asks and reads. Use it as a context manager: it leaves at the end, and waits for the application."""

    def __init__(self, app: Any, *, origin: str | None = None) -> None:
        headers = [(b"host", b"localhost")] + ([] if origin is None else [(b"origin", origin.encode())])
        self._scope = {
            "type": "websocket",
            "path": "/api/chat/stream",
            "raw_path": b"/api/chat/stream",
            "query_string": b"",
            "headers": headers,
            "client": ("127.0.0.1", 1),
            "subprotocols": [SUBPROTOCOL],
        }
        self._app = app
        self._encoder = StreamEncoder(RawCoder())
        self.decoder = StreamDecoder(RawCoder())
        self._up: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._down: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._messages: deque[Message] = deque()
        self._reads = asyncio.Event()
        self._reads.set()
        self.accepted = False
        self.closed: dict[str, Any] | None = None

    async def __aenter__(self) -> Self:
        self._up.put_nowait({"type": "websocket.connect"})
        self._running = asyncio.create_task(self._app(self._scope, self._up.get, self._take))
        self.send_bytes(self._encoder.open())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.leave()
        async with asyncio.timeout(DEADLINE):
            await self._running

    async def _take(self, event: Mapping[str, Any]) -> None:
        await self._reads.wait()
        if event["type"] == "websocket.accept":
            self.accepted = True
        elif event["type"] == "websocket.send":
            self._down.put_nowait(event["bytes"])
        elif event["type"] == "websocket.close":
            self.closed = dict(event)
            self._down.put_nowait(None)

    def stop_reading(self) -> None:
        """Take nothing, until `read_on`: as if the connection were full."""
        self._reads.clear()

    def read_on(self) -> None:
        self._reads.set()

    def send(self, header: Mapping[str, Any], payload: bytes = b"") -> None:
        self.send_bytes(self._encoder.data(header, payload))

    def ping(self) -> None:
        self.send_bytes(self._encoder.ping())

    def send_bytes(self, data: bytes) -> None:
        self._up.put_nowait({"type": "websocket.receive", "bytes": data})

    def leave(self) -> None:
        self._up.put_nowait({"type": "websocket.disconnect", "code": 1006})

    async def next(self) -> Message | None:
        """The next message; `None` if the stream or the connection has ended."""
        async with asyncio.timeout(DEADLINE * 10):  # the fake clock's seconds too
            while not self._messages:
                data = await self._down.get()
                if data is None:
                    return None
                self._messages.extend(self.decoder.feed(data))
            return self._messages.popleft()

    async def answer(self) -> list[Message]:
        """The messages up to the last one of an answer."""
        messages: list[Message] = []
        while (message := await self.next()) is not None:
            messages.append(message)
            if message[0]["kind"] in ("end", "error"):
                break
        return messages
