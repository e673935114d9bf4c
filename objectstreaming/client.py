"""Reading streams over HTTP with httpx or httpx2: `open_stream` for their blocking client, `aopen_stream` for their
asynchronous one (SPEC section 6, "HTTP and WebSocket").

**How it works.** Status, media type and its parameters are checked before the first byte of the body. What is wrong
with them is raised together with the beginning of the body. Then the chunks that httpx gives go into a `StreamDecoder`,
and its messages come out. `_Stream` has everything but the reading; the loops, a blocking and an asynchronous one, are
those of `messages.py`.

**A cut never looks like an end.** A response of version 1 must have its `end` frame. What httpx raises while the body
is read becomes `TruncatedFrame` inside a frame and `StreamIncomplete` between two, with httpx's error as its cause.
Every message that was whole comes before it. Once the `end` frame has come the stream is whole, and the state of the
connection does not matter any more.

**Silence.** A server of version 1 promises in its `open` frame how often it sends something. Three of these heartbeats
without a byte mean that it is gone: `IdleTimeout`. Before the `open` frame the read timeout of the request counts.
httpx takes that timeout once, when a body begins, so the reads of a body are timed here (`_read_limit`, `watchdog.py`).

**Leaving.** A stream that is left before its end is closed, and its server notices: over HTTP/1.1 the connection is
closed, over HTTP/2 the stream is reset (`http2.py`).

**Not here.** If the client cannot connect, or gets no response at all, httpx's own errors are raised. No request is
ever sent again: a POST that has made an answer must not make a second one. What `resume=` does instead is in
`resuming.py`.
"""

from __future__ import annotations

import sys
import time
import zlib
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    AsyncExitStack,
    ExitStack,
    aclosing,
    asynccontextmanager,
    contextmanager,
    suppress,
)
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypedDict, TypeVar, Unpack, overload

from . import http2
from .coders import Coder, check_coder
from .errors import (
    ContentTypeError,
    IdleTimeout,
    ObjectStreamError,
    ResponseError,
    StreamIncomplete,
    TruncatedFrame,
)
from .extras import extra
from .frames import Limits
from .inflate import ENCODINGS, Inflater
from .media_type import MediaType, parse_media_type
from .messages import AsyncMessageIterator, MessageIterator, Messages
from .observe import Observer, Outcome
from .observed_calls import ObservedCall, observed
from .protocol import HEARTBEATS, MEDIA_TYPE, PLAIN_MEDIA_TYPE, VERSION, StreamDecoder
from .response_problems import excerpt, read_problem
from .resuming import AsyncResumingStream, Place, ResumingStream, place_of
from .watchdog import ReadLimit, WatchedReads

with extra("client"):
    import anyio

if TYPE_CHECKING:
    import httpx
    import httpx2

__all__ = [
    "AsyncMessageStream",
    "AsyncResumingStream",
    "MessageStream",
    "Place",
    "ResumingStream",
    "aopen_stream",
    "open_stream",
]

H = TypeVar("H")
P = TypeVar("P")

ACCEPT: Final = f"{MEDIA_TYPE};v={VERSION}, {PLAIN_MEDIA_TYPE};q=0.5"
"""The `Accept` header that is sent unless the caller gives one: version 1, or else plain frames."""

FIRST_READ_SECONDS: Final = 60.0
"""How long a read may take before the `open` frame, where the client has httpx's default timeout of 5 s. A model often
takes longer than 5 s before it begins its answer. A client that was given 5 s cannot be told from one that was given
nothing: who wants 5 s passes `timeout=5` to the call."""

# Upper bound of the silence that a peer may announce with its heartbeat.
_LONGEST_SILENCE: Final = 3600.0
# After the `end` frame only the end of the body is missing, and no message depends on it. In all, not for each read.
_AFTER_END_SECONDS: Final = 1.0
# With 256 KiB, all that asyncio reads at once, it is no quicker: glibc then maps the memory again for each copy.
_READ_SIZE: Final = 128 * 1024
# How much is read of a body that is not a stream, and for how long.
_PROBLEM_SIZE: Final = 16 * 1024
_BEGINNING_SIZE: Final = 256
_BEGINNING_SECONDS: Final = 5.0


