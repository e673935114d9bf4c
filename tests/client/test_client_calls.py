"""What the calls of the client take and tell: httpx2, wrong clients, refusals with headers, closing from elsewhere."""

from __future__ import annotations

import email.utils
import pickle
import threading
import time
from typing import Any

import anyio
import httpx
import httpx2
import pytest
from deadlines import DEADLINE
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from objectstreaming import (
    IdleTimeout,
    JsonCoder,
    ResponseError,
    StreamEncoder,
    StreamIncomplete,
    TruncatedFrame,
)
from objectstreaming.client import aopen_stream, open_stream
from objectstreaming.response_problems import read_problem, retry_after
from objectstreaming.testing.raw_server import Connection, RawServer, response_head

LIBRARIES = pytest.mark.parametrize("library", [httpx, httpx2], ids=lambda library: library.__name__)
PLAIN = {"Content-Type": "application/octet-stream"}


def whole(*payloads: Any) -> bytes:
    encoder = StreamEncoder(JsonCoder())
    return encoder.open() + b"".join(encoder.data({}, payload) for payload in payloads) + encoder.end()


@LIBRARIES
class TestBothLibraries:
    """httpx2 is a client like httpx: the same errors, the same timeouts."""

    @pytest.mark.parametrize(("cut", "error"), [(1, TruncatedFrame), (0, StreamIncomplete)])
    def test_a_cut(self, library: Any, cut: int, error: type[Exception]) -> None:
        def respond(connection: Connection) -> None:
            frames = JsonCoder().encode({}, "one") * 2
            connection.send(response_head(transfer_encoding="chunked"))
            connection.send_chunks([frames[: len(frames) - cut]])

        with (
            RawServer(respond) as server,
            library.Client(trust_env=False) as client,
            open_stream(client, "GET", server.url, coder=JsonCoder()) as stream,
        ):
            assert next(stream) == ({}, "one")
            with pytest.raises(error) as caught:
                list(stream)
            assert isinstance(caught.value.__cause__, library.RemoteProtocolError)

    async def test_a_cut_for_the_asynchronous_client(self, library: Any) -> None:
        def respond(connection: Connection) -> None:
            connection.send(response_head(transfer_encoding="chunked"))
            connection.send_chunks([JsonCoder().encode({}, "one")])

        with RawServer(respond) as server:
            async with (
                library.AsyncClient(trust_env=False) as client,
                aopen_stream(client, "GET", server.url, coder=JsonCoder()) as stream,
            ):
                assert await anext(stream) == ({}, "one")
                with pytest.raises(StreamIncomplete):
                    await anext(stream)

    def test_silence(self, library: Any) -> None:
        def respond(connection: Connection) -> None:
            connection.send(response_head(connection="close") + JsonCoder().encode({}, "one"))
            connection.until_client_leaves()

        with (
            RawServer(respond) as server,
            library.Client(trust_env=False) as client,
            open_stream(client, "GET", server.url, coder=JsonCoder(), timeout=0.1) as stream,
        ):
            assert next(stream) == ({}, "one")
            with pytest.raises(IdleTimeout):
                next(stream)

    def test_the_timeout_of_the_call_always_counts(self, library: Any) -> None:
        asked = []

        def serve(request: Any) -> Any:
            asked.append(request.extensions["timeout"])
            return library.Response(200, headers=PLAIN)

        default = library.USE_CLIENT_DEFAULT
        with library.Client(transport=library.MockTransport(serve)) as client:
            for options in ({}, {"timeout": 5}, {"timeout": 5.0}, {"timeout": None}, {"timeout": default}):
                with open_stream(client, "GET", "http://server/", coder=JsonCoder(), **options):
                    pass
        assert [timeouts["read"] for timeouts in asked] == [60, 5, 5.0, None, 5]

    def test_a_refusal(self, library: Any) -> None:
        def serve(request: Any) -> Any:
            return library.Response(503, headers={"Retry-After": "7", "X-Trace": "t"}, json={"detail": "busy"})

        with (
            library.Client(transport=library.MockTransport(serve)) as client,
            pytest.raises(ResponseError) as caught,
            open_stream(client, "GET", "http://server/", coder=JsonCoder()),
        ):
            pass
        error = caught.value
        assert (error.status, error.message, error.retry_after) == (503, "busy", 7.0)
        assert error.headers["x-trace"] == "t"
        again = pickle.loads(pickle.dumps(error))
        assert (again.headers, again.retry_after, again.body) == (error.headers, 7.0, error.body)

    @pytest.mark.parametrize(
        ("location", "led_to"),
        [("/elsewhere?n=1", "http://server/elsewhere?n=1"), ("https://other/x", "https://other/x")],
    )
    def test_a_redirect_that_is_not_followed_says_where_it_led(self, library: Any, location: str, led_to: str) -> None:
        def serve(request: Any) -> Any:
            return library.Response(307, headers={"Location": location}, text="Moved")

        with (
            library.Client(transport=library.MockTransport(serve)) as client,
            pytest.raises(ResponseError) as caught,
            open_stream(client, "GET", "http://server/", coder=JsonCoder()),
        ):
            pass
        assert str(caught.value) == (
            f"HTTP 307, unknown: a redirect to {led_to}, which was not followed: follow_redirects=True follows it"
        )
        assert caught.value.headers["location"] == location


