"""JSON as SPEC section 2.3 defines it, for headers and for the payloads of the `json` coder.

It is RFC 8259 with nothing left open: valid UTF-8 only, no byte order mark, no NaN or Infinity, no lone surrogates, any
integer (up to the interpreter's limit of 4,300 digits), nesting of at most `MAX_DEPTH`. msgspec parses; this module
adds the checks that msgspec does not make.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any, Final, Generic, TypeAlias, TypeVar

import msgspec

from .conversions import is_pydantic, mentions_pydantic, plain, pydantic_error
from .errors import EncodeError

__all__ = [
    "MAX_DEPTH",
    "TOO_SHORT_TO_BE_DEEP",
    "Decoder",
    "Default",
    "InvalidJSON",
    "check_data_header",
    "check_type",
    "convert_model",
    "dumps",
    "has_string_keys",
    "loads",
    "loads_object",
    "may_be_deep",
    "may_have_stream_member",
    "model_adapter",
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

    Pydantic models are decoded by pydantic, also in unions, lists, and as members of the others. Raises `TypeError` for
    a type that nothing could be decoded into.

    >>> Decoder(dict[str, int]).decode(b'{"a": 1}')
    {'a': 1}
    >>> Decoder(dict[str, int]).decode(b'{"a": "x"}')
    Traceback (most recent call last):
    objectstreaming.strict_json.InvalidJSON: Expected `int`, got `str` - at `$[...]`
    """

    def __init__(self, type: Any) -> None:
        self.type = type
        self.is_msgspecs = not mentions_pydantic(type)
        """Whether `unchecked` is the method of a msgspec decoder, which takes any bytes-like object."""
        self.unchecked: Callable[[bytes], T] = _msgspec_decode(type) if self.is_msgspecs else _pydantic_decode(type)
        """Decode what is ASCII and shorter than `TOO_SHORT_TO_BE_DEEP`: for other texts it is not strict."""
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


def _msgspec_decode(type: Any) -> Callable[[bytes], Any]:
    check_type(type)
    return msgspec.json.Decoder(type, dec_hook=convert_model).decode


def _pydantic_decode(type: Any) -> Callable[[bytes], Any]:
    adapter = model_adapter(type)
    check_syntax = msgspec.json.Decoder(msgspec.Raw).decode  # pydantic allows NaN
    import pydantic

    def decode(data: bytes) -> Any:
        check_syntax(data)
        try:
            return adapter.validate_json(data)
        except pydantic.ValidationError as error:
            raise msgspec.ValidationError(pydantic_error(error)) from None

    return decode


def model_adapter(type: Any) -> Any:
    """pydantic's `TypeAdapter` for a type in which models are. Raises `TypeError` for one that it cannot do."""
    import pydantic

    try:
        adapter = pydantic.TypeAdapter(type)
        adapter.rebuild()  # raises where a model names what is not defined
        return adapter
    except (pydantic.PydanticUserError, pydantic.PydanticUndefinedAnnotation) as error:
        reason = str(error).partition("\n")[0]
        raise TypeError(f"pydantic cannot decode into {type}: {reason}") from None


def check_type(type: Any) -> None:
    """Raise `TypeError` for a type that msgspec would take, and then find that no value is of it."""
    try:
        unknown = _unknown_class(msgspec.inspect.type_info(type), set())
    except TypeError as error:
        raise TypeError(f"no value can be decoded into {type}: {error}") from None
    if unknown is not None:
        raise TypeError(
            f"no value can be decoded into {unknown}: types are plain ones, dataclasses, msgspec.Struct, TypedDict, "
            "NamedTuple, Enum, pydantic models, and lists, dicts and unions of them"
        )


def _unknown_class(info: Any, seen: set[int]) -> Any:
    """The first class in msgspec's description of a type that it knows nothing of."""
    if id(info) in seen:
        return None
    seen.add(id(info))
    if isinstance(info, msgspec.inspect.CustomType):
        return None if is_pydantic(info.cls) else info.cls
    inner = [getattr(info, name, None) for name in ("type", "item_type", "key_type", "value_type")]
    inner += getattr(info, "types", ())
    inner += getattr(info, "item_types", ())
    inner += [field.type for field in getattr(info, "fields", ())]
    found = (_unknown_class(item, seen) for item in inner if isinstance(item, msgspec.inspect.Type))
    return next((cls for cls in found if cls is not None), None)


