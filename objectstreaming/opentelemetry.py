"""Spans and metrics of streams for OpenTelemetry, with its API alone [extra: opentelemetry].

    from objectstreaming.observe import observers
    from objectstreaming.opentelemetry import OpenTelemetryObserver

    observers.append(OpenTelemetryObserver())

Without the SDK, or where nothing is exported, this does nothing.

**Spans.** One for each stream, `stream /ask` in a server, with the event `first_frame` and these attributes at its end:
`objectstreaming.coder`, `.version` (that of the wire; absent for other formats), `.outcome`, `.frames`, `.bytes`,
`.pings`, `.stalled`, `.longest_gap` and `.time_to_first_frame` (seconds). A stream that failed has the status ERROR and
`error.type`, the code of the error. One that was left by its reader has not: nothing is wrong with it. There is no span
for a frame, and none for a write. In a server the span is the current one while the source runs, in a task as in a
thread, so that the spans of the source are its children.

**Metrics.** `objectstreaming.server.time_to_first_frame`, `objectstreaming.server.gap` (histograms, seconds) and
`objectstreaming.server.active_streams`, with the attributes `http.route` and `objectstreaming.coder`. Where the
observer is told which `provider` of a model is behind the streams, also the ones that the semantic conventions for
generative AI name, all of which have the status Development: `gen_ai.server.time_to_first_token` for the streams of a
server, `gen_ai.client.operation.time_to_first_chunk` and `gen_ai.client.operation.time_per_output_chunk` for those that
a client reads.
"""

from __future__ import annotations

from contextvars import Token
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from .extras import extra
from .observe import Observer, StreamRecord
from .protocol import MEDIA_TYPE, VERSION

with extra("opentelemetry"):
    from opentelemetry import context, metrics, trace
    from opentelemetry.trace import Span, Status, StatusCode

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

__all__ = ["OpenTelemetryObserver"]

NAME: Final = "objectstreaming"

WAITS: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
"""Upper bounds of the buckets of a wait, in seconds: those of `http.server.request.duration`."""

TOKENS: Final = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""Those of `gen_ai.server.time_to_first_token`."""

CHUNKS: Final = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
"""Those of `gen_ai.client.operation.time_to_first_chunk` and `.time_per_output_chunk`."""


class OpenTelemetryObserver(Observer):
    """Makes a span of each stream, and the metrics above. Append it to `observers`.

    Args:
        provider: `gen_ai.provider.name` of the model behind the streams, for example "openai"; without it there are no
            metrics of generative AI.
        model: `gen_ai.request.model`, where all streams have the same.
        operation: `gen_ai.operation.name`.
        tracer_provider: by default the one that is set for the process.
        meter_provider: the same for metrics.

    >>> observer = OpenTelemetryObserver(provider="openai", model="gpt-5")
    """

    def __init__(
        self,
        *,
        provider: str | None = None,
        model: str | None = None,
        operation: str = "chat",
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
    ) -> None:
        from . import __version__

        self._tracer = trace.get_tracer(NAME, __version__, tracer_provider)
        meter = metrics.get_meter(NAME, __version__, meter_provider)

        def histogram(name: str, text: str, bounds: tuple[float, ...]) -> metrics.Histogram:
            return meter.create_histogram(name, "s", text, explicit_bucket_boundaries_advisory=list(bounds))

        first, gap = "From the beginning to the first messages", "Between two pieces with messages"
        self._active = meter.create_up_down_counter("objectstreaming.server.active_streams", "{stream}", "Being sent")
        self._first = histogram("objectstreaming.server.time_to_first_frame", first, WAITS)
        self._gap = histogram("objectstreaming.server.gap", gap, WAITS)
        self._model: dict[str, str | int] | None = None
        if provider is not None:
            self._model = {"gen_ai.operation.name": operation, "gen_ai.provider.name": provider}
            if model is not None:
                self._model["gen_ai.request.model"] = model
            self._first_token = histogram("gen_ai.server.time_to_first_token", first, TOKENS)
            self._first_chunk = histogram("gen_ai.client.operation.time_to_first_chunk", first, CHUNKS)
            self._chunk = histogram("gen_ai.client.operation.time_per_output_chunk", gap, CHUNKS)
        self._streams: dict[StreamRecord, _Traced] = {}

    def started(self, stream: StreamRecord) -> None:
        where = _where(stream)
        name = stream.route if stream.scope is not None else str(where.get("server.address", ""))
        span = self._tracer.start_span(f"stream {name}".rstrip(), attributes=where)
        # The reader's own block may be left in another context than it was entered in, so only a source gets the span.
        token = context.attach(trace.set_span_in_context(span)) if stream.kind == "server" else None
        self._streams[stream] = _Traced(span, token, where)
        if stream.kind == "server":
            self._active.add(1, where)

    def wrote(self, stream: StreamRecord, size: int) -> None:
        traced = self._streams[stream]
        if stream.gap is not None:
            if stream.kind == "server":
                self._gap.record(stream.gap, traced.where)
            elif stream.kind == "client" and self._model is not None:
                self._chunk.record(stream.gap, traced.where | self._model)
        elif stream.first is not None and not traced.has_first:
            traced.has_first = True
            traced.span.add_event("first_frame")
            if stream.kind == "server":
                self._first.record(stream.first, traced.where)
                if self._model is not None:
                    self._first_token.record(stream.first, self._model)
            elif stream.kind == "client" and self._model is not None:
                self._first_chunk.record(stream.first, traced.where | self._model)

    def ended(self, stream: StreamRecord) -> None:
        traced = self._streams.pop(stream)
        span = traced.span
        if stream.kind == "server":
            self._active.add(-1, traced.where)
        span.set_attributes(_attributes(stream))
        if stream.outcome in ("failed", "aborted"):
            span.set_attribute("error.type", stream.result)
            span.set_status(Status(StatusCode.ERROR, stream.result))
        if traced.token is not None:
            context.detach(traced.token)
        span.end()


class _Traced:
    """One stream while it lasts."""

    __slots__ = ("has_first", "span", "token", "where")

    def __init__(self, span: Span, token: Token[Any] | None, where: dict[str, str | int]) -> None:
        self.span = span
        self.token = token
        self.where = where
        self.has_first = False


def _where(stream: StreamRecord) -> dict[str, str | int]:
    """Which route, or which server. No path and no client: each of them would be a series of its own."""
    where: dict[str, str | int] = {"objectstreaming.coder": stream.coder}
    if stream.kind in ("sent", "received"):
        where["objectstreaming.direction"] = stream.kind
    if stream.scope is not None:
        where["http.route"] = stream.route
        return where
    parts = urlsplit(stream.url)
    if parts.hostname is not None:
        where["server.address"] = parts.hostname
        if parts.port is not None:
            where["server.port"] = parts.port
    return where


def _attributes(stream: StreamRecord) -> dict[str, str | int | float]:
    found: dict[str, str | int | float] = {
        "objectstreaming.outcome": stream.result,
        "objectstreaming.frames": stream.frames,
        "objectstreaming.bytes": stream.bytes,
        "objectstreaming.pings": stream.pings,
        "objectstreaming.stalled": stream.stalled,
        "objectstreaming.longest_gap": stream.longest_gap,
    }
    if stream.media_type == MEDIA_TYPE or stream.kind in ("sent", "received"):
        found["objectstreaming.version"] = VERSION
    if stream.first is not None:
        found["objectstreaming.time_to_first_frame"] = stream.first
    if stream.kind in ("sent", "received"):
        found["objectstreaming.interrupts"] = stream.interrupts
    return found
