"""Frames: the unit of the wire (SPEC section 2).

    0            4             8              8+H                 T
    | T  uint32  | H  uint32   | header (H B) | payload (T-8-H B) |      little-endian

T counts the whole frame, itself included; H the header alone. The header is one JSON object, the payload whatever the
stream's coder says. A stream is frames end to end. This room turns bytes into frames and back; it does no input or
output, and it knows neither coders nor control frames.

**The decoder.** `FrameDecoder` is given chunks as a transport cuts them, and gives frames. It cuts them straight out of
the chunk. What is left of a small frame waits in `_rest`, and if the next chunk completes it, is joined to that. Any
other frame that straddles chunks is put together: its first bytes gather in `_head` until both length words and the
header are there, then the chunks of its payload are listed in `_parts` and joined once. No byte is joined more than
once, so the cost is linear in the bytes whatever the chunking, and what is held is what has arrived: a length word is a
claim, compared with the limits, never a reason to allocate.

Both length words are judged as soon as they are there, in field order. What is wrong with a *header* is found when
`Frame.header` is first asked for: a relay never pays for parsing it.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, Literal, NoReturn, TypeAlias

import msgspec

from . import strict_json
from .errors import (
    EncodeError,
    FrameError,
    FrameTooLarge,
    HeaderTooLarge,
    InvalidHeader,
    InvalidLength,
    TruncatedFrame,
)

__all__ = [
    "CODEC",
    "LAYOUT",
    "BytesLike",
    "Frame",
    "FrameDecoder",
    "Layout",
    "Limits",
    "MiB",
    "decode_frame",
    "encode_frame",
    "encode_frame_parts",
    "split_frame",
]

BytesLike: TypeAlias = Any
"""bytes, bytearray, memoryview, mmap, a C-contiguous NumPy array: whatever has the buffer protocol."""

KiB: Final = 1024
MiB: Final = 1024 * 1024


class Limits(msgspec.Struct, frozen=True):
    """What a decoder accepts, in bytes: `frame` bounds T, `header` bounds H. Either raises its own error.

    The defaults, 16 MiB and 64 KiB, hold 43 s of 48 kHz stereo int32 PCM in one frame, and four times the head that
    h11 accepts of a request. A receiver of small answers does well to set less.

    >>> Limits(frame=1024).header
    65536
    """

    frame: int = 16 * MiB
    header: int = 64 * KiB

    def __post_init__(self) -> None:
        if self.frame < 0 or self.header < 0:
            raise ValueError(f"limits are byte counts, not negative: {self}")


class Layout(msgspec.Struct, frozen=True):
    """How the two length words are written: `byte_length` bytes each, 1 to 8, in `byte_order`.

    The wire is `Layout()`; another one is a private agreement of both sides.

    >>> encode_frame({"a": 1}, b"xy", layout=Layout(2, "big")).hex()
    '000d00077b2261223a317d7879'
    """

    byte_length: int = 4
    byte_order: Literal["little", "big"] = "little"

    def __post_init__(self) -> None:
        if self.byte_length not in range(1, 9) or self.byte_order not in ("little", "big"):
            raise ValueError(f"byte_length is 1 to 8 and byte_order 'little' or 'big', not {self}")

    @property
    def largest(self) -> int:
        """The largest T the length word can say."""
        return (1 << 8 * self.byte_length) - 1


LAYOUT: Final = Layout()

_Words: TypeAlias = Callable[[Any, int], tuple[int, int]]
_FORMATS: Final = {1: "BB", 2: "HH", 4: "II", 8: "QQ"}


def _words_of(layout: Layout) -> _Words:
    """The function (buffer, position) -> (T, H) of a layout: struct's where it has the width."""
    size = layout.byte_length
    order = layout.byte_order
    if size in _FORMATS:
        return struct.Struct(("<" if order == "little" else ">") + _FORMATS[size]).unpack_from

    def words(buffer: Any, at: int) -> tuple[int, int]:
        middle = at + size
        return int.from_bytes(buffer[at:middle], order), int.from_bytes(buffer[middle : middle + size], order)

    return words


_LARGEST: Final = LAYOUT.largest
_SHORT: Final = strict_json.TOO_SHORT_TO_BE_DEEP
_encode: Final = msgspec.json.Encoder().encode
_pack: Final = struct.Struct("<II").pack
_unpack: Final = struct.Struct("<II").unpack_from


