"""Resuming a stream that was cut (SPEC section 6.3, "Resuming"): the streams of `open_stream(..., resume=True)`.

**How it works.** The `open` frame of a stored stream says where it can be picked up. When the connection breaks or
falls silent, the rest is asked for there, with GET and the number of data frames that have come. The request that
began the stream is never sent again: it may have started something. What comes is one iteration over several responses,
in which every message is delivered once. A gap is an error, `data_loss`, and no end of a response is taken for the end
of the stream unless it says so.

**When to try again.** After a cut, silence, an error of the transport, and the answers 429, 502, 503, 504. The store
behind the server may just be given again what it had lost: so 404 and 400 with `out_of_range` are tried again too,
for `LOST_SECONDS` from the first of them, if there were data before. Everything else is final, the stream's own `end`
first of all. Before each attempt passes what the server asked for with `Retry-After`, or else a random time, longer
after each failure in a row: many clients that were cut together do not come back together.
"""

from __future__ import annotations

import dataclasses
import json
import random
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any, Final, Generic, NoReturn, TypeVar

import anyio

from .errors import ContentTypeError, PayloadError, ResponseError, StreamError, StreamIncomplete, TruncatedFrame
from .media_type import parse_media_type
from .protocol import MEDIA_TYPE
from .response_problems import read_problem

__all__ = ["AsyncResumingStream", "Place", "ResumingStream", "Resumption", "place_of"]

H = TypeVar("H")
P = TypeVar("P")

PATIENCE_SECONDS: Final = 300.0
"""What `resume=True` means: how long the stream may be out of reach."""

LOST_SECONDS: Final = 10.0
FIRST_WAIT: Final = 0.25
LONGEST_WAIT: Final = 10.0
WORKS_SECONDS: Final = 15.0
"""A response that lasted for so long was no failed attempt, even if it had no data frame."""

_AGAIN: Final = {429, 502, 503, 504}
_BODY: Final = {"content", "data", "files", "json", "params"}
_HEADERS_OF_BODY: Final = {"content-type", "content-length", "content-encoding", "last-event-id", "transfer-encoding"}


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a reader is in a stored stream. To be kept over a restart.

    Args:
        url: of the stream, absolute.
        position: how many data frames the reader has had.

    >>> place = Place("https://example.org/streams/2f1c9a70-5e0b-4d0e-9c52", 7)
    >>> Place.from_json(place.to_json()) == place
    True
    """

    url: str
    position: int

    def to_json(self) -> str:
        """As a JSON object with the members `url` and `position`."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str | bytes) -> Place:
        """The inverse of `to_json`.

        Args:
            text: what `to_json` has given.

        Returns:
            The place.

        Raises:
            ValueError: The text is anything else.
        """
        said = json.loads(text)
        if not isinstance(said, dict) or type(said.get("url")) is not str or type(said.get("position")) is not int:
            raise ValueError("a place is a JSON object with url, a string, and position, an integer")
        return cls(said["url"], said["position"])


def place_of(response: Any, resume: str | None, position: int) -> Place | None:
    """The place, `resume` being what the `open` frame of this response said; `None` if it said nothing usable.

    A URL of another origin is passed over, also where a redirect has led there: our credentials would go with us.
    """
    if resume is None:
        return None
    try:
        url = response.url.join(resume)
    except Exception:  # noqa: BLE001  httpx and httpx2 have each an InvalidURL of their own
        return None
    asked = response.history[0].url if response.history else response.url
    return Place(str(url), position) if _origin(url) == _origin(response.url) == _origin(asked) else None


def _origin(url: Any) -> tuple[Any, ...]:
    return url.scheme, url.host, url.port or {"http": 80, "https": 443}.get(url.scheme)