class TestWrongClients:
    @LIBRARIES
    async def test_are_told_the_other_call(self, library: Any) -> None:
        name = library.__name__
        async with library.AsyncClient() as client:
            with pytest.raises(TypeError, match=rf"takes an {name}\.Client; for {name}\.AsyncClient use aopen_stream"):
                open_stream(client, "GET", "http://server/", coder=JsonCoder()).__enter__()
        expected = rf"takes an {name}\.AsyncClient; for {name}\.Client use open_stream"
        with library.Client() as client, pytest.raises(TypeError, match=expected):
            await aopen_stream(client, "GET", "http://server/", coder=JsonCoder()).__aenter__()

    @pytest.mark.parametrize("client", [httpx, httpx.Client, object(), None, "http://server/"])
    def test_are_told_what_a_client_is(self, client: Any) -> None:
        with pytest.raises(TypeError, match=r"open_stream takes an httpx\.Client or httpx2\.Client, not"):
            open_stream(client, "GET", "http://server/", coder=JsonCoder()).__enter__()


class TestTheTestClientOfStarlette:
    def test_is_a_client_too(self) -> None:
        async def answer(request: Any) -> StreamingResponse:
            async def body() -> Any:
                yield whole("one", "two")

            return StreamingResponse(body(), media_type="application/vnd.objectstreaming;v=1;coder=json")

        async def refuse(request: Any) -> PlainTextResponse:
            return PlainTextResponse("later", 503, headers={"Retry-After": "3"})

        with TestClient(Starlette(routes=[Route("/", answer), Route("/refuse", refuse)])) as client:
            with open_stream(client, "GET", "/", coder=JsonCoder()) as stream:
                assert stream.read_all() == [({}, "one"), ({}, "two")]
            with pytest.raises(ResponseError) as caught, open_stream(client, "GET", "/refuse", coder=JsonCoder()):
                pass
            assert caught.value.retry_after == 3
            with pytest.raises(TypeError, match="use open_stream"):
                anyio.run(aopen_stream(client, "GET", "/", coder=JsonCoder()).__aenter__)  # type: ignore[arg-type]


class TestRetryAfter:
    @pytest.mark.parametrize(
        ("text", "seconds"),
        [
            ("0", 0),
            ("120", 120),
            (" 7 ", 7),
            ("1.5", 1.5),
            ("-1", None),
            ("soon", None),
            ("", None),
            ("٣", None),
            ("9" * 500, 2**31),
        ],
    )
    def test_as_a_number(self, text: str, seconds: float | None) -> None:
        assert retry_after({"Retry-After": text}) == seconds

    def test_as_a_date_counts_from_the_date_of_the_response(self) -> None:
        headers = {"Retry-After": "Fri, 31 Dec 1999 23:59:59 GMT", "Date": "Fri, 31 Dec 1999 23:58:59 GMT"}
        assert retry_after(headers) == 60

    def test_as_a_date_of_the_past_is_no_wait(self) -> None:
        assert retry_after({"Retry-After": "Fri, 31 Dec 1999 23:59:59 GMT"}) == 0

    def test_as_a_date_without_another_counts_from_now(self) -> None:
        seconds = retry_after({"Retry-After": email.utils.formatdate(time.time() + 1000, usegmt=True)})
        assert seconds is not None
        assert 0 < seconds <= 1000

    @pytest.mark.parametrize("text", ["Fri, 99 Dec 1999 23:59:59 GMT", "Fri, 31 Dec 99999 23:59:59 GMT", "\x00", ","])
    def test_as_a_date_that_is_none(self, text: str) -> None:
        assert retry_after({"Retry-After": text}) is None


