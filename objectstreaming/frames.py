"""Frames: the unit of the wire (SPEC section 2).

    0            4             8              8+H                 T
    | T  uint32  | H  uint32   | header (H B) | payload (T-8-H B) |      little-endian

T counts the whole frame, T and H included; H counts the header alone. The header is one JSON object, the payload is
what the stream's coder says. A stream is frames end to end. This module turns bytes into frames and back. It does no
input or output, and it knows neither coders nor control frames.

**The decoder.** `FrameDecoder` takes chunks, cut anywhere, and gives frames. It has one buffer and one cursor. Frames
are slices of the buffer, and the cursor is where the next one begins. A chunk that finds the buffer used up becomes the
buffer, without a copy. Any other chunk is appended to `_pending`, and `_pending` is joined to the rest of the buffer
when there are enough bytes to decide something: the length word T, both length words, or the whole frame. A byte is
therefore copied a fixed number of times, whatever the chunks are, and the time is linear. Nothing is allocated because
a length word claims it: what is held is what has arrived.

Each length word is checked as soon as its bytes are there, T before H (SPEC section 2.2). A *header* is parsed when
`Frame.header` is first read, so a relay never pays for it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, Literal, NoReturn, Protocol, TypeAlias, cast

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

if TYPE_CHECKING:
    import numpy

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


class Buffer(Protocol):
    """What has the buffer protocol: `collections.abc.Buffer` of Python 3.12."""

    def __buffer__(self, flags: int, /) -> memoryview: ...


if TYPE_CHECKING:
    # NumPy's type stubs declare `__buffer__` only for Python 3.12 and later.
    BytesLike: TypeAlias = Buffer | numpy.ndarray[Any, Any]
else:
    BytesLike = Buffer
"""bytes, bytearray, memoryview, mmap, array, a NumPy array: whatever has the buffer protocol."""


def view_of(data: BytesLike) -> memoryview:
    """`memoryview(data)`, which type checkers accept for NumPy arrays only with Python 3.12 and later."""
    return memoryview(cast(Any, data))


KiB: Final = 1024
MiB: Final = 1024 * 1024


class Limits(msgspec.Struct, frozen=True):
    """What a decoder accepts (SPEC section 2.4).

    Beyond them it raises `FrameTooLarge` or `HeaderTooLarge`. A receiver of small answers should set less.

    >>> Limits(frame=1024).header
    65536

    Args:
        frame: the largest T, in bytes. 16 MiB are 43 s of 48 kHz stereo int32 PCM.
        header: the largest H, in bytes. 64 KiB are four times the request head that h11 accepts.

    Raises:
        ValueError: One of them is negative.
    """

    frame: int = 16 * MiB
    header: int = 64 * KiB

    def __post_init__(self) -> None:
        if self.frame < 0 or self.header < 0:
            raise ValueError(f"limits are byte counts, not negative: {self}")


class Layout(msgspec.Struct, frozen=True):
    """How the two length words are written (SPEC section 2.1).

    The wire is `Layout()`. Any other layout is a private agreement of both sides.

    >>> encode_frame({"a": 1}, b"xy", layout=Layout(2, "big")).hex()
    '000d00077b2261223a317d7879'

    Args:
        byte_length: of each word, 1 to 8.
        byte_order: `"little"` or `"big"`.

    Raises:
        ValueError: One of them is something else.
    """

    byte_length: int = 4
    byte_order: Literal["little", "big"] = "little"

    def __post_init__(self) -> None:
        if self.byte_length not in range(1, 9) or self.byte_order not in ("little", "big"):
            raise ValueError(f"byte_length is 1 to 8 and byte_order 'little' or 'big', not {self}")

    @property
    def largest(self) -> int:
        """The largest T that fits its length word."""
        return (1 << 8 * self.byte_length) - 1


LAYOUT: Final = Layout()

_pack: Final = struct.Struct("<II").pack
_unpack: Final = struct.Struct("<II").unpack_from


class Frame(msgspec.Struct, eq=False, gc=False):
    """One frame. `header` is parsed on first use and kept.

    Two frames are equal if their bytes are. `bytes(frame)` is the frame in the standard layout.

    >>> frame = Frame(b'{"a": 1}', b"xy")
    >>> frame.header, frame.payload, len(bytes(frame))
    ({'a': 1}, b'xy', 18)

    Args:
        header_bytes: the header as it was on the wire.
        payload: the payload as it was on the wire.
        index: the number of the frame in its stream, from 0.
        offset: the byte of the stream at which it began.
    """

    # A Struct for speed: making one takes a fifth of the time of an object with __slots__. Frames hold no cycles, so
    # the garbage collector need not track them.
    header_bytes: bytes
    payload: bytes = b""
    index: int = 0
    offset: int = 0
    _header: dict[str, Any] | None = None

    @property
    def header(self) -> dict[str, Any]:
        """The header as a dict.

        Raises:
            InvalidHeader: It is not one strict JSON object.
        """
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
        """A line for logs: place, beginning of the header, size of the payload."""
        header = self.header_bytes[:80].decode(errors="replace") + ("..." if len(self.header_bytes) > 80 else "")
        return f"frame {self.index} at byte {self.offset}: {header} + {len(self.payload)} bytes"


# ---------------------------------------------------------------------------------------------------- encoding


def encode_frame(header: object, payload: BytesLike = b"", *, layout: Layout = LAYOUT) -> bytes:
    """One frame's bytes.

    This is the raw layer: it does not look for the header member `$stream`, which belongs to control frames. Coders
    write data frames with `encode_data_frame`.

    >>> encode_frame(b'{"a": 1}', b'{"b": 2}').hex(" ", 4)
    '18000000 08000000 7b226122 3a20317d 7b226222 3a20327d'

    Args:
        header: a mapping, a typed object (dataclass, `msgspec.Struct`), or JSON bytes, which go out untouched once they
            have been checked.
        payload: bytes, or anything else with the buffer protocol.
        layout: of the length words; by default the wire's.

    Raises:
        EncodeError: The header is not a JSON object, the payload has no bytes, or T does not fit its length word.
    """
    return join_frame(_header_to_bytes(header), payload, layout)


def encode_frame_parts(
    header: object, payload: BytesLike = b"", *, layout: Layout = LAYOUT
) -> tuple[bytes, memoryview]:
    """A frame in two parts, the payload not copied: `transport.writelines(encode_frame_parts(header, pcm))`.

    It does not look for the header member `$stream`: see `encode_frame`.

    Args:
        header: as for `encode_frame`.
        payload: as for `encode_frame`; it must not change until it is sent.
        layout: as for `encode_frame`.

    Returns:
        The length words with the header, and a flat byte view of the payload.

    Raises:
        EncodeError: As for `encode_frame`.
    """
    head, body = _header_to_bytes(header), _flat_view(payload)
    return _length_words(len(head), len(body), layout) + head, body


def join_frame(header: bytes, payload: BytesLike, layout: Layout = LAYOUT) -> bytes:
    """One frame's bytes, for coders: `header` is JSON that they have written themselves, and is not looked at."""
    body = payload if type(payload) is bytes else _flat_view(payload)
    return b"".join((_length_words(len(header), len(body), layout), header, body))


