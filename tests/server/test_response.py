"""FrameResponse: what a client gets, when, and what happens to the source. In process, and over a real uvicorn."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gzip
import io
import json
import logging
import resource
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import anyio
import httpx
import pytest
import uvicorn
from deadlines import DEADLINE, until
from fake_clock import on_a_fake_clock
from fastapi import FastAPI, HTTPException
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message

from objectstreaming import (
    EncodeError,
    Frame,
    FrameDecoder,
    JsonCoder,
    Limits,
    RawCoder,
    StreamDecoder,
    StreamEncoder,
    StreamError,
    encode_frame,
)
from objectstreaming.errors import HTTP_STATUS
from objectstreaming.server import FrameResponse, ResponseAborted, end_streams, sources

V1 = "application/vnd.objectstreaming;v=1"
PLAIN = "application/octet-stream"
CODER: JsonCoder[dict[str, Any], Any] = JsonCoder()

MESSAGES = [({"n": n}, f"message {n}") for n in range(5)]
WIRE = b"".join(CODER.encode(header, payload) for header, payload in MESSAGES)


async def messages(count: int = 5) -> AsyncIterator[tuple[dict[str, Any], Any]]:
    for n in range(count):
        yield {"n": n}, f"message {n}"


def sync_messages(count: int = 5) -> Iterator[tuple[dict[str, Any], Any]]:
    for n in range(count):
        yield {"n": n}, f"message {n}"


# ---------------------------------------------------------------------------------------------- two ways to call it


class Call:
    """One request to a response, in process. `gate`, if given, is what each `send` of a body waits for."""

    def __init__(
        self, response: Response, *, accept: str | None = V1, method: str = "GET", gate: asyncio.Event | None = None
    ) -> None:
        self.response = response
        self.scope: dict[str, Any] = {
            "type": "http",
            "method": method,
            "headers": [] if accept is None else [(b"accept", accept.encode())],
        }
        self.gate = gate
        self.sent: list[Message] = []
        self.left = asyncio.Event()
        self._changed = asyncio.Condition()

    async def run(self) -> Call:
        async with asyncio.timeout(DEADLINE):
            await self.response(self.scope, self.receive, self.send)
        return self

    async def receive(self) -> Message:
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if self.gate is not None and message["type"] == "http.response.body":
            await self.gate.wait()
        async with self._changed:
            self.sent.append(message)
            self._changed.notify_all()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE), self._changed:
            await self._changed.wait_for(condition)

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    @property
    def headers(self) -> httpx.Headers:
        return httpx.Headers(self.sent[0]["headers"])

    @property
    def bodies(self) -> list[bytes]:
        return [message["body"] for message in self.sent[1:]]

    @property
    def body(self) -> bytes:
        return b"".join(self.bodies)

    @property
    def control(self) -> list[dict[str, Any]]:
        frames = list(FrameDecoder().feed(self.body))
        return [frame.header["$stream"] for frame in frames if "$stream" in frame.header]

    @property
    def received(self) -> list[tuple[Any, Any]]:
        return list(StreamDecoder(CODER).feed(self.body))


class Server(uvicorn.Server):
    """A server with an event for when it has started."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.has_started = asyncio.Event()

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        self.has_started.set()


@contextlib.asynccontextmanager
async def served(app: Any, **options: Any) -> AsyncIterator[tuple[Server, int]]:
    """A uvicorn on a free loopback port, in this event loop."""
    config = uvicorn.Config(app, port=0, lifespan="off", log_config=None, access_log=False, **options)
    server = Server(config)
    serving = asyncio.create_task(server.serve())
    try:
        async with asyncio.timeout(DEADLINE):
            await server.has_started.wait()
        yield server, server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await serving