def convert_model(type: Any, value: Any) -> Any:
    """`dec_hook` of msgspec: a pydantic model that is a member of something else."""
    import pydantic

    try:
        # As JSON again: pydantic allows there what it does not in Python, a date as a string in a strict model.
        return type.model_validate_json(msgspec.json.encode(value))
    except pydantic.ValidationError as error:
        raise msgspec.ValidationError(pydantic_error(error)) from None


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


Default: TypeAlias = Callable[[Any], Any]
"""As json's `default`: called with a value that is not JSON, it returns one to write instead, or raises `TypeError`."""


def _hook(default: Default | None) -> Callable[[Any], Any]:
    def convert(value: Any) -> Any:
        found = plain(value)
        if found is not NotImplemented:
            return found
        if default is not None:
            return default(value)
        kind = type(value)
        raise TypeError(f"an object of type {kind.__module__}.{kind.__qualname__} is not JSON{_HINTS.get(kind, _HINT)}")

    return convert


_HINT: Final = "; a coder's default= function can convert it"
_HINTS: Final[dict[type, str]] = {
    bool: ": names of members are strings",
    type(None): ": names of members are strings",
    tuple: ": names of members are strings",
}
_plain_hook: Final = _hook(None)
_encode: Final = msgspec.json.Encoder(enc_hook=_plain_hook).encode


def dumps(value: Any, default: Default | None = None) -> bytes:
    """Compact UTF-8 JSON. Raises `EncodeError` for what is not JSON.

    Beside plain values it takes dataclasses, Structs, pydantic models, numpy's scalars, subclasses of built-in types.
    `default` is called for the rest.

    >>> dumps({"a": [1, "é", None]}).decode()
    '{"a":[1,"é",null]}'
    >>> dumps({"a": [1.5, float("nan")]})
    Traceback (most recent call last):
    objectstreaming.errors.EncodeError: nan is not JSON (at $["a"][1]); send null or a string instead
    >>> dumps({1: "a", "1": "b"})
    Traceback (most recent call last):
    objectstreaming.errors.EncodeError: the keys 1 and '1' are the same name in JSON: "1" (at $)
    """
    hook = _plain_hook if default is None else _hook(default)
    try:
        data = _encode(value) if default is None else msgspec.json.Encoder(enc_hook=hook).encode(value)
        # msgspec writes NaN and Infinity as null: for each null that was written, check that it was None.
        if data.find(b"null") >= 0:
            _refuse_non_finite(msgspec.to_builtins(value, enc_hook=hook))
        if not has_string_keys(value):
            _refuse_keys(value, hook)
    except UnicodeEncodeError as error:
        raise EncodeError(f"a string holds a lone surrogate, which UTF-8 cannot carry: {error.object!r:.60}") from None
    except RecursionError:
        raise EncodeError("too deeply nested for JSON, or it contains itself") from None
    except EncodeError:
        raise
    except (TypeError, ValueError, OverflowError) as error:
        raise EncodeError(f"not JSON: {error}") from None
    try:
        _check_depth(data)
    except InvalidJSON as error:
        raise EncodeError(f"{error}: receivers refuse it") from None
    return data


def has_string_keys(value: Any) -> bool:
    """Whether all keys of a plain value's dicts are of exactly `str`, so that no two have the same name in JSON."""
    if isinstance(value, dict):
        if not _STRING_KEYS.issuperset(map(type, value)):
            return False
        value = value.values()
    elif not isinstance(value, _ARRAYS):
        return True
    return _HOLD_NOTHING.issuperset(map(type, value)) or all(map(has_string_keys, value))


_ARRAYS: Final = (list, tuple)  # a union of types would be slower
_STRING_KEYS: Final = frozenset([str])
_HOLD_NOTHING: Final = frozenset([str, int, float, bool, bytes, type(None)])


def _refuse_keys(value: Any, hook: Callable[[Any], Any]) -> None:
    stack = [(value, "$")]
    while stack:
        item, path = stack.pop()
        if isinstance(item, dict):
            names: dict[bytes, Any] = {}
            for key, member in item.items():
                if isinstance(key, float) and not math.isfinite(key):
                    raise EncodeError(f"the key {key!r} is not JSON (at {path})")
                name = msgspec.json.encode({key: None}, enc_hook=hook)[1 : -len(":null}")]
                if name in names:
                    both = f"{names[name]!r:.60} and {key!r:.60}"
                    raise EncodeError(f"the keys {both} are the same name in JSON: {name.decode():.60} (at {path})")
                names[name] = key
                stack.append((member, f"{path}[{name.decode()}]"))
        elif isinstance(item, list | tuple):
            stack.extend((member, f"{path}[{position}]") for position, member in enumerate(item))


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
