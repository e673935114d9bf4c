"""What became of each stream of a server: a record of it, for metrics and traces.

HTTP says 200 before a stream has begun, so no tool that looks at statuses knows whether it failed, how long its first
message took, or that its reader was slow. The server knows, and tells observers.

    class Failures(Observer):
        def ended(self, stream):
            if stream.outcome in ("failed", "aborted"):
                FAILURES.labels(stream.code).inc()

    observers.append(Failures())                                 # of every stream in this process
    FrameResponse(..., observer=Failures())                      # of this response

An observer is called in the task that sends the stream, and keeps it waiting: it counts, and returns. What
it raises is logged, and the stream goes on. Where there is no observer, a write costs one comparison more.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

__all__ = ["Observer", "StreamRecord", "observers"]

logger: Final = logging.getLogger("objectstreaming.observe")

Outcome = Literal["ok", "failed", "aborted", "left"]


@dataclass(slots=True, eq=False)
class StreamRecord:
    """One stream, as far as it has come. Times are seconds; those with "since" in their text count from its beginning.

    A stalled reader is seen late: the operating system takes a few megabytes for it first.
    """

    method: str
    """Of the request."""
    url: str
    """The path, without the query."""
    coder: str
    media_type: str = ""
    """Of the response, without parameters; empty before there is one."""
    status: int | None = None
    """Of the response; `None` before there is one."""
    scope: Mapping[str, Any] | None = None
    """The ASGI scope: `scope["route"].path` is the route, where the framework says it."""

    outcome: Outcome | None = None
    """`ok`: whole. `failed`: the client was told an error. `aborted`: the connection was broken, so that the answer
    does not look whole. `left`: by the client, before the end. `None` before the end of the stream."""
    code: str | None = None
    """The code of the error; `canceled` for a stream that was left; `None` for one that is whole."""
    frames: int = 0
    """Messages. Of a stream that was not sent to its end, the last ones may not have left the server."""
    bytes: int = 0
    """Of the body."""
    writes: int = 0
    """How many pieces the body was sent in."""
    pings: int = 0
    """Sent in silence."""
    first: float | None = None
    """When the first messages were sent, since the beginning."""
    longest_gap: float = 0.0
    """The longest time between two pieces with messages."""
    stalled: float = 0.0
    """How long the server waited for the reader to take what was sent."""
    seconds: float = 0.0
    """How long the stream took."""

    state: Any = None
    """The observer's own, a span for example. With several observers, keep a mapping by record instead."""

    _began: float = field(default=0.0, repr=False)
    _last: float = field(default=0.0, repr=False)


class Observer:
    """Is told of streams. Override what you want to know.

    >>> class Log(Observer):
    ...     def ended(self, stream):
    ...         print(stream.url, stream.outcome, stream.code)
    >>> Log().ended(StreamRecord("GET", "/ask", "json", outcome="failed", code="unavailable"))
    /ask failed unavailable
    """

    def started(self, stream: StreamRecord) -> None:
        """A stream begins. Context variables that are set here are seen by the source that it is made from."""

    def wrote(self, stream: StreamRecord, size: int) -> None:
        """A piece of the body, of `size` bytes, was sent. It may hold any number of frames."""

    def ended(self, stream: StreamRecord) -> None:
        """The stream is over, whatever happened. Called once, in the same context as `started`."""


observers: Final[list[Observer]] = []
"""The observers of every stream in this process. It is read when a stream begins."""


class Watch:
    """One stream, its record and its observers."""

    __slots__ = ("_failed", "_observers", "record")

    clock = staticmethod(time.perf_counter)

    def __init__(self, record: StreamRecord, observers: list[Observer]) -> None:
        self.record = record
        self._observers = observers
        self._failed: list[Observer] = []  # in a write: there may be thousands more, and one line in the log is enough

    def started(self) -> None:
        self.record._began = self.clock()
        for observer in self._observers:
            self._tell(observer, observer.started)

    def wrote(self, size: int, frames: int, *, messages: bool, since: float) -> None:
        """A piece was sent in a call that began at `since`, with `messages` in it or without.

        `frames` is the number of the stream's messages up to here.
        """
        record, now = self.record, self.clock()
        record.writes += 1
        record.bytes += size
        record.stalled += now - since
        record.frames = frames
        if messages:
            if record.first is None:
                record.first = now - record._began
            else:
                record.longest_gap = max(record.longest_gap, now - record._last)
            record._last = now
        for observer in self._observers:
            if observer not in self._failed:
                self._tell(observer, observer.wrote, size)

    def ended(self, outcome: Outcome, code: str | None, frames: int) -> None:
        record = self.record
        record.outcome, record.code, record.frames = outcome, code, frames
        record.seconds = self.clock() - record._began
        for observer in self._observers:
            self._tell(observer, observer.ended)

    def _tell(self, observer: Observer, call: Callable[..., None], *arguments: Any) -> None:
        try:
            call(self.record, *arguments)
        except Exception:
            self._failed.append(observer)
            logger.exception("an observer has failed; the stream goes on")


def watch(own: Observer | None, record: Callable[[], StreamRecord]) -> Watch | None:
    """`None` if nobody wants to know."""
    if own is None and not observers:
        return None
    return Watch(record(), [*observers, *(() if own is None else (own,))])
