"""The C twin of frames.py's hot path; import these from `objectstreaming.frames`, which picks the twin.

`Reader` and `is_ordinary` are twins of what protocol.py defines under these names. `PlainJson` and `JsonEncoder`
are those of what coders/json.py has.
"""

from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

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

def is_ordinary(wire: object, max_frame: int, max_header: int, /) -> bool: ...
