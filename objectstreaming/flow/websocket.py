"""A WebSocket of Starlette or FastAPI as a stream: from_websocket, to_websocket [extra: server].

Starlette is not imported before one of them runs.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterable, MutableMapping
from typing import Any, Literal, NoReturn, Protocol

from .closing import aclose

__all__ = ["from_websocket", "to_websocket"]


class WebSocket(Protocol):
    """The part of `starlette.websockets.WebSocket` that is used here."""

    client_state: Any
    application_state: Any

    async def accept(self) -> None: ...
    async def receive(self) -> MutableMapping[str, Any]: ...
    async def send_text(self, data: str) -> None: ...
    async def send_bytes(self, data: bytes) -> None: ...


async def from_websocket(
    websocket: WebSocket, kind: Literal["text", "bytes", "json"] = "text"
) -> AsyncGenerator[Any, None]:
    """The messages of a WebSocket: `str`, `bytes`, or values decoded from JSON. The stream ends when the peer leaves.

        @app.websocket("/shout")
        async def shout(websocket: WebSocket):
            stream = from_websocket(websocket)
            stream = map(stream, str.upper)
            await to_websocket(stream, websocket)

    A connection that is not accepted yet is accepted when the first message is asked for. A message is received only
    when it is asked for, so that a slow reader slows the peer down. Raises `ValueError` for a message of the other
    kind, or one that is not JSON.
    """
    if kind not in ("text", "bytes", "json"):
        raise ValueError(f"kind must be 'text', 'bytes' or 'json', not {kind!r}")
    await _accept(websocket)
    while websocket.client_state.name != "DISCONNECTED":
        message = await websocket.receive()
        if message["type"] == "websocket.disconnect":
            return
        text, data = message.get("text"), message.get("bytes")
        if kind == "json":
            yield _parse(data if text is None else text)
        elif kind == "text":
            if text is None:
                raise ValueError("a binary message where text was expected")
            yield text
        else:
            if data is None:
                raise ValueError("a text message where bytes were expected")
            yield data


async def to_websocket(source: AsyncIterable[Any], websocket: WebSocket) -> None:
    """Send every item: `str` as text, bytes-like as binary, anything else as JSON text (pydantic models too).

    Ends when the source ends or the peer has left. The source is closed then. The connection stays open; whoever opened
    it closes it. Raises what the source raises, and `TypeError` or `ValueError` for an item that cannot be JSON.
    """
    from starlette.websockets import WebSocketDisconnect

    iterator = aiter(source)
    try:
        await _accept(websocket)
        async for item in iterator:
            if "DISCONNECTED" in (websocket.client_state.name, websocket.application_state.name):
                return
            try:
                if isinstance(item, str):
                    await websocket.send_text(item)
                elif isinstance(item, bytes | bytearray | memoryview):
                    await websocket.send_bytes(bytes(item))
                else:
                    await websocket.send_text(_dump(item))
            except WebSocketDisconnect:
                return
    finally:
        await aclose(iterator)


async def _accept(websocket: WebSocket) -> None:
    # Source or sink may be the first to use it. The server's side of the handshake is the application's state.
    if websocket.application_state.name == "CONNECTING" and websocket.client_state.name == "CONNECTING":
        await websocket.accept()


def _dump(item: Any) -> str:
    model = getattr(item, "model_dump_json", None)
    return str(model()) if model is not None else json.dumps(item, ensure_ascii=False, allow_nan=False)


def _parse(text: str | bytes | None) -> Any:
    try:
        return json.loads(text or "", parse_constant=_refuse)
    except RecursionError:
        raise ValueError("JSON nested too deeply") from None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")
