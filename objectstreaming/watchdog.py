"""Ends reads of sockets that take too long.

An HTTP client takes the timeout of its reads once, when a body begins; the reader of a stream learns only later how
long its server may be silent. So the reads are timed from outside: one thread, for all watched reads of the process,
shuts the socket down when a read is overdue. The read then returns, as if the peer had closed the connection, whatever
kind of program it is called from: a blocking one, asyncio or trio.

Each read reads the clock once. The thread runs when the earliest deadline that it knows of has passed, not for every
read.
"""

from __future__ import annotations

import math
import os
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Final, Self

__all__ = ["ReadLimit", "WatchedReads", "shut_down"]

_LATE_READER_SECONDS: Final = 0.05


class ReadLimit:
    """How long reads may take, one by one and all together. Here it is only written down; subclasses keep it."""

    def __init__(self, seconds: float | None) -> None:
        self.seconds = seconds
        """How long one read may take; `None`: any time."""
        self.end_by = math.inf
        """When all reads have to be over, by `time.monotonic()`."""
        self.overdue = False
        """Whether a read took too long and was ended."""

    def end_within(self, seconds: float) -> None:
        """From now on all reads together may take so long. A second call changes nothing."""
        if self.end_by == math.inf:
            self.end_by = time.monotonic() + seconds

    def left(self) -> float | None:
        """How long the next read may take, in seconds; `None`: any time."""
        if self.end_by == math.inf:
            return self.seconds
        left = max(0.0, self.end_by - time.monotonic())
        return left if self.seconds is None else min(self.seconds, left)

    def begin(self) -> None:
        """A read begins."""

    def end(self) -> None:
        """The read has returned."""

    def interrupt(self) -> None:
        """End a read that waits, from another thread. Where it cannot be ended, nothing happens."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        pass


class WatchedReads(ReadLimit):
    """The reads of one socket, timed by the watchdog within a `with` block.

    `is_readable()` tells whether bytes have arrived that were not read yet. As long as there are any, the reader is
    late and not the peer, on a busy machine or in a blocked event loop, and the read is not ended.

        with WatchedReads(sock, is_readable, seconds=5.0) as reads:
            reads.begin()
            data = sock.recv(1024)
            reads.end()
        if reads.overdue: ...
    """

    def __init__(self, sock: Any, is_readable: Callable[[], bool], seconds: float | None) -> None:
        super().__init__(seconds)
        self.socket = sock
        self._is_readable = is_readable
        self._deadline = math.inf  # of the read that has begun

    def __enter__(self) -> Self:
        _watchdog.add(self)
        return self

    def __exit__(self, *error: object) -> None:
        _watchdog.remove(self)

    def begin(self) -> None:
        deadline = self.end_by
        if self.seconds is not None:
            deadline = min(deadline, time.monotonic() + self.seconds)
        self._deadline = deadline
        if deadline < _watchdog.wakes_at:
            _watchdog.wake()

    def end(self) -> None:
        self._deadline = math.inf

    def check(self, now: float) -> float:
        """Shut the socket down if the read is overdue. Returns when to check again. Called by the watchdog's thread."""
        if self._deadline > now:
            return self._deadline
        if self._is_readable():
            return now + _LATE_READER_SECONDS
        self.overdue = True
        self._deadline = math.inf
        shut_down(self.socket)
        return math.inf

    def interrupt(self) -> None:
        _watchdog.interrupt(self)


def shut_down(sock: Any) -> None:
    """Shut a socket down, so that a read of it returns, in whatever thread or event loop."""
    # A duplicate of the descriptor: `SSLSocket.shutdown` would first forget that the connection is encrypted, so that a
    # later read would return encrypted bytes, and the sockets of uvloop have no `shutdown`.
    with suppress(OSError), socket.fromfd(sock.fileno(), sock.family, sock.type) as duplicate:
        duplicate.shutdown(socket.SHUT_RDWR)


class _Watchdog:
    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._watched: set[WatchedReads] = set()
        self._thread: threading.Thread | None = None
        self.wakes_at = math.inf

    def add(self, reads: WatchedReads) -> None:
        with self._changed:
            self._watched.add(reads)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="objectstreaming watchdog", daemon=True)
                self._thread.start()

    def remove(self, reads: WatchedReads) -> None:
        # Under the lock, so that its socket is not shut down when it serves somebody else.
        with self._changed:
            self._watched.discard(reads)

    def interrupt(self, reads: WatchedReads) -> None:
        with self._changed:  # for the same reason
            if reads in self._watched:
                shut_down(reads.socket)

    def wake(self) -> None:
        with self._changed:
            self._changed.notify()

    def _run(self) -> None:
        with self._changed:
            while True:
                # First, so that a read which begins from here on wakes the thread.
                self.wakes_at = math.inf
                now = time.monotonic()
                self.wakes_at = wakes_at = min((reads.check(now) for reads in self._watched), default=math.inf)
                self._changed.wait(min(wakes_at - now, threading.TIMEOUT_MAX))


_watchdog = _Watchdog()


def _start_again() -> None:
    """A forked process has none of its parent's threads."""
    global _watchdog
    _watchdog = _Watchdog()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_again)
