"""How a stream's file is ended in the place of its writer, who is dead or stands still; by any process."""

from __future__ import annotations

import logging
import os
from typing import Final

from ..errors import FrameError
from .end import DEAD, End
from .file_folder import Folder, write_all
from .file_log import FileIndex, end_frame
from .verbs import Gone, Unavailable

__all__ = ["end_if_dead", "end_in_place_of_writer", "index_of", "read_all"]

logger: Final = logging.getLogger("objectstreaming.store")


def end_if_dead(folder: Folder, id: str, end: End) -> End | None:
    """End a file that nobody writes. The end that stands; `None` if somebody writes it."""
    fd = folder.lock(id)
    if fd is None:
        return None
    try:
        index = FileIndex(os.fstat(fd).st_ino)
        read_all(index, fd)
        assert index.about is not None
        if index.end is not None:
            return index.end
        end = folder.requested_end(id) or end
        os.ftruncate(fd, index.offset)
        write_all(fd, end_frame(end, index.about, index.position - index.first))
    except OSError as error:
        logger.exception("the end of a stream cannot be written to its file")
        raise Unavailable from error
    finally:
        os.close(fd)
    folder.forget_request(id)
    return end


def end_in_place_of_writer(folder: Folder, id: str) -> None:
    """End a file whose writer holds the lock and stands still: put a copy with an end in its place."""
    folder.request_end(id, DEAD)
    fd = folder.open(id)
    try:
        index = FileIndex(os.fstat(fd).st_ino)
        read_all(index, fd)
        assert index.about is not None
        if index.end is None:
            end = folder.requested_end(id) or DEAD
            content = os.pread(fd, index.offset, 0)
            folder.replace(id, content + end_frame(end, index.about, index.position - index.first))
    finally:
        os.close(fd)
    folder.forget_request(id)


def index_of(folder: Folder, id: str) -> FileIndex:
    """What is in a stream's file. Raises `Gone`."""
    fd = folder.open(id)
    try:
        index = FileIndex(os.fstat(fd).st_ino)
        read_all(index, fd)
        return index
    finally:
        os.close(fd)


def read_all(index: FileIndex, fd: int) -> None:
    """Read a file to its end. Raises `Gone` if it is damaged."""
    try:
        for _ in index.advance(fd):
            pass
    except FrameError:
        logger.exception("the file of a stream is damaged")
        raise Gone from None
    if index.about is None:
        raise Gone
