"""Sources that do what a test tells them, and readers that keep what they got."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

from objectstreaming import RawCoder, StreamError
from objectstreaming.store import End, Store
from objectstreaming.store.verbs import About

RAW = RawCoder()


def messages(count: int, size: int = 20) -> list[tuple[dict[str, int], bytes]]:
    """Messages whose frames are all different."""
    return [({"n": n}, n.to_bytes(4, "little") * (size // 4)) for n in range(count)]


def wire(count: int, size: int = 20) -> bytes:
    """The frames of `messages`."""
    return b"".join(RAW.encode(header, payload) for header, payload in messages(count, size))


def about(token: str = "the writer's", owner: str = "") -> About:
    return About(token=token, coder="raw", owner=owner)


class Source:
    """A source that gives what it is told to."""

    def __init__(self, *items: Any) -> None:
        self.closed = 0
        self.taken = 0
        self._items: asyncio.Queue[Any] = asyncio.Queue()
        self.give(*items)

    def give(self, *items: Any) -> None:
        for item in items:
            self._items.put_nowait(item)

    def end(self) -> None:
        self._items.put_nowait(None)

    def fail(self, error: BaseException) -> None:
        self._items.put_nowait(error)

    async def __aiter__(self) -> AsyncIterator[Any]:
        try:
            while (item := await self._items.get()) is not None:
                if isinstance(item, BaseException):
                    raise item
                self.taken += 1
                yield item
        finally:
            self.closed += 1


class Copy:
    """What one reader has got of a stream. It may leave, and go on from where it was, in any process."""

    def __init__(self, id: str, position: int = 0) -> None:
        self.id = id
        self.position = position
        self.data = b""
        self.end: End | None = None

    async def read(self, store: Store, batches: int = 10**9, owner: str = "") -> Copy:
        """Read so many batches, or to the end."""
        async with store.reader(self.id, self.position, owner=owner) as reader:
            while batches:
                batch = await reader.read()
                assert batch is not None
                self.data += batch
                self.position = reader.position
                if not batch:
                    self.end = reader.end
                    break
                batches -= 1
        return self


async def code_of(awaitable: Any) -> str:
    """The code of the StreamError that it raises; "" if it raises none."""
    try:
        await awaitable
    except StreamError as error:
        return error.code
    return ""


async def until(condition: Callable[[], Any]) -> None:
    """Wait for what is bound to come."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110  a condition of anything
            await asyncio.sleep(0.001)
