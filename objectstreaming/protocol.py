"""Streams, version 1: messages and control frames (SPEC section 3). Sans-IO: bytes in, messages out, and back.

**Theory of operation.** A plain stream is data frames end to end, and its end looks like a cut. Version 1 adds control
frames: ordinary frames whose header begins with the eleven bytes `{"$stream":`, so that no reader parses a data frame's
header to tell the two apart. `open` may come first, `ping` at any time, `end` once and last. `end` says how many data
frames there were, so a stream that lost a frame, or its end, is known to be broken.

Both sides follow one table (SPEC section 3.5). A row is a state, a column is an event. An event that is not allowed is
an error: `EncodeError` in the encoder, before a byte leaves; `ProtocolError` in the decoder, which is then dead.

                open        data        ping        other       end
    START       STREAMING   STREAMING   STREAMING   STREAMING   ENDED
    STREAMING   error       STREAMING   STREAMING   STREAMING   ENDED
    ENDED       error       error       error       error       error

`other` is a control type of a later version, which is ignored. A stream's position is the number of its data frames;
control frames do not count (SPEC section 3.6).
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, Generic, NoReturn, TypeVar

from . import strict_json
from .coders import Coder, PlainDecoder, check_coder
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
from .frames import CODEC, NOTHING, BytesLike, Frame, FrameDecoder, Limits, encode_frame

__all__ = [
    "CONTROL",
    "HEARTBEATS",
    "MEDIA_TYPE",
    "PLAIN_MEDIA_TYPE",
    "VERSION",
    "StreamDecoder",
    "StreamEncoder",
    "write_error",
]

H = TypeVar("H")
P = TypeVar("P")

_words: Final = struct.Struct("<II").unpack_from

logger: Final = logging.getLogger("objectstreaming")

VERSION: Final = 1
CONTROL: Final = b'{"$stream":'
"""What the header of a control frame, and of no other frame, begins with (SPEC section 3.1)."""
_CONTROL_END: Final = b'{"$stream;'  # ';' comes after ':': headers that begin with CONTROL are those between the two
HEARTBEATS: Final = 3
"""How many heartbeats of silence a reader waits before it gives up (SPEC section 6.2): one may be lost on a slow
connection, and one in a busy server."""
MEDIA_TYPE: Final = "application/vnd.objectstreaming"
"""The content type of a stream of this version; its parameters are `v` and `coder` (SPEC section 6.1)."""
PLAIN_MEDIA_TYPE: Final = "application/octet-stream"


class State(Enum):
    """Where a stream stands."""

    START = "start"
    STREAMING = "streaming"
    ENDED = "ended"


class Event(Enum):
    """What can come next: a column of the table."""

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


_STREAMING: Final = State.STREAMING  # compared with every frame, and a member of an Enum is slow to look up


def is_ordinary(wire: bytes, max_frame: int, max_header: int) -> bool:
    """Whether the bytes are one frame within the limits, and its header cannot have the member `$stream`."""
    if len(wire) < 8:
        return False
    total, size = _words(wire, 0)
    if total != len(wire) or total > max_frame or size > max_header or size > total - 8:
        return False
    return not strict_json.may_have_stream_member(wire, 8, 8 + size)


def write_error(error: StreamError, write: Callable[[dict[str, Any]], bytes]) -> bytes:
    """Return `write(object)`, the object being `error` as SPEC section 3.4 writes it: `code`, `message`, `details`.

    Where `write` raises `EncodeError`, the object is tried again without the details, then without the message too: the
    peer is to hear of the error in any case. What was left out is logged. The last refusal is raised.

    >>> write_error(StreamError("not_found", "no such file", object()), strict_json.dumps)
    b'{"code":"not_found","message":"no such file"}'
    """
    brief = {"code": error.code, "message": error.message}
    shorter = [brief] if error.details is None else [{**brief, "details": error.details}, brief]
    for members in shorter:
        try:
            return write(members)
        except EncodeError as refusal:
            logger.warning("the error %r cannot be sent in full: %s", error.code, refusal)
    return write({"code": error.code, "message": "the message of this error cannot be sent"})


class StreamEncoder(Generic[H, P]):
    """Writes one stream. Each method returns the bytes of one frame; if it raises `EncodeError`, nothing has changed.

    Its methods have to be called in the order of the stream.

    >>> from objectstreaming import JsonCoder
    >>> encoder = StreamEncoder(JsonCoder())
    >>> wire = encoder.open(heartbeat=15) + encoder.data({"n": 1}, "hello") + encoder.ping() + encoder.end()
    >>> [frame.header for frame in FrameDecoder().feed(wire)]  # doctest: +NORMALIZE_WHITESPACE
    [{'$stream': {'type': 'open', 'v': 1, 'coder': 'json', 'heartbeat': 15}}, {'n': 1},
     {'$stream': {'type': 'ping'}}, {'$stream': {'type': 'end', 'frames': 1}}]

    Args:
        coder: encodes the messages.
        v: the version, 1; `None` is a plain stream, of data frames only.
        limits: those that the receiver is expected to have. A larger frame is refused here, where the program that made
            it can still be told.
    """

    def __init__(self, coder: Coder[H, P], v: int | None = VERSION, *, limits: Limits | None = None) -> None:
        if v not in (VERSION, None):
            raise ValueError(f"version {v!r} is unknown: {VERSION}, or None for a plain stream")
        check_coder(coder)
        self._coder = coder
        self._encode = coder.encode
        self._check_order = coder.order_check()
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

    def open(
        self,
        *,
        heartbeat: float | None = None,
        metadata: Mapping[str, Any] | None = None,
        resume: str | None = None,
        position: int = 0,
        at: int | None = None,
    ) -> bytes:
        """The open frame, which comes first.

        >>> from objectstreaming import JsonCoder
        >>> StreamEncoder(JsonCoder()).open(at=1500)[8:-2]
        b'{"$stream":{"type":"open","v":1,"coder":"json","at":1500}}'

        Args:
            heartbeat: the reader will receive something at least every so many seconds; `None` promises nothing.
            metadata: a JSON object for the reader.
            resume: a URI reference at which the stream can be picked up.
            position: how many data frames of the stream come before this response (SPEC section 3.6). The encoder's own
                `position` counts those written here.
            at: how many microseconds ago the response began (SPEC section 3.3), here and in `ping` and `end`.

        Raises:
            EncodeError: The stream has begun already, or a value is not what the frame may hold.
        """
        members: dict[str, Any] = {"v": VERSION, "coder": self._coder.name}
        if position < 0:
            raise EncodeError(f"position is a number of data frames, not {position!r}")
        if heartbeat is not None:
            if isinstance(heartbeat, bool) or not isinstance(heartbeat, int | float) or not heartbeat > 0:
                raise EncodeError(f"heartbeat is a positive number of seconds, not {heartbeat!r}")
            members["heartbeat"] = heartbeat
        if metadata is not None:
            members["metadata"] = _members("metadata", metadata)
        if resume is not None:
            members["resume"] = resume
        if position:
            members["position"] = position
        return self._control(Event.OPEN, _timed(members, at))

    def data(self, header: H, payload: P) -> bytes:
        """A data frame with one message. The coder checks that it may follow the messages before it (`order_check`).

        Args:
            header: what the coder takes as a header.
            payload: what the coder takes as a payload.

        Raises:
            EncodeError: The message cannot be encoded, is beyond the limits, or the stream has ended.
            ProtocolError: It may not follow the messages before it.
        """
        return self._data(self._encode(header, payload), header)

    def frame(self, frame: Frame) -> bytes:
        """A data frame of another stream or an archive. Its header goes out as it is, and its order is not checked."""
        return self._data(bytes(frame), None)

    def encoded(self, wire: bytes) -> bytes:
        """A data frame that the coder has encoded before. Its order is not checked."""
        self.check(wire)
        return self._data(wire, None)

    def stored(self, wire: bytes, count: int) -> bytes:
        """Data frames that were checked when they were stored, and are not looked at again.

        Args:
            wire: whole frames.
            count: how many they are.
        """
        if self._state is not _STREAMING:
            self._state = self._allow(Event.DATA)
        self._position += count
        return wire

    def check(self, wire: bytes) -> None:
        """Raise `EncodeError` if `wire` cannot be a data frame of this stream. Nothing is written or counted.

        It must be one whole frame, within the limits, and without the header member `$stream`.
        """
        if not is_ordinary(wire, self._max_frame, self._max_header):
            self._refuse(wire)

    def ping(self, *, at: int | None = None) -> bytes:
        """A ping: it tells the reader, and every proxy between, that the stream is alive."""
        return self._control(Event.PING, _timed({}, at))

    def end(
        self, *, trailers: Mapping[str, Any] | None = None, error: StreamError | None = None, at: int | None = None
    ) -> bytes:
        """The end frame, which comes last: success, or an error.

        An error is sent in any case: its details, its message and the trailers are left out where they are not JSON or
        too large (`write_error`).

        Args:
            trailers: a JSON object for the reader.
            error: what ended the stream; `None` is success.
            at: how many microseconds ago the response began.
        """
        self._allow(Event.END)
        members = _timed({"frames": self._position}, at)
        if trailers is not None:
            members["trailers"] = _members("trailers", trailers)
        if error is None:
            return self._control(Event.END, members)
        try:
            return write_error(error, lambda told: self._control(Event.END, {**members, "error": told}))
        except EncodeError as refusal:
            if trailers is None:
                raise
            logger.warning("the trailers of a stream that failed cannot be sent: %s", refusal)
            return self.end(error=error, at=at)

    def _data(self, wire: bytes, header: H | None) -> bytes:
        """Count a data frame; `header` is `None` where it was not decoded."""
        if self._state is not _STREAMING:
            self._allow(Event.DATA)
        # The bytes are checked, not the header: a name may be an Enum, and a coder may add members of its own.
        if not is_ordinary(wire, self._max_frame, self._max_header):
            self._refuse(wire)
        if self._check_order is not None:
            if header is None:  # any order may follow an unknown one, as in a resumed stream
                self._check_order = self._coder.order_check()
            else:
                try:
                    self._check_order(header, self._position)
                except ProtocolError as error:
                    raise EncodeError(f"{error.message} ({error.code}: every reader refuses such a stream)") from None
        self._state = _STREAMING
        self._position += 1
        return wire

    def _allow(self, event: Event) -> State:
        """The state after `event`. Raises `EncodeError` if it is not allowed."""
        if self._plain and event is not Event.DATA:
            raise EncodeError(f"a plain stream has no control frames, {event.value} cannot be sent in it")
        try:
            return TRANSITIONS[self._state][event]
        except KeyError:
            raise EncodeError(f"{event.value} is not allowed: the stream has {_PAST[self._state]}") from None

    def _refuse(self, wire: bytes) -> None:
        """Raise `EncodeError` for bytes that are not ordinary, unless `$stream` is only a text in the header."""
        total, size = _words(wire, 0) if len(wire) >= 8 else (0, 0)
        if total != len(wire) or size > total - 8:
            raise EncodeError(f"one whole frame is expected, and these {len(wire)} bytes are not")
        self._check_size(wire, size)
        strict_json.check_data_header(wire[8 : 8 + size])

    def _check_size(self, wire: bytes, header_size: int) -> None:
        if len(wire) > self._max_frame or header_size > self._max_header:
            limits = Limits(self._max_frame, self._max_header)
            raise EncodeError(
                f"a frame of {len(wire)} bytes with a header of {header_size} is beyond {limits}, which "
                "receivers keep to by default; send it in pieces, or raise the limits on both sides"
            )

    def _control(self, event: Event, members: Mapping[str, Any]) -> bytes:
        after = self._allow(event)
        wire = encode_frame({"$stream": {"type": event.value, **members}}, self._coder.neutral)
        self._check_size(wire, _words(wire, 0)[1])
        self._state = after
        return wire


def _timed(members: dict[str, Any], at: int | None) -> dict[str, Any]:
    if at is not None:
        if type(at) is not int or at < 0:
            raise EncodeError(f"at is a number of microseconds since the response began, an integer, not {at!r}")
        members["at"] = at
    return members


def _members(name: str, value: object) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise EncodeError(f"{name} are a mapping of names to values, not {type(value).__name__}: {value!r:.60}")
    return dict(value)


_PAST: Final = {State.START: "not begun", State.STREAMING: "begun already", State.ENDED: "ended"}


class Reader(Generic[H, P]):
    """Chunks in, messages out: the loop of `StreamDecoder`, which `_native.Reader` is in C.

    A data frame becomes the message that `_plain` makes of it, if that is set and makes one. Any other frame is passed
    to `_look(frame)`, which returns the message, or `None` if there is none. `_look(None)` is called when the frames of
    a finished stream are exhausted. `_failure`, once set, is raised by every call.
    """

    def __init__(self, frames: FrameDecoder) -> None:
        self._frames = frames
        self._plain: PlainDecoder[H, P] | None = None
        self._failure: ObjectStreamError | None = None
        self._finished = False

    def feed(self, chunk: BytesLike) -> Iterator[tuple[H, P]]:
        """Take a chunk at once, and iterate lazily over the messages that are now whole."""
        if self._failure is not None:
            raise self._failure.with_traceback(None)
        frames = self._frames.feed(chunk)
        return NOTHING if frames is NOTHING else self._messages(frames)

    def next_message(self) -> tuple[H, P] | None:
        """The next message, or `None` if more bytes are needed. Raises as iteration does."""
        if self._failure is not None:
            raise self._failure.with_traceback(None)
        return next(self._messages(iter(self._frames.next_frame, None)), None)

    def _look(self, frame: Frame | None) -> tuple[H, P] | None:
        raise NotImplementedError

    def _messages(self, frames: Iterator[Frame]) -> Iterator[tuple[H, P]]:
        for frame in frames:
            plain, header = self._plain, frame.header_bytes
            is_control = header < _CONTROL_END and header >= CONTROL
            if plain is None or is_control or (message := plain(header, frame.payload)) is None:
                message = self._look(frame)
                if message is None:
                    continue
            yield message
        if self._finished:
            self._look(None)


if not TYPE_CHECKING and CODEC == "native":
    from ._native import Reader, is_ordinary


class StreamDecoder(Generic[H, P], Reader[H, P]):
    """Reads one stream: bytes in any pieces, messages out. Control frames are handled and not delivered.

    Iteration raises, always after the good messages: `FrameError`, `ProtocolError` and `StreamError` (the peer ended
    the stream with an error), after which the decoder is dead; `PayloadError`, after which it can be fed again.

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

    Args:
        coder: decodes the messages.
        limits: the largest frame and header; by default 16 MiB and 64 KiB.
        require_end: whether a stream without an `end` frame is broken. `None` decides by the stream itself: one that
            has a control frame is of version 1 and must have an end.
    """

    def __init__(self, coder: Coder[H, P], *, limits: Limits | None = None, require_end: bool | None = None) -> None:
        check_coder(coder)
        super().__init__(FrameDecoder(limits))
        self._coder = coder
        self._decode = coder.decode
        self._check_order = coder.order_check()
        self._require_end = require_end
        self._state = State.START
        self._others = 0  # frames that were not messages
        self._before = 0  # data frames of the stream that come before this response
        self._controlled = False
        self.trailers: dict[str, Any] | None = None
        """What the `end` frame carried, once it has come; `{}` if it carried none."""
        self.heartbeat: float | None = None
        """The peer has promised to send something at least every so many seconds, if its `open` frame says so."""
        self.metadata: dict[str, Any] = {}
        """The `open` frame's metadata."""
        self.pings = 0
        """How many pings have come."""
        self.resume: str | None = None
        """Where the stream can be picked up, if the `open` frame says so: a URI reference, as it was sent."""
        self.at: int | None = None
        """Microseconds since the response began, by the peer's clock: of the last control frame that has said it."""

    @property
    def position(self) -> int:
        """How many data frames of the stream there were up to here: what to resume from.

        They are those received, and those that come before this response if it resumes a stream.
        """
        return self._before + self.received

    @property
    def received(self) -> int:
        """How many data frames have come: those of this response, which may be the rest of a stream."""
        return self._frames.position - self._others

    @property
    def offset(self) -> int:
        """How many bytes the frames took that have been read so far."""
        return self._frames.offset

    @property
    def buffered(self) -> int:
        """How many bytes are held: messages not yet asked for, and the beginning of a frame."""
        return self._frames.buffered

    @property
    def ended(self) -> bool:
        """Whether the `end` frame has come, and was valid."""
        return self.trailers is not None

    def finish(self) -> None:
        """Say that no more bytes will come.

        Messages not yet asked for can still be read with `next_message`, which then raises in its turn.

        Raises:
            TruncatedFrame: The bytes ended inside a frame.
            StreamIncomplete: The end is missing.
        """
        if self._failure is not None:
            raise self._failure.with_traceback(None)
        self._finished = True  # for the pure Reader; the native one asks its FrameDecoder
        self._frames.finish()
        if not self._frames.buffered:
            self._complete()

    def _look(self, frame: Frame | None) -> tuple[H, P] | None:
        """The message in a data frame; `None` for a control frame, which is handled here, and at the end."""
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
            self._fail(error)
        except PayloadError:
            # The order of this message is unknown: the next one may have any, as in a resumed stream (SPEC 4.2).
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
            if self._failure is not None:  # raised by another iterator of this decoder
                raise self._failure.with_traceback(None) from None
            if self._state is State.ENDED:
                self._refuse("frame_after_end", f"a {event.value} frame after the end of the stream", frame)
            self._refuse("invalid_control", f"{event.value} in a stream that has begun already", frame)
        if self._state is State.ENDED:
            self._plain = None
        elif self._plain is None:
            self._plain = self._coder.plain_decoder(self._check_order)

    def _control(self, frame: Frame) -> None:
        self._controlled = True
        try:
            control = frame.header["$stream"]
        except FrameError as error:
            self._fail(error)
        kind = control.get("type") if isinstance(control, dict) else None
        if not isinstance(kind, str):
            self._refuse("invalid_control", "$stream is an object with the member type, a string", frame)
        event = _EVENTS.get(kind, Event.OTHER)
        self._step(event, frame)
        if event is Event.OPEN:
            self._opened(control, frame)
        elif event is Event.PING:
            self._timed(control, frame)
            self.pings += 1
        elif event is Event.END:
            self._ended(control, frame)

    def _timed(self, control: dict[str, Any], frame: Frame) -> None:
        at = control.get("at", 0)
        if type(at) is not int or at < 0:
            self._refuse("invalid_control", f"at is a number of microseconds, not {at!r:.40}", frame)
        if "at" in control:
            self.at = at

    def _opened(self, control: dict[str, Any], frame: Frame) -> None:
        version, coder = control.get("v"), control.get("coder", self._coder.name)
        heartbeat, metadata = control.get("heartbeat"), control.get("metadata", {})
        position, resume = control.get("position", 0), control.get("resume")
        if type(version) is not int or version != VERSION:
            self._refuse("invalid_control", f"the stream is of version {version!r}, this reader knows {VERSION}", frame)
        if coder != self._coder.name:
            self._refuse(
                "invalid_control", f"the stream's coder is {coder!r}, this reader's {self._coder.name!r}", frame
            )
        if heartbeat is not None and (type(heartbeat) not in (int, float) or not heartbeat > 0):
            self._refuse("invalid_control", f"heartbeat is a positive number of seconds, not {heartbeat!r}", frame)
        if not isinstance(metadata, dict):
            self._refuse("invalid_control", f"metadata is an object, not {metadata!r:.40}", frame)
        if type(position) is not int or position < 0:
            self._refuse("invalid_control", f"position is a number of data frames, not {position!r:.40}", frame)
        if "resume" in control and not isinstance(resume, str):
            self._refuse("invalid_control", f"resume is a URI reference, a string, not {resume!r:.40}", frame)
        self._timed(control, frame)
        self._before = position
        self.resume = resume
        self.heartbeat = heartbeat
        self.metadata = metadata

    def _ended(self, control: dict[str, Any], frame: Frame) -> None:
        frames, trailers = control.get("frames"), control.get("trailers", {})
        if type(frames) is not int or frames < 0:
            self._refuse("invalid_control", f"frames is the number of data frames, not {frames!r}", frame)
        if frames != self.received:
            self._refuse("count_mismatch", f"{frames} data frames were sent, {self.received} arrived", frame)
        if not isinstance(trailers, dict):
            self._refuse("invalid_control", f"trailers is an object, not {trailers!r:.40}", frame)
        self._timed(control, frame)
        failure = self._peer_error(control["error"], frame) if "error" in control else None
        self.trailers = trailers
        if failure is not None:
            self._fail(failure)

    def _peer_error(self, error: Any, frame: Frame) -> StreamError:
        code = error.get("code") if isinstance(error, dict) else None
        message = error.get("message", "") if isinstance(error, dict) else None
        if not isinstance(code, str) or not isinstance(message, str):
            self._refuse("invalid_control", f"error is an object with code and message, not {error!r:.60}", frame)
        # A code of a later version is an error too (SPEC section 3.4).
        failure = StreamError(code if code in HTTP_STATUS else "unknown", message, error.get("details"))
        failure.from_peer = True
        return failure

    def _refuse(self, code: str, message: str, frame: Frame) -> NoReturn:
        self._fail(ProtocolError(code, message, frame.index))

    def _fail(self, failure: ObjectStreamError) -> NoReturn:
        self._failure = self._failure or failure
        self._state = State.ENDED  # every frame that is still read then goes through _step
        self._plain = None
        raise self._failure


_EVENTS: Final = {"open": Event.OPEN, "ping": Event.PING, "end": Event.END}
