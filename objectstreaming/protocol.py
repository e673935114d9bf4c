"""Streams, version 1: messages and control frames (SPEC section 3). Sans-IO: bytes in, messages out, and back.

**Theory of operation.** A plain stream is data frames end to end, and nothing tells its end from a cut. Version 1 adds
control frames: ordinary frames whose header begins with the eleven bytes `{"$stream":`, so that no reader parses a data
frame's header to tell the two apart. `open` may come first, `ping` any time, `end` comes once and last and says how
many data frames there were, so that a stream that lacks any of them is known for broken.

Both sides follow one table. A row is a state, a column an event; what it does not allow is an error: `EncodeError` in
the encoder, before a byte leaves; `ProtocolError` in the decoder, which is then dead.

                open        data        ping        other       end
    START       STREAMING   STREAMING   STREAMING   STREAMING   ENDED
    STREAMING   error       STREAMING   STREAMING   STREAMING   ENDED
    ENDED       error       error       error       error       error

`other` is a control type of a later version: passed over. A stream's position is the number of data frames received;
control frames do not count.
"""

from __future__ import annotations

import struct
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, Generic, NoReturn, TypeVar

from . import strict_json
from .coders import Coder, PlainDecoder
from .errors import (
    HTTP_STATUS,
    EncodeError,
    FrameError,
    ObjectStreamError,
    PayloadError,
    ProtocolError,
    StreamError,
    StreamIncomplete,
)
from .frames import CODEC, BytesLike, Frame, FrameDecoder, Limits, encode_frame

__all__ = [
    "CONTROL",
    "MEDIA_TYPE",
    "PLAIN_MEDIA_TYPE",
    "VERSION",
    "StreamDecoder",
    "StreamEncoder",
    "aiter_messages",
    "iter_messages",
]

H = TypeVar("H")
P = TypeVar("P")

_header_size: Final = struct.Struct("<I").unpack_from

VERSION: Final = 1
CONTROL: Final = b'{"$stream":'
"""What the header of a control frame, and of no other, begins with."""
MEDIA_TYPE: Final = "application/vnd.objectstreaming"
"""The content type of a stream of this version, with the parameters `v` and `coder`."""
PLAIN_MEDIA_TYPE: Final = "application/octet-stream"


class State(Enum):
    """Where a stream stands."""

    START = "start"
    STREAMING = "streaming"
    ENDED = "ended"


class Event(Enum):
    """What can come: the column of the table."""

    OPEN = "open"
    DATA = "data"
    PING = "ping"
    OTHER = "other"
    END = "end"


TRANSITIONS: Final[Mapping[State, Mapping[Event, State]]] = {
    State.START: {
        Event.OPEN: State.STREAMING,
        Event.DATA: State.STREAMING,
        Event.PING: State.STREAMING,
        Event.OTHER: State.STREAMING,
        Event.END: State.ENDED,
    },
    State.STREAMING: {
        Event.DATA: State.STREAMING,
        Event.PING: State.STREAMING,
        Event.OTHER: State.STREAMING,
        Event.END: State.ENDED,
    },
    State.ENDED: {},
}


_STREAMING: Final = State.STREAMING  # asked for with every frame, and a member of an Enum is slow to look up


def is_ordinary(wire: bytes, max_frame: int, max_header: int) -> bool:
    """Whether a frame's bytes are within the limits and `$stream` stands nowhere in its header."""
    (size,) = _header_size(wire, 4)
    return len(wire) <= max_frame and size <= max_header and wire.find(b"$stream", 8, 8 + size) < 0


