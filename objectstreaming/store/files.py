"""`FileStore`: streams in the files of one machine.

**How it works.** A stream is a file (`file_log.py`). Its writer holds a lock on it as long as it lives, which is how
its death is known at once: a reader tries to take the lock, and who gets it cuts off a frame that was not written
whole, and writes the end. Readers in other processes look at the file every `POLL_SECONDS`; those in the writer's own
process are notified.

**Stopping a writer in another process.** Who wants that makes the file `<id>.stop`, which says with what end. It is
made once, like the stream. The writer looks for it after each write, before it acknowledges, and then writes that end.

**A writer that stands still** (SIGSTOP, a blocked event loop) keeps its lock. It sets the file's modification time
every `renew` seconds. If that has not changed for `lease` seconds, a reader makes `<id>.stop`, from which moment the
writer acknowledges nothing more, and then replaces the file by a copy that has an end. What the writer still writes
goes to a file without a name, and it finds that out after the write.

Files are read and written on the event loop. They are in the operating system's cache, where that takes less time than
handing it to a thread.

What is written has reached the operating system, not the disk: it survives the process, not the machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from typing import Final

from ..errors import FrameError
from .end import DEAD, LOST, End, StoreClosed
from .file_folder import Folder
from .file_log import FileIndex, open_frame
from .file_verdict import end_if_dead, end_in_place_of_writer, index_of
from .file_writer import FileWriter
from .store import Store
from .tail import TAIL_BYTES, Tail
from .verbs import About, Conflict, Fenced, Full, Gone, Keep, Lease, Page, Refused, Sealed, Unavailable, Unread, is_id

__all__ = ["FileStore"]

logger: Final = logging.getLogger("objectstreaming.store")

POLL_SECONDS: Final = 0.01
"""Between two looks at a file that another process writes, and for requests to stop one that this process writes."""

CHECK_SECONDS: Final = 0.05
"""Between two attempts to take the lock of a file that has not grown."""

INDEXES: Final = 256
"""How many files' indexes are kept, for readers that come again."""


class _Followed:
    """A file that another process writes, or has written, and that this one reads."""

    def __init__(self, tail: Tail, index: FileIndex) -> None:
        self.tail = tail
        self.index = index
        self.seen: tuple[int, int] | None = None  # which file, and its size, when it was last read
        self.mtime = 0
        self.changed_at = self.checked_at = self.touched_at = _now()


