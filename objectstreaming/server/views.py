"""Views: the messages of a `FrameResponse` in another format than frames (SPEC section 6.5, "Views").

A view stands where `StreamEncoder` stands. The response asks it for the bytes of each message, of the end, and of
something to send in silence; everything else, from the status to the shutdown, is the response's own. So a new format
is one class for its media type and one for its bytes.

    FrameResponse    asks a view for a ViewEncoder, one for each response
    ViewEncoder      open, data, ping, end: the bytes to send; position: how many messages there were

Every `FrameResponse` serves `ServerSentEvents` and `JsonLines` to clients that name their media types. Both write a
message as one line of JSON: its header, and its payload, as base64 where the coder's payloads are not JSON. Both say
at the end that it is the end, so their readers know an answer that was cut from one that was whole.

Neither HTTP nor these formats know a failure after the first byte. So a view writes the error, and then the response
breaks the connection, as it does for a plain stream: a reader that does not look for the error does not take the answer
for whole.
"""

from __future__ import annotations

import base64
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Final, Protocol

from .. import strict_json
from ..coders import Coder
from ..errors import StreamError
from ..frames import Limits
from ..media_type import parse_media_type
from ..protocol import StreamEncoder, write_error
from .problems import PROBLEM, write_problem

__all__ = ["BUILT_IN", "JsonLines", "ServerSentEvents", "View", "ViewEncoder", "type_of", "views_of"]

RETRY_MILLISECONDS: Final = 1000
"""How long an `EventSource` waits before it asks for the rest of a stream that can be resumed."""


class ViewEncoder(Protocol):
    """Writes one response. Each method returns bytes; if it raises `EncodeError`, nothing has changed.

    `open` is called once and first, `end` once and last. A source that is not async runs on a thread of its own: `data`
    is then called there, and `ping` meanwhile on the event loop. So `ping` should not depend on what `data` changes.
    """

    @property
    def position(self) -> int:
        """The number of the stream's messages up to here: those before this response, and those written in it."""

    def open(self, *, heartbeat: float | None = None, metadata: Mapping[str, Any] | None = None) -> bytes:
        """What comes before the first message.

        Args:
            heartbeat: something is sent at least every so many seconds.
            metadata: that of the response.

        Returns:
            The bytes; may be empty.
        """

    def data(self, header: Any, payload: Any) -> bytes:
        """One message.

        Args:
            header: of the message.
            payload: of the message.

        Returns:
            The bytes, which go out in one piece, maybe together with others; may be empty.

        Raises:
            EncodeError: It cannot be sent. Nothing has changed.
        """

    def ping(self) -> bytes:
        """Something that a reader skips, to be sent in silence; empty if the format has nothing of that kind."""

    def end(self, *, trailers: Mapping[str, Any] | None = None, error: StreamError | None = None) -> bytes:
        """What comes after the last message.

        Args:
            trailers: those of the response.
            error: `None` for success. After an error the connection is broken.

        Returns:
            The bytes; may be empty.
        """


class View(ABC):
    """A format of messages, for `FrameResponse(views=[...])`.

    >>> from objectstreaming import JsonCoder
    >>> class Lines:
    ...     position = 0
    ...     def open(self, *, heartbeat=None, metadata=None):
    ...         return b""
    ...     def data(self, header, payload):
    ...         self.position += 1
    ...         return f"{payload}\\n".encode()
    ...     def ping(self):
    ...         return b""
    ...     def end(self, *, trailers=None, error=None):
    ...         return b"" if error else b"(end)\\n"
    >>> class PlainText(View):
    ...     media_type = "text/plain"
    ...     def encoder(self, coder, limits, position):
    ...         return Lines()
    >>> encoder = PlainText().encoder(JsonCoder(), Limits(), None)
    >>> encoder.open() + encoder.data({}, "Hello") + encoder.end()
    b'Hello\\n(end)\\n'
    """

    media_type: str
    """The content type of the response, and what `Accept` must name. Parameters are sent, and not compared."""

    also_for: tuple[str, ...] = ()
    """Other media types that `Accept` may name for this view, in lower case: some clients ask for one type, and read
    another."""

    headers: Mapping[str, str] = {}
    """More headers of the response."""

    @abstractmethod
    def encoder(self, coder: Coder[Any, Any], limits: Limits, position: int | None) -> ViewEncoder:
        """A new encoder, for one response.

        Args:
            coder: the encoder is given messages of the types that this one encodes and decodes.
            limits: those of a frame.
            position: how many messages of the stream come before this response, if its rest can be asked for by
                position; `None` if it cannot be resumed.

        Returns:
            What writes the response.
        """

    def problem(self, error: StreamError) -> bytes:
        """The JSON of a failure before the first message. It is sent with the real status of `error`."""
        return write_problem(error)

    def openapi(self, message: dict[str, Any]) -> dict[str, Any]:
        """The Media Type Object of this view in OpenAPI.

        Args:
            message: the JSON Schema of a message: an object with the `header` and the `payload`, or its `base64`.

        Returns:
            A JSON object.
        """
        return {"schema": {"type": "string"}}


