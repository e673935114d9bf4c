"""A WebSocket of Starlette or FastAPI as a stream: from_websocket, to_websocket [extra: server].

Starlette is not imported before one of them runs.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from typing import Any, Literal, NoReturn

from .closing import aclose
from .control import until
from .websocket_reader import Message, WebSocket, accept, reading

__all__ = ["from_websocket", "to_websocket"]

_KINDS = ("text", "bytes", "json", "any")


async def from_websocket(
    websocket: WebSocket, kind: Literal["text", "bytes", "json", "any"] = "text"
) -> AsyncGenerator[Any, None]:
    """The messages of a WebSocket.

        @app.websocket("/shout")
        async def shout(websocket: WebSocket):
            stream = from_websocket(websocket)
            stream = map(stream, str.upper)
            await to_websocket(stream, websocket)

    The stream ends when the peer has left, after the messages before that. A connection that is not accepted yet is
    accepted when the first message is asked for. From then on messages are received in a task, so that the server
    answers pings and notices a hang-up while a step is slow. Up to 8 MiB are kept; after that the peer has to wait. So
    do not call the `receive` methods of the WebSocket after this: the message may be here already.

    Args:
        websocket: of Starlette or FastAPI.
        kind: which messages are expected: `"text"` gives `str`, `"bytes"` gives `bytes`, `"json"` gives what either
            holds as JSON, `"any"` gives `str` and `bytes`.

    Raises:
        ValueError: A message is of the other kind, or not JSON.
    """
    if kind not in _KINDS:
        raise ValueError(f"kind must be one of {', '.join(map(repr, _KINDS))}, not {kind!r}")
    async with reading(websocket) as reader:
        while (message := await reader.next()) is not None:
            yield _content(message, kind)


def _content(message: Message, kind: str) -> Any:
    text, data = message.get("text"), message.get("bytes")
    content = data if text is None else text
    if kind == "json":
        return _parse(content)
    if kind == "text" and text is None:
        raise ValueError("a binary message where text was expected")
    if kind == "bytes" and data is None:
        raise ValueError("a text message where bytes were expected")
    return content


async def to_websocket(source: AsyncIterable[Any], websocket: WebSocket, *, watch: bool = True) -> None:
    """Send every item: `str` as text, bytes-like as binary, anything else as JSON text (pydantic models too).

    Ends when the source ends, and at once when the peer leaves, even if the source is silent. The connection stays
    open; whoever opened it closes it. An error of the source is raised.

    To notice that the peer has left, the connection is read. Messages that arrive are kept for `from_websocket`.

    Args:
        source: is cancelled and closed when the peer leaves.
        websocket: of Starlette or FastAPI.
        watch: whether to read the connection. Who reads it by other means passes `False`: then a hang-up is noticed
            when the next item is sent.

    Raises:
        TypeError: An item cannot be JSON.
        ValueError: An item cannot be JSON: it holds NaN.
    """
    iterator = aiter(source)
    try:
        if not watch:
            await accept(websocket)
            await _send_all(iterator, websocket)
            return
        async with reading(websocket) as reader:
            await _send_all(until(iterator, reader.left), websocket)
            reader.raise_error()
    finally:
        await aclose(iterator)


async def _send_all(items: AsyncIterator[Any], websocket: WebSocket) -> None:
    from starlette.websockets import WebSocketDisconnect

    try:
        async for item in items:
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
        await aclose(items)


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