class Resumption:
    """Which messages are new, and whether and when to try again. Knows the rules, and does no input or output."""

    def __init__(self, patience: float, transport_error: Any, clock: Callable[[], float] = time.monotonic) -> None:
        self.place: Place | None = None
        self.position = 0
        self._patience = patience
        self._transport_error = transport_error
        self._clock = clock
        self._failures = 0  # in a row
        self._trouble_since: float | None = None
        self._lost_since: float | None = None  # the server does not find the stream, or not so much of it
        self._opened_at: float | None = None  # of the response that is read
        self._has_data = False

    def opened(self) -> None:
        """A response has begun."""
        self._opened_at = self._clock()

    def is_new(self, position: int) -> bool:
        """Whether the message at this position is to be delivered; it counts from then on. Raises `StreamError`."""
        if position <= self.position:
            return False
        if position > self.position + 1:
            self._lost(position - 1)
        self.position = position
        self._failures = 0
        self._trouble_since = self._lost_since = None
        self._has_data = True
        return True

    def ended(self, position: int) -> None:
        """A response has ended the stream at this position. Raises `StreamError` if it is not ours."""
        if position != self.position:
            self._lost(position)

    def _lost(self, position: int) -> NoReturn:
        raise StreamError(
            "data_loss", f"{self.position} data frames have come, and the server goes on after {position}"
        )

    def wait_after(self, error: Exception) -> float:
        """How many seconds to wait before the next attempt. Raises `error` if there is to be none."""
        now = self._clock()
        lasted = 0.0 if self._opened_at is None else now - self._opened_at
        if self._trouble_since is None or lasted > WORKS_SECONDS:
            self._trouble_since = now
            self._failures = 0
        self._opened_at = None
        trouble = now - self._trouble_since
        if self.place is None and isinstance(error, StreamIncomplete | TruncatedFrame):
            error.add_note("it was not resumed: the server named no place at its own origin where the stream is kept")
        if self.place is None or not self._may_pass(error, now):
            raise error
        wait = getattr(error, "retry_after", None)
        if wait is None:
            longest = min(FIRST_WAIT * 2 ** min(self._failures, 10), LONGEST_WAIT)
            wait = random.uniform(0, longest)  # noqa: S311  no secret
        self._failures += 1
        if trouble + wait > self._patience:
            raise error
        return float(wait)

    def _may_pass(self, error: Exception, now: float) -> bool:
        if isinstance(error, ResponseError):
            if error.status in _AGAIN:
                return True
            lost = error.status == 404 or (error.status == 400 and error.code == "out_of_range")
            if not lost or not self._has_data:
                return False
            if self._lost_since is None:
                self._lost_since = now
            return now - self._lost_since < LOST_SECONDS
        # IdleTimeout is a StreamIncomplete.
        return isinstance(error, StreamIncomplete | TruncatedFrame | self._transport_error)


def request_at(place: Place, options: Mapping[str, Any], library: Any) -> tuple[Any, dict[str, Any]]:
    """The URL and the options of the GET for the rest of a stream: those of its first request, without its body."""
    url = library.URL(place.url).copy_set_param("position", str(place.position))
    return url, _without_body(options, library)


def _without_body(options: Mapping[str, Any], library: Any) -> dict[str, Any]:
    kept = {name: value for name, value in options.items() if name not in _BODY}
    headers = library.Headers(options.get("headers"))
    for name in _HEADERS_OF_BODY & set(headers):
        del headers[name]
    return {**kept, "headers": headers}


def _check_resumption(response: Any) -> None:
    """Raises `ContentTypeError` for a plain stream: it says neither where it begins nor that it is whole."""
    content_type = response.headers.get("content-type", "")
    parsed = parse_media_type(content_type)
    if parsed is None or parsed.name != MEDIA_TYPE:
        raise ContentTypeError(f"the rest of a stream comes as {MEDIA_TYPE}, not {content_type!r:.80}", content_type)


def _closed(position: int) -> StreamIncomplete:
    return StreamIncomplete(f"the stream was closed by the reader after {position} data frames", position)


def _refusal(response: Any) -> ResponseError:
    return read_problem(response.status_code, response.reason_phrase, response.content, response.headers)


