"""The hot paths in C; `objectstreaming.frames` chooses between them and the Python versions of the same names.

`Reader` and `is_ordinary` are defined in protocol.py too, `PlainJson` and `JsonEncoder` in coders/json.py,
`encode_data_frame` in coders/coder.py, the `original` functions in coders/original.py, and the `Tal` classes in
wav_streaming/tal.py and order.py.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, TypeVar

from wav_streaming.order import Order as TalOrder
from wav_streaming.tal import TALAudio

from .coders.coder import encode_data_frame as encode_data_frame
from .errors import ObjectStreamError
from .frames import BytesLike as BytesLike
from .frames import Frame as Frame
from .frames import FrameDecoder as FrameDecoder
from .frames import encode_frame as encode_frame
from .frames import encode_frame_parts as encode_frame_parts

H = TypeVar("H")
P = TypeVar("P")

CHOSEN: bool
"""Whether `frames` is to use it: not if OBJECTSTREAMING_PURE was set when it was imported."""

class Reader:
    _frames: FrameDecoder
    _plain: Callable[[bytes, bytes], Any] | None
    _failure: ObjectStreamError | None
    def __init__(self, frames: FrameDecoder, /) -> None: ...
    def feed(self, chunk: BytesLike, /) -> Iterator[Any]: ...
    def next_message(self) -> Any: ...

class PlainJson(Generic[H, P]):
    def __init__(self, decode_header: Callable[[bytes], H], decode_payload: Callable[[bytes], P], /) -> None: ...
    def __call__(self, header: bytes, payload: bytes, /) -> tuple[H, P] | None: ...

class JsonEncoder:
    def encode(self, header: Any, payload: Any) -> bytes: ...

class TalCodec:
    def __init__(
        self,
        type: type[TALAudio],
        encode: Callable[[TALAudio], bytes],
        decode: Callable[[bytes], TALAudio],
        unset: object,
        members: Mapping[str, Any],
        /,
    ) -> None: ...
    def encode(self, tal: object, pcm: Any, /) -> bytes | None: ...
    def encode_original(self, tal: object, pcm: Any, byte_length: object, /) -> bytes | None: ...
    def decode_original(
        self, data: object, byte_length: object, /
    ) -> tuple[tuple[dict[str, Any], bytes], bytes] | None: ...

class TalPlain:
    def __init__(self, codec: TalCodec, order: TalOrder | None, /) -> None: ...
    def __call__(self, header: bytes, payload: bytes, /) -> tuple[TALAudio, bytes] | None: ...

def is_ordinary(wire: object, max_frame: int, max_header: int, /) -> bool: ...
def encode_original(header: object, value: object, byte_length: object, byte_order: object, /) -> bytes | None: ...
def decode_original(data: object, byte_length: object, byte_order: object, /) -> tuple[Any, Any, Any] | None: ...
