"""A request's body, read as a stream of messages: incrementally, and with a limit on its size.

**Two readers of one connection.** A response learns from `receive` that its client has left. A source that reads the
request's body needs the same calls. So both use the request's `Inbox`, which makes one call at a time. The response
reads ahead into it, at most `AHEAD` bytes and a chunk, until it learns that the client has left; the source takes the
chunks out. The message that the client has left comes after the unread body. So a body that nobody reads is received
and dropped. While a reader is slower than its client and the inbox is full, nobody calls `receive`, and nobody learns
that the client has left. A reader is known from when it is made, before it takes its first chunk.

**A part of a body is not a body.** Middleware that wraps a response may wait for `http.disconnect` itself, on the same
`receive`, and take parts of the body for it. Then the rest looks like a whole body. Only the length that the client has
announced shows it: what has come is compared with Content-Length. A body without one has no length to compare; there
only a stream of version 1, with its `end`, is known to be whole.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final, NoReturn, TypeVar

import anyio
from starlette.requests import Request
from starlette.types import Receive, Scope

from ..coders import Coder
from ..errors import StreamError
from ..frames import Limits, MiB
from ..media_type import parse_media_type
from ..protocol import MEDIA_TYPE, PLAIN_MEDIA_TYPE, VERSION, StreamDecoder
from ..shutdown import running, stopping
from .problems import READ_ERRORS, RequestError, request_error

__all__ = ["MAX_BODY", "Inbox", "RequestBody", "read_messages"]

H = TypeVar("H")
P = TypeVar("P")

MAX_BODY: Final = 64 * MiB
"""The largest body by default, in bytes: 35 minutes of 16 kHz mono int16."""

AHEAD: Final = 64 * 1024

SILENCE_SECONDS: Final = 60.0
"""How long a client may send nothing in the middle of a body whose length it has announced: nginx's default. Somebody
else may have taken the rest, and then nothing would ever come."""

_KEY: Final = "objectstreaming.body"


class Inbox:
    """What one request's `receive` gives, for its two readers. The reader that comes first makes it."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._receiving = asyncio.Lock()
        self._taken = asyncio.Event()
        self._chunks: deque[bytes] = deque()
        self._held = 0
        self.received = 0  # bytes of the body
        self.is_consumed = False  # a reader has had all of the body
        self._ended = False  # the last byte of the body has been received
        self._left = False
        self._readers: set[object] = set()
        self._dropped = False  # some of the body, because nobody read it

    @classmethod
    def of(cls, scope: Scope, receive: Receive) -> Inbox:
        """The inbox of a request."""
        inbox = scope.get(_KEY)
        if not isinstance(inbox, cls):
            inbox = scope[_KEY] = cls(receive)
        return inbox

    async def chunk(self) -> bytes:
        """The next bytes of the body; `b""` at its end. Raises `StreamError("canceled")` if the client leaves."""
        if self._dropped:
            raise RuntimeError(
                "the beginning of the body was dropped, because nobody read it while it arrived: call read_messages or "
                "RequestBody before the response is returned, not later in its source"
            )
        while not self._chunks:
            if self._ended:
                self.is_consumed = self.received > 0
                return b""
            if self._left:
                raise StreamError("canceled", "the client left before its body was complete")
            await self._receive_one(lambda: not self._chunks and not self._ended)
        chunk = self._chunks.popleft()
        self._held -= len(chunk)
        self._taken.set()
        return chunk

    async def wait_until_left(self) -> None:
        """Read ahead for the other reader, until the client leaves."""
        while not self._left:
            if self._held < AHEAD:
                await self._receive_one(lambda: self._held < AHEAD)
            elif not self._readers:
                self._chunks.clear()
                self._held = 0
                self._dropped = True
            else:
                self._taken.clear()
                await self._taken.wait()

    def begin_reading(self, reader: object) -> None:
        """From now on the body is kept for this reader."""
        self._readers.add(reader)

    def end_reading(self, reader: object) -> None:
        """The reader wants no more."""
        self._readers.discard(reader)
        self._taken.set()

    async def _receive_one(self, wanted: Callable[[], bool]) -> None:
        """Receive one message, unless it is no longer wanted because the other reader has received one meanwhile."""
        async with self._receiving:
            if self._left or not wanted():
                return
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self._left = True
                return
            chunk = message.get("body", b"")
            self.received += len(chunk)
            if chunk and not self._ended:
                self._chunks.append(chunk)
                self._held += len(chunk)
            if not message.get("more_body", False):
                self._ended = True


