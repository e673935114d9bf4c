"""The public test kit: what it makes is what it says, and it behaves as a server and a network do."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterable, AsyncIterator
from typing import Any

import httpx
import pytest
from deadlines import DEADLINE
from fake_clock import on_a_fake_clock
from fastapi import FastAPI
from hypothesis import given, settings
from hypothesis import strategies as st

from objectstreaming import (
    FrameDecoder,
    IdleTimeout,
    JsonCoder,
    Limits,
    MsgpackCoder,
    NdarrayCoder,
    RawCoder,
    ResponseError,
    StreamError,
    StreamIncomplete,
    TruncatedFrame,
)
from objectstreaming.client import aopen_stream
from objectstreaming.server import FrameResponse
from objectstreaming.testing import (
    Crumble,
    Cut,
    FaultyApp,
    Stall,
    Stream,
    StreamingASGITransport,
    aread_outcome,
    chunkings,
    corruptions,
    frames,
    headers,
    inject,
    read_outcome,
    streams,
)
from objectstreaming.testing.outcomes import Outcome
from objectstreaming.testing.strategies import Corruption, messages
from wav_streaming import TALCoder

some = settings(max_examples=40)

ASKED = {"Accept": "application/vnd.objectstreaming;v=1"}


def client_of(app: Any, **options: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=StreamingASGITransport(app, **options), base_url="http://test")


async def gather(items: AsyncIterable[Any], into: list[Any]) -> None:
    """Keeps what came before an error."""
    async for item in items:
        into.append(item)  # noqa: PERF401


class TestFrames:
    @some
    @given(frames(Limits(frame=60, header=20)))
    def test_keep_to_the_limits_and_are_read_back(self, frame: Any) -> None:
        assert list(FrameDecoder(Limits(frame=60, header=20)).feed(bytes(frame))) == [frame]
        assert "$stream" not in frame.header


class TestStreams:
    @some
    @given(st.data())
    @pytest.mark.parametrize("coder", [JsonCoder(), MsgpackCoder(), RawCoder(), NdarrayCoder(), TALCoder()])
    def test_of_each_coder_are_read_as_they_say(self, coder: Any, data: st.DataObject) -> None:
        stream = data.draw(streams(coder))
        assert read_outcome([stream.wire], coder) == stream.outcome
        assert stream.boundaries[-1] == len(stream.wire)

    @some
    @given(streams(v=None))
    def test_that_are_plain_have_no_end(self, stream: Stream) -> None:
        assert read_outcome([stream.wire], stream.coder, require_end=True).verdict == (
            "StreamIncomplete",
            "stream_incomplete",
            None,
            None,
        )

    @some
    @given(streams(v=1, errors=False))
    def test_of_version_1_have_one(self, stream: Stream) -> None:
        assert read_outcome([stream.wire], stream.coder, require_end=True).error is None

    @some
    @given(streams(JsonCoder(payload=int), messages=st.tuples(headers(), st.integers()), max_messages=3))
    def test_have_the_messages_that_the_caller_wants(self, stream: Stream) -> None:
        assert len(stream.outcome.messages) <= 3
        assert all(type(payload) is int for _, payload in stream.outcome.messages)

    def test_of_a_coder_that_is_not_ours_need_messages(self) -> None:
        class Own(RawCoder):
            name = "own"

        class Alien:
            name = "alien"

        messages(Own())
        with pytest.raises(ValueError, match="pass messages="):
            messages(Alien())  # type: ignore[arg-type]


class TestChunkings:
    @some
    @given(st.data())
    def test_lose_and_add_nothing(self, data: st.DataObject) -> None:
        wire = data.draw(st.binary(max_size=100))
        assert b"".join(data.draw(chunkings(wire))) == wire


class TestCorruptions:
    @some
    @given(st.data())
    def test_say_what_was_done(self, data: st.DataObject) -> None:
        wire = data.draw(st.binary(max_size=100))
        corruption = data.draw(corruptions(wire))
        assert isinstance(corruption, Corruption)
        assert corruption.what


class TestOutcomes:
    def test_go_on_after_a_payload_that_cannot_be_read(self) -> None:
        wire = b"".join(RawCoder().encode({}, payload) for payload in (b"1", b"x", b"y", b"4"))
        outcome = read_outcome([wire], JsonCoder())
        assert outcome.messages == [({}, 1), ({}, 4)]
        assert outcome.unreadable == [(1, 11), (2, 22)]
        assert outcome.position == 4

    def test_compare_arrays_by_their_bytes(self) -> None:
        import numpy

        one = Outcome(messages=[({}, numpy.array([math.nan, 1.0]))])
        assert one == Outcome(messages=[({}, numpy.array([math.nan, 1.0]))])
        assert one != Outcome(messages=[({}, numpy.array([math.nan, 2.0]))])
        assert one != Outcome(messages=[({}, numpy.array([[math.nan, 1.0]]))])

    @pytest.mark.parametrize(
        "other",
        [
            Outcome(messages=[({}, 2)]),
            Outcome(messages=[({}, 1.0)]),
            Outcome(messages=[({}, 1)], trailers={}),
            Outcome(messages=[({}, 1)], unreadable=[(1, 9)]),
            Outcome(messages=[({}, 1)], error=StreamError("aborted")),
            None,
        ],
    )
    def test_differ_where_anything_does(self, other: Any) -> None:
        assert Outcome(messages=[({}, 1)]) != other

    async def test_are_the_same_of_asynchronous_chunks(self) -> None:
        async def chunks() -> AsyncIterator[bytes]:
            yield RawCoder().encode({}, b"1")
            yield RawCoder().encode({}, b"x") + b"\0\0\0\0"

        wire = b"".join([chunk async for chunk in chunks()])
        outcome = await aread_outcome(chunks(), JsonCoder())
        assert outcome == read_outcome([wire], JsonCoder())
        assert outcome.verdict == ("InvalidLength", "invalid_length", 2, 22)


class TestFaults:
    @some
    @given(st.lists(st.binary(max_size=10), max_size=5), st.integers(0, 60), st.integers(1, 4))
    def test_cut_where_they_say(self, chunks: list[bytes], at: int, size: int) -> None:
        whole = b"".join(chunks)
        got = list(inject(chunks, Crumble(size), Cut(at, clean=True)))
        assert b"".join(got) == whole[:at]
        assert all(0 < len(chunk) <= size for chunk in got)

    def test_stall_where_they_say(self, monkeypatch: pytest.MonkeyPatch) -> None:
        events: list[Any] = []
        monkeypatch.setattr("time.sleep", events.append)
        for chunk in inject([b"abcd", b"efgh"], Stall(6, seconds=3), Stall(2, seconds=1)):
            events.append(chunk)  # noqa: PERF402 - among the sleeps
        assert events == [b"ab", 1, b"cd", b"ef", 3, b"gh"]


def streaming(*chunks: bytes, **head: Any) -> Any:
    """An application that answers with these chunks, one message each."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [], **head})
        for chunk in chunks:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    return app


