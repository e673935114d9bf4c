"""Request bodies read as messages, incrementally and capped; and errors before a response as problems."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from deadlines import DEADLINE
from fastapi import Body, FastAPI
from starlette.requests import Request
from starlette.types import Message, Receive, Scope, Send
from test_response import CODER, MESSAGES, V1, WIRE, app_with, served

from objectstreaming import (
    EncodeError,
    FrameDecoder,
    Limits,
    PayloadError,
    StreamDecoder,
    StreamEncoder,
    StreamError,
    StreamIncomplete,
    TruncatedFrame,
)
from objectstreaming.client import aopen_stream
from objectstreaming.server import (
    FrameResponse,
    RequestBody,
    end_streams,
    error_handlers,
    frame_request_body,
    frame_responses,
    read_messages,
)
from objectstreaming.server.problems import RequestError
from objectstreaming.testing import StreamingASGITransport

PLAIN = {"Content-Type": "application/octet-stream"}
FRAMED = {"Content-Type": "application/vnd.objectstreaming;v=1"}

_encoder = StreamEncoder(CODER)
FRAMED_WIRE = _encoder.open() + b"".join(_encoder.data(*message) for message in MESSAGES) + _encoder.end()


class Sender:
    """A client that sends a body by pieces; `receive` waits for the next of them, and for ever after the last."""

    def __init__(self, pieces: list[bytes] | None = None, *, whole: bool = True, **headers: str) -> None:
        self.messages: asyncio.Queue[Message] = asyncio.Queue()
        pieces = pieces or []
        for at, piece in enumerate(pieces):
            self.send(piece, more=not whole or at + 1 < len(pieces))
        if whole and not pieces:
            self.send(b"", more=False)
        raw = [(name.replace("_", "-").lower().encode(), value.encode()) for name, value in headers.items()]
        self.request = Request({"type": "http", "method": "POST", "headers": raw}, self.messages.get)

    def send(self, piece: bytes, *, more: bool = True) -> None:
        self.messages.put_nowait({"type": "http.request", "body": piece, "more_body": more})

    def leave(self) -> None:
        self.messages.put_nowait({"type": "http.disconnect"})


async def collect(source: AsyncIterator[Any]) -> list[Any]:
    async with asyncio.timeout(DEADLINE):
        return [item async for item in source]


async def until_error(source: AsyncIterator[Any]) -> tuple[list[Any], StreamError]:
    got: list[Any] = []
    try:
        async with asyncio.timeout(DEADLINE):
            async for item in source:
                got.append(item)  # noqa: PERF401  what came before the error is wanted
    except StreamError as error:
        return got, error
    raise AssertionError("an ordinary end")


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize(("wire", "kind"), [(WIRE, PLAIN), (FRAMED_WIRE, FRAMED), (FRAMED_WIRE, PLAIN), (WIRE, {})])
async def test_a_body_is_its_messages_however_it_comes(wire: bytes, kind: dict[str, str], size: int) -> None:
    sender = Sender([wire[at : at + size] for at in range(0, len(wire), size)], **kind)
    assert await collect(read_messages(sender.request, CODER)) == MESSAGES


async def test_a_message_is_there_as_soon_as_its_last_byte_is() -> None:
    sender = Sender([WIRE[:-1]], whole=False)
    messages = read_messages(sender.request, CODER)
    async with asyncio.timeout(DEADLINE):
        assert [await anext(messages) for _ in range(4)] == MESSAGES[:4]
        sender.send(WIRE[-1:], more=False)
        assert await collect(messages) == MESSAGES[4:]


async def refusal(sender: Sender, **options: Any) -> RequestError:
    with pytest.raises(RequestError) as caught:
        await collect(read_messages(sender.request, CODER, **options))
    return caught.value


@pytest.mark.parametrize(
    ("headers", "says"),
    [
        ({"Content-Type": "application/vnd.objectstreaming;v=2"}, "version '2'"),
        ({"Content-Type": "application/vnd.objectstreaming;v=1;coder=tal"}, "coder 'tal'"),
        ({"Content-Type": "application/json"}, "application/json"),
        ({"Content-Type": "nonsense"}, "nonsense"),
        ({"Content-Encoding": "gzip"}, "gzip"),
    ],
)
async def test_what_is_not_read_here_is_415_before_a_byte_is_read(headers: dict[str, str], says: str) -> None:
    sender = Sender([WIRE], **headers)
    error = await refusal(sender)
    assert (error.http_status, error.code) == (415, "invalid_argument")
    assert says in error.message
    assert sender.messages.qsize() == 1


async def test_a_body_that_says_it_is_too_large_is_413_before_a_byte_is_read() -> None:
    for length in ("1001", "9" * 5000):
        sender = Sender([WIRE], Content_Length=length)
        assert (await refusal(sender, max_body=1000)).http_status == 413
        assert sender.messages.qsize() == 1


async def test_a_body_that_turns_out_too_large_is_413_as_soon_as_it_does() -> None:
    sender = Sender([WIRE] * 10, whole=False)
    error = await refusal(sender, max_body=3 * len(WIRE))
    assert (error.http_status, error.code) == (413, "resource_exhausted")
    assert sender.messages.qsize() == 6
    assert await collect(read_messages(Sender([WIRE]).request, CODER, max_body=len(WIRE))) == MESSAGES


async def test_a_frame_beyond_the_limits_is_413() -> None:
    error = await refusal(Sender([WIRE]), limits=Limits(frame=20))
    assert (error.http_status, error.code) == (413, "resource_exhausted")


@pytest.mark.parametrize(
    ("body", "kind", "says"),
    [
        (WIRE[:-1], PLAIN, "ended inside a frame"),
        (WIRE + b"\0\0\0\0", PLAIN, "T is 0"),
        (FRAMED_WIRE[:-47], FRAMED, "without its end"),
        (b"", FRAMED, "without its end"),
        (FRAMED_WIRE + WIRE, PLAIN, "after the end"),
        (CODER.encode({}, 1).replace(b"1", b"?"), PLAIN, "payload"),
    ],
)
async def test_a_body_that_is_not_a_whole_stream_is_400_with_the_error(
    body: bytes, kind: dict[str, str], says: str
) -> None:
    error = await refusal(Sender([body], **kind))
    assert (error.http_status, error.code) == (400, "invalid_argument")
    assert says in error.message


async def test_the_good_messages_come_before_the_error() -> None:
    messages = read_messages(Sender([WIRE + b"\0\0\0\0"]).request, CODER)
    assert [await anext(messages) for _ in MESSAGES] == MESSAGES
    with pytest.raises(RequestError):
        await anext(messages)


async def test_a_client_that_leaves_while_it_sends_is_canceled() -> None:
    sender = Sender([WIRE[:10]], whole=False)
    sender.leave()
    with pytest.raises(StreamError) as caught:
        await collect(read_messages(sender.request, CODER))
    assert (caught.value.code, caught.value.http_status) == ("canceled", 499)


async def test_a_body_that_the_framework_has_read_is_read_again_from_it() -> None:
    request = Sender([WIRE]).request
    await request.body()
    assert await collect(read_messages(request, CODER)) == MESSAGES
    with pytest.raises(RequestError):
        await collect(read_messages(request, CODER, max_body=5))


class TestABodyOfAnAnnouncedLength:
    """Middleware may take parts of a body: what it gets is what the messages of a `Sender` do not have."""

    @pytest.mark.parametrize("length", [str(len(WIRE)), f"{len(WIRE):030}"])
    async def test_is_whole_if_all_of_it_arrived(self, length: str) -> None:
        sender = Sender([WIRE[:9], WIRE[9:]], content_length=length)
        assert await collect(read_messages(sender.request, CODER)) == MESSAGES

    @pytest.mark.parametrize("kind", [PLAIN, FRAMED, {}])
    async def test_is_not_whole_without_its_last_messages(self, kind: dict[str, str]) -> None:
        frames = [bytes(frame) for frame in FrameDecoder().feed(WIRE)]
        sender = Sender([*frames[:3], b""], content_length=str(len(WIRE)), **kind)
        got, error = await until_error(read_messages(sender.request, CODER))
        assert (got, error.code) == (MESSAGES[:3], "data_loss")
        assert "middleware" in error.message

    async def test_is_not_whole_without_all_of_its_bytes(self) -> None:
        sender = Sender([b""], content_length="10")
        with pytest.raises(StreamError, match="0 bytes of the body arrived here, of 10") as caught:
            await collect(RequestBody(sender.request).__aiter__())
        assert caught.value.code == "data_loss"

    async def test_is_not_whole_if_the_framework_has_had_only_a_part(self) -> None:
        sender = Sender([WIRE[:9]], content_length=str(len(WIRE)))
        await sender.request.body()
        with pytest.raises(StreamError, match="9 bytes of the body") as caught:
            await collect(read_messages(sender.request, CODER))
        assert caught.value.code == "data_loss"

    async def test_is_given_up_when_nothing_comes_for_a_minute(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("objectstreaming.server.body.SILENCE_SECONDS", 0.01)
        sender = Sender([WIRE[:-1]], whole=False, content_length=str(len(WIRE)))
        with pytest.raises(StreamError, match="nothing of the body arrived") as caught:
            await collect(read_messages(sender.request, CODER))
        assert caught.value.code == "deadline_exceeded"

    @pytest.mark.parametrize("other", [{"transfer_encoding": "chunked"}, {"content_encoding": "gzip"}])
    async def test_may_be_another_once_it_is_decoded(self, other: dict[str, str]) -> None:
        sender = Sender([b"decoded"], content_length="3", **other)
        assert await collect(RequestBody(sender.request).__aiter__()) == [b"decoded"]


async def test_a_body_is_read_once() -> None:
    sender = Sender([WIRE])
    assert await collect(read_messages(sender.request, CODER)) == MESSAGES
    with pytest.raises(RuntimeError, match="has been read already"):
        await collect(read_messages(sender.request, CODER))


async def test_a_body_that_was_read_as_a_stream_is_no_empty_one() -> None:
    sender = Sender([WIRE])
    assert b"".join(await collect(sender.request.stream())) == WIRE
    with pytest.raises(RuntimeError, match="has been read already"):
        await collect(read_messages(sender.request, CODER))


async def test_an_endpoint_whose_middleware_takes_a_part_of_the_body_fails() -> None:
    inner = FastAPI()

    @inner.post("/echo")
    async def echo(request: Request) -> FrameResponse:
        return FrameResponse(read_messages(request, CODER), coder=CODER)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        received = 0

        async def receive_what_is_left() -> Message:
            nonlocal received
            received += 1
            return await receive() if received != 2 else await receive() and await receive()

        await inner(scope, receive_what_is_left, send)

    async def body() -> AsyncIterator[bytes]:
        for frame in FrameDecoder().feed(WIRE):
            yield bytes(frame)

    headers = {**PLAIN, "Content-Length": str(len(WIRE))}
    async with (
        httpx.AsyncClient(transport=StreamingASGITransport(app), base_url="http://server") as client,
        aopen_stream(client, "POST", "/echo", coder=CODER, content=body(), headers=headers) as stream,
    ):
        got, error = await until_error(stream)
    assert (got, error.code) == ([MESSAGES[0], *MESSAGES[2:]], "data_loss")


async def test_chunks_can_be_had_without_messages() -> None:
    assert b"".join(await collect(aiter(RequestBody(Sender([WIRE[:5], WIRE[5:]]).request)))) == WIRE


# ---------------------------------------------------------------------------------- while a response is being sent


class Answer:
    """What a response that answers `sender` sends."""

    def __init__(self, sender: Sender, response: FrameResponse) -> None:
        sender.request.scope["headers"].append((b"accept", V1.encode()))
        self.body = b""
        self._changed = asyncio.Condition()
        self._sender = sender
        self._response = response

    async def run(self) -> None:
        async with asyncio.timeout(DEADLINE):
            await self._response(self._sender.request.scope, self._sender.request.receive, self.send)

    async def send(self, message: Message) -> None:
        async with self._changed:
            self.body += message.get("body", b"")
            self._changed.notify_all()

    async def until(self, count: int) -> None:
        async with asyncio.timeout(DEADLINE), self._changed:
            await self._changed.wait_for(lambda: len(self.received) >= count)

    @property
    def received(self) -> list[Any]:
        return list(StreamDecoder(CODER).feed(self.body))


async def test_a_response_answers_while_its_request_is_still_being_sent() -> None:
    sender = Sender(whole=False)
    answer = Answer(sender, FrameResponse(read_messages(sender.request, CODER), coder=CODER))
    running = asyncio.create_task(answer.run())
    for count, message in enumerate(MESSAGES, 1):
        sender.send(CODER.encode(*message))
        await answer.until(count)
    sender.send(b"", more=False)
    await running
    assert answer.received == MESSAGES


async def test_a_source_that_reads_the_body_late_gets_all_of_it() -> None:
    sender = Sender([bytes([byte]) for byte in WIRE])

    async def source() -> AsyncIterator[Any]:
        async with asyncio.timeout(DEADLINE):
            while not sender.messages.empty():  # the response has read ahead by now  # noqa: ASYNC110
                await asyncio.sleep(0)
        async for message in read_messages(sender.request, CODER):
            yield message

    answer = Answer(sender, FrameResponse(source(), coder=CODER))
    await answer.run()
    assert answer.received == MESSAGES


async def ready_then_silent(closed: asyncio.Event) -> AsyncIterator[Any]:
    """A source that never reads the body."""
    try:
        yield {}, "ready"
        await asyncio.Event().wait()
    finally:
        closed.set()


async def test_the_response_reads_no_further_ahead_than_its_inbox_holds() -> None:
    sender = Sender([bytes(1000)] * 200, whole=False)
    closed = asyncio.Event()
    RequestBody(sender.request)  # somebody will read it
    answer = Answer(sender, FrameResponse(ready_then_silent(closed), coder=CODER))
    running = asyncio.create_task(answer.run())
    await answer.until(1)
    before = -1
    while sender.messages.qsize() != before:
        before = sender.messages.qsize()
        await asyncio.sleep(0.01)
    assert 200 - before == 66  # 64 KiB in chunks of 1,000 bytes, and the chunk that reached them
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert closed.is_set()


@pytest.mark.parametrize("size", [len(WIRE), 200_000, 20_000_000])
async def test_a_client_that_leaves_after_its_body_ends_the_source_that_never_read_it(size: int) -> None:
    sender = Sender([bytes(60_000)] * (size // 60_000) + [bytes(size % 60_000)])
    closed = asyncio.Event()
    answer = Answer(sender, FrameResponse(ready_then_silent(closed), coder=CODER))
    running = asyncio.create_task(answer.run())
    await answer.until(1)
    sender.leave()
    await running
    assert closed.is_set()


async def test_a_reader_that_stops_early_hides_no_client_that_leaves() -> None:
    sender = Sender([WIRE, *[bytes(60_000)] * 10])

    async def source() -> AsyncIterator[Any]:
        async with contextlib.aclosing(read_messages(sender.request, CODER)) as received:  # type: ignore[type-var]
            async for message in received:
                yield message
                break
        await asyncio.Event().wait()

    answer = Answer(sender, FrameResponse(source(), coder=CODER))
    running = asyncio.create_task(answer.run())
    await answer.until(1)
    sender.leave()
    await running


async def test_who_reads_a_body_after_it_was_dropped_is_told_why(caplog: pytest.LogCaptureFixture) -> None:
    sender = Sender([bytes(60_000)] * 5)

    async def source() -> AsyncIterator[Any]:
        yield {}, "before"
        async with asyncio.timeout(DEADLINE):
            while not sender.messages.empty():  # noqa: ASYNC110  the response drops it meanwhile
                await asyncio.sleep(0)
        async for message in read_messages(sender.request, CODER):
            yield message

    answer = Answer(sender, FrameResponse(source(), coder=CODER))
    await answer.run()
    with pytest.raises(StreamError) as caught:
        assert answer.received
    assert caught.value.code == "internal"
    assert "before the response is returned" in caplog.text


async def test_a_server_that_stops_answers_a_half_sent_body_with_503() -> None:
    app = app_with(lambda: FrameResponse([], coder=CODER), exception_handlers=error_handlers)

    @app.post("/upload")
    async def upload(request: Request) -> FrameResponse:
        return FrameResponse([({}, len([m async for m in read_messages(request, CODER)]))], coder=CODER)

    async with served(app) as (_, port), asyncio.timeout(DEADLINE):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n" + WIRE[:30])
        while end_streams() == 0:  # noqa: ASYNC110  the endpoint has not begun to read
            await asyncio.sleep(0.01)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 503")
        writer.close()


@pytest.mark.parametrize("layers", [0, 1])
async def test_over_uvicorn_an_echo_answers_each_frame_before_the_next_is_sent(layers: int) -> None:
    app = app_with(lambda: FrameResponse([], coder=CODER), layers)

    @app.post("/echo")
    async def echo(request: Request) -> FrameResponse:
        return FrameResponse(read_messages(request, CODER), coder=CODER)

    async with served(app) as (_, port), asyncio.timeout(DEADLINE):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        decoder = FrameDecoder()
        for at, message in enumerate(MESSAGES):
            wire = CODER.encode(*message)
            writer.write(b"%x\r\n%b\r\n" % (len(wire), wire))
            if at == 0:
                await reader.readuntil(b"\r\n\r\n")
            chunk = await reader.readexactly(int(await reader.readline(), 16))
            await reader.readline()
            assert [CODER.decode(frame) for frame in decoder.feed(chunk)] == [message]
        writer.write(b"0\r\n\r\n")
        assert await reader.readline() == b"0\r\n"
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


# ---------------------------------------------------------------------------------- errors before a response

ERRORS = {
    "stream": StreamError("not_found", "no such voice"),
    "request": RequestError(406, "invalid_argument", "not that"),
    "frame": TruncatedFrame("cut", 2, 30),
    "payload": PayloadError("no JSON", 2, 30),
    "incomplete": StreamIncomplete("no end", 2),
    "ours": EncodeError("a secret"),
}


@pytest.fixture
def app() -> FastAPI:
    app = FastAPI(exception_handlers=error_handlers)

    @app.get("/fail/{kind}")
    async def fail(kind: str) -> None:
        raise ERRORS[kind]

    @app.post(
        "/echo", response_class=FrameResponse, responses=frame_responses(CODER), openapi_extra=frame_request_body(CODER)
    )
    async def echo(request: Request) -> FrameResponse:
        return FrameResponse(read_messages(request, CODER), coder=CODER)

    @app.post("/model")
    async def model(request: Request, wire: bytes = Body(media_type="application/octet-stream")) -> FrameResponse:
        return FrameResponse(read_messages(request, CODER), coder=CODER)

    return app


@pytest.mark.parametrize(
    ("kind", "status", "problem"),
    [
        ("stream", 404, {"code": "not_found", "message": "no such voice"}),
        ("request", 406, {"code": "invalid_argument", "message": "not that"}),
        ("frame", 503, {"code": "unavailable", "message": "a service behind this one failed"}),
        ("payload", 503, {"code": "unavailable", "message": "a service behind this one failed"}),
        ("incomplete", 503, {"code": "unavailable", "message": "a service behind this one failed"}),
    ],
)
async def test_an_error_that_an_endpoint_raises_is_a_problem(
    app: FastAPI, kind: str, status: int, problem: dict[str, str]
) -> None:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        response = await client.get(f"/fail/{kind}")
    assert (response.status_code, response.json()) == (status, problem)


async def test_an_error_of_ours_is_left_to_the_server(app: FastAPI) -> None:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        response = await client.get("/fail/ours")
    assert response.status_code == 500
    assert "secret" not in response.text


async def test_a_bad_body_is_the_status_of_the_stream_that_echoes_it(app: FastAPI) -> None:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        response = await client.post("/echo", content=b"\7\0\0\0", headers=PLAIN)
        assert (response.status_code, response.json()["code"]) == (400, "invalid_argument")
        assert (await client.post("/echo", json={})).status_code == 415
        assert (await client.post("/model", content=WIRE, headers=PLAIN)).content == WIRE


def test_openapi_describes_binary_bodies_and_the_problem(app: FastAPI) -> None:
    operation = app.openapi()["paths"]["/echo"]["post"]
    media_types = ["application/vnd.objectstreaming;v=1;coder=json", "application/octet-stream"]
    binary = {"schema": {"type": "string", "format": "binary"}}
    assert operation["requestBody"]["content"] == dict.fromkeys(media_types, binary)
    answers = operation["responses"]["200"]["content"]
    assert {media_type: answers[media_type] for media_type in media_types} == dict.fromkeys(media_types, binary)
    problem = operation["responses"]["default"]["content"]["application/json"]["schema"]
    assert "resource_exhausted" in problem["properties"]["code"]["enum"]
