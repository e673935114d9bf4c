"""Broken answers, for the page of the demo: it shows what each reader says of an answer that is not whole.

    POST, GET /demo/killed   the answer of /api/chat/stream; its connection breaks, as when the worker is killed
    POST, GET /demo/ended    the same; it ends as if it were whole, as behind a proxy that hides the break

`?after=N` is where, in bytes of the body. GET is for `EventSource`, which cannot POST: it takes `?message=`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs

import msgspec

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Faults", "WorkerKilled"]

_CHAT: Final = "/api/chat/stream"
_PATHS: Final = ("/demo/killed", "/demo/ended")
_AFTER: Final = 20_000


class WorkerKilled(ConnectionResetError):
    """Raised to the server, which then breaks the connection."""


class Faults:
    """ASGI middleware that adds the two addresses."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] not in _PATHS or scope["method"] not in ("GET", "POST"):
            await self._app(scope, receive, send)
            return
        query = parse_qs(scope["query_string"].decode("ascii", "replace"))
        after = query.get("after", [""])[0]
        left = int(after) if after.isdecimal() and len(after) < 10 else _AFTER
        is_killed = scope["path"] == _PATHS[0]
        is_over = False

        async def cut(message: Message) -> None:
            nonlocal left, is_over
            if is_over:
                return
            if message["type"] == "http.response.body":
                body = bytes(message.get("body", b""))
                is_over = len(body) >= left
                more = is_killed if is_over else message.get("more_body", False)
                message = {**message, "body": body[:left], "more_body": more}
                left -= len(body)
            await send(message)
            if is_over and is_killed:
                raise WorkerKilled

        if scope["method"] == "GET":
            receive = _posted(receive, query.get("message", [""])[0])
            headers = [*scope["headers"], (b"content-type", b"application/json")]
            scope = {**scope, "method": "POST", "headers": headers}
        await self._app({**scope, "path": _CHAT, "raw_path": _CHAT.encode()}, receive, cut)
        if is_over and is_killed:
            raise WorkerKilled  # again: a response takes it for a client that left


def _posted(receive: Receive, message: str) -> Receive:
    """The body of a POST in the place of that of a GET."""

    async def received() -> Message:
        event = await receive()
        if event["type"] == "http.request":
            return {"type": "http.request", "body": msgspec.json.encode({"message": message}), "more_body": False}
        return event

    return received