class _Resuming(Generic[H, P]):
    """What both kinds of resuming stream have in common."""

    def __init__(
        self,
        client: Any,
        library: Any,
        open_response: Callable[..., Any],
        options: Mapping[str, Any],
        resume: bool | float,
        place: Place | None = None,
    ) -> None:
        patience = PATIENCE_SECONDS if resume is True else float(resume)
        self._client: Any = client
        self._library = library
        self._open_response = open_response
        self._options = options
        self._resumption = Resumption(patience, library.TransportError)
        if place is not None:
            self._resumption.place = place
            self._resumption.position = place.position
        self._stream: Any = None
        self._context: Any = None
        self._looked_at: Any = None
        self._failure: Exception | None = None
        self._over = False
        self._closed = False

    @property
    def position(self) -> int:
        """How many data frames of the stream have come, unreadable ones included."""
        return self._resumption.position

    @property
    def place(self) -> Place | None:
        """Where to go on after a restart; `None` while the server has not said that the stream can be resumed."""
        self._look()
        place = self._resumption.place
        return None if place is None else dataclasses.replace(place, position=self.position)

    @property
    def response(self) -> Any:
        """The response of httpx or httpx2 that is read, or was read last."""
        return self._stream.response

    @property
    def trailers(self) -> dict[str, Any] | None:
        """What the server sent with the end of the stream; `None` before the end."""
        return None if self._stream is None else self._stream.trailers

    @property
    def metadata(self) -> dict[str, Any]:
        """What the server sent with the `open` frame."""
        return {} if self._stream is None else self._stream.metadata

    @property
    def heartbeat(self) -> float | None:
        """The server promised to send something at least every so many seconds."""
        return None if self._stream is None else self._stream.heartbeat

    def __repr__(self) -> str:
        state = "closed" if self._closed else "ended" if self._over else "open"
        return f"<{type(self).__name__}, {state}, position {self.position}>"

    def _look(self) -> None:
        """Take the place that the current response has told, if it has."""
        if self._looked_at is not self._stream and (place := self._stream.place) is not None:
            self._looked_at = self._stream
            self._resumption.place = place

    def _goes_on(self) -> bool:
        if self._failure is not None:
            raise self._failure.with_traceback(None)
        if self._closed and not self._over:
            raise _closed(self.position)
        return not self._over

    def _take(self, message: Any) -> bool:
        """Whether a message that the current response has given is to be delivered."""
        return self._resumption.is_new(self._stream.position)

    def _unreadable(self) -> bool:
        return self._resumption.is_new(self._stream.position)

    def _ended(self) -> None:
        try:
            self._resumption.ended(self._stream.position)
        except StreamError as error:
            self._failure = error
            raise
        self._over = True

    def _wait_after(self, error: Exception) -> float:
        self._look()
        if self._closed:
            self._failure = _closed(self.position)
            raise self._failure from error
        try:
            return self._resumption.wait_after(error)
        except Exception as final:
            self._failure = final
            raise

    def _next_request(self) -> tuple[str, Any, dict[str, Any]]:
        place = self.place
        assert place is not None, "only what can be resumed is asked for again"
        return ("GET", *request_at(place, self._options, self._library))

    def _stop_request(self) -> tuple[str, dict[str, Any]]:
        place = self.place
        if place is None:
            raise RuntimeError("the server has not said that the stream goes on without us: leave the block instead")
        return place.url, _without_body(self._options, self._library)


