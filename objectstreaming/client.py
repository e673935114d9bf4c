"""Reading streams over HTTP with httpx: `open_stream` for its blocking client, `aopen_stream` for its asynchronous one
(SPEC section 6, "HTTP and WebSocket").

**How it works.** Status, media type and its parameters are checked before the first byte of the body. What is wrong
with them is raised together with the beginning of the body. Then the chunks that httpx gives go into a `StreamDecoder`,
and its messages come out. `_Stream` has everything but the reading; a blocking and an asynchronous loop stand around
it.

**A cut never looks like an end.** A response of version 1 must have its `end` frame. What httpx raises while the body
is read becomes `TruncatedFrame` inside a frame and `StreamIncomplete` between two, with httpx's error as its cause.
Every message that was whole comes before it. Once the `end` frame has come the stream is whole, and the state of the
connection does not matter any more.

**Silence.** A server of version 1 promises in its `open` frame how often it sends something. Three of these heartbeats
without a byte mean that it is gone: `IdleTimeout`. Before the `open` frame the read timeout of the request counts.
httpx takes that timeout once, when a body begins, so the reads of a body are timed here (`_read_limit`, `watchdog.py`).

**Not here.** If the client cannot connect, or gets no response at all, httpx's own errors are raised. No request is
ever sent again: a POST that has made an answer must not make a second one.
"""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager, contextmanager, suppress
from typing import Any, Final, Generic, NamedTuple, NoReturn, TypedDict, TypeVar, Unpack

import anyio
import httpx

from .coders import Coder
from .errors import (
    ContentTypeError,
    IdleTimeout,
    ObjectStreamError,
    StreamIncomplete,
    TruncatedFrame,
)
from .frames import Limits
from .inflate import ENCODINGS, Inflater
from .media_type import MediaType, parse_media_type
from .protocol import HEARTBEATS, MEDIA_TYPE, PLAIN_MEDIA_TYPE, VERSION, StreamDecoder
from .response_problems import excerpt, read_problem
from .watchdog import ReadLimit, WatchedReads

__all__ = ["ACCEPT", "AsyncMessageStream", "MessageStream", "RequestOptions", "aopen_stream", "open_stream"]

H = TypeVar("H")
P = TypeVar("P")

ACCEPT: Final = f"{MEDIA_TYPE};v={VERSION}, {PLAIN_MEDIA_TYPE};q=0.5"
"""The `Accept` header that is sent unless the caller gives one: version 1, or else plain frames."""

FIRST_READ_SECONDS: Final = 60.0
"""How long a read may take before the `open` frame, where the client has httpx's default timeout of 5 s. A model often
takes longer than 5 s before it begins its answer."""

# Upper bound of the silence that a peer may announce with its heartbeat.
_LONGEST_SILENCE: Final = 3600.0
# After the `end` frame only the end of the body is missing, and no message depends on it.
_AFTER_END_SECONDS: Final = 1.0
# With 256 KiB, all that asyncio reads at once, it is no quicker: glibc then maps the memory again for each copy.
_READ_SIZE: Final = 128 * 1024
# How much is read of a body that is not a stream, and for how long.
_PROBLEM_SIZE: Final = 16 * 1024
_BEGINNING_SIZE: Final = 256
_BEGINNING_SECONDS: Final = 5.0


