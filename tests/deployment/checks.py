"""What is tried on a server or behind a proxy. Each check returns what it has seen."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from statistics import median
from typing import Any, Final

import httpx
from application import CODER
from deadlines import DEADLINE
from servers import Server

from objectstreaming import ObjectStreamError, StreamError
from objectstreaming.client import aopen_stream
from objectstreaming.duplex import WebSocketClientStream

PLAIN: Final = {"Accept": "application/octet-stream"}

CUTS: Final = ("failure", "deadline", "cancelled", "dependency")
"""What ends a stream early, by the path that does it."""

GIVEN_UP: Final = 8.0
"""Seconds after which a source counts as running on."""

SOURCES: Final = ("ticks", "silence", "sync")


def client(server: Server) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=server.url, http1=not server.http2, http2=server.http2, trust_env=False, timeout=DEADLINE
    )


async def lag(server: Server, *, plain: bool = False) -> float:
    """The median time that a frame takes from the source to the client: the longest may be the machine's."""
    times = []
    async with (
        client(server) as http,
        aopen_stream(http, "GET", "/whole", coder=CODER, headers=PLAIN if plain else None) as stream,
    ):
        async for _, payload in stream:
            times.append(time.time() - payload["at"])
    return median(times)


async def end_of(server: Server, path: str, *, plain: bool) -> tuple[str, float]:
    """How a stream ends for its reader: "end", "cut", or the code of its error; and after how many seconds."""
    began = time.monotonic()
    try:
        async with (
            client(server) as http,
            aopen_stream(http, "GET", path, coder=CODER, headers=PLAIN if plain else None) as stream,
        ):
            async for _ in stream:
                pass
        how = "end"
    except StreamError as error:
        how = error.code
    except ObjectStreamError:
        how = "cut"
    except Exception as error:  # noqa: BLE001  httpcore lets an error of h2 through
        how = f"cut ({type(error).__name__})"
    return how, time.monotonic() - began


async def _running(server: Server) -> int:
    async with client(server) as http:
        return int((await http.get("/running")).text)


async def _closing(server: Server) -> float:
    """How many seconds it takes until no source runs."""
    began = time.monotonic()
    while await _running(server):
        if time.monotonic() - began > GIVEN_UP:
            return float("inf")
        await asyncio.sleep(0.02)
    return time.monotonic() - began


async def leaving(server: Server, kind: str, *, plain: bool = False) -> float:
    """How many seconds it takes until a source is closed whose reader has left."""
    async with client(server) as http:
        async with aopen_stream(
            http, "GET", f"/stream/{kind}", coder=CODER, headers=PLAIN if plain else None
        ) as stream:
            async for _ in stream:
                break
        return await _closing(server)


async def leaving_unread(server: Server, size: int, sent: int) -> float:
    """The same, where the request has a body that nobody reads. HTTP/1.1."""
    host, port = server.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"POST /unread HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n".encode())

    async def send() -> None:
        with contextlib.suppress(OSError):
            for _ in range(sent // 50_000):
                writer.write(bytes(50_000))
                await writer.drain()

    sending = asyncio.create_task(send())
    await reader.readuntil(b'"n"')
    await sending
    writer.transport.abort()
    return await _closing(server)


class Stopped:
    """What clients see of a server that gets SIGTERM."""

    def __init__(self) -> None:
        self.framed = self.plain = self.session = self.upload = ""
        self.seconds = self.gone = float("inf")

    def __str__(self) -> str:
        return f"{vars(self)}"


async def _until_stopped(server: Server, began: asyncio.Event, *, plain: bool) -> str:
    try:
        async with (
            client(server) as http,
            aopen_stream(http, "GET", "/stream/silence", coder=CODER, headers=PLAIN if plain else None) as stream,
        ):
            async for _ in stream:
                began.set()
        return "end"
    except StreamError as error:
        return error.code if "shutting down" in error.message else f"{error.code} ({error.message})"
    except ObjectStreamError:
        return "cut"
    except Exception as error:  # noqa: BLE001  httpcore lets an error of h2 through
        return f"cut ({type(error).__name__})"


async def _session(server: Server, began: asyncio.Event) -> str:
    stream = WebSocketClientStream(server.url.replace("http", "ws", 1) + "/duplex")
    try:
        async with stream:
            async for _ in stream.receive():
                began.set()
        return "end"
    except StreamError as error:
        return error.code
    except ObjectStreamError:
        return "cut"


async def _upload(server: Server, began: asyncio.Event) -> str:
    """The status that a half-sent body gets. HTTP/1.1: httpx reads no answer before it has sent its request."""
    host, port = server.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n" + bytes(100))
    await asyncio.sleep(0.3)
    began.set()
    try:
        words = (await reader.readline()).split()
        return words[1].decode() if len(words) > 1 else "cut"
    except OSError:
        return "cut"
    finally:
        writer.close()


async def stop(server: Server, *, websockets: bool) -> Stopped:
    """Send SIGTERM while four clients are being served."""
    seen = Stopped()
    began = [asyncio.Event() for _ in range(4)]
    calls: dict[str, Any] = {
        "framed": _until_stopped(server, began[0], plain=False),
        "plain": _until_stopped(server, began[1], plain=True),
    }
    if server.http2:
        began[2].set()
    else:
        calls["upload"] = _upload(server, began[2])
    if websockets:
        calls["session"] = _session(server, began[3])
    else:
        began[3].set()
    tasks = {name: asyncio.create_task(call) for name, call in calls.items()}
    async with asyncio.timeout(DEADLINE):
        for each in began:
            await each.wait()
    signalled = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    await asyncio.wait(tasks.values(), timeout=10)
    seen.seconds = time.monotonic() - signalled
    for name, task in tasks.items():
        setattr(seen, name, task.result() if task.done() else "nothing")
        task.cancel()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(10):
            while server.process.poll() is None:  # noqa: ASYNC110  no event announces it
                await asyncio.sleep(0.02)
            seen.gone = time.monotonic() - signalled
    return seen
