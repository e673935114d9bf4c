"""What Prometheus and OpenTelemetry show of streams, read where they are exported."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import re
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import yaml
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from prometheus_client import CollectorRegistry, make_asgi_app
from prometheus_client.parser import text_string_to_metric_families
from starlette.types import Message
from test_response import CODER, PLAIN, V1, Call

from objectstreaming import JsonCoder, StreamEncoder, StreamError
from objectstreaming.client import open_stream
from objectstreaming.duplex import Symbol, memory_pair
from objectstreaming.observe import AccessLog, Observer, observers
from objectstreaming.opentelemetry import OpenTelemetryObserver
from objectstreaming.prometheus import PrometheusObserver
from objectstreaming.server import FrameResponse, ResponseAborted

ROOT = Path(__file__).parents[2]


class Exported:
    """All three ways of seeing streams, and what each of them shows."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self._log = caplog
        self._registry = CollectorRegistry()
        self._spans = InMemorySpanExporter()
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self._spans))
        self._meter = InMemoryMetricReader()
        self.observers: list[Observer] = [
            AccessLog(),
            PrometheusObserver(self._registry),
            OpenTelemetryObserver(
                provider="a provider",
                model="a model",
                tracer_provider=self.tracers,
                meter_provider=MeterProvider([self._meter]),
            ),
        ]

    @property
    def lines(self) -> list[str]:
        return [record.getMessage() for record in self._log.records if record.name == "objectstreaming.access"]

    @property
    def spans(self) -> list[Any]:
        return list(self._spans.get_finished_spans())

    async def samples(self, **labels: str) -> dict[str, float]:
        """What `/metrics` serves with exactly these labels, buckets aside, by its name."""
        transport = httpx.ASGITransport(make_asgi_app(self._registry))
        async with httpx.AsyncClient(transport=transport) as client:
            served = (await client.get("http://server/metrics")).text
        families = text_string_to_metric_families(served)
        return {found.name: found.value for family in families for found in family.samples if found.labels == labels}

    @property
    def measured(self) -> dict[str, list[tuple[dict[str, Any], Any]]]:
        """What OpenTelemetry has measured: by the name of the metric, attributes and data points."""
        data = self._meter.get_metrics_data()
        found: dict[str, list[tuple[dict[str, Any], Any]]] = {}
        for resource in data.resource_metrics if data is not None else ():
            for metric in resource.scope_metrics[0].metrics:
                found[metric.name] = [(dict(point.attributes), point) for point in metric.data.data_points]
        return found


@pytest.fixture
def exported(caplog: pytest.LogCaptureFixture) -> Iterator[Exported]:
    caplog.set_level(logging.INFO)
    exported = Exported(caplog)
    observers.extend(exported.observers)
    yield exported
    for observer in exported.observers:
        observers.remove(observer)


async def gives(count: int, error: BaseException | None = None) -> AsyncIterator[Any]:
    for n in range(count):
        yield {}, n
        await asyncio.sleep(0)
    if error is not None:
        raise error


async def run(call: Call) -> Call:
    call.scope["route"] = SimpleNamespace(path="/ask/{user}")
    call.scope["path"] = "/ask/ada"
    with contextlib.suppress(ResponseAborted):
        await call.run()
    return call


SERVED = {"route": "/ask/{user}", "coder": "json"}


class TestALateFailure:
    @pytest.mark.parametrize("accept", [V1, PLAIN])
    async def test_is_seen_everywhere(self, accept: str, exported: Exported) -> None:
        await run(Call(FrameResponse(gives(3, StreamError("unavailable")), coder=CODER), accept=accept))
        [line] = exported.lines
        assert line.startswith("stream /ask/ada unavailable frames=3 ")
        samples = await exported.samples(**SERVED, outcome="unavailable")
        assert samples["objectstreaming_streams_total"] == 1
        assert samples["objectstreaming_stream_seconds_count"] == 1
        [span] = exported.spans
        assert (span.name, span.status.status_code) == ("stream /ask/{user}", StatusCode.ERROR)
        assert span.attributes["error.type"] == span.attributes["objectstreaming.outcome"] == "unavailable"
        assert span.attributes["objectstreaming.frames"] == 3
        assert [event.name for event in span.events] == ["first_frame"]


