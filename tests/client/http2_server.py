"""A server of HTTP/2 without encryption, that does what a test says and remembers what its clients do."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType

from deadlines import wait_until
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    RequestReceived,
    StreamReset,
)
from h2.exceptions import ProtocolError
from hyperframe.frame import GoAwayFrame, PingFrame

from objectstreaming.protocol import MEDIA_TYPE


class Http2Server:
    """`respond(stream)` is called for each request, on the thread of its connection."""

    def __init__(self, respond: Callable[[Stream], None]) -> None:
        self._respond = respond
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/"
        self.connections: list[Http2Connection] = []

    @property
    def streams(self) -> list[Stream]:
        return [stream for connection in self.connections for stream in connection.streams.values()]

    def __enter__(self) -> Http2Server:
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        for connection in self.connections:
            connection.stop()

    def _accept(self) -> None:
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = Http2Connection(peer, self._respond)
            self.connections.append(connection)  # before a client can be answered
            connection.start()


class Http2Connection:
    def __init__(self, peer: socket.socket, respond: Callable[[Stream], None]) -> None:
        self._peer = peer
        self._respond = respond
        self._lock = threading.Lock()
        self.h2 = H2Connection(H2Configuration(client_side=False))
        self.streams: dict[int, Stream] = {}
        self.closed = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        with suppress(OSError):
            self._peer.shutdown(socket.SHUT_RDWR)
        self._thread.join()

    def call(self, method: Callable[..., None], *args: object, **options: object) -> None:
        """A method of `h2`, and what it has to write is written."""
        with self._lock:
            method(*args, **options)
            self._flush()

    def go_away(self) -> None:
        """GOAWAY for no stream, and a PING after it, which `h2` would not send."""
        goaway, ping = GoAwayFrame(0, last_stream_id=2**31 - 1), PingFrame(0, opaque_data=b"are you?")
        with self._lock:
            self._peer.sendall(goaway.serialize() + ping.serialize())

    def _flush(self) -> None:
        with suppress(OSError):
            self._peer.sendall(self.h2.data_to_send())

    def _run(self) -> None:
        self.call(self.h2.initiate_connection)
        with self._peer, suppress(OSError, ProtocolError):
            while data := self._peer.recv(65536):
                with self._lock:
                    events = self.h2.receive_data(data)
                    self._flush()
                for event in events:
                    self._handle(event)
        self.closed.set()
        for stream in self.streams.values():
            stream.left.set()

    def _handle(self, event: object) -> None:
        if isinstance(event, RequestReceived):
            path = dict(event.headers or ())[b":path"].decode()
            stream = self.streams[event.stream_id] = Stream(self, event.stream_id, path)
            self._respond(stream)
        elif isinstance(event, DataReceived):
            self.call(self.h2.acknowledge_received_data, event.flow_controlled_length, event.stream_id)
        elif isinstance(event, StreamReset):
            stream = self.streams[event.stream_id]
            stream.reset_with = int(event.error_code)
            stream.left.set()
        elif isinstance(event, ConnectionTerminated):
            self.closed.set()


class Stream:
    """A request, and what is sent in answer."""

    def __init__(self, connection: Http2Connection, stream_id: int, path: str) -> None:
        self.connection = connection
        self.path = path
        self.reset_with: int | None = None
        self.left = threading.Event()
        """Set once the client has reset the stream or closed its connection."""
        self._id = stream_id

    def head(self, content_type: str = f"{MEDIA_TYPE};v=1;coder=json", status: str = "200") -> None:
        headers = [(":status", status), ("content-type", content_type)]
        self.connection.call(self.connection.h2.send_headers, self._id, headers)

    def send(self, data: bytes, *, end: bool = False) -> None:
        """Send as much as the client's windows allow, waiting for them to open."""
        h2 = self.connection.h2
        while data:
            wait_until(lambda: self.left.is_set() or h2.local_flow_control_window(self._id) > 0)
            if self.left.is_set():
                return
            size = min(h2.local_flow_control_window(self._id), h2.max_outbound_frame_size, len(data))
            self.connection.call(h2.send_data, self._id, data[:size])
            data = data[size:]
        if end:
            self.connection.call(h2.end_stream, self._id)
