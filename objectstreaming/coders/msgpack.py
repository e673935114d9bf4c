"""The `msgpack` coder: a JSON header, one MessagePack value (SPEC section 4.3)."""

from __future__ import annotations

import enum
import uuid
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, overload

import msgpack
import msgspec

from .. import strict_json
from ..conversions import mentions_pydantic, plain, pydantic_error
from ..errors import EncodeError, InvalidHeader, PayloadError
from ..frames import Frame
from .coder import Coder, encode_data_frame
from .json import name_of

if TYPE_CHECKING:
    from typing_extensions import TypeForm

__all__ = ["MsgpackCoder"]

H = TypeVar("H")
P = TypeVar("P")

_BINARY: Final = (bytes, bytearray, memoryview, datetime)
"""What MessagePack has and JSON does not: it stays what it is where typed objects are made plain."""

# Keys that are read back as they were written, and types whose objects are written as one of these.
_READABLE_KEYS: Final = frozenset([str, int, float, bool, bytes, type(None), datetime])
_KEYS: Final = (str, int, float, bytes, datetime, enum.Enum, uuid.UUID, Decimal, date, time, timedelta)
_ARRAYS: Final = (list, tuple)  # a union of types would be slower
_HOLD_NOTHING: Final = frozenset([str, int, float, bool, bytes, type(None)])