class TestAReaderThatLeft:
    async def test_is_seen_everywhere_and_is_no_error(self, exported: Exported) -> None:
        async def silent() -> AsyncIterator[Any]:
            yield {}, 1
            await asyncio.Event().wait()

        call = Call(FrameResponse(silent(), coder=CODER))
        task = asyncio.create_task(run(call))
        await call.until(lambda: len(call.sent) > 1)
        assert (await exported.samples(**SERVED))["objectstreaming_streams_active"] == 1
        call.left.set()
        await task
        [line] = exported.lines
        assert line.startswith("stream /ask/ada left frames=1 ")
        assert (await exported.samples(**SERVED, outcome="left"))["objectstreaming_streams_total"] == 1
        assert (await exported.samples(**SERVED))["objectstreaming_streams_active"] == 0
        [span] = exported.spans
        assert span.status.status_code is StatusCode.UNSET
        assert span.attributes["objectstreaming.outcome"] == "left"
        assert "error.type" not in span.attributes


class TestAStall:
    async def test_is_seen_everywhere(self, exported: Exported) -> None:
        class Slow(Call):
            async def send(self, message: Message) -> None:
                if b"0" in message.get("body", b""):
                    await asyncio.sleep(0.05)
                await super().send(message)

        await run(Slow(FrameResponse(gives(1), coder=CODER)))
        [line] = exported.lines
        found = re.search(r" stalled=(\S+) ", line)
        assert found is not None
        assert float(found[1]) >= 0.05
        assert (await exported.samples(**SERVED))["objectstreaming_stalled_seconds_total"] >= 0.05
        [span] = exported.spans
        assert span.attributes["objectstreaming.stalled"] >= 0.05


class TestPrometheus:
    async def test_counts_frames_bytes_pings_and_times(self, exported: Exported) -> None:
        calls = [await run(Call(FrameResponse(gives(3), coder=CODER))) for _ in range(2)]
        samples = await exported.samples(**SERVED)
        assert samples["objectstreaming_sent_frames_total"] == 6
        assert samples["objectstreaming_sent_bytes_total"] == sum(len(call.body) for call in calls)
        assert samples["objectstreaming_pings_total"] == 0
        assert samples["objectstreaming_first_frame_seconds_count"] == 2
        assert samples["objectstreaming_gap_seconds_count"] >= 1
        assert samples["objectstreaming_streams_active"] == 0

    async def test_has_metrics_of_its_own_for_what_a_client_reads(self, exported: Exported) -> None:
        read(error=StreamError("unavailable"))
        labels = {"server": "server:81", "coder": "json"}
        samples = await exported.samples(**labels)
        assert samples["objectstreaming_client_received_frames_total"] == 2
        assert samples["objectstreaming_client_streams_active"] == 0
        ended = await exported.samples(**labels, outcome="unavailable")
        assert ended["objectstreaming_client_streams_total"] == 1
        assert await exported.samples(**SERVED) == {}

    async def test_has_metrics_of_its_own_for_duplex_connections(self, exported: Exported) -> None:
        ann, bob = memory_pair()
        async with ann, bob:
            await ann.send(Symbol.text("Hello"))
        sent = await exported.samples(route="", coder="symbol", direction="sent")
        assert sent["objectstreaming_duplex_frames_total"] == 1
        assert sent["objectstreaming_duplex_interrupts_total"] == 0
        received = await exported.samples(route="", coder="symbol", direction="received", outcome="ok")
        assert received["objectstreaming_duplex_streams_total"] == 2


def read(error: StreamError | None = None) -> None:
    encoder = StreamEncoder(JsonCoder())
    pieces = [encoder.open(), encoder.data({}, 1), encoder.data({}, 2), encoder.end(error=error)]
    headers = {"Content-Type": "application/vnd.objectstreaming;v=1;coder=json"}
    transport = httpx.MockTransport(lambda _: httpx.Response(200, headers=headers, content=iter(pieces)))
    with (
        contextlib.suppress(StreamError),
        httpx.Client(transport=transport) as client,
        open_stream(client, "GET", "http://server:81/ask/ada?key=secret", coder=JsonCoder()) as stream,
    ):
        stream.read_all()