class StreamEncoder(Generic[H, P]):
    """Writes one stream: each method gives the bytes of one frame, and raises `EncodeError` before anything changes.

    `v=None` is a plain stream: data frames only. `limits` are those the receiver is expected to keep to; a frame
    beyond them is refused here, where the program that made it can still be told.

    >>> from objectstreaming import JsonCoder
    >>> encoder = StreamEncoder(JsonCoder())
    >>> wire = encoder.open(heartbeat=15) + encoder.data({"n": 1}, "hello") + encoder.ping() + encoder.end()
    >>> [frame.header for frame in FrameDecoder().feed(wire)]  # doctest: +NORMALIZE_WHITESPACE
    [{'$stream': {'type': 'open', 'v': 1, 'coder': 'json', 'heartbeat': 15}}, {'n': 1},
     {'$stream': {'type': 'ping'}}, {'$stream': {'type': 'end', 'frames': 1}}]
    """

    def __init__(self, coder: Coder[H, P], v: int | None = VERSION, *, limits: Limits | None = None) -> None:
        if v not in (VERSION, None):
            raise ValueError(f"version {v!r} is unknown: {VERSION}, or None for a plain stream")
        self._coder = coder
        self._encode = coder.encode
        self._plain = v is None
        limits = limits if limits is not None else Limits()
        self._max_frame, self._max_header = limits.frame, limits.header
        self._state = State.START
        self._position = 0

    @property
    def position(self) -> int:
        """How many data frames have been written."""
        return self._position

    @property
    def ended(self) -> bool:
        """Whether `end` has been written."""
        return self._state is State.ENDED

    def open(self, *, heartbeat: float | None = None, metadata: Mapping[str, Any] | None = None) -> bytes:
        """The open frame, first of all. `heartbeat`: the seconds within which the reader will hear something."""
        members: dict[str, Any] = {"v": VERSION, "coder": self._coder.name}
        if heartbeat is not None:
            if isinstance(heartbeat, bool) or not isinstance(heartbeat, int | float) or not heartbeat > 0:
                raise EncodeError(f"heartbeat is a positive number of seconds, not {heartbeat!r}")
            members["heartbeat"] = heartbeat
        if metadata is not None:
            members["metadata"] = dict(metadata)
        return self._control(Event.OPEN, members)

    def data(self, header: H, payload: P) -> bytes:
        """A data frame with the coder's message in it."""
        if self._state is not _STREAMING:
            self._after(Event.DATA)
        wire = self._encode(header, payload)
        # What goes out is asked, not the header: a name may be an Enum, and a coder may add members of its own.
        if not is_ordinary(wire, self._max_frame, self._max_header):
            self._judge(wire)
        self._state = _STREAMING
        self._position += 1
        return wire

    def frame(self, frame: Frame) -> bytes:
        """A data frame that is encoded already, from another stream or an archive: its header goes out untouched."""
        if self._state is not _STREAMING:
            self._after(Event.DATA)
        wire = bytes(frame)
        if not is_ordinary(wire, self._max_frame, self._max_header):
            self._judge(wire)
        self._state = _STREAMING
        self._position += 1
        return wire

    def ping(self) -> bytes:
        """A ping: it tells the reader, and every proxy between, that the stream is alive."""
        return self._control(Event.PING, {})

    def end(self, *, trailers: Mapping[str, Any] | None = None, error: StreamError | None = None) -> bytes:
        """The end frame, last of all: success, or the `error` that ended the stream."""
        members: dict[str, Any] = {"frames": self._position}
        if trailers is not None:
            members["trailers"] = dict(trailers)
        if error is not None:
            members["error"] = {"code": error.code, "message": error.message}
            if error.details is not None:
                members["error"]["details"] = error.details
        return self._control(Event.END, members)

    def _after(self, event: Event) -> State:
        try:
            return TRANSITIONS[self._state][event]
        except KeyError:
            raise EncodeError(f"{event.value} is not allowed: the stream has {_PAST[self._state]}") from None

    def _judge(self, wire: bytes) -> None:
        (size,) = _header_size(wire, 4)
        self._check_size(wire, size)
        if wire.find(b"$stream", 8, 8 + size) < 0:
            return
        try:
            header = strict_json.loads_object(wire[8 : 8 + size])
        except strict_json.InvalidJSON as error:
            raise EncodeError(f"the header is not a JSON object: {error}") from None
        if "$stream" in header:
            raise EncodeError('the header member "$stream" belongs to control frames')

    def _check_size(self, wire: bytes, header_size: int) -> None:
        if len(wire) > self._max_frame or header_size > self._max_header:
            limits = Limits(self._max_frame, self._max_header)
            raise EncodeError(
                f"a frame of {len(wire)} bytes with a header of {header_size} is beyond {limits}, which "
                "receivers keep to by default; send it in pieces, or raise the limits on both sides"
            )

    def _control(self, event: Event, members: Mapping[str, Any]) -> bytes:
        if self._plain:
            raise EncodeError(f"a plain stream has no control frames, {event.value} cannot be sent in it")
        after = self._after(event)
        wire = encode_frame({"$stream": {"type": event.value, **members}}, self._coder.neutral)
        self._check_size(wire, *_header_size(wire, 4))
        self._state = after
        return wire