class RequestBody:
    """The chunks of a request's body as they arrive. Iterate over it with `async for`, once.

    Use it instead of `request.stream()` in the source of a `FrameResponse`.

    Args:
        request: whose body it is.
        max_body: the largest body, in bytes.

    Raises:
        StreamError: On iterating: 413, there are too many bytes, before the first one if Content-Length says so;
            `canceled`, the client leaves; `data_loss`, the body is not as long as its Content-Length says;
            `deadline_exceeded`, it has a Content-Length and stops for a minute.
        RuntimeError: The body has been read already.
    """

    def __init__(self, request: Request, *, max_body: int = MAX_BODY) -> None:
        self._request = request
        self._max_body = max_body
        self._inbox = Inbox.of(request.scope, request.receive)
        self._inbox.begin_reading(self)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        announced = self._announced()
        if announced is not None and announced > self._max_body:
            self._refuse()
        if hasattr(self._request, "_body"):
            body = await self._request.body()  # the framework has read it already, for a model or a form
            if len(body) > self._max_body:
                self._refuse()
            self._compare(len(body), announced)
            if body:
                yield body
            return
        if self._request._stream_consumed or self._inbox.is_consumed:
            raise RuntimeError(
                "the body of this request has been read already: read it once, with read_messages, RequestBody or "
                "request.stream()"
            )
        size = 0
        waiting = _Waiting()
        running.add(waiting)
        try:
            while chunk := await waiting.for_(self._next_chunk if announced is None else self._next_chunk_in_time):
                size += len(chunk)
                if size > self._max_body:
                    self._refuse()
                yield chunk
            self._compare(self._inbox.received, announced)
        finally:
            running.discard(waiting)
            self._inbox.end_reading(self)

    def _announced(self) -> int | None:
        """What the client has said to be the length of what arrives here; `None` if it has not."""
        headers = self._request.headers
        length = headers.get("content-length", "")
        if not (length.isascii() and length.isdecimal()) or "transfer-encoding" in headers:
            return None
        if headers.get("content-encoding", "identity").lower() != "identity":  # middleware may have decoded it
            return None
        return int(length.lstrip("0")[:18] or "0")  # what is longer than that is too large in any case

    async def _next_chunk(self) -> bytes:
        return await self._inbox.chunk()

    async def _next_chunk_in_time(self) -> bytes:
        try:
            async with asyncio.timeout(SILENCE_SECONDS):
                return await self._inbox.chunk()
        except TimeoutError:
            arrived = f"nothing of the body arrived for {SILENCE_SECONDS:g} s, after {self._inbox.received} bytes"
            raise StreamError("deadline_exceeded", arrived) from None

    def _compare(self, size: int, announced: int | None) -> None:
        if announced is None or size == announced:
            return
        message = f"{size} bytes of the body arrived here, of {announced} that Content-Length says"
        if size < announced:
            message += "; middleware of the server may have taken the rest"
        raise StreamError("data_loss", message)

    def _refuse(self) -> NoReturn:
        raise RequestError(413, "resource_exhausted", f"the body is larger than {self._max_body} bytes")


class _Waiting:
    """A reader that waits for its client, until the server stops."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._scope: anyio.CancelScope | None = None
        self._why: StreamError | None = None

    async def for_(self, call: Callable[[], Awaitable[bytes]]) -> bytes:
        stopping.refuse()
        with anyio.CancelScope() as self._scope:
            if self._why is None:
                return await call()
        assert self._why is not None
        raise self._why

    def stop_from_anywhere(self, why: StreamError) -> None:
        self._loop.call_soon_threadsafe(self._stop, why)

    def _stop(self, why: StreamError) -> None:
        self._why = StreamError(why.code, why.message, why.details)
        if self._scope is not None:
            self._scope.cancel()


def read_messages(
    request: Request,
    coder: Coder[H, P],
    *,
    limits: Limits | None = None,
    max_body: int = MAX_BODY,
) -> AsyncIterator[tuple[H, P]]:
    """The messages in a request's body, each as soon as it is complete, while the client still sends.

    The body is `application/octet-stream`, a plain stream, or `application/vnd.objectstreaming;v=1`, which must have an
    `end`. A body without a Content-Type is read as a plain stream. Call it before the response is returned: from then
    on nothing of the body is dropped.

    All errors are `StreamError`s. Raised before the response they become its status (`error_handlers`); raised in the
    source of a `FrameResponse` they become that stream's error.

    Args:
        request: whose body it is.
        coder: decodes the messages.
        limits: the largest frame and header, in bytes.
        max_body: the largest body, in bytes.

    Returns:
        An async iterator over `(header, payload)`.

    Raises:
        StreamError: On iterating: 415 for any other type, version or coder, and for a Content-Encoding; 413 for more
            than `max_body` bytes, or a frame beyond `limits`; 400 for bytes that are not such a stream, with the error
            and its place. And as `RequestBody`.

        @app.post("/echo")
        async def echo(request: Request) -> FrameResponse:
            return FrameResponse(read_messages(request, JsonCoder()), coder=JsonCoder())
    """
    return _messages(request, RequestBody(request, max_body=max_body), coder, limits)


async def _messages(
    request: Request, body: RequestBody, coder: Coder[H, P], limits: Limits | None
) -> AsyncIterator[tuple[H, P]]:
    decoder = StreamDecoder(coder, limits=limits, require_end=_promises_end(request, coder.name))
    try:
        async for chunk in body:
            for message in decoder.feed(chunk):
                yield message
        decoder.finish()
    except READ_ERRORS as error:
        raise request_error(error) from None


def _promises_end(request: Request, coder: str) -> bool | None:
    """True for a body of version 1, `None` for a plain one. Raises `RequestError` 415 for what cannot be read here."""
    encoding = request.headers.get("content-encoding", "identity")
    if encoding.lower() != "identity":
        raise _unsupported(f"Content-Encoding {encoding!r:.80} is not supported; send the frames without one")
    value = request.headers.get("content-type")
    if value is None:
        return None
    sent = parse_media_type(value)
    if sent is None or sent.name not in (MEDIA_TYPE, PLAIN_MEDIA_TYPE):
        raise _unsupported(f"Content-Type {value!r:.80} is not a stream of frames; send {PLAIN_MEDIA_TYPE}")
    if sent.name == PLAIN_MEDIA_TYPE:
        return None
    if sent.parameters.get("v", str(VERSION)) != str(VERSION):
        raise _unsupported(f"version {sent.parameters['v']!r:.20} is not supported; this server reads {VERSION}")
    if sent.parameters.get("coder", coder) != coder:
        raise _unsupported(f"coder {sent.parameters['coder']!r:.40} is not supported; this endpoint reads {coder}")
    return True


def _unsupported(message: str) -> RequestError:
    details: dict[str, Any] = {"accept": [f"{MEDIA_TYPE};v={VERSION}", PLAIN_MEDIA_TYPE]}
    return RequestError(415, "invalid_argument", message, details)
