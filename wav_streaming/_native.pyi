"""The tal coder's short cuts in C; `wav_streaming.tal` picks them, and has their twins."""

from collections.abc import Callable
from typing import Any

from .order import Order as Order
from .tal import TALAudio

class Codec:
    def __init__(
        self,
        type: type[TALAudio],
        encode: Callable[[TALAudio], bytes],
        decode: Callable[[bytes], TALAudio],
        unset: object,
        /,
    ) -> None: ...
    def encode(self, tal: object, pcm: Any, /) -> bytes | None: ...

class Plain:
    def __init__(self, codec: Codec, order: Order | None, /) -> None: ...
    def __call__(self, header: bytes, payload: bytes, /) -> tuple[TALAudio, bytes] | None: ...