def _length_words(header_size: int, payload_size: int, layout: Layout) -> bytes:
    size, order = layout.byte_length, layout.byte_order
    total = 2 * size + header_size + payload_size
    try:
        return total.to_bytes(size, order) + header_size.to_bytes(size, order)
    except OverflowError:
        raise EncodeError(
            f"a frame of {total} bytes does not fit a length word of {size} bytes; send it in pieces, a frame each"
        ) from None


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


def _flat_view(payload: Any) -> memoryview:
    """The payload's bytes in C order; a copy only where its memory is laid out otherwise."""
    try:
        view = memoryview(payload)
    except (TypeError, ValueError, BufferError):
        view = None
    if view is None or "O" in view.format:  # the memory of an array of Python objects holds addresses
        raise EncodeError(f"a payload is bytes, or an array in memory; a {type(payload).__name__} is neither")
    try:
        return view.cast("B")
    except (TypeError, ValueError):  # not in C order, no elements at all, or a format that cast() does not know
        return memoryview(view.tobytes())


# ---------------------------------------------------------------------------------------------------- decoding


def decode_frame(data: BytesLike, *, layout: Layout = LAYOUT) -> Frame:
    """Exactly one frame.

    >>> decode_frame(bytes.fromhex("0c000000 02000000 7b7d 0102"))
    Frame(b'{}', b'\\x01\\x02', index=0, offset=0)

    Args:
        data: the bytes of the frame, and no others.
        layout: of the length words; by default the wire's.

    Raises:
        TruncatedFrame: The bytes are less than a frame.
        InvalidLength: The bytes are more than a frame, or T or H cannot be true.
    """
    data = _to_bytes(data)
    found = split_frame(data, layout=layout)
    if found is None:
        raise TruncatedFrame(f"one frame is expected, and {len(data)} bytes are not a whole one")
    frame, end = found
    if end < len(data):
        raise InvalidLength(f"the frame ends at byte {end}, but {len(data) - end} more bytes follow it")
    return frame


