"""Streams over HTTP/2: who leaves one tells the server, and the connection stays good for others."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import anyio
import httpx
import httpx2
import pytest
from deadlines import DEADLINE, wait_until
from http2_server import Http2Server, Stream

from objectstreaming import IdleTimeout, JsonCoder, ResponseError, StreamEncoder, StreamIncomplete
from objectstreaming import client as client_module
from objectstreaming.client import aopen_stream, open_stream

CANCEL = 8
LIBRARIES = pytest.mark.parametrize("library", [httpx, httpx2], ids=lambda library: library.__name__)


def client_of(library: Any) -> Any:
    return library.Client(http1=False, http2=True, trust_env=False)


def async_client_of(library: Any) -> Any:
    return library.AsyncClient(http1=False, http2=True, trust_env=False)


def endless(stream: Stream) -> None:
    """A first message, and then nothing."""
    encoder = StreamEncoder(JsonCoder())
    stream.head()
    stream.send(encoder.open() + encoder.data({}, stream.path))


def whole(stream: Stream) -> None:
    encoder = StreamEncoder(JsonCoder())
    stream.head()
    stream.send(encoder.open() + encoder.data({}, stream.path) + encoder.end(), end=True)


def by_path(stream: Stream) -> None:
    whole(stream) if "whole" in stream.path else endless(stream)


@LIBRARIES
class TestLeaving:
    def test_resets_the_stream_and_keeps_the_connection(self, library: Any) -> None:
        with Http2Server(by_path) as server, client_of(library) as client:
            for _ in range(130):  # more than the hundred that may be open at once
                with open_stream(client, "GET", server.url, coder=JsonCoder()) as stream:
                    assert next(stream) == ({}, "/")
            with open_stream(client, "GET", server.url + "whole", coder=JsonCoder()) as stream:
                assert stream.read_all() == [({}, "/whole")]
            assert all(stream.left.wait(DEADLINE) for stream in server.streams[:-1])
            assert [stream.reset_with for stream in server.streams] == [CANCEL] * 130 + [None]
            assert len(server.connections) == 1

    async def test_resets_the_stream_of_the_asynchronous_client(self, library: Any) -> None:
        with Http2Server(by_path) as server:
            async with async_client_of(library) as client:
                for _ in range(130):
                    async with aopen_stream(client, "GET", server.url, coder=JsonCoder()) as stream:
                        assert await anext(stream) == ({}, "/")
                async with aopen_stream(client, "GET", server.url + "whole", coder=JsonCoder()) as stream:
                    assert await stream.read_all() == [({}, "/whole")]
                await anyio.to_thread.run_sync(lambda: [stream.left.wait(DEADLINE) for stream in server.streams[:-1]])
            assert [stream.reset_with for stream in server.streams] == [CANCEL] * 130 + [None]
            assert len(server.connections) == 1

    @pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
    async def test_by_cancellation_of_a_read_resets_the_stream(self, library: Any) -> None:
        with Http2Server(by_path) as server:
            async with async_client_of(library) as client:
                with anyio.CancelScope() as scope:
                    async with aopen_stream(client, "GET", server.url, coder=JsonCoder()) as stream:
                        async for _ in stream:
                            scope.deadline = anyio.current_time()  # cancels the wait for the next message
                assert scope.cancelled_caught
                assert await anyio.to_thread.run_sync(server.streams[0].left.wait, DEADLINE)
                assert server.streams[0].reset_with == CANCEL
                async with aopen_stream(client, "GET", server.url + "whole", coder=JsonCoder()) as stream:
                    assert len(await stream.read_all()) == 1
            assert len(server.connections) == 1

    def test_after_a_timeout_before_the_response_has_begun_resets_the_stream(self, library: Any) -> None:
        with Http2Server(lambda stream: None) as server, client_of(library) as client:
            with (
                pytest.raises(library.ReadTimeout),
                open_stream(client, "GET", server.url, coder=JsonCoder(), timeout=0.1),
            ):
                pass
            assert server.streams[0].left.wait(DEADLINE)
            assert server.streams[0].reset_with == CANCEL

    async def test_before_the_response_has_begun_resets_the_stream(self, library: Any) -> None:
        asked = anyio.Event()

        def respond(stream: Stream) -> None:
            if stream.path == "/whole":
                whole(stream)
            else:
                anyio.from_thread.run_sync(asked.set, token=token)

        token = anyio.lowlevel.current_token()
        with Http2Server(respond) as server:
            async with async_client_of(library) as client:
                for _ in range(101):
                    async with anyio.create_task_group() as tasks:

                        async def ask() -> None:
                            async with aopen_stream(client, "GET", server.url, coder=JsonCoder()):
                                raise AssertionError

                        tasks.start_soon(ask)
                        await asked.wait()
                        tasks.cancel_scope.cancel()
                    asked = anyio.Event()
                async with aopen_stream(client, "GET", server.url + "whole", coder=JsonCoder()) as stream:
                    assert len(await stream.read_all()) == 1
            assert [stream.reset_with for stream in server.streams] == [CANCEL] * 101 + [None]

    def test_gives_back_what_had_come_for_it(self, library: Any) -> None:
        """The window of a connection is 16 MiB; one that is lost piece by piece stops every stream."""
        megabyte = "x" * 2**20
        sent: list[threading.Event] = []

        def respond(stream: Stream) -> None:
            if stream.path == "/whole":
                whole(stream)
                return
            encoder = StreamEncoder(JsonCoder())
            stream.head()
            stream.send(encoder.open())
            threading.Thread(target=flood, args=(stream, encoder), daemon=True).start()

        def flood(stream: Stream, encoder: Any) -> None:
            for _ in range(3):
                stream.send(encoder.data({}, megabyte))
            sent[-1].set()

        with Http2Server(respond) as server, client_of(library) as client:
            for _ in range(8):
                sent.append(threading.Event())
                with (
                    open_stream(client, "GET", server.url, coder=JsonCoder()),
                    open_stream(client, "GET", server.url + "whole", coder=JsonCoder()) as other,
                ):
                    assert sent[-1].wait(DEADLINE)
                    list(other)  # reads the connection, and so what came for the first stream
            assert len(server.connections) == 1

    def test_a_response_that_is_no_stream_resets_it_too(self, library: Any) -> None:
        def respond(stream: Stream) -> None:
            stream.head("text/plain", "500")
            stream.send(b"x" * 20_000)

        with Http2Server(respond) as server, client_of(library) as client:
            with pytest.raises(ResponseError), open_stream(client, "GET", server.url, coder=JsonCoder()):
                pass
            assert server.streams[0].left.wait(DEADLINE)
            assert server.streams[0].reset_with == CANCEL

    def test_shuts_the_connection_down_where_httpcores_state_is_not_found(self, library: Any) -> None:
        class Hidden(library.SyncByteStream):  # type: ignore[misc, name-defined]
            def __init__(self, stream: Any) -> None:
                self.hidden = stream

            def __iter__(self) -> Any:
                return iter(self.hidden)

            def close(self) -> None:
                self.hidden.close()

        class Wrapped(library.HTTPTransport):  # type: ignore[misc, name-defined]
            def handle_request(self, request: Any) -> Any:
                response = super().handle_request(request)
                extensions = response.extensions
                return library.Response(
                    200, headers=response.headers, stream=Hidden(response.stream), extensions=extensions
                )

        with Http2Server(by_path) as server, library.Client(transport=Wrapped(http1=False, http2=True)) as client:
            for _ in range(3):
                with open_stream(client, "GET", server.url, coder=JsonCoder()) as stream:
                    next(stream)
            assert all(stream.left.wait(DEADLINE) for stream in server.streams)
            assert len(server.connections) == 3
            with open_stream(client, "GET", server.url + "whole", coder=JsonCoder()) as stream:
                assert len(list(stream)) == 1

    async def test_shuts_the_connection_of_the_asynchronous_client_down_too(self, library: Any) -> None:
        class Hidden(library.AsyncByteStream):  # type: ignore[misc, name-defined]
            def __init__(self, stream: Any) -> None:
                self.hidden = stream

            def __aiter__(self) -> Any:
                return aiter(self.hidden)

            async def aclose(self) -> None:
                await self.hidden.aclose()

        class Wrapped(library.AsyncHTTPTransport):  # type: ignore[misc, name-defined]
            async def handle_async_request(self, request: Any) -> Any:
                response = await super().handle_async_request(request)
                extensions = response.extensions
                return library.Response(
                    200, headers=response.headers, stream=Hidden(response.stream), extensions=extensions
                )

        with Http2Server(by_path) as server:
            async with library.AsyncClient(transport=Wrapped(http1=False, http2=True)) as client:
                for _ in range(3):
                    async with aopen_stream(client, "GET", server.url, coder=JsonCoder()) as stream:
                        await anext(stream)
                assert await anyio.to_thread.run_sync(server.streams[2].left.wait, DEADLINE)
            assert len(server.connections) == 3


@LIBRARIES
class TestClosing:
    def test_from_another_thread_ends_a_read_at_once_and_no_other_stream(self, library: Any) -> None:
        with Http2Server(endless) as server, client_of(library) as client:
            with (
                open_stream(client, "GET", server.url + "other", coder=JsonCoder()) as other,
                open_stream(client, "GET", server.url, coder=JsonCoder()) as stream,
            ):
                assert next(stream) == ({}, "/")
                closing = threading.Timer(0.1, stream.close)
                closing.start()
                with pytest.raises(StreamIncomplete, match="closed by the reader after 1 data frames"):
                    next(stream)
                closing.join()
                assert next(other) == ({}, "/other")
            assert server.streams[1].left.wait(DEADLINE)
            assert server.streams[1].reset_with == CANCEL
            assert len(server.connections) == 1

    async def test_from_another_task_ends_a_read_at_once(self, library: Any) -> None:
        with Http2Server(endless) as server:
            async with (
                async_client_of(library) as client,
                aopen_stream(client, "GET", server.url, coder=JsonCoder()) as stream,
                anyio.create_task_group() as tasks,
            ):
                assert await anext(stream) == ({}, "/")

                async def close() -> None:
                    await anyio.sleep(0.1)
                    await stream.aclose()

                tasks.start_soon(close)
                with pytest.raises(StreamIncomplete, match="closed by the reader"):
                    await anext(stream)


class TestSilence:
    """Other streams of the connection are no sign of life of this one."""

    @pytest.fixture
    def busy(self) -> Iterator[Http2Server]:
        """Its connections are never silent: a ping every 20 ms."""
        stop = threading.Event()

        def respond(stream: Stream) -> None:
            encoder = StreamEncoder(JsonCoder())
            stream.head()
            wire = encoder.open(heartbeat=0.1) + encoder.data({}, 1)
            stream.send(wire + encoder.end() if "ended" in stream.path else wire)
            threading.Thread(target=ping, args=(stream,), daemon=True).start()

        def ping(stream: Stream) -> None:
            while not stop.is_set() and not stream.connection.closed.is_set():
                stream.connection.call(stream.connection.h2.ping, b"busy now")
                time.sleep(0.02)

        with Http2Server(respond) as server:
            yield server
            stop.set()

    def test_of_a_stream_is_noticed_on_a_busy_connection(self, busy: Http2Server) -> None:
        with client_of(httpx) as client, open_stream(client, "GET", busy.url, coder=JsonCoder()) as stream:
            assert next(stream) == ({}, 1)
            with pytest.raises(IdleTimeout, match=r"for 0\.3 s"):
                next(stream)

    async def test_of_a_stream_is_noticed_by_the_asynchronous_client(self, busy: Http2Server) -> None:
        async with (
            async_client_of(httpx) as client,
            aopen_stream(client, "GET", busy.url, coder=JsonCoder()) as stream,
        ):
            assert await anext(stream) == ({}, 1)
            with pytest.raises(IdleTimeout, match=r"for 0\.3 s"):
                await anext(stream)

    def test_after_the_end_is_waited_for_once_and_not_for_each_read(
        self, busy: Http2Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(client_module, "_AFTER_END_SECONDS", 0.1)
        with client_of(httpx) as client, open_stream(client, "GET", busy.url + "ended", coder=JsonCoder()) as stream:
            assert list(stream) == [({}, 1)]
            assert stream.trailers == {}


def test_the_server_of_these_tests_sees_a_client_that_goes() -> None:
    with Http2Server(endless) as server:
        with client_of(httpx) as client, client.stream("GET", server.url):
            pass
        wait_until(server.connections[0].closed.is_set)


@LIBRARIES
class TestAServerThatGoesAway:
    """GOAWAY and then a PING, as servers send when they shut down gracefully (RFC 9113, section 6.8)."""

    def test_has_cut_the_stream(self, library: Any) -> None:
        with Http2Server(endless) as server, client_of(library) as client:
            with open_stream(client, "GET", server.url, coder=JsonCoder()) as stream:
                assert next(stream) == ({}, "/")
                server.streams[0].connection.go_away()
                with pytest.raises(StreamIncomplete, match="after 1 data frames"):
                    next(stream)
            with open_stream(client, "GET", server.url, coder=JsonCoder()) as stream:
                assert next(stream) == ({}, "/"), "on a new connection"

    async def test_has_cut_the_stream_of_the_asynchronous_client(self, library: Any) -> None:
        with Http2Server(endless) as server:
            async with async_client_of(library) as client:
                async with aopen_stream(client, "GET", server.url, coder=JsonCoder()) as stream:
                    assert await anext(stream) == ({}, "/")
                    server.streams[0].connection.go_away()
                    with pytest.raises(StreamIncomplete, match="after 1 data frames"):
                        await anext(stream)
                async with aopen_stream(client, "GET", server.url, coder=JsonCoder()) as stream:
                    assert await anext(stream) == ({}, "/")

    def test_has_refused_all_the_same(self, library: Any) -> None:
        with Http2Server(lambda stream: stream.head("text/html", "503")) as server, client_of(library) as client:
            client.event_hooks = {"response": [lambda _: server.streams[0].connection.go_away()]}
            with (
                pytest.raises(ResponseError) as refused,
                open_stream(client, "GET", server.url, coder=JsonCoder()),
            ):
                pass
            assert refused.value.status == 503

    async def test_has_refused_the_asynchronous_client_all_the_same(self, library: Any) -> None:
        async def leave(response: Any) -> None:
            server.streams[0].connection.go_away()

        with Http2Server(lambda stream: stream.head("text/html", "503")) as server:
            async with async_client_of(library) as client:
                client.event_hooks = {"response": [leave]}
                with pytest.raises(ResponseError) as refused:
                    async with aopen_stream(client, "GET", server.url, coder=JsonCoder()):
                        pass
                assert refused.value.status == 503
