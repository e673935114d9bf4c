"""Iterating over the messages of one stream: `iter_messages`, `aiter_messages`, and what the streams of the client are.

**An end is only an end if the stream says so.** A generator that was ended by an exception looks exhausted to whoever
asks it again. So these iterators are no generators: they remember how they ended. What interrupts a read (a timeout
around `anext`, a cancelled task, a signal handler that raises, an error of the source) may lose the bytes that were
being read. Every later call then raises `StreamIncomplete`. An error of the stream itself is raised again. Only after
`PayloadError`, where the next frame is known, the iteration goes on.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from typing import Any, Generic, TypeVar

from .coders import Coder
from .errors import ObjectStreamError, PayloadError, StreamIncomplete
from .frames import BytesLike, Limits
from .protocol import StreamDecoder

__all__ = ["AsyncMessageIterator", "MessageIterator", "Messages", "aiter_messages", "iter_messages"]

H = TypeVar("H")
P = TypeVar("P")


class _Misuse(RuntimeError):
    """An error of the caller, which changes nothing in the stream."""


class Messages(Generic[H, P]):
    """What both kinds of iterator have in common: all but the reading."""

    def __init__(self, decoder: StreamDecoder[H, P]) -> None:
        self._decoder = decoder
        self._ready: Iterator[tuple[H, P]] = iter(())  # messages of the chunks that were read
        self._failure: ObjectStreamError | None = None
        self._over = False
        self._closed = False
        self._reading = False

    def _may_read(self) -> bool:
        """Whether to read another chunk, which then begins. Raises the error that ended the stream again."""
        if self._failure is not None:
            raise self._failure.with_traceback(None)
        if self._over:
            return False
        if self._closed:
            raise _Misuse("the stream was closed before its end: read it inside the with block")
        if self._reading:
            raise _Misuse("two tasks or threads read one stream: let one of them read, and pass the messages on")
        self._reading = True
        return True

    def _feed(self, chunk: BytesLike) -> Iterator[tuple[H, P]]:
        """The messages that are complete with this chunk, which has been read."""
        self._ready = self._decoder.feed(chunk)
        self._reading = False
        return self._ready

    def _leave(self) -> None:
        """Nothing more is read: whoever asks for another message gets an error, unless the stream has ended."""
        self._closed = True
        self._ready = iter(())

    def _finish(self) -> None:
        """The chunks have ended. Raises an error if the stream has not."""
        if not self._over:
            self._decoder.finish()
            self._over = True

    def _broke(self, error: BaseException) -> None:
        """An exception leaves the iterator: remember what it means for whoever asks again."""
        if isinstance(error, _Misuse):
            return
        self._reading = False
        if isinstance(error, PayloadError):
            self._ready = iter(self._decoder.next_message, None)
            return
        self._ready = iter(())
        if self._failure is None and not self._over:
            self._failure = error if isinstance(error, ObjectStreamError) else self._interrupted(error)

    def _interrupted(self, error: BaseException) -> ObjectStreamError:
        position = self._decoder.position
        return StreamIncomplete(
            f"reading was interrupted by {type(error).__name__} after {position} data frames, and what was being read "
            "is lost; where the wait for a message must be limited, let a task of its own read",
            position,
        )


class MessageIterator(Messages[H, P], Iterator[tuple[H, P]]):
    """The messages of one stream, in order. A subclass defines `_read`."""

    def __next__(self) -> tuple[H, P]:
        try:
            for message in self._ready:
                return message
            while self._may_read() and (chunk := self._read()) is not None:
                for message in self._feed(chunk):
                    return message
            self._finish()
        except BaseException as error:
            self._broke(error)
            if self._failure is not None:
                self._release()
            raise
        self._release()
        raise StopIteration

    @abstractmethod
    def _read(self) -> BytesLike | None:
        """The next chunk; `None` at their end."""

    def _release(self) -> None:
        """The stream has ended or failed: let go of what it was read from."""


class AsyncMessageIterator(Messages[H, P], AsyncIterator[tuple[H, P]]):
    """`MessageIterator` over an async iterable."""

    async def __anext__(self) -> tuple[H, P]:
        try:
            for message in self._ready:
                return message
            while self._may_read() and (chunk := await self._read()) is not None:
                for message in self._feed(chunk):
                    return message
            self._finish()
        except BaseException as error:
            self._broke(error)
            if self._failure is not None:
                await self._release()
            raise
        await self._release()
        raise StopAsyncIteration

    @abstractmethod
    async def _read(self) -> BytesLike | None:
        """The next chunk; `None` at their end."""

    async def _release(self) -> None:
        """The stream has ended or failed: let go of what it was read from."""


def iter_messages(
    chunks: Iterable[BytesLike],
    coder: Coder[H, P],
    *,
    limits: Limits | None = None,
    require_end: bool | None = None,
) -> Iterator[tuple[H, P]]:
    """The messages in an iterable of chunks: reads of a file, a response's body, a list.

    Whoever goes on after an error gets that error again, after `PayloadError` the next message. What interrupts a read
    ends the stream: from then on `StreamIncomplete` is raised.

    >>> from objectstreaming import JsonCoder
    >>> wire = JsonCoder().encode({}, 1) + JsonCoder().encode({}, 2)
    >>> [payload for header, payload in iter_messages([wire[:7], wire[7:]], JsonCoder())]
    [1, 2]

    Args:
        chunks: bytes in any pieces; closed when the iteration ends or is left, if it can be closed.
        coder: decodes the messages.
        limits: the largest frame and header; by default 16 MiB and 64 KiB.
        require_end: as for `StreamDecoder`.

    Yields:
        Header and payload of each message.

    Raises:
        ObjectStreamError: As `StreamDecoder` raises, after the good messages.
    """
    if not isinstance(chunks, Iterable) or isinstance(chunks, bytes | bytearray | memoryview | str):
        other = "use aiter_messages" if isinstance(chunks, AsyncIterable) else "pass an iterable of bytes, as [data]"
        raise TypeError(f"iter_messages cannot iterate over {type(chunks).__name__}: {other}")
    return _ChunkMessages(chunks, StreamDecoder(coder, limits=limits, require_end=require_end))


def aiter_messages(
    chunks: AsyncIterable[BytesLike],
    coder: Coder[H, P],
    *,
    limits: Limits | None = None,
    require_end: bool | None = None,
) -> AsyncIterator[tuple[H, P]]:
    """`iter_messages` over an async iterable: `request.stream()`, `response.aiter_bytes()`, messages of a WebSocket.

    As in `iter_messages`, but `chunks` is closed by `aclose()` too. An async generator that is left early is closed by
    the event loop.
    """
    if not isinstance(chunks, AsyncIterable):
        other = "use iter_messages" if isinstance(chunks, Iterable) else "pass an async iterable of bytes"
        raise TypeError(f"aiter_messages cannot iterate over {type(chunks).__name__}: {other}")
    return _AsyncChunkMessages(chunks, StreamDecoder(coder, limits=limits, require_end=require_end))


def _chunk(chunk: BytesLike) -> BytesLike:
    if chunk is None:  # it would be taken for the end
        raise TypeError("a chunk is bytes, not None")
    return chunk


class _ChunkMessages(MessageIterator[H, P]):
    def __init__(self, chunks: Iterable[BytesLike], decoder: StreamDecoder[H, P]) -> None:
        super().__init__(decoder)
        self._source: Any = chunks
        self._chunks = iter(chunks)

    def _read(self) -> BytesLike | None:
        try:
            return _chunk(next(self._chunks))
        except StopIteration:
            return None

    def close(self) -> None:
        """Close `chunks`, if it can be closed. Whoever asks for another message then gets an error."""
        if not self._closed:
            self._leave()
            close = getattr(self._source, "close", None)
            if close is not None:
                close()

    _release = __del__ = close


class _AsyncChunkMessages(AsyncMessageIterator[H, P]):
    def __init__(self, chunks: AsyncIterable[BytesLike], decoder: StreamDecoder[H, P]) -> None:
        super().__init__(decoder)
        self._source: Any = chunks
        self._chunks = aiter(chunks)

    async def _read(self) -> BytesLike | None:
        try:
            return _chunk(await anext(self._chunks))
        except StopAsyncIteration:
            return None

    async def aclose(self) -> None:
        """Close `chunks`, if it can be closed. Whoever asks for another message then gets an error."""
        if not self._closed:
            self._leave()
            close = getattr(self._source, "aclose", None)
            if close is not None:
                await close()

    _release = aclose
