"""The folder of a `FileStore`: which files there are, how they appear, are locked, and are removed.

    <id>.frames    a stream
    <id>.stop      the end that somebody requests for a stream which another process writes
    .<id>.*.tmp    a file that is being made

A file appears under its name with all its content, and only if there is none of that name: it is made under another
name and linked. The writer's lock is taken before that, so that there is no moment without it.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from pathlib import Path
from typing import Final

from .end import End
from .verbs import Gone, is_id

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

__all__ = ["Folder", "write_all"]

TEMPORARY_SECONDS: Final = 60.0
"""How old a file that was never linked must be to be removed."""

_FLAGS: Final = os.O_RDWR | os.O_APPEND | getattr(os, "O_CLOEXEC", 0)


class Folder:
    """The files of a store, for which `ttl` seconds after their last write are enough; `ended_ttl`, once they ended."""

    def __init__(self, path: str | os.PathLike[str], ttl: float, ended_ttl: float) -> None:
        if fcntl is None:
            raise NotImplementedError("FileStore needs flock(), which this operating system does not have")
        self._path = Path(path)
        self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._ttl = ttl
        self._ended_ttl = ended_ttl

    def mtime(self) -> int:
        """When a file was last made or removed, in the file system's nanoseconds."""
        return os.stat(self._path).st_mtime_ns

    def stat(self, id: str) -> os.stat_result:
        """Raises `Gone`."""
        try:
            return os.stat(self._frames(id))
        except FileNotFoundError:
            raise Gone from None

    # ------------------------------------------------------------------------------------------- streams

    def create(self, id: str, content: bytes) -> int | None:
        """Make a stream's file, and lock it. The open file; `None` if there is one already."""
        return self._link(self._frames(id), content)

    def open(self, id: str) -> int:
        """A stream's file, open for reading. Raises `Gone`."""
        try:
            return os.open(self._frames(id), os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
        except (FileNotFoundError, ValueError):
            raise Gone from None

    def lock(self, id: str) -> int | None:
        """A stream's file, open and locked by us; `None` if somebody else has the lock. Raises `Gone`."""
        path = self._frames(id)
        try:
            fd = os.open(path, _FLAGS)
        except FileNotFoundError:
            raise Gone from None
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(fd).st_ino == self.stat(id).st_ino:  # else it was replaced before we had the lock
                return fd
        except BlockingIOError:
            pass
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)
        return None

    def replace(self, id: str, content: bytes) -> None:
        """Put another file in the place of a stream's."""
        temporary = self._temporary(id)
        fd = os.open(temporary, _FLAGS | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            write_all(fd, content)
        finally:
            os.close(fd)
        os.replace(temporary, self._frames(id))

    def touch(self, id: str, stat: os.stat_result) -> None:
        """Set the access time: somebody reads it."""
        with contextlib.suppress(FileNotFoundError):
            os.utime(self._frames(id), ns=(time.time_ns(), stat.st_mtime_ns))

    # ------------------------------------------------------------------------------------------- requests to end

    def request_end(self, id: str, end: End) -> None:
        """Have the writer end its stream with `end`, unless somebody has requested another end before."""
        fd = self._link(self._stop(id), end.to_json())
        if fd is not None:
            os.close(fd)

    def requested_end(self, id: str) -> End | None:
        """The end that is requested."""
        if not os.access(self._stop(id), os.F_OK):  # nearly always, and quicker than an exception
            return None
        try:
            return End.from_json(Path(self._stop(id)).read_bytes())
        except FileNotFoundError:
            return None

    def forget_request(self, id: str) -> None:
        """To be called once the stream has ended."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._stop(id))

    # ------------------------------------------------------------------------------------------- expiry

    def is_expired(self, stat: os.stat_result, ended: bool) -> bool:
        """Whether a stream's file has been there for long enough."""
        return time.time() - stat.st_mtime > (self._ended_ttl if ended else self._ttl)

    def remove_if_expired(self, id: str) -> None:
        """Remove a stream's file, if it is expired and nobody writes it."""
        with contextlib.suppress(Gone):
            if self.is_expired(self.stat(id), ended=False):
                fd = self.lock(id)
                if fd is not None:
                    self.forget_request(id)
                    os.unlink(self._frames(id))
                    os.close(fd)

    def sweep(self) -> None:
        """Remove all expired files."""
        now = time.time()
        with os.scandir(self._path) as entries:
            for entry in entries:
                name, _, kind = entry.name.partition(".")
                with contextlib.suppress(FileNotFoundError):
                    age = now - entry.stat(follow_symlinks=False).st_mtime
                    if kind == "frames" and is_id(name):
                        self.remove_if_expired(name)
                    elif (kind == "stop" and age > self._ttl) or (kind.endswith(".tmp") and age > TEMPORARY_SECONDS):
                        os.unlink(entry.path)

    # ------------------------------------------------------------------------------------------------------

    def _frames(self, id: str) -> str:
        if not is_id(id):  # it would be a path
            raise Gone
        return os.path.join(self._path, id + ".frames")

    def _stop(self, id: str) -> str:
        return os.path.join(self._path, id + ".stop")

    def _temporary(self, id: str) -> str:
        return os.path.join(self._path, f".{id}.{secrets.token_hex(8)}.tmp")

    def _link(self, path: str, content: bytes) -> int | None:
        temporary = self._temporary(os.path.basename(path))
        fd = os.open(temporary, _FLAGS | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            write_all(fd, content)
            os.link(temporary, path)
        except FileExistsError:
            os.close(fd)
            return None
        except BaseException:
            os.close(fd)
            raise
        finally:
            os.unlink(temporary)
        return fd


def write_all(fd: int, data: bytes) -> None:
    """Write all of `data`. Raises `OSError`, having written a part of it."""
    done = 0
    while done < len(data):
        done += os.write(fd, data[done:])