class RequestOptions(TypedDict, total=False):
    """The options of httpx's own requests; what is special about them is said at `open_stream`."""

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


@overload
def open_stream(  # type: ignore[overload-overlap]
    client: httpx.Client | httpx2.Client,
    method: str,
    url: httpx.URL | httpx2.URL | str,
    *,
    coder: Coder[H, P],
    limits: Limits | None = ...,
    require_end: bool | None = ...,
    idle_timeout: float | None = ...,
    observer: Observer | None = ...,
    resume: Literal[False] = ...,
    **options: Unpack[RequestOptions],
) -> AbstractContextManager[MessageStream[H, P]]: ...


@overload
def open_stream(
    client: httpx.Client | httpx2.Client,
    method: str,
    url: httpx.URL | httpx2.URL | str,
    *,
    coder: Coder[H, P],
    limits: Limits | None = ...,
    require_end: bool | None = ...,
    idle_timeout: float | None = ...,
    observer: Observer | None = ...,
    resume: bool | float,
    **options: Unpack[RequestOptions],
) -> AbstractContextManager[ResumingStream[H, P]]: ...


@overload
def open_stream(
    client: httpx.Client | httpx2.Client,
    *,
    coder: Coder[H, P],
    limits: Limits | None = ...,
    require_end: bool | None = ...,
    idle_timeout: float | None = ...,
    observer: Observer | None = ...,
    place: Place,
    resume: bool | float = ...,
    **options: Unpack[RequestOptions],
) -> AbstractContextManager[ResumingStream[H, P]]: ...