class Frame(msgspec.Struct, eq=False, gc=False):
    """One frame: `header_bytes` and `payload` as they were on the wire; `header` parsed on first use and kept.

    `index` and `offset` tell where the frame stood in its stream (0, 0 for a loose one); two frames are equal if
    their bytes are. `bytes(frame)` is the frame in the standard layout.

    >>> frame = Frame(b'{"a": 1}', b"xy")
    >>> frame.header, frame.payload, len(bytes(frame))
    ({'a': 1}, b'xy', 18)
    """

    # A Struct for speed alone: it is made five times as fast as an object with __slots__, and frames hold no cycles.
    header_bytes: bytes
    payload: bytes = b""
    index: int = 0
    offset: int = 0
    _header: dict[str, Any] | None = None

    @property
    def header(self) -> dict[str, Any]:
        """The header as a dict. Raises `InvalidHeader` if it is not one strict JSON object."""
        header = self._header
        if header is None:
            try:
                header = self._header = strict_json.loads_object(self.header_bytes)
            except strict_json.InvalidJSON as error:
                raise InvalidHeader(f"the header is not a JSON object: {error}", self.index, self.offset) from None
        return header

    def __bytes__(self) -> bytes:
        header, payload = self.header_bytes, self.payload
        size = len(header)
        return b"".join((_pack(8 + size + len(payload), size), header, payload))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Frame):
            return NotImplemented
        return self.header_bytes == other.header_bytes and self.payload == other.payload

    def __hash__(self) -> int:
        return hash((self.header_bytes, self.payload))

    def __repr__(self) -> str:
        return f"Frame({self.header_bytes!r}, {self.payload!r}, index={self.index}, offset={self.offset})"

    def __str__(self) -> str:
        """A line for logs: place, header in brief, payload size."""
        header = self.header_bytes[:80].decode(errors="replace") + ("..." if len(self.header_bytes) > 80 else "")
        return f"frame {self.index} at byte {self.offset}: {header} + {len(self.payload)} bytes"


# ---------------------------------------------------------------------------------------------------- encoding


def encode_frame(header: object, payload: BytesLike = b"", *, layout: Layout = LAYOUT) -> bytes:
    """One frame's bytes.

    `header` is a mapping, a typed object (dataclass, `msgspec.Struct`), or JSON bytes, which go out untouched once
    they have been checked; `payload` anything with the buffer protocol. Raises `EncodeError`.

    >>> encode_frame(b'{"a": 1}', b'{"b": 2}').hex(" ", 4)
    '18000000 08000000 7b226122 3a20317d 7b226222 3a20327d'
    """
    if layout is LAYOUT and type(payload) is bytes:
        # A short cut for small and ordinary headers, where strict_json has nothing to add to msgspec.
        try:
            head = _encode(header)
        except (TypeError, ValueError, OverflowError, RecursionError):
            head = b""  # the long way knows why
        size = len(head)
        total = 8 + size + len(payload)
        if head[:1] == b"{" and size < _SHORT and head.find(b"null") < 0 and total <= _LARGEST:
            return _pack(total, size) + head + payload
    return b"".join(encode_frame_parts(header, payload, layout=layout))


def encode_frame_parts(
    header: object, payload: BytesLike = b"", *, layout: Layout = LAYOUT
) -> tuple[bytes, memoryview]:
    """A frame in two parts, the payload not copied: `transport.writelines(encode_frame_parts(header, pcm))`.

    Returns the length words with the header, and a flat byte view of `payload`. Raises `EncodeError`.
    """
    header_bytes = _header_to_bytes(header)
    try:
        view = memoryview(payload)
        body = None if "O" in view.format else view.cast("B")
    except (TypeError, ValueError, BufferError):
        body = None
    if body is None:
        body = _flat_view(payload)
    size = len(header_bytes)
    total = 2 * layout.byte_length + size + len(body)
    if total > layout.largest:
        raise EncodeError(
            f"a frame of {total} bytes does not fit a length word of {layout.byte_length} bytes; "
            "send it in pieces, a frame each"
        )
    if layout is LAYOUT:
        return _pack(total, size) + header_bytes, body
    return _length_words(total, size, layout) + header_bytes, body


def _length_words(total: int, size: int, layout: Layout) -> bytes:
    return total.to_bytes(layout.byte_length, layout.byte_order) + size.to_bytes(layout.byte_length, layout.byte_order)


