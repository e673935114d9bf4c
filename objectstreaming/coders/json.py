"""The `json` coder: a JSON header, a JSON payload (SPEC section 4.1), and `AnbJsonStreamCoder`, the original's API."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, Literal, NoReturn, TypeVar, overload

import msgspec

from .. import strict_json
from ..errors import EncodeError, InvalidHeader, PayloadError, TruncatedFrame
from ..frames import CODEC, Frame, Layout, encode_frame, split_frame
from .coder import Coder, OrderCheck, PlainDecoder

__all__ = ["AnbJsonStreamCoder", "JsonCoder"]

_encode: Final = msgspec.json.Encoder().encode
_pack: Final = struct.Struct("<II").pack
_SHORT: Final = strict_json.TOO_SHORT_TO_BE_DEEP

H = TypeVar("H")
P = TypeVar("P")


# Encoding and decoding have a short path for small, ordinary frames, for which msgspec alone is as strict as
# strict_json. Any other frame, and any that fails, takes the checked path, which reports the error.


class JsonEncoder:
    """`JsonCoder.encode`. A subclass has `_encode_checked` for what is not ordinary."""

    def encode(self, header: Any, payload: Any) -> bytes:
        """One whole frame. Raises `EncodeError`, and then nothing has changed."""
        try:
            head = _encode(header)
            body = _encode(payload)
            size = len(head)
            wire = _pack(8 + size + len(body), size) + head + body
            if (
                head[0] == _BRACE
                and wire.find(b"null") < 0  # `in` takes twice as long: it first tries b"null" as a number
                and (len(wire) <= _SHORT or not (_may_be_deep(head) or _may_be_deep(body)))
            ):
                return wire
        except (TypeError, ValueError, OverflowError, RecursionError, IndexError, struct.error):
            pass
        return self._encode_checked(header, payload)

    def _encode_checked(self, header: Any, payload: Any) -> bytes:
        raise NotImplementedError


def _plain_decoder(decode_header: Callable[[bytes], H], decode_payload: Callable[[bytes], P]) -> PlainDecoder[H, P]:
    """`decode_header` and `decode_payload` are msgspec's: as strict as strict_json for valid UTF-8 that is not deep."""

    def decode(header: bytes, payload: bytes) -> tuple[H, P] | None:
        if len(header) + len(payload) > _SHORT and (_may_be_deep(header) or _may_be_deep(payload)):
            return None
        try:
            # msgspec does not check the UTF-8 of members that it skips.
            if not (header.isascii() and payload.isascii()):
                header.decode()
                payload.decode()
            return decode_header(header), decode_payload(payload)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None

    return decode


def _may_be_deep(data: bytes) -> bool:
    return data.count(b"[") + data.count(b"{") > strict_json.MAX_DEPTH


_BRACE: Final = ord("{")

if not TYPE_CHECKING and CODEC == "native":
    from .._native import JsonEncoder, PlainJson

    _plain_decoder = PlainJson


class JsonCoder(JsonEncoder, Coder[H, P], Generic[H, P]):
    """The header is a JSON object, the payload any JSON value. Both are plain values or instances of a typed class.

    `header` and `payload` are the types to decode into: `dict`, a dataclass, a `msgspec.Struct`, a `TypedDict`, for
    the payload also `list[int]` and so on. What does not fit raises `InvalidHeader` or `PayloadError`, which name the
    member. Encoding accepts such instances and plain values, and writes compact UTF-8.

    >>> from objectstreaming import decode_frame
    >>> coder = JsonCoder()
    >>> coder.decode(decode_frame(coder.encode({"status": "success"}, [1, "é", None])))
    ({'status': 'success'}, [1, 'é', None])

    >>> from dataclasses import dataclass
    >>> @dataclass
    ... class Answer:
    ...     answer: str
    ...     source: str = ""
    >>> coder = JsonCoder(payload=Answer)
    >>> coder.decode(decode_frame(coder.encode({}, Answer("42", "guide.md"))))
    ({}, Answer(answer='42', source='guide.md'))
    >>> coder.decode(decode_frame(coder.encode({}, {"answer": 42})))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    objectstreaming.errors.PayloadError: ...
    """

    name = "json"
    neutral = b"{}"

    @overload
    def __init__(self: JsonCoder[dict[str, Any], Any]) -> None: ...
    @overload
    def __init__(self: JsonCoder[H, Any], header: type[H]) -> None: ...
    @overload
    def __init__(self: JsonCoder[dict[str, Any], P], *, payload: type[P]) -> None: ...
    @overload
    def __init__(self, header: type[H], payload: type[P]) -> None: ...
    def __init__(self, header: Any = dict, payload: Any = Any) -> None:
        self._header: strict_json.Decoder[H] = strict_json.Decoder(header)
        self._payload: strict_json.Decoder[P] = strict_json.Decoder(payload)
        self._decode_plain = _plain_decoder(self._header.unchecked, self._payload.unchecked)

    if TYPE_CHECKING:

        def encode(self, header: H, payload: P) -> bytes: ...

    def _encode_checked(self, header: H, payload: P) -> bytes:
        return encode_frame(header, strict_json.dumps(payload))

    def decode(self, frame: Frame) -> tuple[H, P]:
        message = self._decode_plain(frame.header_bytes, frame.payload)
        return self._decode_checked(frame) if message is None else message

    def plain_decoder(self, check: OrderCheck[H] | None) -> PlainDecoder[H, P] | None:
        if check is not None or getattr(self.decode, "__func__", None) is not JsonCoder.decode:
            return None  # a subclass, or a wrapper around this coder's decode, has more to do
        return self._decode_plain

    def _decode_checked(self, frame: Frame) -> tuple[H, P]:
        try:
            header = self._header.decode(frame.header_bytes)
        except strict_json.InvalidJSON as error:
            self._refuse_header(frame, error)
        try:
            return header, self._payload.decode(frame.payload)
        except strict_json.InvalidJSON as error:
            wanted = _name(self._payload.type)
            raise PayloadError(f"the payload does not fit {wanted}: {error}", frame.index, frame.offset) from None

    def _refuse_header(self, frame: Frame, error: ValueError) -> NoReturn:
        wanted = _name(self._header.type)
        raise InvalidHeader(f"the header does not fit {wanted}: {error}", frame.index, frame.offset) from None


