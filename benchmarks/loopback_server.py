"""The servers over loopback: `python -m benchmarks.loopback_server http`, one protocol a process.

Each serves workload A from a source that never waits; the client says how many frames. The first line on stdout is the
port; each line on stdin is answered with the CPU seconds that this process has taken.
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
"""Frames of a stream, at most. So many messages are prepared, in the form in which the server's user holds them."""

Say = Callable[[int], None]


def messages() -> list[workloads.Message]:
    return workloads.audio(LONGEST)


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

    def serve(path: str, respond: Callable[[int], Any]) -> None:
        async def endpoint(n: int) -> Any:
            return respond(n)

        app.add_api_route(path, endpoint, response_model=None)

    serve("/ours", lambda n: FrameResponse(source(n), coder=coder))
    serve("/ours-sync", lambda n: FrameResponse(sync_source(n), coder=coder))
    serve("/plain", lambda n: StreamingResponse(encoded(n), media_type="application/octet-stream"))
    serve("/plain-sync", lambda n: StreamingResponse(sync_encoded(n), media_type="application/octet-stream"))
    serve("/sse", lambda n: StreamingResponse(events(n), media_type="text/event-stream"))

    # The protocol is named, as uvicorn does: asyncio sets TCP_NODELAY on no other socket, and a frame would wait 40 ms.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.bind(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_level="error", access_log=False)
    say(listening.getsockname()[1])
    await uvicorn.Server(config).serve(sockets=[listening])


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
            self.writable = asyncio.Event()
            self.writable.set()
            self.tasks: set[asyncio.Task[None]] = set()

        def pause_writing(self) -> None:
            self.writable.clear()

        def resume_writing(self) -> None:
            self.writable.set()

        def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
            if frame.msg_type == WSMsgType.TEXT:
                self.tasks.add(asyncio.create_task(self.send(transport, int(frame.get_payload_as_utf8_text()))))
            elif frame.msg_type == WSMsgType.CLOSE:
                transport.send_close()
                transport.disconnect()

        async def send(self, transport: WSTransport, count: int) -> None:
            for message in ready[:count]:
                transport.send(WSMsgType.BINARY, encode(message))
                if not self.writable.is_set():
                    await self.writable.wait()

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
    os._exit(0)  # the client has left; a peer's shutdown is not measured


def main(name: str) -> None:
    def say(port: int) -> None:
        print(json.dumps({"port": port}), flush=True)

    threading.Thread(target=answer, daemon=True).start()
    asyncio.run(SERVERS[name](say))  # type: ignore[arg-type]


if __name__ == "__main__":
    main(sys.argv[1])
