"""The file of a stored stream, as its writer has it."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from typing import Final

from .end import End
from .file_folder import write_all
from .file_log import end_frame
from .tail import Tail
from .verbs import About, Full, Unavailable
from .walk import take_frames

__all__ = ["FileWriter"]

logger: Final = logging.getLogger("objectstreaming.store")


class FileWriter:
    """A file that this process writes. It is open, and locked."""

    def __init__(self, fd: int, about: About, first: int, tail: Tail) -> None:
        self.fd = fd
        self.about = about
        self.first = first
        self.position = first
        self.tail = tail
        self.size = os.fstat(fd).st_size
        self.bytes = 0
        self._atime = os.fstat(fd).st_atime_ns
        self._read_at = _now()

    @property
    def is_removed(self) -> bool:
        """Whether the file has no name any more: it was replaced, or removed."""
        return not os.fstat(self.fd).st_nlink

    def write(self, data: bytes, upto: int) -> None:
        """Write frames. If the disk takes only a part, the whole frames of it stay, and `Full` is raised."""
        done = 0
        try:
            while done < len(data):
                done += os.write(self.fd, data[done:] if done else data)
        except OSError:
            logger.exception("a stream cannot be written to its file")
            count, _, done = take_frames(data[:done], len(data))
            os.ftruncate(self.fd, self.size + done)
            after = self.position
            self._advance(after + count, done)
            self.tail.add(after, after + count, data[:done])
            raise Full(0) from None
        self._advance(upto, done)

    def write_end(self, end: End) -> None:
        """Write the end. Raises `Unavailable` if the disk does not take it."""
        frame = end_frame(end, self.about, self.position - self.first)
        try:
            write_all(self.fd, frame)
        except OSError as error:
            logger.exception("the end of a stream cannot be written to its file")
            os.ftruncate(self.fd, self.size)
            raise Unavailable from error

    def touch(self) -> None:
        """Set the modification time: the writer lives."""
        os.utime(self.fd, ns=(os.fstat(self.fd).st_atime_ns, time.time_ns()))

    def close(self) -> None:
        """Give up the lock."""
        os.close(self.fd)

    def is_unread(self, seconds: float) -> bool:
        """Whether nobody has read it for so long. Readers in other processes set the access time."""
        atime = os.fstat(self.fd).st_atime_ns
        if self.tail.readers or atime != self._atime:
            self._atime = atime
            self._read_at = _now()
        return _now() - self._read_at > seconds

    def _advance(self, upto: int, size: int) -> None:
        self.position = upto
        self.size += size
        self.bytes += size


def _now() -> float:
    return asyncio.get_running_loop().time()
