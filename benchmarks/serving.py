"""The servers of the end-to-end rows: `python -m benchmarks.serving http`, one protocol a process.

Each serves workload A from a source that never waits, to whoever asks for so many frames. The first line on stdout is
the port; each line on stdin is answered with the CPU seconds that this process has taken.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import msgspec

from . import workloads
from .peers import Protobuf, TypedAudio
from .workloads import Tal

LONGEST = 20_000
"""Frames of a stream: so many messages stand ready, in the form in which the server's user would hold them."""

Say = Callable[[int], None]


def messages() -> list[workloads.Message]:
    return workloads.make("A", LONGEST).messages


async def http(say: Say) -> None:
    import uvicorn
    from fastapi import FastAPI
    from fastapi.responses import StreamingResponse

    from objectstreaming.server import FrameResponse
    from wav_streaming.tal import TALAudio, TALCoder

    coder = TALCoder()
    ready = [(TALAudio(**header), pcm) for header, pcm in messages()]
    plain = [TypedAudio(Tal(**header), pcm) for header, pcm in messages()]
    encode = msgspec.json.Encoder().encode
    app = FastAPI()

    async def source(count: int) -> AsyncIterator[Any]:
        for message in ready[:count]:
            yield message

    def sync_source(count: int) -> Iterator[Any]:
        yield from ready[:count]

    async def encoded(count: int) -> AsyncIterator[bytes]:
        for header, pcm in ready[:count]:
            yield coder.encode(header, pcm)

    def sync_encoded(count: int) -> Iterator[bytes]:
        for header, pcm in ready[:count]:
            yield coder.encode(header, pcm)

    async def events(count: int) -> AsyncIterator[bytes]:
        for message in plain[:count]:
            yield b"data: " + encode(message) + b"\n\n"

    @app.get("/ours")
    async def ours(n: int) -> FrameResponse:
        return FrameResponse(source(n), coder=coder)

    @app.get("/ours-sync")
    async def ours_sync(n: int) -> FrameResponse:
        return FrameResponse(sync_source(n), coder=coder)

    @app.get("/plain")
    async def one_a_yield(n: int) -> StreamingResponse:
        return StreamingResponse(encoded(n), media_type="application/octet-stream")

    @app.get("/plain-sync")
    async def one_a_yield_sync(n: int) -> StreamingResponse:
        return StreamingResponse(sync_encoded(n), media_type="application/octet-stream")

    @app.get("/sse")
    async def sse(n: int) -> StreamingResponse:
        return StreamingResponse(events(n), media_type="text/event-stream")

    # Told that it is TCP, as uvicorn's own are: asyncio sets TCP_NODELAY on no other, and 40 ms go by before a frame.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.bind(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_level="error", access_log=False)
    say(listening.getsockname()[1])
    await uvicorn.Server(config).serve(sockets=[listening])


def packed() -> list[bytes]:
    encode = msgspec.msgpack.Encoder().encode
    return [encode(TypedAudio(Tal(**header), pcm)) for header, pcm in messages()]


async def websockets(say: Say) -> None:
    from websockets.asyncio.server import ServerConnection, serve

    encode = msgspec.msgpack.Encoder().encode
    ready = [TypedAudio(Tal(**header), pcm) for header, pcm in messages()]

    async def handle(connection: ServerConnection) -> None:
        async for count in connection:
            for message in ready[: int(count)]:
                await connection.send(encode(message))

    async with serve(handle, "127.0.0.1", 0, compression=None) as server:
        say(next(iter(server.sockets)).getsockname()[1])
        await server.serve_forever()


async def picows(say: Say) -> None:
    from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_create_server

    encode = msgspec.msgpack.Encoder().encode
    ready = [TypedAudio(Tal(**header), pcm) for header, pcm in messages()]

    class Listener(WSListener):  # type: ignore[misc]
        def on_ws_connected(self, transport: WSTransport) -> None:
            self.room = asyncio.Event()
            self.room.set()
            self.tasks: set[asyncio.Task[None]] = set()

        def pause_writing(self) -> None:
            self.room.clear()

        def resume_writing(self) -> None:
            self.room.set()

        def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
            if frame.msg_type == WSMsgType.TEXT:
                self.tasks.add(asyncio.create_task(self.send(transport, int(frame.get_payload_as_utf8_text()))))
            elif frame.msg_type == WSMsgType.CLOSE:
                transport.send_close()
                transport.disconnect()

        async def send(self, transport: WSTransport, count: int) -> None:
            for message in ready[:count]:
                transport.send(WSMsgType.BINARY, encode(message))
                if not self.room.is_set():
                    await self.room.wait()

    server = await ws_create_server(lambda _: Listener(), "127.0.0.1", 0)
    say(server.sockets[0].getsockname()[1])
    await server.serve_forever()


async def grpc(say: Say) -> None:
    import grpc.aio

    audio = Protobuf.messages()["Audio"]
    ready = [audio(**header, pcm=pcm) for header, pcm in messages()]

    async def speak(count: bytes, _: Any) -> AsyncIterator[Any]:
        for message in ready[: int(count)]:
            yield message

    handler = grpc.unary_stream_rpc_method_handler(speak, None, audio.SerializeToString)
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("benchmarks.Speech", {"Speak": handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    say(port)
    await server.wait_for_termination()


async def wyoming(say: Say) -> None:
    from wyoming.event import Event
    from wyoming.server import AsyncEventHandler, AsyncServer

    ready = [Event("audio-chunk", header, pcm) for header, pcm in messages()]

    class Handler(AsyncEventHandler):
        async def handle_event(self, event: Event) -> bool:
            for message in ready[: event.data["count"]]:
                await self.write_event(message)
            return True

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = AsyncServer.from_uri(f"tcp://127.0.0.1:{port}")
    await server.start(Handler)
    say(port)
    await asyncio.Event().wait()


SERVERS: dict[str, Callable[[Say], Awaitable[None]]] = {
    "http": http,
    "websockets": websockets,
    "picows": picows,
    "grpc": grpc,
    "wyoming": wyoming,
}


def answer() -> None:
    for _ in sys.stdin:
        print(json.dumps(time.process_time()), flush=True)
    os._exit(0)  # the client has gone already, and how a peer's server takes leave is not measured


def main(name: str) -> None:
    def say(port: int) -> None:
        print(json.dumps({"port": port}), flush=True)

    threading.Thread(target=answer, daemon=True).start()
    asyncio.run(SERVERS[name](say))  # type: ignore[arg-type]


if __name__ == "__main__":
    main(sys.argv[1])