_PAST: Final = {State.START: "not begun", State.STREAMING: "begun already", State.ENDED: "ended"}


class Reader(Generic[H, P]):
    """Chunks in, messages out: what a `StreamDecoder` does with every frame, and `_native.Reader` does in C.

    A data frame is the message that `_plain` makes of it, if that is set and makes one. All others are shown to
    `_look(frame)`, which gives the message, or `None` where there is none. `_look(None)` is called once the stream is
    said to be finished and its frames have ended. `_failure`, once set, is what every call raises.
    """

    def __init__(self, frames: FrameDecoder) -> None:
        self._frames = frames
        self._plain: PlainDecoder[H, P] | None = None
        self._failure: ObjectStreamError | None = None

    def feed(self, chunk: BytesLike) -> Iterator[tuple[H, P]]:
        """Take a chunk at once, and iterate lazily over the messages that are now whole."""
        if self._failure is not None:
            raise self._failure.with_traceback(None)
        frames = self._frames
        if frames._idle and type(chunk) is bytes:
            frames._chunk = chunk
            frames._idle = False
            return self._messages()
        return self._messages() if frames._take(chunk) else _NO_MESSAGES

    def next_message(self) -> tuple[H, P] | None:
        """The next message, or `None` if more bytes are needed. Raises as iteration does."""
        if self._failure is not None:
            raise self._failure.with_traceback(None)
        return next(self._messages(), None)

    def _look(self, frame: Frame | None) -> tuple[H, P] | None:
        raise NotImplementedError

    def _messages(self) -> Iterator[tuple[H, P]]:
        frames = self._frames
        max_frame, max_header = frames._max_frame, frames._max_header
        while True:
            plain = self._plain
            chunk, at = frames._chunk, frames._at
            if not frames._head and frames._peeked is None:  # as FrameDecoder._frames does, and no Frame between
                size, base, index = len(chunk), frames._base, frames._index
                while size - at >= 8:
                    total, header_size = _lengths(chunk, at)
                    end = at + total
                    begin = at + 8
                    cut = begin + header_size
                    if not (cut <= end <= size and total <= max_frame and header_size <= max_header):
                        break
                    header, payload = chunk[begin:cut], chunk[cut:end]
                    frames._index = index = index + 1
                    frames._at = end
                    message = None
                    if plain is not None and not header.startswith(CONTROL):
                        message = plain(header, payload)
                    if message is None:
                        message = self._look(Frame(header, payload, index - 1, base + at))
                    at = end
                    if message is not None:
                        yield message
                    if frames._index != index or frames._chunk is not chunk or self._plain is not plain:
                        break
                if frames._index != index or frames._chunk is not chunk or self._plain is not plain:
                    continue
                if at == size and size and not frames._rest and not frames._waiting and not frames._finished:
                    frames._base = base + at
                    frames._chunk = b""
                    frames._at = 0
                    frames._idle = True
                    return
            frame = frames._advance()
            if frame is False:
                break
            if frame is not None:
                message = None
                if plain is not None and not frame.header_bytes.startswith(CONTROL):
                    message = plain(frame.header_bytes, frame.payload)
                if message is None:
                    message = self._look(frame)
                if message is not None:
                    yield message
        if frames._finished:
            self._look(None)


_NO_MESSAGES: Final[Iterator[Any]] = iter(())
_lengths: Final = struct.Struct("<II").unpack_from

if not TYPE_CHECKING and CODEC == "native":
    from ._native import Reader, is_ordinary


