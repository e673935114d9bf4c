"""`doctor_route`: the probe that `objectstreaming doctor` reads (docs/proxies.md).

It answers questions about the way between a server and its reader, which neither of the two can see alone:

    GET /doctor                  frames that say when they were sent, with uneven gaps
    GET /doctor?probe=cut        a frame, then the stream fails: a reader of a plain stream must see a broken connection
    GET /doctor?probe=leave      a frame, silence, then ticks: when is it noticed that the reader has left?
    GET /doctor?probe=left&id=   what became of that stream
    GET /doctor?probe=quiet&seconds=   a frame, then silence without heartbeats: which hop gives up, and when?
    GET /doctor?probe=headers    as JSON, how the request arrived; with the response headers that streams need

**Why uneven gaps.** A hop that holds each frame for the same time is invisible where the frames have equal gaps: each
is late, and by the same amount. After a short gap a held frame comes together with its successor, and after a long one
it comes alone; the difference is what is measured.

**What it costs.** A process runs at most `_AT_ONCE` probes at a time, each for a few seconds (`quiet`: `_LONGEST_QUIET`
at most). Each `cut` is a failed stream, which most servers log with a traceback, so there are `_CUTS` a minute at most.
The probe tells nothing but the headers of the reader's own request in `_REQUEST_HEADERS`, the HTTP
version, and the heartbeat.
"""

from __future__ import annotations

import asyncio
import math
import secrets
import time
from collections import OrderedDict, deque
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ..coders import JsonCoder
from ..errors import StreamError
from .problems import problem_response
from .response import FrameResponse

__all__ = ["doctor_route"]

_GAPS: Final = (0.0, 0.03, 0.03, 0.03, 0.1, 0.25, 0.6, 0.25)
"""Seconds before each frame. With equal gaps all frames were as late as HAProxy's 200 ms, and nothing was seen."""

_BEFORE_CUT: Final = 0.2
_SILENCE: Final = 2.5
_TICK: Final = 0.25
_TICKS: Final = 12
_LONGEST_QUIET: Final = 600.0

_AT_ONCE: Final = 8
_CUTS: Final = 30
_REMEMBERED: Final = 64

_REQUEST_HEADERS: Final = ("accept", "accept-encoding", "last-event-id", "via")
_RESPONSE_HEADERS: Final = {
    "Cache-Control": "no-store, no-transform",
    "Content-Location": "/doctor",
    "Retry-After": "1",
    "Stream-Ended": "ok",
    "Stream-Position": "0",
}


def doctor_route(path: str = "/doctor", *, heartbeat: float | None = 15) -> Route:
    """A route for `objectstreaming doctor URL`, which finds what proxies do to the streams of this server.

    It may be mounted in production: it takes a few seconds of a connection at a time, runs at most eight probes at once
    in a process and breaks off thirty answers a minute (then 429), and tells nothing but how the reader's own request
    has arrived.

    Args:
        path: of the route.
        heartbeat: the one that your endpoints have, in seconds: `doctor --idle` compares it with the silence after
            which a hop gives up.

    Returns:
        A route of Starlette.

    >>> from fastapi import FastAPI
    >>> app = FastAPI()
    >>> app.router.routes.append(doctor_route())
    """
    return Route(path, _Probes(heartbeat).answer, methods=["GET"], include_in_schema=False, name="doctor")


@dataclass
class _Leaving:
    """A stream whose reader is to leave: seconds until its source was closed, and whether it ran to its end."""

    seconds: float | None = None
    ran_out: bool = False