class RequestOptions(TypedDict, total=False):
    """The options of httpx's own requests. `content` may be an iterable of encoded frames, to stream a request too.

    `headers` are completed with `Accept` and `Accept-Encoding` where they have none. Without `timeout` the client's
    counts. Its read part limits the wait for the response, and then the silence before the `open` frame.
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

    `require_end`: whether an answer without an `end` frame is an error. `None` requires it of a response of version 1,
    and of a plain one that has control frames. `idle_timeout`: how many seconds of silence are an error. `None` takes
    three of the heartbeats that the server announces; before the announcement, the read timeout of `timeout` or of the
    client (60 s where both have httpx's default of 5 s). The other options are httpx's: `RequestOptions`.

    Entering raises `ResponseError` for a status that is not 2xx, with the problem decoded, `ContentTypeError` for an
    answer that is not a stream of this coder's frames, and httpx's own errors where no response came at all. Iterating
    raises as `StreamDecoder` does, and `TruncatedFrame`, `StreamIncomplete` or `IdleTimeout` for a connection that was
    cut or became silent. After a `PayloadError` a new `for` continues with the next frame.

    Leaving the block closes the response, however far the iteration has come.

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
    with client.stream(method, url, **_prepare(client, options)) as response, _read_limit(response) as limit:
        refusal = _refuse(response, coder.name)
        if refusal is not None:
            raise refusal.error(_read_beginning(response, refusal.size, limit))
        _read_larger_pieces(response)
        stream: MessageStream[H, P] = MessageStream(response, coder, limits, require_end, idle_timeout, limit)
        try:
            yield stream
        finally:
            stream._closed = True


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
        with _read_limit(response) as limit:
            refusal = _refuse(response, coder.name)
            if refusal is not None:
                raise refusal.error(await _aread_beginning(response, refusal.size))
            _read_larger_pieces(response)
            stream: AsyncMessageStream[H, P] = AsyncMessageStream(
                response, coder, limits, require_end, idle_timeout, limit
            )
            try:
                yield stream
            finally:
                stream._closed = True
                await stream._chunks.aclose()


class _Stream(Generic[H, P]):
    """Everything that both kinds of stream have in common: all but the reading."""

    def __init__(
        self,
        response: httpx.Response,
        coder: Coder[H, P],
        limits: Limits | None,
        require_end: bool | None,
        idle_timeout: float | None,
        limit: ReadLimit,
    ) -> None:
        self.response = response
        """The httpx response: its status, headers and request."""
        if require_end is None and _media_type(response)[0] == MEDIA_TYPE:
            require_end = True
        self._decoder = StreamDecoder(coder, limits=limits, require_end=require_end)
        self._inflater = _inflater(response)
        self._limit = limit
        self._idle_timeout = idle_timeout
        if idle_timeout is not None:
            limit.seconds = idle_timeout
        self._heartbeat: float | None = None
        self._failure: ObjectStreamError | None = None
        self._over = False
        self._closed = False

    @property
    def position(self) -> int:
        """How many messages have arrived, unreadable ones included: the position to resume from."""
        return self._decoder.position

    @property
    def trailers(self) -> dict[str, Any] | None:
        """What the server sent with the end of the stream; `None` before the end, and for a plain stream."""
        return self._decoder.trailers

    @property
    def metadata(self) -> dict[str, Any]:
        """What the server sent with the `open` frame, which comes before the first message."""
        return self._decoder.metadata

    @property
    def heartbeat(self) -> float | None:
        """The server promised to send something at least every so many seconds; `None` before its `open` frame."""
        return self._decoder.heartbeat

    def __repr__(self) -> str:
        state = "closed" if self._closed else "ended" if self._over else "open"
        return f"<{type(self).__name__} of {self.response.url}, {state}, position {self.position}>"

    def _can_continue(self) -> bool:
        """Whether there may be more to read. Raises the error that ended the stream again."""
        if self._failure is not None:
            raise self._failure.with_traceback(None)
        if self._closed and not self._over:
            raise RuntimeError("the stream was closed before its end: read it inside the with block")
        return not self._over

    def _unread(self) -> Iterator[tuple[H, P]]:
        """The messages that an iteration which was left early has not taken."""
        while (message := self._decoder.next_message()) is not None:
            yield message
        if self._inflater is not None:
            yield from self._inflated(self._inflater, b"")

    def _messages(self, chunk: bytes) -> Iterator[tuple[H, P]]:
        """The messages that are complete with this chunk of the body."""
        if self._inflater is None:
            return self._decoder.feed(chunk)
        return self._inflated(self._inflater, chunk)

    def _inflated(self, inflater: Inflater, chunk: bytes) -> Iterator[tuple[H, P]]:
        try:
            for piece in inflater.feed(chunk):
                yield from self._decoder.feed(piece)
        except zlib.error as error:
            headers = self.response.headers
            message = f"the body is not {headers['content-encoding']}, as its Content-Encoding says: {error}"
            self._fail(ContentTypeError(message, headers.get("content-type", "")), error)

    def _begin_read(self) -> None:
        """Let the read take as long as the server's `open` frame says, and hardly any time once its `end` has come."""
        decoder, limit = self._decoder, self._limit
        if decoder.trailers is not None:
            limit.end_within(_AFTER_END_SECONDS)
        elif decoder.heartbeat is not self._heartbeat:
            self._heartbeat = decoder.heartbeat
            if self._idle_timeout is None and self._heartbeat is not None:
                # A comparison, not a product: an integer of a thousand digits is a positive number too.
                longest = _LONGEST_SILENCE / HEARTBEATS
                limit.seconds = float(HEARTBEATS * min(self._heartbeat, longest))
        limit.begin()

    def _finish(self) -> None:
        """HTTP says that the body has ended."""
        if self._limit.overdue:  # where the body lasts as long as the connection, our own shutdown looks like its end
            self._cut(None)
            return
        position = self._decoder.position
        try:
            if self._inflater is not None and self._inflater.is_cut:
                raise StreamIncomplete(
                    f"the compressed body stopped after {position} data frames: was it cut?", position
                )
            self._decoder.finish()
        except ObjectStreamError as error:
            self._failure = error
            raise
        self._over = True

    def _cut(self, cause: Exception | None) -> None:
        """httpx could not read on. Raises what this means for the stream; nothing if it was whole already."""
        decoder = self._decoder
        position = decoder.position
        if decoder.ended and not decoder.buffered:
            self._over = True
            return
        if self._limit.overdue or isinstance(cause, httpx.TimeoutException | TimeoutError):
            seconds = self._limit.seconds
            time_limit = "too long" if seconds is None else f"{seconds:g} s"
            message = f"nothing arrived for {time_limit}, not even a ping, after {position} data frames"
            self._fail(IdleTimeout(message, position), cause)
        try:
            decoder.finish()
        except TruncatedFrame as error:
            self._fail(error, cause)
        except StreamIncomplete:
            pass
        self._fail(StreamIncomplete(f"the connection was cut after {position} data frames: {cause}", position), cause)

    def _fail(self, failure: ObjectStreamError, cause: Exception | None) -> NoReturn:
        self._failure = failure
        raise failure from cause


