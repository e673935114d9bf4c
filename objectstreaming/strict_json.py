"""JSON as SPEC section 2.3 defines it, for headers and for the payloads of the `json` coder.

It is RFC 8259 with nothing left open: valid UTF-8 only, no byte order mark, no NaN or Infinity, no lone surrogates, any
integer (up to the interpreter's limit of 4,300 digits), nesting of at most `MAX_DEPTH`. msgspec parses; this module
adds the checks that msgspec does not make.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

import msgspec

from .errors import EncodeError

__all__ = [
    "MAX_DEPTH",
    "TOO_SHORT_TO_BE_DEEP",
    "Decoder",
    "InvalidJSON",
    "check_data_header",
    "dumps",
    "loads",
    "loads_object",
    "may_be_deep",
    "may_have_stream_member",
]

T = TypeVar("T")

MAX_DEPTH: Final = 100
"""How deep arrays and objects may be nested; also the default of Protocol Buffers, and below the 128 of serde_json."""

# A text that is nested deeper than MAX_DEPTH has more bytes than this in brackets alone. Shorter texts, and so nearly
# all headers, need no check.
TOO_SHORT_TO_BE_DEEP: Final = 2 * MAX_DEPTH
_STRING: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_NOT_BRACKETS: Final = bytes(byte for byte in range(256) if byte not in b"[]{}")


class InvalidJSON(ValueError):
    """Why a text is not the JSON that is expected. Other modules turn it into their own documented errors."""


def loads(data: bytes) -> Any:
    """Any JSON value from UTF-8 bytes. Raises `InvalidJSON`, which says what is wrong.

    >>> loads(b'{"n": 18446744073709551617, "s": "e"}')
    {'n': 18446744073709551617, 's': 'e'}
    >>> loads(b'[NaN]')
    Traceback (most recent call last):
    objectstreaming.strict_json.InvalidJSON: JSON is malformed: invalid character (byte 1)
    """
    return _UNTYPED.decode(data)


def loads_object(data: bytes) -> dict[str, Any]:
    """A JSON object, as a header must be. Raises `InvalidJSON`.

    >>> loads_object(b'[1]')
    Traceback (most recent call last):
    objectstreaming.strict_json.InvalidJSON: Expected `object`, got `array`
    """
    return _OBJECT.decode(data)


class Decoder(Generic[T]):
    """Decodes JSON straight into `type`: a dataclass, `msgspec.Struct`, `TypedDict`, `dict`, `list[int]`, ...

    >>> Decoder(dict[str, int]).decode(b'{"a": 1}')
    {'a': 1}
    >>> Decoder(dict[str, int]).decode(b'{"a": "x"}')
    Traceback (most recent call last):
    objectstreaming.strict_json.InvalidJSON: Expected `int`, got `str` - at `$[...]`
    """

    def __init__(self, type: Any) -> None:
        self.type = type
        self.unchecked: Callable[[bytes], T] = msgspec.json.Decoder(type).decode
        """msgspec's decode, which is as strict for ASCII that is shorter than `TOO_SHORT_TO_BE_DEEP`."""
        # msgspec skips members that the type does not have, and does not check their UTF-8.
        self._skips_members = type is not Any and type is not dict

    def decode(self, data: bytes) -> T:
        """`data` as a `T`; `InvalidJSON` if it is not JSON, or not of that type."""
        try:
            if self._skips_members and not data.isascii():
                data.decode()
            value = self.unchecked(data)
        except msgspec.MsgspecError as error:
            raise InvalidJSON(_explain(data, str(error))) from None
        except UnicodeDecodeError as error:
            raise InvalidJSON(f"not UTF-8: {error.reason}") from None
        except RecursionError:
            raise InvalidJSON(_TOO_DEEP) from None
        _check_depth(data)
        return value


_TOO_DEEP: Final = f"nested deeper than {MAX_DEPTH} levels"
_UNTYPED: Final[Decoder[Any]] = Decoder(Any)
_OBJECT: Final[Decoder[dict[str, Any]]] = Decoder(dict)


