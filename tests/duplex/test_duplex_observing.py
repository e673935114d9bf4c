"""What observers are told of a duplex connection: two streams, one in each direction."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from seen_streams import Broken, Seen
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket

from objectstreaming import IdleTimeout, StreamIncomplete
from objectstreaming.cli.loopback import LoopbackServer
from objectstreaming.duplex import (
    DuplexSession,
    StreamEvent,
    Symbol,
    WebSocketClientStream,
    WebSocketServerStream,
    memory_pair,
)
from objectstreaming.duplex.memory import MemoryPipe, MemoryStream, _messages
from objectstreaming.observe import StreamRecord, observers


def of(seen: Seen) -> tuple[StreamRecord, StreamRecord]:
    """The records of what one end has sent and received."""
    assert seen.told.count("ended") == 2
    sent, received = sorted(seen.streams, key=lambda stream: stream.kind != "sent")
    assert (sent.kind, received.kind) == ("sent", "received")
    return sent, received


async def drain(stream: Any) -> list[Any]:
    return [item async for item in stream.receive()]


async def test_both_directions_have_a_record() -> None:
    seen = Seen()
    ann, bob = memory_pair(observer=seen)
    bob._observer = None
    async with ann, bob:
        await ann.send(Symbol.text("Hello"))
        await ann.send(StreamEvent("interrupt", None))
        await ann.send_end()
        await bob.send(StreamEvent("interrupt", None))
        reading = asyncio.create_task(drain(ann))
        await bob.disconnect()
        await reading
    sent, received = of(seen)
    assert (sent.result, sent.interrupts, sent.coder, sent.method) == ("ok", 1, "symbol", "MEMORY")
    assert (received.result, received.frames, received.interrupts) == ("ok", 1, 1)
    assert sent.bytes > 0
    assert received.bytes > 0
    assert received.first is not None


async def test_of_a_websocket_has_its_url_and_its_route() -> None:
    theirs = Seen()

    async def endpoint(websocket: WebSocket) -> None:
        async with WebSocketServerStream(websocket, observer=theirs) as stream:
            session = DuplexSession(stream)
            session.on_symbol = lambda symbol: None

            async def answer() -> Any:
                yield Symbol.text("Yes?")

            await session.run_duplex(answer)

    ours = Seen()
    with LoopbackServer(Starlette(routes=[WebSocketRoute("/duplex", endpoint)])) as server:
        url = server.url.replace("http://", "ws://")
        async with WebSocketClientStream(f"{url}/duplex?key=secret", observer=ours) as stream:
            session = DuplexSession(stream)
            session.on_symbol = lambda symbol: None

            async def ask() -> Any:
                yield Symbol.text("Hello")

            await session.run_duplex(ask)
    for stream in of(ours):
        assert (stream.result, stream.frames, stream.method, stream.url) == ("ok", 2, "WEBSOCKET", f"{url}/duplex")
    for stream in of(theirs):
        assert (stream.result, stream.frames, stream.url, stream.route) == ("ok", 2, "/duplex", "/duplex")


async def test_of_a_peer_that_breaks_off() -> None:
    seen = Seen()
    there, back = _messages(), _messages()
    pipe = MemoryPipe(back, there)
    async with MemoryStream(MemoryPipe(there, back), observer=seen, patience=0.01) as stream:
        pipe.abort()
        with pytest.raises(StreamIncomplete):
            await drain(stream)
    sent, received = of(seen)
    assert received.result == "stream_incomplete"
    assert sent.result in ("left", "data_loss")


async def test_of_a_peer_that_falls_silent() -> None:
    seen = Seen()
    there, back = _messages(), _messages()
    async with MemoryStream(MemoryPipe(there, back), observer=seen, heartbeat=0.01, patience=0.01) as stream:
        with pytest.raises(IdleTimeout):
            await drain(stream)
    sent, received = of(seen)
    assert received.result == "idle_timeout"
    assert sent.result == "deadline_exceeded"
    assert sent.pings >= 1


async def test_an_observer_that_raises_harms_nothing() -> None:
    broken = Broken()
    observers.append(broken)
    try:
        ann, bob = memory_pair()
        async with ann, bob:
            for n in range(5):
                await ann.send(Symbol.text(str(n)))
            texts = []
            async for item in bob.receive():
                if isinstance(item, Symbol):
                    texts.append(item.text_value)
                if len(texts) == 5:
                    break
    finally:
        observers.remove(broken)
    assert texts == list("01234")
    assert sorted(broken.calls) == ["ended"] * 4 + ["started"] * 4
