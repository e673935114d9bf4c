"""What became of each stream: a record of it, for metrics, traces and the log.

HTTP says 200 before a stream has begun, so no tool that looks at statuses knows whether it failed, how long its first
message took, or that its reader was slow. The two ends of the stream know, and tell observers.

    class Failures(Observer):
        def ended(self, stream):
            if stream.outcome in ("failed", "aborted"):
                FAILURES.labels(stream.code).inc()

    observers.append(Failures())                                 # of every stream in this process
    FrameResponse(..., observer=Failures())                      # of this response
    open_stream(..., observer=Failures())                        # of this call
    WebSocketClientStream(..., observer=Failures())              # of both directions of this connection

Ready observers: `AccessLog` here, `PrometheusObserver` in `objectstreaming.prometheus`, `OpenTelemetryObserver` in
`objectstreaming.opentelemetry`.

An observer is called in the task or thread that moves the stream, and keeps it waiting: it counts, and returns. What
it raises is logged, and the stream goes on. Where there is no observer, a write or a read costs one comparison more.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from .log_lines import one_line

__all__ = ["AccessLog", "Observer", "StreamRecord", "observers"]

logger: Final = logging.getLogger("objectstreaming.observe")

Kind = Literal["server", "client", "sent", "received"]
Outcome = Literal["ok", "failed", "aborted", "left"]


@dataclass(slots=True, eq=False)
class StreamRecord:
    """One stream, as far as it has come. Times are seconds; those with "since" in their text count from its beginning.

    A stalled reader is seen late: the operating system takes a few megabytes for it first.
    """

    method: str
    """Of the request. `WEBSOCKET` or `MEMORY` for a duplex connection."""
    url: str
    """Without the query. A server has only the path of it."""
    coder: str
    media_type: str = ""
    """Of the response, without parameters; empty before there is one."""
    status: int | None = None
    """Of the response; `None` before there is one."""
    scope: Mapping[str, Any] | None = None
    """The ASGI scope, in a server: `route` is found there."""
    kind: Kind = "server"
    """`server`: a response that is sent. `client`: a response that is read. `sent` and `received`: the two directions
    of a duplex connection, each of which is a stream with a record of its own."""

    outcome: Outcome | None = None
    """`ok`: whole. `failed`: it ended with an error, which both ends know. `aborted`: it was broken off, so that it
    does not look whole. `left`: by its reader, before the end. `None` before the end of the stream."""
    code: str | None = None
    """The code of the error; `canceled` for a stream that was left; `None` for one that is whole."""
    frames: int = 0
    """Messages. Of a stream that was not sent to its end, the last ones may not have left the server."""
    bytes: int = 0
    """Of the body."""
    writes: int = 0
    """How many pieces the body was sent, or read, in."""
    pings: int = 0
    """Sent in silence."""
    interrupts: int = 0
    """In this direction of a duplex connection."""
    first: float | None = None
    """When the first messages were sent, or had come, since the beginning."""
    gap: float | None = None
    """In `wrote`: the time since the messages before, if this piece has messages and is not the first with any."""
    longest_gap: float = 0.0
    """The longest of these times."""
    stalled: float = 0.0
    """How long the sender waited for the reader to take what was sent; in the reader's own record, how long the
    program took with its messages before it asked for more."""
    seconds: float = 0.0
    """How long the stream took."""

    state: Any = None
    """The observer's own, a span for example. With several observers, keep a mapping by record instead."""

    _began: float = field(default=0.0, repr=False)
    _last: float = field(default=0.0, repr=False)

    @property
    def result(self) -> str:
        """The outcome and the code as one word, for a label: `ok`, `left`, or the code of the error.

        >>> StreamRecord("GET", "/ask", "json", outcome="failed", code="unavailable").result
        'unavailable'
        """
        if self.outcome in ("failed", "aborted"):
            return self.code or "unknown"
        return self.outcome or ""

    @property
    def route(self) -> str:
        """In a server, the route's template, or the endpoint's name where the framework has no template; else empty.

        >>> def answer(): ...
        >>> StreamRecord("GET", "/ask/7", "json", scope={"endpoint": answer}).route
        'answer'
        """
        scope = self.scope or {}
        path = getattr(scope.get("route"), "path", None)
        return path if isinstance(path, str) else getattr(scope.get("endpoint"), "__name__", "")


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
        """A piece of the body, of `size` bytes, was sent, or was read. It may hold any number of frames."""

    def ended(self, stream: StreamRecord) -> None:
        """The stream is over, whatever happened. Called once, in the same context as `started`."""


observers: Final[list[Observer]] = []
"""The observers of every stream in this process. It is read when a stream begins."""


