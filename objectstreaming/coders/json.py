"""The `json` coder: a JSON header, a JSON payload (SPEC section 4.1)."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Generic, NoReturn, TypeVar, overload

import msgspec

from .. import strict_json
from ..errors import InvalidHeader, PayloadError
from ..frames import CODEC, Frame
from .coder import Coder, OrderCheck, PlainDecoder, encode_data_frame

__all__ = ["JsonCoder"]

_encode: Final = msgspec.json.Encoder().encode
_pack: Final = struct.Struct("<II").pack
_SHORT: Final = strict_json.TOO_SHORT_TO_BE_DEEP
_may_be_deep: Final = strict_json.may_be_deep
_has_string_keys: Final = strict_json.has_string_keys

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
                and wire.find(b"null") < 0  # `in` first tries whether b"null" is an integer, and takes twice as long
                and head.find(b"$stream") < 0
                and (not isinstance(header, dict) or _has_string_keys(header))
                and ((body[0] != _BRACKET and not isinstance(payload, dict)) or _has_string_keys(payload))
                and type(header) is not msgspec.Raw  # which may spell it with an escape
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
        if _may_be_deep(header) or _may_be_deep(payload):
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


_BRACE: Final = ord("{")
_BRACKET: Final = ord("[")

if TYPE_CHECKING:
    from typing_extensions import TypeForm
elif CODEC == "native":
    from .._native import JsonEncoder, PlainJson

    _plain_decoder = PlainJson


class JsonCoder(JsonEncoder, Coder[H, P], Generic[H, P]):
    """The header is a JSON object, the payload any JSON value. Both are plain values or instances of a typed class.

    Types to decode into are `dict`, a dataclass, a `msgspec.Struct`, a `TypedDict`, a pydantic model, and unions of
    them. What does not fit raises `InvalidHeader` or `PayloadError`, which name the member.

    Encoding accepts such instances and plain values, numpy's scalars and subclasses of built-in types, and writes
    compact UTF-8. Pydantic models are written by pydantic, with their aliases. Bytes become a string in base64.

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

    >>> from fractions import Fraction
    >>> JsonCoder(default=str).encode({}, Fraction(1, 3))[10:]
    b'"1/3"'

    Args:
        header: the type of headers, by default a dict.
        payload: the type of payloads, also `list[int]` and so on; by default plain values.
        default: is called for an object that cannot be encoded, as json's: it returns what to write instead, or raises
            `TypeError`.

    Raises:
        TypeError: Nothing can be decoded into such a type.
    """

    name = "json"
    neutral = b"{}"

    @overload
    def __init__(self: JsonCoder[dict[str, Any], Any], *, default: strict_json.Default | None = None) -> None: ...
    @overload
    def __init__(
        self: JsonCoder[H, Any], header: TypeForm[H], *, default: strict_json.Default | None = None
    ) -> None: ...
    @overload
    def __init__(
        self: JsonCoder[dict[str, Any], P], *, payload: TypeForm[P], default: strict_json.Default | None = None
    ) -> None: ...
    @overload
    def __init__(
        self, header: TypeForm[H], payload: TypeForm[P], *, default: strict_json.Default | None = None
    ) -> None: ...
    def __init__(self, header: Any = dict, payload: Any = Any, *, default: strict_json.Default | None = None) -> None:
        if default is not None and not callable(default):
            raise TypeError(f"default is a function that converts an object, not {default!r:.60}")
        self._default = default
        self._set_types(header, payload)

    def _set_types(self, header: Any, payload: Any) -> None:
        self._header: strict_json.Decoder[H] = strict_json.Decoder(header)
        self._payload: strict_json.Decoder[P] = strict_json.Decoder(payload)
        self._decode_plain: PlainDecoder[H, P] | None = None
        if self._header.is_msgspecs and self._payload.is_msgspecs:
            self._decode_plain = _plain_decoder(self._header.unchecked, self._payload.unchecked)

    def __getstate__(self) -> dict[str, Any]:
        """The decoders are made again from their types: they cannot be pickled."""
        return {**self.__dict__, "_header": self._header.type, "_payload": self._payload.type, "_decode_plain": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._set_types(state["_header"], state["_payload"])

    @property
    def header_type(self) -> Any:
        return self._header.type

    @property
    def payload_type(self) -> Any:
        return self._payload.type

    if TYPE_CHECKING:

        def encode(self, header: H, payload: P) -> bytes: ...

    def _encode_checked(self, header: H, payload: P) -> bytes:
        data = strict_json.dumps(payload, self._default)
        return encode_data_frame(strict_json.dumps(header, self._default) if self._default else header, data)

    def decode(self, frame: Frame) -> tuple[H, P]:
        message = None if self._decode_plain is None else self._decode_plain(frame.header_bytes, frame.payload)
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
            wanted = name_of(self._payload.type)
            raise PayloadError(f"the payload does not fit {wanted}: {error}", frame.index, frame.offset) from None

    def _refuse_header(self, frame: Frame, error: ValueError) -> NoReturn:
        wanted = name_of(self._header.type)
        raise InvalidHeader(f"the header does not fit {wanted}: {error}", frame.index, frame.offset) from None


def name_of(wanted: Any) -> str:
    """What a type is called in a message."""
    if wanted is Any:
        return "JSON"
    if wanted is dict:
        return "a JSON object"
    return wanted.__name__ if isinstance(wanted, type) else str(wanted)
