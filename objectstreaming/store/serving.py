"""`StoredResponse`: a stored stream as the body of an HTTP response, from any position.

**How it works.** A stored stream is read by a `Reader`, and sent by the same code as any `FrameResponse`, which takes
its frames from the reader itself (`StoredFeed`): no task stands between. They were checked when they were written, so
they are passed on whole. Only for a view they are decoded. The response is a copy: what ends it alone, like the
shutdown of a process that does not write the stream, breaks it off without an end, and the client goes on elsewhere.

**Before the headers.** The position is judged, the stream is looked for, and `Accept` is: so each of them can be
answered with its own status. A stream that is not there, one that has expired, and one of another owner are answered
alike, after the same calls of the store.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import parse_qs

from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ..coders import Coder
from ..errors import StreamError
from ..frames import Frame
from ..protocol import StreamEncoder
from ..server.negotiation import Negotiated
from ..server.problems import problem_response
from ..server.response import FrameResponse
from ..server.sources import Feed
from ..server.views import View, ViewEncoder
from ..shutdown import stopping
from .feed import StoredFeed
from .reader import Reader, page_for
from .verbs import About

if TYPE_CHECKING:
    from .store import Store

__all__ = ["StoredResponse", "asked_position", "stored_problem"]

RETRY_AFTER: Final = {"Retry-After": "1"}
"""Of the answer that the store does not answer."""

_POSITION: Final = re.compile(r"[0-9]{1,15}", re.ASCII)


def asked_position(request: HTTPConnection) -> int | None:
    """The position that a request asks for, 0 by default; `None`: it has had the end.

    `Last-Event-ID` counts before `?position=`, because an `EventSource` keeps the URL that it was given. Raises
    `StreamError` (`invalid_argument`).
    """
    last = request.headers.get("last-event-id", "")
    if last == "end":
        return None
    asked = [last] if last else parse_qs(request.scope["query_string"].decode("latin-1"), True).get("position", ["0"])
    if len(asked) != 1 or not _POSITION.fullmatch(asked[0]):
        raise StreamError("invalid_argument", "a position is a number of 1 to 15 digits")
    return int(asked[0])


def stored_problem(error: StreamError) -> Response:
    """The response for an error of a store."""
    response = problem_response(error)
    if error.code == "unavailable":
        response.headers.update(RETRY_AFTER)
    return response


class _FramesOf(Coder[Any, Any]):
    """Stands for a coder of which only its name is known: it passes frames on, and can do nothing else."""

    name: ClassVar[str] = ""

    def __init__(self, about: About) -> None:
        self.name = about.coder  # type: ignore[misc]
        self.neutral = about.neutral  # type: ignore[misc]

    def encode(self, header: Any, payload: Any) -> bytes:
        raise NotImplementedError

    def decode(self, frame: Frame) -> tuple[Any, Any]:
        raise NotImplementedError


class StoredResponse(FrameResponse):
    """A stored stream from the position that the request asks for, with `?position=` or `Last-Event-ID`.

    HEAD is answered with `Stream-Position`, and `Stream-Ended` (`ok`, or the error's code) once the stream has ended.

    Args:
        store: that has the stream.
        id: of the stream.
        owner: who asks.
        coder: the coder that the stream was written with, or a mapping that has it under its name. Readers of frames
            need none, readers of views do.
        resume: the URI of this stream, which clients resume at.
        heartbeat: seconds of silence after which a ping is sent; `None`: no pings.
        headers: more headers of the response.
        views: more views, as of `FrameResponse`.
        default_type: what `*/*` and no `Accept` get, as of `FrameResponse`.
        plain: whether anybody gets the plain stream.
    """

    _is_copy = True
    _waits_for_status = False

    def __init__(
        self,
        store: Store,
        id: str,
        *,
        owner: str = "",
        coder: Coder[Any, Any] | Mapping[str, Coder[Any, Any]] | None = None,
        resume: str | None = None,
        heartbeat: float | None = 15,
        headers: Mapping[str, str] | None = None,
        views: Sequence[View] = (),
        default_type: str | None = None,
        plain: bool = True,
    ) -> None:
        super().__init__(
            (),
            coder=_FramesOf(About("", "")),
            heartbeat=heartbeat,
            headers=headers,
            views=views,
            default_type=default_type,
            plain=plain,
        )
        self._coders = {coder.name: coder} if isinstance(coder, Coder) else coder or {}
        self._stored_in = store
        self._id = id
        self._asked_by = owner
        self._resume = resume
        self._position = 0
        self._reader: Reader | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = HTTPConnection(scope)
        try:
            position = asked_position(request)
            if position is None:
                answer: Response = Response(status_code=204, headers={"Cache-Control": "no-store"})
            elif scope["method"] == "HEAD":
                answer = await self._head()
            else:
                stopping.refuse()
                await self._answer_get(position, request, receive, send)
                return
        except StreamError as error:
            answer = stored_problem(error)
        await answer(scope, receive, send)

    async def _answer_get(self, position: int, request: HTTPConnection, receive: Receive, send: Send) -> None:
        reader = self._stored_in.reader(self._id, position, owner=self._asked_by)
        async with reader:
            self._begin(reader)
            negotiated = self._negotiate(request)
            await self._send_stream(negotiated, request.scope, receive, send)

    async def _head(self) -> Response:
        page = await page_for(self._stored_in, self._id, self._asked_by, None)
        headers = {"Stream-Position": str(page.position), "Cache-Control": "no-store"}
        if page.end is not None:
            headers["Stream-Ended"] = page.end.code or "ok"
        return Response(headers=headers)

    def _begin(self, reader: Reader) -> None:
        about = reader.about
        known = self._coders.get(about.coder)
        if known is not None:
            self.coder = known
        else:
            self.coder = _FramesOf(about)
            self.views = ()
        self._reader = reader
        self._position = reader.position
        self.metadata = about.metadata
        if self._resume is not None:
            self.headers["Content-Location"] = self._resume

    def _encoder(self, negotiated: Negotiated, position: int | None = None) -> ViewEncoder:
        return super()._encoder(negotiated, self._position if self._resume is not None else None)

    def _opening(self, encoder: ViewEncoder) -> bytes:
        if isinstance(encoder, StreamEncoder):
            return encoder.open(
                heartbeat=self.heartbeat, metadata=self.metadata, resume=self._resume, position=self._position
            )
        return super()._opening(encoder)

    def _feed(self, encoder: ViewEncoder, notify: Callable[[], None]) -> Feed:
        assert self._reader is not None, "the stream is being read"
        return StoredFeed(self._reader, encoder, self.coder, self.limits, notify)


class RecordedResponse(StoredResponse):
    """The response of the request that has started a stream, or has joined it."""

    _waits_for_status = True

    async def _send_stream(self, negotiated: Negotiated, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with self._stored_in.reader(self._id, owner=self._asked_by) as reader:
                self._begin(reader)
                await super()._send_stream(negotiated, scope, receive, send)
        except StreamError as error:
            await stored_problem(error)(scope, receive, send)