@contextmanager
def open_stream(
    client: httpx.Client | httpx2.Client,
    method: str | None = None,
    url: httpx.URL | httpx2.URL | str | None = None,
    *,
    coder: Coder[H, P],
    limits: Limits | None = None,
    require_end: bool | None = None,
    idle_timeout: float | None = None,
    observer: Observer | None = None,
    resume: bool | float = False,
    place: Place | None = None,
    **options: Unpack[RequestOptions],
) -> Iterator[Any]:
    """Send a request, and iterate over the messages of the answer.

    No request is ever sent twice. Where the connection breaks and `resume` is set, the rest of the stream is asked for
    by GET, if the server keeps it (`resuming.py`).

    Leaving the block closes the response, however far the iteration has come. Over HTTP/2 the stream is reset, or where
    httpcore's state is not found, its connection closed.

    Args:
        client: the client of httpx or httpx2 that sends the request.
        method: of the request.
        url: of the request; with a path alone, the client's base URL comes before it.
        coder: decodes the messages.
        limits: the largest frame and header that are read, in bytes.
        require_end: whether an answer without an `end` frame is an error. `None` requires it of a response of version
            1, and of a plain one that has control frames.
        idle_timeout: how many seconds of silence are an error. `None` takes three of the heartbeats that the server
            announces; before the announcement, the read timeout of `timeout` or of the client (60 s where both have
            httpx's default of 5 s).
        observer: is told what becomes of each response that is read (`objectstreaming.observe`).
        resume: whether to go on where the stream was when its connection breaks: `True` tries for 300 s, a number for
            so many seconds.
        place: instead of method and URL, where to go on with a stream of another time: `stream.place` of then.
        **options: those of httpx's own requests: `json`, `params`, `auth` and so on. `content` may be an iterable of
            encoded frames, to stream a request too. `headers` are completed with `Accept` and `Accept-Encoding` where
            they have none. A `timeout` of the call always counts; without it the client's does, or 60 s where that is
            httpx's default of 5 s. Its read part limits the wait for the response, and then the silence before the
            `open` frame.

    Yields:
        A `MessageStream`, or a `ResumingStream` with `resume` or `place`: an iterator over `(header, payload)`.

    Raises:
        ResponseError: On entering: the status is not 2xx. Its problem is decoded.
        ContentTypeError: On entering: the answer is not a stream of this coder's frames.
        httpx.TransportError: On entering: no response came at all.
        TypeError: The client is none of `httpx.Client`, `httpx2.Client`, or not both method and URL are given.
        StreamError: On iterating: the server has ended the stream with an error.
        FrameError: On iterating: the bytes are no frames, or the connection was cut inside one (`TruncatedFrame`).
        ProtocolError: On iterating: the frames make no stream.
        StreamIncomplete: On iterating: the connection was cut between two frames, or became silent (`IdleTimeout`).
        PayloadError: On iterating: one message cannot be read. A new `for` continues with the next one.

    >>> import httpx
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
    check_coder(coder)
    library = _library(client, "Client", "open_stream")
    if (method is None or url is None) if place is None else (method is not None or url is not None):
        raise TypeError("open_stream takes a method and a URL, or else a place")
    if resume is not False or place is not None:
        one = partial(
            open_stream,
            coder=coder,
            limits=limits,
            require_end=require_end,
            idle_timeout=idle_timeout,
            observer=observer,
        )
        resuming: ResumingStream[H, P] = ResumingStream(client, library, one, options, resume, place)
        try:
            if place is None:
                resuming.begin(method, url)
            else:
                resuming.begin_at_place()
            yield resuming
        finally:
            resuming.leave()
        return
    http: Any = client
    with observed(observer, library, client, str(method), url, coder.name) as call, ExitStack() as stack:
        with http2.resetting(client):
            response: Any = stack.enter_context(http.stream(method, url, **_prepare(client, library, options)))
        stack.callback(http2.leave, response)
        if call is not None:
            call.responded(response, _media_type(response)[0])
        limit = stack.enter_context(_read_limit(response))
        refusal = _refuse(response, coder.name)
        if refusal is not None:
            raise refusal.error(_read_beginning(response, refusal.size, limit, library))
        _read_larger_pieces(response)
        stream: MessageStream[H, P] = MessageStream(
            library, response, coder, limits, require_end, idle_timeout, limit, call
        )
        try:
            yield stream
        finally:
            stream._leave()
            stream._tell_observers()


@overload
def aopen_stream(  # type: ignore[overload-overlap]
    client: httpx.AsyncClient | httpx2.AsyncClient,
    method: str,
    url: httpx.URL | httpx2.URL | str,
    *,
    coder: Coder[H, P],
    limits: Limits | None = ...,
    require_end: bool | None = ...,
    idle_timeout: float | None = ...,
    observer: Observer | None = ...,
    resume: Literal[False] = ...,
    **options: Unpack[RequestOptions],
) -> AbstractAsyncContextManager[AsyncMessageStream[H, P]]: ...


@overload
def aopen_stream(
    client: httpx.AsyncClient | httpx2.AsyncClient,
    method: str,
    url: httpx.URL | httpx2.URL | str,
    *,
    coder: Coder[H, P],
    limits: Limits | None = ...,
    require_end: bool | None = ...,
    idle_timeout: float | None = ...,
    observer: Observer | None = ...,
    resume: bool | float,
    **options: Unpack[RequestOptions],
) -> AbstractAsyncContextManager[AsyncResumingStream[H, P]]: ...


@overload
def aopen_stream(
    client: httpx.AsyncClient | httpx2.AsyncClient,
    *,
    coder: Coder[H, P],
    limits: Limits | None = ...,
    require_end: bool | None = ...,
    idle_timeout: float | None = ...,
    observer: Observer | None = ...,
    place: Place,
    resume: bool | float = ...,
    **options: Unpack[RequestOptions],
) -> AbstractAsyncContextManager[AsyncResumingStream[H, P]]: ...


@asynccontextmanager
async def aopen_stream(
    client: httpx.AsyncClient | httpx2.AsyncClient,
    method: str | None = None,
    url: httpx.URL | httpx2.URL | str | None = None,
    *,
    coder: Coder[H, P],
    limits: Limits | None = None,
    require_end: bool | None = None,
    idle_timeout: float | None = None,
    observer: Observer | None = None,
    resume: bool | float = False,
    place: Place | None = None,
    **options: Unpack[RequestOptions],
) -> AsyncIterator[Any]:
    """`open_stream` for `httpx.AsyncClient`.

    Args:
        client: the client of httpx or httpx2 that sends the request.
        method: as in `open_stream`, and so are all that follow.
        url: of the request.
        coder: decodes the messages.
        limits: the largest frame and header that are read, in bytes.
        require_end: whether an answer without an `end` frame is an error.
        idle_timeout: how many seconds of silence are an error.
        observer: is told what becomes of each response that is read.
        resume: whether, and for how many seconds, to go on where a stream was when its connection breaks.
        place: instead of method and URL, where to go on with a stream of another time.
        **options: those of httpx's own requests.

    Yields:
        An `AsyncMessageStream`, or an `AsyncResumingStream` with `resume` or `place`.

    Raises:
        ObjectStreamError: As `open_stream` does, and httpx's own errors where no response came at all.

    >>> import asyncio, httpx
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
    check_coder(coder)
    library = _library(client, "AsyncClient", "aopen_stream")
    if (method is None or url is None) if place is None else (method is not None or url is not None):
        raise TypeError("aopen_stream takes a method and a URL, or else a place")
    if resume is not False or place is not None:
        one = partial(
            aopen_stream,
            coder=coder,
            limits=limits,
            require_end=require_end,
            idle_timeout=idle_timeout,
            observer=observer,
        )
        resuming: AsyncResumingStream[H, P] = AsyncResumingStream(client, library, one, options, resume, place)
        try:
            if place is None:
                await resuming.begin(method, url)
            else:
                await resuming.begin_at_place()
            yield resuming
        finally:
            await resuming.leave()
        return
    http: Any = client
    with observed(observer, library, client, str(method), url, coder.name) as call:
        async with AsyncExitStack() as stack:
            async with http2.aresetting(client):
                request = http.stream(method, url, **_prepare(client, library, options))
                response: Any = await stack.enter_async_context(request)
            stack.push_async_callback(http2.aleave, response)
            if call is not None:
                call.responded(response, _media_type(response)[0])
            limit = stack.enter_context(_read_limit(response))
            refusal = _refuse(response, coder.name)
            if refusal is not None:
                raise refusal.error(await _aread_beginning(response, refusal.size, library))
            _read_larger_pieces(response)
            stream: AsyncMessageStream[H, P] = AsyncMessageStream(
                library, response, coder, limits, require_end, idle_timeout, limit, call
            )
            try:
                yield stream
            finally:
                stream._leave()
                stream._tell_observers()
                await stream._chunks.aclose()