class FileStore(Store):
    """Keeps streams in the files of a folder, for all processes of one machine. The folder is made if necessary.

    It must be on a local disk: over a network, locks cannot be relied on. A process that forks while it writes hands
    its locks on to the child, so let a server fork first. A file is removed `keep.ttl` seconds after its last write, as
    soon as a process creates another. Needs a POSIX system.

    Args:
        folder: of the files.
        keep: how much is kept of a stream, and for how long.
        lease: seconds after which a writer whose event loop stands still is taken for dead. The death of a process is
            noticed at once.

    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> store = FileStore(folder.name)
    >>> folder.cleanup()
    """

    def __init__(self, folder: str | os.PathLike[str], *, keep: Keep | None = None, lease: float = 6.0) -> None:
        super().__init__(keep=keep, lease=lease)
        self._folder = Folder(folder, max(self.keep.ttl, 2 * lease), self.keep.ttl)
        self._written: dict[str, FileWriter] = {}
        self._followed: dict[str, _Followed] = {}
        self._indexes: dict[str, FileIndex] = {}
        self._poll_timer: asyncio.TimerHandle | None = None
        self._folder_mtime = 0
        self._looks_for_requests = 0
        self._swept_at: float | None = None

    # ----------------------------------------------------------------------------------------- the five verbs

    async def create(self, id: str, about: About, first: int = 0) -> Tail | None:
        if not is_id(id):
            raise ValueError(f"{id!r:.80} is no id")
        self._sweep()
        written = self._written.get(id)
        if written is not None and not written.is_removed:
            return written.tail if written.about.token == about.token else None
        self._folder.remove_if_expired(id)
        try:
            fd = self._folder.create(id, open_frame(about, first))
        except OSError as error:
            logger.exception("a stream's file cannot be made")
            raise Unavailable from error
        if fd is None:
            return None
        if written is not None:  # somebody removed its file
            written.close()
            tail = written.tail
        else:
            tail = Tail(id, TAIL_BYTES, self._on_released)
            tail.begin(about, first)
            tail.watchers = 1
        self._written[id] = FileWriter(fd, about, first, tail)
        self._poll_later()
        return tail

    async def append(self, lease: Lease, after: int, upto: int, data: bytes) -> None:
        written = self._written.get(lease.id)
        if written is None or written.about.token != lease.token:
            raise self._refusal(lease) or Fenced
        if self.keep.unread is not None and written.is_unread(self.keep.unread):
            raise Unread
        new = written.position != upto
        if new:
            if written.position != after:
                raise Conflict(written.position)
            if written.bytes + len(data) > self.keep.bytes:
                raise Full(self.keep.bytes - written.bytes)
            written.write(data, upto)
        else:
            written.touch()
        # Looked for after the write: who requests an end relies on it that nothing is acknowledged from then on.
        requested = self._folder.requested_end(lease.id)
        if requested is not None:
            raise Sealed(self._finish(written, requested, (after, upto, data)))
        if written.is_removed:
            raise self._removal(written)
        if new:
            written.tail.add(after, upto, data)

    async def seal(
        self,
        id: str,
        end: End,
        *,
        lease: Lease | None = None,
        position: int | None = None,
        only_if_dead: bool = False,
    ) -> End | None:
        written = self._written.get(id)
        try:
            if written is not None and (lease is None or lease.token == written.about.token):
                if only_if_dead:
                    return None
                if position is not None and position != written.position:
                    raise Conflict(written.position)
                if written.is_removed:
                    raise self._removal(written)
                return self._finish(written, self._folder.requested_end(id) or end)
            if lease is not None:
                refusal = self._refusal(lease)
                if refusal is not None:
                    raise refusal
        except Sealed as sealed:
            return sealed.end
        stands = end_if_dead(self._folder, id, end)
        if stands is not None or only_if_dead:
            return stands
        self._folder.request_end(id, end)
        return await self._end_of(id)

    async def fetch(self, id: str, after: int | None) -> Page:
        fd = self._folder.open(id)
        try:
            index = await self._index(id, fd)
            assert index.about is not None
            data, upto = b"", index.position if after is None else after
            if index.first <= upto < index.position:
                data, upto = index.read(fd, upto)
        finally:
            os.close(fd)
        end = index.end if upto >= index.position else None
        return Page(index.about, index.first, index.position, upto, data, end)

    async def watch(self, id: str) -> Tail:
        if id not in self._written and id not in self._followed:
            fd = self._folder.open(id)
            try:
                index = await self._index(id, fd)
            finally:
                os.close(fd)
            if id not in self._followed:  # while we read it, somebody else may have begun to watch
                assert index.about is not None
                tail = Tail(id, TAIL_BYTES, self._on_released)
                tail.begin(index.about, index.position, index.end)
                self._followed[id] = _Followed(tail, index.copy())
        tail = self._written[id].tail if id in self._written else self._followed[id].tail
        tail.watchers += 1
        self._poll_later()
        return tail

    async def aclose(self, *, grace: float = 0.0) -> None:
        await super().aclose(grace=grace)
        if self._poll_timer is not None:
            self._poll_timer.cancel()
            self._poll_timer = None
        for followed in self._followed.values():
            followed.tail.fail(StoreClosed())
        for written in list(self._written.values()):
            self._let_go(written)
            written.tail.fail(StoreClosed())

    # ---------------------------------------------------------------------------------------- the end of a file

    def _finish(self, written: FileWriter, end: End, entry: tuple[int, int, bytes] | None = None) -> End:
        """End a file that this process writes, after `entry`, which is in the file and not yet in the tail."""
        try:
            written.write_end(end)
        except Unavailable:
            self._let_go(written)
            raise
        if written.is_removed:
            raise self._removal(written)
        self._let_go(written)
        self._folder.forget_request(written.tail.id)
        if entry is not None:
            written.tail.add(*entry)
        written.tail.close(end)
        return end

    def _let_go(self, written: FileWriter) -> None:
        """Write a file no longer, and give up its lock."""
        del self._written[written.tail.id]
        written.close()

    def _removal(self, written: FileWriter) -> Refused:
        """Why a file that this process writes has no name any more."""
        refusal = self._refusal(Lease(written.tail.id, written.about.token))
        if isinstance(refusal, Gone):  # it can be created again
            return refusal
        self._let_go(written)
        if isinstance(refusal, Sealed):
            written.tail.close(refusal.end)
        return refusal or Fenced()

    def _refusal(self, lease: Lease) -> Refused | None:
        """Why a writer that has not got the lock, or has lost it, cannot write; `None`: it can only end the file."""
        try:
            index = index_of(self._folder, lease.id)
        except Gone as gone:
            return gone
        if index.end is not None:
            return Sealed(index.end)
        assert index.about is not None
        return None if index.about.token == lease.token else Fenced()

    async def _end_of(self, id: str) -> End:
        """Wait for the end of a file that another process writes."""
        tail = await self.watch(id)
        changed = asyncio.Event()
        tail.listeners.add(changed.set)
        try:
            while not tail.over:
                changed.clear()
                await changed.wait()
        finally:
            tail.listeners.discard(changed.set)
            tail.release()
        if tail.end is None:
            raise Unavailable
        return tail.end

    # ---------------------------------------------------------------------------------------------- reading

    async def _index(self, id: str, fd: int) -> FileIndex:
        """The index of a stream's file, up to date. Raises `Gone`."""
        stat = os.fstat(fd)
        index = self._indexes.pop(id, None)
        if index is None or index.inode != stat.st_ino or index.offset > stat.st_size:
            index = FileIndex(stat.st_ino)
        self._indexes[id] = index
        while len(self._indexes) > INDEXES:
            del self._indexes[next(iter(self._indexes))]
        try:
            for count, _ in enumerate(index.advance(fd)):
                if count % 16 == 15:  # a megabyte
                    await asyncio.sleep(0)
        except FrameError:
            logger.exception("the file of a stream is damaged")
            raise Gone from None
        if index.about is None or self._folder.is_expired(stat, index.end is not None):
            raise Gone
        return index

    # ---------------------------------------------------------------------------------------------- polling

    def _poll_later(self) -> None:
        if self._poll_timer is None and (self._written or self._followed):
            self._poll_timer = asyncio.get_running_loop().call_later(POLL_SECONDS, self._poll)

    def _poll(self) -> None:
        self._poll_timer = None
        try:
            if self._written:
                self._end_as_requested()
            for followed in list(self._followed.values()):
                if not followed.tail.over:
                    self._follow(followed)
        finally:
            self._poll_later()

    def _end_as_requested(self) -> None:
        """End those of our streams whose end somebody has requested."""
        try:
            mtime = self._folder.mtime()
        except OSError:  # somebody has removed it; that is found when next something is written
            return
        if mtime != self._folder_mtime:
            self._folder_mtime = mtime
            self._looks_for_requests = 3  # a later change may have got the same time
        if self._looks_for_requests:
            self._looks_for_requests -= 1
            for written in list(self._written.values()):
                requested = self._folder.requested_end(written.tail.id)
                if requested is not None:
                    with contextlib.suppress(Refused):  # the next append is told
                        self._finish(written, requested)

    def _follow(self, followed: _Followed) -> None:
        """Read what was added to a file; if nothing was, see now and then whether its writer is alive."""
        tail, now = followed.tail, _now()
        try:
            stat = self._folder.stat(tail.id)
            if (stat.st_ino, stat.st_size) != followed.seen:
                self._read_on(followed)
            elif now - followed.checked_at > CHECK_SECONDS:
                followed.checked_at = now
                self._check_writer(followed, stat)
            if tail.readers and now - followed.touched_at > self.renew:
                followed.touched_at = now
                self._folder.touch(tail.id, stat)
            tail.untroubled()
        except Gone:
            tail.lost(now, self.lease)
        except (Unavailable, OSError):
            tail.unreachable(now, self.patience)

    def _check_writer(self, followed: _Followed, stat: os.stat_result) -> None:
        if end_if_dead(self._folder, followed.tail.id, DEAD) is not None:
            self._read_on(followed)
        elif stat.st_mtime_ns != followed.mtime:
            followed.mtime = stat.st_mtime_ns
            followed.changed_at = _now()
        elif _now() - followed.changed_at > self.lease:
            end_in_place_of_writer(self._folder, followed.tail.id)
            self._read_on(followed)

    def _read_on(self, followed: _Followed) -> None:
        tail = followed.tail
        fd = self._folder.open(tail.id)
        try:
            stat = os.fstat(fd)
            if stat.st_ino != followed.index.inode or stat.st_size < followed.index.offset:
                followed.index = FileIndex(stat.st_ino)
            for entry in followed.index.advance(fd):
                if not tail.add(*entry):
                    tail.fail(LOST.failure())
        except FrameError:
            logger.exception("the file of a stream is damaged")
            tail.fail(LOST.failure())
        finally:
            os.close(fd)
        followed.seen = stat.st_ino, stat.st_size
        about = followed.index.about
        if about is not None and about != tail.about:  # another stream has begun with the id of a lost one
            tail.fail(LOST.failure())
        if followed.index.end is not None:
            tail.close(followed.index.end)

    def _on_released(self, tail: Tail) -> None:
        followed = self._followed.get(tail.id)
        if followed is not None and followed.tail is tail:
            del self._followed[tail.id]
        written = self._written.get(tail.id)
        if written is not None and written.tail is tail:  # the writer has gone, without an end
            self._let_go(written)

    # -------------------------------------------------------------------------------------------- forgetting

    def _sweep(self) -> None:
        if self._swept_at is None or _now() - self._swept_at > self.keep.ttl / 10:
            self._swept_at = _now()
            self._folder.sweep()


def _now() -> float:
    return asyncio.get_running_loop().time()