def _header_to_bytes(header: object) -> bytes:
    if isinstance(header, bytes | bytearray | memoryview):
        data = bytes(header)
        try:
            strict_json.loads_object(data)
        except strict_json.InvalidJSON as error:
            raise EncodeError(f"the header is not a JSON object: {error}") from None
        return data
    data = strict_json.dumps(dict(header) if isinstance(header, Mapping) else header)
    if not data.startswith(b"{"):
        raise EncodeError(f"a header is a JSON object; a {type(header).__name__} is not: {data[:40]!r}")
    return data


def _flat_view(payload: BytesLike) -> memoryview:
    """A byte view where memoryview.cast has none: no bytes at all, or an array not in C order."""
    try:
        view = memoryview(payload)
    except (TypeError, ValueError, BufferError):
        view = None
    if view is None or "O" in view.format:  # an array of Python objects holds addresses, which are nobody's payload
        raise EncodeError(f"a payload is bytes, or an array in memory; a {type(payload).__name__} is neither")
    return memoryview(view.tobytes())


# ---------------------------------------------------------------------------------------------------- decoding


def decode_frame(data: BytesLike, *, layout: Layout = LAYOUT) -> Frame:
    """Exactly one frame. Raises `TruncatedFrame` if there is less, `InvalidLength` if there is more or T or H is wrong.

    >>> decode_frame(bytes.fromhex("0c000000 02000000 7b7d 0102"))
    Frame(b'{}', b'\\x01\\x02', index=0, offset=0)
    """
    found = split_frame(data, layout=layout)
    size = memoryview(data).nbytes
    if found is None:
        raise TruncatedFrame(f"one frame is expected, and {size} bytes are not a whole one")
    frame, end = found
    if end < size:
        raise InvalidLength(f"the frame ends at byte {end}, but {size - end} more bytes follow it")
    return frame


def split_frame(data: BytesLike, *, layout: Layout = LAYOUT) -> tuple[Frame, int] | None:
    r"""The first frame in `data` and where it ends; `None` if it is not whole yet. Raises `InvalidLength`.

    For one frame at a time; a stream is for `FrameDecoder`, which never reads a byte twice.

    >>> split_frame(b"\x08\0\0\0\0\0\0\0next")
    (Frame(b'', b'', index=0, offset=0), 8)
    """
    decoder = FrameDecoder(Limits(layout.largest, layout.largest), layout)
    frame = next(decoder.feed(data), None)
    return None if frame is None else (frame, decoder.offset)


def _to_bytes(chunk: BytesLike) -> bytes:
    if isinstance(chunk, int | str):  # bytes(5) would be five zero bytes
        raise TypeError(f"a chunk is bytes-like, not {type(chunk).__name__}")
    return bytes(memoryview(chunk))


NOTHING: Iterator[Frame] = iter(())
"""What `feed` gives where a chunk completed no frame: one and the same object, for 1-byte chunks are many."""

# A frame of up to _JOINED bytes is joined to the next chunk, if that has no more: to copy both is quickest.
_JOINED: Final = 16 * KiB
# Chunks below _SMALL are gathered in a bytearray of up to _GATHERED instead of being listed one by one: a list entry
# costs 40 bytes and more, which for 1-byte chunks would be many times the frame.
_SMALL: Final = 512
_GATHERED: Final = 64 * KiB