class StreamDecoder(Generic[H, P], Reader[H, P]):
    """Reads one stream: bytes in any pieces, messages out; control frames are handled and not shown.

    `require_end`: whether a stream without an `end` frame is broken. `None` decides by the stream itself: an end is
    required once a control frame was seen, for then it is of version 1.

    Iteration raises, always after the good messages: `FrameError`, `ProtocolError` and `StreamError` (the peer ended
    the stream with one), after which the decoder is dead; `PayloadError`, after which it may be fed on.

    >>> from objectstreaming import JsonCoder, StreamEncoder
    >>> encoder = StreamEncoder(JsonCoder())
    >>> decoder = StreamDecoder(JsonCoder())
    >>> list(decoder.feed(encoder.open() + encoder.data({}, "hello")))
    [({}, 'hello')]
    >>> list(decoder.feed(encoder.end(trailers={"tokens": 1}))), decoder.trailers
    ([], {'tokens': 1})
    >>> decoder.finish()

    Without the end, `finish` raises:

    >>> decoder = StreamDecoder(JsonCoder(), require_end=True)
    >>> decoder.finish()
    Traceback (most recent call last):
    objectstreaming.errors.StreamIncomplete: the stream stopped after 0 data frames without its end: was it cut?
    """

    def __init__(self, coder: Coder[H, P], *, limits: Limits | None = None, require_end: bool | None = None) -> None:
        super().__init__(FrameDecoder(limits))
        self._coder = coder
        self._decode = coder.decode
        self._check_order = coder.order_check()
        self._require_end = require_end
        self._state = State.START
        self._others = 0  # frames that were no messages
        self._controlled = False
        self.trailers: dict[str, Any] | None = None
        """What the `end` frame carried, once it has come; `{}` if it carried none."""
        self.heartbeat: float | None = None
        """The seconds within which the peer promised to send something, if its `open` frame said so."""
        self.metadata: dict[str, Any] = {}
        """The `open` frame's metadata."""

    @property
    def position(self) -> int:
        """How many data frames have been received: what to resume from."""
        return self._frames.position - self._others

    @property
    def offset(self) -> int:
        """How many bytes the frames so far took."""
        return self._frames.offset

    @property
    def buffered(self) -> int:
        """How many bytes are held that were not yet asked for, or are not yet a whole frame."""
        return self._frames.buffered

    @property
    def ended(self) -> bool:
        """Whether the `end` frame has come, and was a right one."""
        return self.trailers is not None

    def finish(self) -> None:
        """Say that no more bytes will come. Raises `TruncatedFrame`, or `StreamIncomplete` if the end is missing.

        Messages not yet asked for can still be read with `next_message`, which then raises in its turn.
        """
        if self._failure is not None:
            raise self._failure.with_traceback(None)
        self._frames.finish()
        if not self._frames.buffered:
            self._complete()

    def _look(self, frame: Frame | None) -> tuple[H, P] | None:
        """The message in a data frame; `None` for a control frame, which has been seen to, and at the end of all."""
        if frame is None:
            self._complete()
            return None
        if frame.header_bytes[:11] == CONTROL:
            self._others += 1
            self._control(frame)
            return None
        if self._state is not _STREAMING:
            self._step(Event.DATA, frame)
        try:
            message = self._decode(frame)
            if self._check_order is not None:
                self._check_order(message[0], frame.index)
        except (FrameError, ProtocolError) as error:
            self._die(error)
        except PayloadError:
            # Its order was not seen: the next frame may have any, as in a resumed stream.
            self._check_order = self._coder.order_check()
            self._plain = self._coder.plain_decoder(self._check_order)
            raise
        return message

    def _complete(self) -> None:
        if self._failure is not None:
            raise self._failure.with_traceback(None)
        required = self._controlled if self._require_end is None else self._require_end
        if required and not self.ended:
            raise StreamIncomplete(
                f"the stream stopped after {self.position} data frames without its end: was it cut?",
                self.position,
            )

    def _step(self, event: Event, frame: Frame) -> None:
        try:
            self._state = TRANSITIONS[self._state][event]
        except KeyError:
            if event is Event.DATA:
                self._others += 1
            if self._failure is not None:  # of an iterator beside the one that met it
                raise self._failure.with_traceback(None) from None
            if self._state is State.ENDED:
                self._fail("frame_after_end", f"a {event.value} frame after the end of the stream", frame)
            self._fail("invalid_control", f"{event.value} in a stream that has begun already", frame)
        if self._state is State.ENDED:
            self._plain = None
        elif self._plain is None:
            self._plain = self._coder.plain_decoder(self._check_order)

    def _control(self, frame: Frame) -> None:
        self._controlled = True
        try:
            control = frame.header["$stream"]
        except FrameError as error:
            self._die(error)
        kind = control.get("type") if isinstance(control, dict) else None
        if not isinstance(kind, str):
            self._fail("invalid_control", "$stream is an object with the member type, a string", frame)
        event = _EVENTS.get(kind, Event.OTHER)
        self._step(event, frame)
        if event is Event.OPEN:
            self._opened(control, frame)
        elif event is Event.END:
            self._ended(control, frame)

    def _opened(self, control: dict[str, Any], frame: Frame) -> None:
        version, coder = control.get("v"), control.get("coder", self._coder.name)
        heartbeat, metadata = control.get("heartbeat"), control.get("metadata", {})
        if type(version) is not int or version != VERSION:
            self._fail("invalid_control", f"the stream is of version {version!r}, this reader knows {VERSION}", frame)
        if coder != self._coder.name:
            self._fail("invalid_control", f"the stream's coder is {coder!r}, this reader's {self._coder.name!r}", frame)
        if heartbeat is not None and (type(heartbeat) not in (int, float) or not heartbeat > 0):
            self._fail("invalid_control", f"heartbeat is a positive number of seconds, not {heartbeat!r}", frame)
        if not isinstance(metadata, dict):
            self._fail("invalid_control", f"metadata is an object, not {metadata!r:.40}", frame)
        self.heartbeat = heartbeat
        self.metadata = metadata

    def _ended(self, control: dict[str, Any], frame: Frame) -> None:
        frames, trailers = control.get("frames"), control.get("trailers", {})
        if type(frames) is not int or frames < 0:
            self._fail("invalid_control", f"frames is the number of data frames, not {frames!r}", frame)
        if frames != self.position:
            self._fail("count_mismatch", f"{frames} data frames were sent, {self.position} arrived", frame)
        if not isinstance(trailers, dict):
            self._fail("invalid_control", f"trailers is an object, not {trailers!r:.40}", frame)
        failure = self._peer_error(control["error"], frame) if "error" in control else None
        self.trailers = trailers
        if failure is not None:
            self._die(failure)

    def _peer_error(self, error: Any, frame: Frame) -> StreamError:
        code = error.get("code") if isinstance(error, dict) else None
        message = error.get("message", "") if isinstance(error, dict) else None
        if not isinstance(code, str) or not isinstance(message, str):
            self._fail("invalid_control", f"error is an object with code and message, not {error!r:.60}", frame)
        # A code of a later version is an error all the same.
        return StreamError(code if code in HTTP_STATUS else "unknown", message, error.get("details"))

    def _fail(self, code: str, message: str, frame: Frame) -> NoReturn:
        self._die(ProtocolError(code, message, frame.index))

    def _die(self, failure: ObjectStreamError) -> NoReturn:
        self._failure = self._failure or failure
        self._state = State.ENDED  # so that whatever comes next goes through _step
        self._plain = None
        raise self._failure


