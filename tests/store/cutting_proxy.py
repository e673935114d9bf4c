"""A proxy between a client and an HTTP server that breaks its answers off, at any byte."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable


class CuttingProxy:
    """Each answer is cut after a random number of bytes, the first of them never inside its headers.

    `choose()` is the port of the server for each connection.
    """

    def __init__(self, choose: Callable[[], int], rng: random.Random, longest: int) -> None:
        self._choose = choose
        self._rng = rng
        self._longest = longest
        self._tasks: set[asyncio.Task[None]] = set()
        self.cuts = 0
        self.requests: list[str] = []

    async def __aenter__(self) -> CuttingProxy:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        there: asyncio.StreamWriter | None = None
        ways: list[asyncio.Task[None]] = []
        try:
            back, there = await asyncio.open_connection("127.0.0.1", self._choose())
            ways = [asyncio.create_task(self._up(reader, there)), asyncio.create_task(self._down(back, writer))]
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            for way in ways:
                way.cancel()
            self._tasks.discard(task)
            for side in (writer, there):
                if side is not None:
                    side.transport.abort()

    async def _up(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(64 * 1024):
                self.requests += [data.split(b"\r\n", 1)[0].decode()]
                writer.write(data)
                await writer.drain()

    async def _down(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        left = self._rng.randrange(self._longest)
        if self.requests and self.requests[-1].startswith("POST"):
            left += 1000  # a client whose first request gets no answer does not know of any stream
        with contextlib.suppress(OSError):
            while data := await reader.read(64 * 1024):
                writer.write(data[:left])
                await writer.drain()
                left -= len(data)
                if left <= 0:
                    self.cuts += 1
                    return