class MessageStream(_Stream[H, P]):
    """The messages of one response, in order, as they arrive: iterate over it, once. From `open_stream`.

    A `for` continues where the one before it stopped.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._chunks = _chunks(self.response)

    def __iter__(self) -> Iterator[tuple[H, P]]:
        if not self._can_continue():
            return
        yield from self._unread()
        while (chunk := self._read()) is not None:
            yield from self._messages(chunk)
        if not self._over:
            self._finish()

    def __next__(self) -> tuple[H, P]:
        for message in self:
            return message
        raise StopIteration

    def _read(self) -> bytes | None:
        """The next chunk of the body; `None` at its end."""
        self._begin_read()
        try:
            return next(self._chunks, None)
        except httpx.TransportError as error:
            self._cut(error)
            return None
        finally:
            self._limit.end()


class AsyncMessageStream(_Stream[H, P]):
    """The messages of one response, in order, as they arrive: iterate over it, once. From `aopen_stream`.

    An `async for` continues where the one before it stopped.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._chunks = _achunks(self.response)
        self._is_timed = "network_stream" in self.response.extensions

    async def __aiter__(self) -> AsyncIterator[tuple[H, P]]:
        if not self._can_continue():
            return
        for message in self._unread():
            yield message
        while (chunk := await self._read()) is not None:
            for message in self._messages(chunk):
                yield message
        if not self._over:
            self._finish()

    async def __anext__(self) -> tuple[H, P]:
        async for message in self:
            return message
        raise StopAsyncIteration

    async def _read(self) -> bytes | None:
        """The next chunk of the body; `None` at its end."""
        limit = self._limit
        self._begin_read()
        try:
            if self._is_timed:
                return await self._chunks.__anext__()  # type: ignore[no-any-return]
            with anyio.fail_after(limit.left()):
                return await self._chunks.__anext__()  # type: ignore[no-any-return]
        except StopAsyncIteration:
            return None
        except (httpx.TransportError, TimeoutError) as error:
            self._cut(error)
            return None
        finally:
            limit.end()