class MsgpackCoder(Coder[H, P], Generic[H, P]):
    """Payloads are one MessagePack value: the values of JSON, and bytes, in less space.

    Encoding accepts what `JsonCoder` does. Integers have at most 64 bits. A `datetime` needs a time zone, and comes
    back in UTC; without `payload` other times, UUIDs and decimals come back as strings.

    Extension types are refused unless they are registered. The timestamp type of MessagePack (code -1) is decoded as an
    aware `datetime`.

    >>> from objectstreaming import decode_frame
    >>> coder = MsgpackCoder()
    >>> coder.decode(decode_frame(coder.encode({"n": 1}, {"pcm": b"\\x00\\x01", "at": [1, 2.5, None]})))
    ({'n': 1}, {'pcm': b'\\x00\\x01', 'at': [1, 2.5, None]})

    >>> from dataclasses import dataclass
    >>> @dataclass
    ... class Sound:
    ...     rate: int
    ...     pcm: bytes
    >>> coder = MsgpackCoder(payload=Sound)
    >>> coder.decode(decode_frame(coder.encode({}, Sound(16000, b"\\x00\\x01"))))
    ({}, Sound(rate=16000, pcm=b'\\x00\\x01'))

    >>> from fractions import Fraction
    >>> coder = MsgpackCoder()
    >>> coder.register(7, Fraction, lambda value: str(value).encode(), lambda data: Fraction(data.decode()))
    >>> coder.decode(decode_frame(coder.encode({}, [Fraction(1, 3)])))
    ({}, [Fraction(1, 3)])

    Args:
        header: the type of headers, as for `JsonCoder`.
        payload: the type of payloads, as for `JsonCoder`.
        default: as for `JsonCoder`.

    Raises:
        TypeError: Nothing can be decoded into such a type.
    """

    name = "msgpack"
    neutral = b"\xc0"

    @overload
    def __init__(self: MsgpackCoder[Mapping[str, Any], Any], *, default: strict_json.Default | None = None) -> None: ...
    @overload
    def __init__(
        self: MsgpackCoder[H, Any], header: TypeForm[H], *, default: strict_json.Default | None = None
    ) -> None: ...
    @overload
    def __init__(
        self: MsgpackCoder[Mapping[str, Any], P], *, payload: TypeForm[P], default: strict_json.Default | None = None
    ) -> None: ...
    @overload
    def __init__(
        self, header: TypeForm[H], payload: TypeForm[P], *, default: strict_json.Default | None = None
    ) -> None: ...
    def __init__(self, header: Any = dict, payload: Any = Any, *, default: strict_json.Default | None = None) -> None:
        if default is not None and not callable(default):
            raise TypeError(f"default is a function that converts an object, not {default!r:.60}")
        self._default = default
        self._packers: dict[type, tuple[int, Callable[[Any], bytes]]] = {}
        self._unpackers: dict[int, Callable[[bytes], Any]] = {}
        self._set_types(header, payload)

    def _set_types(self, header: Any, payload: Any) -> None:
        self._header: strict_json.Decoder[H] = strict_json.Decoder(header)
        self._payload = payload
        self._convert = None if payload is Any else _converter(payload)

    def __getstate__(self) -> dict[str, Any]:
        """What decodes is made again from the types: it cannot be pickled."""
        return {**self.__dict__, "_header": self._header.type, "_convert": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._set_types(state["_header"], state["_payload"])

    @property
    def header_type(self) -> Any:
        return self._header.type

    @property
    def payload_type(self) -> Any:
        return self._payload

    def register(
        self, code: int, type: type, to_bytes: Callable[[Any], bytes], from_bytes: Callable[[bytes], Any]
    ) -> None:
        """Encode objects of exactly `type`, which MessagePack does not have, as extension type `code`.

        Args:
            code: 0 to 127; the other side registers the same.
            type: a class; objects of its subclasses are not meant.
            to_bytes: makes bytes of an object.
            from_bytes: makes an object of bytes.
        """
        if code not in range(128):
            raise ValueError(f"an application's extension codes are 0 to 127, not {code}")
        self._packers[type] = (code, to_bytes)
        self._unpackers[code] = from_bytes

    def encode(self, header: H, payload: P) -> bytes:
        try:
            self._check_keys(payload)
            data = msgpack.packb(payload, default=self._pack, datetime=True)
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise EncodeError(f"not MessagePack: {error}") from None
        return encode_data_frame(strict_json.dumps(header, self._default) if self._default else header, data)

    def decode(self, frame: Frame) -> tuple[H, P]:
        header: Any = frame.header if self._header.type is dict else self._decode_header(frame)
        try:
            # No length in the value can exceed the bytes that are there: unpackb's limits are len(data) by default.
            value = msgpack.unpackb(frame.payload, ext_hook=self._unpack_extension, strict_map_key=False, timestamp=3)
        except Exception as error:  # noqa: BLE001 - a registered function may raise anything
            reason = str(error) or type(error).__name__
            raise PayloadError(f"the payload is not MessagePack: {reason}", frame.index, frame.offset) from None
        if self._convert is not None:
            try:
                value = self._convert(value)
            except (msgspec.ValidationError, RecursionError) as error:
                reason = f"the payload does not fit {name_of(self._payload)}: {error}"
                raise PayloadError(reason, frame.index, frame.offset) from None
        return header, value

    def _decode_header(self, frame: Frame) -> H:
        try:
            return self._header.decode(frame.header_bytes)
        except strict_json.InvalidJSON as error:
            reason = f"the header does not fit {name_of(self._header.type)}: {error}"
            raise InvalidHeader(reason, frame.index, frame.offset) from None

    def _pack(self, value: Any) -> Any:
        """What to pack instead of an object that msgpack does not take."""
        kind = type(value)
        if kind in self._packers:
            code, to_bytes = self._packers[kind]
            return msgpack.ExtType(code, to_bytes(value))
        if isinstance(value, int):
            raise OverflowError(
                f"an integer of {value.bit_length()} bits is beyond the 64 of MessagePack; send a string"
            )
        if isinstance(value, datetime):
            if value.tzinfo is None:
                raise TypeError(f"{value!r} has no time zone; give it one, as with .replace(tzinfo=UTC)")
            return datetime.combine(value.date(), value.time(), value.tzinfo)  # of a subclass
        known = (*_BINARY, *self._packers)
        packable = msgspec.to_builtins(value, builtin_types=known, enc_hook=self._make_plain)
        self._check_keys(packable)
        return packable

    def _make_plain(self, value: Any) -> Any:
        found = plain(value, "python")
        if found is not NotImplemented:
            return found
        if self._default is not None:
            return self._default(value)
        kind = type(value).__name__
        raise TypeError(f"{kind} is not a MessagePack type; register() it as an extension, or convert it by default=")

    def _check_keys(self, value: Any) -> None:
        """Refuse a key that could not be read back as one, and two that would become one."""
        if isinstance(value, dict):
            if not _READABLE_KEYS.issuperset(map(type, value)):
                self._check_odd_keys(value)
            value = value.values()
        elif not isinstance(value, _ARRAYS):
            return
        if not _HOLD_NOTHING.issuperset(map(type, value)):
            for item in value:
                self._check_keys(item)

    def _check_odd_keys(self, mapping: dict[Any, Any]) -> None:
        written: dict[Any, Any] = {}
        for key in mapping:
            if not isinstance(key, _KEYS) and key is not None and type(key) not in self._packers:
                kind = type(key).__name__
                if isinstance(key, tuple | frozenset) or plain(key) is NotImplemented:
                    raise TypeError(f"the key {key!r:.60}, of type {kind}, could not be read back as one")
            name = (
                key if type(key) in self._packers else msgspec.to_builtins(key, builtin_types=_BINARY, enc_hook=plain)
            )
            if name in written:
                raise ValueError(f"the keys {written[name]!r:.60} and {key!r:.60} are the same in MessagePack")
            written[name] = key

    def _unpack_extension(self, code: int, data: bytes) -> Any:
        try:
            from_bytes = self._unpackers[code]
        except KeyError:
            raise ValueError(f"extension type {code} is not registered") from None
        return from_bytes(data)


def _converter(wanted: Any) -> Callable[[Any], Any]:
    """From plain values to a type. Raises `TypeError` for one that nothing can be converted to."""
    if not mentions_pydantic(wanted):
        strict_json.check_type(wanted)
        return lambda value: msgspec.convert(value, wanted, builtin_types=_BINARY, dec_hook=_convert_model)
    adapter = strict_json.model_adapter(wanted)
    import pydantic

    def convert(value: Any) -> Any:
        try:
            return adapter.validate_python(value)
        except pydantic.ValidationError as error:
            raise msgspec.ValidationError(pydantic_error(error)) from None

    return convert


def _convert_model(wanted: Any, value: Any) -> Any:
    """A pydantic model that is a member of something else."""
    return _converter(wanted)(value)
