"""Symbols, events, their coder, the mailbox, and what a hostile peer may send."""

from __future__ import annotations

import asyncio
import contextlib
import pickle
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
import websockets
from deadlines import repeat_until_stuck
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

import objectstreaming.duplex
from objectstreaming import (
    ContentTypeError,
    EncodeError,
    FrameError,
    IdleTimeout,
    PayloadError,
    ProtocolError,
    ResponseError,
    StreamDecoder,
    StreamEncoder,
    StreamIncomplete,
    decode_frame,
    encode_frame,
)
from objectstreaming.cli.loopback import LoopbackServer
from objectstreaming.duplex import (
    DuplexSession,
    DuplexStream,
    Modality,
    StreamEvent,
    StreamFactory,
    Symbol,
    SymbolCoder,
    WebSocketClientStream,
    WebSocketServerStream,
    memory_pair,
)
from objectstreaming.duplex.framed import SUBPROTOCOL
from objectstreaming.duplex.mailbox import Mailbox
from objectstreaming.duplex.memory import MemoryStream
from objectstreaming.errors import InvalidHeader
from objectstreaming.testing.strategies import json_values

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)

times = st.datetimes(
    datetime(2, 1, 1), datetime(9998, 1, 1), timezones=st.just(UTC) | st.just(timezone(timedelta(hours=5.5)))
)
symbols = st.builds(
    Symbol,
    st.sampled_from(Modality),
    st.binary(max_size=50),
    st.text(max_size=20),
    times,
    st.dictionaries(st.text(max_size=10), json_values(), max_size=3),
)
events = st.builds(
    StreamEvent, st.sampled_from(["connected", "disconnected", "stream_end", "interrupt", "error", "metadata"]),
    json_values(), times,
)  # fmt: skip


class TestSymbols:
    def test_sound_says_what_it_is(self) -> None:
        symbol = Symbol.audio(bytes(12), 48_000, 3, bit_depth=32, voice="en")
        assert symbol.mime_type == "audio/pcm;rate=48000;channels=3;bits=32"
        assert symbol.metadata == {"sample_rate": 48_000, "channels": 3, "bit_depth": 32, "voice": "en"}
        assert symbol.timestamp.utcoffset() == timedelta(0)

    @pytest.mark.parametrize(
        ("data", "options"),
        [(b"abc", {}), (bytes(6), {"channels": 2}), (bytes(6), {"bit_depth": 32}), (b"", {"sample_rate": 0})],
    )
    def test_bytes_that_are_not_pcm_are_refused(self, data: bytes, options: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match=r"whole sample frames|no such PCM"):
            Symbol.audio(data, **options)

    @pytest.mark.parametrize("encoding", ["utf-8", "UTF8", "utf_16", "latin-1", "Shift_JIS"])
    def test_text_survives_its_encoding(self, encoding: str) -> None:
        text = "ask: é" if encoding == "latin-1" else "ask"
        assert Symbol.text(text, encoding).text_value == text

    def test_metadata_or_the_type_say_the_encoding(self) -> None:
        assert Symbol(Modality.TEXT, b"\xe9", "text/plain; charset=iso-8859-1").text_value == "é"
        assert Symbol(Modality.TEXT, b"\xc3\xa9", "text/markdown").text_value == "é"

    def test_a_symbol_that_is_not_text_has_no_text(self) -> None:
        assert Symbol(Modality.IMAGE, b"text", "text/plain").text_value is None

    @pytest.mark.parametrize(
        "encoding", ["zlib", "punycode", "unicode_escape", "rot13", "hex", "mbcs", "", "x" * 99, 7]
    )
    def test_a_peer_does_not_choose_the_codec(self, encoding: Any) -> None:
        symbol = Symbol(Modality.TEXT, b"abc", "text/plain", metadata={"encoding": encoding})
        with pytest.raises(PayloadError, match="not supported"):
            symbol.text_value  # noqa: B018
        if isinstance(encoding, str):
            with pytest.raises(ValueError, match="not supported"):
                Symbol.text("abc", encoding)

    def test_text_that_is_not_in_its_encoding(self) -> None:
        with pytest.raises(PayloadError, match="cannot be read"):
            Symbol(Modality.TEXT, b"\xff", "text/plain").text_value  # noqa: B018

    @pytest.mark.parametrize(
        ("arguments", "error"),
        [
            (("text", b"", "text/plain"), TypeError),
            ((Modality.TEXT, "text", "text/plain"), TypeError),
            ((Modality.TEXT, b"", None), TypeError),
            ((Modality.TEXT, b"", "text/plain", "now"), TypeError),
            ((Modality.TEXT, b"", "text/plain", datetime(2026, 11, 20)), ValueError),
            ((Modality.TEXT, b"", "text/plain", NOON, []), TypeError),
        ],
    )
    def test_is_checked_when_it_is_made(self, arguments: Any, error: type[Exception]) -> None:
        with pytest.raises(error):
            Symbol(*arguments)

    def test_events_are_checked_when_they_are_made(self) -> None:
        with pytest.raises(ValueError, match="an event is one of"):
            StreamEvent("explode")  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="time zone"):
            StreamEvent("interrupt", None, datetime(2026, 11, 20))
        assert StreamEvent("interrupt", {}).data is None

    def test_can_be_pickled(self) -> None:
        for item in (Symbol.text("a"), StreamEvent("error", {"code": "unknown"})):
            assert pickle.loads(pickle.dumps(item)) == item


