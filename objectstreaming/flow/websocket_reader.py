"""Reads a WebSocket in a task of its own, for all verbs that use it at the same time.

Two things need it. A server that has a message nobody has received stops reading the connection: it sees neither pongs
nor the close behind the message. And a hang-up has to be known while nobody waits for a message. So the task always
receives. It keeps the messages until they are asked for, up to `UNREAD` bytes.

The reader is kept in the ASGI scope. So it is the same for every verb on a connection, and messages that one verb has
not asked for are there for the next one. The task ends with the last verb that uses it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, MutableMapping
from contextlib import asynccontextmanager
from typing import Any, Final, Protocol

from .closing import stop

__all__ = ["UNREAD", "Reader", "WebSocket", "accept", "reading"]

UNREAD: Final = 8 * 1024 * 1024
"""How many bytes of messages are kept. After that nothing is received until one is asked for."""

_OVERHEAD: Final = 256
"""What a message counts beside its content, so that the number of empty ones is bounded too."""

_KEY: Final = "objectstreaming.flow.reader"

Message = MutableMapping[str, Any]


class WebSocket(Protocol):
    """The part of `starlette.websockets.WebSocket` that is used here."""

    client_state: Any
    application_state: Any

    @property
    def scope(self) -> MutableMapping[str, Any]: ...
    async def accept(self) -> None: ...
    async def receive(self) -> MutableMapping[str, Any]: ...
    async def send_text(self, data: str) -> None: ...
    async def send_bytes(self, data: bytes) -> None: ...


class Reader:
    """The messages of a connection that were received and not asked for. `left` is set when the peer has left."""

    def __init__(self) -> None:
        self.left = asyncio.Event()
        self.accepting = asyncio.Lock()
        self.users = 0
        self.task: asyncio.Task[None] | None = None
        self._messages: deque[tuple[Message, int]] = deque()
        self._held = 0
        self._arrived = asyncio.Event()
        self._room = asyncio.Event()
        self._error: Exception | None = None

    async def next(self) -> Message | None:
        """The next message. `None` when the peer has left. Raises the error that receiving failed with."""
        while not self._messages:
            if self.left.is_set():
                self.raise_error()
                return None
            self._arrived.clear()
            await self._arrived.wait()
        message, size = self._messages.popleft()
        self._held -= size
        self._room.set()
        return message

    def raise_error(self) -> None:
        """Raise the error that receiving failed with, if it did."""
        if self._error is not None:
            raise self._error

    async def run(self, websocket: WebSocket) -> None:
        """Receive until the peer has left."""
        try:
            while websocket.client_state.name != "DISCONNECTED":
                if self._held >= UNREAD:
                    self._room.clear()
                    await self._room.wait()
                    continue
                message = await websocket.receive()
                if message["type"] == "websocket.disconnect":
                    break
                size = len(message.get("text") or "") + len(message.get("bytes") or b"") + _OVERHEAD
                self._messages.append((message, size))
                self._held += size
                self._arrived.set()
        except Exception as error:  # noqa: BLE001  whoever asks for the next message gets it
            self._error = error
        self.left.set()
        self._arrived.set()


@asynccontextmanager
async def reading(websocket: WebSocket) -> AsyncGenerator[Reader, None]:
    """The reader of this connection, which receives while at least one block is open. Accepts the connection."""
    reader = await accept(websocket)
    reader.users += 1
    if reader.task is None and not reader.left.is_set():
        reader.task = asyncio.get_running_loop().create_task(reader.run(websocket))
    try:
        yield reader
    finally:
        reader.users -= 1
        if reader.users == 0 and reader.task is not None:
            task, reader.task = reader.task, None
            await stop([task])


async def accept(websocket: WebSocket) -> Reader:
    """Accept the connection, unless that has been done."""
    reader: Reader = websocket.scope.setdefault(_KEY, Reader())
    async with reader.accepting:
        # The server's side of the handshake is the application's state.
        if websocket.application_state.name == "CONNECTING" and websocket.client_state.name == "CONNECTING":
            await websocket.accept()
    return reader
