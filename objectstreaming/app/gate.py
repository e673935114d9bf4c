"""ASGI middleware that limits what clients may ask of the reference app.

`Gate` is plain ASGI around the app, so that a stream counts from its request to its last byte. It limits

* the host names that the server accepts (`hosts`). This protects against DNS rebinding: a page of another site whose
  name is bound to 127.0.0.1 is refused, although the connection comes from this machine;
* the rate of each client's questions: one token bucket for each client (RFC 2697);
* the number of streams that run at once, in all and of each client; a stored one counts until its source is closed,
  also when its reader has left (`slots.py`).

Who a client is says `clients.py`.

A refused request gets a status, a code and, where waiting helps, `Retry-After`. The size of a body is limited where it
is read (`body.py`), and the duration of an answer where it is sent (`response.py`).
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
from .clients import Clients
from .limits import AppLimits
from .openai_requests import problem_writer
from .slots import Slots

__all__ = ["Gate", "RateLimiter"]


class RateLimiter:
    """A token bucket for each of the latest `clients` clients. A client that was forgotten starts with a full one.

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

    @classmethod
    def of(cls, limits: AppLimits) -> RateLimiter:
        """For the questions of clients, as `limits` says."""
        return cls(a_minute=limits.requests_a_minute, burst=limits.burst)

    def wait(self, client: str) -> float:
        """Take a token. Returns 0, or, if there is none, the seconds until there will be one."""
        now = self._clock()
        tokens, since = self._buckets.pop(client, (self._burst, now))
        tokens = min(self._burst, tokens + (now - since) * self._rate)
        wait = 0.0 if tokens >= 1 else (1 - tokens) / self._rate
        self._buckets[client] = (tokens if wait else tokens - 1, now)
        if len(self._buckets) > self._most:
            self._buckets.popitem(last=False)
        return wait


class Gate:
    """ASGI middleware that enforces `limits`. Every POST and every WebSocket counts as a stream.

    `hosts`: the names that are accepted; none: all. `clients` and `rate` may be those that the app uses too.

    >>> from starlette.applications import Starlette
    >>> app = Gate(Starlette(), AppLimits(streams=8), hosts={"localhost", "127.0.0.1"})
    """

    def __init__(
        self,
        app: ASGIApp,
        limits: AppLimits,
        *,
        hosts: Collection[str] = (),
        clients: Clients | None = None,
        rate: RateLimiter | None = None,
    ) -> None:
        self._app = app
        self._limits = limits
        self._hosts = frozenset(host.lower() for host in hosts)
        self._clients = clients if clients is not None else Clients()
        self._rate = rate if rate is not None else RateLimiter.of(limits)
        self._slots = Slots()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        client = self._clients.name(scope)
        try:
            self._admit(scope, client)
        except _RefusedError as refused:
            if scope["type"] == "websocket" and "websocket.http.response" not in scope.get("extensions", {}):
                await send({"type": "websocket.close", "code": 1008, "reason": refused.error.code})
                return
            response = problem_response(refused.error, problem_writer(scope))
            if refused.wait:
                response.headers["Retry-After"] = str(math.ceil(refused.wait))
            await response(scope, receive, send)
            return
        if not _is_stream(scope):
            await self._app(scope, receive, send)
            return
        slot = self._slots.take(client)
        slot.put_into(scope)
        try:
            await self._app(scope, receive, send)
        finally:
            slot.release()

    def _admit(self, scope: Scope, client: str) -> None:
        if self._hosts and _host(Headers(scope=scope).get("host", "")) not in self._hosts:
            raise _RefusedError(StreamError("permission_denied", "this server does not accept that host name"))
        if not _is_stream(scope):
            return
        wait = self._rate.wait(client)
        if wait:
            raise _RefusedError(StreamError("resource_exhausted", "too many requests from this address"), wait)
        if self._slots.of(client) >= self._limits.streams_per_client:
            error = StreamError("resource_exhausted", "this address has as many streams as it may")
            raise _RefusedError(error, _BUSY_SECONDS)
        if self._slots.total() >= self._limits.streams:
            error = StreamError("resource_exhausted", "this server runs as many streams as it may")
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
    """The name in a Host header, without its port: `[::1]` for `[::1]:8000`."""
    name, colon, port = value.rpartition(":")
    return (name if colon and port.isdigit() and not name.endswith(":") else value).lower().rstrip(".")
