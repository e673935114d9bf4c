"""What a session has received and its receiver has not taken yet. Bounded in the memory that the items take.

A session reads its stream while the receiver is busy: an `interrupt` must not wait behind the items that it cancels.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from .symbol import StreamItem, Symbol

__all__ = ["UNREAD", "Arrival", "Unread"]

UNREAD: Final = 8 * 1024 * 1024
"""How many bytes of items are held. After that the session reads on when the receiver takes one."""

_OBJECT: Final = 1024
"""What an item takes beside its data: the objects of a symbol and its time."""

Arrival: TypeAlias = StreamItem | Exception
"""An item, or the error that reading the stream raised after the items before it."""


class Unread:
    """A queue of one reader and one writer. The writer waits for room before it gets an item, so that none is lost."""

    def __init__(self) -> None:
        self._held: deque[tuple[Arrival, int]] = deque()
        self._size = 0
        self._room = asyncio.Event()

    def put(self, arrival: Arrival) -> None:
        """Add an item. Never waits."""
        size = _size(arrival)
        self._held.append((arrival, size))
        self._size += size

    def take(self) -> Arrival | None:
        """The oldest item, or None if there is none."""
        if not self._held:
            return None
        arrival, size = self._held.popleft()
        self._size -= size
        self._room.set()
        return arrival

    def keep(self, wanted: Callable[[Arrival], bool]) -> None:
        """Drop the items for which `wanted(item)` is false."""
        self._held = deque(entry for entry in self._held if wanted(entry[0]))
        self._size = sum(size for _, size in self._held)
        self._room.set()

    async def wait_for_room(self) -> None:
        """Wait until less than `UNREAD` bytes are held."""
        while self._size >= UNREAD:
            self._room.clear()
            await self._room.wait()


def _size(arrival: Arrival) -> int:
    if isinstance(arrival, Symbol):
        return _OBJECT + len(arrival.data) + _weight(arrival.metadata)
    return _OBJECT + (0 if isinstance(arrival, Exception) else _weight(arrival.data))


def _weight(value: Any) -> int:
    """About how many bytes a JSON value takes in memory."""
    if isinstance(value, str):
        return 64 + len(value)
    if isinstance(value, Mapping):
        return 64 + sum(_weight(name) + _weight(member) for name, member in value.items())
    if isinstance(value, list | tuple):
        return 64 + sum(map(_weight, value))
    return 32
