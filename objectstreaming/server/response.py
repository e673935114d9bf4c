"""`FrameResponse`: a source of messages as the body of an HTTP response (SPEC section 6, "HTTP and WebSocket").

**How it works.** The sender runs in the task that the server runs the response in. It waits for one event. The source's
runner (`sources.py`) sets it when the source has given something or has ended; the timers set it, of the heartbeat and
of the longest time that a stream may take. Then the sender does what is due, in this order:

    frames are there        send them all in one write, after the headers if those were not sent yet
    the source has ended    before the headers: a problem with its real status, if it failed; otherwise `end`
    a heartbeat has passed  headers and `open` if they were not sent yet; otherwise, if nothing was sent since, `ping`

A listener waits for `http.disconnect` and then cancels the sender, wherever it waits. However the sender ends, the
source has been cancelled and closed before the response returns.

**Failing late.** HTTP cannot take a 200 back. A client of version 1 gets the error in the `end` frame. For a plain
client the connection is aborted, and for one that reads a view after the view's own error, so that a cut answer does
not look like a whole one: the source's exception leaves
this response before the body has ended, and the server closes the connection inside a chunked body. Middleware can undo
that: `BaseHTTPMiddleware` (every `@app.middleware("http")`) holds the exception back until it has ended the body
itself, cleanly. Therefore the failure is not only raised but also *sent* (`_break_off`), as a message that passes
middleware and that no server can write (`_Unwritable`). The same happens when a deadline, a shutdown or a cancellation
from outside ends the stream.

**Whatever the endpoint has opened is closed**, however the response ends. A source that never ran is closed too, and
`background` runs after every end. Where the response raises, it runs in a task of its own, so that the exception
reaches the server within a second whatever `background` does.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections.abc import AsyncIterable, Callable, Iterable, Mapping, Sequence
from inspect import iscoroutine
from typing import Any, Final, Literal, NoReturn, Protocol, Self, TypeAlias, TypeVar

import anyio
from starlette.background import BackgroundTask
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ..coders import Coder, check_coder
from ..errors import ObjectStreamError, StreamError, code_for_status
from ..frames import Limits
from ..observe import Observer, Outcome, StreamRecord, Watch, observing
from ..protocol import StreamEncoder
from ..shutdown import SHUTTING_DOWN, running, stopping
from .body import Inbox
from .negotiation import Negotiated, check_default_type, has_received_the_end, negotiate
from .problems import early_response, problem_response, public_error, report, write_problem
from .sources import BATCH, Feed, Source, Writer, close_unused, runner_for
from .timing import TimedEncoder
from .views import View, ViewEncoder, views_of

__all__ = ["FrameResponse", "ResponseAborted", "StreamCut"]

H = TypeVar("H")
P = TypeVar("P")

Trailers: TypeAlias = Mapping[str, Any] | Callable[[], Mapping[str, Any] | None]

logger: Final = logging.getLogger("objectstreaming.server")

SHUTDOWN_SECONDS: Final = 1.0
"""How long sending the end to a client may take when its stream is stopped from outside."""

READING_SECONDS: Final = 0.1
"""How long a reader gets for the last bytes before its connection is aborted. Chromium drops bytes that its page has
not read when it sees the connection break."""

HANDING_ON_SECONDS: Final = 0.1
"""How long middleware gets to take the message that breaks a connection whose stream was given up."""

CANCELLED: Final = StreamError("unavailable", "the stream was cancelled before its end")

_HEADERS: Final = {
    # no-transform: a proxy that compresses would hold frames back.
    "Cache-Control": "no-store, no-transform",
    "Content-Encoding": "identity",  # says the same to the application's own middleware
    "X-Accel-Buffering": "no",  # nginx passes on what it gets at once
}
"""Unless the endpoint has others."""


class ResponseAborted(ObjectStreamError):
    """A plain stream failed after its first byte. Raised to the server, which then aborts the connection."""

    code = "aborted"


class StreamCut(Exception):
    """The error of a feed whose stream goes on elsewhere: the response has to break off here."""


class StreamStore(Protocol):
    """Where a `FrameResponse` with `store=` keeps its stream: a `Store` of `objectstreaming.store`."""

    async def begin(self, response: FrameResponse, request: HTTPConnection) -> FrameResponse:
        """Run the response's source, and store what it gives. A response that reads it from the store.

        Raises `StreamError` for what the client is to be told instead; the source is closed then.
        """


class FrameResponse(Response):
    """A stream of frames, from a sync or async iterable of `(header, payload)`, `Frame` or bytes of frames.

    Clients that ask for version 1 get it, with pings and an `end`. Clients that ask for `text/event-stream`,
    `application/x-ndjson` or `application/jsonl` get a view of the same messages (`views.py`), and all others the plain
    stream.

    The status waits for the first item, but no longer than one heartbeat: a source that fails before it gives a real
    4xx or 5xx with a JSON problem. Everything that the source has ready goes out in one write.

    In a source, raise `StreamError` to tell the client why it failed. Any other exception is logged, and sent as
    `internal`. To answer a request while its body still arrives, read it in the source with `read_messages` or
    `RequestBody`, not with `request.stream()`: the response itself waits for `http.disconnect`, and the two would take
    each other's messages.

    Args:
        source: gives the messages. If it is not async, it runs in a thread of its own, and may block.
        coder: encodes the messages.
        heartbeat: seconds of silence after which a ping is sent; `None`: no pings.
        status_code: as of any Starlette response; applies once there is a first item. So do `headers`.
        headers: as of any Starlette response, without `Content-Type`, which is negotiated.
        trailers: go out with the `end`: a mapping, or a function that is called when the source has ended well.
        metadata: goes out with the `open`.
        limits: those of the receivers: a frame beyond them is an error of the source.
        max_duration: seconds after which the stream ends with `deadline_exceeded`.
        batch: how many bytes the source may be ahead of a slow client; then it waits.
        background: runs when the response has ended, however it ends; with a store, when the stream has.
        views: more views, or others for the media types above.
        default_type: the media type that `*/*` and no `Accept` get instead of the plain stream.
        plain: whether anybody gets the plain stream. If not, 406 is the answer to who can read nothing else.
        store: keeps the stream, which then outlives this response (`objectstreaming.store`): the source runs until it
            ends or is stopped, whether anybody reads or not, and a client that was cut off goes on where it was.
        owner: who may read the stored stream again; "" is everybody who knows its id.
        id: of the stored stream, chosen by the client with a PUT. Whoever asks for an id that is there already joins
            that stream, from its beginning, and the source is closed.
        observer: is told of this response (`objectstreaming.observe`).
        timing: whether the trailers have a member `timing`, with `first`, `gap` and `stalled` in seconds, as in
            `StreamRecord`; so a browser sees them without any other tool.

    Raises:
        TypeError: The source is no iterable, or the coder no coder.
        ValueError: A number is out of range, a header cannot be kept, or options do not go together.

    >>> from fastapi import FastAPI
    >>> from objectstreaming import JsonCoder
    >>> app = FastAPI()
    >>> @app.get("/count")
    ... async def count() -> FrameResponse:
    ...     async def numbers():
    ...         for n in range(3):
    ...             yield {"status": "success"}, {"n": n}
    ...     return FrameResponse(numbers(), coder=JsonCoder())
    """

    def __init__(
        self,
        source: Source[H, P],
        *,
        coder: Coder[H, P],
        heartbeat: float | None = 15,
        status_code: int = 200,
        headers: Mapping[str, str] | None = None,
        trailers: Trailers | None = None,
        metadata: Mapping[str, Any] | None = None,
        limits: Limits | None = None,
        max_duration: float | None = None,
        batch: int = BATCH,
        background: BackgroundTask | None = None,
        views: Sequence[View] = (),
        default_type: str | None = None,
        plain: bool = True,
        store: StreamStore | None = None,
        owner: str = "",
        id: str | None = None,
        observer: Observer | None = None,
        timing: bool = False,
    ) -> None:
        if callable(source) and not isinstance(source, AsyncIterable | Iterable):
            name = getattr(source, "__name__", "source")
            raise TypeError(
                f"a source is an iterable of messages, not a function: FrameResponse({name}(), ...) calls it"
            )
        if iscoroutine(source):
            source.close()  # or else Python warns that nobody has awaited it
            raise TypeError(
                f"a source is an iterable of messages, not a coroutine: with a yield in it, {source.__name__} is one"
            )
        if not isinstance(source, AsyncIterable | Iterable) or isinstance(source, str | Mapping):
            raise TypeError(f"a source is an iterable or async iterable of messages, not {type(source).__name__}")
        _check_headers(headers or {})
        check_coder(coder)
        for name, seconds in (("heartbeat", heartbeat), ("max_duration", max_duration)):
            if seconds is not None and not 0 < seconds < math.inf:
                raise ValueError(f"{name} is a positive number of seconds, or None, not {seconds!r}")
        if batch < 1:  # an outbox without any bytes would always be full
            raise ValueError(f"batch is a positive number of bytes, not {batch!r}")
        if store is None and (owner or id is not None):
            raise ValueError("owner and id are those of a stored stream: give a store too")
        if store is not None and timing:
            raise ValueError("timing is that of one response, and a stored stream has the same end for all its readers")
        if not isinstance(owner, str):
            raise TypeError(f"owner is a string, not {type(owner).__name__}")
        self.store = store
        self.owner = owner
        self.id = id
        self.views = views_of(tuple(views))
        if default_type is not None:
            check_default_type(default_type, self.views, plain)
        self.default_type = default_type
        self.plain = plain
        self.source = source
        self.coder: Coder[Any, Any] = coder
        self.heartbeat = heartbeat
        self.trailers = trailers
        self.metadata = metadata
        self.limits = limits
        self.max_duration = max_duration
        self.batch = batch
        self.status_code = status_code
        self.background = background
        self.observer = observer
        self.timing = timing
        self.init_headers(headers)
        # Starlette makes one of `media_type`.
        self.raw_headers = [(name, value) for name, value in self.raw_headers if name != b"content-type"]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        if cls is FrameResponse and "coder" not in kwargs:  # as FastAPI calls the response_class of an endpoint
            raise TypeError(
                "a FrameResponse needs its coder: FrameResponse(source, coder=JsonCoder()); an endpoint that yields "
                "needs a response class that knows it: response_class=FrameResponse.of(JsonCoder())"
            )
        return super().__new__(cls)

    @classmethod
    def of(cls, coder: Coder[Any, Any], **options: Any) -> type[FrameResponse]:
        """A response class for endpoints that yield their messages, in FastAPI's own style.

        The status and the headers are the endpoint's own (`status_code=` of the route, a parameter of the type
        `Response`), and so are its dependencies, which are closed after the last byte. That is too early for a stored
        stream: with a `store`, an endpoint that has dependencies with `yield` raises `RuntimeError`.

        Args:
            coder: encodes the messages.
            **options: those of `FrameResponse`.

        Returns:
            A class for `response_class=`.

        Raises:
            TypeError: The coder is none, or an option does not exist.
            ValueError: An option is out of range.

        >>> from collections.abc import AsyncIterator
        >>> from fastapi import FastAPI
        >>> from objectstreaming import JsonCoder
        >>> app = FastAPI()
        >>> @app.get("/count", response_class=FrameResponse.of(JsonCoder(), heartbeat=5))
        ... async def count() -> AsyncIterator[tuple[dict, dict]]:
        ...     for n in range(3):
        ...         yield {"status": "success"}, {"n": n}
        """
        check_coder(coder)
        if "status_code" in options:
            raise TypeError("the status is the route's: @app.get(..., status_code=201, response_class=...)")
        FrameResponse((), coder=coder, **options)  # a wrong option is an error here, and not in the first request
        from .yielding import Yielding

        return type("FrameResponse", (Yielding,), {"coder_of_class": coder, "options": options})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._answer(scope, receive, send)
        except BaseException:
            if self.background is not None:
                await _run_apart(self.background)
            raise
        if self.background is not None:
            await self.background()

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        taken = False  # the source is somebody's who closes it
        write: Callable[[StreamError], bytes] = write_problem
        try:
            request = HTTPConnection(scope)
            try:
                if has_received_the_end(request):
                    await Response(status_code=204, headers={"Cache-Control": "no-store"})(scope, receive, send)
                    return
                negotiated = self._negotiate(request)
                write = _problem_writer(negotiated)
                stopping.refuse()
                if scope["method"] == "HEAD":
                    self._set_headers(negotiated)
                    await self._send_head(send)
                    return
                response: FrameResponse = self
                if self.store is not None:
                    taken = True
                    response = await self.store.begin(self, request)
                    response.observer = self.observer
            except StreamError as error:
                await problem_response(error, write)(scope, receive, send)
                return
            taken = True
            await response._send_stream(negotiated, scope, receive, send)
        finally:
            if not taken:
                with anyio.CancelScope(shield=True):
                    await close_unused(self.source)

    def _negotiate(self, request: HTTPConnection) -> Negotiated:
        return negotiate(request, self.coder.name, views=self.views, default_type=self.default_type, plain=self.plain)

    async def _send_head(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send_stream(self, negotiated: Negotiated, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            self._set_headers(negotiated)
            exchange = _Exchange(self, negotiated, scope, receive, send)
        except BaseException:
            await close_unused(self.source)
            raise
        await exchange.run()

    _content_type: str | None = None
    """What it was when the response was sent before: one with a list can be sent again."""

    # What differs where the stream is a copy of one that a store has.

    _is_copy = False
    """Whether the stream may go on elsewhere. What ends only this response then breaks it off without an end."""

    _waits_for_status = True
    """Whether an error before the first item is answered with its status, and the headers wait for that item."""

    def _encoder(self, negotiated: Negotiated, position: int | None = None) -> ViewEncoder:
        if negotiated.timed:
            return TimedEncoder(self.coder, limits=self.limits)
        if negotiated.view is None:
            return StreamEncoder(self.coder, negotiated.version, limits=self.limits)
        return negotiated.view.encoder(self.coder, self.limits or Limits(), position)

    def _opening(self, encoder: ViewEncoder) -> bytes:
        return encoder.open(heartbeat=self.heartbeat, metadata=self.metadata)

    def _feed(self, encoder: ViewEncoder, notify: Callable[[], None]) -> Feed:
        return runner_for(self.source, Writer(encoder, self.coder, self.limits), notify, self.batch)

    def _set_headers(self, negotiated: Negotiated) -> None:
        _check_headers(self.headers, self._content_type)  # a dependency, or the endpoint, may have set more
        self.headers["Content-Type"] = self._content_type = negotiated.media_type
        self.headers.add_vary_header("Accept")
        for name, value in _HEADERS.items():
            self.headers.setdefault(name, value)
        if negotiated.view is not None:
            self.headers.update(negotiated.view.headers)
        del self.headers["Content-Length"]  # there may be one in the headers of a response that is relayed


def _problem_writer(negotiated: Negotiated) -> Callable[[StreamError], bytes]:
    return write_problem if negotiated.view is None else negotiated.view.problem


def _check_headers(headers: Mapping[str, str], content_type: str | None = None) -> None:
    """Raise `ValueError` for what a `FrameResponse` cannot keep, and would have to drop."""
    for name, value in headers.items():
        if name.lower() == "content-type" and value != content_type:
            raise ValueError(
                "the Content-Type of a FrameResponse is negotiated with the client: leave it out of the headers"
            )
        if name.lower() == "content-encoding" and value.lower() != "identity":
            raise ValueError(f"a FrameResponse is not encoded, and cannot have the Content-Encoding {value!r:.80}")


class _Exchange:
    """One run of a `FrameResponse`: what sender, timers and listener share."""

    def __init__(
        self, response: FrameResponse, negotiated: Negotiated, scope: Scope, receive: Receive, send: Send
    ) -> None:
        self._response = response
        view = negotiated.view
        self._plain = view is None and negotiated.version is None  # nothing but messages can be sent
        self._knows_failure = negotiated.version is not None  # no reader takes the stream for whole after an error
        self._write_problem = _problem_writer(negotiated)
        self._asgi = scope, receive, send
        self._send = send
        self._encoder = response._encoder(negotiated)
        # Encoded before the source runs: from then on its thread may be encoding.
        self._opening = b""
        if not self._plain:
            self._opening = response._opening(self._encoder)
        self._something_to_do = asyncio.Event()
        self._feed = response._feed(self._encoder, self._something_to_do.set)
        self._inbox = Inbox.of(scope, receive)
        self._loop = asyncio.get_running_loop()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._sending = anyio.CancelScope()
        self._started = False  # the headers were sent
        self._writing = False  # in send(): nobody knows how much of the current write was sent
        self._ended = False  # the last byte was sent
        self._left = False  # the client has left
        self._sent_at = self._loop.time()
        self._heartbeat_passed = not response._waits_for_status
        self._stopped: StreamError | None = None  # why the stream has to end before its source
        self._closing = False
        self._failure: BaseException | None = None  # why it did not end well
        self._is_logged = False
        self._early_status: int | None = None  # of the answer to a failure before the first item
        self._position = self._encoder.position  # before the first message
        told = observing(response.observer)
        if told is None and response.timing:
            told = []
        self._watch: Watch | None = None if told is None else Watch(self._record(), told)

    async def run(self) -> None:
        """Send the stream, or the problem that came before it."""
        if self._watch is not None:
            self._watch.started()
        try:
            await self._run()
        except Exception as error:
            self._failure = self._failure or error
            raise
        finally:
            self._report()

    async def _run(self) -> None:
        response = self._response
        try:
            self._feed.start()
        except RuntimeError:  # no more threads
            self._failure = StreamError("unavailable", "the server is overloaded: it cannot start another thread")
            await close_unused(response.source)
            busy = StreamError("unavailable", "the server is overloaded")
            await self._answer_early(problem_response(busy, self._write_problem))
            return
        if response.heartbeat is not None:
            self._set_timer("heartbeat", response.heartbeat, self._on_heartbeat)
        if response.max_duration is not None:
            expired = StreamError("deadline_exceeded", f"the stream took longer than {response.max_duration:g} s")
            self._set_timer("duration", response.max_duration, self.stop, expired)
        listener = self._loop.create_task(self._listen())
        running.add(self)
        if stopping.begun:  # while the store was asked
            self.stop(SHUTTING_DOWN)
        try:
            with self._sending:
                await self._stream()
            if self._stopped is not None and not self._ended and not self._left:  # the client reads nothing any more
                self._failure = self._failure or self._stopped
                why = f"the stream was given up: {self._stopped.code}"
                await self._break_off(why, HANDING_ON_SECONDS)
                raise ResponseAborted(why)
        except OSError:
            pass  # servers may raise it from send() when the client has left (ASGI 2.4)
        except asyncio.CancelledError:
            await self._end_cancelled()
            raise
        finally:
            running.discard(self)
            for timer in self._timers.values():
                timer.cancel()
            listener.cancel()
            self._feed.stop()
            with anyio.CancelScope(shield=True):
                await asyncio.wait([listener])
                await self._feed.closed()

    def stop(self, why: StreamError) -> None:
        """End the stream with an error, after the frames that are ready. A client that reads nothing gets one
        second."""
        if self._response._is_copy and self._stopped is None and not self._closing:
            # If this process writes the stream, its end comes now.
            self._closing = True
            self._set_timer("closing", SHUTDOWN_SECONDS / 4, self.stop, why)
            return
        self._stopped = why
        self._something_to_do.set()
        self._set_timer("shutdown", SHUTDOWN_SECONDS, self._sending.cancel)

    def stop_from_anywhere(self, why: StreamError) -> None:
        """`stop`, from another thread or a signal handler."""
        self._loop.call_soon_threadsafe(self.stop, why)

    # ------------------------------------------------------------------------------------------- the sender

    async def _stream(self) -> None:
        feed = self._feed
        while True:
            self._something_to_do.clear()
            if self._stopped is not None:
                feed.stop()
            idle = self._stopped is not None and feed.idle
            batch = feed.take()
            if (feed.finished or idle) and not feed.held:
                await self._finish(batch, self._stopped or feed.error)
                return
            if batch:
                self._heartbeat_passed = False
                await self._write(batch)
            elif self._heartbeat_passed:
                self._heartbeat_passed = False
                # The headers may wait in the server for something to go out with them: `open`, or else a ping.
                silent = self._plain or (not self._started and self._opening)
                ping = b"" if silent else self._encoder.ping()
                if ping and self._watch is not None:
                    self._watch.record.pings += 1
                await self._write(ping, messages=False)
            if feed.held:  # send() may never wait, and would keep the event loop to this stream
                await asyncio.sleep(0)
            else:
                await self._something_to_do.wait()

    async def _write(self, data: bytes, *, more: bool = True, messages: bool = True) -> None:
        self._writing = True
        watch = self._watch
        frames, since = (0, 0.0) if watch is None else (self._frames, watch.clock())
        if not self._started:
            self._started = True
            data = (self._encoder.opening() if isinstance(self._encoder, TimedEncoder) else self._opening) + data
            response = self._response
            await self._send(
                {"type": "http.response.start", "status": response.status_code, "headers": response.raw_headers}
            )
        if data or not more:
            await self._send({"type": "http.response.body", "body": data, "more_body": more})
            self._ended = not more
            if watch is not None:
                watch.wrote(len(data), frames, messages=messages, since=since)
        self._writing = False
        self._sent_at = self._loop.time()

    async def _finish(self, batch: bytes, error: BaseException | None) -> None:
        """Send the last frames, and the end or what the failure requires."""
        if isinstance(error, StreamCut) or (self._stopped is not None and self._response._is_copy):
            error = self._failure = SHUTTING_DOWN
            if batch:
                await self._write(batch)
            if self._started:
                await self._abort(SHUTTING_DOWN)
        self._failure = self._failure or error
        if error is None:
            try:
                end = self._end(messages=bool(batch))
            except BaseException as caught:  # noqa: BLE001  the trailers' function is the caller's, as the source is
                self._failure = error = caught
            else:
                await self._write(batch + end, more=False, messages=bool(batch))
                return
        if not self._started and not batch and (self._response._waits_for_status or self._plain):
            await self._answer_early(await early_response(error, self._asgi[0], self._write_problem))
            return
        failure = public_error(error)
        self._log("failed" if self._knows_failure else "aborted")
        if self._knows_failure:
            await self._write(batch + self._encoder.end(error=failure), more=False, messages=bool(batch))
        else:
            messages = batch
            if not self._plain:
                try:
                    batch += self._encoder.end(error=failure)
                except Exception:  # a view may be the caller's, and the connection is aborted in any case
                    logger.exception("a view cannot write the error %r", failure.code)
            if batch:
                await self._write(batch, messages=bool(messages))
            await asyncio.sleep(READING_SECONDS)
            await self._abort(failure)

    async def _answer_early(self, response: Response) -> None:
        self._started = self._writing = True
        self._early_status = response.status_code
        self._log("failed")
        await response(*self._asgi)
        self._ended = True

    def _end(self, *, messages: bool) -> bytes:
        trailers = self._response.trailers
        if callable(trailers):
            trailers = trailers()
        if trailers is None:
            trailers = self._feed.trailers
        if self._response.timing and self._watch is not None:
            trailers = {"timing": self._watch.timing(messages=messages), **(trailers or {})}
        return b"" if self._plain else self._encoder.end(trailers=trailers or None)

    async def _abort(self, error: StreamError) -> NoReturn:
        why = f"the connection is aborted, so that the answer does not look whole: {error.code}"
        await self._break_off(why)
        raise ResponseAborted(why)

    async def _break_off(self, why: str, seconds: float | None = None) -> None:
        """Send what makes the server break the connection, also where middleware holds an exception back.

        It waits behind what was sent before, for `seconds` at most: past a reader that has stalled nothing can be sent.
        """
        with anyio.move_on_after(seconds):
            with contextlib.suppress(Exception):  # it is meant to fail, and `ResponseAborted` is raised for it
                await self._send(_Unwritable(why))

    async def _end_cancelled(self) -> None:
        """The server, a middleware or a timeout cancels the response. Send the end, if that is possible at once."""
        if self._ended:
            return
        self._feed.stop()
        why = SHUTTING_DOWN if stopping.begun else CANCELLED
        with anyio.move_on_after(SHUTDOWN_SECONDS, shield=True), contextlib.suppress(Exception):
            self._failure = self._failure or why
            if self._writing or (self._started and self._response._is_copy):
                # Nobody knows how much of the write was sent; and a copy goes on elsewhere.
                await self._break_off(str(why))
                return
            ready = []
            while not self._feed.idle or self._feed.held:
                self._something_to_do.clear()
                if batch := self._feed.take():
                    ready.append(batch)
                else:
                    await self._something_to_do.wait()
            await self._finish(b"".join(ready), why)

    # ------------------------------------------------------------------------------------------- what became of it

    @property
    def _frames(self) -> int:
        """The messages of this response."""
        return self._encoder.position - self._position

    def _record(self) -> StreamRecord:
        scope = self._asgi[0]
        return StreamRecord(
            scope["method"],
            scope.get("path", ""),
            self._response.coder.name,
            self._response.headers["Content-Type"].partition(";")[0],
            scope=scope,
        )

    def _log(self, outcome: Literal["failed", "aborted", "left"]) -> None:
        """Write the line about a stream that does not end well, before its client is told."""
        if self._is_logged:
            return
        self._is_logged = True
        scope = self._asgi[0]
        report(
            f"{scope['method']} {scope.get('path', '')}",
            outcome,
            self._code(outcome) or "",
            cause=self._failure,
            position=self._encoder.position,
            status=self._early_status,
            known=self._response._is_copy,
        )

    def _code(self, outcome: Outcome) -> str | None:
        if self._failure is None:
            return "canceled" if outcome == "left" else None
        error = public_error(self._failure)
        status = self._early_status
        return error.code if status in (None, error.http_status) else code_for_status(status or 0)

    def _report(self) -> None:
        """The stream is over: tell the log, if it does not know, and the observers."""
        outcome: Outcome = "ok" if self._failure is None else "failed"
        if not self._ended:
            outcome = "left" if self._failure is None else "aborted"
        if outcome != "ok":
            self._log(outcome)
        if self._watch is not None:
            status = self._early_status
            if status is None and self._started:
                status = self._response.status_code
            self._watch.record.status = status
            self._watch.ended(outcome, self._code(outcome), self._frames)

    # ------------------------------------------------------------------------------- the listener and the timers

    async def _listen(self) -> None:
        try:
            await self._inbox.wait_until_left()
        except Exception:
            logger.exception("the server cannot tell whether the client is still there; it is treated as having left")
        self._left = True
        self._sending.cancel()

    def _on_heartbeat(self) -> None:
        heartbeat = self._response.heartbeat
        assert heartbeat is not None
        silent = self._loop.time() - self._sent_at
        # A timer may fire a clock tick early. While a write waits for its reader, a ping would only wait behind it.
        if silent >= 0.999 * heartbeat:
            silent = 0.0
            if not self._writing:
                self._heartbeat_passed = True
                self._something_to_do.set()
        self._set_timer("heartbeat", heartbeat - silent, self._on_heartbeat)

    def _set_timer(self, name: str, seconds: float, function: Callable[..., object], *args: Any) -> None:
        self._timers[name] = self._loop.call_later(seconds, function, *args)


class _Unwritable(dict[str, Any]):
    """A message of a body that no server can write: the attempt raises `ResponseAborted`.

    It is its own body. `BaseHTTPMiddleware` takes a body that is a dict for a message that it does not know: it passes
    it on, and leaves it to its sender to end the response. Servers in Python fail when they ask for the body's length
    or its bytes. granian, which is not in Python, takes such a body for an empty one, but refuses the type.
    """

    def __init__(self, why: str) -> None:
        super().__init__(type=_BodyType("objectstreaming.abort"), body=self, more_body=True)
        self._why = why

    def __bool__(self) -> bool:
        return True

    def __len__(self) -> int:
        raise ResponseAborted(self._why)

    def __bytes__(self) -> bytes:
        raise ResponseAborted(self._why)


class _BodyType(str):
    """Equal to the type of a body, as middleware compares it, and not the same text."""

    __slots__ = ()
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        return other == "http.response.body"

    def __ne__(self, other: object) -> bool:
        return other != "http.response.body"


_apart: Final[set[asyncio.Task[None]]] = set()


async def _run_apart(background: BackgroundTask) -> None:
    """Run it in a task of its own, and wait for it for a second at most: an exception is on its way to the server."""
    task = asyncio.get_running_loop().create_task(_logged(background))
    _apart.add(task)  # the event loop itself would not keep it
    task.add_done_callback(_apart.discard)
    with anyio.CancelScope(shield=True):
        await asyncio.wait([task], timeout=SHUTDOWN_SECONDS)


async def _logged(background: BackgroundTask) -> None:
    try:
        await background()
    except Exception:
        logger.exception("the background task of a stream that was broken off has failed")
