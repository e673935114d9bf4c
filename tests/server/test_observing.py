"""What became of a stream: the one line in the log, and what observers are told."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import json
import logging
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any, cast

import pytest
from fake_clock import on_a_fake_clock
from fastapi import FastAPI, HTTPException
from seen_streams import Broken, Seen
from starlette.responses import JSONResponse
from starlette.testclient import TestClient
from starlette.types import Message
from test_response import CODER, PLAIN, V1, Call

from objectstreaming import StreamError, StreamIncomplete
from objectstreaming.observe import AccessLog, Observer, StreamRecord, Watch, observers
from objectstreaming.server import FrameResponse, ResponseAborted, error_handlers

SSE = "text/event-stream"


async def gives(count: int, error: BaseException | None = None) -> AsyncIterator[Any]:
    for n in range(count):
        yield {}, n
    if error is not None:
        raise error


def sync_gives(count: int, error: BaseException | None = None) -> Iterator[Any]:
    for n in range(count):
        yield {}, n
    if error is not None:
        raise error


async def run(call: Call, path: str = "/ask") -> Call:
    call.scope["path"] = path
    with contextlib.suppress(ResponseAborted):
        await call.run()
    return call


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    records = [record for record in caplog.records if record.name.startswith("objectstreaming")]
    return [(record.levelname, record.getMessage()) for record in records]


@pytest.fixture(autouse=True)
def _log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)


class TestTheLog:
    @pytest.mark.parametrize("source", [gives, sync_gives])
    @pytest.mark.parametrize(("accept", "ended"), [(V1, "failed"), (PLAIN, "was broken off"), (SSE, "was broken off")])
    async def test_has_one_line_with_code_and_position(
        self, source: Any, accept: str, ended: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        failing = source(3, StreamError("unavailable", "the model fell over"))
        await run(Call(FrameResponse(failing, coder=CODER), accept=accept))
        assert lines(caplog) == [
            ("WARNING", f"GET /ask {ended} after 3 messages: unavailable: the model fell over"),
        ]
        [record] = caplog.records
        assert (record.code, record.position) == ("unavailable", 3)  # type: ignore[attr-defined]  for JSON formatters

    @pytest.mark.parametrize("accept", [V1, PLAIN])
    async def test_has_the_traceback_of_a_fault(self, accept: str, caplog: pytest.LogCaptureFixture) -> None:
        await run(Call(FrameResponse(gives(2, KeyError("x")), coder=CODER), accept=accept))
        [(level, line)] = lines(caplog)
        assert level == "ERROR"
        assert line.endswith("after 2 messages: internal: KeyError: 'x'")
        assert caplog.records[0].exc_info is not None

    @pytest.mark.parametrize("count", [0, 2])
    async def test_has_its_line_before_the_client_is_told(self, count: int, caplog: pytest.LogCaptureFixture) -> None:
        class Client(Call):
            async def send(self, message: Message) -> None:
                if b"unavailable" in message.get("body", b""):
                    assert len(lines(caplog)) == 1
                await super().send(message)

        call = await run(Client(FrameResponse(gives(count, StreamError("unavailable")), coder=CODER)))
        assert b"unavailable" in call.body

    async def test_has_nothing_about_a_whole_stream(self, caplog: pytest.LogCaptureFixture) -> None:
        await run(Call(FrameResponse(gives(2), coder=CODER)))
        assert lines(caplog) == []

    async def test_says_what_an_upstream_said_which_the_client_is_not_told(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        said = StreamError("unauthenticated", "key sk-1 is not valid")
        said.from_peer = True
        call = await run(Call(FrameResponse(gives(1, said), coder=CODER)))
        assert b"sk-1" not in call.body
        [(level, line)] = lines(caplog)
        assert level == "WARNING"
        assert line.endswith(": unavailable: a service behind this one said unauthenticated: key sk-1 is not valid")

    async def test_has_the_stream_that_a_deadline_ended(self, caplog: pytest.LogCaptureFixture) -> None:
        async def silent() -> AsyncIterator[Any]:
            yield {}, 1
            await asyncio.Event().wait()

        await run(Call(FrameResponse(silent(), coder=CODER, max_duration=0.01)))
        [(level, line)] = lines(caplog)
        assert (level, "after 1 messages: deadline_exceeded" in line) == ("WARNING", True)

    async def test_has_the_stream_that_was_cancelled(self, caplog: pytest.LogCaptureFixture) -> None:
        async def silent() -> AsyncIterator[Any]:
            yield {}, 1
            await asyncio.Event().wait()

        call = Call(FrameResponse(silent(), coder=CODER))
        task = asyncio.create_task(run(call))
        await call.until(lambda: len(call.sent) > 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        [(level, line)] = lines(caplog)
        assert (level, "failed after 1 messages: unavailable" in line) == ("WARNING", True)

    async def test_calls_a_client_that_left_no_failure(self, caplog: pytest.LogCaptureFixture) -> None:
        async def silent() -> AsyncIterator[Any]:
            yield {}, 1
            await asyncio.Event().wait()

        call = Call(FrameResponse(silent(), coder=CODER))
        task = asyncio.create_task(run(call))
        await call.until(lambda: len(call.sent) > 1)
        call.left.set()
        await task
        assert lines(caplog) == [("INFO", "GET /ask was left by its client after 1 messages: canceled")]

    @pytest.mark.parametrize(
        ("error", "line"),
        [
            (StreamError("not_found", "no such document"), ("INFO", "not_found: no such document")),
            (StreamError("unavailable", "full"), ("WARNING", "unavailable: full")),
            (HTTPException(429, {"limit": 5}), ("INFO", "resource_exhausted: HTTP 429, {'limit': 5}")),
            (StreamIncomplete("cut"), ("ERROR", "internal: StreamIncomplete: cut")),
        ],
    )
    async def test_has_a_failure_before_the_first_message(
        self, error: Exception, line: tuple[str, str], caplog: pytest.LogCaptureFixture
    ) -> None:
        await run(Call(FrameResponse(gives(0, error), coder=CODER)))
        assert lines(caplog) == [(line[0], f"GET /ask failed after 0 messages: {line[1]}")]

    def test_has_one_line_for_what_an_endpoint_raises_and_one_for_what_a_source_does(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        app = FastAPI(exception_handlers=error_handlers)

        @app.get("/endpoint")
        async def endpoint() -> None:
            raise StreamError("unavailable", "no model")

        @app.get("/source")
        async def source() -> FrameResponse:
            return FrameResponse(gives(0, StreamError("unavailable", "no model")), coder=CODER)

        with TestClient(app) as client:
            for path in ("/endpoint", "/source"):
                assert client.get(path).status_code == 503
        assert lines(caplog) == [
            ("WARNING", "GET /endpoint failed: unavailable: no model"),
            ("WARNING", "GET /source failed after 0 messages: unavailable: no model"),
        ]

    async def test_is_not_written_into_by_names(self, caplog: pytest.LogCaptureFixture) -> None:
        forged = "\nERROR a forged line \r\x1b[2J\u202e\u2028" + "x" * 10_000
        response = FrameResponse(gives(1, StreamError("not_found", forged)), coder=CODER)
        await run(Call(response), path="/ask" + forged)
        [(_, line)] = lines(caplog)
        assert line.isprintable()
        assert len(line) < 1_000

    async def test_of_the_server_is_not_written_into_either(self) -> None:
        call = Call(FrameResponse(gives(1, StreamError("not_found", "\nERROR forged")), coder=CODER), accept=PLAIN)
        with pytest.raises(ResponseAborted) as raised:  # which the server logs
            await call.run()
        assert str(raised.value).isprintable()


class TestAnObserver:
    @pytest.mark.parametrize("source", [gives, sync_gives])
    @pytest.mark.parametrize(("accept", "media_type"), [(V1, V1.partition(";")[0]), (PLAIN, PLAIN), (SSE, SSE)])
    async def test_is_told_of_a_whole_stream(self, source: Any, accept: str, media_type: str) -> None:
        seen = Seen()
        call = await run(Call(FrameResponse(source(5), coder=CODER, observer=seen), accept=accept))
        stream = seen.only
        assert (stream.outcome, stream.code, stream.status) == ("ok", None, 200)
        assert (stream.method, stream.url, stream.coder) == ("GET", "/ask", "json")
        assert stream.media_type == media_type
        assert stream.scope is call.scope
        assert (stream.frames, stream.bytes, stream.writes) == (5, len(call.body), len(seen.sizes))
        assert sum(seen.sizes) == len(call.body)
        assert stream.first is not None
        assert 0 <= stream.first <= stream.seconds

    @pytest.mark.parametrize(
        ("accept", "count", "error", "expected"),
        [
            (V1, 2, StreamError("unavailable"), ("failed", "unavailable", 200)),
            (PLAIN, 2, StreamError("unavailable"), ("aborted", "unavailable", 200)),
            (V1, 0, StreamError("not_found"), ("failed", "not_found", 404)),
            (V1, 0, HTTPException(418), ("failed", "unknown", 418)),
            (V1, 2, ValueError(), ("failed", "internal", 200)),
        ],
    )
    async def test_is_told_of_a_stream_that_failed(
        self, accept: str, count: int, error: Exception, expected: tuple[str, str, int]
    ) -> None:
        seen = Seen()
        await run(Call(FrameResponse(gives(count, error), coder=CODER, observer=seen), accept=accept))
        stream = seen.only
        assert (stream.outcome, stream.code, stream.status) == expected
        assert stream.frames == count

    def test_is_told_the_status_that_the_application_gave(self) -> None:
        seen = Seen()
        app = FastAPI()

        @app.exception_handler(ZeroDivisionError)
        def conflict(request: Any, error: Any) -> Any:
            return JSONResponse({}, 409)

        @app.get("/")
        async def answer() -> FrameResponse:
            return FrameResponse(gives(0, ZeroDivisionError()), coder=CODER, observer=seen)

        with TestClient(app) as client:
            assert client.get("/").status_code == 409
        assert (seen.only.outcome, seen.only.code, seen.only.status) == ("failed", "aborted", 409)

    async def test_is_told_of_a_client_that_left(self) -> None:
        seen = Seen()

        async def silent() -> AsyncIterator[Any]:
            yield {}, 1
            await asyncio.Event().wait()

        call = Call(FrameResponse(silent(), coder=CODER, observer=seen))
        task = asyncio.create_task(run(call))
        await call.until(lambda: len(call.sent) > 1)
        call.left.set()
        await task
        assert (seen.only.outcome, seen.only.code, seen.only.frames) == ("left", "canceled", 1)

    @on_a_fake_clock
    async def test_is_told_of_pings(self) -> None:
        seen = Seen()

        async def slow() -> AsyncIterator[Any]:
            yield {}, 1
            await asyncio.sleep(0.2)
            yield {}, 2

        call = await run(Call(FrameResponse(slow(), coder=CODER, heartbeat=0.02, observer=seen)))
        assert seen.only.pings == [control["type"] for control in call.control].count("ping") > 0

    async def test_of_the_process_is_told_of_every_stream_and_after_it_that_of_the_response(self) -> None:
        everywhere, here = Seen(), Seen()
        observers.append(everywhere)
        try:
            await run(Call(FrameResponse(gives(1), coder=CODER)))
            await run(Call(FrameResponse(gives(1), coder=CODER, observer=here)))
        finally:
            observers.remove(everywhere)
        await run(Call(FrameResponse(gives(1), coder=CODER)))
        assert len(everywhere.streams) == 2
        assert here.only is everywhere.streams[1]

    @pytest.mark.parametrize("source", [gives, sync_gives])
    async def test_may_set_context_variables_for_the_source(self, source: Any) -> None:
        trace: contextvars.ContextVar[str] = contextvars.ContextVar("trace")
        found = []

        class Tracing(Observer):
            def started(self, stream: StreamRecord) -> None:
                stream.state = trace.set("span 1")

            def ended(self, stream: StreamRecord) -> None:
                trace.reset(stream.state)  # raises in another context than that of `started`
                found.append("reset")

        class Asks:
            def __aiter__(self) -> Any:
                found.append(trace.get())
                return gives(1)

            def __iter__(self) -> Any:
                found.append(trace.get())
                return sync_gives(1)

        asks: Any = Asks()
        if source is sync_gives:
            del Asks.__aiter__
        await run(Call(FrameResponse(asks, coder=CODER, observer=Tracing())))
        assert found == ["span 1", "reset"]

    async def test_that_raises_harms_nothing(self, caplog: pytest.LogCaptureFixture) -> None:
        async def many() -> AsyncIterator[Any]:
            for n in range(40):
                yield {}, n
                await asyncio.sleep(0)

        seen, broken = Seen(), Broken()
        observers.append(broken)
        try:
            call = await run(Call(FrameResponse(many(), coder=CODER, observer=seen)))
        finally:
            observers.pop()
        assert len(call.received) == 40
        assert seen.only.outcome == "ok"
        assert broken.calls == ["started", "ended"], "not for each write"
        assert [level for level, _ in lines(caplog)] == ["ERROR", "ERROR"]


class TestTimes:
    def test_are_those_of_pieces_with_messages(self, monkeypatch: pytest.MonkeyPatch) -> None:
        now = 100.0
        monkeypatch.setattr(Watch, "clock", staticmethod(lambda: now))
        seen = Seen()
        watch = Watch(StreamRecord("GET", "/", "json"), [seen])
        watch.started()
        for passed, waited, messages in [(2.0, 0.5, False), (1.0, 0.0, True), (3.0, 1.0, False), (4.0, 0.0, True)]:
            now += passed
            since, now = now, now + waited
            watch.wrote(10, 1, messages=messages, since=since)
        now += 1.0
        watch.ended("ok", None, 2)
        stream = seen.only
        assert (stream.first, stream.longest_gap, stream.stalled, stream.seconds) == (3.5, 8.0, 1.5, 12.5)
        assert (stream.bytes, stream.writes) == (40, 4)
        assert seen.gaps == [None, None, None, 8.0]

    @pytest.mark.parametrize("accept", [V1, SSE])
    async def test_are_in_the_trailers_where_the_response_says_so(self, accept: str) -> None:
        response = FrameResponse(gives(3), coder=CODER, timing=True, trailers={"tokens": 3})
        call = await run(Call(response, accept=accept))
        end = (
            call.control[-1] if accept == V1 else json.loads(call.body.split(b"event: end\ndata: ")[1].split(b"\n")[0])
        )
        assert end["trailers"]["tokens"] == 3
        timing = end["trailers"]["timing"]
        assert timing["first"] > 0
        assert timing["gap"] >= 0
        assert timing["stalled"] >= 0

    async def test_are_not_in_the_trailers_otherwise_and_a_member_of_the_same_name_is_kept(self) -> None:
        call = await run(Call(FrameResponse(gives(1), coder=CODER, observer=Seen())))
        assert "trailers" not in call.control[-1]
        call = await run(Call(FrameResponse(gives(1), coder=CODER, timing=True, trailers={"timing": "own"})))
        assert call.control[-1]["trailers"] == {"timing": "own"}

    async def test_of_a_stream_without_messages_have_no_first(self) -> None:
        call = await run(Call(FrameResponse(gives(0), coder=CODER, timing=True)))
        assert call.control[-1]["trailers"]["timing"]["first"] is None

    def test_are_refused_for_a_stored_stream(self) -> None:
        with pytest.raises(ValueError, match="the same end for all its readers"):
            FrameResponse(gives(1), coder=CODER, timing=True, store=cast("Any", object()))


class TestTheAccessLog:
    async def test_has_a_line_for_every_stream(self, caplog: pytest.LogCaptureFixture) -> None:
        await run(Call(FrameResponse(gives(3), coder=CODER, observer=AccessLog())))
        await run(Call(FrameResponse(gives(1, StreamError("unavailable")), coder=CODER, observer=AccessLog())), "/a\nb")
        whole, failed = (record for record in caplog.records if record.name == "objectstreaming.access")
        assert re.fullmatch(
            r"stream /ask ok frames=3 bytes=\d+ first=0\.\d{3} gap=0\.\d{3} stalled=0\.\d{3} pings=0 seconds=0\.\d{3}",
            whole.getMessage(),
        )
        assert failed.getMessage().startswith(r"stream /a\nb unavailable frames=1 ")
        assert (failed.outcome, failed.code, failed.frames) == ("failed", "unavailable", 1)  # type: ignore[attr-defined]


class TestWithoutAnObserver:
    @pytest.mark.parametrize("accept", [V1, PLAIN])
    async def test_no_clock_is_read(self, accept: str, monkeypatch: pytest.MonkeyPatch) -> None:
        def clock() -> float:
            raise AssertionError("nobody wants to know")

        monkeypatch.setattr(Watch, "clock", staticmethod(clock))
        call = await run(Call(FrameResponse(gives(3), coder=CODER), accept=accept))
        assert len(call.received) == 3