# --------------------------------------------------------------------------------------------------- the request


def _prepare(client: httpx.Client | httpx.AsyncClient, options: RequestOptions) -> dict[str, Any]:
    """The options with headers and timeout completed. The caller's own objects are not changed."""
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


class _TransportTimeout(ReadLimit):
    """A limit that is kept up to date in the request's timeouts, for the transport to look at."""

    def __init__(self, timeouts: dict[str, Any]) -> None:
        super().__init__(timeouts.get("read"))
        self._timeouts = timeouts

    def begin(self) -> None:
        self._timeouts["read"] = self.left()


def _read_limit(response: httpx.Response) -> ReadLimit:
    """What limits the reads of the body, beginning with the read timeout of the request.

    httpcore takes the read timeout from the request's extensions. Over HTTP/2 it does so for each read, so the timeout
    is kept up to date there; the connection belongs to other responses too and must not be shut down. Over HTTP/1.1 it
    does so once, when the body begins: there it is switched off, and a watchdog times the reads of the socket, which
    the documented extension `network_stream` gives. Other transports (in this process, mocks) may look at the request's
    timeout or not; the asynchronous stream times them itself.
    """
    extensions = response.request.extensions
    # A copy: the dict may be the caller's own.
    timeouts = extensions["timeout"] = dict(extensions.get("timeout") or {})
    sock = _network_info(response, "socket")
    if sock is None or response.http_version == "HTTP/2":
        return _TransportTimeout(timeouts)
    seconds = timeouts.get("read")
    timeouts["read"] = None
    # A closed response has given its connection back: it must not be shut down any more.
    return WatchedReads(sock, lambda: response.is_closed or bool(_network_info(response, "is_readable")), seconds)


def _read_larger_pieces(response: httpx.Response) -> None:
    """Let httpcore read 128 KiB of the connection at a time instead of 64 KiB. Nothing depends on this but speed.

    The asynchronous client executes a sixth fewer instructions for a fast stream. A larger read is as good for every
    other response of the connection, so nothing has to be undone.
    """
    network: Any = response.extensions.get("network_stream")
    read = getattr(network, "read", None)
    if read is None or "read" in getattr(network, "__dict__", {}):  # there is no connection, or it was done already
        return

    def read_larger_piece(max_bytes: int, timeout: float | None = None) -> Any:
        return read(max(max_bytes, _READ_SIZE), timeout)

    with suppress(AttributeError):
        network.read = read_larger_piece


def _network_info(response: httpx.Response, name: str) -> Any:
    network = response.extensions.get("network_stream")
    return None if network is None else network.get_extra_info(name)


# -------------------------------------------------------------------------------------------------- the response


def _media_type(response: httpx.Response) -> MediaType:
    """The content type; its name is empty if there is none, or none that can be read."""
    return parse_media_type(response.headers.get("content-type", "")) or MediaType("", {})


class _Refusal(NamedTuple):
    """Why a response is not read as a stream: how many bytes of its body to show, and the error that shows them."""

    size: int
    error: Callable[[bytes], ObjectStreamError]


