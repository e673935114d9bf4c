"""A server that sends bytes as a test says, whatever HTTP thinks of them: to prove what a client makes of a cut.

It answers on a free port of the loopback interface, each connection in a thread of its own, so that clients of either
kind can be tried against it.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from types import TracebackType
from typing import Final

from ..protocol import MEDIA_TYPE, VERSION

__all__ = ["Connection", "RawServer", "response_head"]

STREAM_TYPE: Final = f"{MEDIA_TYPE};v={VERSION};coder=json"


def response_head(status: str = "200 OK", content_type: str = STREAM_TYPE, **headers: str) -> bytes:
    """The head of a response; underscores in names of headers become hyphens.

    >>> response_head(content_type="text/html", content_length="9")
    b'HTTP/1.1 200 OK\\r\\ncontent-type: text/html\\r\\ncontent-length: 9\\r\\n\\r\\n'
    """
    lines = [f"HTTP/1.1 {status}", *([f"content-type: {content_type}"] if content_type else [])]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


class Connection:
    """One request that came in: its `head` and `body`, and the way back."""

    def __init__(self, peer: socket.socket, stopping: threading.Event) -> None:
        self._peer = peer
        self._stopping = stopping
        self.head = b""
        self.body = b""
        self.client_left = threading.Event()
        """Set once `until_client_leaves` has seen the client close its side."""

    def send(self, data: bytes) -> None:
        """Send bytes now. Raises `OSError` if the client is gone."""
        self._peer.sendall(data)

    def send_chunks(self, chunks: Iterable[bytes]) -> None:
        """Send each as a chunk of HTTP/1.1's chunked coding; `send(b"0\\r\\n\\r\\n")` is the end of such a body."""
        for chunk in chunks:
            if chunk:
                self.send(b"%x\r\n%b\r\n" % (len(chunk), chunk))

    def until_client_leaves(self) -> None:
        """Stall: send nothing, until the client closes or the server stops."""
        self._peer.settimeout(0.02)
        while not self._stopping.is_set():
            try:
                if not self._peer.recv(65536):
                    break
            except TimeoutError:
                continue
            except OSError:
                break
        self.client_left.set()

    def reset(self) -> None:
        """Break the connection as a crash does: the client's read fails instead of ending."""
        self._peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        self._peer.close()

    def next_request(self) -> bool:
        """Read one more request on the connection, its body as long as its Content-Length says; whether one came."""
        data = b""
        while b"\r\n\r\n" not in data:
            more = self._peer.recv(65536)
            if not more:
                return False
            data += more
        self.head, _, self.body = data.partition(b"\r\n\r\n")
        length = 0
        for line in self.head.split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        while len(self.body) < length and (more := self._peer.recv(65536)):
            self.body += more
        return True


class RawServer:
    """Answers each request by calling `respond` with its `Connection`, then closes the connection.

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
    """

    def __init__(self, respond: Callable[[Connection], None]) -> None:
        self._respond = respond
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self.connections: list[Connection] = []
        """Every request that came, in order."""
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/"

    def __enter__(self) -> RawServer:
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stopping.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._acceptor.join()
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(peer,), daemon=True)
            self._threads = [other for other in self._threads if other.is_alive()]
            self._threads.append(thread)
            thread.start()

    def _serve(self, peer: socket.socket) -> None:
        connection = Connection(peer, self._stopping)
        with peer, suppress(OSError):
            peer.settimeout(10)
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if connection.next_request():
                self.connections.append(connection)
                self._respond(connection)
                # Close in good order: an unread byte would turn the close into a reset.
                peer.shutdown(socket.SHUT_WR)
                peer.settimeout(0.5)
                while peer.recv(65536):
                    pass
