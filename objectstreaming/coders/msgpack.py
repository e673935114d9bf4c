"""The `msgpack` coder: a JSON header, one MessagePack value (SPEC section 4.3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgpack

from ..errors import EncodeError, PayloadError
from ..frames import Frame
from .coder import Coder, encode_data_frame

__all__ = ["MsgpackCoder"]


class MsgpackCoder(Coder[Mapping[str, Any], Any]):
    """Payloads are one MessagePack value: the values of JSON, and bytes, in less space.

    Extension types are refused unless they are registered: a code, 0 to 127, a class, and two functions, from an object
    to bytes and back. The timestamp type of MessagePack (code -1) is decoded as an aware `datetime`.

    >>> from objectstreaming import decode_frame
    >>> coder = MsgpackCoder()
    >>> coder.decode(decode_frame(coder.encode({"n": 1}, {"pcm": b"\\x00\\x01", "at": [1, 2.5, None]})))
    ({'n': 1}, {'pcm': b'\\x00\\x01', 'at': [1, 2.5, None]})

    >>> from fractions import Fraction
    >>> coder.register(7, Fraction, lambda value: str(value).encode(), lambda data: Fraction(data.decode()))
    >>> coder.decode(decode_frame(coder.encode({}, [Fraction(1, 3)])))
    ({}, [Fraction(1, 3)])
    """

    name = "msgpack"
    neutral = b"\xc0"

    def __init__(self) -> None:
        self._packers: dict[type, tuple[int, Callable[[Any], bytes]]] = {}
        self._unpackers: dict[int, Callable[[bytes], Any]] = {}

    def register(
        self, code: int, type: type, to_bytes: Callable[[Any], bytes], from_bytes: Callable[[bytes], Any]
    ) -> None:
        """Encode objects of exactly `type`, which MessagePack does not have, as extension type `code`."""
        if code not in range(128):
            raise ValueError(f"an application's extension codes are 0 to 127, not {code}")
        self._packers[type] = (code, to_bytes)
        self._unpackers[code] = from_bytes

    def encode(self, header: Mapping[str, Any], payload: Any) -> bytes:
        try:
            data = msgpack.packb(payload, default=self._pack_extension, datetime=True)
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise EncodeError(f"not MessagePack: {error}") from None
        return encode_data_frame(header, data)

    def decode(self, frame: Frame) -> tuple[Mapping[str, Any], Any]:
        header = frame.header
        try:
            # No length in the value can exceed the bytes that are there: unpackb's limits are len(data) by default.
            value = msgpack.unpackb(frame.payload, ext_hook=self._unpack_extension, strict_map_key=False, timestamp=3)
        except Exception as error:  # noqa: BLE001 - a registered function may raise anything
            reason = str(error) or type(error).__name__
            raise PayloadError(f"the payload is not MessagePack: {reason}", frame.index, frame.offset) from None
        return header, value

    def _pack_extension(self, value: Any) -> Any:
        try:
            code, to_bytes = self._packers[type(value)]
        except KeyError:
            raise TypeError(
                f"{type(value).__name__} is not a MessagePack type; register() it as an extension"
            ) from None
        return msgpack.ExtType(code, to_bytes(value))

    def _unpack_extension(self, code: int, data: bytes) -> Any:
        try:
            from_bytes = self._unpackers[code]
        except KeyError:
            raise ValueError(f"extension type {code} is not registered") from None
        return from_bytes(data)
