"""What observers are told of the streams that a client reads, with both clients."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import pytest
from seen_streams import Broken, Seen

from objectstreaming import JsonCoder, ObjectStreamError, PayloadError, StreamEncoder, StreamError
from objectstreaming.client import aopen_stream, open_stream
from objectstreaming.observe import Observer, ReadWatch, StreamRecord, observers

CODER = JsonCoder(payload=int)
STREAM = "application/vnd.objectstreaming"
TYPE = f"{STREAM};v=1;coder=json"


class Body(httpx.SyncByteStream, httpx.AsyncByteStream):
    """Pieces that come one by one; an exception among them is raised."""

    def __init__(self, *pieces: bytes | Exception) -> None:
        self.pieces = pieces

    def __iter__(self) -> Iterator[bytes]:
        for piece in self.pieces:
            if isinstance(piece, Exception):
                raise piece
            yield piece

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self:
            yield piece


def serving(*pieces: bytes | Exception, status: int = 200, content_type: str = TYPE) -> httpx.MockTransport:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(status, headers={"Content-Type": content_type}, stream=Body(*pieces))

    return httpx.MockTransport(answer)


Take = Callable[..., StreamRecord]


@pytest.fixture(params=["sync", "async"])
def take(request: pytest.FixtureRequest) -> Take:
    """Read `most` messages of an answer, all by default, and give the record of it."""

    def read_sync(transport: Any, observer: Observer, most: int) -> None:
        with (
            httpx.Client(transport=transport, base_url="http://user:secret@server/v1/") as client,
            open_stream(client, "post", "ask?key=secret", coder=CODER, observer=observer) as stream,
        ):
            for _ in range(most):
                if next(stream, None) is None:
                    return

    async def read_async(transport: Any, observer: Observer, most: int) -> None:
        async with (
            httpx.AsyncClient(transport=transport, base_url="http://user:secret@server/v1/") as client,
            aopen_stream(client, "post", "ask?key=secret", coder=CODER, observer=observer) as stream,
        ):
            for _ in range(most):
                if await anext(stream, None) is None:
                    return

    def take(transport: httpx.MockTransport, most: int = 1000) -> StreamRecord:
        seen = Seen()
        with contextlib.suppress(ObjectStreamError, httpx.HTTPError):
            if request.param == "sync":
                read_sync(transport, seen, most)
            else:
                asyncio.run(read_async(transport, seen, most))
        return seen.only

    return take


def opened() -> tuple[StreamEncoder[Any, Any], bytes]:
    encoder = StreamEncoder(JsonCoder())
    return encoder, encoder.open()


class TestTheRecord:
    def test_of_a_whole_stream(self, take: Take) -> None:
        encoder, opening = opened()
        pieces = [
            opening,
            encoder.ping(),
            encoder.data({}, 1) + encoder.data({}, 2),
            encoder.ping(),
            encoder.data({}, 3),
        ]
        pieces.append(encoder.end())
        stream = take(serving(*pieces))
        assert (stream.outcome, stream.code, stream.status) == ("ok", None, 200)
        assert (stream.kind, stream.method, stream.coder, stream.media_type) == ("client", "POST", "json", STREAM)
        assert stream.url == "http://server/v1/ask", "neither a password nor a query"
        assert (stream.frames, stream.pings, stream.writes) == (3, 2, 6)
        assert stream.bytes == sum(map(len, pieces))
        assert stream.first is not None
        assert 0 < stream.first <= stream.seconds
        assert stream.longest_gap > 0

    def test_counts_only_this_response_of_a_stream_that_is_resumed(self, take: Take) -> None:
        encoder: StreamEncoder[Any, Any] = StreamEncoder(JsonCoder())
        stream = take(serving(encoder.open(position=7), encoder.data({}, 8) + encoder.end()))
        assert (stream.outcome, stream.frames) == ("ok", 1)
        assert stream.longest_gap == 0, "the open frame has no message"

    @pytest.mark.parametrize(
        ("rest", "code"),
        [
            (lambda encoder: [encoder.end(error=StreamError("unavailable"))], "unavailable"),
            (lambda encoder: [], "stream_incomplete"),
            (lambda encoder: [httpx.ReadError("reset")], "stream_incomplete"),
            (lambda encoder: [httpx.ReadTimeout("")], "idle_timeout"),
            (lambda encoder: [encoder.data({}, 2)[:-1]], "truncated_frame"),
            (lambda encoder: [bytes(8)], "invalid_length"),
            (lambda encoder: [encoder.data({}, "no number")], "invalid_payload"),
            (lambda encoder: [encoder.end() + JsonCoder().encode({}, 1)], "frame_after_end"),
        ],
    )
    def test_of_a_stream_that_failed(self, rest: Any, code: str, take: Take) -> None:
        encoder, opening = opened()
        stream = take(serving(opening + encoder.data({}, 1), *rest(encoder)))
        assert (stream.outcome, stream.code) == ("failed", code)
        assert stream.frames >= 1

    @pytest.mark.parametrize(
        ("transport", "expected"),
        [
            (serving(b'{"code":"not_found","message":""}', status=404), ("not_found", 404)),
            (serving(b"<html>", content_type="text/html"), ("unexpected_content_type", 200)),
        ],
    )
    def test_of_an_answer_that_is_no_stream(self, transport: Any, expected: Any, take: Take) -> None:
        stream = take(transport)
        assert (stream.outcome, (stream.code, stream.status)) == ("failed", expected)

    @pytest.mark.parametrize(
        ("error", "code"), [(httpx.ConnectError(""), "unavailable"), (httpx.ConnectTimeout(""), "deadline_exceeded")]
    )
    def test_of_no_answer(self, error: Exception, code: str, take: Take) -> None:
        def answer(request: httpx.Request) -> httpx.Response:
            raise error

        stream = take(httpx.MockTransport(answer))
        assert (stream.outcome, stream.code, stream.status) == ("failed", code, None)

    def test_of_a_stream_that_was_left(self, take: Take) -> None:
        encoder, opening = opened()
        stream = take(serving(opening, encoder.data({}, 1), encoder.data({}, 2), encoder.end()), most=1)
        assert (stream.outcome, stream.code, stream.frames) == ("left", "canceled", 1)

    def test_of_a_stream_that_was_closed(self) -> None:
        seen = Seen()
        encoder, opening = opened()
        with (
            httpx.Client(transport=serving(opening + encoder.data({}, 1), encoder.data({}, 2))) as client,
            open_stream(client, "GET", "http://server/", coder=CODER, observer=seen) as stream,
            contextlib.suppress(ObjectStreamError),
        ):
            next(stream)
            stream.close()
            next(stream)
        assert seen.only.outcome == "left"

    def test_of_a_stream_whose_reader_failed_with_the_error_of_another(self) -> None:
        seen = Seen()
        encoder, opening = opened()

        def read() -> None:
            with (
                httpx.Client(transport=serving(opening, encoder.data({}, 1))) as client,
                open_stream(client, "GET", "http://server/", coder=CODER, observer=seen) as stream,
            ):
                next(stream)
                raise StreamError("unavailable", "of another stream")

        with pytest.raises(StreamError):
            read()
        assert seen.only.outcome == "left"

    def test_of_a_stream_that_went_on_after_an_unreadable_message(self) -> None:
        seen = Seen()
        encoder, opening = opened()
        wire = opening + encoder.data({}, "no number") + encoder.data({}, 2) + encoder.end()
        with (
            httpx.Client(transport=serving(wire)) as client,
            open_stream(client, "GET", "http://server/", coder=CODER, observer=seen) as stream,
        ):
            with pytest.raises(PayloadError):
                next(stream)
            assert stream.read_all() == [({}, 2)]
        assert (seen.only.outcome, seen.only.frames) == ("ok", 2)

    async def test_of_a_read_that_was_cancelled(self) -> None:
        waiting = asyncio.Event()

        class Silent(httpx.AsyncByteStream):
            async def __aiter__(self) -> AsyncIterator[bytes]:
                yield opened()[1]
                waiting.set()
                await asyncio.Event().wait()

        def answer(request: httpx.Request) -> httpx.Response:
            return httpx.Response(200, headers={"Content-Type": TYPE}, stream=Silent())

        seen = Seen()

        async def read() -> None:
            async with (
                httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client,
                aopen_stream(client, "GET", "http://server/", coder=CODER, observer=seen) as stream,
            ):
                await anext(stream)

        task = asyncio.create_task(read())
        await waiting.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (seen.only.outcome, seen.only.code) == ("left", "canceled")


def test_observers_of_the_process_are_told_of_each_response_of_a_resumed_stream() -> None:
    encoder = StreamEncoder(JsonCoder())
    first = encoder.open(resume="/streams/1") + encoder.data({}, 1)
    again = StreamEncoder(JsonCoder())
    rest = again.open(resume="/streams/1", position=1) + again.data({}, 2) + again.end()
    bodies = iter([first, rest])

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"Content-Type": TYPE}, stream=Body(next(bodies)))

    seen = Seen()
    observers.append(seen)
    try:
        with (
            httpx.Client(transport=httpx.MockTransport(answer)) as client,
            open_stream(client, "POST", "http://server/ask", coder=CODER, resume=True) as stream,
        ):
            assert [payload for _, payload in stream] == [1, 2]
    finally:
        observers.remove(seen)
    assert [(stream.result, stream.frames) for stream in seen.streams] == [("stream_incomplete", 1), ("ok", 1)]
    assert [stream.url for stream in seen.streams] == ["http://server/ask", "http://server/streams/1"]


def test_an_observer_that_raises_harms_nothing(caplog: pytest.LogCaptureFixture) -> None:
    encoder, opening = opened()
    broken = Broken()
    with (
        httpx.Client(transport=serving(opening, *(encoder.data({}, n) for n in range(9)), encoder.end())) as client,
        open_stream(client, "GET", "http://server/", coder=CODER, observer=broken) as stream,
    ):
        assert [payload for _, payload in stream] == list(range(9))
    assert broken.calls == ["started", "ended"], "an observer that has failed is not asked for each read"
    assert len(caplog.records) == 2


def test_the_time_that_the_program_takes_is_stalled(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(ReadWatch, "clock", staticmethod(lambda: now))
    seen = Seen()
    watch = ReadWatch(StreamRecord("GET", "/", "json", kind="client"), [seen])
    watch.started()
    for waited, frames, taken in [(1.0, 0, 0.0), (2.0, 3, 0.5), (4.0, 4, 0.25)]:
        watch.reads()
        now += waited
        watch.read(10, frames)
        now += taken
    watch.ended("ok", None, 4)
    stream = seen.only
    assert (stream.first, stream.longest_gap, stream.stalled, stream.seconds) == (3.0, 4.5, 0.5, 7.75)
