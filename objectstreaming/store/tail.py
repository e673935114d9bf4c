"""`Tail`: the last entries of a stream in one process, for all who read it there, and for its writer.

A process has one tail of each stream that it writes or reads. Readers at the end of the stream, which is most of them,
take their bytes from it, so a frame comes to a process once however many read it there. Readers that are further behind
fetch from the store, at their own speed, so a slow one costs its socket's buffer and one batch.

The tail is notified by the store, by whatever means the store has. Notifications are hints: they may be lost, doubled
or late, for the positions tell what is missing. Entries are added in order and without a gap, or not at all.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from typing import Final

from ..errors import StreamError
from ..frames import KiB
from .end import LOST, UNREACHABLE, End
from .verbs import About
from .walk import skip_frames

__all__ = ["BATCH", "TAIL_BYTES", "Tail"]

TAIL_BYTES: Final = 256 * KiB
"""Bytes that a tail keeps, beside its last entry: what can be given again to a store that has lost it."""

BATCH: Final = 64 * KiB
"""Bytes that a reader is given at once: the high-water mark of uvicorn and of asyncio's transports."""

_ENTRY: Final = 100
"""Bytes that Python needs for an entry, beside its data."""


class Tail:
    """The frames after position `first` up to `position`; `end` once the stream has ended.

    `limit` bounds the bytes that it keeps; `None` keeps all. Whoever wants to know of changes adds a function to
    `listeners`, which is called after each; it must not block, and may be called without a change.
    """

    def __init__(self, id: str, limit: int | None, released: Callable[[Tail], None]) -> None:
        self.id = id
        self.about: About | None = None
        self.first = 0
        self.position = 0
        self.end: End | None = None
        self.failure: StreamError | None = None
        """Why this process cannot follow the stream any more; the stream itself may go on elsewhere."""
        self.readers = 0
        """How many read from it; its writer is none of them."""
        self.watchers = 0
        """How many have called `watch`, and not yet `release`."""
        self.listeners: set[Callable[[], None]] = set()
        self._limit = limit
        self._released = released
        self._positions: list[int] = []  # of the last frame of each entry
        self._entries: list[bytes] = []
        self._size = 0
        self._troubled_since: float | None = None
        self._lost_since: float | None = None

    @property
    def over(self) -> bool:
        """Whether nothing more will come."""
        return self.end is not None or self.failure is not None

    def begin(self, about: About, position: int, end: End | None = None) -> None:
        """Say what the stream is, and how it stands; frames are added from there on. Only the first call counts."""
        if self.about is None:
            self.about = about
            self.first = self.position = position
            self.end = end

    def release(self) -> None:
        """Stop watching. The store drops a tail that nobody watches."""
        self.watchers -= 1
        if not self.watchers:
            self._released(self)

    # ---------------------------------------------------------------------------------------- for the store

    def add(self, after: int, upto: int, data: bytes) -> bool:
        """Add the frames `after + 1` to `upto`, but for those that are there. `False`: some before them are missing."""
        if after > self.position:
            return False
        if upto <= self.position or self.over:
            return True
        if after < self.position:
            data = skip_frames(data, self.position - after)
        self.position = upto
        self._positions.append(upto)
        self._entries.append(data)
        self._size += len(data) + _ENTRY
        if self._limit is not None and self._size > self._limit:
            self._shorten(self._limit)
        self.notify()
        return True

    def close(self, end: End) -> None:
        """The stream has ended, and all its frames have been added. Only the first call counts."""
        if not self.over:
            self.end = end
            self.notify()

    def fail(self, error: StreamError) -> None:
        """The stream cannot be followed from here any more. Only the first call counts."""
        if not self.over:
            self.failure = error
            self.notify()

    def unreachable(self, now: float, patience: float) -> None:
        """The store does not answer. The tail fails after `patience` seconds without a good answer."""
        if self._troubled_since is None:
            self._troubled_since = now
        self._lost_since = None
        if now - self._troubled_since > patience:
            self.fail(UNREACHABLE.failure())

    def lost(self, now: float, patience: float) -> None:
        """The store has the stream no more, but may be given it again: the tail fails after `patience` seconds of that.

        They begin anew after each time that the store was away: its writer could not give it anything meanwhile.
        """
        if self._troubled_since is None:
            self._troubled_since = now
        if self._lost_since is None:
            self._lost_since = now
        if now - self._lost_since > patience:
            self.fail(LOST.failure())

    def untroubled(self) -> None:
        """The store answers, and has the stream."""
        self._troubled_since = self._lost_since = None

    def notify(self) -> None:
        """Call the listeners."""
        for listener in tuple(self.listeners):
            listener()

    def _shorten(self, limit: int) -> None:
        dropped = 0
        while self._size > limit and dropped < len(self._entries) - 1:
            self._size -= len(self._entries[dropped]) + _ENTRY
            dropped += 1
        if dropped:
            self.first = self._positions[dropped - 1]
            del self._positions[:dropped], self._entries[:dropped]

    # ---------------------------------------------------------------------------------------- for readers

    def take(self, position: int, most: int = BATCH) -> tuple[bytes, int]:
        """The frames after `position`, which is in the tail: up to `most` bytes, or one entry; and where they end."""
        entries, positions = self._entries, self._positions
        index = bisect_right(positions, position)
        if index == len(entries):
            return b"", position
        data = entries[index]
        before = positions[index - 1] if index else self.first
        if before < position:
            data = skip_frames(data, position - before)
        last = index + 1
        if last < len(entries):
            size = len(data)
            while last < len(entries) and size + len(entries[last]) <= most:
                size += len(entries[last])
                last += 1
            data = b"".join((data, *entries[index + 1 : last]))
        return data, positions[last - 1]

    def since(self, position: int) -> bytes:
        """All the frames after `position`, which is in the tail."""
        return self.take(position, self._size)[0]
