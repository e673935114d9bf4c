"""The calls of the public objectstreaming project of 2024, with its JSON: what the standard library writes."""

from __future__ import annotations

import json
import struct
from json.encoder import c_make_encoder, encode_basestring_ascii  # type: ignore[attr-defined]
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, NoReturn

import msgspec

from .. import strict_json
from ..errors import EncodeError, InvalidHeader, PayloadError, TruncatedFrame
from ..frames import CODEC, Layout, split_frame
from .coder import encode_data_frame

__all__ = ["AnbJsonStreamCoder", "standard_json"]

if c_make_encoder is not None:  # pragma: no branch
    # json.dumps makes one for each call, which takes longer than writing a small object. This one is shared, so that it
    # cannot remember what it is inside of: a value that contains itself is a RecursionError.
    _write = c_make_encoder(
        None, json.JSONEncoder().default, encode_basestring_ascii, None, ": ", ", ", False, False, False
    )
else:  # pragma: no cover - an interpreter without it
    _write = json.JSONEncoder(check_circular=False, allow_nan=False).iterencode


def standard_json(value: Any) -> str:
    """`json.dumps(value, allow_nan=False)`: the same text, and the same errors.

    >>> standard_json({"é": [1.0, None]})
    '{"\\\\u00e9": [1.0, null]}'
    """
    try:
        return "".join(_write(value, 0))
    except RecursionError:
        return json.dumps(value, allow_nan=False)  # tells what contains itself from what is too deep


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
        """One frame.

        Args:
            dict_header: a dict.
            dict_obj: any JSON value.
            byte_length: of each length word.
            byte_order: of each length word.

        Raises:
            EncodeError: JSON cannot say it, or T does not fit its length word.
        """
        wire = _encode_plain(dict_header, dict_obj, byte_length, byte_order)
        if wire is not None:
            return wire
        header, payload = _dumps(dict_header), _dumps(dict_obj)
        return encode_data_frame(header, payload, layout=Layout(byte_length, byte_order))

    @classmethod
    def decode(
        cls,
        obj: bytes | bytearray | memoryview,
        byte_length: int = 4,
        byte_order: Literal["little", "big"] = "little",
    ) -> tuple[Any, Any, Any]:
        """`(header, object, rest)` of the first frame in `obj`.

        `rest` is what follows it, of the same type as `obj`, or `None` if nothing does.

        Args:
            obj: one frame, and whatever follows.
            byte_length: of each length word.
            byte_order: of each length word.

        Raises:
            TruncatedFrame: The frame is not whole yet.
            FrameError: It never will be.
            PayloadError: Its object is not JSON.
        """
        message = _decode_plain(obj, byte_length, byte_order)
        if message is not None:
            return message
        found = split_frame(obj, layout=Layout(byte_length, byte_order))
        if found is None:
            raise TruncatedFrame(f"a whole frame is expected, and {len(obj)} bytes are not one yet")
        frame, end = found
        try:
            header = _loads(frame.header_bytes)
        except ValueError as error:
            raise InvalidHeader(f"the header is not JSON: {error}") from None
        if not isinstance(header, dict):
            raise InvalidHeader(f"the header is not a JSON object, but a {type(header).__name__}")
        try:
            value = _loads(frame.payload)
        except ValueError as error:
            raise PayloadError(f"the payload is not JSON: {error}") from None
        return header, value, obj[end:] if end < len(obj) else None


def _dumps(value: Any) -> bytes:
    try:
        return standard_json(value).encode("ascii")
    except (TypeError, ValueError) as error:
        raise EncodeError(f"not JSON: {error}") from None
    except RecursionError:
        raise EncodeError("too deeply nested for JSON, or it contains itself") from None


def _loads(data: bytes) -> Any:
    try:
        return json.loads(data.decode(), parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError("too deeply nested") from None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


# ------------------------------------------------------------------------------------------------ fast paths

# For what nearly every call is given. They return None for anything else, and the checked path above decides.

_lengths: Final = struct.Struct("<II")
_decode_header: Final = msgspec.json.Decoder(dict).decode
_decode: Final = msgspec.json.Decoder().decode


def _is_standard(byte_length: Any, byte_order: Any) -> bool:
    return type(byte_length) is int and byte_length == 4 and type(byte_order) is str and byte_order == "little"


def _encode_plain(header: Any, value: Any, byte_length: Any, byte_order: Any) -> bytes | None:
    if type(header) is not dict or not _is_standard(byte_length, byte_order):
        return None
    try:
        head = "".join(_write(header, 0)).encode("ascii")
        body = "".join(_write(value, 0)).encode("ascii")
        wire = _lengths.pack(8 + len(head) + len(body), len(head)) + head + body
    except (TypeError, ValueError, RecursionError, struct.error):
        return None
    # A surrogate may be a lone one, which strict JSON refuses in a header.
    if strict_json.may_be_deep(head) or head.find(b"$stream") >= 0 or head.find(b"\\ud") >= 0:
        return None
    return wire


def _decode_plain(data: Any, byte_length: Any, byte_order: Any) -> tuple[Any, Any, Any] | None:
    """By msgspec, which returns what `json.loads` returns wherever it returns anything."""
    if type(data) is not bytes or len(data) < 8 or not _is_standard(byte_length, byte_order):
        return None
    total, size = _lengths.unpack_from(data)
    middle = 8 + size
    if not middle <= total <= len(data):
        return None
    header, payload = data[8:middle], data[middle:total]
    if strict_json.may_be_deep(header) or strict_json.may_be_deep(payload):
        return None
    try:
        return _decode_header(header), _decode(payload), data[total:] or None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


if not TYPE_CHECKING and CODEC == "native":
    from .._native import decode_original as _decode_plain
    from .._native import encode_original as _encode_plain