class TestTheTransport:
    async def test_gives_chunks_as_they_are_sent(self) -> None:
        step = asyncio.Event()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": [(b"x-mine", b"1")]})
            await send({"type": "http.response.body", "body": b"one", "more_body": True})
            await step.wait()
            await send({"type": "http.response.body", "body": b"two"})

        async with client_of(app) as client, client.stream("GET", "/") as response:
            assert response.headers["x-mine"] == "1"
            chunks = response.aiter_raw()
            assert await anext(chunks) == b"one"
            step.set()
            assert [chunk async for chunk in chunks] == [b"two"]

    async def test_gives_the_request_as_it_is_read(self) -> None:
        seen: list[Any] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            seen.append((scope["method"], scope["path"], scope["query_string"], dict(scope["headers"])[b"x-mine"]))
            while True:
                message = await receive()
                seen.append(message["body"])
                if not message["more_body"]:
                    break
            await streaming(b"done")(scope, receive, send)

        async def body() -> AsyncIterator[bytes]:
            yield b"one"
            yield b"two"

        async with client_of(app) as client:
            response = await client.post("/a%20b?c=d", content=body(), headers={"X-Mine": "1"})
        assert response.text == "done"
        assert seen == [("POST", "/a b", b"c=d", b"1"), b"one", b"two", b""]

    @pytest.mark.parametrize("buffer", [0, 10, 100])
    async def test_holds_an_application_back_that_is_ahead_of_its_reader(self, buffer: int) -> None:
        sent = 0

        async def app(scope: Any, receive: Any, send: Any) -> None:
            nonlocal sent
            await send({"type": "http.response.start", "status": 200, "headers": []})
            for _ in range(1000):
                await send({"type": "http.response.body", "body": b"0123456789", "more_body": True})
                sent += 10
            await send({"type": "http.response.body"})

        async with client_of(app, buffer=buffer) as client, client.stream("GET", "/") as response:
            for _ in range(20):
                await asyncio.sleep(0)
            assert sent == buffer
            total = 0
            async for chunk in response.aiter_raw():
                total += len(chunk)
                assert sent <= total + buffer + 10
        assert total == 10_000

    async def test_the_application_gets_a_disconnect_when_the_client_leaves(self) -> None:
        dropped = asyncio.Event()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            assert (await receive())["type"] == "http.request"
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"one", "more_body": True})
            assert (await receive())["type"] == "http.disconnect"
            await send({"type": "http.response.body", "body": b"two", "more_body": True})  # dropped, as uvicorn does
            dropped.set()

        async with client_of(app) as client:
            async with client.stream("GET", "/") as response:
                assert await anext(response.aiter_raw()) == b"one"
            await asyncio.wait_for(dropped.wait(), DEADLINE)

    async def test_a_send_to_a_client_that_has_left_raises_where_the_specification_says_so(self) -> None:
        raised = asyncio.Event()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            try:
                while True:
                    await send({"type": "http.response.body", "body": b"one", "more_body": True})
            except OSError:
                raised.set()

        async with client_of(app, spec_version="2.4") as client:
            async with client.stream("GET", "/") as response:
                assert await anext(response.aiter_raw()) == b"one"
            await asyncio.wait_for(raised.wait(), DEADLINE)

    async def test_cuts_where_the_application_raises(self) -> None:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"one", "more_body": True})
            raise ValueError("a bug")

        transport = StreamingASGITransport(app)
        got: list[bytes] = []
        async with httpx.AsyncClient(transport=transport) as client, client.stream("GET", "http://test/") as response:
            with pytest.raises(httpx.RemoteProtocolError) as caught:
                await gather(response.aiter_raw(), got)
        assert got == [b"one"]
        assert isinstance(caught.value.__cause__, ValueError)
        assert [str(error) for error in transport.exceptions] == ["a bug"]

    async def test_cuts_where_the_application_returns_too_early(self) -> None:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})

        async with client_of(app) as client:
            with pytest.raises(httpx.RemoteProtocolError):
                await client.get("/")

    @pytest.mark.parametrize("length", [b"2", b"4"])
    async def test_cuts_where_the_body_is_not_as_long_as_it_says(self, length: bytes) -> None:
        async with client_of(streaming(b"one", headers=[(b"content-length", length)])) as client:
            with pytest.raises(httpx.RemoteProtocolError) as caught:
                await client.get("/")
        assert "Content-Length" in str(caught.value.__cause__)

    @pytest.mark.parametrize("body", [7, None, "text"])
    async def test_cuts_where_the_body_is_not_bytes(self, body: Any) -> None:
        async with client_of(streaming(body)) as client:
            with pytest.raises(httpx.RemoteProtocolError):
                await client.get("/")

    async def test_answers_500_where_the_application_raises_before_its_response(self) -> None:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            raise ValueError("a bug")

        async with client_of(app) as client:
            response = await client.get("/")
        assert (response.status_code, response.text) == (500, "Internal Server Error")

    async def test_keeps_the_read_timeout(self) -> None:
        async def silent(scope: Any, receive: Any, send: Any) -> None:
            await asyncio.Event().wait()

        async def falls_silent(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await asyncio.Event().wait()

        for app in (silent, falls_silent):
            async with client_of(app, grace=0) as client:
                with pytest.raises(httpx.ReadTimeout):
                    await client.get("/", timeout=0.05)

    async def test_cancels_what_does_not_end_by_itself(self) -> None:
        cancelled = asyncio.Event()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"one", "more_body": True})
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.set()

        async with client_of(app, grace=0.01) as client, client.stream("GET", "/"):
            pass
        assert cancelled.is_set()

    async def test_gives_no_body_to_head(self) -> None:
        async with client_of(streaming(b"one")) as client:
            assert (await client.head("/")).content == b""


