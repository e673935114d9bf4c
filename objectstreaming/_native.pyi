"""The C twin of frames.py's hot path; import these from `objectstreaming.frames`, which picks the twin.

The last three have no twin: they are short cuts of the json coder's for frames that need no more than msgspec, and give
up, without a word, on any that does.
"""

from collections.abc import Callable, Iterator
from typing import TypeVar

from .frames import Frame as Frame
from .frames import FrameDecoder as FrameDecoder
from .frames import encode_frame as encode_frame
from .frames import encode_frame_parts as encode_frame_parts

H = TypeVar("H")
P = TypeVar("P")

CHOSEN: bool
"""Whether `frames` is to use it: not if OBJECTSTREAMING_PURE was set when it was imported."""

def decode_json(
    frame: Frame, decode_header: Callable[[bytes], H], decode_payload: Callable[[bytes], P], /
) -> tuple[H, P] | None: ...
def encode_json(header: object, payload: object, /) -> bytes | None: ...
def messages(
    decoder: FrameDecoder,
    decode_header: Callable[[bytes], H],
    decode_payload: Callable[[bytes], P],
    look: Callable[[Frame | None], tuple[H, P] | None],
    /,
) -> Iterator[tuple[H, P]]: ...
