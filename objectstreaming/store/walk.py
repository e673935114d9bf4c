"""Bytes of whole frames: counted and cut by their length words, nothing decoded.

What is stored was checked when it was written. A length word that cannot be true is an `InvalidLength` all the same: a
disk may have failed, and a T of 0 would loop for ever.
"""

from __future__ import annotations

import struct
from typing import Final

from ..errors import InvalidLength

__all__ = ["count_frames", "skip_frames", "take_frames"]

_total: Final = struct.Struct("<I").unpack_from


def take_frames(data: bytes, most: int) -> tuple[int, int, int]:
    """How many whole frames `data` begins with, up to `most`; where the last of them begins, and where it ends.

    >>> frame = bytes.fromhex("0a000000 02000000 7b7d")
    >>> take_frames(frame * 3 + b"torn", 100), take_frames(frame * 3, 1), take_frames(b"torn", 1)
    ((3, 20, 30), (1, 0, 10), (0, 0, 0))
    """
    size = len(data)
    count = last = at = 0
    while at + 4 <= size and count < most:
        (total,) = _total(data, at)
        if total < 8:
            raise InvalidLength(f"T is {total}, but a frame has at least 8 bytes", count, at)
        if at + total > size:
            break
        last = at
        at += total
        count += 1
    return count, last, at


def count_frames(data: bytes) -> int:
    """How many frames `data` is.

    >>> count_frames(bytes.fromhex("0a000000 02000000 7b7d") * 3)
    3
    """
    count, _, end = take_frames(data, len(data))
    if end != len(data):
        raise InvalidLength(f"{len(data) - end} bytes after {count} frames are no whole frame", count, end)
    return count


def skip_frames(data: bytes, count: int) -> bytes:
    """`data` without its first `count` frames.

    >>> skip_frames(bytes.fromhex("0a000000 02000000 7b7d 0b000000 02000000 7b7d 01"), 1).hex()
    '0b000000020000007b7d01'
    """
    if count == 0:
        return data
    found, _, end = take_frames(data, count)
    if found != count:
        raise InvalidLength(f"{count} frames are to be skipped, and there are {found}", found, end)
    return data[end:]