_EVENTS: Final = {"open": Event.OPEN, "ping": Event.PING, "end": Event.END}


def iter_messages(
    chunks: Iterable[BytesLike],
    coder: Coder[H, P],
    *,
    limits: Limits | None = None,
    require_end: bool | None = None,
) -> Iterator[tuple[H, P]]:
    """The messages in an iterable of chunks: a file's reads, a response's body, a list. Raises as `StreamDecoder` does.

    `chunks` is closed when the iteration ends, early too, if it can be closed.

    >>> from objectstreaming import JsonCoder
    >>> wire = JsonCoder().encode({}, 1) + JsonCoder().encode({}, 2)
    >>> [payload for header, payload in iter_messages([wire[:7], wire[7:]], JsonCoder())]
    [1, 2]
    """
    decoder = StreamDecoder(coder, limits=limits, require_end=require_end)
    try:
        for chunk in chunks:
            yield from decoder.feed(chunk)
        decoder.finish()
    finally:
        close = getattr(chunks, "close", None)
        if close is not None:
            close()


async def aiter_messages(
    chunks: AsyncIterable[BytesLike],
    coder: Coder[H, P],
    *,
    limits: Limits | None = None,
    require_end: bool | None = None,
) -> AsyncIterator[tuple[H, P]]:
    """`iter_messages` over an async iterable: `request.stream()`, `response.aiter_bytes()`, a WebSocket's messages."""
    decoder = StreamDecoder(coder, limits=limits, require_end=require_end)
    try:
        async for chunk in chunks:
            for message in decoder.feed(chunk):
                yield message
        decoder.finish()
    finally:
        close = getattr(chunks, "aclose", None)
        if close is not None:
            await close()