class TestOpenTelemetry:
    @pytest.mark.parametrize("kind", ["a task", "a thread"])
    async def test_the_spans_of_a_source_are_children_of_its_stream(self, kind: str, exported: Exported) -> None:
        tracer = exported.tracers.get_tracer("test")

        def in_thread() -> Iterator[Any]:
            assert threading.current_thread() is not threading.main_thread()
            with tracer.start_as_current_span("think"):
                yield {}, 1

        async def in_task() -> AsyncIterator[Any]:
            with tracer.start_as_current_span("think"):
                yield {}, 1

        with tracer.start_as_current_span("request"):
            await run(Call(FrameResponse(in_task() if kind == "a task" else in_thread(), coder=CODER)))
            assert trace.get_current_span().name == "request"  # type: ignore[attr-defined]
        think, stream, request = exported.spans
        assert think.parent.span_id == stream.context.span_id
        assert stream.parent.span_id == request.context.span_id

    async def test_has_the_conventions_metrics_of_a_server(self, exported: Exported) -> None:
        await run(Call(FrameResponse(gives(3), coder=CODER)))
        measured = exported.measured
        [(attributes, first)] = measured["objectstreaming.server.time_to_first_frame"]
        assert attributes == {"http.route": "/ask/{user}", "objectstreaming.coder": "json"}
        assert first.count == 1
        [(_, gap)] = measured["objectstreaming.server.gap"]
        assert gap.count >= 1
        [(_, active)] = measured["objectstreaming.server.active_streams"]
        assert active.value == 0
        [(attributes, token)] = measured["gen_ai.server.time_to_first_token"]
        assert attributes["gen_ai.provider.name"] == "a provider"
        assert token.explicit_bounds[:2] == (0.001, 0.005)
        assert "gen_ai.client.operation.time_to_first_chunk" not in measured

    async def test_has_the_conventions_metrics_of_a_client(self, exported: Exported) -> None:
        read()
        measured = exported.measured
        [(attributes, first)] = measured["gen_ai.client.operation.time_to_first_chunk"]
        assert first.count == 1
        assert (attributes["server.address"], attributes["server.port"]) == ("server", 81)
        assert (attributes["gen_ai.operation.name"], attributes["gen_ai.request.model"]) == ("chat", "a model")
        [(_, gap)] = measured["gen_ai.client.operation.time_per_output_chunk"]
        assert gap.count == 1
        [span] = exported.spans
        assert span.name == "stream server"
        assert "secret" not in str(dict(span.attributes))

    async def test_without_a_provider_has_none_of_them(self) -> None:
        meter = InMemoryMetricReader()
        observer = OpenTelemetryObserver(meter_provider=MeterProvider([meter]))
        await run(Call(FrameResponse(gives(1), coder=CODER, observer=observer)))
        data = meter.get_metrics_data()
        assert data is not None
        names = {metric.name for metric in data.resource_metrics[0].scope_metrics[0].metrics}
        assert "objectstreaming.server.time_to_first_frame" in names
        assert not any(name.startswith("gen_ai") for name in names)


def exported_names() -> set[str]:
    registry = CollectorRegistry()
    PrometheusObserver(registry)
    suffixes = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_count", "_sum")}
    return {family.name + suffix for family in registry.collect() for suffix in suffixes[family.type]}


@pytest.mark.parametrize("page", ["docs/observing.md", "docs/alerts.yml", "docs/grafana.json"])
def test_every_metric_that_the_documentation_names_is_exported(page: str) -> None:
    named = set(re.findall(r"\bobjectstreaming_[a-z_]*[a-z]\b", (ROOT / page).read_text()))
    assert named, "it names no metric"
    # A page also names histograms, which are exported with suffixes only.
    families = {name.removesuffix("_bucket") for name in exported_names()} if page.endswith(".md") else set()
    assert named <= exported_names() | families


def test_the_alerts_and_the_dashboard_are_whole() -> None:
    [group] = yaml.safe_load((ROOT / "docs/alerts.yml").read_text())["groups"]
    for rule in group["rules"]:
        assert {"alert", "expr", "for", "labels", "annotations"} <= set(rule)
    dashboard = json.loads((ROOT / "docs/grafana.json").read_text())
    assert {panel["title"] for panel in dashboard["panels"]} >= {"Active streams", "Outcomes", "First frame"}
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            assert "$" in target["expr"], "it follows the dashboard's variables"