class FrameDecoder:
    """Bytes in, in any pieces; frames out.

    Each chunk may be any bytes-like object. `feed` takes it at once and yields lazily: first every good frame, then
    the error, if there is one. A decoder that failed is dead and raises the same error again.

    >>> decoder = FrameDecoder()
    >>> wire = encode_frame({"a": 1}, b"first") + encode_frame({"a": 2}, b"second")
    >>> [frame.payload for chunk in (wire[:3], wire[3:30], wire[30:]) for frame in decoder.feed(chunk)]
    [b'first', b'second']
    >>> decoder.finish()
    >>> decoder.position, decoder.offset, decoder.buffered
    (2, 41, 0)
    """

    __slots__ = (
        "_at",
        "_base",
        "_began",
        "_chunk",
        "_error",
        "_finished",
        "_gather",
        "_head",
        "_header_size",
        "_idle",
        "_in_payload",
        "_index",
        "_layout",
        "_max_frame",
        "_max_header",
        "_missing",
        "_parts",
        "_peeked",
        "_prefix",
        "_rest",
        "_total",
        "_waiting",
        "_words",
    )

    def __init__(self, limits: Limits | None = None, layout: Layout = LAYOUT) -> None:
        if limits is None:
            limits = _DEFAULT_LIMITS
        self._max_frame = limits.frame
        self._max_header = limits.header
        self._layout = layout
        self._prefix = 2 * layout.byte_length
        self._words = _unpack if layout is LAYOUT else _words_of(layout)
        self._chunk = b""  # the chunk being cut, and where in it the next frame begins
        self._at = 0
        self._base = 0  # where in the stream _chunk begins
        self._waiting: deque[bytes] = deque()  # chunks fed before the reader was done with _chunk
        self._index = 0
        self._rest = b""  # what the last chunk had of a small frame with sound length words
        # A frame that straddles chunks. _total is 0 until its length words are both known and sound.
        self._began = 0  # its offset
        self._head = bytearray()
        self._total = 0
        self._header_size = 0
        self._parts: list[bytes | bytearray | memoryview] = []
        self._gather: bytearray | None = None  # the last of _parts, if it is still being gathered
        self._in_payload = False
        self._missing = 0  # bytes to come before there is anything to decide: a length word, the header, the payload
        self._peeked: Frame | None = None
        self._finished = False
        self._error: FrameError | None = None
        self._idle = True  # nothing is held and nothing is wrong: a chunk can be begun without a look at all these

    @property
    def position(self) -> int:
        """How many frames have been delivered."""
        return self._index - (self._peeked is not None)

    @property
    def offset(self) -> int:
        """How many bytes the delivered frames took: where the next one begins."""
        if self._peeked is not None:
            return self._peeked.offset
        return self._began if self._head or self._error is not None else self._next_offset

    @property
    def buffered(self) -> int:
        """How many bytes have been fed beyond `offset`."""
        assembling = self._total - self._missing if self._in_payload else len(self._head)
        held = assembling + len(self._rest) + len(self._chunk) - self._at + sum(map(len, self._waiting))
        if self._peeked is not None:
            held += self._prefix + len(self._peeked.header_bytes) + len(self._peeked.payload)
        return held

    @property
    def _next_offset(self) -> int:
        return self._base + self._at - len(self._rest)

    def feed(self, chunk: BytesLike) -> Iterator[Frame]:
        """Take a chunk, and iterate over the frames that are now whole.

        What the iterator is not asked for stays in the decoder, for the next `feed` or `next_frame`. Raises a
        `FrameError` after the good frames, `RuntimeError` once `finish` was called, `TypeError` for what is not bytes.
        """
        if self._idle and type(chunk) is bytes:
            self._chunk = chunk
            self._idle = False
            return self._frames()
        if self._in_payload and type(chunk) is bytes and self._at == len(self._chunk) and not self._waiting:
            size = len(chunk)
            if _SMALL <= size < self._missing:  # what most chunks of a large frame are
                self._parts.append(chunk)
                self._gather = None
                self._missing -= size
                self._base += size
                return NOTHING
        return self._frames() if self._take(chunk) else NOTHING

    def _take(self, chunk: BytesLike) -> bool:
        """Take a chunk; whether frames may now be whole."""
        if self._finished:
            raise RuntimeError("feed() after finish(): the stream was said to have ended")
        if type(chunk) is not bytes:
            chunk = _to_bytes(chunk)
        if self._error is not None:
            raise self._error.with_traceback(None)
        if self._at < len(self._chunk) or self._waiting:
            self._waiting.append(chunk)
            return True
        if 0 < len(chunk) < self._missing:
            if self._rest:
                self._pour()
            if len(chunk) < self._missing:
                if self._in_payload:
                    self._keep(chunk)
                else:
                    self._head += chunk
                    self._missing -= len(chunk)
                self._base += len(chunk)
                return False
        self._begin(chunk)
        return True

    def _begin(self, chunk: bytes) -> None:
        """Begin to cut a chunk, the one before it being used up."""
        self._base += self._at
        if self._rest:
            if self._missing <= len(chunk) <= _JOINED:
                self._base -= len(self._rest)
                chunk = self._rest + chunk
                self._rest = b""
                self._missing = 0
            else:
                self._at = 0
                self._pour()
                self._base += self._at
        self._chunk = chunk
        self._at = 0
        self._idle = False

    def _pour(self) -> None:
        """The rest is of a frame that is to be put together after all."""
        self._base = self._next_offset
        self._chunk, self._rest = self._rest, b""
        self._at = 0
        self._assemble()

    def next_frame(self) -> Frame | None:
        """The next frame, or `None` if more bytes are needed. Raises as `feed` does."""
        return next(self._frames(), None)

    def finish(self) -> None:
        """Say that no more bytes will come. Raises `TruncatedFrame` if a frame has begun and is not whole.

        Whole frames not yet asked for can still be read with `next_frame`, which then raises in its turn.
        """
        self._finished = True
        self._idle = False
        if self._peeked is None:
            self._peeked = self.next_frame()
            self._base += self._at
            self._chunk = self._chunk[self._at :]  # another object: an iterator halfway through the chunk notices
            self._at = 0

    def _frames(self) -> Iterator[Frame]:
        prefix, words = self._prefix, self._words
        max_frame, max_header = self._max_frame, self._max_header
        while True:
            chunk, at = self._chunk, self._at
            if not self._head and self._peeked is None:
                size, base, index = len(chunk), self._base, self._index
                while size - at >= prefix:
                    total, header_size = words(chunk, at)
                    end = at + total
                    begin = at + prefix
                    cut = begin + header_size
                    if not (cut <= end <= size and total <= max_frame and header_size <= max_header):
                        break
                    frame = Frame(chunk[begin:cut], chunk[cut:end], index, base + at)
                    self._index = index = index + 1
                    self._at = at = end
                    yield frame
                    if self._index != index or self._chunk is not chunk:
                        break
                if self._index != index or self._chunk is not chunk:  # the reader has read elsewhere in between
                    continue
                if at == size and size and not self._rest and not self._waiting and not self._finished:
                    self._base += at
                    self._chunk = b""
                    self._at = 0
                    self._idle = True
                    return
            other = self._advance()
            if other is False:
                return
            if other is not None:
                yield other

    def _advance(self) -> Frame | Literal[False] | None:
        """A step beyond the frames that lie whole in the chunk: the frame that it brought, `False` at the end."""
        if self._peeked is not None:
            frame, self._peeked = self._peeked, None
            return frame
        chunk, at = self._chunk, self._at
        left = len(chunk) - at
        if left:
            if left >= self._prefix and not self._head:
                total, header_size = self._words(chunk, at)
                small = left < total <= _JOINED and total <= self._max_frame
                if small and header_size <= total - self._prefix and header_size <= self._max_header:
                    self._rest = chunk[at:]
                    self._at = len(chunk)
                    self._missing = total - left
                    return None
            return self._assemble()
        if self._waiting:
            self._begin(self._waiting.popleft())
            return None
        self._base += at
        self._chunk = b""
        self._at = 0
        if self._error is not None:  # it was another iterator that met it
            raise self._error.with_traceback(None)
        if self._finished:
            if self._rest:
                self._pour()
            if self._head:
                self._truncated()
        self._idle = not (self._rest or self._head or self._finished)
        return False

    def _assemble(self) -> Frame | None:
        """Move bytes of `_chunk` to the frame that straddles chunks; that frame, if they complete it."""
        if not self._in_payload:
            size, prefix = self._layout.byte_length, self._prefix
            if not self._head:
                self._began = self._next_offset
            if not self._total:
                # In field order, each as soon as its bytes are there. T is judged on its own bytes alone.
                if len(self._head) < size:
                    if not self._take_head(size):
                        return None
                    self._judge_total()
                if not self._take_head(prefix):
                    return None
                self._judge_header_size()
            if not self._take_head(prefix + self._header_size):
                return None
            self._in_payload = True
            self._missing = self._total - prefix - self._header_size
        chunk, at = self._chunk, self._at
        if len(chunk) - at < self._missing:
            self._keep(chunk if at == 0 else memoryview(chunk)[at:])
            self._at = len(chunk)
            return None
        self._at = at + self._missing
        self._parts.append(chunk if at == 0 and self._at == len(chunk) else memoryview(chunk)[at : self._at])
        frame = Frame(bytes(self._head[self._prefix :]), b"".join(self._parts), self._index, self._began)
        self._index += 1
        self._let_go()
        return frame

    def _let_go(self) -> None:
        self._head = bytearray()
        self._parts = []
        self._gather = None
        self._in_payload = False
        self._total = self._missing = 0

    def _take_head(self, wanted: int) -> bool:
        """Fill `_head` up to `wanted` bytes from the chunk; whether they are all there."""
        missing = wanted - len(self._head)
        if missing > 0:
            at = self._at
            end = min(at + missing, len(self._chunk))
            self._head += memoryview(self._chunk)[at:end]
            self._at = end
            missing -= end - at
            self._missing = missing
        return missing <= 0

    def _keep(self, part: bytes | memoryview) -> None:
        self._missing -= len(part)
        if len(part) >= _SMALL:
            self._parts.append(part)
            self._gather = None
        elif self._gather is not None and len(self._gather) < _GATHERED:
            self._gather += part
        else:
            self._gather = bytearray(part)
            self._parts.append(self._gather)

    def _judge_total(self) -> None:
        total = int.from_bytes(self._head, self._layout.byte_order)
        if total < self._prefix:
            error: FrameError = InvalidLength(
                f"T is {total}, but a frame has at least {self._prefix} bytes{_cause(self._head, self._index)}",
                self._index,
                self._began,
            )
        elif total > self._max_frame:
            error = FrameTooLarge(
                f"T is {total}, above the limit of {self._max_frame} bytes{_cause(self._head, self._index)}",
                self._index,
                self._began,
            )
        else:
            return
        self._fail(error)

    def _judge_header_size(self) -> None:
        total, header_size = self._words(self._head, 0)
        offset = self._began + self._layout.byte_length
        left = total - self._prefix
        if header_size > left:
            self._fail(
                InvalidLength(
                    f"H is {header_size}, but T is {total} and leaves {left} bytes{_cause(self._head, self._index)}",
                    self._index,
                    offset,
                )
            )
        if header_size > self._max_header:
            self._fail(
                HeaderTooLarge(f"H is {header_size}, above the limit of {self._max_header} bytes", self._index, offset)
            )
        self._total, self._header_size = total, header_size

    def _truncated(self) -> NoReturn:
        held = self.buffered
        of = f" of {self._total}" if self._total else ""
        cause = "" if self._index else _cause(self._head, 0)
        self._fail(
            TruncatedFrame(f"the stream ended inside a frame, after {held}{of} bytes{cause}", self._index, self._began)
        )

    def _fail(self, error: FrameError) -> NoReturn:
        """Die: let go of what is held, so that a dead decoder costs nothing."""
        self._error = error
        self._idle = False
        self._chunk = b""
        self._at = 0
        self._rest = b""
        self._waiting.clear()
        self._let_go()
        raise error


