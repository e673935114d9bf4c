"""A fault server: it sends the bytes that a test says, whether they are valid HTTP or not.

What it is for is what no real server does: bodies that stop at a byte, connections that break, content types that are
wrong. It serves on a free port of the loopback interface, each connection on a thread of its own, so that a client of
any kind and any language can be tested against it. The conformance suite (`objectstreaming.conformance`) uses it too.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from types import TracebackType
from typing import Final

from ..protocol import MEDIA_TYPE, VERSION

__all__ = ["Connection", "RawServer", "response_head"]

STREAM_TYPE: Final = f"{MEDIA_TYPE};v={VERSION};coder=json"
_MAX_HEAD: Final = 64 * 1024
_MAX_BODY: Final = 64 * 1024 * 1024
_LINGER: Final = 0.5


def response_head(status: str = "200 OK", content_type: str = STREAM_TYPE, **headers: str) -> bytes:
    """The head of a response.

    >>> response_head(content_type="text/html", content_length="9")
    b'HTTP/1.1 200 OK\\r\\ncontent-type: text/html\\r\\ncontent-length: 9\\r\\n\\r\\n'

    Args:
        status: the code and its phrase.
        content_type: by default that of a stream of JSON; empty: there is no such header.
        **headers: underscores in their names become hyphens.
    """
    lines = [f"HTTP/1.1 {status}", *([f"content-type: {content_type}"] if content_type else [])]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


class Connection:
    """A connection with the request that came in on it, and the methods that answer it.

    `method`, `path`, `headers` (names in lower case) and `body` are those of the request; `head` is its request line
    and headers as received, `received_at` the time of `time.monotonic` when it was there.
    """

    def __init__(self, peer: socket.socket) -> None:
        self._peer = peer
        self._reader = peer.makefile("rb")
        self.head = b""
        self.method = ""
        self.path = ""
        self.headers: dict[str, str] = {}
        self.body = b""
        self.received_at = 0.0
        self.client_left = threading.Event()
        """Set once `until_client_leaves` has seen the client close its side."""

    def send(self, data: bytes) -> None:
        """Send bytes now.

        Raises:
            OSError: The client is gone.
        """
        self._peer.sendall(data)

    def send_chunks(self, chunks: Iterable[bytes]) -> None:
        """Send each as a chunk of HTTP/1.1's chunked coding; `send(b"0\\r\\n\\r\\n")` is the end of such a body."""
        for chunk in chunks:
            if chunk:
                self.send(b"%x\r\n%b\r\n" % (len(chunk), chunk))

    def until_client_leaves(self) -> None:
        """Send nothing, until the client closes the connection or the server stops."""
        with suppress(OSError):
            while self._peer.recv(65536):
                pass
        self.client_left.set()

    def reset(self) -> None:
        """Break the connection as a crash does: the client's read fails instead of ending."""
        self._peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        self._close()

    def close(self) -> None:
        """Close the connection in good order: all that was sent arrives."""
        with suppress(OSError):  # the client is gone, or `reset` was called
            self._peer.shutdown(socket.SHUT_WR)
            # Bytes of the client that nobody read would turn the close into a reset.
            self._peer.settimeout(_LINGER)
            while self._peer.recv(65536):
                pass
        self._close()

    def _close(self) -> None:
        self._reader.close()  # the socket stays open as long as this file is
        self._peer.close()

    def interrupt(self) -> None:
        """End whatever this connection waits for, from another thread."""
        with suppress(OSError):
            self._peer.shutdown(socket.SHUT_RDWR)

    def next_request(self) -> bool:
        """Read one more request on the connection; whether a whole one came.

        Its body is as long as its Content-Length says, or chunked. A client that waits for `100 Continue` gets it.
        """
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = self._reader.readline(_MAX_HEAD)
            head += line
            if not line or len(head) > _MAX_HEAD:
                return False
        self.head = head[:-4]
        first, *lines = self.head.decode("latin-1").split("\r\n")
        self.method, self.path, *_ = [*first.split(" "), "", ""]
        pairs = (line.partition(":") for line in lines)
        self.headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        if self.headers.get("expect", "").lower() == "100-continue":
            self.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        try:
            self.body = self._read_body()
        except ValueError:  # no number, too large, or cut
            return False
        self.received_at = time.monotonic()
        return True

    def _read_body(self) -> bytes:
        if "chunked" not in self.headers.get("transfer-encoding", ""):
            return self._read(int(self.headers.get("content-length", "0")), 0)
        body = bytearray()
        while size := int(self._reader.readline(_MAX_HEAD).partition(b";")[0], 16):
            body += self._read(size, len(body))
            self._reader.readline(_MAX_HEAD)
        self._reader.readline(_MAX_HEAD)
        return bytes(body)

    def _read(self, size: int, before: int) -> bytes:
        if not 0 <= size <= _MAX_BODY - before:
            raise ValueError(size)
        data = self._reader.read(size)
        if len(data) < size:
            raise ValueError(size)
        return data


class RawServer:
    """Answers each request as a test says, then closes the connection.

    >>> import httpx
    >>> from objectstreaming import JsonCoder, StreamIncomplete
    >>> from objectstreaming.client import open_stream
    >>> def one_frame_then_nothing(connection):
    ...     connection.send(response_head(connection="close") + JsonCoder().encode({}, "hello"))
    >>> with RawServer(one_frame_then_nothing) as server, httpx.Client(trust_env=False) as client:
    ...     with open_stream(client, "GET", server.url, coder=JsonCoder()) as stream:
    ...         try:
    ...             for _, payload in stream:
    ...                 print(payload)
    ...         except StreamIncomplete as error:
    ...             print(error)
    hello
    the stream stopped after 1 data frames without its end: was it cut?

    Args:
        respond: is called with the `Connection` of each request, in a thread of its own.
        port: 0 is a free one.
    """

    def __init__(self, respond: Callable[[Connection], None], port: int = 0) -> None:
        self._respond = respond
        self._serving: list[tuple[Connection, threading.Thread]] = []
        self.connections: list[Connection] = []
        """Every connection on which a request came, in order."""
        self._listener = socket.create_server(("127.0.0.1", port), backlog=128)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/"

    def __enter__(self) -> RawServer:
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._acceptor.join()
        for connection, _ in self._serving:
            connection.interrupt()
        for _, thread in self._serving:
            thread.join()

    def _accept(self) -> None:
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = Connection(peer)
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._serving.append((connection, thread))
            thread.start()

    def _serve(self, connection: Connection) -> None:
        with closing(connection), suppress(OSError):
            if connection.next_request():
                self.connections.append(connection)
                self._respond(connection)
