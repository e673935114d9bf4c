"""Proxies between a client and a server that break connections off, at any byte."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable
from typing import Self

CHUNK = 64 * 1024


class Proxy:
    """Connects each client to the port that `choose()` gives. Subclasses say what passes, and when it ends."""

    scheme = "http"

    def __init__(self, choose: Callable[[], int], rng: random.Random, longest: int) -> None:
        self._choose = choose
        self._rng = rng
        self._longest = longest
        self._tasks: set[asyncio.Task[None]] = set()
        self.cuts = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"{self.scheme}://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
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
        try:
            back, there = await asyncio.open_connection("127.0.0.1", self._choose())
            ways = [asyncio.create_task(self.up(reader, there)), asyncio.create_task(self.down(back, writer))]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.wait(ways)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            for side in (writer, there):
                if side is not None:
                    side.transport.abort()

    async def up(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise NotImplementedError

    async def down(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise NotImplementedError


class CuttingProxy(Proxy):
    """For HTTP: each answer is cut after a random number of bytes, the first of them never inside its headers."""

    def __init__(self, choose: Callable[[], int], rng: random.Random, longest: int) -> None:
        super().__init__(choose, rng, longest)
        self.requests: list[str] = []

    async def up(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(CHUNK):
                self.requests += [data.split(b"\r\n", 1)[0].decode()]
                writer.write(data)
                await writer.drain()

    async def down(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        left = self._rng.randrange(self._longest)
        if self.requests and self.requests[-1].startswith("POST"):
            left += 1000  # a client whose first request gets no answer does not know of any stream
        with contextlib.suppress(OSError):
            while data := await reader.read(CHUNK):
                writer.write(data[:left])
                await writer.drain()
                left -= len(data)
                if left <= 0:
                    self.cuts += 1
                    return


class RedisProxy(Proxy):
    """For Redis: each connection is cut after a random number of bytes in each direction, while it is `faulty`."""

    scheme = "redis"

    def __init__(self, port: int, rng: random.Random, longest: int) -> None:
        super().__init__(lambda: port, rng, longest)
        self.faulty = True

    async def up(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        left = self._rng.randrange(self._longest)
        with contextlib.suppress(OSError):
            while data := await reader.read(CHUNK):
                if self.faulty and len(data) >= left:
                    writer.write(data[:left])
                    await writer.drain()
                    self.cuts += 1
                    return
                left -= len(data)
                writer.write(data)
                await writer.drain()

    down = up
