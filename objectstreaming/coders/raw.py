"""The `raw` coder: a JSON header, and bytes as they are (SPEC section 4.5)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..frames import Frame
from .coder import Coder, encode_data_frame

__all__ = ["RawCoder"]


class RawCoder(Coder[Mapping[str, Any], bytes]):
    """Payloads are bytes. Any bytes-like object can be sent.

    >>> from objectstreaming import decode_frame
    >>> RawCoder().decode(decode_frame(RawCoder().encode({"name": "a.bin"}, b"\\x00\\xff")))
    ({'name': 'a.bin'}, b'\\x00\\xff')
    """

    name = "raw"

    def encode(self, header: Mapping[str, Any], payload: bytes) -> bytes:
        return encode_data_frame(header, payload)

    def decode(self, frame: Frame) -> tuple[Mapping[str, Any], bytes]:
        return frame.header, frame.payload
