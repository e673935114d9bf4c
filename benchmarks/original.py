"""The codec that the budgets are ratios of: this wire, written straightforwardly.

`json`, `int.to_bytes`, classmethods, and `rest` sliced off for each frame, as the public project of 2024 has it, and as
most people would write it in an afternoon. It is spared nothing and burdened with nothing: the length is looked at
before the JSON is, which the original does for speech alone, so that it can read a stream at all.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any


class JsonCodec:
    """Objects: JSON header, JSON payload."""

    @classmethod
    def encode(cls, header: Any, obj: Any, byte_length: int = 4, byte_order: Any = "little") -> bytes:
        header_bytes = json.dumps(header).encode()
        obj_bytes = json.dumps(obj).encode()
        total_length = 2 * byte_length + len(header_bytes) + len(obj_bytes)
        return (
            total_length.to_bytes(byte_length, byte_order)
            + len(header_bytes).to_bytes(byte_length, byte_order)
            + header_bytes
            + obj_bytes
        )

    @classmethod
    def decode(cls, data: bytes, byte_length: int = 4, byte_order: Any = "little") -> Any:
        if len(data) < byte_length:
            return None
        total_length = int.from_bytes(data[:byte_length], byte_order)
        if len(data) < total_length:
            return None
        header_length = int.from_bytes(data[byte_length : 2 * byte_length], byte_order)
        header_end = 2 * byte_length + header_length
        header = json.loads(data[2 * byte_length : header_end].decode())
        obj = json.loads(data[header_end:total_length].decode())
        return (header, obj), data[total_length:]


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
        if len(data) < byte_length:
            return None
        total_length = int.from_bytes(data[:byte_length], byte_order)
        if len(data) < total_length:
            return None
        header_length = int.from_bytes(data[byte_length : 2 * byte_length], byte_order)
        header_end = 2 * byte_length + header_length
        header = json.loads(data[2 * byte_length : header_end].decode())
        wav = data[header_end:total_length]
        return (header, wav), data[total_length:]


class MixedCodec(AudioCodec):
    """Both in one stream, told apart by the header's `kind`."""

    @classmethod
    def encode(cls, header: Any, payload: Any, byte_length: int = 4, byte_order: Any = "little") -> bytes:
        codec: Any = AudioCodec if header["kind"] == "audio" else JsonCodec
        encoded: bytes = codec.encode(header, payload, byte_length, byte_order)
        return encoded

    @classmethod
    def decode(cls, data: bytes, byte_length: int = 4, byte_order: Any = "little") -> Any:
        output = super().decode(data, byte_length, byte_order)
        if output is None:
            return None
        (header, payload), rest = output
        if header["kind"] != "audio":
            payload = json.loads(payload.decode())
        return (header, payload), rest


def feeder(decode: Callable[[bytes], Any]) -> Callable[[bytes], Iterator[Any]]:
    """The loop of the original's clients: gather, and take frames off the front while there are whole ones."""
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
