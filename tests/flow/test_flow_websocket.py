"""A WebSocket as a stream, against Starlette itself."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

import pytest
import uvicorn
import websockets
from deadlines import DEADLINE, until
from sources import Source, turns
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket

from objectstreaming import flow


class Peer:
    """The server's end of a WebSocket, whose ASGI channels the test controls."""

    def __init__(self, *messages: dict[str, Any]) -> None:
        self.inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.sent: list[dict[str, Any]] = []
        self.gone = False
        for message in ({"type": "websocket.connect"}, *messages):
            self.inbox.put_nowait(message)
        self.websocket = WebSocket({"type": "websocket"}, self.inbox.get, self._send)

    async def _send(self, message: Any) -> None:
        if self.gone:
            raise OSError("the peer is gone")
        self.sent.append(message)


def text(data: str) -> dict[str, Any]:
    return {"type": "websocket.receive", "text": data}


def binary(data: bytes) -> dict[str, Any]:
    return {"type": "websocket.receive", "bytes": data}


LEFT = {"type": "websocket.disconnect", "code": 1001}


@pytest.mark.parametrize(
    ("kind", "messages", "expected"),
    [
        ("text", [text("a"), text("")], ["a", ""]),
        ("bytes", [binary(b"a"), binary(b"")], [b"a", b""]),
        ("any", [text("a"), binary(b"a"), text("")], ["a", b"a", ""]),
        ("json", [text('{"a": [1, null]}'), binary(b'"\xc3\xa9"')], [{"a": [1, None]}, "é"]),
    ],
)
async def test_messages_are_items_and_the_peers_leaving_is_the_end(
    kind: Any, messages: list[Any], expected: list[Any]
) -> None:
    peer = Peer(*messages, LEFT)
    assert await flow.collect(flow.from_websocket(peer.websocket, kind)) == expected
    assert peer.sent[0]["type"] == "websocket.accept"


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("text", binary(b"a")),
        ("bytes", text("a")),
        ("json", text("{")),
        ("json", text("NaN")),
        ("json", text("")),
        ("json", binary(b"\xff")),
        ("json", text("[" * 100_000)),
    ],
)
async def test_a_message_of_another_kind_is_a_value_error(kind: Any, message: Any) -> None:
    with pytest.raises(ValueError, match=r"JSON|expected|Expecting|codec"):
        await flow.collect(flow.from_websocket(Peer(message).websocket, kind))


async def test_an_unknown_kind_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="kind"):
        await flow.collect(flow.from_websocket(Peer().websocket, "xml"))  # type: ignore[arg-type]


class Model:
    def model_dump_json(self) -> str:
        return '{"pydantic":true}'


async def test_items_are_sent_as_what_they_are() -> None:
    peer = Peer()
    items = ["é", b"a", bytearray(b"b"), memoryview(b"c"), {"n": [1, None, "é"]}, None, Model()]
    await flow.to_websocket(flow.from_iterable(items), peer.websocket)
    sent = [message.get("text", message.get("bytes")) for message in peer.sent[1:]]
    assert sent[:4] == ["é", b"a", b"b", b"c"]
    assert [json.loads(item) for item in sent[4:]] == [{"n": [1, None, "é"]}, None, {"pydantic": True}]


@pytest.mark.parametrize("item", [object(), float("nan")])
async def test_what_json_cannot_say_is_an_error(item: Any) -> None:
    source = Source([item])
    with pytest.raises((TypeError, ValueError)):
        await flow.to_websocket(source, Peer().websocket)
    assert source.closed


async def test_a_peer_that_left_ends_the_sink_and_closes_the_source() -> None:
    peer, source = Peer(), Source(["one", "two"], turns=5)
    sending = asyncio.create_task(flow.to_websocket(source, peer.websocket))
    while not peer.sent[1:]:
        await turns(1)
    peer.gone = True
    await sending
    assert source.closed


async def test_a_peer_known_to_have_left_is_sent_nothing() -> None:
    peer = Peer(LEFT)
    await flow.drain(flow.from_websocket(peer.websocket))
    await flow.to_websocket(flow.from_iterable(["late"]), peer.websocket)
    assert [message["type"] for message in peer.sent] == ["websocket.accept"]
    assert await flow.drain(flow.from_websocket(peer.websocket)) == 0


async def test_messages_before_the_hang_up_are_read_however_slow_the_reader_is() -> None:
    """A client that sends a file and closes loses nothing."""
    peer = Peer(*(binary(bytes([n])) for n in range(50)), LEFT)
    stream = flow.tap(flow.from_websocket(peer.websocket, "bytes"), lambda item: turns(20))
    assert await flow.collect(stream) == [bytes([n]) for n in range(50)]


async def test_messages_are_received_while_a_step_is_slow() -> None:
    peer = Peer(*(text(str(n)) for n in range(100)))
    async with aclosing(flow.from_websocket(peer.websocket)) as stream:
        assert await anext(stream) == "0"
        await until(peer.inbox.empty)
        assert [await anext(stream) for _ in range(99)] == [str(n) for n in range(1, 100)]


@pytest.mark.parametrize("message", [text(""), binary(bytes(1024 * 1024))], ids=["empty", "large"])
async def test_what_is_received_ahead_is_bounded(message: dict[str, Any]) -> None:
    """In bytes, and a message without content counts too. Each message that is taken makes room for another."""
    peer = Peer(*[message] * 40_000)
    async with aclosing(flow.from_websocket(peer.websocket, "any")) as stream:
        await anext(stream)
        await turns(50)
        left = peer.inbox.qsize()
        assert 40_000 - left <= 9 if "bytes" in message else left > 0
        await anext(stream)
        await turns(5)
        assert peer.inbox.qsize() == left - 1