_DEFAULT_LIMITS: Final = Limits()

_BEGINNINGS: Final = (
    (b"\x1f\x8b", "gzip: was its Content-Encoding not undone?"),
    (b"HTTP", "an HTTP response with its head still on?"),
    (b"<", "an error page?"),
    (b"RIFF", "a WAV file instead of frames?"),
    (b"data", "server-sent events?"),
    (b"even", "server-sent events?"),
    (b"{", "JSON without frames?"),
    (b"[", "JSON without frames?"),
)


def _cause(head: bytearray, index: int) -> str:
    """The likely cause of a bad length word, to end its message with; empty where nothing suggests itself."""
    if index:
        return ": was the frame before it written with a wrong length, or were bytes lost?"
    for beginning, cause in _BEGINNINGS:
        if head.startswith(beginning):
            return f": the stream starts with {bytes(head[:4])!r}, {cause}"
    if all(0x20 <= byte < 0x7F for byte in head[:4]):
        return f": the stream starts with {bytes(head[:4])!r}, text instead of frames?"
    if head[:2] == b"\0\0" and any(head[2:4]):
        return ": the other byte order?"
    return ""


# The native twin, where it was built and OBJECTSTREAMING_PURE=1 is not set: same names, same behaviour, told apart by
# nothing but speed (tests/codec/test_native.py).
CODEC: Literal["native", "pure"] = "pure"
if not TYPE_CHECKING:  # pragma: no branch
    try:
        from . import _native
    except ImportError:  # pragma: no cover  installed without a compiler
        pass
    else:
        if _native.CHOSEN:
            CODEC = "native"
            Frame, FrameDecoder = _native.Frame, _native.FrameDecoder
            encode_frame, encode_frame_parts = _native.encode_frame, _native.encode_frame_parts
            NOTHING = FrameDecoder().feed(b"")
