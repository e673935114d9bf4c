"""Hypothesis strategies: frames, whole streams with the outcome of reading them, and ways to cut and damage their
bytes.

Their examples are valid unless the name says otherwise, and shrink to something readable: one chunk, few messages,
small values.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Final, Literal

from hypothesis import strategies as st

from ..coders import Coder, JsonCoder, MsgpackCoder, NdarrayCoder, RawCoder
from ..errors import HTTP_STATUS, StreamError
from ..frames import Frame, Limits, encode_frame
from ..protocol import VERSION, StreamEncoder
from .outcomes import Outcome

__all__ = [
    "Corruption",
    "Stream",
    "chunkings",
    "corruptions",
    "frames",
    "headers",
    "json_values",
    "messages",
    "stream_errors",
    "streams",
]

# ---------------------------------------------------------------------------------------------------- messages

_SCALARS: Final = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text(max_size=20)
_FLOATS: Final = st.floats(allow_nan=False, allow_infinity=False)


def json_values(max_leaves: int = 10) -> st.SearchStrategy[Any]:
    """Any JSON value, also integers of more than 64 bits and members called `$stream`."""
    return st.recursive(
        _SCALARS | _FLOATS,
        lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=10), inner, max_size=5),
        max_leaves=max_leaves,
    )


def headers(max_leaves: int = 5) -> st.SearchStrategy[dict[str, Any]]:
    """Headers that a user may send: any JSON object without the member `$stream`."""
    names = st.text(max_size=10).filter(lambda name: name != "$stream")
    return st.dictionaries(names, json_values(max_leaves), max_size=4)


def frames(limits: Limits | None = None, *, max_payload: int = 200) -> st.SearchStrategy[Frame]:
    """Data frames with any header and any bytes.

    Args:
        limits: none is beyond them.
        max_payload: in bytes.
    """
    limits = limits if limits is not None else Limits()
    made = st.builds(
        lambda header, payload: encode_frame(header, payload),
        headers(),
        st.binary(max_size=max(0, min(max_payload, limits.frame - 8))),
    )
    return made.map(_first_frame).filter(
        lambda frame: len(bytes(frame)) <= limits.frame and len(frame.header_bytes) <= limits.header
    )


def _first_frame(wire: bytes) -> Frame:
    size = int.from_bytes(wire[4:8], "little")
    return Frame(wire[8 : 8 + size], wire[8 + size :])


def _msgpack_values() -> st.SearchStrategy[Any]:
    scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(max_size=20)
    return st.recursive(
        scalars | _FLOATS | st.binary(max_size=20),
        lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=10), inner, max_size=5),
        max_leaves=10,
    )


@st.composite
def _arrays(draw: st.DrawFn) -> Any:
    import numpy

    dtype = numpy.dtype(draw(st.sampled_from(["|u1", "<i2", ">i2", "<i4", "<f4", ">f8", "<c8", "|b1"])))
    shape = tuple(draw(st.lists(st.integers(0, 4), max_size=3)))
    items = 1
    for size in shape:
        items *= size
    data = draw(st.binary(min_size=items * dtype.itemsize, max_size=items * dtype.itemsize))
    if dtype.kind == "b":
        data = bytes(byte & 1 for byte in data)
    return numpy.frombuffer(data, dtype).reshape(shape)


@st.composite
def _tal_messages(draw: st.DrawFn, count: int) -> list[tuple[Any, bytes]]:
    from wav_streaming import TALAudio

    question = draw(st.text(max_size=20))
    made = []
    for order in range(1, count + 1):
        sign: Literal[1, 2, 3] = 1 if order == 1 else 3 if order == count and draw(st.booleans()) else 2
        header = TALAudio(question=question, answer=draw(st.text(max_size=20)), sign=sign, order=order)
        samples = draw(st.integers(0, 40))
        made.append((header, draw(st.binary(min_size=2 * samples, max_size=2 * samples))))
    return made


def messages(coder: Coder[Any, Any]) -> st.SearchStrategy[tuple[Any, Any]]:
    """Messages that `coder` can encode, for the coders of this package except `tal`, whose messages have an order."""
    if isinstance(coder, JsonCoder):
        return st.tuples(headers(), json_values())
    if isinstance(coder, MsgpackCoder):
        return st.tuples(headers(), _msgpack_values())
    if isinstance(coder, NdarrayCoder):
        free = headers().filter(lambda header: not {"dtype", "shape"} & header.keys())
        return st.tuples(free, _arrays())
    if isinstance(coder, RawCoder):
        return st.tuples(headers(), st.binary(max_size=200))
    raise ValueError(f"unknown which messages the coder {coder.name!r} encodes: pass messages=, a strategy of them")


# ----------------------------------------------------------------------------------------------------- streams


@dataclasses.dataclass(frozen=True, eq=False)
class Stream:
    """A whole, valid stream: its bytes, and the outcome of reading them."""

    wire: bytes
    coder: Coder[Any, Any]
    v: int | None
    """1, or `None` for a plain stream."""
    outcome: Outcome
    """The messages, the trailers, and the error, if the stream ends with one."""
    boundaries: tuple[int, ...]
    """The byte at which each frame begins, control frames included, and the end."""


def stream_errors() -> st.SearchStrategy[StreamError]:
    """The errors with which a server may end a stream."""
    return st.builds(StreamError, st.sampled_from(sorted(HTTP_STATUS)), st.text(max_size=20), json_values(3))


@st.composite
def streams(
    draw: st.DrawFn,
    coder: Coder[Any, Any] | None = None,
    *,
    v: Literal[1, "any"] | None = "any",
    messages: st.SearchStrategy[tuple[Any, Any]] | None = None,
    max_messages: int = 5,
    errors: bool = True,
) -> Stream:
    """Whole streams, of version 1, plain, or either.

    Streams of version 1 have pings and control frames of unknown types, and may have an `open` frame.

    Args:
        coder: `None` draws one of this package.
        v: 1, `None` for plain streams, or `"any"`.
        messages: a strategy of pairs, header and payload, for a coder of your own, or one with a type.
        max_messages: in a stream.
        errors: whether streams of version 1 may end with an error.
    """
    if coder is None:
        coder = draw(_coders())
    version = draw(st.sampled_from([VERSION, None])) if v == "any" else v
    if messages is None and coder.name == "tal":
        sent = draw(_tal_messages(draw(st.integers(0, max_messages))))
    else:
        sent = draw(st.lists(_messages(coder) if messages is None else messages, max_size=max_messages))
    encoder = StreamEncoder(coder, version)
    outcome = Outcome(messages=sent)
    if version is None:
        parts = [encoder.data(*message) for message in sent]
    else:
        parts = []
        if draw(st.booleans()):
            heartbeat = draw(st.none() | st.integers(1, 60) | st.floats(0.001, 60))
            parts.append(encoder.open(heartbeat=heartbeat, metadata=draw(st.none() | headers())))
        for message in sent:
            parts += draw(_interludes(encoder, coder))
            parts.append(encoder.data(*message))
        parts += draw(_interludes(encoder, coder))
        trailers = draw(st.none() | headers())
        outcome.trailers = trailers or {}
        outcome.error = draw(st.none() | stream_errors()) if errors else None
        parts.append(encoder.end(trailers=trailers, error=outcome.error))
    boundaries = [0]
    for part in parts:
        boundaries.append(boundaries[-1] + len(part))
    return Stream(b"".join(parts), coder, version, outcome, tuple(boundaries))


_messages = messages


def _coders() -> st.SearchStrategy[Coder[Any, Any]]:
    coders: list[Coder[Any, Any]] = [JsonCoder(), MsgpackCoder(), RawCoder(), NdarrayCoder()]
    return st.sampled_from(coders)


@st.composite
def _interludes(draw: st.DrawFn, encoder: StreamEncoder[Any, Any], coder: Coder[Any, Any]) -> list[bytes]:
    """Control frames that a reader ignores."""
    kinds = draw(st.lists(st.sampled_from(["ping", "later"]), max_size=2))
    later = encode_frame({"$stream": {"type": "later", "v": 2}}, coder.neutral)
    return [encoder.ping() if kind == "ping" else later for kind in kinds]


# ------------------------------------------------------------------------------------------ cutting and damaging


@st.composite
def chunkings(draw: st.DrawFn, data: bytes, *, max_cuts: int = 20) -> list[bytes]:
    """Ways in which a transport may cut `data`: not at all, anywhere, with empty chunks, byte by byte.

    Args:
        data: the bytes of a stream.
        max_cuts: of those that are not byte by byte.
    """
    if draw(st.integers(0, 9)) == 9:
        return [data[at : at + 1] for at in range(len(data))]
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=max_cuts)))
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]


@dataclasses.dataclass(frozen=True)
class Corruption:
    """Damaged bytes, and in `what` a description of the damage."""

    wire: bytes
    what: str


# Length words that are wrong in different ways.
_WORDS: Final = (0, 1, 7, 8, 9, 11, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x1000001)


@st.composite
def corruptions(draw: st.DrawFn, data: bytes) -> Corruption:
    """`data` with damage: bits flipped, bytes lost, doubled, inserted or exchanged, wrong length words, or a cut.

    The result may still be a valid stream. So it is for laws that hold for any bytes, for example that only documented
    errors are raised. To empty data, bytes can only be added.
    """
    kinds = _KINDS if data else _KINDS[:1]
    wire, what = draw(st.sampled_from(kinds))(draw, data)
    return Corruption(wire, what)


def _insert(draw: st.DrawFn, data: bytes) -> tuple[bytes, str]:
    at, new = draw(st.integers(0, len(data))), draw(st.binary(min_size=1, max_size=16))
    return data[:at] + new + data[at:], f"{new!r} inserted at byte {at}"


def _flip(draw: st.DrawFn, data: bytes) -> tuple[bytes, str]:
    at, bit = draw(st.integers(0, len(data) - 1)), draw(st.integers(0, 7))
    return data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :], f"bit {bit} of byte {at} flipped"


def _cut(draw: st.DrawFn, data: bytes) -> tuple[bytes, str]:
    at = draw(st.integers(0, len(data) - 1))
    return data[:at], f"cut at byte {at}"


def _span(draw: st.DrawFn, data: bytes) -> tuple[int, int]:
    start = draw(st.integers(0, len(data) - 1))
    return start, draw(st.integers(start + 1, len(data)))


def _lose(draw: st.DrawFn, data: bytes) -> tuple[bytes, str]:
    start, end = _span(draw, data)
    return data[:start] + data[end:], f"bytes {start} to {end} lost"


def _double(draw: st.DrawFn, data: bytes) -> tuple[bytes, str]:
    start, end = _span(draw, data)
    return data[:end] + data[start:end] + data[end:], f"bytes {start} to {end} doubled"


def _overwrite(draw: st.DrawFn, data: bytes) -> tuple[bytes, str]:
    at, word = draw(st.integers(0, len(data) - 1)), draw(st.sampled_from(_WORDS))
    return data[:at] + word.to_bytes(4, "little") + data[at + 4 :], f"a word of {word} at byte {at}"


def _exchange(draw: st.DrawFn, data: bytes) -> tuple[bytes, str]:
    start, end = _span(draw, data)
    middle = draw(st.integers(start, end))
    return data[:start] + data[middle:end] + data[start:middle] + data[end:], (
        f"bytes {start} to {middle} and {middle} to {end} exchanged"
    )


_KINDS: Final[list[Callable[[st.DrawFn, bytes], tuple[bytes, str]]]] = [
    _insert,
    _flip,
    _cut,
    _lose,
    _double,
    _overwrite,
    _exchange,
]
