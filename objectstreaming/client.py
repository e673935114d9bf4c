"""Reading streams over HTTP with httpx: one way in for each of its two clients (SPEC section 5).

**Theory of operation.** The response decides, before its first byte of body: its status, its media type and its
parameters are checked, and what is wrong is raised with the beginning of the body. Then chunks go as httpx gives them,
whole, into a `StreamDecoder`, and messages come out. Nothing that ends early looks like an end: a response of version 1
must bring its `end` frame, and what httpx raises while the body is read becomes `TruncatedFrame` inside a frame,
`StreamIncomplete` between two, with httpx's error as its cause; every message that was whole comes first. Once the
`end` frame has come the stream is whole, whatever then happens to the connection.

**Silence.** A server of version 1 says in its `open` frame how often it will be heard, so three of these heartbeats
without a byte mean that it is gone: `IdleTimeout`. Until then the read timeout of the request holds. httpx takes that
one once, when a body begins; the connection is therefore made to ask for the limit at each read (`_ReadLimit`), which
costs nothing, where a timeout of our own around each chunk would cost as much as httpx does.

**Not here.** Failing to connect, or to get a response at all, raises httpx's own errors. Nothing is ever sent again by
itself: a POST that made an answer once is not made twice.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager, contextmanager, suppress
from typing import Any, Final, Generic, NoReturn, TypedDict, TypeVar, Unpack

import anyio
import httpx

from . import strict_json
from .coders import Coder
from .errors import (
    HTTP_STATUS,
    ContentTypeError,
    IdleTimeout,
    ObjectStreamError,
    ResponseError,
    StreamIncomplete,
    TruncatedFrame,
    code_for_status,
)
from .frames import Limits
from .media_type import MediaType, parse_media_type
from .protocol import MEDIA_TYPE, PLAIN_MEDIA_TYPE, VERSION, StreamDecoder

__all__ = ["ACCEPT", "AsyncMessageStream", "MessageStream", "RequestOptions", "aopen_stream", "open_stream"]

H = TypeVar("H")
P = TypeVar("P")

ACCEPT: Final = f"{MEDIA_TYPE};v={VERSION}, {PLAIN_MEDIA_TYPE};q=0.5"
"""The `Accept` header that is sent unless the caller has one: version 1, or else plain frames."""

HEARTBEATS: Final = 3
"""How many heartbeats may be missed: one lost to a slow hop, one to a busy server."""

FIRST_READ_SECONDS: Final = 60.0
"""How long a read may take before the `open` frame, where the client has httpx's default timeout of 5 s, which a model
that thinks before it answers outlasts."""

# A peer may promise to be heard once a year: the promise is kept to here only as far as this.
_LONGEST_SILENCE: Final = 3600.0
# After the end frame only the end of the body is missing, and no message depends on it.
_AFTER_END_SECONDS: Final = 1.0
# Bytes of a read, twice httpcore's: httpx, httpcore, h11 and anyio work by the read and by the HTTP chunk, not by the
# byte. With 256 KiB, all that asyncio gives at once, it is no quicker: glibc then maps the memory anew for each copy.
_READ_SIZE: Final = 128 * 1024
# What is read of a body that is not a stream, and for how long.
_PROBLEM_SIZE: Final = 16 * 1024
_BEGINNING_SIZE: Final = 256
_BEGINNING_SECONDS: Final = 5.0
_INFLATED_SIZE: Final = 64 * 1024


class RequestOptions(TypedDict, total=False):
    """What goes to httpx: its own options. `content` may be an iterable of encoded frames, to stream a request too.

    `headers` are completed with `Accept` and `Accept-Encoding` where they have none. Without `timeout` the client's
    holds; its read part bounds the wait for the response, and in it for what comes before the `open` frame.
    """

    content: str | bytes | Iterable[bytes] | AsyncIterable[bytes] | None
    data: Mapping[str, Any] | None
    files: Any
    json: Any
    params: Any
    headers: Any
    cookies: Any
    auth: Any
    follow_redirects: bool
    timeout: Any
    extensions: Mapping[str, Any] | None


@contextmanager
def open_stream(
    client: httpx.Client,
    method: str,
    url: httpx.URL | str,
    *,
    coder: Coder[H, P],
    limits: Limits | None = None,
    require_end: bool | None = None,
    idle_timeout: float | None = None,
    **options: Unpack[RequestOptions],
) -> Iterator[MessageStream[H, P]]:
    """Send a request, and iterate over the messages of the answer.

    `require_end`: whether an answer without an `end` frame is broken; `None` requires it of a response of version 1,
    and of a plain one that sends control frames all the same. `idle_timeout`: seconds of silence that are too many;
    `None` takes three of the heartbeats that the server announces, and the read timeout of `timeout` or the client
    (60 s where both leave it at httpx's default of 5) until it has. The other options are httpx's: `RequestOptions`.

    Entering raises `ResponseError` for a status that is not 2xx, with the problem decoded, `ContentTypeError` for an
    answer that is no stream of this coder's frames, and httpx's own errors where no response came at all. Iterating
    raises as `StreamDecoder` does, and `TruncatedFrame`, `StreamIncomplete` or `IdleTimeout` for a connection that was
    cut or fell silent. After a `PayloadError` a new `for` goes on with the next frame.

    Leaving the block closes the response, wherever the iteration stands.

    >>> from objectstreaming import JsonCoder, StreamEncoder
    >>> def serve(request):
    ...     encoder = StreamEncoder(JsonCoder())
    ...     wire = encoder.open() + encoder.data({"n": 1}, "hello") + encoder.end(trailers={"tokens": 1})
    ...     return httpx.Response(200, headers={"Content-Type": f"{MEDIA_TYPE};v=1;coder=json"}, content=wire)
    >>> client = httpx.Client(transport=httpx.MockTransport(serve))
    >>> with open_stream(client, "POST", "http://server/objects", json={"q": "hi"}, coder=JsonCoder()) as stream:
    ...     for header, payload in stream:
    ...         print(header, payload)
    ...     print(stream.position, stream.trailers)
    {'n': 1} hello
    1 {'tokens': 1}
    """
    with client.stream(method, url, **_prepare(client, options)) as response:
        limit = _ReadLimit(response)
        if not response.is_success:
            limit.set(_BEGINNING_SECONDS)
            raise _problem(response, _beginning(response, _PROBLEM_SIZE))
        refusal = _refuse(response, coder.name)
        if refusal is not None:
            limit.set(_BEGINNING_SECONDS)
            raise _not_a_stream(refusal, response, _beginning(response, _BEGINNING_SIZE))
        stream: MessageStream[H, P] = MessageStream(response, coder, limits, require_end, idle_timeout, limit)
        limit.attach(response)
        try:
            yield stream
        finally:
            stream._closed = True
            limit.detach()


@asynccontextmanager
async def aopen_stream(
    client: httpx.AsyncClient,
    method: str,
    url: httpx.URL | str,
    *,
    coder: Coder[H, P],
    limits: Limits | None = None,
    require_end: bool | None = None,
    idle_timeout: float | None = None,
    **options: Unpack[RequestOptions],
) -> AsyncIterator[AsyncMessageStream[H, P]]:
    """`open_stream` for `httpx.AsyncClient`: the same options and errors.

    >>> import asyncio
    >>> from objectstreaming import JsonCoder
    >>> def serve(request):
    ...     return httpx.Response(200, headers={"Content-Type": PLAIN_MEDIA_TYPE}, content=JsonCoder().encode({}, 42))
    >>> async def ask():
    ...     async with httpx.AsyncClient(transport=httpx.MockTransport(serve)) as client:
    ...         async with aopen_stream(client, "POST", "http://server/objects", coder=JsonCoder()) as stream:
    ...             return [payload async for header, payload in stream]
    >>> asyncio.run(ask())
    [42]
    """
    async with client.stream(method, url, **_prepare(client, options)) as response:
        limit = _ReadLimit(response)
        if not response.is_success:
            raise _problem(response, await _abeginning(response, _PROBLEM_SIZE))
        refusal = _refuse(response, coder.name)
        if refusal is not None:
            raise _not_a_stream(refusal, response, await _abeginning(response, _BEGINNING_SIZE))
        stream: AsyncMessageStream[H, P] = AsyncMessageStream(response, coder, limits, require_end, idle_timeout, limit)
        limit.attach(response)
        try:
            yield stream
        finally:
            stream._closed = True
            limit.detach()
            await stream._chunks.aclose()


class _Stream(Generic[H, P]):
    """What both kinds of stream have in common: all but the reading itself."""

    def __init__(
        self,
        response: httpx.Response,
        coder: Coder[H, P],
        limits: Limits | None,
        require_end: bool | None,
        idle_timeout: float | None,
        limit: _ReadLimit,
    ) -> None:
        self.response = response
        """The httpx response: its status, headers and request."""
        if require_end is None and _media_type(response)[0] == MEDIA_TYPE:
            require_end = True
        self._decoder = StreamDecoder(coder, limits=limits, require_end=require_end)
        self._limit = limit
        self._idle_timeout = idle_timeout
        if idle_timeout is not None:
            limit.set(idle_timeout)
        self._heartbeat: float | None = None
        self._inflate = _inflater(response)
        self._failure: ObjectStreamError | None = None
        self._over = False
        self._closed = False

    @property
    def position(self) -> int:
        """How many messages have come, those not readable included: what to resume from."""
        return self._decoder.position

    @property
    def trailers(self) -> dict[str, Any] | None:
        """What the server sent with the end of the stream; `None` before it came, or of a plain stream."""
        return self._decoder.trailers

    @property
    def metadata(self) -> dict[str, Any]:
        """What the server sent with the `open` frame, which comes before the first message."""
        return self._decoder.metadata

    @property
    def heartbeat(self) -> float | None:
        """The seconds within which the server promised to be heard, once its `open` frame has come."""
        return self._decoder.heartbeat

    def __repr__(self) -> str:
        state = "closed" if self._closed else "ended" if self._over else "open"
        return f"<{type(self).__name__} of {self.response.url}, {state}, position {self.position}>"

    def _resumable(self) -> bool:
        """Whether there may be more to read. Raises again what ended the stream."""
        if self._failure is not None:
            raise self._failure.with_traceback(None)
        if self._closed and not self._over:
            raise RuntimeError("the stream was closed before its end: read it inside the with block")
        return not self._over

    def _adjust(self) -> None:
        """Let reads take as long as the server's `open` frame says; hardly any time once its `end` has come."""
        self._heartbeat = self._decoder.heartbeat
        if self._decoder.ended:
            self._limit.set(_AFTER_END_SECONDS)
        elif self._idle_timeout is None and self._heartbeat is not None:
            # A comparison, not a product: an integer of a thousand digits is a positive number too.
            longest = _LONGEST_SILENCE / HEARTBEATS
            self._limit.set(float(HEARTBEATS * min(self._heartbeat, longest)))

    def _finish(self) -> None:
        """The body has ended, as HTTP goes."""
        try:
            if self._inflate is not None:
                self._inflate.finish(self._decoder.position)
            self._decoder.finish()
        except ObjectStreamError as error:
            self._failure = error
            raise
        self._over = True

    def _cut(self, cause: Exception) -> None:
        """httpx could not read on. Raises what this means for the stream; nothing, if it was whole already."""
        decoder = self._decoder
        if decoder.ended and not decoder.buffered:
            self._over = True
            return
        if isinstance(cause, httpx.TimeoutException | TimeoutError):
            self._fail(
                IdleTimeout(
                    f"nothing arrived for {self._limit.seconds:g} s, not even a ping, "
                    f"after {decoder.position} data frames",
                    decoder.position,
                ),
                cause,
            )
        try:
            decoder.finish()
        except TruncatedFrame as error:
            self._fail(error, cause)
        except StreamIncomplete:
            pass
        self._fail(
            StreamIncomplete(f"the connection was cut after {decoder.position} data frames: {cause}", decoder.position),
            cause,
        )

    def _undecodable(self, cause: zlib.error) -> NoReturn:
        encoding = self.response.headers["content-encoding"]
        self._fail(
            ContentTypeError(
                f"the body is not {encoding}, as its Content-Encoding says: {cause}",
                self.response.headers.get("content-type", ""),
            ),
            cause,
        )

    def _fail(self, failure: ObjectStreamError, cause: Exception) -> NoReturn:
        self._failure = failure
        raise failure from cause


class MessageStream(_Stream[H, P]):
    """The messages of one response, in order, as they arrive: iterate over it, once. From `open_stream`.

    Every `for` goes on where the one before it stopped.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._chunks = _chunks(self.response)

    def __iter__(self) -> Iterator[tuple[H, P]]:
        if not self._resumable():
            return
        decoder, inflate = self._decoder, self._inflate
        while (left := decoder.next_message()) is not None:  # by an iteration that was abandoned
            yield left
        self._adjust()
        try:
            if inflate is not None:
                for piece in inflate.feed(b""):  # left by it too
                    yield from decoder.feed(piece)
            for chunk in self._chunks:
                if inflate is None:
                    yield from decoder.feed(chunk)
                else:
                    for piece in inflate.feed(chunk):
                        yield from decoder.feed(piece)
                if decoder.heartbeat is not self._heartbeat or decoder.ended:
                    self._adjust()
        except httpx.TransportError as error:
            self._cut(error)
        except zlib.error as error:
            self._undecodable(error)
        if not self._over:
            self._finish()

    def __next__(self) -> tuple[H, P]:
        for message in self:
            return message
        raise StopIteration


class AsyncMessageStream(_Stream[H, P]):
    """The messages of one response, in order, as they arrive: iterate over it, once. From `aopen_stream`.

    Every `async for` goes on where the one before it stopped.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._chunks = _achunks(self.response)

    async def __aiter__(self) -> AsyncIterator[tuple[H, P]]:
        if not self._resumable():
            return
        decoder, inflate, limit, read = self._decoder, self._inflate, self._limit, self._chunks.__anext__
        timed_by_httpx = limit.timed_by_httpx
        while (left := decoder.next_message()) is not None:  # by an iteration that was abandoned
            yield left
        self._adjust()
        try:
            if inflate is not None:
                for piece in inflate.feed(b""):  # left by it too
                    for message in decoder.feed(piece):
                        yield message
            while True:
                if timed_by_httpx:
                    chunk = await read()
                else:
                    with anyio.fail_after(limit.seconds):
                        chunk = await read()
                if inflate is None:
                    for message in decoder.feed(chunk):
                        yield message
                else:
                    for piece in inflate.feed(chunk):
                        for message in decoder.feed(piece):
                            yield message
                if decoder.heartbeat is not self._heartbeat or decoder.ended:
                    self._adjust()
        except StopAsyncIteration:
            pass
        except (httpx.TransportError, TimeoutError) as error:
            self._cut(error)
        except zlib.error as error:
            self._undecodable(error)
        if not self._over:
            self._finish()

    async def __anext__(self) -> tuple[H, P]:
        async for message in self:
            return message
        raise StopAsyncIteration


# --------------------------------------------------------------------------------------------------- the request


def _prepare(client: httpx.Client | httpx.AsyncClient, options: RequestOptions) -> dict[str, Any]:
    """The options with their headers and timeout completed; the caller's own are never changed in place."""
    headers = httpx.Headers(options.get("headers"))
    if "accept" not in headers and client.headers.get("accept", "*/*") == "*/*":
        headers["accept"] = ACCEPT
    if "accept-encoding" not in headers:
        # Compression holds frames back until a block is full, and makes sound larger.
        headers["accept-encoding"] = "identity"
    prepared: dict[str, Any] = {**options, "headers": headers}
    if "timeout" not in options and client.timeout == _HTTPX_DEFAULT:
        prepared["timeout"] = _OUR_DEFAULT
    return prepared


_HTTPX_DEFAULT: Final = httpx.Timeout(5.0)
_OUR_DEFAULT: Final = httpx.Timeout(5.0, read=FIRST_READ_SECONDS)


class _Mark(float):
    """A read timeout that is told from all others by identity."""


class _ReadLimit:
    """How long a read of one response may take, in seconds; `None` for ever. It may change while the body is read.

    httpcore looks the timeout up in the request's extensions: over HTTP/2 at each read, over HTTP/1.1 once, when the
    body begins. There, the connection's own stream (the documented extension `network_stream`) is made to put the
    limit of the moment in the place of the one looked up. That one is a mark, so that reads of another response on
    the same connection are not meant. Other transports (in-process ones, mocks) time nothing by themselves.
    """

    def __init__(self, response: httpx.Response) -> None:
        extensions = response.request.extensions
        # A copy: the caller's own dict may be in there.
        self._timeouts: dict[str, Any] = dict(extensions.get("timeout") or {})
        extensions["timeout"] = self._timeouts
        self.seconds: float | None = self._timeouts.get("read")
        self.timed_by_httpx = "network_stream" in response.extensions
        self._marked = False
        self._network: Any = None
        self._read: Any = None

    def set(self, seconds: float | None) -> None:
        self.seconds = seconds
        if not self._marked:
            self._timeouts["read"] = seconds

    def attach(self, response: httpx.Response) -> None:
        """From here on, let each read take as long as the limit of the moment says."""
        if not self.timed_by_httpx or response.http_version == "HTTP/2":
            return
        network = self._network = response.extensions["network_stream"]
        read, mark = network.read, _Mark(_LONGEST_SILENCE if self.seconds is None else self.seconds)

        def read_within_limit(max_bytes: int, timeout: float | None = None) -> Any:
            return read(_READ_SIZE, self.seconds) if timeout is mark else read(max_bytes, timeout)

        network.read = self._read = read_within_limit
        self._timeouts["read"] = mark
        self._marked = True

    def detach(self) -> None:
        # The connection may be in other hands by now, and those may have attached their own.
        if self._network is not None and self._network.read is self._read:
            del self._network.read


# -------------------------------------------------------------------------------------------------- the response


def _media_type(response: httpx.Response) -> MediaType:
    """The content type; its name is empty if there is none, or none that can be read."""
    return parse_media_type(response.headers.get("content-type", "")) or MediaType("", {})


def _refuse(response: httpx.Response, coder: str) -> str | None:
    """Why the response is no stream that can be read; `None` if it is one."""
    kind, parameters = _media_type(response)
    if kind not in (MEDIA_TYPE, PLAIN_MEDIA_TYPE):
        sent = kind or response.headers.get("content-type")
        return f"the content type is {sent!r:.80}" if sent else "the response has no Content-Type"
    if kind == MEDIA_TYPE and parameters.get("v") != str(VERSION):
        return f"the stream is of version {parameters.get('v')!r}, this reader knows '{VERSION}'"
    if parameters.get("coder", coder) != coder:
        return f"the stream's coder is {parameters['coder']!r}, this reader's {coder!r}"
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in _ENCODINGS:
        return f"its Content-Encoding is {encoding!r}, which is not read here"
    return None


def _not_a_stream(refusal: str, response: httpx.Response, beginning: bytes) -> ContentTypeError:
    content_type = response.headers.get("content-type", "")
    starts = f"the body begins {_excerpt(beginning)!r}" if beginning else "the body is empty"
    message = f"{refusal}; wanted is {MEDIA_TYPE};v={VERSION} or {PLAIN_MEDIA_TYPE}; {starts}"
    return ContentTypeError(message, content_type, beginning)


def _excerpt(body: bytes) -> str:
    return " ".join(body[:_BEGINNING_SIZE].decode(errors="replace").split())[:80]


def _problem(response: httpx.Response, body: bytes) -> ResponseError:
    """What a response that is not 2xx says: our own members, FastAPI's `detail`, RFC 9457's `title`, or its text."""
    try:
        said = strict_json.loads(body)
    except strict_json.InvalidJSON:
        said = {"message": _excerpt(body)}
    if not isinstance(said, dict):
        said = {}
    if isinstance(said.get("detail"), dict):
        said = said["detail"]
    code, details = said.get("code"), said.get("details")
    if not isinstance(code, str) or code not in HTTP_STATUS:
        code = code_for_status(response.status_code)
    message = next((said[name] for name in ("message", "detail", "title") if isinstance(said.get(name), str)), "")
    if details is None and isinstance(said.get("detail"), list):
        details = said["detail"]  # what FastAPI found wrong with the request, a dict each
        if not message and details and isinstance(details[0], dict):
            where = details[0].get("loc")
            place = ".".join(map(str, where)) if isinstance(where, list) else "request"
            message = f"{place}: {details[0].get('msg')}"
    return ResponseError(code, message or response.reason_phrase, details, response.status_code, body)


def _beginning(response: httpx.Response, size: int) -> bytes:
    """The first bytes of a body, as many as come without much ado."""
    inflate, beginning = _inflater(response), bytearray()
    latest = time.monotonic() + _BEGINNING_SECONDS
    with suppress(httpx.TransportError, zlib.error):
        for chunk in _chunks(response):
            beginning += chunk if inflate is None else next(inflate.feed(chunk), b"")
            if len(beginning) >= size or time.monotonic() > latest:
                break
    return bytes(beginning[:size])


async def _abeginning(response: httpx.Response, size: int) -> bytes:
    inflate, beginning = _inflater(response), bytearray()
    chunks = _achunks(response)
    with suppress(httpx.TransportError, zlib.error), anyio.move_on_after(_BEGINNING_SECONDS):
        async with aclosing(chunks):
            async for chunk in chunks:
                beginning += chunk if inflate is None else next(inflate.feed(chunk), b"")
                if len(beginning) >= size:
                    break
    return bytes(beginning[:size])


def _chunks(response: httpx.Response) -> Iterator[bytes]:
    """The body as it was sent; but decoded, where it was read already: by an event hook, or made for a test."""
    return response.iter_bytes() if response.is_stream_consumed else response.iter_raw()


def _achunks(response: httpx.Response) -> Any:  # an AsyncGenerator, which httpx calls an AsyncIterator
    return response.aiter_bytes() if response.is_stream_consumed else response.aiter_raw()


_ENCODINGS: Final = ("", "identity", "gzip", "x-gzip", "deflate")


def _inflater(response: httpx.Response) -> _Inflate | None:
    encoding = response.headers.get("content-encoding", "").strip().lower()
    if response.is_stream_consumed:
        return None
    return _Inflate() if encoding in ("gzip", "x-gzip", "deflate") else None


class _Inflate:
    """Undoes gzip and deflate in pieces of bounded size: httpx's own decoder makes 64 MiB of a chunk that asks for it,
    and any amount of one that was compressed twice.
    """

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(zlib.MAX_WBITS | 32)  # either of the two, told by its first bytes
        self._begun = False
        self._left = b""
        self._full = False

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """What is in the chunk; what this iterator is not asked for comes from that of the next `feed`."""
        self._left += chunk
        while self._left or self._full:
            if self._zlib.eof:
                if not self._left:
                    break
                self._zlib = zlib.decompressobj(zlib.MAX_WBITS | 32)  # RFC 1952: members may follow one another
            self._begun = True
            piece = self._zlib.decompress(self._left, _INFLATED_SIZE)
            self._left = self._zlib.unconsumed_tail or self._zlib.unused_data
            self._full = len(piece) == _INFLATED_SIZE  # and there may be more, though all input is taken
            if piece:
                yield piece

    def finish(self, position: int) -> None:
        if self._begun and not self._zlib.eof:
            raise StreamIncomplete(f"the compressed body stopped after {position} data frames: was it cut?", position)
