"""The file of a stored stream, which is the stream itself: `open`, data frames, `end` (SPEC section 3).

`open` has two members more than over HTTP: `position`, the number of frames before the file, which is not 0 only if the
store was emptied while the stream was written; and `store`, what `About` says beyond the members of `open`. The end's
`frames` counts the frames of the file.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from ..errors import FrameError, InvalidHeader
from ..frames import KiB, encode_frame, split_frame
from ..protocol import CONTROL, VERSION
from .end import End
from .verbs import About, Gone
from .walk import skip_frames, take_frames

__all__ = ["FileIndex", "end_frame", "open_frame"]

CHUNK: Final = 64 * KiB
"""Bytes read at once, and about how far apart the places are that an index remembers."""


def open_frame(about: About, first: int) -> bytes:
    """The first frame of a file."""
    control: dict[str, Any] = {"type": "open", "v": VERSION, "coder": about.coder}
    if about.metadata is not None:
        control["metadata"] = about.metadata
    if first:
        control["position"] = first
    control["store"] = {"token": about.token, "owner": about.owner, "views": about.views}
    return encode_frame({"$stream": control}, about.neutral)


def end_frame(end: End, about: About, frames: int) -> bytes:
    """The last frame of a file."""
    return encode_frame({"$stream": {"type": "end", "frames": frames, **end.members()}}, about.neutral)


class FileIndex:
    """What has been read of a file: where its frames are, and how it stands. `inode` says which file it is.

    `about` is `None` until `advance` has read the `open`. The frames `first + 1` to `position` end at byte `offset`;
    after them is `end`, if it is there, or a part of a frame that is still being written, or never will be.
    """

    def __init__(self, inode: int) -> None:
        self.inode = inode
        self.about: About | None = None
        self.first = 0
        self.position = 0
        self.offset = 0
        self.end: End | None = None
        self._positions: list[int] = []  # places that are known: positions, and their offsets
        self._offsets: list[int] = []

    def copy(self) -> FileIndex:
        """An index of its own that knows the same."""
        other = FileIndex(self.inode)
        other.about, other.end = self.about, self.end
        other.first, other.position, other.offset = self.first, self.position, self.offset
        other._positions, other._offsets = self._positions.copy(), self._offsets.copy()
        return other

    def advance(self, fd: int) -> Iterator[tuple[int, int, bytes]]:
        """Read what was added since: entries `(after, upto, data)`. Raises `Gone` for what is no file of a store."""
        while self.end is None:
            chunk = self._chunk(fd)
            count, last, size = take_frames(chunk, len(chunk))
            if not count:
                return
            if self.about is None:
                self._read_open(chunk)
                continue
            if chunk.startswith(CONTROL, last + 8):
                self.end = _end_in(chunk[last:size])
                count, size = count - 1, last
            if count:
                after = self.position
                self._remember()
                self.position += count
                self.offset += size
                yield after, self.position, chunk[:size]

    def read(self, fd: int, after: int) -> tuple[bytes, int]:
        """The frames after a position, up to about a chunk of them but at least one; and the position of the last."""
        index = bisect_right(self._positions, after) - 1
        position, offset = self._positions[index], self._offsets[index]
        while True:
            chunk = self._chunk(fd, offset, self.offset)
            count, _, size = take_frames(chunk, len(chunk))
            if not count:
                raise Gone  # it is shorter than it was
            if position + count > after:
                return skip_frames(chunk[:size], after - position), position + count
            position += count
            offset += size

    def _chunk(self, fd: int, offset: int | None = None, until: int | None = None) -> bytes:
        """Bytes from `offset` on, with a whole frame at their beginning, if there is one before byte `until`."""
        if offset is None:
            offset = self.offset
        if until is None:
            until = os.fstat(fd).st_size
        chunk = os.pread(fd, min(CHUNK, until - offset), offset) if until > offset else b""
        if len(chunk) >= 4:
            total = int.from_bytes(chunk[:4], "little")
            if len(chunk) < total <= until - offset:
                chunk = os.pread(fd, total, offset)
        return chunk

    def _read_open(self, chunk: bytes) -> None:
        found = split_frame(chunk)
        assert found is not None
        frame, self.offset = found
        try:
            control = frame.header["$stream"]
            store = msgspec.convert(control["store"], dict[str, Any])
            about = {"coder": control["coder"], "metadata": control.get("metadata"), **store}
            self.about = msgspec.convert({**about, "neutral": frame.payload}, About)
            self.first = self.position = msgspec.convert(control.get("position", 0), int)
        except (FrameError, KeyError, TypeError, msgspec.ValidationError):
            raise Gone from None
        self._remember()

    def _remember(self) -> None:
        if not self._offsets or self.offset - self._offsets[-1] >= CHUNK:
            self._positions.append(self.position)
            self._offsets.append(self.offset)


def _end_in(frame: bytes) -> End:
    found = split_frame(frame)
    assert found is not None
    try:
        control = found[0].header["$stream"]
        if control["type"] == "end":
            return End.from_members(control)
    except (AttributeError, KeyError, TypeError):
        pass
    raise InvalidHeader("a control frame that is no end, in the file of a stored stream")