# ------------------------------------------------------------------------------------------------------ ours

_OBJECT: Final[dict[str, Any]] = {"type": "object"}
_END: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["frames"],
    "properties": {"frames": {"type": "integer", "minimum": 0}, "trailers": _OBJECT},
}


class JsonTexts:
    """What encoders of JSON share: the texts. No text has a line break in it."""

    def __init__(self, coder: Coder[Any, Any], limits: Limits, position: int | None) -> None:
        # The messages are encoded as frames first, so that a view refuses what frames refuse: the same source ends in
        # the same way for every client.
        self._frames: StreamEncoder[Any, Any] = StreamEncoder(coder, None, limits=limits)
        self._payload_is_json = coder.name == "json"  # SPEC section 4.1: the name says it
        self._before = position or 0

    @property
    def position(self) -> int:
        return self._before + self._frames.position

    def message(self, header: Any, payload: Any) -> bytes:
        """The header and the payload, or its base64, as a JSON object."""
        wire = self._frames.data(header, payload)
        begin = 8 + int.from_bytes(wire[4:8], "little")
        if self._payload_is_json:
            return one_line(b'{"header":%b,"payload":%b}' % (wire[8:begin], wire[begin:]))
        return one_line(b'{"header":%b,"base64":"%b"}' % (wire[8:begin], base64.b64encode(wire[begin:])))

    def _end(self, trailers: Mapping[str, Any] | None) -> bytes:
        members: dict[str, Any] = {"frames": self._frames.position}
        if trailers is not None:
            members["trailers"] = dict(trailers)
        return json_text(members)


class _Events(JsonTexts):
    """The encoder of `ServerSentEvents`."""

    def __init__(self, coder: Coder[Any, Any], limits: Limits, position: int | None) -> None:
        super().__init__(coder, limits, position)
        self._resumable = position is not None
        # It stands in the first event, because httpx-sse takes it for an event of its own where it stands alone.
        self._retry = b"retry: %d\n" % RETRY_MILLISECONDS if self._resumable else b""
        # The empty line is for readers that split at empty lines before they look for `data:`. After an event with an
        # id, httpx-sse takes it for another event.
        self._ping = b": ping\n" if self._resumable else b": ping\n\n"

    def open(self, *, heartbeat: float | None = None, metadata: Mapping[str, Any] | None = None) -> bytes:
        return b"" if metadata is None else self._event(b"event: metadata\n", json_text(dict(metadata)))

    def data(self, header: Any, payload: Any) -> bytes:
        text = self.message(header, payload)
        return self._event(b"id: %d\n" % self.position if self._resumable else b"", text)

    def ping(self) -> bytes:
        return self._ping

    def end(self, *, trailers: Mapping[str, Any] | None = None, error: StreamError | None = None) -> bytes:
        if error is None:
            return self._event(b"id: end\nevent: end\n", self._end(trailers))
        return self._event(b"id: end\nevent: error\n", write_error(error, json_text))

    def _event(self, fields: bytes, text: bytes) -> bytes:
        retry, self._retry = self._retry, b""
        return b"%b%bdata: %b\n\n" % (retry, fields, text)


class ServerSentEvents(View):
    """`text/event-stream`, for `EventSource` and every reader of server-sent events (WHATWG HTML, section 9.2).

    A message is an event of the default type, `message`, with the data `{"header":...,"payload":...}`, or `"base64"`
    for `"payload"` if the coder is not `json`. The last event is `end`, with `{"frames":n}` and the `trailers`, or
    `error`, with `code`, `message` and `details`. `EventSource` hands the latter to `onerror`; its `data` tells it from
    the event of a broken connection. `metadata` is an event of that name, the first one. Pings are comments.

    The last event has the id `end`. `FrameResponse` answers a GET with `Last-Event-ID: end` with 204, by which an
    `EventSource` stops. Where the stream can be resumed, each event has its position as its id.

    >>> from objectstreaming import JsonCoder
    >>> encoder = ServerSentEvents().encoder(JsonCoder(), Limits(), None)
    >>> print((encoder.data({"n": 1}, "Hello") + encoder.end()).decode().rstrip())
    data: {"header":{"n":1},"payload":"Hello"}
    <BLANKLINE>
    id: end
    event: end
    data: {"frames":1}
    """

    media_type = "text/event-stream"

    def encoder(self, coder: Coder[Any, Any], limits: Limits, position: int | None) -> ViewEncoder:
        return _Events(coder, limits, position)

    def openapi(self, message: dict[str, Any]) -> dict[str, Any]:
        def event(name: str, data: dict[str, Any]) -> dict[str, Any]:
            text = {"type": "string", "contentMediaType": "application/json", "contentSchema": data}
            named = {"event": {"const": name}, "data": text}
            return {"type": "object", "required": list(named) if name != "message" else ["data"], "properties": named}

        kinds = {"message": message, "metadata": _OBJECT, "end": _END, "error": PROBLEM}
        return {"itemSchema": {"oneOf": [event(name, data) for name, data in kinds.items()]}}


