"""`objectstreaming record`: one answer of a server, or with `--proxy` all that passes between clients and a server.

The proxy forwards the bytes of each connection as they come, and reads a copy of them as HTTP/1.1. So it adds no
buffering and changes no framing, and what it cannot read it still forwards.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import h11
import httpx

from .errors import CommandError
from .loopback import listen
from .recordings import Recorder
from .streams import CUT, Request, sent
from .terminal import printable
from .urls import http_url

__all__ = ["record", "record_proxy"]

_READ: Final = 64 * 1024
_WAITING: Final = 256 * 1024
"""How many bytes of requests that came before the answer of another are held to be read."""


def record(url: str, request: Request, out: Path, note: Callable[[str], object]) -> int:
    """Record one answer. Returns the exit status: 0, or 3 if the connection broke."""
    # Opened first: nothing is asked where nothing can be kept. An older recording stays until there is an answer.
    with out.open("ab") as file, sent(url, request) as answer:
        file.truncate(0)
        response = answer.response
        upstream = response.request.url.netloc.decode("ascii")  # without credentials and query
        recorder = Recorder(file, upstream, began=answer.began)
        target = response.request.url.raw_path.decode("ascii")
        exchange = recorder.request(response.request.method, target, response.request.headers.multi_items(), 0.0)
        body = request.body()
        if body:
            recorder.up(exchange, body)
        recorder.response(exchange, response.status_code, response.headers.multi_items())
        pieces = size = status = 0
        end = ""
        try:
            for data in response.iter_raw():
                recorder.down(exchange, data)
                pieces, size = pieces + 1, size + len(data)
            recorder.ended(exchange)
        except httpx.TransportError as error:
            recorder.cut(exchange, f"the connection broke: {error}")
            status, end = CUT, ", cut"
        except KeyboardInterrupt:
            recorder.cut(exchange, "the recording was stopped")
            end = ", stopped"
        recorder.finish()
    note(f"{out}: status {response.status_code}, {size:,} bytes in {pieces} pieces{end}")
    return status


def record_proxy(port: int, upstream: str, out: Path, note: Callable[[str], object]) -> None:
    """Forward connections to `127.0.0.1:port` to the server at `upstream`, until SIGINT or SIGTERM.

    Raises `CommandError`.
    """
    url = http_url(upstream)
    if url.scheme != "http":
        raise CommandError(f"--to is an http URL, as in http://127.0.0.1:8000, not {upstream}", status=2)
    listener = listen("127.0.0.1", port)
    with out.open("wb") as file:
        recorder = Recorder(file, f"{url.host}:{url.port or 80}")
        note(f"http://127.0.0.1:{listener.getsockname()[1]} forwards to {upstream}; stop with Ctrl-C")

        async def run() -> None:
            task = asyncio.current_task()
            assert task is not None
            with suppress(NotImplementedError):  # Windows
                # Without these, a signal that comes just before the event loop waits is seen at its next event.
                for stop in (signal.SIGINT, signal.SIGTERM):
                    asyncio.get_running_loop().add_signal_handler(stop, task.cancel)
            # Tasks of our own: asyncio's, for a coroutine, write a traceback when they are cancelled (Python 3.11).
            forwarding: set[asyncio.Future[None]] = set()

            def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                connection = _forward(reader, writer, url.host, url.port or 80, _Copy(recorder, note))
                task = asyncio.ensure_future(connection)
                forwarding.add(task)
                task.add_done_callback(forwarding.discard)

            async with await asyncio.start_server(serve, sock=listener) as server:
                await server.serve_forever()

        with suppress(KeyboardInterrupt, asyncio.CancelledError):
            asyncio.run(run())
        recorder.finish()


async def _forward(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, port: int, copy: _Copy
) -> None:
    try:
        up_reader, up_writer = await asyncio.open_connection(host, port)
    except OSError:
        writer.write(b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        writer.close()
        return
    up = asyncio.ensure_future(_pass_on(reader, up_writer, copy.up))
    down = asyncio.ensure_future(_pass_on(up_reader, writer, copy.down))
    try:
        await asyncio.wait([up, down], return_when=asyncio.FIRST_COMPLETED)
        if up.done() and up.exception() is None:
            await asyncio.wait([down])  # the client's end has been passed on, and its answer may still come
    finally:
        copy.leave("the client left" if up.done() else "the server closed the connection")
        errors = {task.exception() for task in (up, down) if task.done()}
        for task, side in ((up, up_writer), (down, writer)):
            task.cancel()
            if errors - {None}:
                side.transport.abort()  # it arrives as a broken connection
            side.close()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, see: Callable[[bytes], None]) -> None:
    """Pass on bytes, and then the end. Raises `OSError` if one of the two connections breaks."""
    while data := await reader.read(_READ):
        see(data)
        writer.write(data)
        await writer.drain()
    see(b"")
    writer.write_eof()


class _Copy:
    """Reads a copy of what passes on one connection, and records it.

    Requests and responses are parsed by h11, with a new pair of parsers for each exchange. What is not HTTP/1.1 is not
    recorded: it may have secrets that nobody masks. After an upgrade the bytes are recorded as they are.
    """

    def __init__(self, recorder: Recorder, note: Callable[[str], object]) -> None:
        self._recorder = recorder
        self._note = note
        self._blind = False
        self._upgraded = False
        self._next(b"", b"")

    def _next(self, requests: bytes, responses: bytes) -> None:
        self._requests = h11.Connection(h11.SERVER)
        self._responses = h11.Connection(h11.CLIENT)
        self._exchange: int | None = None
        self._asked = self._answered = False
        self._began, self._size, self._pieces, self._status = 0.0, 0, 0, 0
        self._line = ""
        for parser, data in ((self._requests, requests), (self._responses, responses)):
            if data:
                parser.receive_data(data)
        if requests:
            self._read_requests()

    def up(self, data: bytes) -> None:
        """Bytes of the client; none at their end."""
        self._read(self._requests, data, self._read_requests, self._recorder.up)

    def down(self, data: bytes) -> None:
        """Bytes of the server; none at their end."""
        self._read(self._responses, data, self._read_responses, self._recorder.down)

    def leave(self, text: str) -> None:
        """The connection is gone. An answer that is not whole was cut."""
        if self._exchange is not None and not self._answered:
            if self._upgraded:
                self._recorder.ended(self._exchange)
            else:
                self._recorder.cut(self._exchange, text)
            self._tell("" if self._upgraded else f", cut: {text}")
            self._answered = True

    def _read(
        self,
        parser: h11.Connection,
        data: bytes,
        events: Callable[[], None],
        keep: Callable[[int, bytes], None],
    ) -> None:
        if self._blind:
            return
        if self._upgraded:
            if data and self._exchange is not None:
                keep(self._exchange, data)
                self._size += len(data)
            return
        try:
            parser.receive_data(data)
            events()
            if len(self._requests.trailing_data[0]) > _WAITING:
                raise h11.RemoteProtocolError("too many requests at once")
        except (h11.RemoteProtocolError, h11.LocalProtocolError) as error:
            self._blind = True
            self.leave(f"{error}")

    def _read_requests(self) -> None:
        while True:
            event = self._requests.next_event()
            if event in (h11.NEED_DATA, h11.PAUSED) or isinstance(event, h11.ConnectionClosed):
                return
            if isinstance(event, h11.Request):
                method, target = event.method.decode("ascii"), event.target.decode("latin-1")
                self._exchange = self._recorder.request(method, target, _text(event.headers))
                self._began = self._recorder.now
                self._line = f"{method} {printable(target.partition('?')[0])}"
            elif isinstance(event, h11.Data) and self._exchange is not None:
                self._recorder.up(self._exchange, bytes(event.data))
            if isinstance(event, h11.Request | h11.Data | h11.EndOfMessage):
                self._responses.send(event)
            if isinstance(event, h11.EndOfMessage):
                self._asked = True
                self._go_on()
                return

    def _read_responses(self) -> None:
        while self._exchange is not None:
            event = self._responses.next_event()
            if isinstance(event, h11.InformationalResponse) and event.status_code != 101:
                continue
            if isinstance(event, h11.Response | h11.InformationalResponse):
                self._status = event.status_code
                self._recorder.response(self._exchange, event.status_code, _text(event.headers))
                if event.status_code == 101:
                    self._upgrade()
                    return
            elif isinstance(event, h11.Data):
                self._recorder.down(self._exchange, bytes(event.data))
                self._size, self._pieces = self._size + len(event.data), self._pieces + 1
            elif isinstance(event, h11.EndOfMessage):
                self._recorder.ended(self._exchange)
                self._answered = True
                self._tell("")
                self._go_on()
                return
            else:
                return

    def _go_on(self) -> None:
        if self._asked and self._answered:
            self._next(self._requests.trailing_data[0], self._responses.trailing_data[0])

    def _upgrade(self) -> None:
        self._upgraded = True
        assert self._exchange is not None
        for parser, keep in ((self._requests, self._recorder.up), (self._responses, self._recorder.down)):
            if parser.trailing_data[0]:
                keep(self._exchange, parser.trailing_data[0])

    def _tell(self, end: str) -> None:
        seconds = self._recorder.now - self._began
        self._note(
            f"exchange {self._exchange}: {self._line} {self._status}, {self._size:,} bytes in {self._pieces} pieces, "
            f"{seconds:.3f} s{printable(end)}"
        )


def _text(headers: Any) -> list[tuple[str, str]]:
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers.raw_items()]
