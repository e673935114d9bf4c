"""The contract of every duplex backend: the same tests in memory, and at both ends of a real WebSocket."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import timedelta
from typing import Any

import pytest
import uvicorn
import websockets
from deadlines import DEADLINE, is_stuck, repeat_until_stuck
from fake_clock import FakeClock
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket

from objectstreaming import (
    EncodeError,
    FrameDecoder,
    IdleTimeout,
    Limits,
    PayloadError,
    ProtocolError,
    StreamEncoder,
    StreamError,
    StreamIncomplete,
    TruncatedFrame,
    encode_frame,
)
from objectstreaming.duplex import (
    DuplexSession,
    DuplexStream,
    FramedStream,
    StreamEvent,
    StreamItem,
    Symbol,
    SymbolCoder,
    WebSocketClientStream,
    WebSocketServerStream,
)
from objectstreaming.duplex.framed import SUBPROTOCOL
from objectstreaming.duplex.mailbox import Mailbox
from objectstreaming.duplex.memory import MemoryPipe, MemoryStream
from objectstreaming.errors import FrameTooLarge, InvalidHeader, InvalidLength


class Raw:
    """A peer that the test controls: it sends and reads bytes, and may vanish."""

    def __init__(
        self,
        send: Callable[[bytes], Any],
        receive: Callable[[], Any],
        vanish: Callable[[], Any],
        say: Callable[[str], Any] | None = None,
    ) -> None:
        self.send = send
        self.receive = receive
        self.vanish = vanish
        self.say = say

    async def leave(self) -> None:
        """Send as little as is needed to leave in order."""
        encoder, wire = opened()
        await self.send(wire + encoder.end())

    async def until_end(self) -> list[dict[str, Any]]:
        """The headers of the frames that arrive, up to `end`."""
        decoder, headers = FrameDecoder(), []
        while not headers or headers[-1].get("$stream", {}).get("type") != "end":
            message = await asyncio.wait_for(self.receive(), DEADLINE)
            assert message is not None, headers
            headers.extend(frame.header for frame in decoder.feed(message))
        return headers


class Memory:
    name = "memory"

    async def __aenter__(self) -> Memory:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def pair(self, near: dict[str, Any], far: dict[str, Any]) -> tuple[FramedStream, FramedStream]:
        pipes = self._pipes()
        streams = MemoryStream(pipes[0], **near), MemoryStream(pipes[1], **far)
        for stream in streams:
            await stream.connect()
        return streams

    async def raw(self, near: dict[str, Any]) -> tuple[FramedStream, Raw]:
        pipes = self._pipes()
        stream = MemoryStream(pipes[0], **near)
        await stream.connect()
        return stream, Raw(pipes[1].send, pipes[1].receive, pipes[1].abort)

    @staticmethod
    def _pipes() -> tuple[MemoryPipe, MemoryPipe]:
        there: Mailbox[bytes] = Mailbox(items=16, size=1 << 18)
        back: Mailbox[bytes] = Mailbox(items=16, size=1 << 18)
        return MemoryPipe(there, back), MemoryPipe(back, there)


class Sockets:
    """A uvicorn on loopback, in this event loop, so that the test controls both ends."""

    def __init__(self, near_is_client: bool) -> None:
        self._near_is_client = near_is_client
        self._accepted: asyncio.Queue[WebSocket] = asyncio.Queue()
        self._released = asyncio.Event()
        self._raw_clients: list[websockets.ClientConnection] = []

    async def _endpoint(self, websocket: WebSocket) -> None:
        self._accepted.put_nowait(websocket)
        await self._released.wait()

    async def __aenter__(self) -> Sockets:
        app = Starlette(routes=[WebSocketRoute("/", self._endpoint)])
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        self._url = f"ws://127.0.0.1:{listener.getsockname()[1]}/"
        config = uvicorn.Config(app, log_level="error", lifespan="off", timeout_graceful_shutdown=1)
        self._server = uvicorn.Server(config)
        self._server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
        self._serving = asyncio.create_task(self._server._serve([listener]))
        while not self._server.started:  # noqa: ASYNC110  no event of uvicorn says it
            await asyncio.sleep(0.005)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._released.set()
        self._cut()
        for client in self._raw_clients:
            client.transport.abort()
        self._server.should_exit = True
        await self._serving

    def _cut(self) -> None:
        for connection in list(self._server.server_state.connections):
            connection.transport.abort()  # type: ignore[union-attr]

    async def _dial(self, options: dict[str, Any]) -> websockets.ClientConnection:
        return await websockets.connect(self._url, subprotocols=[websockets.Subprotocol(SUBPROTOCOL)], **options)

    async def pair(self, near: dict[str, Any], far: dict[str, Any]) -> tuple[FramedStream, FramedStream]:
        mine, theirs = (near, far) if self._near_is_client else (far, near)
        client = WebSocketClientStream(self._url, **mine)
        connecting = asyncio.create_task(client.connect())
        server = WebSocketServerStream(await self._accepted.get(), **theirs)
        await server.connect()
        await connecting
        return (client, server) if self._near_is_client else (server, client)

    async def raw(self, near: dict[str, Any]) -> tuple[FramedStream, Raw]:
        if self._near_is_client:
            stream = WebSocketClientStream(self._url, **near)
            connecting = asyncio.create_task(stream.connect())
            websocket = await self._accepted.get()
            await websocket.accept(SUBPROTOCOL)
            await connecting

            async def receive() -> bytes | None:
                return (await websocket.receive()).get("bytes")

            return stream, Raw(websocket.send_bytes, receive, self._cut, websocket.send_text)
        options: dict[str, Any] = {"compression": None, "ping_interval": None, "close_timeout": 0.5}
        opening = asyncio.create_task(self._dial(options))
        server = WebSocketServerStream(await self._accepted.get(), **near)
        await server.connect()
        client = await opening
        self._raw_clients.append(client)
        return server, Raw(client.send, client.recv, client.transport.abort, client.send)


BACKENDS: dict[str, Callable[[], Any]] = {
    "memory": Memory,
    "client": lambda: Sockets(near_is_client=True),
    "server": lambda: Sockets(near_is_client=False),
}


class Link:
    """Makes connections, and disconnects them when the test is over."""

    def __init__(self, backend: Any) -> None:
        self._backend = backend
        self._streams: list[FramedStream] = []

    async def pair(
        self, near: dict[str, Any] | None = None, far: dict[str, Any] | None = None
    ) -> tuple[FramedStream, FramedStream]:
        options = {"patience": DEADLINE, "heartbeat": DEADLINE}
        streams = await self._backend.pair(options | (near or {}), options | (far or {}))
        self._streams.extend(streams)
        return streams

    async def raw(self, **near: Any) -> tuple[FramedStream, Raw]:
        # Short, because nobody answers our end unless the test does.
        stream, raw = await self._backend.raw({"patience": 0.3} | near)
        self._streams.append(stream)
        return stream, raw

    async def close(self) -> None:
        await asyncio.gather(*(stream.disconnect() for stream in self._streams), return_exceptions=True)


def our_tasks() -> set[str]:
    return {task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("objectstreaming")}


@pytest.fixture(params=BACKENDS)
async def link(request: pytest.FixtureRequest) -> AsyncIterator[Link]:
    async with BACKENDS[request.param]() as backend:
        before = asyncio.all_tasks()
        link = Link(backend)
        yield link
        await link.close()
        assert not our_tasks(), "tasks are left after disconnect"
        if isinstance(backend, Sockets):
            backend._released.set()
        left = asyncio.all_tasks() - before - {asyncio.current_task()}
        left = {  # anyio's own is not ours
            task for task in left if "TestRunner" not in getattr(task.get_coro(), "__qualname__", "")
        }
        if left:
            await asyncio.wait(left, timeout=DEADLINE)  # the server's handler, which is released now
        left = {task for task in left if not task.done()}
        assert not left


async def symbols(stream: DuplexStream) -> AsyncIterator[Symbol]:
    async for item in stream.receive():
        if isinstance(item, Symbol):
            yield item


async def take(stream: DuplexStream, count: int, within: float = DEADLINE) -> list[StreamItem]:
    """The next items, without `connected`."""
    items: list[StreamItem] = []
    async with asyncio.timeout(within):
        async for item in stream.receive():
            if not (isinstance(item, StreamEvent) and item.type == "connected"):
                items.append(item)
            if len(items) == count:
                break
    return items


def texts(items: list[Any]) -> list[Any]:
    return [item.text_value if isinstance(item, Symbol) else item.type for item in items]


def opened() -> tuple[StreamEncoder[StreamItem, None], bytes]:
    encoder = StreamEncoder(SymbolCoder())
    return encoder, encoder.open()


class TestContract:
    async def test_carries_symbols_and_events_both_ways(self, link: Link) -> None:
        near, far = await link.pair({"metadata": {"who": "near"}}, {"metadata": {"who": "far"}})
        sent: list[StreamItem] = [
            Symbol.text("Grüße"),
            Symbol.audio(bytes(range(200)), sample_rate=8_000),
            StreamEvent("metadata", {"a": [1, None]}),
            StreamEvent("error", {"code": "not_found", "message": "no such voice"}),
        ]
        for a, b, who in ((near, far, "near"), (far, near, "far")):
            for item in sent:
                await a.send(item)
            await a.send_end()
            received = []
            async for item in b.receive():
                received.append(item)
                if isinstance(item, StreamEvent) and item.type == "stream_end":
                    break
            assert isinstance(received[0], StreamEvent)
            assert (received[0].type, received[0].data) == ("connected", {"who": who})
            assert received[1:-1] == sent
            assert {item.timestamp.utcoffset() for item in received} == {timedelta(0)}

    async def test_nothing_is_lost_or_reordered_and_leaving_the_iteration_loses_nothing(self, link: Link) -> None:
        near, far = await link.pair()

        async def talk() -> None:
            for n in range(500):
                await near.send(Symbol.text(str(n)))
            await near.send_end()

        talking = asyncio.create_task(talk())
        received: list[StreamItem] = []
        while len(received) < 501:
            received += await take(far, min(7, 501 - len(received)))
        await talking
        assert texts(received) == [*map(str, range(500)), "stream_end"]

    async def test_cancelling_a_receive_loses_nothing(self, link: Link) -> None:
        near, far = await link.pair()
        await take_connected(far)
        received: list[StreamItem] = []
        for n in range(50):
            waiting = asyncio.create_task(take(far, 1))
            await near.send(Symbol.text(str(n)))
            for _ in range(n % 7):  # cancelled before, while and after the item comes
                await asyncio.sleep(0)
            waiting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                received += await waiting
        received += await take(far, 50 - len(received))
        assert texts(received) == [*map(str, range(50))]

    async def test_sends_and_receives_overlap(self, link: Link) -> None:
        """Each side sends its next symbol only when it has received one. If one direction waited for the other, both
        would
        wait for ever."""
        near, far = await link.pair()

        async def echo(stream: DuplexStream, first: bool) -> int:
            if first:
                await stream.send(Symbol.text("0"))
            seen = 0
            async for symbol in symbols(stream):
                seen = int(symbol.text_value or "")
                if seen >= 100:
                    break
                await stream.send(Symbol.text(str(seen + 1)))
                if seen >= 99:
                    break
            return seen

        async with asyncio.timeout(DEADLINE):
            assert sorted(await asyncio.gather(echo(near, True), echo(far, False))) == [99, 100]

    async def test_both_sides_may_send_without_reading_until_they_have_sent(self, link: Link) -> None:
        """The two directions are independent, as long as the symbols fit into the buffers."""
        near, far = await link.pair()
        async with asyncio.timeout(DEADLINE):
            for n in range(40):
                await near.send(Symbol.text(f"near {n}"))
                await far.send(Symbol.text(f"far {n}"))
            assert texts(await take(far, 40)) == [f"near {n}" for n in range(40)]
            assert texts(await take(near, 40)) == [f"far {n}" for n in range(40)]

    async def test_disconnect_sends_everything_and_the_peer_sees_the_end(self, link: Link) -> None:
        near, far = await link.pair()
        for n in range(30):
            await near.send(Symbol.text(str(n)))
        reading = asyncio.create_task(take(far, 31))
        await near.disconnect()
        assert texts(await reading) == [*map(str, range(30)), "disconnected"]
        assert not near.is_connected
        assert not far.is_connected
        assert [item async for item in far.receive()] == []
        with pytest.raises(EncodeError, match="the peer has left"):
            await far.send(Symbol.text("too late"))
        with pytest.raises(EncodeError, match="not connected"):
            await near.send(Symbol.text("too late"))
        await near.disconnect()
        await far.disconnect()
        assert not our_tasks()

    async def test_both_may_disconnect_at_once(self, link: Link) -> None:
        near, far = await link.pair()
        await near.send(Symbol.text("unread"))
        await asyncio.wait_for(asyncio.gather(near.disconnect(), far.disconnect()), DEADLINE)
        assert not our_tasks()

    async def test_one_task_receives_at_a_time(self, link: Link) -> None:
        near, _ = await link.pair()
        await take_connected(near)
        waiting = asyncio.create_task(anext(aiter(near.receive())))
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="another task is receiving"):
            await anext(aiter(near.receive()))
        waiting.cancel()

    async def test_an_error_in_the_block_is_an_error_for_the_peer(self, link: Link) -> None:
        near, far = await link.pair()
        with pytest.raises(ZeroDivisionError):
            async with near:
                raise ZeroDivisionError("/secret/path")
        with pytest.raises(StreamError) as caught:
            await take(far, 1)
        assert (caught.value.code, caught.value.message) == ("internal", "internal error")
        with pytest.raises(StreamError):
            await far.send(Symbol.text("hello?"))

    async def test_a_stream_error_in_the_block_is_sent_to_the_peer(self, link: Link) -> None:
        near, far = await link.pair()
        with pytest.raises(StreamError):
            async with near:
                raise StreamError("not_found", "no such voice", {"voice": 7})
        with pytest.raises(StreamError, match="not_found: no such voice") as caught:
            await take(far, 1)
        assert caught.value.details == {"voice": 7}

    async def test_what_cannot_be_sent_is_an_error_before_a_byte_is_sent(self, link: Link) -> None:
        near, far = await link.pair({"limits": Limits(frame=1_000, header=300)})
        with pytest.raises(EncodeError, match="send it in pieces"):
            await near.send(Symbol.text("x" * 1_000))
        with pytest.raises(EncodeError, match="send it in pieces"):
            await near.send(Symbol.text("x", note="y" * 300))
        with pytest.raises(EncodeError, match="not JSON"):
            await near.send(Symbol.text("x", note=float("nan")))
        with pytest.raises(EncodeError, match="not JSON"):
            await near.send(StreamEvent("metadata", object()))
        with pytest.raises(EncodeError):
            await near.send("text")  # type: ignore[arg-type]
        await near.send(Symbol.text("fits"))
        assert texts(await take(far, 1)) == ["fits"]

    async def test_an_interrupt_overtakes_what_is_still_to_be_sent(self, link: Link) -> None:
        near, raw = await link.raw(patience=DEADLINE)
        sent = await fill(near)
        await asyncio.wait_for(near.send(StreamEvent("interrupt")), DEADLINE)
        await near.send(Symbol.text("fresh"))
        leaving = asyncio.create_task(near.disconnect())
        headers = await raw.until_end()
        await raw.leave()
        await leaving
        assert [header.get("type") or header.get("modality") for header in headers[-3:-1]] == ["interrupt", "text"]
        arrived = sum(header.get("modality") == "audio" for header in headers)
        assert sent - 33 <= arrived <= sent - 8  # what was in the outbox is dropped
        assert headers[-1]["$stream"]["frames"] == len(headers) - 2

    async def test_a_stalled_peer_makes_send_wait_and_nothing_is_lost(self, link: Link) -> None:
        near, raw = await link.raw(patience=DEADLINE)
        sent = await fill(near)
        sending = asyncio.create_task(near.send(Symbol.audio(bytes(1 << 16))))
        assert await is_stuck(sending)
        leaving = asyncio.create_task(near.disconnect())
        with pytest.raises(EncodeError):  # what waited was not taken
            await sending
        headers = await raw.until_end()
        await raw.leave()
        await leaving
        notes = [header["metadata"]["note"] for header in headers if header.get("kind") == "symbol"]
        assert notes == list(range(sent))

    async def test_leaving_a_peer_that_does_not_read_is_bounded_and_raises(self, link: Link) -> None:
        near, _ = await link.raw(patience=0.3)
        await fill(near)
        with pytest.raises(IdleTimeout, match="did not read what was still to be sent"):
            await asyncio.wait_for(near.disconnect(), DEADLINE)
        assert not our_tasks()

    async def test_a_reader_that_stalls_makes_the_peer_wait(self, link: Link) -> None:
        near, far = await link.pair()
        sent = await fill(near)
        received = await take(far, sent)
        assert [item.metadata["note"] for item in received if isinstance(item, Symbol)] == list(range(sent))

    # ------------------------------------------------------------------------------- what peers may send

    async def test_frames_may_be_cut_into_messages_anywhere(self, link: Link) -> None:
        near, raw = await link.raw()
        encoder, wire = opened()
        wire += b"".join(encoder.data(Symbol.text(str(n)), None) for n in range(3)) + encoder.ping()
        wire += encoder.data(StreamEvent("stream_end"), None) + encoder.end(trailers={"n": 3})
        for start in range(0, len(wire), 11):
            await raw.send(wire[start : start + 11])
            if start % 2:
                await raw.send(b"")
        items = await take(near, 5)
        assert texts(items) == ["0", "1", "2", "stream_end", "disconnected"]
        assert items[-1].data == {"n": 3}
        await raw.until_end()

    async def test_each_frame_is_one_message_open_first_and_end_last(self, link: Link) -> None:
        near, raw = await link.raw(metadata={"voice": "en"})
        await near.send(Symbol.text("hello"))
        leaving = asyncio.create_task(near.disconnect())
        messages: list[bytes] = []
        while not messages or b'"end"' not in messages[-1]:
            messages.append(await raw.receive())
        await raw.leave()
        await leaving
        headers = [next(iter(FrameDecoder().feed(message))).header for message in messages]
        assert headers[0] == {
            "$stream": {"type": "open", "v": 1, "coder": "symbol", "heartbeat": 15.0, "metadata": {"voice": "en"}}
        }
        assert headers[1]["kind"] == "symbol"
        assert headers[1]["timestamp"].endswith("Z")
        assert headers[2] == {"$stream": {"type": "end", "frames": 1}}

    @pytest.mark.parametrize(
        ("wire", "error"),
        [
            (b"\x00" * 8, InvalidLength),
            (b"\xff" * 8, FrameTooLarge),
            (b"<html><body>", FrameTooLarge),
            (encode_frame({"kind": "symbol"}), InvalidHeader),
            (encode_frame({"kind": "smell"}), InvalidHeader),
            (encode_frame({"a": 1}), InvalidHeader),
            (b"\x0a\x00\x00\x00\x02\x00\x00\x00[]", InvalidHeader),
            (encode_frame({"kind": "event", "type": "explode", "timestamp": "2026-11-20T12:00:00Z"}), InvalidHeader),
            (encode_frame({"kind": "event", "type": "error", "timestamp": "2026-11-20T12:00:00"}), InvalidHeader),
            (opened()[1], ProtocolError),
            (StreamEncoder(SymbolCoder()).end(error=StreamError("unavailable", "later")), StreamError),
        ],
        ids=range(11),
    )
    async def test_a_malformed_frame_ends_the_connection_after_the_good_ones(
        self, link: Link, wire: bytes, error: type[Exception]
    ) -> None:
        near, raw = await link.raw()
        encoder, opening = opened()
        if error is StreamError:  # this end counts no frames
            await raw.send(opening + wire)
        else:
            await raw.send(opening + encoder.data(Symbol.text("good"), None) + wire)
            assert texts(await take(near, 1)) == ["good"]
        for _ in range(2):  # the same error each time
            with pytest.raises(error) as caught:
                await take(near, 1)
            assert type(caught.value) is error
        assert not near.is_connected
        with pytest.raises(error):
            await near.send(Symbol.text("hello?"))
        told = (await raw.until_end())[-1]["$stream"]["error"]
        assert told["code"] == ("unavailable" if error is StreamError else "invalid_argument")

    async def test_the_stream_begins_with_open(self, link: Link) -> None:
        near, raw = await link.raw()
        await raw.send(StreamEncoder(SymbolCoder()).data(Symbol.text("hello"), None))
        with pytest.raises(ProtocolError, match="does not begin with open"):
            await take(near, 1)

    async def test_of_another_coder_is_refused(self, link: Link) -> None:
        near, raw = await link.raw()
        await raw.send(encode_frame(b'{"$stream":{"type":"open","v":1,"coder":"tal"}}'))
        with pytest.raises(ProtocolError, match="coder"):
            await take(near, 1)

    async def test_an_event_that_cannot_be_read_does_not_end_the_connection(self, link: Link) -> None:
        near, raw = await link.raw()
        _, opening = opened()
        event = {"kind": "event", "type": "metadata", "timestamp": "2026-11-20T12:00:00Z"}
        await raw.send(opening + encode_frame(event, b"nope") + encode_frame(event, b"[1]"))
        with pytest.raises(PayloadError):
            await take(near, 1)
        [item] = await take(near, 1)
        assert isinstance(item, StreamEvent)
        assert item.data == [1]

    async def test_a_message_larger_than_a_frame_may_be_is_refused(self, link: Link) -> None:
        near, raw = await link.raw(limits=Limits(frame=1_000))
        await raw.send(opened()[1])
        with contextlib.suppress(Exception):
            await raw.send(bytes(2_000))
        reading = asyncio.create_task(raw.until_end())  # a WebSocket library reports it once the peer has closed
        with pytest.raises(FrameTooLarge):
            await take(near, 1)
        reading.cancel()
        await asyncio.wait([reading])

    async def test_a_text_message_is_a_protocol_error(self, link: Link) -> None:
        near, raw = await link.raw()
        if raw.say is None:
            return  # in memory there are no text messages
        await raw.send(opened()[1])
        await raw.say("hello")
        with pytest.raises(ProtocolError, match="text message"):
            await take(near, 1)
        assert (await raw.until_end())[-1]["$stream"]["error"]["code"] == "invalid_argument"

    async def test_a_peer_that_vanishes_is_noticed_in_both_directions(self, link: Link) -> None:
        near, raw = await link.raw()
        encoder, opening = opened()
        await raw.send(opening + encoder.data(Symbol.text("good"), None))
        assert texts(await take(near, 1)) == ["good"]
        raw.vanish()
        with pytest.raises(StreamIncomplete, match="without its end"):
            await take(near, 1)
        assert not near.is_connected
        with pytest.raises(StreamIncomplete):
            await near.send(Symbol.text("hello?"))

    async def test_a_peer_that_vanishes_frees_a_side_that_only_sends(self, link: Link) -> None:
        near, raw = await link.raw()
        encoder, opening = opened()
        # Our inbox is full, so that our reader waits.
        await raw.send(opening + b"".join(encoder.data(Symbol.text(str(n)), None) for n in range(100)))
        raw.vanish()

        async def talk() -> None:
            while True:
                await near.send(Symbol.audio(bytes(1 << 16)))

        with pytest.raises(StreamIncomplete):
            await asyncio.wait_for(talk(), DEADLINE)

    async def test_a_peer_that_vanishes_inside_a_frame(self, link: Link) -> None:
        near, raw = await link.raw()
        await raw.send(opened()[1] + b"\x20\x00\x00")
        await take_connected(near)
        raw.vanish()
        with pytest.raises(TruncatedFrame):
            await take(near, 1)

    async def test_silence_is_noticed(self, link: Link) -> None:
        near, raw = await link.raw(heartbeat=0.05)
        await raw.send(StreamEncoder(SymbolCoder()).open(heartbeat=0.1))
        with pytest.raises(IdleTimeout, match=r"nothing arrived for 0\.3 s"):
            await take(near, 1)
        headers = await raw.until_end()
        assert {"type": "ping"} in [header["$stream"] for header in headers]
        assert headers[-1]["$stream"]["error"]["code"] == "deadline_exceeded"


async def fill(stream: DuplexStream) -> int:
    """Send sound, numbered, until the peer, which does not read, makes the sender wait. How much was sent."""
    return await repeat_until_stuck(lambda n: stream.send(Symbol.audio(bytes(1 << 16), note=n)))


class TestHeartbeats:
    """In memory, on a clock that only the waits themselves advance."""

    def test_pings_are_not_silence(self) -> None:
        async def main() -> None:
            stream, raw = await Memory().raw({"heartbeat": 10.0, "patience": 1.0})
            encoder = StreamEncoder(SymbolCoder())
            await raw.send(encoder.open(heartbeat=20))
            await take_connected(stream)
            for _ in range(8):  # 160 s altogether, and never 60 s of silence
                await asyncio.sleep(20)
                await raw.send(encoder.ping())
            assert stream.is_connected
            with pytest.raises(IdleTimeout, match="nothing arrived for 60 s"):
                await take(stream, 1, within=3600)
            headers = await raw.until_end()
            assert sum(header["$stream"]["type"] == "ping" for header in headers) >= 16
            with contextlib.suppress(IdleTimeout):
                await stream.disconnect()

        run_on_fake_clock(main)

    def test_a_quiet_connection_stays(self) -> None:
        async def main() -> None:
            near, far = await Memory().pair({"heartbeat": 1.0}, {"heartbeat": 1.0})
            await asyncio.sleep(3600)
            await near.send(Symbol.text("still there?"))
            assert texts(await take(far, 1)) == ["still there?"]
            await asyncio.gather(near.disconnect(), far.disconnect())

        run_on_fake_clock(main)


def run_on_fake_clock(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    with asyncio.Runner(loop_factory=FakeClock) as runner:
        runner.run(main())


async def take_connected(stream: DuplexStream) -> None:
    async with asyncio.timeout(DEADLINE):
        async for item in stream.receive():
            assert isinstance(item, StreamEvent)
            assert item.type == "connected"
            break


class TestCrowd:
    @pytest.mark.parametrize("backend", ["memory", "client"])
    async def test_a_hundred_sessions_at_once_lose_and_reorder_nothing(self, backend: str) -> None:
        count, each = 100, 100  # each more than the 32 items that a mailbox holds

        async def exchange(stream: DuplexStream, name: str, other: str) -> None:
            received: list[str | None] = []

            async def sender() -> AsyncIterator[Symbol]:
                for n in range(each):
                    yield Symbol.text(f"{name} {n}")

            session = DuplexSession(stream)
            session.on_symbol = lambda symbol: received.append(symbol.text_value)
            await session.run_duplex(sender)
            assert received == [f"{other} {n}" for n in range(each)]

        async with BACKENDS[backend]() as made:
            options = {"heartbeat": 3600.0, "patience": 3600.0}
            pairs = [await made.pair(options, options) for _ in range(count)]
            async with asyncio.timeout(DEADLINE):
                await asyncio.gather(
                    *(exchange(near, f"near {n}", f"far {n}") for n, (near, _) in enumerate(pairs)),
                    *(exchange(far, f"far {n}", f"near {n}") for n, (_, far) in enumerate(pairs)),
                )
                await asyncio.gather(*(stream.disconnect() for pair in pairs for stream in pair))
            assert not our_tasks()
