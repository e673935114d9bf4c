"""Parts of the job alone, and limits: what no codec can be faster than.

`limit: memcpy` copies the chunks of each frame together. `limit: msgspec alone` parses or writes the JSON of frames
that are already split, which is what a codec on msgspec would cost if framing cost nothing. `linear` is a frame a byte
a chunk, that never becomes whole. `http` is what our server and our client do with a frame, without a network, an HTTP
server or a transport around it; with a write or a read for each message also what observers cost.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import msgspec

from objectstreaming import FrameDecoder, StreamEncoder
from wav_streaming.tal import TALAudio

from . import workloads
from .contenders import Ours
from .workloads import Answer, KiB, Message, Status

Run = Callable[[], Any]

LINEAR = (16, 64)
"""KiB of the two frames whose bytes are compared."""


def cases(sizes: workloads.Sizes) -> dict[str, tuple[Run, int]]:
    """`operation/workload/chunking/name` -> a function, and how many messages (or bytes, for `linear`) it moves."""
    found: dict[str, tuple[Run, int]] = {}
    for chunking, counts in sizes.items():
        if "B" in counts and chunking.isdigit():
            chunked = [workloads.cut([piece], chunking) for piece in _prepared("B", counts["B"])[2]]
            found[f"decode/B/{chunking}/limit: memcpy, join"] = (lambda c=chunked: _join(c), len(chunked))
            found[f"decode/B/{chunking}/limit: memcpy, chunk by chunk"] = (lambda c=chunked: _copy(c), len(chunked))
    for name in ("T", "A"):
        count = sizes["65536"][name]
        ours, messages, pieces = _prepared(name, count)
        read, write = _msgspec(name, messages, pieces)
        found[f"decode/{name}/65536/limit: msgspec alone"] = read, count
        found[f"encode/{name}/-/limit: msgspec alone"] = write, count
        for step, run in _http(ours.coder, messages).items():
            found[f"http/{name}/65536/{step}"] = run, count
    for size in LINEAR:
        chunks = workloads.cut(_prepared("B", 1)[2], "1")[: size * KiB]
        found[f"linear/B/1/a byte of {size} KiB"] = (lambda chunks=chunks: _feed(chunks), len(chunks))
    return found


def _prepared(name: str, count: int) -> tuple[Ours, list[Message], list[bytes]]:
    ours = Ours(name)
    messages = [ours.typed(message) for message in workloads.MAKERS[name](count)]
    return ours, messages, ours.pieces(messages)


def _feed(chunks: list[bytes]) -> None:
    feed = FrameDecoder().feed
    for chunk in chunks:
        for _ in feed(chunk):
            pass


def _join(chunked: list[list[bytes]]) -> None:
    for chunks in chunked:
        b"".join(chunks)


def _copy(chunked: list[list[bytes]]) -> None:
    for chunks in chunked:
        whole = memoryview(bytearray(sum(map(len, chunks))))
        at = 0
        for chunk in chunks:
            end = at + len(chunk)
            whole[at:end] = chunk
            at = end


def _msgspec(name: str, messages: list[Message], pieces: list[bytes]) -> tuple[Run, Run]:
    frames = [frame for piece in pieces for frame in FrameDecoder().feed(piece)]
    decode_header: Any = msgspec.json.Decoder(Status if name == "T" else TALAudio).decode
    decode_payload: Any = msgspec.json.Decoder(Answer).decode if name == "T" else None
    encode = msgspec.json.Encoder().encode
    split = [(frame.header_bytes, frame.payload) for frame in frames]

    def read() -> None:
        for header, payload in split:
            decode_header(header)
            if decode_payload is not None:
                decode_payload(payload)

    def write() -> None:
        for header, payload in messages:
            encode(header)
            if decode_payload is not None:
                encode(payload)

    return read, write


async def _discard(message: Any) -> None:
    """Where a server would send."""


async def _never() -> Any:
    """A client that sends nothing and does not leave."""
    await asyncio.Event().wait()


def _http(coder: Any, messages: list[Any]) -> dict[str, Run]:
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
        def __init__(self, chunks: list[bytes]) -> None:
            self.chunks = chunks

        def __iter__(self) -> Iterator[bytes]:
            return iter(self.chunks)

        async def __aiter__(self) -> AsyncIterator[bytes]:
            for chunk in self.chunks:
                yield chunk

    headers = {"Content-Type": f"application/vnd.objectstreaming;v=1;coder={coder.name}"}
    bodies = {"/": chunks, "/slow": body}
    mock = httpx.MockTransport(
        lambda request: httpx.Response(200, headers=headers, stream=Body(bodies[request.url.path]))
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # not used; to make one takes 20 ms
    client = httpx.Client(transport=mock, verify=context, trust_env=False)
    aclient = httpx.AsyncClient(transport=mock, verify=context, trust_env=False)

    async def source() -> AsyncIterator[Any]:
        for message in messages:
            yield message

    async def respond() -> None:
        await FrameResponse(source(), coder=coder)(scope, _never, _discard)

    async def aread() -> None:
        async with aopen_stream(aclient, "GET", "http://localhost/", coder=coder) as stream:
            async for _ in stream:
                pass

    def read() -> None:
        with open_stream(client, "GET", "http://localhost/", coder=coder) as stream:
            for _ in stream:
                pass

    async def slow_source() -> AsyncIterator[Any]:
        for message in messages:
            yield message
            await asyncio.sleep(0)  # so that it goes out alone

    async def respond_slowly(observer: Any) -> None:
        await FrameResponse(slow_source(), coder=coder, observer=observer)(scope, _never, _discard)

    def read_slowly(observer: Any) -> None:
        with open_stream(client, "GET", "http://localhost/slow", coder=coder, observer=observer) as stream:
            for _ in stream:
                pass

    runner = asyncio.Runner()
    slow = {}
    for who, observer in _observers().items():
        slow[f"FrameResponse, a write a message, {who}"] = lambda o=observer: runner.run(respond_slowly(o))
        slow[f"open_stream, a read a message, {who}"] = lambda o=observer: read_slowly(o)
    return slow | {
        "FrameResponse, async source": lambda: runner.run(respond()),
        "aopen_stream": lambda: runner.run(aread()),
        "open_stream": read,
    }


def _observers() -> dict[str, Any]:
    from objectstreaming.observe import Observer

    found = {"no observer": None, "an observer that does nothing": Observer()}
    try:
        from prometheus_client import CollectorRegistry

        from objectstreaming.opentelemetry import OpenTelemetryObserver
        from objectstreaming.prometheus import PrometheusObserver
    except ImportError:
        return found
    return found | {
        "Prometheus": PrometheusObserver(CollectorRegistry()),
        "OpenTelemetry without an SDK": OpenTelemetryObserver(provider="none"),
    }
