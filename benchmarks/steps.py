"""Where a frame's nanoseconds go: each step alone, and the limits that no codec in Python gets below."""

from __future__ import annotations

import asyncio
import ssl
import struct
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import msgspec

from objectstreaming import Frame, FrameDecoder, JsonCoder, StreamDecoder, StreamEncoder, encode_frame
from wav_streaming.tal import TALAudio, TALCoder

from . import workloads
from .workloads import Answer, Status

_unpack = struct.Struct("<II").unpack_from
_pack = struct.Struct("<II").pack
_encode = msgspec.json.Encoder().encode


class Slotted:
    __slots__ = ("header_bytes", "payload")

    def __init__(self, header_bytes: bytes, payload: bytes) -> None:
        self.header_bytes = header_bytes
        self.payload = payload


def runs(quick: bool) -> dict[str, tuple[Callable[[], Any], int]]:
    """`step/<workload>/-/<name>` -> the function, and the messages it moves. Order tells the story: see report.py."""
    found: dict[str, tuple[Callable[[], Any], int]] = {}
    for name, count in (("T", 2_000 if quick else 10_000), ("A", 600 if quick else 2_000)):
        for step, function in _steps(name, count).items():
            found[f"step/{name}/-/{step}"] = (function, count)
        count = 3_000 if quick else 10_000  # enough for a request to weigh little
        for step, function in _http(*_typed(name, count)).items():
            found[f"step/{name}/-/{step}"] = (function, count)
    for size in (16, 64) if quick else (64, 256):
        bytewise = workloads.cut(_wire("B", 1), "1")[: size * 1024]  # within one frame, which never becomes whole
        found[f"step/B/-/a byte at a time, {size} KiB"] = (lambda bytewise=bytewise: _feed(bytewise), len(bytewise))
    frames = 2 if quick else 3
    for chunking in ("1460", "16384", "65536"):
        pieces = _wire("B", frames)
        by_frame = [workloads.cut([piece], chunking) for piece in pieces]
        found[f"decode/B/{chunking}/limit: memcpy, join"] = (lambda by_frame=by_frame: _join(by_frame), frames)
        found[f"decode/B/{chunking}/limit: memcpy, chunk by chunk"] = (
            lambda by_frame=by_frame: _copy(by_frame),
            frames,
        )
    return found


async def _discard(message: Any) -> None:
    """What a server would send, sent nowhere."""


async def _stay() -> Any:
    """A client that asks for nothing and never leaves."""
    await asyncio.Event().wait()


