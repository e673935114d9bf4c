"""Both ends of a connection in one process: for tests, and for parts of one program that talk to each other.

The same frames pass as over a network, so that what works here works there.
"""

from __future__ import annotations

from typing import Any

from ..errors import ObjectStreamError
from .framed import FramedStream, Pipe, PipeClosed
from .mailbox import Mailbox

__all__ = ["MemoryStream", "memory_pair"]

_MESSAGES = 16
_BYTES = 256 * 1024


class MemoryStream(FramedStream):
    """One end of `memory_pair`. It connects once: a pair that was disconnected cannot be used again."""

    def __init__(self, pipe: Pipe, **options: Any) -> None:
        super().__init__(**options)
        self._unused: Pipe | None = pipe

    async def _open(self) -> Pipe:
        pipe, self._unused = self._unused, None
        if pipe is None:
            raise ConnectionError("this end was disconnected: make another pair")
        return pipe


def memory_pair(**options: Any) -> tuple[MemoryStream, MemoryStream]:
    """Two streams, each the peer of the other.

    >>> import asyncio
    >>> from objectstreaming.duplex import Symbol, memory_pair
    >>> async def main():
    ...     ann, bob = memory_pair()
    ...     async with ann, bob:
    ...         await ann.send(Symbol.text("Hello, Bob."))
    ...         async for item in bob.receive():
    ...             if isinstance(item, Symbol):
    ...                 return item.text_value
    >>> asyncio.run(main())
    'Hello, Bob.'

    Args:
        **options: those of `FramedStream`, for both.
    """
    there, back = _messages(), _messages()
    return MemoryStream(MemoryPipe(there, back), **options), MemoryStream(MemoryPipe(back, there), **options)


def _messages() -> Mailbox[bytes]:
    return Mailbox(items=_MESSAGES, size=_BYTES)


class MemoryPipe(Pipe):
    """One end of two mailboxes."""

    def __init__(self, outgoing: Mailbox[bytes], incoming: Mailbox[bytes]) -> None:
        self._outgoing = outgoing
        self._incoming = incoming

    async def send(self, message: bytes) -> None:
        await self._outgoing.put(message, len(message))

    async def receive(self) -> bytes | None:
        return await self._incoming.get()

    async def close(self, error: ObjectStreamError | None = None) -> None:
        self.abort()

    def abort(self) -> None:
        self._outgoing.end(write_error=PipeClosed())
        self._incoming.end(write_error=PipeClosed())