class _Stream(Messages[H, P]):
    """Everything that both kinds of stream have in common: all but the reading."""

    def __init__(
        self,
        library: Any,
        response: Any,
        coder: Coder[H, P],
        limits: Limits | None,
        require_end: bool | None,
        idle_timeout: float | None,
        limit: ReadLimit,
        call: ObservedCall | None,
    ) -> None:
        if require_end is None and _media_type(response)[0] == MEDIA_TYPE:
            require_end = True
        super().__init__(StreamDecoder(coder, limits=limits, require_end=require_end))
        self.response: httpx.Response = response
        """The response of httpx or httpx2: its status, headers and request."""
        self._library = library
        self._cuts = (library.TransportError, *http2.read_errors(response))
        """What means that the connection was cut, where a read raises it."""
        self._inflater = _inflater(response)
        self._pieces: Iterator[bytes] = iter(())  # of a chunk that is being decompressed
        self._limit = limit
        self._idle_timeout = idle_timeout
        if idle_timeout is not None:
            limit.seconds = idle_timeout
        self._heartbeat: float | None = None
        self._call = call
        self._raised: BaseException | None = None  # by the iteration
        if call is not None:
            self._feed = self._feed_observed  # type: ignore[method-assign]

    @property
    def position(self) -> int:
        """How many messages have arrived, unreadable ones included: the position to resume from."""
        return self._decoder.position

    @property
    def place(self) -> Place | None:
        """Where the stream can be picked up; `None` if its `open` frame has not said so, or has not come."""
        return place_of(self.response, self._decoder.resume, self.position)

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

    def _piece(self) -> bytes | None:
        """The next piece of a chunk that is being decompressed."""
        try:
            return next(self._pieces, None)
        except zlib.error as error:
            headers = self.response.headers
            message = f"the body is not {headers['content-encoding']}, as its Content-Encoding says: {error}"
            raise ContentTypeError(message, headers.get("content-type", "")) from error

    def _decompresses(self, chunk: bytes | None) -> bool:
        """Whether the pieces of this chunk are to be asked for instead."""
        if chunk is None or self._inflater is None:
            return False
        self._pieces = self._inflater.feed(chunk)
        return True

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
        if self._call is not None:
            self._call.reads()

    def _feed_observed(self, chunk: Any) -> Iterator[tuple[H, P]]:
        messages = Messages._feed(self, chunk)
        assert self._call is not None
        try:
            first = next(messages, None)
        finally:
            self._call.read(len(chunk), self._decoder.received)
        if first is not None:
            self._ready = messages = chain((first,), messages)
        return messages

    def _broke(self, error: BaseException) -> None:
        if self._failure is None:
            self._raised = error
        super()._broke(error)

    def _tell_observers(self) -> None:
        """The block is left, perhaps with an exception."""
        if self._call is None:
            return
        raised, failure = self._raised, self._failure
        outcome: Outcome
        code: str | None
        if isinstance(raised, ObjectStreamError) and (raised is failure or raised is sys.exception()):
            outcome, code = "failed", raised.code
        elif failure is None and (self._over or self._is_whole()):
            outcome, code = "ok", None
        else:
            outcome, code = "left", "canceled"
        self._call.became(outcome, code, self._decoder.received, self._decoder.pings)

    def _finish(self) -> None:
        if self._over:
            return
        if self._limit.overdue or self._failure is not None:
            # Where the body lasts as long as the connection, our own shutdown looks like its end.
            self._cut(None)
            return
        if self._inflater is not None and self._inflater.is_cut:
            position = self._decoder.position
            raise StreamIncomplete(f"the compressed body stopped after {position} data frames: was it cut?", position)
        super()._finish()

    def _cut(self, cause: Exception | None) -> None:
        """httpx could not read on. Raises what this means for the stream; nothing if it was whole already."""
        if self._is_whole():
            self._over = True
            return
        if self._failure is not None:  # `close` ended the read
            raise self._failure.with_traceback(None) from cause
        decoder = self._decoder
        position = decoder.position
        if self._limit.overdue or isinstance(cause, self._library.TimeoutException | TimeoutError):
            seconds = self._limit.seconds
            time_limit = "too long" if seconds is None else f"{seconds:g} s"
            message = f"nothing arrived for {time_limit}, not even a ping, after {position} data frames"
            raise IdleTimeout(message, position) from cause
        try:
            decoder.finish()
        except TruncatedFrame as error:
            raise error from cause
        except StreamIncomplete:
            pass
        raise StreamIncomplete(f"the connection was cut after {position} data frames: {cause}", position) from cause

    def _is_whole(self) -> bool:
        return self._decoder.ended and not self._decoder.buffered

    def _give_up(self) -> None:
        """From now on every message that is asked for is an error, unless the stream is whole."""
        if self._failure is None and not self._over and not self._is_whole():
            position = self._decoder.position
            self._failure = StreamIncomplete(
                f"the stream was closed by the reader after {position} data frames", position
            )
            self._ready = iter(())


