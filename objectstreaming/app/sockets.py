"""The WebSockets of the reference app: which pages may connect, and how long a connection lasts.

A browser sends cookies with a WebSocket from any page to any server (CORS does not cover WebSockets). So the `Origin`
of a page must be this server's own, or one that was allowed. A connection counts as one stream of the app (`gate.py`),
and may last as long as one.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Collection
from typing import Final
from urllib.parse import urlsplit

from starlette.responses import Response
from starlette.websockets import WebSocket

from ..coders import Coder
from ..duplex import StreamItem, WebSocketServerStream
from ..errors import ObjectStreamError, StreamError
from ..frames import Limits, MiB
from ..server.problems import problem_response
from .clients import Clients
from .gate import RateLimiter
from .limits import AppLimits

__all__ = ["LARGEST_FRAME", "Sockets", "is_allowed_origin"]

log = logging.getLogger("objectstreaming.server")

LARGEST_FRAME: Final = 1 * MiB


def is_allowed_origin(origin: str | None, host: str, allowed: Collection[str]) -> bool:
    """Whether a page of `origin` may connect: no page at all, a page of this server, or one of `allowed`.

    >>> is_allowed_origin(None, "here:8000", ()), is_allowed_origin("http://here:8000", "here:8000", ())
    (True, True)
    >>> is_allowed_origin("http://evil", "here:8000", ()), is_allowed_origin("null", "here:8000", ())
    (False, False)
    """
    if origin is None or origin in allowed or "*" in allowed:
        return True
    try:
        return bool(host) and urlsplit(origin).netloc.lower() == host.lower()
    except ValueError:
        return False


class Sockets:
    """Accepts WebSockets, and counts the questions that come over them."""

    def __init__(
        self, limits: AppLimits, *, clients: Clients, rate: RateLimiter, heartbeat: float, origins: Collection[str]
    ) -> None:
        self._limits = limits
        self._clients = clients
        self._rate = rate
        self._heartbeat = heartbeat
        self._origins = frozenset(origins)

    async def serve(
        self,
        websocket: WebSocket,
        converse: Callable[[WebSocketServerStream, str], Awaitable[None]],
        coder: Coder[StreamItem, None] | None = None,
    ) -> None:
        """Call `converse` with the stream of this WebSocket and the name of the client, if it may connect."""
        headers = websocket.headers
        if not is_allowed_origin(headers.get("origin"), headers.get("host", ""), self._origins):
            await _refuse(websocket, StreamError("permission_denied", "pages of that origin may not connect"))
            return
        limits = Limits(frame=LARGEST_FRAME)
        stream = WebSocketServerStream(websocket, heartbeat=self._heartbeat, limits=limits, coder=coder)
        try:
            async with stream:
                try:
                    async with asyncio.timeout(self._limits.stream_seconds) as clock:
                        await converse(stream, self._clients.name(websocket.scope))
                except TimeoutError:
                    if not clock.expired():
                        raise
                    raise StreamError("deadline_exceeded", "a conversation may not last longer here") from None
        except ObjectStreamError as error:
            # The client made an error or has gone. It got the error in our `end`, if that was possible.
            log.debug("a conversation ended: %s", error)

    def count(self, client: str) -> None:
        """Count a question. Raises `StreamError` if the client asks too often."""
        wait = self._rate.wait(client)
        if wait:
            message = f"too many questions from this address; there is room for one in {math.ceil(wait)} s"
            raise StreamError("resource_exhausted", message)


async def _refuse(websocket: WebSocket, error: StreamError) -> None:
    """Refuse the handshake, with the problem as the body where the server can send one."""
    if "websocket.http.response" in websocket.scope.get("extensions", {}):
        response: Response = problem_response(error)
        await websocket.send_denial_response(response)
    else:
        await websocket.close(1008, error.code)