class _Lines(JsonTexts):
    """The encoder of `JsonLines`."""

    def open(self, *, heartbeat: float | None = None, metadata: Mapping[str, Any] | None = None) -> bytes:
        return b"" if metadata is None else b'{"metadata":%b}\n' % json_text(dict(metadata))

    def data(self, header: Any, payload: Any) -> bytes:
        return self.message(header, payload) + b"\n"

    def ping(self) -> bytes:
        return b"\n"

    def end(self, *, trailers: Mapping[str, Any] | None = None, error: StreamError | None = None) -> bytes:
        if error is None:
            return b'{"end":%b}\n' % self._end(trailers)
        return b'{"error":%b}\n' % write_error(error, json_text)


class JsonLines(View):
    """`application/x-ndjson` or `application/jsonl`: a line of JSON for each message, and one for the end.

    A message is `{"header":...,"payload":...}`, or with `"base64"` for `"payload"` if the coder is not `json`. The last
    line is `{"end":{"frames":n}}`, with the `trailers` in it, or `{"error":{...}}` with `code`, `message` and
    `details`. `{"metadata":{...}}` is the first line, where there is metadata. Pings are empty lines.

    Args:
        media_type: `application/x-ndjson` or `application/jsonl`.

    >>> from objectstreaming import RawCoder
    >>> encoder = JsonLines().encoder(RawCoder(), Limits(), None)
    >>> print((encoder.data({"n": 1}, b"Hello") + encoder.end(trailers={"tokens": 7})).decode().rstrip())
    {"header":{"n":1},"base64":"SGVsbG8="}
    {"end":{"frames":1,"trailers":{"tokens":7}}}
    """

    def __init__(self, media_type: str = "application/x-ndjson") -> None:
        self.media_type = media_type

    def encoder(self, coder: Coder[Any, Any], limits: Limits, position: int | None) -> ViewEncoder:
        return _Lines(coder, limits, position)

    def openapi(self, message: dict[str, Any]) -> dict[str, Any]:
        def line(name: str, value: dict[str, Any]) -> dict[str, Any]:
            return {"type": "object", "required": [name], "properties": {name: value}}

        others = {"metadata": _OBJECT, "end": _END, "error": PROBLEM}
        return {"itemSchema": {"oneOf": [message, *(line(name, value) for name, value in others.items())]}}


BUILT_IN: Final[tuple[View, ...]] = (ServerSentEvents(), JsonLines(), JsonLines("application/jsonl"))
"""The views of every `FrameResponse`, the one to prefer first."""


def type_of(view: View) -> str:
    """The name of a view's media type, in lower case. Raises `ValueError` if it has none."""
    parsed = parse_media_type(view.media_type)
    if parsed is None or "*" in parsed.name:
        raise ValueError(
            f"{type(view).__name__}.media_type is a media type, such as text/plain, not {view.media_type!r}"
        )
    return parsed.name


def views_of(own: tuple[View, ...]) -> tuple[View, ...]:
    """An endpoint's own views, and the built-in ones of the media types that are left.

    Raises `ValueError` if two of its own have the same media type.
    """
    if not own:
        return BUILT_IN
    taken: set[str] = set()
    for view in own:
        name = type_of(view)
        if name in taken:
            raise ValueError(f"two views are of the media type {name}, and Accept cannot choose between them")
        taken.add(name)
    return (*own, *(view for view in BUILT_IN if type_of(view) not in taken))


def json_text(value: Any) -> bytes:
    """`value` as JSON in one line. Raises `EncodeError`."""
    return one_line(strict_json.dumps(value))


# What Python's str.splitlines, and so the readers of lines in httpx and requests, take for the end of a line, and JSON
# leaves as it is. Beyond ASCII, so only ever inside a string, where an escape means the same.
_LINE_ENDS: Final = ((b"\xc2\x85", b"\\u0085"), (b"\xe2\x80\xa8", b"\\u2028"), (b"\xe2\x80\xa9", b"\\u2029"))


def one_line(text: bytes) -> bytes:
    """JSON without anything that a reader may take for the end of its line."""
    # Only between its tokens can JSON have these: msgspec.Raw, and coders of one's own, write them as they were given.
    if b"\n" in text or b"\r" in text:
        text = text.translate(_SPACES)
    if not text.isascii():
        for end, escape in _LINE_ENDS:
            text = text.replace(end, escape)
    return text


_SPACES: Final = bytes.maketrans(b"\r\n", b"  ")
