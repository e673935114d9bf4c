"""What one client may ask of the reference app: how much, how often, how long, and under which name.

`Gate` stands before the app as plain ASGI, so that a stream counts from its request to its last byte. It bounds

* the names under which the server is addressed (`hosts`): a page of another site that rebinds its own name to
  127.0.0.1 is a stranger, although the connection comes from this machine;
* the rate of each client's requests, a token bucket an address (RFC 2697 has its theory);
* the streams that run at once.

Who is refused is told so with a status, a code and, where waiting helps, `Retry-After`. What is sent in a body is
bounded where it is read (`body.py`), how long an answer may take where it is sent (`response.py`).
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Collection
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from ..errors import StreamError
from ..server.problems import problem_response
from .limits import AppLimits

__all__ = ["Gate", "RateLimiter"]


class RateLimiter:
    """A token bucket for each of the latest `clients` clients; a client that is forgotten starts with a full one.

    >>> now = 0.0
    >>> limiter = RateLimiter(a_minute=60, burst=2, clock=lambda: now)
    >>> limiter.wait("ann"), limiter.wait("ann"), limiter.wait("ann"), limiter.wait("bob")
    (0.0, 0.0, 1.0, 0.0)
    >>> now = 1.0
    >>> limiter.wait("ann")
    0.0
    """

    def __init__(
        self, *, a_minute: float, burst: int, clients: int = 10_000, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rate = a_minute / 60
        self._burst = float(burst)
        self._most = clients
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, client: str) -> float:
        """Take a token: 0, or, if there is none, the seconds until there will be."""
        now = self._clock()
        tokens, since = self._buckets.pop(client, (self._burst, now))
        tokens = min(self._burst, tokens + (now - since) * self._rate)
        wait = 0.0 if tokens >= 1 else (1 - tokens) / self._rate
        self._buckets[client] = (tokens if wait else tokens - 1, now)
        if len(self._buckets) > self._most:
            self._buckets.popitem(last=False)
        return wait


class Gate:
    """ASGI middleware that keeps `limits`. Every POST and every WebSocket is taken for a stream.

    `hosts`: the names served; none: all.

    >>> from starlette.applications import Starlette
    >>> app = Gate(Starlette(), AppLimits(streams=8), hosts={"localhost", "127.0.0.1"})
    """

    def __init__(self, app: ASGIApp, limits: AppLimits, *, hosts: Collection[str] = ()) -> None:
        self._app = app
        self._limits = limits
        self._hosts = frozenset(host.lower() for host in hosts)
        self._rate = RateLimiter(a_minute=limits.requests_a_minute, burst=limits.burst)
        self._streams = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        try:
            self._admit(scope)
        except _RefusedError as refused:
            if scope["type"] == "websocket" and "websocket.http.response" not in scope.get("extensions", {}):
                await send({"type": "websocket.close", "code": 1008, "reason": refused.error.code})
                return
            response = problem_response(refused.error)
            if refused.wait:
                response.headers["Retry-After"] = str(math.ceil(refused.wait))
            await response(scope, receive, send)
            return
        if not _is_stream(scope):
            await self._app(scope, receive, send)
            return
        self._streams += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._streams -= 1

    def _admit(self, scope: Scope) -> None:
        if self._hosts and _host(Headers(scope=scope).get("host", "")) not in self._hosts:
            raise _RefusedError(StreamError("permission_denied", "this server is not known by that name"))
        if not _is_stream(scope):
            return
        client = scope.get("client")
        wait = self._rate.wait(client[0] if client else "")
        if wait:
            raise _RefusedError(StreamError("resource_exhausted", "too many requests from this address"), wait)
        if self._streams >= self._limits.streams:
            error = StreamError("resource_exhausted", "as many streams are running as this server may have")
            raise _RefusedError(error, _BUSY_SECONDS)


_BUSY_SECONDS: Final = 2.0


class _RefusedError(Exception):
    def __init__(self, error: StreamError, wait: float = 0) -> None:
        super().__init__(error)
        self.error = error
        self.wait = wait


def _is_stream(scope: Scope) -> bool:
    return bool(scope["type"] == "websocket" or scope["method"] == "POST")


def _host(value: str) -> str:
    """The Host header's name, without its port; of `[::1]:8000` it is `[::1]`."""
    name, colon, port = value.rpartition(":")
    return (name if colon and port.isdigit() and not name.endswith(":") else value).lower().rstrip(".")