def _name(wanted: Any) -> str:
    if wanted is Any:
        return "JSON"
    if wanted is dict:
        return "a JSON object"
    return wanted.__name__ if isinstance(wanted, type) else str(wanted)


class AnbJsonStreamCoder:
    """The coder of the public objectstreaming project of 2024: same calls, same bytes, same return shapes.

    Its JSON is the standard library's, ASCII with `", "` and `": "`. Unlike the original, it refuses NaN, checks both
    length words, and on input that is short or corrupt raises a `FrameError` instead of guessing.
    For streams take `JsonCoder` with `StreamDecoder` or `iter_messages`: re-slicing `rest` costs quadratic time.

    >>> AnbJsonStreamCoder.encode({"a": 1}, {"b": 2}).hex(" ", 4)
    '18000000 08000000 7b226122 3a20317d 7b226222 3a20327d'
    >>> AnbJsonStreamCoder.decode(AnbJsonStreamCoder.encode({"a": 1}, {"b": 2}))
    ({'a': 1}, {'b': 2}, None)
    """

    name: ClassVar[str] = "json"

    @classmethod
    def encode(
        cls,
        dict_header: Any,
        dict_obj: Any,
        byte_length: int = 4,
        byte_order: Literal["little", "big"] = "little",
    ) -> bytes:
        """One frame. Raises `EncodeError` for what JSON cannot say, and where T does not fit `byte_length` bytes."""
        header, payload = _original_dumps(dict_header), _original_dumps(dict_obj)
        return encode_frame(header, payload, layout=Layout(byte_length, byte_order))

    @classmethod
    def decode(
        cls,
        obj: bytes | bytearray | memoryview,
        byte_length: int = 4,
        byte_order: Literal["little", "big"] = "little",
    ) -> tuple[Any, Any, Any]:
        """`(header, object, rest)` of the first frame in `obj`.

        `rest` is what follows it, of the same type as `obj`, or `None` if nothing does. Raises `TruncatedFrame` if
        the frame is not whole yet, another `FrameError` or a `PayloadError` if it never will be.
        """
        found = split_frame(obj, layout=Layout(byte_length, byte_order))
        if found is None:
            raise TruncatedFrame(f"a whole frame is expected, and {len(obj)} bytes are not one yet")
        frame, end = found
        try:
            header = _original_loads(frame.header_bytes)
        except ValueError as error:
            raise InvalidHeader(f"the header is not JSON: {error}") from None
        if not isinstance(header, dict):
            raise InvalidHeader(f"the header is not a JSON object, but a {type(header).__name__}")
        try:
            value = _original_loads(frame.payload)
        except ValueError as error:
            raise PayloadError(f"the payload is not JSON: {error}") from None
        return header, value, obj[end:] if end < len(obj) else None


def _original_dumps(value: Any) -> bytes:
    try:
        return json.dumps(value, allow_nan=False).encode("ascii")
    except (TypeError, ValueError) as error:
        raise EncodeError(f"not JSON: {error}") from None
    except RecursionError:
        raise EncodeError("too deeply nested for JSON, or it contains itself") from None


def _original_loads(data: bytes) -> Any:
    try:
        return json.loads(data.decode(), parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError("too deeply nested") from None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
