"""A queue between two tasks, bounded in items and in bytes.

It holds what is sent and not yet written, or received and not yet read.

`asyncio.Queue` only counts items, and a symbol may be 16 MiB. This queue can also drop items that are out of date, end
with an error for either side, and stop storing items when nobody reads any more. Writers wait in the order they came.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["Mailbox"]

T = TypeVar("T")


class Mailbox(Generic[T]):
    """At most `items` items and `size` bytes; a single item may be larger. One task reads, any number write.

    >>> async def main():
    ...     box = Mailbox(items=2, size=100)
    ...     await box.put("a", 60)
    ...     box.end()
    ...     return await box.get(), await box.get()
    >>> asyncio.run(main())
    ('a', None)
    """

    def __init__(self, *, items: int, size: int) -> None:
        self._most_items = items
        self._most_bytes = size
        self._held: deque[tuple[T, int]] = deque()
        self._bytes = 0
        self._writers: deque[asyncio.Future[None]] = deque()
        self._reader: asyncio.Future[None] | None = None
        self._over = False
        self._discarding = False
        self._read_error: Exception | None = None
        self._write_error: Exception | None = None

    def __len__(self) -> int:
        return len(self._held)

    @property
    def over(self) -> bool:
        """Whether nothing more can be put."""
        return self._over

    async def put(self, item: T, size: int) -> None:
        """Wait for room and put `item`. Nothing is put if this is cancelled, or raises what the mailbox ended with."""
        if self._writers or not self._has_room(size):
            turn = asyncio.get_running_loop().create_future()
            self._writers.append(turn)
            try:
                while True:
                    await turn
                    if self._has_room(size):
                        break
                    turn = self._writers[0] = asyncio.get_running_loop().create_future()
            finally:
                if turn in self._writers:
                    self._writers.remove(turn)
                self._wake_writer()
        self.put_now(item, size)
        self._wake_writer()

    def put_now(self, item: T, size: int) -> None:
        """Put `item` without waiting, even beyond the bounds."""
        if self._over:
            if self._write_error is not None:
                raise self._write_error.with_traceback(None)
            return
        if self._discarding:
            return
        self._held.append((item, size))
        self._bytes += size
        self._wake_reader()

    async def get(self) -> T | None:
        """The next item. After the end `None`, or the error the mailbox ended with. Nothing is lost on a cancel."""
        while not self._held:
            if self._over:
                if self._read_error is not None:
                    raise self._read_error.with_traceback(None)
                return None
            if self._reader is not None:
                raise RuntimeError("another task is receiving already")
            self._reader = asyncio.get_running_loop().create_future()
            try:
                await self._reader
            finally:
                self._reader = None
        item, size = self._held.popleft()
        self._bytes -= size
        self._wake_writer()
        return item

    def holds(self, wanted: Callable[[T], bool]) -> bool:
        """Whether there is an item for which `wanted(item)` is true."""
        return any(wanted(item) for item, _ in self._held)

    def drop(self, stale: Callable[[T], bool]) -> None:
        """Remove the items for which `stale(item)` is true."""
        self._held = deque(entry for entry in self._held if not stale(entry[0]))
        self._bytes = sum(size for _, size in self._held)
        self._wake_writer()

    def end(self, *, read_error: Exception | None = None, write_error: Exception | None = None) -> None:
        """Nothing more is put: `get` ends with `read_error` after the items that are here, `put` raises
        `write_error`."""
        if self._over:
            return
        self._over = True
        self._read_error, self._write_error = read_error, write_error
        self._wake_reader()
        self._wake_writer()

    def discard(self) -> None:
        """Nobody reads any more: drop the items that are here, and those still to come, without waiting."""
        self._discarding = True
        self.drop(lambda item: True)

    def _has_room(self, size: int) -> bool:
        if self._over or self._discarding or not self._held:
            return True
        return len(self._held) < self._most_items and self._bytes + size <= self._most_bytes

    def _wake_reader(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    def _wake_writer(self) -> None:
        # Only the first. It checks whether there is room for its item, and wakes the next one when it is done.
        if self._writers and not self._writers[0].done() and self._has_room(0):
            self._writers[0].set_result(None)
