"""Views: what `Accept` gets, event by event and line by line, and that nothing else about a response is different."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import httpx
import jsonschema
import msgspec
import numpy as np
import pydantic
import pytest
from deadlines import DEADLINE
from fake_clock import on_a_fake_clock
from fastapi import FastAPI
from httpx_sse import EventSource, ServerSentEvent
from hypothesis import given
from hypothesis import strategies as st

from objectstreaming import (
    Coder,
    EncodeError,
    FrameDecoder,
    JsonCoder,
    Limits,
    MsgpackCoder,
    NdarrayCoder,
    RawCoder,
    StreamEncoder,
    StreamError,
    decode_frame,
)
from objectstreaming.server import (
    FrameResponse,
    JsonLines,
    ServerSentEvents,
    View,
    ViewEncoder,
    end_streams,
    frame_responses,
)
from objectstreaming.server.openapi import message_schema
from objectstreaming.server.response import READING_SECONDS
from objectstreaming.testing import StreamingASGITransport
from objectstreaming.testing.asgi import ASGIApp
from objectstreaming.testing.strategies import headers, streams
from wav_streaming import TALAudio, TALCoder

EVENTS = "text/event-stream"
LINES = "application/x-ndjson"
PLAIN = "application/octet-stream"
V1 = "application/vnd.objectstreaming;v=1"
CODER: JsonCoder[dict[str, Any], Any] = JsonCoder()


def events_of(body: bytes) -> list[ServerSentEvent]:
    """What `httpx-sse` reads."""
    return list(EventSource(httpx.Response(200, headers={"Content-Type": EVENTS}, content=body)).iter_sse())


def lines_of(body: bytes) -> list[Any]:
    """What `httpx.Response.iter_lines` reads, which splits where `str.splitlines` does."""
    return [json.loads(line) for line in httpx.Response(200, content=body).iter_lines() if line]


def encoder_of(view: View, coder: Coder[Any, Any] = CODER, position: int | None = None) -> ViewEncoder:
    return view.encoder(coder, Limits(), position)


# --------------------------------------------------------------------------------------------------- the bytes


@given(streams(v=1), st.none() | headers())
def test_what_a_view_says_is_what_the_frames_say(stream: Any, metadata: dict[str, Any] | None) -> None:
    coder, outcome = stream.coder, stream.outcome
    expected = []
    for frame in FrameDecoder().feed(stream.wire):
        if "$stream" not in frame.header:
            value = {"payload": json.loads(frame.payload)} if coder.name == "json" else {"base64": frame.payload}
            expected.append({"header": frame.header, **value})
    end = {"frames": len(expected), "trailers": outcome.trailers}
    if outcome.error is not None:
        end = {"code": outcome.error.code, "message": outcome.error.message}
        if outcome.error.details is not None:
            end["details"] = outcome.error.details

    def written(view: View) -> bytes:
        encoder = encoder_of(view, coder)
        parts = [encoder.open(metadata=metadata)]
        for message in outcome.messages:
            parts += [encoder.data(*message), encoder.ping()]
        assert encoder.position == len(expected)
        return b"".join(parts) + encoder.end(trailers=outcome.trailers, error=outcome.error)

    def plain(message: dict[str, Any]) -> dict[str, Any]:
        return message if "base64" not in message else {**message, "base64": base64.b64decode(message["base64"])}

    kind = "end" if outcome.error is None else "error"
    events = [(event.event, event.json()) for event in events_of(written(ServerSentEvents()))]
    if metadata is not None:
        assert events.pop(0) == ("metadata", metadata)
    assert events.pop() == (kind, end)
    assert [(event, plain(data)) for event, data in events] == [("message", message) for message in expected]

    lines = lines_of(written(JsonLines()))
    if metadata is not None:
        assert lines.pop(0) == {"metadata": metadata}
    assert lines.pop() == {kind: end}
    assert [plain(line) for line in lines] == expected


def test_server_sent_events_byte_for_byte() -> None:
    encoder = encoder_of(ServerSentEvents())
    assert encoder.open(heartbeat=15) == b""
    assert encoder.data({"n": 1}, "é") == 'data: {"header":{"n":1},"payload":"é"}\n\n'.encode()
    assert encoder.ping() == b": ping\n\n"
    assert encoder.end() == b'id: end\nevent: end\ndata: {"frames":1}\n\n'
    error = StreamError("unavailable", "the model went away", {"retry": True})
    assert encoder_of(ServerSentEvents()).end(trailers={}, error=error) == (
        b"id: end\nevent: error\n"
        b'data: {"code":"unavailable","message":"the model went away","details":{"retry":true}}\n\n'
    )


def test_where_a_stream_can_be_resumed_each_event_has_its_position_as_id() -> None:
    encoder = encoder_of(ServerSentEvents(), position=7)
    assert encoder.open() == b""
    assert encoder.position == 7
    first, second = encoder.data({}, 1), encoder.data({}, 2)
    assert first == b'retry: 1000\nid: 8\ndata: {"header":{},"payload":1}\n\n'
    assert second == b'id: 9\ndata: {"header":{},"payload":2}\n\n'
    assert encoder.position == 9
    assert encoder.end() == b'id: end\nevent: end\ndata: {"frames":2}\n\n'
    assert [event.retry for event in events_of(first + encoder.ping() + second)] == [1000, None]


def test_json_lines_byte_for_byte() -> None:
    encoder = encoder_of(JsonLines(), RawCoder())
    assert encoder.open() == b""
    assert encoder.data({"n": 1}, b"\0\xff") == b'{"header":{"n":1},"base64":"AP8="}\n'
    assert encoder.ping() == b"\n"
    assert encoder.end(trailers={"tokens": 7}) == b'{"end":{"frames":1,"trailers":{"tokens":7}}}\n'
    assert encoder_of(JsonLines()).end(error=StreamError("not_found")) == (
        b'{"error":{"code":"not_found","message":""}}\n'
    )


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029"])
def test_nothing_in_a_message_ends_its_line(end: str) -> None:
    text = f"one{end}two"
    for view in (ServerSentEvents(), JsonLines()):
        encoder = encoder_of(view)
        wire = encoder.data({text: text}, [text]) + encoder.end(trailers={"t": text})
        assert len(wire.decode().splitlines()) == (6 if isinstance(view, ServerSentEvents) else 2)
        message = {"header": {text: text}, "payload": [text]}
        if isinstance(view, JsonLines):
            assert lines_of(wire) == [message, {"end": {"frames": 1, "trailers": {"t": text}}}]
        else:
            assert [event.json() for event in events_of(wire)] == [message, {"frames": 1, "trailers": {"t": text}}]


def test_json_with_line_breaks_between_its_tokens_becomes_one_line() -> None:
    raw = msgspec.Raw(b'{\r\n"a": 1\n}')
    assert encoder_of(JsonLines()).data(raw, raw) == b'{"header":{  "a": 1 },"payload":{  "a": 1 }}\n'


def test_typed_messages_arrays_and_sound_have_what_their_frames_have() -> None:
    class Answer(msgspec.Struct):
        answer: str

    encoder = encoder_of(JsonLines(), JsonCoder(payload=Answer))
    assert encoder.data({}, Answer("42")) == b'{"header":{},"payload":{"answer":"42"}}\n'
    [array] = lines_of(encoder_of(JsonLines(), NdarrayCoder()).data({"name": "x"}, np.arange(3, dtype="<i2")))
    assert array == {"header": {"name": "x", "dtype": "<i2", "shape": [3]}, "base64": "AAABAAIA"}
    [sound] = lines_of(encoder_of(JsonLines(), TALCoder()).data(TALAudio(answer="Hi.", sampleRate=8000), b"\1\0"))
    assert (sound["header"]["answer"], sound["header"]["sampleRate"], sound["base64"]) == ("Hi.", 8000, "AQA=")
    [packed] = lines_of(encoder_of(JsonLines(), MsgpackCoder()).data({}, {"n": b"x"}))
    assert packed["base64"] == base64.b64encode(decode_frame(MsgpackCoder().encode({}, {"n": b"x"})).payload).decode()


@pytest.mark.parametrize("view", [ServerSentEvents(), JsonLines()], ids=lambda view: view.media_type)
def test_what_a_frame_cannot_say_a_view_does_not_say(view: View) -> None:
    small = view.encoder(CODER, Limits(frame=64, header=16), None)
    refused: list[tuple[Any, Any]] = [
        ({"$stream": {"type": "end"}}, 1),
        ([], 1),
        ({}, float("nan")),
        ({}, "\ud800"),
        ({}, "x" * 64),
        ({"n": "x" * 16}, 1),
    ]
    for header, payload in refused:
        with pytest.raises(EncodeError):
            small.data(header, payload)
    assert small.position == 0
    spoken = encoder_of(view, TALCoder())
    with pytest.raises(EncodeError, match="order"):
        spoken.data(TALAudio(sign=1, order=2), b"")
    with pytest.raises(EncodeError):
        small.end(trailers={"a": object()})
    assert b'"frames":0' in small.end()


# ------------------------------------------------------------------------------------------------- the response


async def messages(count: int = 3) -> AsyncIterator[tuple[dict[str, Any], Any]]:
    for n in range(count):
        yield {"n": n}, f"message {n}"


async def failing(error: Exception, count: int = 3) -> AsyncIterator[tuple[dict[str, Any], Any]]:
    async for message in messages(count):
        yield message
    raise error


class Got:
    """A response as its client got it."""

    def __init__(self, response: httpx.Response, body: bytes, whole: bool) -> None:
        self.status = response.status_code
        self.headers = response.headers
        self.type = response.headers.get("content-type")
        self.body = body
        self.whole = whole
        """Whether the body ended as HTTP wants it; `False`: the connection was broken."""


async def get(response: ASGIApp, accept: str | None = EVENTS, method: str = "GET", **headers: str) -> Got:
    client = httpx.AsyncClient(transport=StreamingASGITransport(response), base_url="http://test", timeout=None)
    client.headers.clear()
    if accept is not None:
        client.headers["Accept"] = accept
    body = b""
    async with asyncio.timeout(DEADLINE), client, client.stream(method, "/", headers=headers) as got:
        try:
            async for chunk in got.aiter_raw():
                body += chunk
        except httpx.RemoteProtocolError:
            return Got(got, body, whole=False)
    return Got(got, body, whole=True)


@pytest.mark.parametrize(
    "accept", [EVENTS, "text/*", f"{PLAIN};q=0.5, {EVENTS}", f"{EVENTS}, */*", f"{V1};q=0.1, {EVENTS}"]
)
async def test_who_asks_for_events_gets_events(accept: str) -> None:
    got = await get(FrameResponse(messages(), coder=CODER, trailers={"tokens": 7}), accept)
    assert (got.status, got.type, got.whole) == (200, EVENTS, True)
    assert [(event.event, event.json()) for event in events_of(got.body)] == [
        *[("message", {"header": {"n": n}, "payload": f"message {n}"}) for n in range(3)],
        ("end", {"frames": 3, "trailers": {"tokens": 7}}),
    ]


@pytest.mark.parametrize("accept", [LINES, "application/jsonl"])
async def test_who_asks_for_json_lines_gets_them_under_that_name(accept: str) -> None:
    got = await get(FrameResponse(messages(), coder=CODER, metadata={"model": "m"}), accept)
    assert (got.status, got.type, got.whole) == (200, accept, True)
    assert lines_of(got.body) == [
        {"metadata": {"model": "m"}},
        *[{"header": {"n": n}, "payload": f"message {n}"} for n in range(3)],
        {"end": {"frames": 3}},
    ]


@pytest.mark.parametrize("accept", [EVENTS, LINES])
async def test_no_cache_and_no_proxy_may_hold_a_view_back(accept: str) -> None:
    got = await get(FrameResponse(messages(), coder=CODER), accept)
    assert {name: got.headers.get(name) for name in ("cache-control", "x-accel-buffering", "vary")} == {
        "cache-control": "no-store, no-transform",
        "x-accel-buffering": "no",
        "vary": "Accept",
    }


@pytest.mark.parametrize("accept", [None, "*/*", "text/html, */*;q=0.1"])
async def test_a_default_type_is_what_everybody_else_gets(accept: str | None) -> None:
    got = await get(FrameResponse(messages(), coder=CODER, default_type=LINES), accept)
    assert got.type == LINES
    assert (await get(FrameResponse(messages(), coder=CODER), accept)).type == PLAIN


async def test_without_the_plain_stream_nobody_gets_it() -> None:
    def response(**options: Any) -> FrameResponse:
        return FrameResponse(messages(), coder=CODER, plain=False, **options)

    refused = await get(response(), PLAIN)
    assert refused.status == 406
    assert PLAIN not in json.loads(refused.body)["message"]
    assert (await get(response(), None)).type == EVENTS
    assert (await get(response(default_type=LINES), "*/*")).type == LINES
    assert (await get(response(), V1)).type == f"{V1};coder=json"


@pytest.mark.parametrize("kind", ["frames", "bytes"])
async def test_frames_and_bytes_are_decoded_for_a_view(kind: str) -> None:
    encoder: StreamEncoder[Any, Any] = StreamEncoder(CODER)
    opening = encoder.open()
    frames = [encoder.data({"n": n}, n) for n in range(3)]
    relayed = opening + b"".join(frames) + encoder.ping() + encoder.end(trailers={"tokens": 7})
    source: list[Any] = [decode_frame(wire) for wire in frames]
    if kind == "bytes":
        source = [relayed[begin : begin + 7] for begin in range(0, len(relayed), 7)]
    got = await get(FrameResponse(source, coder=CODER), LINES)
    end = {"end": {"frames": 3, "trailers": {"tokens": 7}} if kind == "bytes" else {"frames": 3}}
    assert lines_of(got.body) == [*[{"header": {"n": n}, "payload": n} for n in range(3)], end]


@pytest.mark.parametrize("accept", [EVENTS, LINES])
async def test_what_is_ready_goes_out_in_one_write_and_no_more_than_a_batch_waits(accept: str) -> None:
    given = 0

    async def source() -> AsyncIterator[tuple[dict[str, Any], Any]]:
        nonlocal given
        for _ in range(2_000):
            given += 1
            yield {}, "x" * 100

    bodies: list[bytes] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async def seen(message: Any) -> None:
            if body := message.get("body"):
                bodies.append(body)
                assert given * 120 <= sum(map(len, bodies)) + 65_536, "the source is further ahead than a batch"
            await send(message)

        await FrameResponse(source(), coder=CODER)(scope, receive, seen)

    assert (await get(app, accept)).whole
    assert len(bodies) < 200  # 5 on a quiet machine, and never one for each of the 2,000 messages
    assert max(map(len, bodies)) <= 65_536 + 200  # a batch, and the end


@pytest.mark.parametrize("accept", [EVENTS, LINES])
async def test_a_source_on_a_thread_is_viewed_too(accept: str) -> None:
    whole = await get(FrameResponse((({"n": n}, n) for n in range(1_000)), coder=CODER), accept)
    assert whole.body.count(b"payload") == 1_000
    assert whole.whole


@pytest.mark.parametrize("accept", [EVENTS, LINES])
async def test_who_leaves_has_the_source_closed(accept: str) -> None:
    closed = asyncio.Event()

    async def endless() -> AsyncIterator[tuple[dict[str, Any], Any]]:
        try:
            yield {}, 1
            await asyncio.Event().wait()
        finally:
            closed.set()

    transport = StreamingASGITransport(FrameResponse(endless(), coder=CODER))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        async with client.stream("GET", "/", headers={"Accept": accept}) as response:
            assert b'"payload":1' in await anext(response.aiter_raw())
        async with asyncio.timeout(DEADLINE):
            await closed.wait()


@pytest.mark.parametrize("accept", [EVENTS, LINES])
async def test_an_early_failure_has_its_status(accept: str) -> None:
    got = await get(FrameResponse(failing(StreamError("not_found", "no such file"), 0), coder=CODER), accept)
    assert (got.status, json.loads(got.body)["code"]) == (404, "not_found")


async def test_after_a_late_failure_the_error_is_said_and_the_connection_is_broken() -> None:
    def response() -> FrameResponse:
        return FrameResponse(failing(StreamError("unavailable", "gone", [1])), coder=CODER)

    error = {"code": "unavailable", "message": "gone", "details": [1]}
    got = await get(response(), EVENTS)
    assert not got.whole
    *before, last = events_of(got.body)
    assert [event.event for event in before] == ["message"] * 3
    assert (last.event, last.id, last.json()) == ("error", "end", error)
    got = await get(response(), LINES)
    assert not got.whole
    assert lines_of(got.body)[3:] == [{"error": error}]


@pytest.mark.parametrize("accept", [EVENTS, LINES, PLAIN])
@on_a_fake_clock
async def test_a_reader_gets_a_moment_for_the_error_before_its_connection_is_broken(accept: str) -> None:
    sent: list[float] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async def timed_send(message: Any) -> None:
            sent.append(asyncio.get_running_loop().time())
            await send(message)

        await FrameResponse(failing(StreamError("unavailable")), coder=CODER)(scope, receive, timed_send)

    assert not (await get(app, accept)).whole
    assert sent[-1] - sent[-2] == pytest.approx(READING_SECONDS)


async def test_what_must_not_be_told_is_not_told(caplog: pytest.LogCaptureFixture) -> None:
    got = await get(FrameResponse(failing(RuntimeError("password")), coder=CODER))
    assert events_of(got.body)[-1].json() == {"code": "internal", "message": "internal error"}
    assert "password" in caplog.text


@pytest.mark.parametrize(("accept", "ping"), [(EVENTS, b": ping\n\n"), (LINES, b"\n")])
@on_a_fake_clock
async def test_silence_is_filled_with_pings_that_readers_skip(accept: str, ping: bytes) -> None:
    async def slow() -> AsyncIterator[tuple[dict[str, Any], Any]]:
        await asyncio.sleep(25)
        yield {}, 1
        await asyncio.sleep(15)

    body = (await get(FrameResponse(slow(), coder=CODER, heartbeat=10), accept)).body
    assert body.startswith(ping + ping + (b"data: " if accept == EVENTS else b"{"))
    assert body.count(ping if accept == EVENTS else b"\n\n") == (3 if accept == EVENTS else 2)


async def test_a_stream_that_the_server_ends_says_so() -> None:
    begun = asyncio.Event()

    async def endless() -> AsyncIterator[tuple[dict[str, Any], Any]]:
        yield {}, 1
        begun.set()
        await asyncio.Event().wait()

    getting = asyncio.ensure_future(get(FrameResponse(endless(), coder=CODER), LINES))
    await begun.wait()
    assert end_streams() == 1
    got = await getting
    assert not got.whole
    assert lines_of(got.body) == [
        {"header": {}, "payload": 1},
        {"error": {"code": "unavailable", "message": "the server is shutting down"}},
    ]


# ------------------------------------------------------------------------------------------------ Last-Event-ID


def never() -> AsyncIterator[tuple[dict[str, Any], Any]]:
    async def source() -> AsyncIterator[tuple[dict[str, Any], Any]]:
        raise AssertionError("the source was run")
        yield

    return source()


async def test_who_has_had_the_end_gets_204() -> None:
    got = await get(FrameResponse(never(), coder=CODER), EVENTS, **{"Last-Event-ID": "end"})
    assert (got.status, got.body) == (204, b"")


@pytest.mark.parametrize(
    ("method", "last"), [("GET", "3"), ("GET", "0"), ("GET", "END"), ("POST", "3"), ("POST", "end")]
)
async def test_any_other_last_event_id_is_out_of_range_and_starts_nothing(method: str, last: str) -> None:
    got = await get(FrameResponse(never(), coder=CODER), EVENTS, method, **{"Last-Event-ID": last})
    assert (got.status, json.loads(got.body)["code"]) == (400, "out_of_range")


async def test_an_empty_last_event_id_is_none() -> None:
    assert (await get(FrameResponse(messages(), coder=CODER), EVENTS, **{"Last-Event-ID": ""})).status == 200


# --------------------------------------------------------------------------------------------- views of one's own


class Upper(View):
    """A view that may be told to fail."""

    media_type = "text/plain; charset=utf-8"
    headers: ClassVar = {"X-Format": "upper"}

    def __init__(self, refuses_errors: bool = False) -> None:
        self.refuses_errors = refuses_errors

    def encoder(self, coder: Coder[Any, Any], limits: Limits, position: int | None) -> ViewEncoder:
        return UpperEncoder(self.refuses_errors)


class UpperEncoder:
    def __init__(self, refuses_errors: bool) -> None:
        self.position = 0
        self._refuses_errors = refuses_errors

    def open(self, *, heartbeat: float | None = None, metadata: Mapping[str, Any] | None = None) -> bytes:
        return b"(open)"

    def data(self, header: Any, payload: Any) -> bytes:
        self.position += 1
        return str(payload).upper().encode()

    def ping(self) -> bytes:
        return b""

    def end(self, *, trailers: Mapping[str, Any] | None = None, error: StreamError | None = None) -> bytes:
        if error is not None and self._refuses_errors:
            raise RuntimeError("no errors here")
        return b"(end)" if error is None else b"(error)"


async def test_a_view_of_ones_own_is_served_beside_the_others() -> None:
    def response() -> FrameResponse:
        return FrameResponse(messages(2), coder=CODER, views=[Upper()])

    got = await get(response(), "text/plain")
    assert (got.type, got.headers["x-format"]) == ("text/plain; charset=utf-8", "upper")
    assert got.body == b"(open)MESSAGE 0MESSAGE 1(end)"
    assert "x-format" not in (await get(response(), EVENTS)).headers
    assert (await get(response(), PLAIN)).type == PLAIN


@pytest.mark.parametrize(("refuses", "last"), [(False, b"MESSAGE 2(error)"), (True, b"MESSAGE 2")])
async def test_a_view_that_fails_to_say_the_error_is_cut_all_the_same(refuses: bool, last: bytes) -> None:
    response = FrameResponse(failing(StreamError("aborted")), coder=CODER, views=[Upper(refuses)])
    got = await get(response, "text/plain")
    assert not got.whole
    assert got.body.endswith(last)


@pytest.mark.parametrize("threaded", [False, True], ids=["async", "on a thread"])
async def test_a_message_that_a_view_says_nothing_of_holds_no_other_back(threaded: bool) -> None:
    class Quiet(Upper):
        def encoder(self, coder: Coder[Any, Any], limits: Limits, position: int | None) -> ViewEncoder:
            encoder = UpperEncoder(False)
            encoder.open = lambda **_: b""  # type: ignore[method-assign]
            return encoder

    taken, taken_too = threading.Event(), asyncio.Event()

    def on_a_thread() -> Iterator[tuple[dict[str, Any], Any]]:
        yield {}, ""
        time.sleep(0.05)  # so that the sender has looked
        yield {}, "said"
        taken.wait(DEADLINE)

    async def asynchronous() -> AsyncIterator[tuple[dict[str, Any], Any]]:
        yield {}, ""
        await asyncio.sleep(0.05)
        yield {}, "said"
        await taken_too.wait()

    source: Any = on_a_thread() if threaded else asynchronous()
    response = FrameResponse(source, coder=CODER, views=[Quiet()], heartbeat=None)
    async with (
        asyncio.timeout(DEADLINE),
        httpx.AsyncClient(transport=StreamingASGITransport(response), base_url="http://test") as client,
        client.stream("GET", "/", headers={"Accept": "text/plain"}) as stream,
    ):
        body = stream.aiter_raw()
        assert await anext(body) == b"SAID"
        taken.set()
        taken_too.set()
        assert await anext(body) == b"(end)"


async def test_a_view_of_ones_own_replaces_the_built_in_one() -> None:
    class Mine(Upper):
        media_type = "Text/Event-Stream"

    got = await get(FrameResponse(messages(1), coder=CODER, views=[Mine()]))
    assert got.body == b"(open)MESSAGE 0(end)"


class Unnamed(Upper):
    media_type = "upper"


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda **o: FrameResponse(messages(), coder=CODER, views=[Upper(), Upper()], **o), "two views are of"),
        (lambda **o: FrameResponse(messages(), coder=CODER, views=[Unnamed()], **o), "media_type is a media type"),
        (lambda **o: FrameResponse(messages(), coder=CODER, default_type="text/html", **o), "default_type is one of"),
        (lambda **o: FrameResponse(messages(), coder=CODER, default_type=V1, **o), "default_type is one of"),
        (lambda **o: FrameResponse(messages(), coder=CODER, default_type=PLAIN, plain=False, **o), "default_type is"),
    ],
)
def test_what_cannot_be_negotiated_is_refused_at_once(make: Callable[..., FrameResponse], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        make()


# ---------------------------------------------------------------------------------------------------------- OpenAPI


class Part(msgspec.Struct):
    name: str
    parts: list[Part]


@dataclass
class Price:
    amount: float
    currency: Literal["EUR", "USD"]


class Offer(pydantic.BaseModel):
    price: Price
    tags: list[str] = []


def items(response: Any, media_type: str) -> Any:
    schema = response[200]["content"][media_type]["itemSchema"]
    jsonschema.Draft202012Validator.check_schema(schema)
    return schema


@pytest.mark.parametrize("kind", [Part, Price, Offer, list[Price], dict[str, Price], Part | None])
def test_the_schema_of_a_message_is_that_of_its_type(kind: Any) -> None:
    samples = {
        Part: (Part("a", [Part("b", [])]), {"name": 1, "parts": []}),
        Price: (Price(1, "EUR"), {"amount": 1, "currency": "GBP"}),
        Offer: ({"price": {"amount": 1, "currency": "EUR"}, "tags": ["x"]}, {"price": {"amount": 1}}),
        list[Price]: ([Price(1, "EUR")], [{}]),
        dict[str, Price]: ({"a": Price(1, "EUR")}, {"a": {}}),
        Part | None: (None, {"name": "a"}),
    }
    good, bad = samples[kind]
    # Pydantic models are given as plain values here.
    schema = items(frame_responses(describing(kind)), "application/jsonl")
    assert "$ref" not in json.dumps(schema)
    encoder = encoder_of(JsonLines(), CODER)
    wire = encoder.open(metadata={"model": "m"}) + encoder.data({}, good) + encoder.end(trailers={"tokens": 7})
    lines = lines_of(wire) + lines_of(encoder_of(JsonLines()).end(error=StreamError("not_found", "no", [1])))
    for line in lines:
        jsonschema.validate(line, schema)
    for wrong in ({"header": {}, "payload": bad}, {"header": 1, "payload": lines[1]["payload"]}, {"end": {}}, {}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, schema)


def describing(kind: Any) -> Coder[Any, Any]:
    class Described(JsonCoder[Any, Any]):
        @property
        def payload_type(self) -> Any:
            return kind

    return Described()


def test_events_are_described_by_name() -> None:
    kinds = items(frame_responses(JsonCoder(payload=Price)), EVENTS)["oneOf"]
    described = {kind["properties"]["event"]["const"]: kind["properties"]["data"]["contentSchema"] for kind in kinds}
    assert list(described) == ["message", "metadata", "end", "error"]
    assert described["message"]["properties"]["payload"]["properties"]["amount"] == {"type": "number"}
    assert described["error"]["required"] == ["code", "message"]


def test_fastapi_keeps_the_descriptions() -> None:
    app = FastAPI()
    responses = frame_responses(NdarrayCoder(), views=[Upper()], plain=False)

    @app.get("/", response_class=FrameResponse, responses=responses)
    async def endpoint() -> FrameResponse:
        raise NotImplementedError

    content = app.openapi()["paths"]["/"]["get"]["responses"]["200"]["content"]
    assert content == responses[200]["content"]
    assert PLAIN not in content
    assert content["text/plain; charset=utf-8"] == {"schema": {"type": "string"}}
    [message, *_] = content[LINES]["itemSchema"]["oneOf"]
    jsonschema.validate({"header": {"dtype": "<i2"}, "base64": "AAA="}, message)


def test_a_type_without_a_schema_may_be_anything() -> None:
    class Odd:
        pass

    assert message_schema(describing(Odd))["properties"]["payload"] == {}
