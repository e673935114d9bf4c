"""`MemoryStore`: streams in the memory of one process."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence

from ..frames import MiB
from .end import DEAD, End, StoreClosed
from .store import Store
from .tail import Tail
from .verbs import About, Conflict, Fenced, Full, Gone, Keep, Lease, Page, Sealed, Unread

__all__ = ["MemoryStore"]


class _Log:
    """A stream. Its tail holds all of it."""

    def __init__(self, tail: Tail, about: About) -> None:
        self.tail = tail
        self.about = about
        self.bytes = 0
        self.lease_until = math.inf
        self.forget_at = math.inf
        self.read_at = _now()


class MemoryStore(Store):
    """Keeps streams in this process: they outlive connections, and go with the process.

    Args:
        keep: how much is kept of a stream, and for how long.
        total: bounds the bytes of all streams together. Beyond it those that ended longest ago are forgotten. If that
            is not enough, the stream that would grow ends with `resource_exhausted`.
        lease: seconds after which a writer that does not move is taken for dead.

    >>> store = MemoryStore(keep=Keep(ttl=60))
    """

    def __init__(self, *, keep: Keep | None = None, total: int = 256 * MiB, lease: float = 6.0) -> None:
        super().__init__(keep=keep, lease=lease)
        if total < 1:
            raise ValueError(f"total is a positive number of bytes, not {total!r}")
        self._total = total
        self._bytes = 0
        self._logs: dict[str, _Log] = {}
        self._ended: dict[str, None] = {}  # in the order of their ends
        self._swept_at = -math.inf
        self._checks: dict[str, asyncio.TimerHandle] = {}  # of the logs that are watched and have no end

    async def create(self, id: str, about: About, first: int = 0) -> Tail | None:
        self._sweep()
        log = self._logs.get(id)
        if log is not None and _now() < log.forget_at:
            return log.tail if log.about.token == about.token else None
        tail = Tail(id, None, self._on_released)
        tail.begin(about, first)
        tail.watchers = 1
        self._logs[id] = log = _Log(tail, about)
        self._renew(log, _now())
        self._check_later(log)
        return tail

    async def append(self, lease: Lease, after: int, upto: int, data: bytes) -> None:
        now = _now()
        log = self._log(lease.id, now)
        tail = log.tail
        if tail.end is not None:
            raise Sealed(tail.end)
        if log.about.token != lease.token:
            raise Fenced
        if tail.readers:
            log.read_at = now
        elif self.keep.unread is not None and now - log.read_at > self.keep.unread:
            raise Unread
        if tail.position != upto:
            if tail.position != after:
                raise Conflict(tail.position)
            self._make_room(log, len(data))
            log.bytes += len(data)
            self._bytes += len(data)
            tail.add(after, upto, data)
        self._renew(log, now)

    async def seal(
        self,
        id: str,
        end: End,
        *,
        lease: Lease | None = None,
        position: int | None = None,
        only_if_dead: bool = False,
    ) -> End | None:
        log = self._log(id)
        if log.tail.end is not None:
            return log.tail.end
        if only_if_dead and _now() < log.lease_until:
            return None
        if lease is not None and lease.token != log.about.token:
            raise Fenced
        if position is not None and position != log.tail.position:
            raise Conflict(log.tail.position)
        self._end(log, end)
        return end

    async def fetch(self, id: str, after: int | None) -> Page:
        log = self._log(id)
        tail = log.tail
        upto = tail.position if after is None else after
        data = b""
        if tail.first <= upto < tail.position:
            data, upto = tail.take(upto)
        return Page(log.about, tail.first, tail.position, upto, data, tail.end if upto >= tail.position else None)

    async def watch(self, id: str) -> Tail:
        log = self._log(id)
        log.tail.watchers += 1
        if id not in self._checks and log.tail.end is None:
            self._check_later(log)
        return log.tail

    def trim(self, ids: Sequence[str], most: int) -> list[str]:
        """Forget the first of these streams, of those that have ended, until the rest have `most` bytes or fewer.

        Args:
            ids: of the streams.
            most: bytes that they may have together.

        Returns:
            The ids of those that are still kept, in the same order.
        """
        kept = [stream for stream in ids if stream in self._logs]
        size = sum(self._logs[stream].bytes for stream in kept)
        for stream in [stream for stream in kept if stream in self._ended]:
            if size <= most:
                break
            size -= self._logs[stream].bytes
            self._forget(stream)
            kept.remove(stream)
        return kept

    async def aclose(self, *, grace: float = 0.0) -> None:
        await super().aclose(grace=grace)
        for log in self._logs.values():
            log.tail.fail(StoreClosed())

    def _log(self, id: str, now: float | None = None) -> _Log:
        log = self._logs.get(id)
        if log is None or (_now() if now is None else now) >= log.forget_at:
            raise Gone
        return log

    def _renew(self, log: _Log, now: float) -> None:
        log.lease_until = now + self.lease
        log.forget_at = now + max(self.keep.ttl, 2 * self.lease)

    def _end(self, log: _Log, end: End) -> None:
        log.forget_at = _now() + self.keep.ttl
        self._ended[log.tail.id] = None
        log.tail.close(end)

    # -------------------------------------------------------------------------------------------- forgetting

    def _make_room(self, log: _Log, size: int) -> None:
        if log.bytes + size > self.keep.bytes:
            raise Full(self.keep.bytes - log.bytes)
        while self._bytes + size > self._total and self._ended:
            self._forget(next(iter(self._ended)))
        if self._bytes + size > self._total:
            raise Full(self._total - self._bytes)

    def _sweep(self) -> None:
        if _now() - self._swept_at < self.keep.ttl / 10:
            return
        self._swept_at = _now()
        for log in [log for log in self._logs.values() if _now() >= log.forget_at]:
            self._forget(log.tail.id)

    def _forget(self, id: str) -> None:
        self._ended.pop(id, None)
        self._bytes -= self._logs.pop(id).bytes

    # ---------------------------------------------------------------------------------- noticing a dead writer

    def _check_later(self, log: _Log) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() + self.renew
        self._checks[log.tail.id] = loop.call_at(due, self._check, log, due)

    def _check(self, log: _Log, due: float) -> None:
        if log.tail.end is not None:
            self._checks.pop(log.tail.id, None)
            return
        # A timer that fires late says that the event loop stood still: the writer could not renew its lease either.
        if _now() >= log.lease_until and _now() - due < self.renew:
            self._end(log, DEAD)
        self._check_later(log)

    def _on_released(self, tail: Tail) -> None:
        check = self._checks.pop(tail.id, None)
        if check is not None:
            check.cancel()


def _now() -> float:
    return asyncio.get_running_loop().time()