def split_frame(data: BytesLike, *, layout: Layout = LAYOUT) -> tuple[Frame, int] | None:
    r"""The first frame in `data` and where it ends; `None` if it is not whole yet. Raises `InvalidLength`.

    For one frame at a time. For a stream use `FrameDecoder`, which never reads a byte twice.

    >>> split_frame(b"\x08\0\0\0\0\0\0\0next")
    (Frame(b'', b'', index=0, offset=0), 8)
    """
    decoder = FrameDecoder(Limits(layout.largest, layout.largest), layout)
    frame = next(decoder.feed(data), None)
    return None if frame is None else (frame, decoder.offset)


def _to_bytes(chunk: Any) -> bytes:
    if type(chunk) is bytes:
        return chunk
    if isinstance(chunk, int | str):  # bytes(5) would be five zero bytes
        raise TypeError(f"a chunk is bytes-like, not {type(chunk).__name__}")
    return bytes(memoryview(chunk))


NOTHING: Iterator[Any] = iter(())
"""What `feed` returns when a chunk completes no frame. It is always the same object: one-byte chunks are many."""


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

    Args:
        limits: the largest frame and header; by default 16 MiB and 64 KiB.
        layout: of the length words; by default the wire's.
    """

    __slots__ = (
        "_at",
        "_base",
        "_buffer",
        "_error",
        "_finished",
        "_index",
        "_layout",
        "_max_frame",
        "_max_header",
        "_pending",
        "_prefix",
        "_wanted",
        "_words",
    )

    def __init__(self, limits: Limits | None = None, layout: Layout = LAYOUT) -> None:
        limits = limits if limits is not None else Limits()
        self._max_frame = limits.frame
        self._max_header = limits.header
        self._layout = layout
        self._prefix = 2 * layout.byte_length
        self._words = _words_of(layout)
        self._buffer = b""
        self._at = 0  # the cursor: where in the buffer the next frame begins
        self._base = 0  # where in the stream the buffer begins
        self._pending = bytearray()  # what came after the buffer
        self._wanted = 0  # with fewer bytes than this after the cursor, nothing can be decided
        self._index = 0  # of the next frame
        self._finished = False
        self._error: FrameError | None = None

    @property
    def position(self) -> int:
        """How many frames have been delivered."""
        return self._index

    @property
    def offset(self) -> int:
        """How many bytes the delivered frames took: where the next one begins."""
        return self._base + self._at

    @property
    def buffered(self) -> int:
        """How many bytes have been fed beyond `offset`."""
        return len(self._buffer) - self._at + len(self._pending)

    def feed(self, chunk: BytesLike) -> Iterator[Frame]:
        """Take a chunk, and iterate over the frames that are now whole.

        What the iterator is not asked for stays in the decoder, for the next `feed` or `next_frame`.

        Raises:
            FrameError: After the good frames: the next bytes are no frame.
            RuntimeError: `finish` was called before.
            TypeError: The chunk is not bytes-like.
        """
        if self._finished:
            raise RuntimeError("feed() after finish(): the stream was said to have ended")
        if type(chunk) is not bytes:
            chunk = _to_bytes(chunk)
        if self._error is not None:
            raise self._error.with_traceback(None)
        left = len(self._buffer) - self._at
        if left or self._pending:
            self._pending += chunk
            if left + len(self._pending) < self._wanted:
                return NOTHING
        else:
            self._base += self._at
            self._buffer, self._at = chunk, 0
        return self._frames()

    def next_frame(self) -> Frame | None:
        """The next frame, or `None` if more bytes are needed. Raises as `feed` does."""
        return next(self._frames(), None)

    def finish(self) -> None:
        """Say that no more bytes will come.

        Whole frames not yet asked for can still be read with `next_frame`, which then raises in its turn.

        Raises:
            TruncatedFrame: A frame has begun and is not whole.
        """
        self._finished = True
        frame = self.next_frame()
        if frame is not None:  # it has not been asked for yet: step back
            self._index = frame.index
            self._at = frame.offset - self._base

    def _frames(self) -> Iterator[Frame]:
        """The frames from the cursor on. Other iterators may move it between two steps of this one."""
        prefix, words = self._prefix, self._words
        max_frame, max_header = self._max_frame, self._max_header
        while True:
            buffer, at = self._buffer, self._at
            left = len(buffer) - at
            if not left and not self._pending:  # used up: an idle decoder holds no chunk
                self._buffer = b""
                self._base += at
                self._at = 0
                break
            if left >= prefix:
                total, header_size = words(buffer, at)
                begin = at + prefix
                cut = begin + header_size
                end = at + total
                if cut > end or total > max_frame or header_size > max_header:
                    self._refuse(total, header_size)
                if left >= total:
                    index = self._index
                    frame = Frame(buffer[begin:cut], buffer[cut:end], index, self._base + at)
                    self._index = index + 1
                    self._at = end
                    yield frame
                    continue
                wanted = total
            else:
                size = self._layout.byte_length
                if left >= size:
                    total = int.from_bytes(buffer[at : at + size], self._layout.byte_order)
                    if not prefix <= total <= max_frame:
                        self._refuse(total)
                wanted = prefix if left >= size else size
            if left + len(self._pending) < wanted:
                self._wanted = wanted
                break
            self._join()
        if self._finished or self._error is not None:
            self._end()

    def _end(self) -> None:
        """The frames are exhausted for good. Raises if that is not the end of the stream."""
        if self._error is not None:  # another iterator has met it
            raise self._error.with_traceback(None)
        if self.buffered:
            head = self._buffer[self._at : self._at + 4] + self._pending[:4]
            of = f" of {self._wanted}" if self._wanted > self._prefix else ""
            cause = "" if self._index else _cause(head, 0)
            self._fail(TruncatedFrame, f"the stream ended inside a frame, after {self.buffered}{of} bytes{cause}")

    def _join(self) -> None:
        """Move what is pending into the buffer."""
        self._base += self._at
        self._buffer = b"".join((memoryview(self._buffer)[self._at :], self._pending))
        self._at = self._wanted = 0
        self._pending = bytearray()

    def _refuse(self, total: int, header_size: int = 0) -> NoReturn:
        """Fail for the first check of SPEC section 2.2 that the length words do not pass."""
        size, left = self._layout.byte_length, total - self._prefix
        known = self._prefix if left >= 0 and total <= self._max_frame else size
        cause = _cause(self._buffer[self._at : self._at + known], self._index)
        if left < 0:
            self._fail(InvalidLength, f"T is {total}, but a frame has at least {self._prefix} bytes{cause}")
        if total > self._max_frame:
            self._fail(FrameTooLarge, f"T is {total}, above the limit of {self._max_frame} bytes{cause}")
        if header_size > left:
            self._fail(InvalidLength, f"H is {header_size}, but T is {total} and leaves {left} bytes{cause}", size)
        self._fail(HeaderTooLarge, f"H is {header_size}, above the limit of {self._max_header} bytes", size)

    def _fail(self, kind: type[FrameError], message: str, at: int = 0) -> NoReturn:
        """Fail for good, with an error `at` bytes into the frame, and release all buffers."""
        self._error = kind(message, self._index, self.offset + at)
        self._base, self._at = self.offset, 0
        self._buffer, self._pending = b"", bytearray()
        raise self._error


def _words_of(layout: Layout) -> Callable[[bytes, int], tuple[Any, ...]]:
    """A function that reads T and H at a place in a buffer."""
    if layout == LAYOUT:
        return _unpack
    size, order = layout.byte_length, layout.byte_order

    def words(buffer: bytes, at: int) -> tuple[int, int]:
        middle = at + size
        return int.from_bytes(buffer[at:middle], order), int.from_bytes(buffer[middle : middle + size], order)

    return words


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


def _cause(head: bytes, index: int) -> str:
    """The likely cause of a wrong length word, as the end of its message; empty if none suggests itself.

    `head` is what the stream begins with, of which four bytes are looked at.
    """
    if index:
        return ": was the frame before it written with a wrong length, or were bytes lost?"
    for beginning, cause in _BEGINNINGS:
        if head.startswith(beginning):
            return f": the stream starts with {head[:4]!r}, {cause}"
    if all(0x20 <= byte < 0x7F for byte in head[:4]):
        return f": the stream starts with {head[:4]!r}, text instead of frames?"
    if head[:2] == b"\0\0" and any(head[2:4]):
        return ": the other byte order?"
    return ""


# The native implementation, where it was built and OBJECTSTREAMING_PURE=1 is not set: same names and behaviour, only
# faster (tests/codec/test_native.py compares the two).
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