class ResumingStream(_Resuming[H, P], Iterator[tuple[H, P]]):
    """The messages of one stream, in order, over as many responses as it takes. From `open_stream(..., resume=True)`.

    Leaving the block leaves the stream, which goes on at the server; `stop` ends it for everybody.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._left = threading.Event()

    def begin(self, method: Any, url: Any) -> None:
        """Send the first request. What it raises is not tried again."""
        self._open(method, url, dict(self._options), resumes=False)

    def begin_at_place(self) -> None:
        """Ask for the rest of a stream of another time. Where the server is out of reach, tries again."""
        while self._stream is None:
            try:
                self._open(*self._next_request())
            except Exception as error:  # noqa: BLE001  judged there
                self._left.wait(self._wait_after(error))

    def __next__(self) -> tuple[H, P]:
        while self._goes_on():
            try:
                if self._context is None:
                    self._open(*self._next_request())
                message: tuple[H, P] = next(self._stream)
                if self._take(message):
                    return message
            except StopIteration:
                self._ended()
                break
            except PayloadError:
                if self._unreadable():
                    raise
            except Exception as error:  # noqa: BLE001  judged there
                wait = self._wait_after(error)
                self._let_go()
                self._left.wait(wait)
        raise StopIteration

    def read_all(self) -> list[tuple[H, P]]:
        """All messages that have not been read yet, in memory.

        Returns:
            The `(header, payload)` of each.

        Raises:
            ObjectStreamError: As iteration does. What was read before is lost then: iterate to keep it.
        """
        return list(self)

    def stop(self) -> None:
        """End the stream for everybody, at the server. Its readers get `canceled`.

        Raises:
            ResponseError: The server has refused.
            RuntimeError: The server has not said that the stream goes on without us.
        """
        url, options = self._stop_request()
        response = self._client.request("DELETE", url, **options)
        if not response.is_success:
            raise _refusal(response)

    def close(self) -> None:
        """Leave the stream, from this thread or another: a read or a pause that waits ends at once."""
        self._closed = True
        self._left.set()
        if self._context is not None:
            self._stream.close()

    def leave(self) -> None:
        """The block is left."""
        self._closed = True
        self._left.set()
        self._let_go()

    def _open(self, method: str, url: Any, options: dict[str, Any], *, resumes: bool = True) -> None:
        context = self._open_response(self._client, method, url, **options)
        self._stream = context.__enter__()
        self._context = context
        self._resumption.opened()
        if resumes:
            _check_resumption(self._stream.response)

    def _let_go(self) -> None:
        context, self._context = self._context, None
        if context is not None:
            context.__exit__(None, None, None)


class AsyncResumingStream(_Resuming[H, P], AsyncIterator[tuple[H, P]]):
    """The messages of one stream, in order, over as many responses as it takes. From `aopen_stream(..., resume=True)`.

    Leaving the block leaves the stream, which goes on at the server; `stop` ends it for everybody.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._left = anyio.Event()

    async def begin(self, method: Any, url: Any) -> None:
        """Send the first request. What it raises is not tried again."""
        await self._open(method, url, dict(self._options), resumes=False)

    async def begin_at_place(self) -> None:
        """Ask for the rest of a stream of another time. Where the server is out of reach, tries again."""
        while self._stream is None:
            try:
                await self._open(*self._next_request())
            except Exception as error:  # noqa: BLE001  judged there
                await self._pause(self._wait_after(error))

    async def __anext__(self) -> tuple[H, P]:
        while self._goes_on():
            try:
                if self._context is None:
                    await self._open(*self._next_request())
                message: tuple[H, P] = await anext(self._stream)
                if self._take(message):
                    return message
            except StopAsyncIteration:
                self._ended()
                break
            except PayloadError:
                if self._unreadable():
                    raise
            except Exception as error:  # noqa: BLE001  judged there
                wait = self._wait_after(error)
                await self._let_go()
                await self._pause(wait)
        raise StopAsyncIteration

    async def read_all(self) -> list[tuple[H, P]]:
        """All messages that have not been read yet, in memory.

        Returns:
            The `(header, payload)` of each.

        Raises:
            ObjectStreamError: As iteration does. What was read before is lost then: iterate to keep it.
        """
        return [message async for message in self]

    async def stop(self) -> None:
        """End the stream for everybody, at the server. Its readers get `canceled`.

        Raises:
            ResponseError: The server has refused.
            RuntimeError: The server has not said that the stream goes on without us.
        """
        url, options = self._stop_request()
        response = await self._client.request("DELETE", url, **options)
        if not response.is_success:
            raise _refusal(response)

    async def aclose(self) -> None:
        """Leave the stream, from this task or another: a read or a pause that waits ends at once."""
        self._closed = True
        self._left.set()
        if self._context is not None:
            await self._stream.aclose()

    async def leave(self) -> None:
        """The block is left."""
        self._closed = True
        self._left.set()
        await self._let_go()

    async def _pause(self, seconds: float) -> None:
        with anyio.move_on_after(seconds):
            await self._left.wait()

    async def _open(self, method: str, url: Any, options: dict[str, Any], *, resumes: bool = True) -> None:
        context = self._open_response(self._client, method, url, **options)
        self._stream = await context.__aenter__()
        self._context = context
        self._resumption.opened()
        if resumes:
            _check_resumption(self._stream.response)

    async def _let_go(self) -> None:
        context, self._context = self._context, None
        if context is not None:
            await context.__aexit__(None, None, None)
