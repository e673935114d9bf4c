"""Metrics of streams for Prometheus, with prometheus-client [extra: prometheus].

    from prometheus_client import make_asgi_app
    from objectstreaming.observe import observers
    from objectstreaming.prometheus import PrometheusObserver

    observers.append(PrometheusObserver())
    app.mount("/metrics", make_asgi_app())

A server's streams have the labels `route`, the template of the route and never the path, and `coder`:

    objectstreaming_streams_active                gauge       being sent
    objectstreaming_streams_total{outcome}        counter     ended: ok, left, or the code of the error
    objectstreaming_first_frame_seconds           histogram   from the beginning to the first messages
    objectstreaming_gap_seconds                   histogram   between two pieces with messages
    objectstreaming_stream_seconds{outcome}       histogram   from the beginning to the end
    objectstreaming_sent_bytes_total              counter
    objectstreaming_sent_frames_total             counter
    objectstreaming_pings_total                   counter     sent in silence
    objectstreaming_stalled_seconds_total         counter     waited for slow readers

The streams that a client reads are `objectstreaming_client_...`, with `received_bytes_total` and
`received_frames_total`, and the label `server`, host and port of the URL, for `route`. Those of duplex connections are
`objectstreaming_duplex_...`, with `bytes_total` and `frames_total`, the label `direction` (`sent` or `received`)
besides, and `interrupts_total`.

With several worker processes prometheus-client needs `PROMETHEUS_MULTIPROC_DIR`; `streams_active` is then the sum of
the processes that live.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from .extras import extra
from .observe import Observer, StreamRecord

with extra("prometheus"):
    from prometheus_client import REGISTRY, Counter, Gauge, Histogram

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

__all__ = ["PrometheusObserver"]

WAITS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds of the buckets of a wait, in seconds."""

STREAMS: Final = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0)
"""Those of a whole stream."""


class PrometheusObserver(Observer):
    """Counts streams in the metrics of prometheus-client. Make one for a registry, and append it to `observers`.

    Args:
        registry: where the metrics are registered; by default that of the process, which `/metrics` shows.

    Raises:
        ValueError: The registry has these metrics already.

    >>> from prometheus_client import CollectorRegistry
    >>> from objectstreaming.observe import StreamRecord
    >>> registry = CollectorRegistry()
    >>> observer = PrometheusObserver(registry)
    >>> stream = StreamRecord("GET", "/ask", "json")
    >>> observer.started(stream)
    >>> stream.outcome, stream.frames, stream.seconds = "ok", 10, 0.5
    >>> observer.ended(stream)
    >>> registry.get_sample_value("objectstreaming_sent_frames_total", {"route": "", "coder": "json"})
    10.0
    """

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        duplex = _Metrics(registry, "objectstreaming_duplex", ("route", "coder", "direction"), "")
        self._metrics = {
            "server": _Metrics(registry, "objectstreaming", ("route", "coder"), "sent_"),
            "client": _Metrics(registry, "objectstreaming_client", ("server", "coder"), "received_"),
            "sent": duplex,
            "received": duplex,
        }
        self._streams: dict[StreamRecord, _Children] = {}

    def started(self, stream: StreamRecord) -> None:
        metrics = self._metrics[stream.kind]
        labels = [stream.route, stream.coder]
        if stream.kind == "client" or stream.scope is None:
            labels[0] = urlsplit(stream.url).netloc
        if stream.kind in ("sent", "received"):
            labels.append(stream.kind)
        # `labels` is a dict and a lock: once for each stream, and not for each write.
        self._streams[stream] = children = _Children(metrics, labels)
        children.active.inc()

    def wrote(self, stream: StreamRecord, size: int) -> None:
        children = self._streams[stream]
        if stream.gap is not None:
            children.gap.observe(stream.gap)
        elif stream.first is not None and not children.has_first:
            children.has_first = True
            children.first.observe(stream.first)

    def ended(self, stream: StreamRecord) -> None:
        children = self._streams.pop(stream)
        metrics, labels = children.metrics, children.labels
        children.active.dec()
        metrics.streams.labels(*labels, stream.result).inc()
        metrics.seconds.labels(*labels, stream.result).observe(stream.seconds)
        for counter, value in (
            (metrics.bytes, stream.bytes),
            (metrics.frames, stream.frames),
            (metrics.pings, stream.pings),
            (metrics.stalled, stream.stalled),
            (metrics.interrupts, stream.interrupts),
        ):
            if counter is not None:
                counter.labels(*labels).inc(value)


class _Metrics:
    """The metrics of one kind of streams."""

    def __init__(self, registry: CollectorRegistry, name: str, labels: tuple[str, ...], moved: str) -> None:
        def counter(what: str, text: str, more: tuple[str, ...] = ()) -> Counter:
            return Counter(f"{name}_{what}", text, (*labels, *more), registry=registry)

        def histogram(what: str, text: str, bounds: tuple[float, ...], more: tuple[str, ...] = ()) -> Histogram:
            return Histogram(f"{name}_{what}", text, (*labels, *more), buckets=bounds, registry=registry)

        self.active = Gauge(
            f"{name}_streams_active",
            "Streams that have begun and not ended",
            labels,
            registry=registry,
            multiprocess_mode="livesum",
        )
        outcome = ("outcome",)
        self.streams = counter("streams", "Streams that have ended: ok, left, or the code of the error", outcome)
        self.first = histogram("first_frame_seconds", "From the beginning to the first messages", WAITS)
        self.gap = histogram("gap_seconds", "Between two pieces with messages", WAITS)
        self.seconds = histogram("stream_seconds", "From the beginning to the end", STREAMS, outcome)
        self.bytes = counter(f"{moved}bytes", "Bytes of bodies")
        self.frames = counter(f"{moved}frames", "Messages")
        self.pings = counter("pings", "Pings, which are sent in silence")
        self.stalled = counter("stalled_seconds", "How long senders waited for slow readers")
        self.interrupts = None if moved else counter("interrupts", "Interrupts of a direction")


class _Children:
    """The metrics of one stream, which it has while it lasts."""

    __slots__ = ("active", "first", "gap", "has_first", "labels", "metrics")

    def __init__(self, metrics: _Metrics, labels: list[str]) -> None:
        self.metrics = metrics
        self.labels = labels
        self.active = metrics.active.labels(*labels)
        self.first = metrics.first.labels(*labels)
        self.gap = metrics.gap.labels(*labels)
        self.has_first = False