class _Probes:
    def __init__(self, heartbeat: float | None) -> None:
        if heartbeat is not None and not 0 < heartbeat < math.inf:
            raise ValueError(f"heartbeat is a positive number of seconds, or None, not {heartbeat!r}")
        self._heartbeat = heartbeat
        self._running = 0
        self._cuts: deque[float] = deque(maxlen=_CUTS)
        self._leaving: OrderedDict[str, _Leaving] = OrderedDict()  # by an id that nobody can guess

    async def answer(self, request: Request) -> Response:
        """The response to a probe. Errors are problems, whether or not the app has `error_handlers`."""
        try:
            return self._answer(request)
        except StreamError as error:
            return problem_response(error)

    def _answer(self, request: Request) -> Response:
        probe = request.query_params.get("probe", "times")
        if probe == "headers":
            return JSONResponse(self._arrived(request), headers=_RESPONSE_HEADERS)
        if probe == "left":
            return self._left(request.query_params.get("id", ""))
        if probe == "times":
            return self._stream(self._times())
        if probe == "cut":
            return self._stream(self._cut())
        if probe == "leave":
            return self._stream(self._leave())
        if probe == "quiet":
            return self._stream(self._quiet(_seconds(request.query_params.get("seconds", "60"))))
        raise StreamError("invalid_argument", "probe is one of times, cut, leave, left, quiet, headers")

    def _stream(self, source: AsyncGenerator[Any, None]) -> Response:
        # Without heartbeats: a ping would end the silence that a hop is to bear.
        return FrameResponse(self._counted(source), coder=JsonCoder(), heartbeat=None)

    async def _counted(self, source: AsyncGenerator[Any, None]) -> AsyncGenerator[Any, None]:
        if self._running >= _AT_ONCE:
            raise StreamError("resource_exhausted", "this server runs as many probes as it may")
        self._running += 1
        try:
            async with aclosing(source):
                async for item in source:
                    yield item
        finally:
            self._running -= 1

    def _arrived(self, request: Request) -> dict[str, Any]:
        """How a request has arrived, after all the hops before this server."""
        received = {name: request.headers[name] for name in _REQUEST_HEADERS if name in request.headers}
        http = request.scope.get("http_version", "")
        return {"doctor": 1, "http": http, "heartbeat": self._heartbeat, "received": received}

    async def _times(self) -> AsyncGenerator[Any, None]:
        began = time.perf_counter()
        for n, gap in enumerate(_GAPS):
            await asyncio.sleep(gap)
            yield {"n": n, "sent": round(time.perf_counter() - began, 6)}, None

    async def _cut(self) -> AsyncGenerator[Any, None]:
        if len(self._cuts) == _CUTS and time.monotonic() - self._cuts[0] < 60:
            raise StreamError("resource_exhausted", f"this server breaks off {_CUTS} answers a minute at most")
        self._cuts.append(time.monotonic())
        yield {"n": 0}, None
        await asyncio.sleep(_BEFORE_CUT)
        raise StreamError("unavailable", "the probe of objectstreaming doctor fails here, to see who notices")

    async def _leave(self) -> AsyncGenerator[Any, None]:
        key = secrets.token_urlsafe(12)
        leaving = self._leaving[key] = _Leaving()
        if len(self._leaving) > _REMEMBERED:
            self._leaving.popitem(last=False)
        began = time.perf_counter()
        try:
            yield {"n": 0, "id": key, "silence": _SILENCE}, None
            await asyncio.sleep(_SILENCE)
            for n in range(1, _TICKS + 1):
                yield {"n": n}, None
                await asyncio.sleep(_TICK)
            leaving.ran_out = True
        finally:
            leaving.seconds = round(time.perf_counter() - began, 6)

    def _left(self, id: str) -> Response:
        leaving = self._leaving.get(id)
        answer: dict[str, Any] = {"known": leaving is not None}
        if leaving is not None:
            answer |= {"seconds": leaving.seconds, "ran_out": leaving.ran_out}
        return JSONResponse(answer, headers={"Cache-Control": "no-store"})

    async def _quiet(self, seconds: float) -> AsyncGenerator[Any, None]:
        yield {"n": 0}, None
        await asyncio.sleep(seconds)
        yield {"n": 1}, None


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds <= _LONGEST_QUIET:
        raise StreamError("invalid_argument", f"seconds is a number up to {_LONGEST_QUIET:.0f}")
    return seconds