class TestCoder:
    @given(symbols | events)
    def test_decode_undoes_encode(self, item: Any) -> None:
        coder = SymbolCoder()
        assert coder.decode(decode_frame(coder.encode(item))) == (item, None)

    def test_writes_the_frames_of_the_specification(self) -> None:
        wire = SymbolCoder().encode(Symbol(Modality.TEXT, b"hello", "text/plain", NOON))
        assert wire[8:] == (
            b'{"kind":"symbol","modality":"text","mime_type":"text/plain","timestamp":"2026-11-20T12:00:00Z",'
            b'"metadata":{}}hello'
        )
        wire = SymbolCoder().encode(StreamEvent("stream_end", None, NOON + timedelta(seconds=1)))
        assert wire[8:] == b'{"kind":"event","type":"stream_end","timestamp":"2026-11-20T12:00:01Z"}{}'

    def test_times_are_written_in_utc(self) -> None:
        local = datetime(2026, 11, 20, 23, 30, tzinfo=timezone(timedelta(hours=9)))
        frame = decode_frame(SymbolCoder().encode(StreamEvent("interrupt", None, local)))
        assert frame.header["timestamp"] == "2026-11-20T14:30:00Z"

    def test_unknown_members_are_passed_over(self) -> None:
        header = {"kind": "event", "type": "error", "timestamp": "2026-11-20T12:00:00+02:00", "epoch": 7}
        [item, _] = SymbolCoder().decode(decode_frame(encode_frame(header, b'{"code":"internal"}')))
        assert item == StreamEvent("error", {"code": "internal"}, NOON - timedelta(hours=2))

    @pytest.mark.parametrize(
        "change",
        [
            {"kind": None}, {"kind": "event"}, {"kind": ["symbol"]}, {"modality": "smell"}, {"modality": 1},
            {"mime_type": None}, {"timestamp": None}, {"timestamp": "now"}, {"timestamp": 1_700_000_000},
            {"timestamp": "2026-11-20T12:00:00"}, {"timestamp": "2026-02-30T12:00:00Z"},
            {"timestamp": "0001-01-01T00:00:00+14:00"}, {"timestamp": "9999-12-31T23:59:59-14:00"},
            {"metadata": []}, {"metadata": None},
        ],
    )  # fmt: skip
    def test_hostile_headers_are_refused(self, change: dict[str, Any]) -> None:
        header = {"kind": "symbol", "modality": "text", "mime_type": "t", "timestamp": "2026-11-20T12:00:00Z"}
        assert SymbolCoder().decode(decode_frame(encode_frame(header)))
        with pytest.raises(InvalidHeader, match="neither a symbol nor an event"):
            SymbolCoder().decode(decode_frame(encode_frame(header | change)))

    @pytest.mark.parametrize("payload", [b"", b"{", b"NaN", b"[" * 101, b"\xff", b'"\\ud800"'])
    def test_an_events_data_is_strict_json(self, payload: bytes) -> None:
        header = {"kind": "event", "type": "metadata", "timestamp": "2026-11-20T12:00:00Z"}
        with pytest.raises(PayloadError, match="not JSON"):
            SymbolCoder().decode(decode_frame(encode_frame(header, payload)))

    @given(st.binary(max_size=200))
    def test_any_header_and_payload_raise_only_documented_errors(self, data: bytes) -> None:
        for header in (data, b'{"kind":"symbol",' + data + b"}", b'{"kind":"event","timestamp":"' + data + b'"}'):
            wire = (8 + len(header) + 3).to_bytes(4, "little") + len(header).to_bytes(4, "little") + header + b"abc"
            with contextlib.suppress(FrameError, PayloadError, ProtocolError):
                for item, _ in StreamDecoder(SymbolCoder()).feed(wire):
                    assert isinstance(item, Symbol | StreamEvent)

    def test_a_user_cannot_forge_a_control_frame(self) -> None:
        encoder = StreamEncoder(SymbolCoder())
        wire = encoder.data(Symbol.text("a", **{"$stream": {"type": "end", "frames": 0}}), None)
        assert len(list(StreamDecoder(SymbolCoder()).feed(wire))) == 1

    @pytest.mark.parametrize("item", [None, "text", b"", {"kind": "symbol"}])
    def test_nothing_else_is_encoded(self, item: Any) -> None:
        with pytest.raises(EncodeError):
            SymbolCoder().encode(item)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    async def plain(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.receive()

    async def strict(websocket: WebSocket) -> None:
        stream = WebSocketServerStream(websocket)
        with pytest.raises(ProtocolError, match="does not offer the subprotocol"):
            await stream.connect()
        with pytest.raises(ConnectionError, match="accepted once"):
            await stream.connect()

    async def page(request: Any) -> PlainTextResponse:
        return PlainTextResponse("hello")

    routes = [WebSocketRoute("/plain", plain), WebSocketRoute("/strict", strict), Route("/page", page)]
    with LoopbackServer(Starlette(routes=routes)) as server:
        yield server.url


class TestRefusals:
    """Servers and clients that speak something else, and URLs where nobody answers."""

    async def test_a_websocket_of_another_kind(self, url: str) -> None:
        with pytest.raises(ContentTypeError, match="does not speak objectstreaming"):
            await WebSocketClientStream(f"{url}/plain").connect()

    @pytest.mark.parametrize("path", ["page", "nothing"])
    async def test_no_websocket(self, url: str, path: str) -> None:
        with pytest.raises(ResponseError, match="HTTP "):
            await WebSocketClientStream(f"{url}/{path}").connect()

    async def test_no_url(self) -> None:
        with pytest.raises(ValueError, match="isn't a valid URI"):
            await WebSocketClientStream("gopher://host").connect()

    async def test_a_port_where_nothing_listens(self) -> None:
        with pytest.raises(OSError, match=r"refused|Connect call failed"):
            await WebSocketClientStream("ws://127.0.0.1:9/").connect()

    async def test_a_client_without_the_subprotocol(self, url: str) -> None:
        with pytest.raises(websockets.InvalidStatus, match="403"):
            await websockets.connect(f"ws{url[4:]}/strict")

    async def test_a_client_that_leaves_during_the_handshake(self) -> None:
        async def receive() -> dict[str, Any]:
            return {"type": "websocket.disconnect", "code": 1006}

        async def send(message: Any) -> None:
            raise OSError("the client is gone")

        websocket = WebSocket({"type": "websocket", "subprotocols": [SUBPROTOCOL]}, receive, send)
        with pytest.raises(StreamIncomplete, match="during the handshake"):
            await WebSocketServerStream(websocket).connect()

    async def test_a_pair_connects_once(self) -> None:
        ours, theirs = memory_pair()
        async with ours, theirs:
            await ours.connect()  # there is a connection already: nothing happens
        with pytest.raises(ConnectionError, match="make another pair"):
            await ours.connect()

    async def test_a_client_may_connect_again(self) -> None:
        with LoopbackServer(Starlette(routes=[WebSocketRoute("/", _greet)])) as server:
            stream = WebSocketClientStream(server.url)
            for _ in range(2):
                async with stream:
                    items = [item async for item in stream.receive()]
                assert [type(item) for item in items] == [StreamEvent, Symbol, StreamEvent]


async def _greet(websocket: WebSocket) -> None:
    async with WebSocketServerStream(websocket) as stream:
        await stream.send(Symbol.text("hello"))


class TestBounds:
    async def test_large_events_are_bounded_as_symbols_are(self) -> None:
        ours, theirs = memory_pair()
        async with ours, theirs:
            await repeat_until_stuck(lambda _: ours.send(StreamEvent("metadata", "x" * 500_000)), most=12)

    async def test_a_peer_that_interrupts_without_end_is_made_to_wait(self) -> None:
        """It does not read the interrupts that answer its own, so that in the end its own are not read either."""
        ours, theirs = memory_pair(patience=0.2)
        await ours.connect()
        await theirs.connect()

        async def answer() -> None:
            session = DuplexSession(theirs)
            while True:
                await session.run_duplex(_nothing, lambda item: None)
                session.reset()

        answering = asyncio.create_task(answer())
        await repeat_until_stuck(lambda _: ours.send(StreamEvent("interrupt")))
        answering.cancel()
        await asyncio.wait([answering])
        for stream in (ours, theirs):
            with contextlib.suppress(IdleTimeout, StreamIncomplete):
                await stream.disconnect()


async def _nothing() -> AsyncIterator[Symbol]:
    await asyncio.Event().wait()
    yield Symbol.text("never")


class TestMailbox:
    async def test_writers_wait_in_the_order_they_came(self) -> None:
        box: Mailbox[int] = Mailbox(items=2, size=100)
        writers = [asyncio.create_task(box.put(n, 40)) for n in range(20)]
        await asyncio.sleep(0)
        assert len(box) == 2
        assert [await box.get() for _ in range(20)] == list(range(20))
        await asyncio.gather(*writers)

    async def test_it_is_bounded_in_bytes_except_for_a_single_item(self) -> None:
        box: Mailbox[str] = Mailbox(items=10, size=100)
        await box.put("large", 1_000)
        writer = asyncio.create_task(box.put("small", 1))
        await asyncio.sleep(0)
        assert len(box) == 1
        assert await box.get() == "large"
        await writer
        assert await box.get() == "small"

    async def test_a_cancelled_writer_has_put_nothing_and_lets_the_next_one_pass(self) -> None:
        box: Mailbox[str] = Mailbox(items=1, size=100)
        await box.put("a", 1)
        first, second = asyncio.create_task(box.put("b", 1)), asyncio.create_task(box.put("c", 1))
        await asyncio.sleep(0)
        first.cancel()
        assert await box.get() == "a"
        await second
        assert await box.get() == "c"
        assert first.cancelled()

    async def test_the_end_wakes_every_writer_and_the_reader(self) -> None:
        box: Mailbox[str] = Mailbox(items=1, size=100)
        await box.put("a", 1)
        writers = [asyncio.create_task(box.put("b", 1)) for _ in range(3)]
        await asyncio.sleep(0)
        box.end(read_error=KeyError("read"), write_error=KeyError("write"))
        for writer in writers:
            with pytest.raises(KeyError, match="write"):
                await writer
        assert await box.get() == "a"
        with pytest.raises(KeyError, match="read"):
            await box.get()

    async def test_items_can_be_dropped_which_makes_room(self) -> None:
        box: Mailbox[int] = Mailbox(items=4, size=100)
        for n in range(4):
            await box.put(n, 1)
        writer = asyncio.create_task(box.put(4, 1))
        await asyncio.sleep(0)
        box.drop(lambda n: n % 2 == 0)
        await writer
        assert [await box.get() for _ in range(3)] == [1, 3, 4]


class TestThePackage:
    def test_the_exports_are_there(self) -> None:
        for name in objectstreaming.duplex.__all__:
            exported = getattr(objectstreaming.duplex, name)
            assert not isinstance(exported, type) or exported.__doc__, f"{name} has no docstring"

    def test_importing_it_brings_no_library_for_websockets_along(self) -> None:
        code = "import sys, objectstreaming.duplex; print(*sys.modules)"
        ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert not set(ran.stdout.split()) & {"websockets", "starlette", "fastapi", "uvicorn", "httpx", "numpy"}

    def test_a_backend_plugs_in_as_a_factory(self) -> None:
        def realtime(**options: Any) -> DuplexStream:
            return memory_pair(**options)[0]

        factory: StreamFactory = realtime
        assert isinstance(factory(heartbeat=5), MemoryStream)

    @pytest.mark.parametrize("options", [{"heartbeat": 0}, {"patience": -1}])
    def test_wrong_options_are_refused(self, options: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match="more than 0"):
            memory_pair(**options)

    async def test_a_stream_that_was_never_connected_is_an_error_to_use(self) -> None:
        stream, _ = memory_pair()
        with pytest.raises(RuntimeError, match="never connected"):
            await anext(aiter(stream.receive()))
        with pytest.raises(EncodeError, match="not connected"):
            await stream.send(Symbol.text("a"))
        await stream.disconnect()
