"""Bounds on connections, in front of uvicorn: silent ones, slow ones, many of one address, readers that stall."""

from __future__ import annotations

import asyncio
import http.client
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
import uvicorn
from deadlines import DEADLINE
from reference_app import make_app
from starlette.types import Receive, Scope, Send

from objectstreaming import JsonCoder
from objectstreaming.cli.connections import Connections
from objectstreaming.cli.loopback import listen
from objectstreaming.cli.serving import configured
from objectstreaming.duplex import StreamEvent, Symbol, WebSocketClientStream
from objectstreaming.server import FrameResponse

GET = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"


@contextmanager
def serving(connections: Connections, app: Any = None) -> Iterator[int]:
    """The port of a server with these bounds."""
    with listen("127.0.0.1", 0) as listener:
        server = uvicorn.Server(configured(app or make_app(), connections))
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(DEADLINE)


async def healthy(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body"})


def connect(port: int, address: str = "127.0.0.1") -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), DEADLINE, source_address=(address, 0))


def is_closed(connection: socket.socket) -> bool:
    """Waits until the server closes the connection, or answers."""
    try:
        return connection.recv(65_536) == b""
    except ConnectionResetError:
        return True


def is_answered(connection: socket.socket) -> bool:
    connection.sendall(GET)
    answer = http.client.HTTPResponse(connection)
    answer.begin()
    answer.read()
    return answer.status == 200


@pytest.mark.parametrize("begun", [b"", b"G", GET[:-2]])
def test_a_connection_that_asks_nothing_is_closed(begun: bytes) -> None:
    with serving(Connections(head_seconds=0.2)) as port, connect(port) as connection:
        connection.sendall(begun)
        assert is_closed(connection)


def test_a_header_that_trickles_is_cut_off_for_the_second_request_too() -> None:
    connections = Connections(head_seconds=DEADLINE)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            connections.head_seconds = 0.1  # for the next request
        await healthy(scope, receive, send)

    with serving(connections, app) as port, connect(port) as connection:
        assert is_answered(connection)
        connection.sendall(GET[:-2])
        with pytest.raises(OSError, match=r"reset|pipe"):  # noqa: PT012 - sent until it fails
            for _ in range(1_000):
                connection.sendall(b"X: y\r\n")
                threading.Event().wait(0.05)


def test_an_answer_may_take_longer() -> None:
    begun = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            begun.append(scope)
            await asyncio.sleep(0.4)
        await healthy(scope, receive, send)

    with serving(Connections(head_seconds=0.1), app) as port:
        answered = False
        while not begun:  # on a busy machine the request may be late
            with connect(port) as connection, suppress(OSError, http.client.HTTPException):
                answered = is_answered(connection)
        assert answered


def test_silent_connections_keep_nobody_out() -> None:
    with serving(Connections(most=10, most_per_client=1_000)) as port:
        silent = [connect(port) for _ in range(30)]
        with connect(port, "127.0.0.2") as other:
            assert is_answered(other)
            assert is_answered(other)
        assert is_closed(silent[0])
        for connection in silent:
            connection.close()


def test_the_connections_of_one_address_are_bounded() -> None:
    with serving(Connections(most_per_client=3)) as port:
        with connect(port, "127.0.0.2") as other:
            assert is_answered(other)
            many = [connect(port) for _ in range(5)]
            assert [is_closed(connection) for connection in many[:2]] == [True, True]
            assert all(is_answered(connection) for connection in many[2:])
            assert is_answered(other)
        for connection in many:
            connection.close()


def test_a_proxy_has_no_bound_of_its_own() -> None:
    with serving(Connections(most_per_client=3, is_proxy=lambda address: address == "127.0.0.1")) as port:
        many = [connect(port) for _ in range(6)]
        assert all(is_answered(connection) for connection in many)
        for connection in many:
            connection.close()


@pytest.mark.parametrize("accept", ["*/*", "application/vnd.objectstreaming;v=1"])
def test_the_socket_of_a_reader_that_stalls_is_gone_with_its_stream(accept: str) -> None:
    async def endless() -> AsyncIterator[tuple[dict[str, int], str]]:
        while True:
            yield {}, "x" * 60_000

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await FrameResponse(endless(), coder=JsonCoder(), max_duration=0.5)(scope, receive, send)

    class Watched(Connections):
        gone = threading.Event()

        def remove(self, connection: Any) -> None:
            super().remove(connection)
            self.gone.set()

    with listen("127.0.0.1", 0) as listener:
        connections = Watched(close_seconds=0.3)
        server = uvicorn.Server(configured(app, connections))
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        with socket.socket() as reader:
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            reader.connect(("127.0.0.1", listener.getsockname()[1]))
            reader.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nAccept: %s\r\n\r\n" % accept.encode())
            assert connections.gone.wait(DEADLINE)
        server.should_exit = True
        thread.join(DEADLINE)


async def test_a_websocket_goes_on() -> None:
    connections = Connections(head_seconds=DEADLINE)
    app = make_app()

    async def hurried(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            connections.head_seconds = 0.2  # for what would wait from here on
        await app(scope, receive, send)

    with serving(connections, hurried) as port:
        async with WebSocketClientStream(f"ws://127.0.0.1:{port}/duplex") as stream:
            await asyncio.sleep(0.5)
            await stream.send(Symbol.text("why?"))
            await stream.send_end()
            async for item in stream.receive():
                if isinstance(item, StreamEvent) and item.type == "stream_end":
                    break
            assert stream.is_connected