def _http(coder: Any, messages: list[Any]) -> dict[str, Callable[[], Any]]:
    """What our server and our client do with a frame, without a network, a server or a transport around it."""
    try:
        import httpx

        from objectstreaming.client import aopen_stream, open_stream
        from objectstreaming.server import FrameResponse
    except ImportError:
        return {}
    accept = [(b"accept", b"application/vnd.objectstreaming;v=1")]
    scope: Any = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": accept}
    scope |= {"asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1"}
    encoder = StreamEncoder(coder)
    body = [encoder.open(), *(encoder.data(*message) for message in messages), encoder.end()]
    chunks = workloads.cut(body, "65536")

    class Body(httpx.AsyncByteStream, httpx.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            return iter(chunks)

        async def __aiter__(self) -> AsyncIterator[bytes]:
            for chunk in chunks:
                yield chunk

    headers = {"Content-Type": f"application/vnd.objectstreaming;v=1;coder={coder.name}"}
    mock = httpx.MockTransport(lambda _: httpx.Response(200, headers=headers, stream=Body()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # not used, and 20 ms to make
    client = httpx.Client(transport=mock, verify=context, trust_env=False)
    aclient = httpx.AsyncClient(transport=mock, verify=context, trust_env=False)

    async def source() -> AsyncIterator[Any]:
        for message in messages:
            yield message

    async def read_source() -> None:
        async for _ in source():
            pass

    async def respond(source: Any) -> None:
        await FrameResponse(source, coder=coder)(scope, _stay, _discard)

    async def aread() -> None:
        async with aopen_stream(aclient, "GET", "http://localhost/", coder=coder) as stream:
            async for _ in stream:
                pass

    def read() -> None:
        with open_stream(client, "GET", "http://localhost/", coder=coder) as stream:
            for _ in stream:
                pass

    runner = asyncio.Runner()
    return {
        "an async source, read": lambda: runner.run(read_source()),
        "FrameResponse, async source, nothing sent": lambda: runner.run(respond(source())),
        "FrameResponse, sync source, nothing sent": lambda: runner.run(respond(iter(messages))),
        "aopen_stream, 64 KiB chunks at hand": lambda: runner.run(aread()),
        "open_stream, 64 KiB chunks at hand": read,
    }


def _feed(chunks: list[bytes]) -> None:
    feed = FrameDecoder().feed
    for chunk in chunks:
        for _ in feed(chunk):
            pass


def _join(by_frame: list[list[bytes]]) -> None:
    for chunks in by_frame:
        b"".join(chunks)


def _copy(by_frame: list[list[bytes]]) -> None:
    size = sum(map(len, by_frame[0]))
    for chunks in by_frame:
        whole = memoryview(bytearray(size))
        at = 0
        for chunk in chunks:
            end = at + len(chunk)
            whole[at:end] = chunk
            at = end


def _wire(name: str, count: int) -> list[bytes]:
    coder, messages = _typed(name, count)
    return [coder.encode(*message) for message in messages]


def _typed(name: str, count: int) -> tuple[Any, list[Any]]:
    messages = workloads.make(name, count).messages
    if name == "T":
        return JsonCoder(Status, Answer), [(Status(**header), Answer(**payload)) for header, payload in messages]
    return TALCoder(), [(TALAudio(**header), payload) for header, payload in messages]


def _steps(name: str, count: int) -> dict[str, Callable[[], Any]]:
    coder, typed = _typed(name, count)
    pieces = [coder.encode(*message) for message in typed]
    chunks = workloads.cut(pieces, "65536")
    frames = [frame for chunk in pieces for frame in FrameDecoder().feed(chunk)]
    headers = [frame.header_bytes for frame in frames]
    payloads = [frame.payload for frame in frames]
    pairs = list(zip(headers, payloads, strict=True))
    wire = b"".join(pieces)
    decode_header: Any = msgspec.json.Decoder(Status if name == "T" else TALAudio).decode
    decode_payload: Any = msgspec.json.Decoder(Answer).decode if name == "T" else None

    def loop() -> None:
        for _ in frames:
            pass

    def one_object() -> None:
        for header, payload in pairs:
            Slotted(header, payload)

    def one_frame() -> None:
        for header, payload in pairs:
            Frame(header, payload)

    def parse() -> None:
        at, size = 0, len(wire)
        while at < size:
            total, _ = _unpack(wire, at)
            at += total

    def slices() -> None:
        at, size = 0, len(wire)
        while at < size:
            total, header_size = _unpack(wire, at)
            end = at + total
            cut = at + 8 + header_size
            wire[at + 8 : cut]
            wire[cut:end]
            at = end

    def json_header() -> None:
        for header in headers:
            decode_header(header)

    def json_both() -> None:
        for header, payload in pairs:
            decode_header(header), decode_payload(payload)

    def framing() -> None:
        feed = FrameDecoder().feed
        for chunk in chunks:
            for _ in feed(chunk):
                pass

    def coding() -> None:
        decode = coder.decode
        for frame in frames:
            decode(frame)

    def framing_and_coding() -> None:
        feed, decode = FrameDecoder().feed, coder.decode
        for chunk in chunks:
            for frame in feed(chunk):
                decode(frame)

    def whole() -> None:
        feed = StreamDecoder(coder).feed
        for chunk in chunks:
            for _ in feed(chunk):
                pass

    def encode_json() -> None:
        for header, payload in typed:
            _encode(header)
            if decode_payload is not None:
                _encode(payload)

    def encode_whole() -> None:
        encode = coder.encode
        for header, payload in typed:
            encode(header, payload)

    def encode_typed() -> None:
        for header, payload in typed:
            encode_frame(header, payload)

    def encode_stream() -> None:
        data = StreamEncoder(coder).data
        for header, payload in typed:
            data(header, payload)

    def order() -> None:
        check = coder.order_check()
        for index, (header, _) in enumerate(typed):
            check(header, index)

    def one_join() -> None:
        join = b"".join
        for pair in pairs:
            join(pair)

    def join() -> None:
        for header, payload in pairs:
            size = len(header)
            b"".join((_pack(8 + size + len(payload), size), header, payload))

    return {
        "an empty loop": loop,
        "one object of a slotted class": one_object,
        "one Frame": one_frame,
        "both length words, unpacked": parse,
        "length words and two slices": slices,
        "msgspec: the typed header": json_header,
        **({"msgspec: the typed header and payload": json_both} if decode_payload is not None else {}),
        "FrameDecoder.feed": framing,
        "coder.decode of frames that are there": coding,
        "FrameDecoder.feed + coder.decode": framing_and_coding,
        **({"the order of TAL frames": order} if coder.order_check() else {}),
        "StreamDecoder.feed": whole,
        "msgspec: what is encoded": encode_json,
        "one join": one_join,
        "both length words and one join": join,
        **({"encode_frame of the typed header": encode_typed} if decode_payload is None else {}),
        "coder.encode": encode_whole,
        "StreamEncoder.data": encode_stream,
    }
