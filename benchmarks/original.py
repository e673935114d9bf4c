"""The codec that the budgets are ratios of: this wire, written in the straightforward way.

`json`, `int.to_bytes`, classmethods, and `rest` sliced off after each frame, as in the public project of 2024 and as
most people would write it in an afternoon. One thing is better than there: the length is checked before the JSON is
parsed. The original does so for speech only, and without it a stream could not be read at all.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any


class AudioCodec:
    """Speech: JSON header, bytes."""

    @classmethod
    def encode(cls, header: Any, wav: bytes, byte_length: int = 4, byte_order: Any = "little") -> bytes:
        header_bytes = json.dumps(header).encode()
        total_length = 2 * byte_length + len(header_bytes) + len(wav)
        return (
            total_length.to_bytes(byte_length, byte_order)
            + len(header_bytes).to_bytes(byte_length, byte_order)
            + header_bytes
            + wav
        )

    @classmethod
    def decode(cls, data: bytes, byte_length: int = 4, byte_order: Any = "little") -> Any:
        """`((header, wav), rest)`, or None while the frame is not whole."""
        if len(data) < byte_length:
            return None
        total_length = int.from_bytes(data[:byte_length], byte_order)
        if len(data) < total_length:
            return None
        header_length = int.from_bytes(data[byte_length : 2 * byte_length], byte_order)
        header_end = 2 * byte_length + header_length
        header = json.loads(data[2 * byte_length : header_end].decode())
        return (header, data[header_end:total_length]), data[total_length:]


class JsonCodec:
    """Objects: JSON header, JSON payload."""

    @classmethod
    def encode(cls, header: Any, obj: Any, byte_length: int = 4, byte_order: Any = "little") -> bytes:
        return AudioCodec.encode(header, json.dumps(obj).encode(), byte_length, byte_order)

    @classmethod
    def decode(cls, data: bytes, byte_length: int = 4, byte_order: Any = "little") -> Any:
        output = AudioCodec.decode(data, byte_length, byte_order)
        if output is None:
            return None
        (header, payload), rest = output
        return (header, json.loads(payload.decode())), rest


class MixedCodec:
    """Both in one stream; the header's `kind` tells which."""

    @classmethod
    def encode(cls, header: Any, payload: Any, byte_length: int = 4, byte_order: Any = "little") -> bytes:
        codec: Any = AudioCodec if header["kind"] == "audio" else JsonCodec
        encoded: bytes = codec.encode(header, payload, byte_length, byte_order)
        return encoded

    @classmethod
    def decode(cls, data: bytes, byte_length: int = 4, byte_order: Any = "little") -> Any:
        output = AudioCodec.decode(data, byte_length, byte_order)
        if output is None:
            return None
        (header, payload), rest = output
        return (header, payload if header["kind"] == "audio" else json.loads(payload.decode())), rest


def feeder(decode: Callable[[bytes], Any]) -> Callable[[bytes], Iterator[Any]]:
    """The loop of the original's clients: collect bytes, and take whole frames off the front."""
    buffer = b""

    def feed(chunk: bytes) -> Iterator[Any]:
        nonlocal buffer
        buffer += chunk
        while True:
            output = decode(buffer)
            if output is None:
                return
            message, buffer = output
            yield message

    return feed
