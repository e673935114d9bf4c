"""The fault door: a server that plays the parts a client must survive, for the cases of level 2.

It speaks HTTP/1.1 by hand, because what it is for is what no server would do: bodies that stop at a byte, connections
that break, content types that lie. It stands in the runner alone; no application has it.

Each request to be tried has an address of its own, and a coroutine, its *play*, that answers there. What came in is
kept, so that it can be told what a client sent, and that it sent it once.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Final, TypeAlias

__all__ = ["Door", "Exchange", "Play"]

V1: Final = "application/vnd.objectstreaming;v=1;coder=json"
_LONGEST_HEAD: Final = 64 * 1024
_LARGEST_BODY: Final = 1024 * 1024
_LINGER: Final = 0.5


class Exchange:
    """A request that came in, and the way back."""

    def __init__(self, head: bytes, body: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines = head.decode("latin-1").split("\r\n")
        self.method, self.path = ([*lines[0].split(" "), "", ""])[:2]
        pairs = (line.partition(":") for line in lines[1:] if line)
        self.headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        self.body = body
        self._reader = reader
        self._writer = writer

    async def send(self, data: bytes) -> None:
        """Bytes as they are. Raises `OSError` if the client is gone."""
        self._writer.write(data)
        await self._writer.drain()

    async def head(
        self, status: str = "200 OK", content_type: str = V1, *, version: str = "1.1", last: bool = True, **headers: str
    ) -> None:
        """The head of a response; underscores in names of headers become hyphens. An empty content type is none.

        `last`: whether it says that the connection will be closed, as all are.
        """
        fields = {"Content-Type": content_type} if content_type else {}
        fields |= {name.replace("_", "-"): value for name, value in headers.items()}
        fields |= {"Connection": "close"} if last else {}
        lines = [f"HTTP/{version} {status}", *(f"{name}: {value}" for name, value in fields.items())]
        await self.send(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))

    async def answer(self, body: bytes, status: str = "200 OK", content_type: str = V1, **headers: str) -> None:
        """A whole response, as long as it says."""
        await self.head(status, content_type, last=True, version="1.1", Content_Length=str(len(body)), **headers)
        await self.send(body)

    async def chunk(self, data: bytes) -> None:
        """A chunk of HTTP/1.1's chunked coding; an empty one is the end of the body."""
        await self.send(b"%x\r\n%b\r\n" % (len(data), data))

    async def stall(self) -> None:
        """Nothing more, until the client leaves."""
        with contextlib.suppress(OSError):
            while await self._reader.read(65536):
                pass

    def reset(self) -> None:
        """Break the connection as a crash does: the client's read fails instead of ending."""
        peer: socket.socket = self._writer.get_extra_info("socket")
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()


Play: TypeAlias = Callable[[Exchange], Awaitable[None]]


class Door:
    """Serves on a free loopback port while the `async with` block runs; `url` is where."""

    def __init__(self) -> None:
        self.url = ""
        self.plays: dict[str, Play] = {}
        """Path -> how to answer there."""
        self.seen: dict[str, list[Exchange]] = {}
        """Path -> what came in."""
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Door:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=_LONGEST_HEAD)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def open(self, path: str, play: Play) -> str:
        """Have `play` answer at `path`; its address."""
        self.plays[path] = play
        return self.url + path

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
                exchange = await _request(reader, writer)
                self.seen.setdefault(exchange.path, []).append(exchange)
                play = self.plays.get(exchange.path)
                await (play(exchange) if play else exchange.answer(b"", "404 Not Found", ""))
                if not writer.transport.is_closing():
                    # Close in good order: a byte unread would turn the close into a reset.
                    writer.write_eof()
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(exchange.stall(), _LINGER)
        finally:
            writer.transport.abort()


async def _request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Exchange:
    head = await reader.readuntil(b"\r\n\r\n")
    exchange = Exchange(head[:-4], b"", reader, writer)
    if exchange.headers.get("expect", "").lower() == "100-continue":
        await exchange.send(b"HTTP/1.1 100 Continue\r\n\r\n")
    if "chunked" in exchange.headers.get("transfer-encoding", ""):
        while size := int((await reader.readuntil(b"\r\n")).partition(b";")[0], 16):
            exchange.body += (await reader.readexactly(min(size, _LARGEST_BODY) + 2))[:-2]
        await reader.readuntil(b"\r\n")
    else:
        exchange.body = await reader.readexactly(min(int(exchange.headers.get("content-length", "0")), _LARGEST_BODY))
    return exchange