def app_with(
    respond: Callable[[], Response], layers: int = 0, inside: Callable[[Any], Any] | None = None, **options: Any
) -> FastAPI:
    """An application that answers /stream, behind that many `@app.middleware("http")` and `inside` those."""

    async def pass_on(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        return await call_next(request)

    middleware = [Middleware(BaseHTTPMiddleware, dispatch=pass_on)] * layers
    if inside is not None:
        middleware.append(Middleware(inside))  # type: ignore[arg-type]
    app = FastAPI(middleware=middleware, **options)

    @app.get("/stream", response_class=FrameResponse)
    async def stream() -> Response:
        return respond()

    return app


async def get(port: int, accept: str = V1, **headers: str) -> httpx.Response:
    async with httpx.AsyncClient() as client:
        return await client.get(f"http://127.0.0.1:{port}/stream", headers={"Accept": accept, **headers})


@contextlib.asynccontextmanager
async def connected(port: int, accept: str = V1) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A bare connection that has asked for /stream."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
    writer.write(f"GET /stream HTTP/1.1\r\nHost: x\r\nAccept: {accept}\r\n\r\n".encode())
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


# ---------------------------------------------------------------------------------------------- what a client gets


async def test_a_client_that_asks_for_version_1_gets_open_messages_and_end() -> None:
    call = await Call(FrameResponse(messages(), coder=CODER, heartbeat=7, metadata={"model": "m"})).run()
    assert call.status == 200
    assert call.received == MESSAGES
    opening = {"type": "open", "v": 1, "coder": "json", "heartbeat": 7, "metadata": {"model": "m"}}
    assert call.control == [opening, {"type": "end", "frames": 5}]
    assert call.sent[-1]["more_body"] is False


@pytest.mark.parametrize("accept", [PLAIN, "*/*", None])
async def test_any_other_client_gets_the_data_frames_and_nothing_else(accept: str | None) -> None:
    call = await Call(FrameResponse(messages(), coder=CODER), accept=accept).run()
    assert (call.status, call.headers["content-type"], call.body) == (200, PLAIN, WIRE)


async def test_headers_keep_caches_proxies_and_middleware_from_buffering_the_stream() -> None:
    response = FrameResponse(
        messages(), coder=CODER, status_code=201, headers={"X-Mine": "1", "Vary": "Origin", "Content-Length": "5"}
    )
    call = await Call(response).run()
    assert call.status == 201
    assert dict(call.headers) == {
        "cache-control": "no-store, no-transform",
        "content-encoding": "identity",
        "content-type": "application/vnd.objectstreaming;v=1;coder=json",
        "vary": "Origin, Accept",
        "x-accel-buffering": "no",
        "x-mine": "1",
    }


async def test_a_client_that_can_read_neither_gets_406_and_the_types_there_are() -> None:
    call = await Call(FrameResponse(messages(), coder=CODER), accept="text/html").run()
    assert (call.status, call.headers["vary"]) == (406, "Accept")
    assert "application/vnd.objectstreaming;v=1;coder=json" in json.loads(call.body)["message"]


async def test_a_head_request_gets_the_headers_and_runs_no_source() -> None:
    def source() -> Iterator[tuple[dict[str, Any], Any]]:
        raise AssertionError("the source was run")
        yield

    call = await Call(FrameResponse(source(), coder=CODER), method="HEAD").run()
    assert (call.status, call.headers["content-type"], call.body) == (200, f"{V1};coder=json", b"")


async def test_an_empty_source_is_a_success() -> None:
    call = await Call(FrameResponse(messages(0), coder=CODER)).run()
    assert [control["type"] for control in call.control] == ["open", "end"]
    assert (await Call(FrameResponse(messages(0), coder=CODER), accept=PLAIN).run()).body == b""


class AsyncIterable:
    """An async iterable with only the two methods of the protocol."""

    def __init__(self) -> None:
        self._left = list(MESSAGES)

    def __aiter__(self) -> AsyncIterable:
        return self

    async def __anext__(self) -> tuple[dict[str, Any], Any]:
        if not self._left:
            raise StopAsyncIteration
        return self._left.pop(0)


async def chunks_of(size: int) -> AsyncIterator[bytes]:
    for at in range(0, len(WIRE), size):
        yield WIRE[at : at + size]


async def waiting_messages() -> AsyncIterator[tuple[dict[str, Any], Any]]:
    for message in MESSAGES:
        await asyncio.sleep(0)
        yield message


FRAMES = list(FrameDecoder().feed(WIRE))

SOURCES: dict[str, Callable[[], Any]] = {
    "async generator": messages,
    "async generator that waits": waiting_messages,
    "async iterable": AsyncIterable,
    "generator": sync_messages,
    "list": lambda: list(MESSAGES),
    "iterator": lambda: iter(MESSAGES),
    "frames": lambda: list(FRAMES),
    "frames from a generator": lambda: (frame for frame in FRAMES),
    "one bytes": lambda: WIRE,
    "one memoryview": lambda: memoryview(WIRE),
    "whole frames as bytes": lambda: [bytes(frame) for frame in FRAMES],
    "single bytes": lambda: chunks_of(1),
    "odd chunks": lambda: chunks_of(7),
    "chunks from a file": lambda: io.BytesIO(WIRE),
    "mixed": lambda: [
        MESSAGES[0],
        FRAMES[1],
        bytes(FRAMES[2]) + bytes(FRAMES[3])[:9],
        bytes(FRAMES[3])[9:],
        MESSAGES[4],
    ],
}


@pytest.mark.parametrize("accept", [V1, PLAIN])
@pytest.mark.parametrize("kind", SOURCES)
async def test_every_kind_of_source_gives_the_same_stream(kind: str, accept: str) -> None:
    call = await Call(FrameResponse(SOURCES[kind](), coder=CODER), accept=accept).run()
    assert call.received == MESSAGES
    if accept == V1:
        assert call.control[-1] == {"type": "end", "frames": 5}


@pytest.mark.parametrize("source", [5, None, "frames", {"a": 1}])
def test_an_object_that_is_not_a_source_is_refused_at_once(source: Any) -> None:
    with pytest.raises(TypeError, match="a source is"):
        FrameResponse(source, coder=CODER)


@pytest.mark.parametrize("batch", [0, -1])
def test_a_batch_is_a_positive_number_of_bytes(batch: int) -> None:
    with pytest.raises(ValueError, match="batch"):
        FrameResponse([], coder=CODER, batch=batch)


@pytest.mark.parametrize("heartbeat", [0, -1, float("nan"), float("inf")])
def test_a_heartbeat_is_a_positive_number_of_seconds(heartbeat: float) -> None:
    with pytest.raises(ValueError, match="heartbeat"):
        FrameResponse([], coder=CODER, heartbeat=heartbeat)


async def test_trailers_are_computed_when_the_source_has_ended() -> None:
    used: dict[str, Any] = {}

    async def source() -> AsyncIterator[tuple[dict[str, Any], Any]]:
        yield {}, 1
        used["tokens"] = 17

    call = await Call(FrameResponse(source(), coder=CODER, trailers=lambda: used)).run()
    assert call.control[-1] == {"type": "end", "frames": 1, "trailers": {"tokens": 17}}
    call = await Call(FrameResponse(messages(), coder=CODER, trailers={"tokens": 3})).run()
    assert call.control[-1]["trailers"] == {"tokens": 3}


async def test_the_background_task_runs_after_the_stream() -> None:
    ran: list[bool] = []

    def note() -> None:
        ran.append(call.sent[-1]["more_body"] is False)

    call = Call(FrameResponse(messages(), coder=CODER, background=BackgroundTask(note)))
    await call.run()
    assert ran == [True]


class Relayed:
    """What an endpoint opened for its stream: a source to close, and a background task that closes the rest."""

    def __init__(self) -> None:
        self.closed = 0
        self.background = BackgroundTask(self._close)
        self._first = True
        self.error: BaseException | None = None

    def __aiter__(self) -> Relayed:
        return self

    async def __anext__(self) -> tuple[dict[str, Any], Any]:
        if self.error is not None and not self._first:
            raise self.error
        self._first = False
        return MESSAGES[0]

    async def aclose(self) -> None:
        self.closed += 1

    def _close(self) -> None:
        self.closed += 1


@pytest.mark.parametrize("accept", [V1, PLAIN, "text/html"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("failing", ["early", "late"])
async def test_whatever_the_endpoint_opened_is_closed_once(failing: str, method: str, accept: str) -> None:
    relayed = Relayed()
    relayed.error = StreamError("unavailable", "the model is not there")
    relayed._first = failing == "late"
    call = Call(FrameResponse(relayed, coder=CODER, background=relayed.background), accept=accept, method=method)
    with contextlib.suppress(ResponseAborted):
        await call.run()
    assert relayed.closed == 2  # the source, and the background task


async def test_what_cannot_be_opened_is_closed_too() -> None:
    relayed = Relayed()
    response = FrameResponse(relayed, coder=CODER, background=relayed.background, metadata={"a": object()})
    with pytest.raises(EncodeError):
        await Call(response).run()
    assert relayed.closed == 2


async def test_a_cancelled_response_runs_its_background_task() -> None:
    ran = asyncio.Event()

    async def note() -> None:
        ran.set()

    call = Call(FrameResponse(Watched().waiting_for_ever(), coder=CODER, background=BackgroundTask(note)))
    running = asyncio.create_task(call.run())
    await call.until(lambda: len(call.sent) > 1)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert ran.is_set()


@on_a_fake_clock
async def test_a_slow_background_task_does_not_hold_up_the_abort(caplog: pytest.LogCaptureFixture) -> None:
    go, over = asyncio.Event(), asyncio.Event()

    async def slow() -> None:
        try:
            await go.wait()
            raise RuntimeError("the task failed")
        finally:
            over.set()

    call = Call(FrameResponse(fails(1, ValueError()), coder=CODER, background=BackgroundTask(slow)), accept=PLAIN)
    with pytest.raises(ResponseAborted):
        await call.run()
    assert not over.is_set()
    go.set()
    await over.wait()
    await asyncio.sleep(0)
    assert "the task failed" in caplog.text


# ---------------------------------------------------------------------------------------------- failing


async def fails(after: int, error: BaseException) -> AsyncIterator[tuple[dict[str, Any], Any]]:
    async for message in messages(after):
        yield message
    raise error


def sync_fails(after: int, error: BaseException) -> Iterator[tuple[dict[str, Any], Any]]:
    yield from sync_messages(after)
    raise error


FAILING = pytest.mark.parametrize("failing", [fails, sync_fails])


@FAILING
@pytest.mark.parametrize("code", HTTP_STATUS)
async def test_a_stream_error_before_the_first_item_is_its_http_status(failing: Any, code: str) -> None:
    error = StreamError(code, "the reason", {"of": "it"})
    for accept in (V1, PLAIN):
        call = await Call(FrameResponse(failing(0, error), coder=CODER), accept=accept).run()
        assert (call.status, call.headers["content-type"]) == (HTTP_STATUS[code], "application/json")
        assert json.loads(call.body) == {"code": code, "message": "the reason", "details": {"of": "it"}}


@FAILING
async def test_any_other_exception_before_the_first_item_is_a_bare_500_and_logged(
    failing: Any, caplog: pytest.LogCaptureFixture
) -> None:
    call = await Call(FrameResponse(failing(0, RuntimeError("the password is x")), coder=CODER)).run()
    assert (call.status, json.loads(call.body)) == (500, {"code": "internal", "message": "internal error"})
    [record] = caplog.records
    assert (record.name, record.levelno) == ("objectstreaming.server", logging.ERROR)
    assert record.exc_info is not None
    assert "the password is x" in str(record.exc_info[1])


async def test_an_http_exception_of_the_framework_keeps_its_status() -> None:
    call = await Call(FrameResponse(fails(0, HTTPException(404, "no such voice")), coder=CODER)).run()
    assert (call.status, json.loads(call.body)) == (404, {"code": "not_found", "message": "no such voice"})


UNSENDABLE: dict[str, Any] = {
    "a header that is no object": ([1], 1),
    "a payload that is no JSON": ({}, object()),
    "a control member": ({"$stream": {"type": "ping"}}, 1),
    "a control frame": Frame(b'{"$stream":{"type":"ping"}}', b"{}"),
    "no message": 5,
    "three things": (1, 2, 3),
    "bytes that are no frames": b"<html>an error page</html>",
}


@pytest.mark.parametrize("kind", UNSENDABLE)
async def test_what_cannot_be_sent_is_internal_before_and_after_the_first_item(kind: str) -> None:
    call = await Call(FrameResponse([UNSENDABLE[kind]], coder=CODER)).run()
    assert (call.status, json.loads(call.body)["code"]) == (500, "internal")
    call = await Call(FrameResponse([*MESSAGES, UNSENDABLE[kind]], coder=CODER)).run()
    end = call.control[-1]
    assert (call.status, end["frames"], end["error"]) == (200, 5, {"code": "internal", "message": "internal error"})


async def test_a_frame_beyond_the_limits_is_an_error_of_the_source() -> None:
    call = await Call(FrameResponse([({}, "x" * 300)], coder=CODER, limits=Limits(frame=200))).run()
    assert call.status == 500


@FAILING
async def test_a_late_failure_ends_a_version_1_stream_with_its_code(failing: Any) -> None:
    error = StreamError("unavailable", "the model is gone", {"retry": 5})
    call = await Call(FrameResponse(failing(3, error), coder=CODER)).run()
    failure = {"code": "unavailable", "message": "the model is gone", "details": {"retry": 5}}
    assert call.status == 200
    assert call.control[-1] == {"type": "end", "frames": 3, "error": failure}
    assert call.sent[-1]["more_body"] is False
    decoder = StreamDecoder(CODER)
    received = []
    with pytest.raises(StreamError) as caught:
        received.extend(decoder.feed(call.body))
    assert caught.value.code == "unavailable"


async def test_an_error_whose_details_are_no_json_keeps_its_code() -> None:
    error = StreamError("not_found", "no", {"object": object()})
    call = await Call(FrameResponse(fails(1, error), coder=CODER)).run()
    assert call.control[-1]["error"] == {"code": "not_found", "message": "no"}
    call = await Call(FrameResponse(fails(0, error), coder=CODER)).run()
    assert (call.status, json.loads(call.body)) == (404, {"code": "not_found", "message": "no"})


@pytest.mark.parametrize("trailers", [lambda: 1 / 0, {"object": object()}])
async def test_trailers_that_fail_are_a_failure_of_the_stream(trailers: Any) -> None:
    call = await Call(FrameResponse(messages(), coder=CODER, trailers=trailers)).run()
    assert call.control[-1] == {
        "type": "end",
        "frames": 5,
        "error": {"code": "internal", "message": "internal error"},
    }


@FAILING
async def test_a_late_failure_aborts_a_plain_stream_after_the_good_frames(failing: Any) -> None:
    call = Call(FrameResponse(failing(3, ValueError("secret")), coder=CODER), accept=PLAIN)
    with pytest.raises(ResponseAborted, match="internal"):
        await call.run()
    *good, unwritable = call.sent[1:]
    assert b"".join(message["body"] for message in good) == b"".join(CODER.encode(*message) for message in MESSAGES[:3])
    assert unwritable["type"] == "http.response.body"  # for middleware
    assert str.__eq__(unwritable["type"], "objectstreaming.abort")  # for granian
    for write in (bytes, len):
        with pytest.raises(ResponseAborted, match="internal"):
            write(unwritable["body"])
    assert all(message["more_body"] for message in (*good, unwritable))


@FAILING
@pytest.mark.parametrize("error", [SystemExit(1), KeyboardInterrupt()])
async def test_a_source_that_exits_ends_its_stream_and_nothing_else(failing: Any, error: BaseException) -> None:
    call = await Call(FrameResponse(failing(1, error), coder=CODER)).run()
    assert call.control[-1]["error"]["code"] == "internal"
    call = await Call(FrameResponse(failing(0, error), coder=CODER)).run()
    assert call.status == 500


async def test_a_cancelled_error_of_the_sources_own_making_is_a_failure() -> None:
    call = await Call(FrameResponse(fails(1, asyncio.CancelledError()), coder=CODER)).run()
    assert call.control[-1]["error"]["code"] == "internal"


@pytest.mark.parametrize("layers", [0, 1, 2])
@pytest.mark.parametrize("zipped", [False, True])
async def test_over_uvicorn_a_late_failure_is_never_taken_for_success(layers: int, zipped: bool) -> None:
    app = app_with(lambda: FrameResponse(fails(3, ValueError("secret")), coder=CODER), layers)
    if zipped:
        app.add_middleware(GZipMiddleware, minimum_size=1)
    async with served(app) as (_, port):
        response = await get(port, V1)
        with pytest.raises(StreamError) as caught:
            list(StreamDecoder(CODER).feed(response.content))
        assert (response.status_code, caught.value.code) == (200, "internal")
        with pytest.raises(httpx.RemoteProtocolError):
            await get(port, PLAIN)


@pytest.mark.parametrize("layers", [0, 1])
async def test_over_uvicorn_an_early_failure_is_a_real_status(layers: int) -> None:
    errors = [StreamError("permission_denied", "not yours"), KeyError("secret")]
    app = app_with(lambda: FrameResponse(fails(0, errors.pop(0)), coder=CODER), layers)
    async with served(app) as (_, port):
        denied, failed = await get(port), await get(port)
    assert (denied.status_code, denied.json()["message"]) == (403, "not yours")
    assert (failed.status_code, failed.json()) == (500, {"code": "internal", "message": "internal error"})


async def test_compressing_middleware_leaves_the_stream_alone() -> None:
    app = app_with(lambda: FrameResponse([({}, "x" * 5000)], coder=CODER))
    app.add_middleware(GZipMiddleware, minimum_size=1)
    async with served(app) as (_, port):
        response = await get(port, PLAIN, **{"Accept-Encoding": "gzip"})
    assert response.headers["content-encoding"] == "identity"
    assert response.content == CODER.encode({}, "x" * 5000)
    assert not response.content.startswith(gzip.compress(b"")[:2])


# ---------------------------------------------------------------------------------------------- relaying


async def test_a_relayed_version_1_stream_is_obeyed_and_not_copied() -> None:
    encoder = StreamEncoder(CODER)
    wire = encoder.open(heartbeat=1) + encoder.data({}, 1) + encoder.ping() + encoder.data({}, 2)
    wire += encoder.end(trailers={"tokens": 2})
    call = await Call(FrameResponse(wire, coder=CODER, heartbeat=9)).run()
    assert call.control == [
        {"type": "open", "v": 1, "coder": "json", "heartbeat": 9},
        {"type": "end", "frames": 2, "trailers": {"tokens": 2}},
    ]
    plain = await Call(FrameResponse(wire, coder=CODER), accept=PLAIN).run()
    assert plain.body == CODER.encode({}, 1) + CODER.encode({}, 2)


async def test_the_error_of_a_relayed_stream_is_relayed_and_a_cut_of_it_is_an_error() -> None:
    encoder = StreamEncoder(CODER)
    wire = encoder.open() + encoder.data({}, 1) + encoder.data({}, 2)
    failed = wire + encoder.end(error=StreamError("resource_exhausted", "no credit"))
    call = await Call(FrameResponse(failed, coder=CODER)).run()
    assert call.control[-1]["error"] == {"code": "resource_exhausted", "message": "no credit"}
    for cut in (wire, wire[:-1]):
        call = await Call(FrameResponse(cut, coder=CODER)).run()
        assert call.control[-1]["error"]["code"] == "internal"


# ---------------------------------------------------------------------------------------------- when it goes out


async def test_what_is_ready_goes_out_in_few_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        sources, "SLICE_SECONDS", 3600
    )  # on a busy machine it would end earlier, with a write each time
    call = await Call(FrameResponse(messages(10_000), coder=CODER)).run()
    assert len(call.received) == 10_000
    assert len(call.bodies) <= len(call.body) // (64 * 1024) + 2


async def test_what_a_thread_gives_while_one_write_waits_goes_out_in_the_next() -> None:
    gate = asyncio.Event()
    loop = asyncio.get_running_loop()

    def source() -> Iterator[tuple[dict[str, Any], Any]]:
        yield from sync_messages(1000)
        loop.call_soon_threadsafe(gate.set)

    call = await Call(FrameResponse(source(), coder=CODER), gate=gate).run()
    assert len(call.received) == 1000
    assert len(call.bodies) <= 3


async def test_a_short_answer_is_one_write_with_its_open_and_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "SLICE_SECONDS", 3600)
    call = await Call(FrameResponse(messages(), coder=CODER)).run()
    assert len(call.bodies) == 1


async def test_no_write_is_much_larger_than_a_batch() -> None:
    call = await Call(FrameResponse(CODER.encode({}, "x" * 1000) * 500, coder=CODER)).run()
    assert max(map(len, call.bodies)) < 66 * 1024
    assert len(call.received) == 500


async def test_the_first_item_goes_out_though_the_second_never_comes() -> None:
    async def source() -> AsyncIterator[tuple[dict[str, Any], Any]]:
        yield MESSAGES[0]
        await asyncio.Event().wait()

    call = Call(FrameResponse(source(), coder=CODER))
    running = asyncio.create_task(call.run())
    await call.until(lambda: call.received == MESSAGES[:1])
    call.left.set()
    await running


async def test_the_first_item_of_a_thread_goes_out_though_the_second_never_comes() -> None:
    over = threading.Event()

    def source() -> Iterator[tuple[dict[str, Any], Any]]:
        yield MESSAGES[0]
        over.wait(DEADLINE)

    call = Call(FrameResponse(source(), coder=CODER))
    running = asyncio.create_task(call.run())
    await call.until(lambda: call.received == MESSAGES[:1])
    call.left.set()
    over.set()
    await running


async def test_frames_of_a_source_that_computes_without_waiting_go_out_meanwhile() -> None:
    async def source() -> AsyncIterator[tuple[dict[str, Any], Any]]:
        for message in MESSAGES:
            time.sleep(0.01)  # noqa: ASYNC251  a source should not do this, but some will
            yield message

    call = await Call(FrameResponse(source(), coder=CODER)).run()
    assert len(call.bodies) >= len(MESSAGES)


@on_a_fake_clock
async def test_headers_and_open_go_out_after_one_heartbeat_without_an_item() -> None:
    go = asyncio.Event()

    async def source() -> AsyncIterator[tuple[dict[str, Any], Any]]:
        await go.wait()
        yield MESSAGES[0]

    call = Call(FrameResponse(source(), coder=CODER, heartbeat=0.02))
    running = asyncio.create_task(call.run())
    await call.until(lambda: len(call.control) >= 3)
    assert (call.status, [control["type"] for control in call.control][:3]) == (200, ["open", "ping", "ping"])
    go.set()
    await running
    assert call.received == MESSAGES[:1]
    assert call.control[-1] == {"type": "end", "frames": 1}


@on_a_fake_clock
async def test_a_plain_client_gets_its_headers_after_one_heartbeat_and_no_pings() -> None:
    started = asyncio.Event()

    async def source() -> AsyncIterator[tuple[dict[str, Any], Any]]:
        await started.wait()
        await asyncio.sleep(0.06)
        yield MESSAGES[0]

    call = Call(FrameResponse(source(), coder=CODER, heartbeat=0.02), accept=PLAIN)
    running = asyncio.create_task(call.run())
    await call.until(lambda: bool(call.sent))
    assert (call.status, call.bodies) == (200, [])
    started.set()
    await running
    assert call.body == CODER.encode(*MESSAGES[0])


@on_a_fake_clock
async def test_a_failure_after_the_first_heartbeat_is_in_the_stream() -> None:
    async def source() -> AsyncIterator[tuple[dict[str, Any], Any]]:
        await call.until(lambda: bool(call.sent))
        raise StreamError("not_found", "nothing there")
        yield

    call = Call(FrameResponse(source(), coder=CODER, heartbeat=0.02))
    await call.run()
    assert (call.status, call.control[-1]["error"]["code"]) == (200, "not_found")


@on_a_fake_clock
async def test_pings_go_on_while_the_source_is_silent_and_only_then() -> None:
    go = asyncio.Event()

    async def source() -> AsyncIterator[tuple[dict[str, Any], Any]]:
        yield MESSAGES[0]
        await go.wait()
        for n in range(10):
            yield {"n": n}, n
            await asyncio.sleep(0.01)

    call = Call(FrameResponse(source(), coder=CODER, heartbeat=0.05))
    running = asyncio.create_task(call.run())
    await call.until(lambda: len(call.control) >= 3)
    assert call.control[1:3] == [{"type": "ping"}, {"type": "ping"}]
    seen = len(call.control)
    go.set()
    await running
    assert call.control[seen:] == [{"type": "end", "frames": 11}]


@on_a_fake_clock
async def test_without_a_heartbeat_nothing_is_sent_until_there_is_something() -> None:
    async def source() -> AsyncIterator[tuple[dict[str, Any], Any]]:
        await asyncio.sleep(0.05)
        raise StreamError("not_found")
        yield

    call = await Call(FrameResponse(source(), coder=CODER, heartbeat=None)).run()
    assert call.status == 404


# ---------------------------------------------------------------------------------------------- the source's life


class Watched:
    """The kinds of source that a client can leave. Each records how far it came and when it was closed."""

    def __init__(self, size: int = 1000) -> None:
        self.size = size
        self.pulled = 0
        self.closed = threading.Event()
        self.threads: set[int] = set()

    def _next(self) -> tuple[dict[str, Any], Any]:
        self.pulled += 1
        self.threads.add(threading.get_ident())
        return {"n": self.pulled}, "x" * self.size

    def _close(self) -> None:
        self.threads.add(threading.get_ident())
        self.closed.set()

    async def awaiting(self) -> AsyncIterator[tuple[dict[str, Any], Any]]:
        try:
            while True:
                yield self._next()
                await asyncio.sleep(0.001)
        finally:
            await asyncio.sleep(0)  # cleanup may wait: it is not cancelled again
            self._close()

    async def waiting_for_ever(self) -> AsyncIterator[tuple[dict[str, Any], Any]]:
        try:
            yield self._next()
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            self._close()

    async def never_awaiting(self) -> AsyncIterator[tuple[dict[str, Any], Any]]:
        try:
            while True:
                yield self._next()
        finally:
            self._close()

    def sleeping(self) -> Iterator[tuple[dict[str, Any], Any]]:
        try:
            while True:
                yield self._next()
                time.sleep(0.001)
        finally:
            self._close()

    def never_sleeping(self) -> Iterator[tuple[dict[str, Any], Any]]:
        try:
            while True:
                yield self._next()
        finally:
            self._close()


KINDS = ["awaiting", "waiting_for_ever", "never_awaiting", "sleeping", "never_sleeping"]


@pytest.mark.parametrize("layers", [0, 1, 2])
async def test_over_uvicorn_a_client_that_leaves_ends_the_source(layers: int) -> None:
    """Also where nothing is written any more: it is not a ping or a write that notices it."""
    current: list[Any] = []
    app = app_with(lambda: FrameResponse(current.pop(), coder=CODER, heartbeat=None), layers)
    async with served(app) as (_, port):
        for kind in KINDS:
            for accept in (V1, PLAIN):
                watched = Watched()
                current.append(getattr(watched, kind)())
                async with connected(port, accept) as (reader, writer):
                    await reader.readuntil(b'"n":1')
                    writer.transport.abort()
                assert await asyncio.to_thread(watched.closed.wait, DEADLINE), (kind, accept)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_client_that_leaves_while_nothing_can_be_written_ends_the_source(kind: str) -> None:
    watched = Watched()
    call = Call(FrameResponse(getattr(watched, kind)(), coder=CODER), gate=asyncio.Event())
    running = asyncio.create_task(call.run())
    await call.until(lambda: bool(call.sent))
    call.left.set()
    await running
    assert watched.closed.is_set()


async def test_a_client_that_leaves_before_the_first_item_ends_the_source() -> None:
    begun, closed = asyncio.Event(), asyncio.Event()

    async def source() -> AsyncIterator[tuple[dict[str, Any], Any]]:
        try:
            begun.set()
            await asyncio.Event().wait()
            yield
        finally:
            closed.set()

    call = Call(FrameResponse(source(), coder=CODER))
    running = asyncio.create_task(call.run())
    await begun.wait()
    call.left.set()
    await running
    assert closed.is_set()
    assert call.sent == []


async def test_a_server_that_refuses_to_send_is_a_client_that_has_left() -> None:
    watched = Watched()
    call = Call(FrameResponse(watched.awaiting(), coder=CODER))

    async def send(message: Message) -> None:
        raise BrokenPipeError("the client has left")  # as ASGI 2.4 allows

    await call.response(call.scope, call.receive, send)
    assert watched.closed.is_set()


async def test_a_server_that_cannot_say_whether_the_client_is_there_ends_the_source(
    caplog: pytest.LogCaptureFixture,
) -> None:
    watched = Watched()
    call = Call(FrameResponse(watched.waiting_for_ever(), coder=CODER))

    async def receive() -> Message:
        raise RuntimeError("unexpected message")

    await call.response(call.scope, receive, call.send)
    assert watched.pulled == 0 or watched.closed.is_set()
    assert "unexpected message" in caplog.text


async def test_an_error_of_the_middleware_around_closes_the_source_and_is_raised() -> None:
    watched = Watched()
    call = Call(FrameResponse(watched.never_awaiting(), coder=CODER))

    async def send(message: Message) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await call.response(call.scope, call.receive, send)
    assert watched.closed.is_set()


@pytest.mark.parametrize("kind", ["awaiting", "never_awaiting", "sleeping", "never_sleeping"])
async def test_a_reader_that_stalls_stops_the_source_after_a_bounded_number_of_items(kind: str) -> None:
    watched = Watched(size=40_000)
    app = app_with(lambda: FrameResponse(getattr(watched, kind)(), coder=CODER, heartbeat=0.05))
    async with served(app) as (_, port), connected(port) as (reader, _writer):
        await reader.readuntil(b'"n":1')
        before = -1
        async with asyncio.timeout(DEADLINE):
            while watched.pulled != before:  # until it has stopped: no item in a tenth of a second
                before = watched.pulled
                await asyncio.sleep(0.1)
        # The outbox, the current write, uvicorn's buffer and the kernel's. The kernel's is the largest: some megabytes.
        assert watched.pulled * watched.size < 16_000_000
        assert not watched.closed.is_set()
    assert await asyncio.to_thread(watched.closed.wait, DEADLINE)


@pytest.mark.parametrize("kind", ["never_awaiting", "never_sleeping"])
async def test_for_a_reader_that_stalls_the_server_holds_two_batches_at_most(kind: str) -> None:
    watched = Watched()
    call = Call(FrameResponse(getattr(watched, kind)(), coder=CODER), gate=asyncio.Event())
    running = asyncio.create_task(call.run())
    await call.until(lambda: bool(call.sent))
    await until(lambda: watched.pulled >= 64)
    for _ in range(3):  # a source that goes on would give more within these pauses
        await asyncio.sleep(0.02)
        assert watched.pulled <= 2 * 66
    call.left.set()
    await running


@pytest.mark.parametrize("kind", ["sleeping", "never_sleeping"])
async def test_a_sync_source_lives_and_is_closed_on_one_thread_that_is_not_the_loops(kind: str) -> None:
    watched = Watched()
    call = Call(FrameResponse(getattr(watched, kind)(), coder=CODER))
    running = asyncio.create_task(call.run())
    await call.until(lambda: len(call.sent) > 3)
    call.left.set()
    await running
    assert watched.closed.is_set()
    assert len(watched.threads) == 1
    assert threading.get_ident() not in watched.threads


async def test_a_source_that_never_waits_leaves_the_loop_to_others() -> None:
    watched = Watched()
    call = Call(FrameResponse(watched.never_awaiting(), coder=CODER))
    running = asyncio.create_task(call.run())
    longest = 0.0
    for _ in range(50):
        before = time.thread_time()  # not the time that other processes have
        await asyncio.sleep(0)
        longest = max(longest, time.thread_time() - before)
    call.left.set()
    await running
    assert longest < 0.2


async def test_a_server_that_has_no_thread_left_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    call = await Call(FrameResponse(sync_messages(), coder=CODER)).run()
    assert (call.status, json.loads(call.body)["code"]) == (503, "unavailable")


VOICE: contextvars.ContextVar[str] = contextvars.ContextVar("VOICE")


async def test_sources_see_the_requests_context_variables() -> None:
    async def source() -> AsyncIterator[tuple[dict[str, Any], Any]]:
        yield {}, VOICE.get()

    def sync_source() -> Iterator[tuple[dict[str, Any], Any]]:
        yield {}, VOICE.get()

    VOICE.set("alto")
    for made in (source(), sync_source()):
        assert (await Call(FrameResponse(made, coder=CODER)).run()).received == [({}, "alto")]


@on_a_fake_clock
async def test_deadlines_inside_a_source_cancel_its_waiting_and_nothing_else() -> None:
    # The write of the first message is held back for longer than the source's deadlines: they must not cancel it.
    gate = asyncio.Event()

    async def source() -> AsyncIterator[tuple[dict[str, Any], Any]]:
        yield {}, "first"
        try:
            async with asyncio.timeout(0.01):
                await asyncio.Event().wait()
        except TimeoutError:
            yield {}, "timeout"
        with anyio.move_on_after(0.01) as scope:
            await anyio.sleep_forever()
        yield {}, scope.cancelled_caught
        gate.set()

    call = await Call(FrameResponse(source(), coder=CODER), gate=gate).run()
    assert [payload for _, payload in call.received] == ["first", "timeout", True]


async def test_a_source_may_keep_a_task_group_open_across_its_yields() -> None:
    async def source() -> AsyncIterator[tuple[dict[str, Any], Any]]:
        async with asyncio.TaskGroup() as group:
            for message in MESSAGES:
                await group.create_task(asyncio.sleep(0))
                yield message

    call = await Call(FrameResponse(source(), coder=CODER)).run()
    assert call.received == MESSAGES


async def test_a_failure_while_the_source_is_closed_is_logged_and_nothing_else(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def source() -> AsyncIterator[tuple[dict[str, Any], Any]]:
        try:
            yield MESSAGES[0]
            await asyncio.Event().wait()
        finally:
            raise RuntimeError("cannot close")

    call = Call(FrameResponse(source(), coder=CODER))
    running = asyncio.create_task(call.run())
    await call.until(lambda: len(call.sent) > 1)
    call.left.set()
    await running
    assert "cannot close" in caplog.text


# ---------------------------------------------------------------------------------------------- ends from outside


@on_a_fake_clock
async def test_a_stream_that_lives_too_long_ends_with_deadline_exceeded() -> None:
    watched = Watched()
    call = await Call(FrameResponse(watched.waiting_for_ever(), coder=CODER, max_duration=0.03)).run()
    end = call.control[-1]
    assert (end["type"], end["frames"], end["error"]["code"]) == ("end", 1, "deadline_exceeded")
    assert watched.closed.is_set()
    with pytest.raises(ResponseAborted, match="deadline_exceeded"):
        await Call(FrameResponse(Watched().awaiting(), coder=CODER, max_duration=0.03), accept=PLAIN).run()


@on_a_fake_clock
async def test_one_that_has_given_nothing_by_then_is_a_504() -> None:
    async def source() -> AsyncIterator[tuple[dict[str, Any], Any]]:
        await asyncio.Event().wait()
        yield

    call = await Call(FrameResponse(source(), coder=CODER, max_duration=0.03)).run()
    assert (call.status, json.loads(call.body)["code"]) == (504, "deadline_exceeded")


@on_a_fake_clock
async def test_one_whose_reader_takes_nothing_is_aborted() -> None:
    watched = Watched()
    call = Call(FrameResponse(watched.never_awaiting(), coder=CODER, max_duration=0.03), gate=asyncio.Event())
    with pytest.raises(ResponseAborted, match="deadline_exceeded"):
        await call.run()
    assert watched.closed.is_set()


@pytest.mark.parametrize("kind", KINDS)
async def test_a_response_that_is_cancelled_says_unavailable(kind: str) -> None:
    watched = Watched()
    call = Call(FrameResponse(getattr(watched, kind)(), coder=CODER))
    running = asyncio.create_task(call.run())
    await call.until(lambda: len(call.sent) > 1)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert watched.closed.is_set()
    end = call.control[-1]
    assert end["error"] == {"code": "unavailable", "message": "the stream was cancelled before its end"}
    with pytest.raises(StreamError):
        list(StreamDecoder(CODER).feed(call.body))  # the count of frames is right, so that it is this error


@pytest.mark.parametrize("inner", [True, False])
@pytest.mark.parametrize("layers", [0, 1, 2])
async def test_a_timeout_around_a_plain_stream_breaks_its_connection(layers: int, inner: bool) -> None:
    class Timeout:
        """Cancels what it contains when the test says so."""

        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] != "http":
                await self.app(scope, receive, send)
                return
            async with asyncio.timeout(None) as timeout:
                expiring.append(timeout)
                await self.app(scope, receive, send)

    expiring: list[asyncio.Timeout] = []
    watched = Watched()
    around = Timeout if inner else (lambda app: app)
    app = app_with(lambda: FrameResponse(watched.waiting_for_ever(), coder=CODER), layers, inside=around)
    served_app: Any = app if inner else Timeout(app)
    async with served(served_app) as (_, port), connected(port, PLAIN) as (reader, _writer):
        await reader.readuntil(b'"n":1')
        expiring[0].reschedule(0)
        async with asyncio.timeout(DEADLINE):
            rest = await reader.read()
    assert not rest.endswith(b"0\r\n\r\n")
    assert watched.closed.is_set()


async def test_a_plain_reader_that_stalled_sees_the_cut_when_it_goes_on() -> None:
    """Not so behind `BaseHTTPMiddleware`: docs/deployment.md."""
    watched = Watched(size=400_000)
    app = app_with(lambda: FrameResponse(watched.never_awaiting(), coder=CODER, max_duration=0.3))
    async with served(app) as (_, port), connected(port, PLAIN) as (reader, _writer):
        assert await asyncio.to_thread(watched.closed.wait, DEADLINE)
        data = b""
        async with asyncio.timeout(DEADLINE):
            with contextlib.suppress(ConnectionError):
                while piece := await reader.read(1 << 20):
                    data = (data + piece)[-10:]
    assert not data.endswith(b"0\r\n\r\n")


@pytest.mark.parametrize("layers", [0, 1])
@pytest.mark.parametrize("accept", [V1, PLAIN])
async def test_uvicorns_graceful_shutdown_is_an_error_and_never_a_success(layers: int, accept: str) -> None:
    watched = Watched()
    app = app_with(lambda: FrameResponse(watched.waiting_for_ever(), coder=CODER), layers)
    async with (
        served(app, timeout_graceful_shutdown=0.2) as (server, port),
        connected(port, accept) as (reader, _writer),
    ):
        await reader.readuntil(b'"n":1')
        server.should_exit = True
        async with asyncio.timeout(DEADLINE):
            rest = await reader.read()
    assert watched.closed.is_set()
    in_stream = accept == V1 and layers == 0  # middleware that is cancelled too passes nothing on
    assert (b'"code":"unavailable"' in rest, rest.endswith(b"0\r\n\r\n")) == (in_stream, in_stream)


@pytest.mark.parametrize("layers", [0, 1])
async def test_end_streams_lets_a_server_stop_at_once(layers: int) -> None:
    watched = [Watched(), Watched()]
    made = iter([watched[0].waiting_for_ever(), watched[1].sleeping()])
    app = app_with(lambda: FrameResponse(next(made), coder=CODER), layers)
    async with served(app) as (server, port), connected(port) as (first, _), connected(port) as (second, _):
        await first.readuntil(b'"n":1')
        await second.readuntil(b'"n":1')
        server.should_exit = True
        assert await asyncio.to_thread(end_streams) == 2
        async with asyncio.timeout(DEADLINE):
            rests = [await first.read(), await second.read()]
    for rest in rests:
        assert b'"code":"unavailable"' in rest
        assert rest.endswith(b"0\r\n\r\n")
    assert all(each.closed.is_set() for each in watched)


# ---------------------------------------------------------------------------------------------- many at once


async def test_a_thousand_streams_at_once_are_each_whole_and_correct() -> None:
    count, frames = 1000, 20
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 4096:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    together = asyncio.Barrier(count)
    numbers = iter(range(count))

    async def source(number: int) -> AsyncIterator[tuple[dict[str, Any], bytes]]:
        await together.wait()  # all are open before the first one gives anything
        for n in range(frames):
            yield {"stream": number, "n": n}, bytes([number % 256]) * 100
            if n % 7 == number % 7:
                await asyncio.sleep(0)

    app = app_with(lambda: FrameResponse(source(next(numbers)), coder=RawCoder(), heartbeat=60))

    async def fetch(port: int) -> int:
        async with connected(port) as (reader, _):
            await reader.readuntil(b"\r\n\r\n")
            decoder = StreamDecoder(RawCoder(), require_end=True)
            received = []
            while size := int(await reader.readline(), 16):
                received.extend(decoder.feed(await reader.readexactly(size)))
                await reader.readexactly(2)
            decoder.finish()
        number = int(received[0][0]["stream"])
        assert received == [({"stream": number, "n": n}, bytes([number % 256]) * 100) for n in range(frames)]
        return number

    async with served(app, backlog=count) as (_, port):
        answers = await asyncio.gather(*(fetch(port) for _ in range(count)))
    assert sorted(answers) == list(range(count))


async def test_sync_sources_run_at_once_however_many_there_are() -> None:
    count = 100  # more than the forty threads of the framework's pool
    together = threading.Barrier(count)

    def source() -> Iterator[tuple[dict[str, Any], Any]]:
        together.wait(DEADLINE)
        yield from MESSAGES

    calls = await asyncio.gather(*(Call(FrameResponse(source(), coder=CODER)).run() for _ in range(count)))
    assert all(call.received == MESSAGES for call in calls)


def test_the_golden_frame_goes_out_as_it_is() -> None:
    golden = bytes.fromhex("1800000008000000") + b'{"a": 1}{"b": 2}'
    assert encode_frame(b'{"a": 1}', b'{"b": 2}') == golden
    call = asyncio.run(Call(FrameResponse(golden, coder=CODER), accept=PLAIN).run())
    assert call.body == golden
