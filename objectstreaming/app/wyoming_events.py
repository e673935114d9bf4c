"""Events of the Wyoming protocol: what Home Assistant and its voice services say to each other over TCP.

An event is a line of JSON, then data, which is JSON too, then a payload:

    {"type": "audio-chunk", "version": "1.8.0", "data_length": 46, "payload_length": 2048}\\n
    {"rate": 22050, "width": 2, "channels": 1, ...}
    PCM

`data` may also be a member of the line; members of the data that follows it replace those.
The definition: https://github.com/OHF-Voice/wyoming
"""

from __future__ import annotations

import asyncio
from typing import Any, Final, NamedTuple

from .. import strict_json
from ..errors import StreamError

__all__ = ["LARGEST_LINE", "Event", "encode_event", "read_event"]

LARGEST_LINE: Final = 64 * 1024
_LARGEST_DATA: Final = 64 * 1024
_LARGEST_PAYLOAD: Final = 1024 * 1024
_VERSION: Final = "1.8.0"


class Event(NamedTuple):
    """An event. `data` is a JSON object."""

    type: str
    data: dict[str, Any] = {}  # noqa: RUF012  never changed
    payload: bytes = b""

    def text(self, name: str) -> str:
        """A member that is a text; "" where there is none. Raises `StreamError` if it is no text."""
        value = self.data.get(name)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise StreamError("invalid_argument", f"{name} in {self.type} is a text")
        return value

    def number(self, name: str) -> int:
        """A member that is a positive integer. Raises `StreamError` if it is not."""
        value = self.data.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise StreamError("invalid_argument", f"{name} in {self.type} is a positive integer")
        return value


def encode_event(event: Event) -> bytes:
    r"""The bytes of an event.

    >>> encode_event(Event("pong", {"text": "hi"}))
    b'{"type":"pong","version":"1.8.0","data_length":13}\n{"text":"hi"}'
    """
    head: dict[str, Any] = {"type": event.type, "version": _VERSION}
    data = strict_json.dumps(event.data) if event.data else b""
    if data:
        head["data_length"] = len(data)
    if event.payload:
        head["payload_length"] = len(event.payload)
    return strict_json.dumps(head) + b"\n" + data + event.payload


async def read_event(reader: asyncio.StreamReader) -> Event | None:
    """The next event; `None` where the peer has closed the connection between two events.

    The limit of the reader is `LARGEST_LINE`. Raises `StreamError` for what is no event or is too large, and
    `asyncio.IncompleteReadError` for one that is cut.
    """
    try:
        line = await reader.readuntil(b"\n")
    except asyncio.IncompleteReadError as cut:
        if not cut.partial:
            return None
        raise
    except asyncio.LimitOverrunError:
        raise StreamError("resource_exhausted", f"the line of an event has at most {LARGEST_LINE} bytes") from None
    head = _object(line)
    kind, data = head.get("type"), head.get("data") or {}
    if not isinstance(kind, str) or not isinstance(data, dict):
        raise StreamError("invalid_argument", "an event has a type, and data that is an object")
    size, payload_size = _size(head, "data_length", _LARGEST_DATA), _size(head, "payload_length", _LARGEST_PAYLOAD)
    if size:
        data = data | _object(await reader.readexactly(size))
    return Event(kind, data, await reader.readexactly(payload_size))


def _size(head: dict[str, Any], name: str, largest: int) -> int:
    size = head.get(name) or 0
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise StreamError("invalid_argument", f"{name} is a number of bytes")
    if size > largest:
        raise StreamError("resource_exhausted", f"{name} is at most {largest}")
    return size


def _object(text: bytes) -> dict[str, Any]:
    try:
        value = strict_json.loads(text)
    except strict_json.InvalidJSON as error:
        raise StreamError("invalid_argument", f"an event is JSON: {error}") from None
    if not isinstance(value, dict):
        raise StreamError("invalid_argument", "an event is an object of JSON")
    return value