class TestProblems:
    @pytest.mark.parametrize(
        ("body", "details"),
        [
            (b'{"detail":{"reason":"quota","limit":5}}', {"reason": "quota", "limit": 5}),
            (b'{"detail":{"message":"no","limit":5}}', {"message": "no", "limit": 5}),
            (b'{"detail":{"code":"quota_exceeded","message":"no"}}', {"code": "quota_exceeded", "message": "no"}),
            (b'{"detail":{"code":"aborted","message":"stop","details":[1]}}', [1]),
            (b'{"error":"overloaded"}', {"error": "overloaded"}),
            (b'{"title":"Out of credit","balance":30}', {"title": "Out of credit", "balance": 30}),
            (b'{"type":"about:blank","title":"t","status":429,"detail":"d","instance":"/x"}', None),
        ],
    )
    def test_what_a_server_says_beyond_a_message_is_kept_as_details(self, body: bytes, details: Any) -> None:
        assert read_problem(429, "Too Many Requests", body).details == details


class TestReadingAll:
    def test_gives_what_has_not_been_read(self) -> None:
        def serve(request: httpx.Request) -> httpx.Response:
            return httpx.Response(200, headers=PLAIN, content=whole(1, 2, 3))

        with (
            httpx.Client(transport=httpx.MockTransport(serve)) as client,
            open_stream(client, "GET", "http://server/", coder=JsonCoder()) as stream,
        ):
            next(stream)
            assert stream.read_all() == [({}, 2), ({}, 3)]
            assert stream.read_all() == []

    async def test_gives_it_asynchronously(self) -> None:
        def serve(request: httpx.Request) -> httpx.Response:
            return httpx.Response(200, headers=PLAIN, content=whole(1, 2))

        async with (
            httpx.AsyncClient(transport=httpx.MockTransport(serve)) as client,
            aopen_stream(client, "GET", "http://server/", coder=JsonCoder()) as stream,
        ):
            assert await stream.read_all() == [({}, 1), ({}, 2)]


def stalls(connection: Connection) -> None:
    connection.send(response_head(connection="close") + JsonCoder().encode({}, "one"))
    connection.until_client_leaves()


class TestClosing:
    def test_from_another_thread_ends_a_read_at_once(self) -> None:
        with (
            RawServer(stalls) as server,
            httpx.Client(trust_env=False) as client,
            open_stream(client, "GET", server.url, coder=JsonCoder()) as stream,
        ):
            assert next(stream) == ({}, "one")
            closing = threading.Timer(0.1, stream.close)
            closing.start()
            for _ in range(2):
                with pytest.raises(StreamIncomplete, match="closed by the reader after 1 data frames"):
                    next(stream)
            closing.join()
            stream.close()
            assert server.connections[0].client_left.wait(DEADLINE)

    @pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
    async def test_from_another_task_ends_a_read_at_once(self) -> None:
        with RawServer(stalls) as server:
            async with (
                httpx.AsyncClient(trust_env=False) as client,
                aopen_stream(client, "GET", server.url, coder=JsonCoder()) as stream,
                anyio.create_task_group() as tasks,
            ):
                assert await anext(stream) == ({}, "one")
                tasks.start_soon(close_soon, stream)
                for _ in range(2):
                    with pytest.raises(StreamIncomplete, match="closed by the reader after 1 data frames"):
                        await anext(stream)

    async def test_ends_a_read_within_this_process_too(self) -> None:
        class Body(httpx.AsyncByteStream):
            async def __aiter__(self) -> Any:
                yield JsonCoder().encode({}, "one")
                await anyio.sleep_forever()

        transport = httpx.MockTransport(lambda _: httpx.Response(200, headers=PLAIN, stream=Body()))
        async with (
            httpx.AsyncClient(transport=transport) as client,
            aopen_stream(client, "GET", "http://server/", coder=JsonCoder()) as stream,
            anyio.create_task_group() as tasks,
        ):
            assert await anext(stream) == ({}, "one")
            tasks.start_soon(close_soon, stream)
            with pytest.raises(StreamIncomplete, match="closed by the reader"):
                await anext(stream)

    def test_a_stream_that_is_whole_changes_nothing(self) -> None:
        def serve(request: httpx.Request) -> httpx.Response:
            return httpx.Response(200, headers=PLAIN, content=whole(1))

        with (
            httpx.Client(transport=httpx.MockTransport(serve)) as client,
            open_stream(client, "GET", "http://server/", coder=JsonCoder()) as stream,
        ):
            assert list(stream) == [({}, 1)]
            stream.close()
            assert list(stream) == []


async def close_soon(stream: Any) -> None:
    await anyio.wait_all_tasks_blocked()
    await stream.aclose()
