"""Proxies with one fault each, in a few lines of Python, on loopback: what `objectstreaming doctor` is to find."""

from __future__ import annotations

import select
import socket
import socketserver
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final

import h11


@dataclass(frozen=True)
class Fault:
    """What a hop does wrong; by default nothing."""

    name: str
    http10: bool = False
    """Speaks HTTP/1.0 on both sides: a body ends with its connection, and a cut looks the same."""
    gzip: bool = False
    collects: bool = False
    """Takes the whole response first, and gives it a Content-Length."""
    holds: float = 0
    """Seconds in which it waits for more before it sends."""
    ends_cleanly: bool = False
    """Makes an ordinary end of a response that was cut."""
    reads_on: bool = False
    """Does not look whether its client has left."""
    idle: float | None = None
    """Seconds of silence after which it gives up."""
    accept: str = ""
    """What it makes of `Accept`."""
    drops: tuple[str, ...] = ()
    """Headers that it does not pass on, of requests and responses, in lower case."""


FAULTS: Final = (
    Fault("none"),
    Fault("HTTP/1.0", http10=True),
    Fault("gzip", gzip=True),
    Fault("collects", collects=True),
    Fault("holds 0.2 s", holds=0.2),
    Fault("silent cut", ends_cleanly=True),
    Fault("reads on", reads_on=True),
    Fault("idle 1 s", idle=1),
    Fault("rewrites Accept", accept="*/*"),
    Fault("drops headers", drops=("last-event-id", "content-location")),
)


class _Exchange:
    """One request and its response."""

    def __init__(self, fault: Fault, client: socket.socket, upstream: tuple[str, int]) -> None:
        self._fault = fault
        self._client = client
        self._upstream = upstream
        self._zlib = zlib.compressobj(wbits=31)
        self._waiting = bytearray()
        self._sends_at = 0.0

    def run(self) -> None:
        request = self._read_request()
        if not request:
            return
        with socket.create_connection(self._upstream) as server:
            server.sendall(request)
            reader = h11.Connection(h11.CLIENT)
            reader.send(h11.Request(method="GET", target="/", headers=[("host", "x")]))
            reader.send(h11.EndOfMessage())
            try:
                while (event := self._next(reader, server)) is not None:
                    self._pass_on(event)
            except (h11.RemoteProtocolError, ConnectionResetError):
                if self._fault.ends_cleanly or self._fault.http10:
                    self._end()
                else:  # a reset, as proxies do that break off
                    if not self._fault.collects:
                        self._flush()
                    self._client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")

    def _read_request(self) -> bytes:
        head = b""
        while b"\r\n\r\n" not in head:
            data = self._client.recv(65536)
            if not data:
                return b""
            head += data
        first, *lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
        if self._fault.http10:
            first = first.replace(b"HTTP/1.1", b"HTTP/1.0")
        kept = [line for line in lines if line.partition(b":")[0].lower().decode() not in self._dropped]
        if self._fault.accept:
            kept.append(f"Accept: {self._fault.accept}".encode())
        return b"\r\n".join([first, *kept, b"Connection: close", b"", b""])

    @property
    def _dropped(self) -> set[str]:
        return {"connection", *self._fault.drops, *(("accept",) if self._fault.accept else ())}

    def _next(self, reader: h11.Connection, server: socket.socket) -> h11.Event | None:
        """The next event of the response; `None` once it is over, or nobody wants it."""
        while True:
            event = reader.next_event()
            if isinstance(event, h11.ConnectionClosed):
                return None
            if event is not h11.NEED_DATA and event is not h11.PAUSED:
                assert not isinstance(event, type)
                return event
            watched = [server] if self._fault.reads_on else [server, self._client]
            ready, _, _ = select.select(watched, [], [], self._patience())
            if self._waiting and self._fault.holds and time.monotonic() >= self._sends_at:
                self._flush()
            if self._client in ready and not self._client.recv(65536):
                return None
            if server in ready:
                reader.receive_data(server.recv(65536))
            elif not ready and self._fault.idle is not None:
                return None

    def _patience(self) -> float | None:
        if self._waiting and self._fault.holds:
            return max(0.0, self._sends_at - time.monotonic())
        return self._fault.idle

    def _pass_on(self, event: h11.Event) -> None:
        if isinstance(event, h11.Response):
            self._head = event
            if not self._fault.collects:
                self._send_head({})
        elif isinstance(event, h11.Data):
            self._data(bytes(event.data))
        elif isinstance(event, h11.EndOfMessage):
            self._end()

    def _send_head(self, more: dict[str, str]) -> None:
        dropped = {"connection", "transfer-encoding", *self._fault.drops}
        if self._fault.gzip or self._fault.http10 or more:
            dropped |= {"content-length"} | ({"content-encoding"} if self._fault.gzip else set())
        kept = [(name, value) for name, value in self._head.headers if name.decode() not in dropped]
        self._chunked = not self._fault.http10 and not more and b"content-length" not in dict(kept)
        more = {**more, "connection": "close"}
        more |= {"transfer-encoding": "chunked"} if self._chunked else {}
        more |= {"content-encoding": "gzip"} if self._fault.gzip else {}
        kept += [(name.encode(), value.encode()) for name, value in more.items()]
        version = b"HTTP/1.0" if self._fault.http10 else b"HTTP/1.1"
        lines = [b"%b %d X" % (version, self._head.status_code), *(b"%b: %b" % pair for pair in kept)]
        self._client.sendall(b"\r\n".join(lines) + b"\r\n\r\n")

    def _data(self, data: bytes) -> None:
        if self._fault.gzip:
            data = self._zlib.compress(data)
        if not self._waiting:
            self._sends_at = time.monotonic() + self._fault.holds
        self._waiting += data
        if not self._fault.holds and not self._fault.collects:
            self._flush()

    def _flush(self) -> None:
        data = bytes(self._waiting)
        self._waiting.clear()
        if data:
            self._client.sendall(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)

    def _end(self) -> None:
        if self._fault.gzip:
            self._waiting += self._zlib.flush()
        if self._fault.collects:
            self._send_head({"content-length": str(len(self._waiting))})
        self._flush()
        if self._chunked:
            self._client.sendall(b"0\r\n\r\n")


@contextmanager
def hop(fault: Fault, upstream: str) -> Iterator[str]:
    """A hop with that fault in front of the server at `upstream`. Gives its URL."""
    host, port = upstream.removeprefix("http://").split(":")

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with suppress(ConnectionError):
                _Exchange(fault, self.request, (host, int(port))).run()

        def finish(self) -> None:
            self.request.close()  # with SO_LINGER a reset; socketserver would shut it down in good order

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        request_queue_size = 32

        def shutdown_request(self, request: socket.socket | tuple[bytes, socket.socket]) -> None:
            assert isinstance(request, socket.socket)
            request.close()

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
