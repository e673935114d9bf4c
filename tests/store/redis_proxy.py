"""A proxy between a client and a Redis server that breaks connections, at any byte."""

from __future__ import annotations

import asyncio
import contextlib
import random


class RedisProxy:
    """Each connection is cut after a random number of bytes in each direction: 0 to `longest`."""

    def __init__(self, port: int, rng: random.Random, longest: int) -> None:
        self._target = port
        self._rng = rng
        self._longest = longest
        self._tasks: set[asyncio.Task[None]] = set()
        self.cuts = 0
        self.faulty = True

    async def __aenter__(self) -> RedisProxy:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"redis://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
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
            back, there = await asyncio.open_connection("127.0.0.1", self._target)
            ways = [asyncio.create_task(self._copy(reader, there)), asyncio.create_task(self._copy(back, writer))]
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

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        left = self._rng.randrange(self._longest)
        with contextlib.suppress(OSError):
            while data := await reader.read(64 * 1024):
                if self.faulty and len(data) >= left:
                    writer.write(data[:left])
                    await writer.drain()
                    self.cuts += 1
                    return
                left -= len(data)
                writer.write(data)
                await writer.drain()
