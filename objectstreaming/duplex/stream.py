"""`DuplexStream`: a connection on which both sides send and receive at once. What every backend gives, and no more."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Self, TypeAlias

from .symbol import StreamItem

__all__ = ["DuplexStream", "StreamFactory"]


class DuplexStream(ABC):
    """A connection of symbols and events in both directions, neither of which waits for the other.

        async with stream:
            await stream.send(Symbol.text("Hello?"))
            await stream.send_end()
            async for item in stream.receive():
                ...

    The backends of this package are in `memory`, `websocket_client` and `websocket_server`. Another, for some model's
    realtime API, is a class with these methods, and a function that makes one is a `StreamFactory`.
    """

    @abstractmethod
    async def connect(self) -> None:
        """Establish the connection; when it is there, do nothing."""

    @abstractmethod
    async def disconnect(self) -> None:
        """Send what is still to be sent, say that this was all, and close. No task runs on after it.

        Without a connection, do nothing. Raises if what `send` took could not be sent, unless `send` or `receive` has
        raised it already.
        """

    @abstractmethod
    async def send(self, item: StreamItem) -> None:
        """Take `item` to be sent; wait while the peer is too slow to take what was sent before it.

        An `interrupt` waits for nothing: it overtakes the symbols that are still to be sent, which are dropped. Raises
        `EncodeError` for what cannot be sent, nothing having changed, and what the connection failed with.
        """

    @abstractmethod
    async def send_end(self) -> None:
        """Say that what is being sent is whole, as when a person stops speaking. The connection stays."""

    @abstractmethod
    def receive(self) -> AsyncIterator[StreamItem]:
        """The items that arrive, until the peer leaves. Leaving the iteration loses nothing: the next one goes on.

        Raises, after the good items, what the connection failed with.
        """

    @property
    @abstractmethod
    def is_connected(self) -> bool:
        """Whether there is a connection, and the peer has not left it."""

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.disconnect()


StreamFactory: TypeAlias = Callable[..., DuplexStream]
"""What makes a stream: a backend's class, or a function that configures one."""
