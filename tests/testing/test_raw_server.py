"""The fault server: what it reads of a request, and how it answers, stalls, breaks and stops."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress

import pytest
from deadlines import DEADLINE

from objectstreaming.testing import Connection, RawServer, response_head

Respond = Callable[[Connection], None]


def connect(server: RawServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", int(server.url.rstrip("/").rpartition(":")[2])), timeout=DEADLINE)


def talk(respond: Respond, request: bytes) -> tuple[bytes, list[Connection]]:
    """Send raw bytes, and read until the server closes."""
    with RawServer(respond) as server, connect(server) as peer:
        peer.sendall(request)
        answer = b""
        while data := peer.recv(65536):
            answer += data
        return answer, server.connections


def hello(connection: Connection) -> None:
    connection.send(response_head(content_type="", x_y="z") + b"hello")


def test_the_answer_is_sent_as_it_is_and_the_request_is_kept() -> None:
    answer, [request] = talk(hello, b"POST /x HTTP/1.1\r\nContent-Length: 2\r\nA: b:c\r\n\r\n{}")
    assert answer == b"HTTP/1.1 200 OK\r\nx-y: z\r\n\r\nhello"
    assert (request.method, request.path, request.body, request.headers["a"]) == ("POST", "/x", b"{}", "b:c")
    assert request.head == b"POST /x HTTP/1.1\r\nContent-Length: 2\r\nA: b:c"


def test_chunked_bodies_are_read_and_100_continue_is_sent() -> None:
    head = b"POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n"
    answer, [request] = talk(hello, head + b"2\r\n{}\r\n1;x=y\r\n!\r\n0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")
    assert request.body == b"{}!"


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"POST /x HTTP/1.1\r\nContent-Length: two\r\n\r\n",
        b"POST /x HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /x HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n",
        b"POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /x HTTP/1.1\r\n" + b"a: b\r\n" * 20_000,
    ],
)
def test_what_is_no_request_is_not_answered(request_bytes: bytes) -> None:
    assert talk(hello, request_bytes) == (b"", [])


def test_a_reset_fails_the_read_of_the_client() -> None:
    with pytest.raises(ConnectionResetError):
        talk(Connection.reset, b"GET /x HTTP/1.1\r\n\r\n")


def test_a_stall_lasts_until_the_client_leaves() -> None:
    came, ended = threading.Event(), threading.Event()

    def stall(connection: Connection) -> None:
        came.set()
        connection.until_client_leaves()
        ended.set()

    with RawServer(stall) as server:
        with connect(server) as peer:
            peer.sendall(b"GET /x HTTP/1.1\r\n\r\n")
            assert came.wait(DEADLINE)
            assert not ended.is_set()
        assert server.connections[0].client_left.wait(DEADLINE)


@pytest.mark.parametrize("request_bytes", [b"", b"GET /x HTTP/1.1\r\n\r\n"], ids=["no request yet", "a stall"])
def test_the_server_stops_although_a_client_stays(request_bytes: bytes) -> None:
    with RawServer(Connection.until_client_leaves) as server:
        peer = connect(server)
        peer.sendall(request_bytes)
    with peer, suppress(ConnectionResetError):  # a reset, if the server stopped before it accepted the connection
        assert peer.recv(1) == b""


def test_the_server_stops_although_a_client_does_not_read() -> None:
    sending = threading.Event()

    def send_without_end(connection: Connection) -> None:
        while True:
            connection.send(bytes(1024 * 1024))
            sending.set()

    with RawServer(send_without_end) as server:
        peer = connect(server)
        peer.sendall(b"GET /x HTTP/1.1\r\n\r\n")
        assert sending.wait(DEADLINE)
    peer.close()