class MessageStream(_Stream[H, P], MessageIterator[H, P]):
    """The messages of one response, in order, as they arrive: iterate over it, once. From `open_stream`.

    A `for` continues where the one before it stopped. What interrupts a read, as a signal handler that raises, may lose
    what was being read: from then on `StreamIncomplete` is raised.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._chunks = _chunks(self.response)

    def read_all(self) -> list[tuple[H, P]]:
        """All messages that have not been read yet, in memory.

        Returns:
            The `(header, payload)` of each.

        Raises:
            ObjectStreamError: As iteration does. What was read before is lost then: iterate to keep it.
        """
        return list(self)

    def close(self) -> None:
        """Give the stream up, from this thread or another: a read that waits ends at once, with `StreamIncomplete`.

        Everybody who goes on gets that error, unless the end of the stream had come. The connection is closed, or the
        stream of HTTP/2 reset. The `with` block still has to be left.
        """
        self._give_up()
        if http2.is_http2(self.response):
            http2.leave(self.response, wake=True)
        elif not self.response.is_closed:
            self._limit.interrupt()

    def _read(self) -> bytes | None:
        while (piece := self._piece()) is None:
            self._begin_read()
            try:
                chunk = next(self._chunks, None)
            except self._cuts as error:
                self._cut(error)
                return None
            finally:
                self._limit.end()
            if not self._decompresses(chunk):
                return chunk
        return piece


class AsyncMessageStream(_Stream[H, P], AsyncMessageIterator[H, P]):
    """The messages of one response, in order, as they arrive: iterate over it, once. From `aopen_stream`.

    An `async for` continues where the one before it stopped. What interrupts a read, as `asyncio.wait_for` around
    `anext` does, may lose what was being read: from then on `StreamIncomplete` is raised.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._chunks = _achunks(self.response)
        self._is_timed = "network_stream" in self.response.extensions
        self._waiting: anyio.CancelScope | None = None

    async def read_all(self) -> list[tuple[H, P]]:
        """All messages that have not been read yet, in memory.

        Returns:
            The `(header, payload)` of each.

        Raises:
            ObjectStreamError: As iteration does. What was read before is lost then: iterate to keep it.
        """
        return [message async for message in self]

    async def aclose(self) -> None:
        """Give the stream up, from this task or another: a read that waits ends at once, with `StreamIncomplete`.

        Everybody who goes on gets that error, unless the end of the stream had come. The connection is closed, or the
        stream of HTTP/2 reset. The `async with` block still has to be left.
        """
        self._give_up()
        if http2.is_http2(self.response):
            await http2.aleave(self.response, wake=True)
        elif self._waiting is not None:
            self._waiting.cancel()
        elif not self.response.is_closed:
            self._limit.interrupt()

    async def _read(self) -> bytes | None:
        while (piece := self._piece()) is None:
            self._begin_read()
            try:
                chunk = await (self._next_chunk() if self._is_timed else self._next_chunk_in_time())
            except (*self._cuts, TimeoutError) as error:
                self._cut(error)
                return None
            finally:
                self._limit.end()
            if not self._decompresses(chunk):
                return chunk
        return piece

    async def _next_chunk(self) -> bytes | None:
        return await anext(self._chunks, None)

    async def _next_chunk_in_time(self) -> bytes | None:
        """For a transport that does not time its reads, in this process or in a test."""
        try:
            with anyio.fail_after(self._limit.left()) as self._waiting:
                return await self._next_chunk()
        finally:
            self._waiting = None
        return None  # `aclose` has cancelled the read


