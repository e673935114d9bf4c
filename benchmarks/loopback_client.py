"""The clients over loopback: one process, which is told the server, the number of streams and the frames of each.

A run opens its connections first and asks for one frame over each, so that streams are timed, not handshakes. Every
client decodes to a typed header and bytes. Frames and bytes are counted, and a run that lacks any is an error.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import statistics
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, NamedTuple

import msgspec

from .peers import Protobuf, TypedAudio

PCM = 960
SLOWEST = 30.0


class Got(NamedTuple):
    frames: int
    size: int
    first: float


Ask = Callable[[int], AsyncIterator[bytes]]
"""A function from a number of frames to the PCM of each, once its header has been decoded."""


@asynccontextmanager
async def http(port: int, streams: int, read: Any, path: str) -> AsyncIterator[list[Ask]]:
    """One client a stream, as with a hundred users. Shared by many requests, httpcore's pool takes quadratic time."""
    import httpx

    verify = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # not used; without it each client makes one, in 20 ms

    def asking(client: Any) -> Ask:
        return lambda count: read(client, f"/{path}?n={count}")  # type: ignore[no-any-return]

    async with contextlib.AsyncExitStack() as stack:
        clients = [
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=SLOWEST, verify=verify, trust_env=False)
            for _ in range(streams)
        ]
        yield [asking(await stack.enter_async_context(client)) for client in clients]


async def read_ours(client: Any, url: str) -> AsyncIterator[bytes]:
    from objectstreaming.client import aopen_stream
    from wav_streaming.tal import TALCoder

    async with aopen_stream(client, "GET", url, coder=TALCoder()) as stream:
        async for _, pcm in stream:
            yield pcm


async def read_events(client: Any, url: str) -> AsyncIterator[bytes]:
    from httpx_sse import aconnect_sse

    decode = msgspec.json.Decoder(TypedAudio).decode
    async with aconnect_sse(client, "GET", url) as events:
        async for event in events.aiter_sse():
            yield decode(event.data).payload


@asynccontextmanager
async def websockets(port: int, streams: int) -> AsyncIterator[list[Ask]]:
    from websockets.asyncio.client import connect

    decode = msgspec.msgpack.Decoder(TypedAudio).decode

    def asking(connection: Any) -> Ask:
        async def ask(count: int) -> AsyncIterator[bytes]:
            await connection.send(str(count))
            for _ in range(count):
                yield decode(await connection.recv(decode=False)).payload

        return ask

    async with contextlib.AsyncExitStack() as stack:
        yield [
            asking(await stack.enter_async_context(connect(f"ws://127.0.0.1:{port}/", compression=None)))
            for _ in range(streams)
        ]


@asynccontextmanager
async def picows(port: int, streams: int) -> AsyncIterator[list[Ask]]:
    """Its messages come in a callback: they are collected there, as its users do, and passed on in batches."""
    from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

    decode = msgspec.msgpack.Decoder(TypedAudio).decode

    class Listener(WSListener):  # type: ignore[misc]
        def __init__(self) -> None:
            self.got: list[bytes] = []
            self.come = asyncio.Event()

        def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
            if frame.msg_type == WSMsgType.BINARY:
                self.got.append(decode(frame.get_payload_as_memoryview()).payload)
                self.come.set()

    def asking(transport: Any, listener: Any) -> Ask:
        async def ask(count: int) -> AsyncIterator[bytes]:
            transport.send(WSMsgType.TEXT, str(count).encode())
            while count:
                await listener.come.wait()
                listener.come.clear()
                got, listener.got = listener.got, []
                count -= len(got)
                for pcm in got:
                    yield pcm

        return ask

    connections = [await ws_connect(Listener, f"ws://127.0.0.1:{port}/") for _ in range(streams)]
    try:
        yield [asking(*connection) for connection in connections]
    finally:
        for transport, _ in connections:
            transport.disconnect()


@asynccontextmanager
async def grpc(port: int, streams: int) -> AsyncIterator[list[Ask]]:
    import grpc.aio

    audio = Protobuf.messages()["Audio"]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.unary_stream("/benchmarks.Speech/Speak", None, audio.FromString)

        async def ask(count: int) -> AsyncIterator[bytes]:
            async for message in call(str(count).encode()):
                yield message.pcm

        yield [ask] * streams


@asynccontextmanager
async def wyoming(port: int, streams: int) -> AsyncIterator[list[Ask]]:
    from wyoming.client import AsyncTcpClient
    from wyoming.event import Event

    def asking(client: Any) -> Ask:
        async def ask(count: int) -> AsyncIterator[bytes]:
            await client.write_event(Event("ask", {"count": count}))
            for _ in range(count):
                yield (await client.read_event()).payload

        return ask

    async with contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(AsyncTcpClient("127.0.0.1", port)) for _ in range(streams)]
        yield [asking(client) for client in clients]


Opened = AbstractAsyncContextManager[list[Ask]]

# row -> its server, what opens its connections, and the module that it needs
ROWS: dict[str, tuple[str, Callable[[int, int], Opened], str]] = {
    "ours, async source": ("http", lambda port, n: http(port, n, read_ours, "ours"), "httpx"),
    "ours, sync source": ("http", lambda port, n: http(port, n, read_ours, "ours-sync"), "httpx"),
    "StreamingResponse, a frame a yield": ("http", lambda port, n: http(port, n, read_ours, "plain"), "httpx"),
    "StreamingResponse, sync source": ("http", lambda port, n: http(port, n, read_ours, "plain-sync"), "httpx"),
    "SSE, base64": ("http", lambda port, n: http(port, n, read_events, "sse"), "httpx_sse"),
    "websockets": ("websockets", websockets, "websockets"),
    "picows": ("picows", picows, "picows"),
    "grpc.aio": ("grpc", grpc, "grpc"),
    "wyoming over TCP": ("wyoming", wyoming, "wyoming"),
}


async def read(ask: Ask, count: int) -> Got:
    start = time.perf_counter()
    frames = size = 0
    first = 0.0
    async for pcm in ask(count):
        if not frames:
            first = time.perf_counter() - start
        frames += 1
        size += len(pcm)
    return Got(frames, size, first)


async def run(row: str, port: int, streams: int, count: int) -> dict[str, Any]:
    async with asyncio.timeout(SLOWEST), ROWS[row][1](port, streams) as asks:
        await asyncio.gather(*(read(ask, 1) for ask in asks))
        alone = [(await read(asks[0], 1)).first for _ in range(5)] if streams == 1 else []
        print(json.dumps("ready"), flush=True)
        sys.stdin.readline()
        cpu, start = time.process_time(), time.perf_counter()
        gots = await asyncio.gather(*(read(ask, count) for ask in asks))
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    for got in gots:
        if got.frames != count or got.size != count * PCM:
            raise ValueError(f"{got} of {count} frames")
    first = statistics.median(alone or [got.first for got in gots])
    return {"seconds": seconds, "cpu": cpu, "first": first, "frames": streams * count}


def main() -> None:
    print(json.dumps(list(ROWS)), flush=True)
    for line in sys.stdin:
        row, port, streams, count = json.loads(line)
        try:
            result = asyncio.run(run(row, port, streams, count))
        except Exception as error:  # noqa: BLE001  a peer that fails is a line in the results
            result = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