async def test_a_message_that_one_flow_has_not_asked_for_is_there_for_the_next() -> None:
    peer = Peer(text("first"), text("second"), text("third"))
    await flow.to_websocket(flow.from_iterable(["hello"], delay=0), peer.websocket)
    for expected in ("first", "second", "third"):
        async with aclosing(flow.from_websocket(peer.websocket)) as stream:
            assert await anext(stream) == expected


async def test_source_and_sink_may_begin_at_the_same_time() -> None:
    peer = Peer(text("a"), LEFT)
    heard, _ = await asyncio.gather(
        flow.collect(flow.from_websocket(peer.websocket)), flow.to_websocket(flow.endless(), peer.websocket)
    )
    assert heard == ["a"]
    assert [message["type"] for message in peer.sent] == ["websocket.accept"]


async def test_without_watch_the_application_reads_the_connection_itself() -> None:
    peer = Peer()
    done = asyncio.Event()
    sending = asyncio.create_task(flow.to_websocket(flow.until(flow.endless(), done), peer.websocket, watch=False))
    await until(lambda: bool(peer.sent))
    peer.inbox.put_nowait(text("mine"))
    await turns()
    assert await peer.websocket.receive_text() == "mine"
    done.set()
    await sending


@pytest.mark.parametrize(
    "use",
    [
        lambda websocket: flow.collect(flow.from_websocket(websocket)),
        lambda websocket: flow.to_websocket(flow.endless(), websocket),
    ],
    ids=["source", "sink"],
)
async def test_an_error_of_receiving_is_raised(use: Any) -> None:
    async def broken() -> Any:
        raise OSError("the network card is on fire")

    peer = Peer()
    await peer.websocket.accept()
    peer.websocket.receive = broken  # type: ignore[method-assign]
    with pytest.raises(OSError, match="fire"):
        await use(peer.websocket)


@pytest.fixture(autouse=True)
async def _nothing_is_left_running(anyio_backend: str) -> AsyncIterator[None]:
    yield
    left = [task for task in asyncio.all_tasks() if not task.done() and "TestRunner." not in repr(task)]
    assert left == []


@contextlib.asynccontextmanager
async def connected(endpoint: Callable[[WebSocket], Any]) -> AsyncIterator[Any]:
    """A client's connection to a real server with this endpoint."""
    app = Starlette(routes=[WebSocketRoute("/", endpoint)])
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", ws="websockets-sansio", lifespan="off"))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        try:
            async with websockets.connect(f"ws://127.0.0.1:{listening.getsockname()[1]}/") as connection:
                yield connection
        finally:
            server.should_exit = True
            await serving


async def test_a_flow_from_a_websocket_through_steps_to_the_same_websocket() -> None:
    left = asyncio.Event()

    async def shout(websocket: WebSocket) -> None:
        stream: Any = flow.from_websocket(websocket)
        stream = flow.map(stream, str.upper)
        await flow.to_websocket(stream, websocket)
        left.set()

    async with connected(shout) as connection:
        for word in ("one", "two"):
            await connection.send(word)
            assert await connection.recv() == word.upper()
        await connection.close()
        await asyncio.wait_for(left.wait(), DEADLINE)


FLOWS: dict[str, Callable[[Any, Callable[[Any], Any]], Any]] = {
    "switch": lambda stream, think: flow.switch(stream, lambda item: flow.map(flow.from_iterable([item]), think)),
    "map": lambda stream, think: flow.map(stream, think),
    "buffer and merge": lambda stream, think: flow.merge(flow.map(flow.buffer(stream, 5), think), flow.endless()),
    "only sending": lambda stream, think: flow.map(flow.from_iterable(["unasked"]), think),
}


@pytest.mark.parametrize("make", FLOWS.values(), ids=FLOWS.keys())
async def test_a_hang_up_stops_a_flow_that_thinks(make: Any) -> None:
    thinking, stopped, returned = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def think(item: Any) -> Any:
        thinking.set()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            stopped.set()

    async def talk(websocket: WebSocket) -> None:
        await flow.to_websocket(make(flow.from_websocket(websocket), think), websocket)
        returned.set()

    async with connected(talk) as connection:
        await connection.send("why")
        await asyncio.wait_for(thinking.wait(), DEADLINE)
        assert not stopped.is_set()
        await connection.close()
        await asyncio.wait_for(stopped.wait(), DEADLINE)
        await asyncio.wait_for(returned.wait(), DEADLINE)


async def test_pings_are_answered_while_a_step_is_slow() -> None:
    go_on = asyncio.Event()

    async def slow(message: str) -> str:
        await go_on.wait()
        return message

    async def talk(websocket: WebSocket) -> None:
        await flow.to_websocket(flow.map(flow.from_websocket(websocket), slow), websocket)

    async with connected(talk) as connection:
        for n in range(200):
            await connection.send(str(n))
        await asyncio.wait_for(await connection.ping(), DEADLINE)
        go_on.set()
        assert [await connection.recv() for _ in range(200)] == [str(n) for n in range(200)]


async def test_the_sink_leaves_the_connection_open() -> None:
    async def greet(websocket: WebSocket) -> None:
        await flow.to_websocket(flow.from_iterable(["hello", b"there"]), websocket)
        await websocket.send_text("and more")
        await websocket.close(4000)

    async with connected(greet) as connection:
        assert [message async for message in _until_closed(connection)] == ["hello", b"there", "and more"]
        assert connection.close_code == 4000


async def _until_closed(connection: Any) -> AsyncIterator[Any]:
    with contextlib.suppress(websockets.ConnectionClosed):
        while True:
            yield await connection.recv()


def test_importing_the_verbs_does_not_import_starlette() -> None:
    code = "import sys, objectstreaming.flow; sys.exit('starlette' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