# --------------------------------------------------------------------------------------------------- the request


def _library(client: Any, wanted: str, call: str) -> Any:
    """The module, httpx or httpx2, that `client` is of. Raises `TypeError` if it is no client for `call`."""
    for base in type(client).__mro__:
        module = base.__module__.partition(".")[0]
        if module in ("httpx", "httpx2"):
            library = sys.modules[module]
            if isinstance(client, getattr(library, wanted)):
                return library
            if isinstance(client, library.Client | library.AsyncClient):
                other = "aopen_stream, with async with," if call == "open_stream" else "open_stream, with with,"
                raise TypeError(f"{call} takes an {module}.{wanted}; for {module}.{base.__name__} use {other}")
    what = f"the class {client.__name__}" if isinstance(client, type) else f"an object of {type(client).__name__}"
    raise TypeError(f"{call} takes an httpx.{wanted} or httpx2.{wanted}, not {what}")


def _prepare(client: Any, library: Any, options: RequestOptions) -> dict[str, Any]:
    """The options with headers and timeout completed. The caller's own objects are not changed."""
    headers = library.Headers(options.get("headers"))
    if "accept" not in headers and client.headers.get("accept", "*/*") == "*/*":
        headers["accept"] = ACCEPT
    if "accept-encoding" not in headers:
        # Compression holds frames back until a block is full, and makes sound larger.
        headers["accept-encoding"] = "identity"
    prepared: dict[str, Any] = {**options, "headers": headers}
    if "timeout" not in options and client.timeout == library.Timeout(_HTTPX_SECONDS):
        prepared["timeout"] = library.Timeout(_HTTPX_SECONDS, read=FIRST_READ_SECONDS)
    return prepared