def _explain(data: bytes, reason: str) -> str:
    if not data:
        return "empty, where JSON is expected"
    if data.startswith(b"\xef\xbb\xbf"):
        return "it begins with a byte order mark, which JSON forbids"
    return reason


def may_be_deep(data: bytes) -> bool:
    """Whether a text has enough brackets to be nested deeper than `MAX_DEPTH`."""
    return len(data) > TOO_SHORT_TO_BE_DEEP and data.count(b"[") + data.count(b"{") > MAX_DEPTH


def _check_depth(data: bytes) -> None:
    if not may_be_deep(data):
        return
    import numpy  # imported here, because it takes as long to import as all the rest

    brackets = numpy.frombuffer(_STRING.sub(b"", data).translate(None, _NOT_BRACKETS), numpy.uint8)
    # '[' is 0x5b, ']' 0x5d, '{' 0x7b, '}' 0x7d: bit 2 tells closing from opening.
    depth = numpy.cumsum(numpy.where(brackets & 4, -1, 1).astype(numpy.int32))
    if depth.size and int(depth.max()) > MAX_DEPTH:
        raise InvalidJSON(_TOO_DEEP)


_encoder: Final = msgspec.json.Encoder()


def dumps(value: Any) -> bytes:
    """Compact UTF-8 JSON of plain values, dataclasses and Structs. Raises `EncodeError` for what is not JSON.

    >>> dumps({"a": [1, "é", None]}).decode()
    '{"a":[1,"é",null]}'
    >>> dumps({"a": [1.5, float("nan")]})
    Traceback (most recent call last):
    objectstreaming.errors.EncodeError: nan is not JSON (at $["a"][1]); send null or a string instead
    """
    try:
        data = _encoder.encode(value)
    except UnicodeEncodeError as error:
        raise EncodeError(f"a string holds a lone surrogate, which UTF-8 cannot carry: {error.object!r:.60}") from None
    except RecursionError:
        raise EncodeError("too deeply nested for JSON, or it contains itself") from None
    except (TypeError, ValueError, OverflowError) as error:
        raise EncodeError(f"not JSON: {error}") from None
    # msgspec writes NaN and Infinity as null: for each null that was written, check that it was None.
    if data.find(b"null") >= 0:
        _refuse_non_finite(msgspec.to_builtins(value))
    try:
        _check_depth(data)
    except InvalidJSON as error:
        raise EncodeError(f"{error}: receivers refuse it") from None
    return data


def _refuse_non_finite(value: Any) -> None:
    stack = [(value, "$")]
    while stack:
        item, path = stack.pop()
        if isinstance(item, float):
            if not math.isfinite(item):
                raise EncodeError(f"{item!r} is not JSON (at {path}); send null or a string instead")
        elif isinstance(item, dict):
            stack.extend((member, f'{path}["{key}"]') for key, member in item.items())
        elif isinstance(item, list | tuple):
            stack.extend((member, f"{path}[{position}]") for position, member in enumerate(item))


def may_have_stream_member(data: bytes, begin: int, end: int) -> bool:
    """Whether the header `data[begin:end]` may have the member `$stream`.

    The name stands there, maybe in another place than a member's name, or an escape that could spell a part of it: of
    JSON's escapes only those with `\\u` can.
    """
    return data.find(b"$stream", begin, end) >= 0 or data.find(b"\\u", begin, end) >= 0


def check_data_header(data: bytes) -> None:
    r"""Raise `EncodeError` if a header has the member `$stream`, which belongs to control frames (SPEC section 3.1).

    >>> check_data_header(b'{"\\u0024stream":{"type":"end","frames":0}}')
    Traceback (most recent call last):
    objectstreaming.errors.EncodeError: the header member "$stream" belongs to control frames
    """
    if not may_have_stream_member(data, 0, len(data)):
        return
    try:
        header = loads_object(data)
    except InvalidJSON as error:
        raise EncodeError(f"the header is not a JSON object: {error}") from None
    if "$stream" in header:
        raise EncodeError('the header member "$stream" belongs to control frames')