class AccessLog(Observer):
    """One line of the log for each stream when it has ended, at the level INFO of the logger `objectstreaming.access`.

    A server's own access log is written when the headers are sent, and knows nothing of what follows. The numbers are
    attributes of the log record too, for formatters that write JSON. Times are seconds.

        observers.append(AccessLog())

    >>> import sys
    >>> access = logging.getLogger("objectstreaming.access")
    >>> handler = logging.StreamHandler(sys.stdout)
    >>> access.addHandler(handler), access.setLevel(logging.INFO)
    (None, None)
    >>> AccessLog().ended(StreamRecord("GET", "/ask", "json", outcome="ok", frames=10, bytes=380, first=0.051))
    stream /ask ok frames=10 bytes=380 first=0.051 gap=0.000 stalled=0.000 pings=0 seconds=0.000
    >>> access.removeHandler(handler)
    """

    logger: Final = logging.getLogger("objectstreaming.access")

    def ended(self, stream: StreamRecord) -> None:
        fields = {
            "frames": stream.frames,
            "bytes": stream.bytes,
            "first": stream.first,
            "gap": stream.longest_gap,
            "stalled": stream.stalled,
            "pings": stream.pings,
            "seconds": stream.seconds,
        }
        direction = f" {stream.kind}" if stream.kind in ("sent", "received") else ""
        numbers = " ".join(f"{name}={_number(value)}" for name, value in fields.items())
        self.logger.info(
            "stream %s%s %s %s",
            one_line(stream.url),
            direction,
            stream.result,
            numbers,
            extra={
                **fields,
                "kind": stream.kind,
                "method": stream.method,
                "route": stream.route,
                "outcome": stream.outcome,
                "code": stream.code,
            },
        )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)


class Watch:
    """One stream, its record and its observers."""

    __slots__ = ("_observers", "_told_of_pieces", "record")

    clock = staticmethod(time.perf_counter)

    def __init__(self, record: StreamRecord, observers: list[Observer]) -> None:
        self.record = record
        self._observers = observers
        # Those that want to know, and have not failed: of thousands of pieces, one line in the log is enough.
        self._told_of_pieces = [
            one for one in observers if getattr(getattr(one, "wrote", None), "__func__", None) is not Observer.wrote
        ]

    def started(self) -> None:
        self.record._began = self.clock()
        for observer in self._observers:
            self._tell(observer, "started")

    def wrote(self, size: int, frames: int, *, messages: bool, since: float) -> None:
        """A piece was sent in a call that began at `since`, with `messages` in it or without.

        `frames` is the number of the stream's messages up to here.
        """
        now = self.clock()
        self.record.stalled += now - since
        self._piece(size, frames, messages, now)

    def _piece(self, size: int, frames: int, messages: bool, now: float) -> None:
        record = self.record
        record.writes += 1
        record.bytes += size
        record.frames = frames
        record.gap = None
        if messages:
            if record.first is None:
                record.first = now - record._began
            else:
                record.gap = now - record._last
                record.longest_gap = max(record.longest_gap, record.gap)
            record._last = now
        for observer in self._told_of_pieces:
            self._tell(observer, "wrote", size)

    def ended(self, outcome: Outcome, code: str | None, frames: int) -> None:
        record = self.record
        record.outcome, record.code, record.frames = outcome, code, frames
        record.seconds = self.clock() - record._began
        for observer in self._observers:
            self._tell(observer, "ended")

    def timing(self, *, messages: bool) -> dict[str, Any]:
        """What the trailers say with `timing=True`: seconds, to the microsecond. Whether the last piece, which is yet
        to be sent, has `messages`."""
        record, now = self.record, self.clock()
        first, gap = record.first, record.longest_gap
        if messages:
            if first is None:
                first = now - record._began
            else:
                gap = max(gap, now - record._last)
        return {
            "first": None if first is None else round(first, 6),
            "gap": round(gap, 6),
            "stalled": round(record.stalled, 6),
        }

    def _tell(self, observer: Observer, call: str, *arguments: Any) -> None:
        try:
            getattr(observer, call)(self.record, *arguments)
        except Exception:
            self._told_of_pieces = [one for one in self._told_of_pieces if one is not observer]
            logger.exception("an observer has failed; the stream goes on")


class ReadWatch(Watch):
    """A stream that is read."""

    __slots__ = ("_given",)

    def __init__(self, record: StreamRecord, observers: list[Observer]) -> None:
        super().__init__(record, observers)
        self._given: float | None = None  # when the program got what was read last

    def reads(self) -> None:
        """The program asks for more."""
        if self._given is not None:
            self.record.stalled += self.clock() - self._given
            self._given = None

    def read(self, size: int, frames: int) -> None:
        """A piece was read. `frames` is the number of the stream's messages up to here, at least the first of this
        piece included."""
        self._given = now = self.clock()
        self._piece(size, frames, frames > self.record.frames, now)


def observing(own: Observer | None) -> list[Observer] | None:
    """Who is to be told of a stream that begins; `None` if nobody wants to know."""
    if own is None and not observers:
        return None
    return [*observers, *(() if own is None else (own,))]