_HTTPX_SECONDS: Final = 5.0
"""The timeouts that httpx has by default."""


class _TransportTimeout(ReadLimit):
    """A limit that the transport itself keeps: it looks at the request's timeouts, for HTTP/2 before each read.

    Several reads may be needed until something comes for one stream of a connection. So what the transport gets is what
    is left of the time since `begin`.
    """

    def __init__(self, timeouts: _Timeouts) -> None:
        super().__init__(timeouts.get("read"))
        timeouts.limit = self
        self._began = 0.0

    def begin(self) -> None:
        self._began = time.monotonic()

    def left_of_this_read(self) -> float | None:
        """How long the transport may wait from now on."""
        left = self.left()
        if left is None or self.seconds is None:
            return left
        # Not 0, which would mean not to wait at all, and another error.
        return max(0.001, min(left, self._began + self.seconds - time.monotonic()))


class _Timeouts(dict[str, Any]):
    """The timeouts of a request, as httpx makes them. That of reads follows a limit."""

    limit: _TransportTimeout | None = None

    def get(self, key: str, default: Any = None) -> Any:
        if key == "read" and self.limit is not None:
            return self.limit.left_of_this_read()
        return super().get(key, default)


def _read_limit(response: Any) -> ReadLimit:
    """What limits the reads of the body, beginning with the read timeout of the request.

    httpcore takes the read timeout from the request's extensions. Over HTTP/2 it does so for each read, so it is told
    what is left; the connection belongs to other responses too and must not be shut down. Over HTTP/1.1 it
    does so once, when the body begins: there it is switched off, and a watchdog times the reads of the socket, which
    the documented extension `network_stream` gives. Other transports (in this process, mocks) may look at the request's
    timeout or not; the asynchronous stream times them itself.
    """
    extensions = response.request.extensions
    # A copy: the dict may be the caller's own.
    timeouts = extensions["timeout"] = _Timeouts(extensions.get("timeout") or {})
    sock = _network_info(response, "socket")
    if sock is None or response.http_version == "HTTP/2":
        return _TransportTimeout(timeouts)
    seconds = timeouts.get("read")
    timeouts["read"] = None
    # A closed response has given its connection back: it must not be shut down any more.
    return WatchedReads(sock, lambda: response.is_closed or bool(_network_info(response, "is_readable")), seconds)


def _read_larger_pieces(response: Any) -> None:
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


def _network_info(response: Any, name: str) -> Any:
    network = response.extensions.get("network_stream")
    return None if network is None else network.get_extra_info(name)


# -------------------------------------------------------------------------------------------------- the response


def _media_type(response: Any) -> MediaType:
    """The content type; its name is empty if there is none, or none that can be read."""
    return parse_media_type(response.headers.get("content-type", "")) or MediaType("", {})


class _Refusal(NamedTuple):
    """Why a response is not read as a stream: how many bytes of its body to show, and the error that shows them."""

    size: int
    error: Callable[[bytes], ObjectStreamError]


def _refuse(response: Any, coder: str) -> _Refusal | None:
    """`None` for a response that can be read as a stream."""
    if not response.is_success:
        return _Refusal(_PROBLEM_SIZE, lambda body: _problem(response, body))
    reason = _reason_to_refuse(response, coder)
    if reason is None:
        return None
    return _Refusal(_BEGINNING_SIZE, lambda beginning: _not_a_stream(reason, response, beginning))