async def numbers(count: int) -> AsyncIterator[tuple[Any, Any]]:
    for number in range(count):
        yield {"n": number}, number


def app_of(make_source: Any, **options: Any) -> FastAPI:
    app = FastAPI()

    @app.get("/")
    async def frames() -> FrameResponse:
        return FrameResponse(make_source(), coder=JsonCoder(), **options)

    return app


class TestOurServerAndOurClientInOneProcess:
    async def test_agree_on_a_whole_stream(self) -> None:
        app = app_of(lambda: numbers(1000), trailers={"tokens": 7}, metadata={"model": "m"})
        async with client_of(app) as client, aopen_stream(client, "GET", "/", coder=JsonCoder()) as stream:
            assert [payload async for _, payload in stream] == list(range(1000))
            assert stream.trailers == {"tokens": 7}
            assert stream.metadata == {"model": "m"}
            assert stream.heartbeat == 15

    async def test_agree_on_a_failure_before_the_first_message(self) -> None:
        async def fails() -> AsyncIterator[Any]:
            raise StreamError("not_found", "no such document", {"document": "b.md"})
            yield

        async with client_of(app_of(fails)) as client:
            with pytest.raises(ResponseError) as caught:
                async with aopen_stream(client, "GET", "/", coder=JsonCoder()):
                    pass
        error = caught.value
        assert (error.status, error.code, error.message) == (404, "not_found", "no such document")
        assert error.details == {"document": "b.md"}

    async def test_agree_on_a_failure_after_it(self) -> None:
        async def fails() -> AsyncIterator[Any]:
            yield {}, 1
            raise StreamError("unavailable", "overloaded")

        got: list[Any] = []
        async with client_of(app_of(fails)) as client:
            async with aopen_stream(client, "GET", "/", coder=JsonCoder()) as stream:
                with pytest.raises(StreamError) as caught:
                    await gather(stream, got)
            assert (got, caught.value.code, caught.value.message) == ([({}, 1)], "unavailable", "overloaded")
            plain = {"Accept": "application/octet-stream"}
            async with aopen_stream(client, "GET", "/", coder=JsonCoder(), headers=plain) as stream:
                assert await anext(stream) == ({}, 1)
                with pytest.raises(StreamIncomplete):
                    await anext(stream)

    async def test_agree_that_a_client_that_leaves_ends_the_source(self) -> None:
        closed = asyncio.Event()

        async def endless() -> AsyncIterator[Any]:
            try:
                while True:
                    yield {}, 1
                    await asyncio.sleep(0)
            finally:
                closed.set()

        async with client_of(app_of(endless)) as client:
            async with aopen_stream(client, "GET", "/", coder=JsonCoder()) as stream:
                async for _ in stream:
                    break
            await asyncio.wait_for(closed.wait(), DEADLINE)

    @on_a_fake_clock
    async def test_agree_on_silence(self) -> None:
        """The source is silent for many heartbeats, and the pings keep the client waiting. Without them it gives up."""

        async def thinks() -> AsyncIterator[Any]:
            yield {}, 1
            await asyncio.sleep(600)
            yield {}, 2

        thinking = app_of(thinks, heartbeat=15)
        async with client_of(thinking) as client, aopen_stream(client, "GET", "/", coder=JsonCoder()) as stream:
            assert [payload async for _, payload in stream] == [1, 2]
        stalling = FaultyApp(thinking, Stall(120, seconds=math.inf))
        async with (
            client_of(stalling) as client,
            aopen_stream(client, "GET", "/", coder=JsonCoder()) as stream,
        ):
            with pytest.raises(IdleTimeout):
                await gather(stream, [])

    @pytest.mark.parametrize("clean", [True, False])
    async def test_never_take_a_cut_for_an_end(self, clean: bool) -> None:
        """Cut at any byte, in small pieces, with a broken connection or an end that looks like success."""
        app = app_of(lambda: numbers(3))
        async with client_of(app) as client:
            wire = (await client.get("/", headers=ASKED)).content
        for at in range(len(wire)):
            got: list[Any] = []
            async with (
                client_of(FaultyApp(app, Crumble(7), Cut(at, clean=clean))) as client,
                aopen_stream(client, "GET", "/", coder=JsonCoder()) as stream,
            ):
                with pytest.raises((StreamIncomplete, TruncatedFrame)):
                    await gather(stream, got)
            assert got == [({"n": number}, number) for number in range(len(got))]
        assert len(got) == 3
