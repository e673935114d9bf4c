"""`DuplexStream`: a connection on which both sides send and receive at the same time. The interface of every
backend."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Self, TypeAlias

from .symbol import StreamItem

__all__ = ["DuplexStream", "StreamFactory"]


class DuplexStream(ABC):
    """A connection of symbols and events in both directions. Neither direction waits for the other.

        async with stream:
            await stream.send(Symbol.text("Hello?"))
            await stream.send_end()
            async for item in stream.receive():
                ...

    The backends of this package are in `memory`, `websocket_client` and `websocket_server`. Another backend, for some
    model's realtime API, is a class with these methods. A function that makes one is a `StreamFactory`.
    """

    @abstractmethod
    async def connect(self) -> None:
        """Establish the connection. Does nothing if there is one."""

    @abstractmethod
    async def disconnect(self) -> None:
        """Send everything that `send` has taken, then the end, and close. No task is left running.

        Does nothing without a connection. Raises an error if something that `send` took could not be sent, unless
        `send` or `receive` has raised that error already.
        """

    @abstractmethod
    async def send(self, item: StreamItem) -> None:
        """Take `item` to be sent. Waits while the peer is too slow to read what was sent before.

        An `interrupt` does not wait: the symbols that are still to be sent are dropped, and it goes first. Raises
        `EncodeError` for an item that cannot be sent (nothing has changed then), and the error that the connection
        failed with.
        """

    @abstractmethod
    async def send_end(self) -> None:
        """Send `stream_end`: the question or answer is complete, as when a person stops speaking."""

    @abstractmethod
    def receive(self) -> AsyncIterator[StreamItem]:
        """The items that arrive, until the peer leaves. An iteration that is left early loses nothing: the next one
        continues.

        Raises the error that the connection failed with, after the good items.
        """

    @property
    @abstractmethod
    def is_connected(self) -> bool:
        """Whether there is a connection and the peer has not left."""

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.disconnect()


StreamFactory: TypeAlias = Callable[..., DuplexStream]
"""Makes a stream: a backend's class, or a function that configures one."""