def _problem(response: Any, body: bytes) -> ResponseError:
    error = read_problem(response.status_code, response.reason_phrase, body, response.headers)
    if response.next_request is None:
        return error
    told = f"a redirect to {response.next_request.url}, which was not followed: follow_redirects=True follows it"
    return ResponseError(error.code, told, error.details, error.status, body, error.headers, error.retry_after)


def _reason_to_refuse(response: Any, coder: str) -> str | None:
    kind, parameters = _media_type(response)
    if kind not in (MEDIA_TYPE, PLAIN_MEDIA_TYPE):
        sent = kind or response.headers.get("content-type")
        reason = f"the content type is {sent!r:.80}" if sent else "the response has no Content-Type"
        if kind == "application/jsonl":  # what FastAPI makes of any endpoint that yields
            reason += "; an endpoint of FastAPI that yields needs response_class=FrameResponse.of(coder)"
        return reason
    if kind == MEDIA_TYPE and parameters.get("v") != str(VERSION):
        return f"the stream is of version {parameters.get('v')!r}, this reader knows '{VERSION}'"
    if parameters.get("coder", coder) != coder:
        return f"the stream's coder is {parameters['coder']!r}, this reader's {coder!r}"
    encoding = _content_encoding(response)
    if encoding not in ("", "identity", *ENCODINGS):
        return f"its Content-Encoding is {encoding!r}, which is not read here"
    return None


def _not_a_stream(reason: str, response: Any, beginning: bytes) -> ContentTypeError:
    content_type = response.headers.get("content-type", "")
    starts = f"the body begins {excerpt(beginning)!r}" if beginning else "the body is empty"
    message = f"{reason}; expected {MEDIA_TYPE};v={VERSION} or {PLAIN_MEDIA_TYPE}; {starts}"
    return ContentTypeError(message, content_type, beginning)


class _Beginning:
    """Collects the first `size` bytes of a body, decompressed."""

    def __init__(self, response: Any, size: int) -> None:
        self._inflater = _inflater(response)
        self._size = size
        self._collected = bytearray()

    def add(self, chunk: bytes) -> bool:
        """Take a chunk of the body. Whether that is enough."""
        self._collected += chunk if self._inflater is None else next(self._inflater.feed(chunk), b"")
        return len(self._collected) >= self._size

    def __bytes__(self) -> bytes:
        return bytes(self._collected[: self._size])


def _read_beginning(response: Any, size: int, limit: ReadLimit, library: Any) -> bytes:
    """The first bytes of a body: as many as arrive within a few seconds."""
    beginning = _Beginning(response, size)
    limit.end_within(_BEGINNING_SECONDS)
    limit.begin()
    with suppress(library.TransportError, zlib.error, *http2.read_errors(response)):
        for chunk in _chunks(response):
            if beginning.add(chunk) or not limit.left():
                break
    return bytes(beginning)


async def _aread_beginning(response: Any, size: int, library: Any) -> bytes:
    beginning = _Beginning(response, size)
    chunks = _achunks(response)
    cuts = (library.TransportError, zlib.error, *http2.read_errors(response))
    with suppress(*cuts), anyio.move_on_after(_BEGINNING_SECONDS):
        async with aclosing(chunks):
            async for chunk in chunks:
                if beginning.add(chunk):
                    break
    return bytes(beginning)


def _chunks(response: httpx.Response) -> Iterator[bytes]:
    """The body as it was sent. Where it was read already, by an event hook or in a test, httpx has decompressed it."""
    return response.iter_bytes() if response.is_stream_consumed else response.iter_raw()


def _achunks(response: Any) -> Any:  # an AsyncGenerator, which httpx calls an AsyncIterator
    return response.aiter_bytes() if response.is_stream_consumed else response.aiter_raw()


def _content_encoding(response: Any) -> str:
    encoding: str = response.headers.get("content-encoding", "")
    return encoding.strip().lower()


def _inflater(response: Any) -> Inflater | None:
    return Inflater() if _content_encoding(response) in ENCODINGS and not response.is_stream_consumed else None