def _refuse(response: httpx.Response, coder: str) -> _Refusal | None:
    """`None` for a response that can be read as a stream."""
    if not response.is_success:
        return _Refusal(_PROBLEM_SIZE, lambda body: read_problem(response.status_code, response.reason_phrase, body))
    reason = _reason_to_refuse(response, coder)
    if reason is None:
        return None
    return _Refusal(_BEGINNING_SIZE, lambda beginning: _not_a_stream(reason, response, beginning))


def _reason_to_refuse(response: httpx.Response, coder: str) -> str | None:
    kind, parameters = _media_type(response)
    if kind not in (MEDIA_TYPE, PLAIN_MEDIA_TYPE):
        sent = kind or response.headers.get("content-type")
        return f"the content type is {sent!r:.80}" if sent else "the response has no Content-Type"
    if kind == MEDIA_TYPE and parameters.get("v") != str(VERSION):
        return f"the stream is of version {parameters.get('v')!r}, this reader knows '{VERSION}'"
    if parameters.get("coder", coder) != coder:
        return f"the stream's coder is {parameters['coder']!r}, this reader's {coder!r}"
    encoding = _content_encoding(response)
    if encoding not in ("", "identity", *ENCODINGS):
        return f"its Content-Encoding is {encoding!r}, which is not read here"
    return None


def _not_a_stream(reason: str, response: httpx.Response, beginning: bytes) -> ContentTypeError:
    content_type = response.headers.get("content-type", "")
    starts = f"the body begins {excerpt(beginning)!r}" if beginning else "the body is empty"
    message = f"{reason}; expected {MEDIA_TYPE};v={VERSION} or {PLAIN_MEDIA_TYPE}; {starts}"
    return ContentTypeError(message, content_type, beginning)


class _Beginning:
    """Collects the first `size` bytes of a body, decompressed."""

    def __init__(self, response: httpx.Response, size: int) -> None:
        self._inflater = _inflater(response)
        self._size = size
        self._collected = bytearray()

    def add(self, chunk: bytes) -> bool:
        """Take a chunk of the body. Whether that is enough."""
        self._collected += chunk if self._inflater is None else next(self._inflater.feed(chunk), b"")
        return len(self._collected) >= self._size

    def __bytes__(self) -> bytes:
        return bytes(self._collected[: self._size])


def _read_beginning(response: httpx.Response, size: int, limit: ReadLimit) -> bytes:
    """The first bytes of a body: as many as arrive within a few seconds."""
    beginning = _Beginning(response, size)
    limit.end_within(_BEGINNING_SECONDS)
    limit.begin()
    with suppress(httpx.TransportError, zlib.error):
        for chunk in _chunks(response):
            if beginning.add(chunk) or not limit.left():
                break
    return bytes(beginning)


async def _aread_beginning(response: httpx.Response, size: int) -> bytes:
    beginning = _Beginning(response, size)
    chunks = _achunks(response)
    with suppress(httpx.TransportError, zlib.error), anyio.move_on_after(_BEGINNING_SECONDS):
        async with aclosing(chunks):
            async for chunk in chunks:
                if beginning.add(chunk):
                    break
    return bytes(beginning)


def _chunks(response: httpx.Response) -> Iterator[bytes]:
    """The body as it was sent. Where it was read already, by an event hook or in a test, httpx has decompressed it."""
    return response.iter_bytes() if response.is_stream_consumed else response.iter_raw()


def _achunks(response: httpx.Response) -> Any:  # an AsyncGenerator, which httpx calls an AsyncIterator
    return response.aiter_bytes() if response.is_stream_consumed else response.aiter_raw()


def _content_encoding(response: httpx.Response) -> str:
    encoding: str = response.headers.get("content-encoding", "")
    return encoding.strip().lower()


def _inflater(response: httpx.Response) -> Inflater | None:
    return Inflater() if _content_encoding(response) in ENCODINGS and not response.is_stream_consumed else None
