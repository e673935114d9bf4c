"""Sources: the user's iterables that a response's messages come from, run into bounded outboxes.

**How it works.** Each stream has a runner. It runs the source, and writes each message, encoded, into its outbox. The
sender (`response.py`) takes everything that is in the outbox, sends it in one write, and looks again. When it finds
nothing it waits for an event, which the runner sets with the next frame. So whatever the source can give without
waiting goes out together, and nothing that is ready is held back: the sender runs only when the source waits, when the
outbox is full, or when the source has used the event loop for `SLICE_SECONDS`. A stored stream needs no runner: it is
another `Feed`, which takes from the store what is there.

A full outbox stops the runner until the sender has emptied it. This is how a slow reader slows the source down, and why
it costs the server a bounded number of bytes. The outbox is full when another frame of the size of the last one would
not fit. All of it is then one write, and no frame is left over for a write of its own.

**Why a task.** The sender could step `__anext__` in its own task, and save a task switch for each batch. But then it
would have to send while the source is suspended inside a step. An open `asyncio.timeout()` or anyio scope of the source
would cancel the sending instead of the waiting. In a task of its own the source runs, waits, is cancelled and is closed
as any coroutine is: always in that one task, with the request's context variables.

**Why a thread.** A sync source runs on a thread of its own, from `iter()` to `close()`: what it opens there (a SQLite
connection, a GPU context) is closed there. A pool is not used: forty stalled readers would use up the default pool of
forty threads. The thread is a daemon, so that a source which never returns cannot keep the process from ending.

**Cancelling.** An async source gets one `CancelledError` where it waits, or `GeneratorExit` at its `yield`, and then
has as long as it needs to clean up. A sync source gets `GeneratorExit` at its next `yield`.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar, Final, Generic, TypeAlias, TypeVar

from ..coders import Coder
from ..errors import EncodeError, StreamError
from ..frames import BytesLike, Frame, Limits
from ..protocol import StreamDecoder, StreamEncoder
from .views import ViewEncoder

__all__ = [
    "BATCH",
    "Feed",
    "Source",
    "SourceRunner",
    "TaskRunner",
    "ThreadRunner",
    "Writer",
    "close_unused",
    "runner_for",
]

H = TypeVar("H")
P = TypeVar("P")

Source: TypeAlias = AsyncIterable[tuple[H, P] | Frame | BytesLike] | Iterable[tuple[H, P] | Frame | BytesLike]

BATCH: Final = 64 * 1024
"""Bytes of a write, and of an outbox: the high-water mark of uvicorn and of asyncio's transports."""

SLICE_SECONDS: Final = 0.005
"""How long a source that never waits may keep the event loop: the interpreter's own switch interval."""

CLOSE_SECONDS: Final = 2.0
"""How long a sync source is waited for when its stream has ended and it is still busy between two `yield`s."""

logger: Final = logging.getLogger("objectstreaming.server")


# ---------------------------------------------------------------------------------------------------- writing


class Writer(Generic[H, P]):
    """Turns what a source gives into data frames: `(header, payload)`, a `Frame`, or bytes of frames in any pieces.

    Bytes go through a `StreamDecoder`. Data frames are counted and pass unchanged; for a view they are decoded. Control
    frames of the stream they come from are obeyed and dropped; its error, and a missing end, are raised here.
    """

    def __init__(self, encoder: ViewEncoder, coder: Coder[H, P], limits: Limits | None = None) -> None:
        self.message = encoder.data
        self._frame = encoder.frame if isinstance(encoder, StreamEncoder) else self._decoded
        self._coder = coder
        self._limits = limits
        self._relay: StreamDecoder[Frame, None] | None = None

    @property
    def trailers(self) -> dict[str, Any] | None:
        """The trailers of the stream that is relayed, if there is one and it has ended."""
        return None if self._relay is None else self._relay.trailers

    def frames(self, item: Any) -> Iterator[bytes]:
        """Each data frame in `item`. An error comes after the good frames before it."""
        if isinstance(item, tuple) and len(item) == 2:
            yield self.message(item[0], item[1])
        elif isinstance(item, Frame):
            yield self._frame(item)
        elif isinstance(item, bytes | bytearray | memoryview):
            if self._relay is None:
                self._relay = StreamDecoder(_Verbatim(self._coder.name), limits=self._limits)
            try:
                for frame, _ in self._relay.feed(item):
                    yield self._frame(frame)
            except StreamError as error:  # who passes a stream on as bytes passes its end on too
                raise StreamError(error.code, error.message, error.details) from None
        else:
            instead = ": a message is a tuple of two, as in yield {}, payload"
            raise EncodeError(f"a source gives (header, payload), Frame or bytes, not {_kind(item)}{instead}")

    def _decoded(self, frame: Frame) -> bytes:
        return self.message(*self._coder.decode(frame))

    def finish(self) -> None:
        """The source is exhausted. Raises what `StreamDecoder.finish` does, if it gave bytes."""
        if self._relay is not None:
            self._relay.finish()


def _kind(item: Any) -> str:
    return f"a tuple of {len(item)}" if isinstance(item, tuple) else type(item).__name__


class _Verbatim(Coder[Frame, None]):
    """Frames as they are, under the name of the coder that made them."""

    name: ClassVar[str] = ""

    def __init__(self, name: str) -> None:
        self.name = name  # type: ignore[misc]

    def encode(self, header: Frame, payload: None) -> bytes:
        return bytes(header)

    def decode(self, frame: Frame) -> tuple[Frame, None]:
        return frame, None


# ---------------------------------------------------------------------------------------------------- running


class Feed(ABC):
    """Where a sender takes its frames from.

    Whoever makes it gives it a function, `notify`. It is called on the event loop when there is something to take after
    a `take` that left nothing, and when the stream has ended. From then on `finished` is true, and `error` is what it
    ended with, if with an error.
    """

    finished = False
    error: BaseException | None = None

    @property
    @abstractmethod
    def held(self) -> int:
        """More than 0: something waits to be taken."""

    @property
    @abstractmethod
    def trailers(self) -> Mapping[str, Any] | None:
        """The stream's own trailers, once it is finished."""

    @abstractmethod
    def start(self) -> None:
        """Begin."""

    @abstractmethod
    def take(self) -> bytes:
        """What is there: at most a batch, but at least one frame; `b""` if nothing is there."""

    @abstractmethod
    def stop(self) -> None:
        """Nothing more is wanted, and a source is told to end. No frame is added once the feed is `idle`."""

    @property
    def idle(self) -> bool:
        """Whether no item is being encoded. After `stop`, `notify` is called when that becomes true."""
        return True

    @abstractmethod
    async def closed(self) -> None:
        """Wait until nothing runs any more. To be called after `stop`, or once `finished`."""


class SourceRunner(Feed):
    """Runs a source in the background, and keeps what it gives until it is taken."""

    def __init__(self, source: Any, writer: Writer[Any, Any], notify: Callable[[], None], batch: int = BATCH) -> None:
        self._source = source
        self._writer = writer
        self._message = writer.message
        self._notify = notify
        self._batch = batch
        self._outbox: deque[bytes] = deque()
        self._held = 0
        self._awaited = True  # the sender has taken everything, or has not begun
        self._stopped = False
        self.taken = 0
        """How many messages have been taken, of those that the encoder had something to write for."""

    @property
    def held(self) -> int:
        """How many bytes wait to be taken."""
        return self._held

    @property
    def trailers(self) -> Mapping[str, Any] | None:
        """Those of the stream that is relayed, if there is one."""
        return self._writer.trailers

    def _write(self, item: Any) -> int:
        """Put the frames of an item into the outbox; if it fails, those before its error. The size of the last one."""
        size = 0
        if type(item) is tuple and len(item) == 2:  # what nearly every source gives, without a generator around it
            frame = self._message(item[0], item[1])
            size = len(frame)
            if size:  # a view may have nothing to say of a message: the sender would take that for an empty outbox
                self._outbox.append(frame)
                self._held += size
            return size
        for frame in self._writer.frames(item):
            size = len(frame)
            if size:
                self._outbox.append(frame)
                self._held += size
        return size

    def _take(self) -> bytes:
        outbox = self._outbox
        if self._held <= self._batch:
            self._awaited = True
            taken = b"".join(outbox)
            self.taken += len(outbox)
            outbox.clear()
            self._held = 0
            return taken
        size = 0
        parts: list[bytes] = []
        while outbox and (not parts or size + len(outbox[0]) <= self._batch):
            part = outbox.popleft()
            parts.append(part)
            size += len(part)
        self._held -= size
        self._awaited = not outbox
        self.taken += len(parts)
        return b"".join(parts)

    def _end(self, error: BaseException | None) -> None:
        self.finished = True
        self.error = error
        cancelled = isinstance(error, asyncio.CancelledError | GeneratorExit)
        if self._stopped and error is not None and not cancelled:  # nobody asks for it any more
            logger.error("a stream's source failed while it was being closed", exc_info=error)
        self._notify()


class TaskRunner(SourceRunner):
    """Runs an async source in a task of its own."""

    def start(self) -> None:
        self._emptied = asyncio.Event()
        self._begun = False
        self._task = asyncio.create_task(self._run())

    def take(self) -> bytes:
        taken = self._take()
        if not self._outbox:
            self._emptied.set()
        return taken

    def stop(self) -> None:
        self._stopped = True
        if not self.finished:
            self._task.cancel()

    async def closed(self) -> None:
        if not self._task.done():
            await asyncio.wait([self._task])
        if not self._begun:
            await close_unused(self._source)

    async def _run(self) -> None:
        self._begun = True
        error: BaseException | None = None
        try:
            await self._read()
        except BaseException as caught:  # noqa: BLE001  kept for the sender; SystemExit would end the server
            error = caught
        self._end(error)

    async def _read(self) -> None:
        iterator: AsyncIterator[Any] = aiter(self._source)
        write, outbox, batch, now = self._write, self._outbox, self._batch, time.monotonic
        try:
            since = now()
            async for item in iterator:
                if self._stopped:
                    break
                if self._awaited:
                    self._awaited = False
                    self._notify()  # the sender runs when the source waits, or when the outbox is full
                size = write(item)
                if self._held + size > batch:
                    while outbox:
                        self._emptied.clear()
                        await self._emptied.wait()
                    since = now()
                elif now() - since > SLICE_SECONDS:
                    await asyncio.sleep(0)
                    since = now()
            else:
                self._writer.finish()
        finally:
            close = getattr(iterator, "aclose", None)
            if close is not None:
                await close()


class ThreadRunner(SourceRunner):
    """Runs a sync source on a thread of its own."""

    @property
    def idle(self) -> bool:
        return not self._encoding

    def start(self) -> None:
        self._encoding = False
        self._loop = asyncio.get_running_loop()
        self._returned = asyncio.Event()
        self._lock = threading.Lock()
        self._emptied = threading.Condition(self._lock)
        context = contextvars.copy_context()
        threading.Thread(target=context.run, args=(self._run,), name="objectstreaming source", daemon=True).start()

    def take(self) -> bytes:
        with self._lock:
            taken = self._take()
            if not self._outbox:
                self._emptied.notify()
        return taken

    def stop(self) -> None:
        with self._lock:
            self._stopped = True
            self._emptied.notify()

    async def closed(self) -> None:
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._returned.wait()
        except TimeoutError:
            logger.warning("a sync source is still busy %g s after its stream ended; its thread goes on", CLOSE_SECONDS)

    def _run(self) -> None:
        error: BaseException | None = None
        try:
            iterator = iter(self._source)
            try:
                self._read(iterator)
            finally:
                close = getattr(iterator, "close", None)
                if close is not None:
                    close()
        except BaseException as caught:  # noqa: BLE001  nothing above would catch it
            error = caught
        self._call(self._done, error)

    def _read(self, iterator: Iterable[Any]) -> None:
        write, outbox, batch, lock = self._write, self._outbox, self._batch, self._lock
        for item in iterator:
            try:
                self._encoding = True  # before the question: stop() says that it stops before it asks for `idle`
                if self._stopped:
                    return
                size = write(item)
            finally:  # after an error too: there may be good frames before it
                self._encoding = False
                # Not under the lock: the sender wakes up at once, and the two would take turns at each frame.
                if self._awaited or self._stopped:
                    self._awaited = False
                    self._call(self._notify)
            if self._held + size > batch:
                with lock:
                    while outbox and not self._stopped:
                        self._emptied.wait()
        if not self._stopped:
            self._writer.finish()

    def _write(self, item: Any) -> int:
        # The lock is not held while a coder encodes: that may take long, and the event loop takes the lock too.
        frames: Iterable[bytes]
        if type(item) is tuple and len(item) == 2:
            frames = (self._message(item[0], item[1]),)
        else:
            frames = self._writer.frames(item)
        size = 0
        for frame in frames:
            size = len(frame)
            if size:
                with self._lock:
                    self._outbox.append(frame)
                    self._held += size
        return size

    def _call(self, function: Callable[..., None], *args: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(function, *args)
        except RuntimeError:  # the loop is closed: the server has stopped, and nobody waits for this stream
            self._stopped = True

    def _done(self, error: BaseException | None) -> None:
        self._returned.set()
        self._end(error)


def runner_for(source: Any, writer: Writer[Any, Any], notify: Callable[[], None], batch: int = BATCH) -> SourceRunner:
    """A task for a source that is async, or is all there already; a thread for any other iterable."""
    if isinstance(source, bytes | bytearray | memoryview):
        source = _ready((source,))
    elif isinstance(source, list | tuple):
        source = _ready(source)
    if isinstance(source, AsyncIterable):
        return TaskRunner(source, writer, notify, batch)
    if isinstance(source, Iterable):
        return ThreadRunner(source, writer, notify, batch)
    raise TypeError(f"a source is an iterable or async iterable of messages, not {type(source).__name__}")


async def close_unused(source: Any) -> None:
    """Close a source that was never run, if it is an iterator that can be closed: a file, a relayed stream.

    An iterable that is no iterator is left alone, as it is when it was run: it may be used again.
    """
    try:
        if isinstance(source, AsyncIterator) and (close := getattr(source, "aclose", None)) is not None:
            await close()
        elif isinstance(source, Iterator) and (close := getattr(source, "close", None)) is not None:
            close()
    except Exception:
        logger.exception("a stream's source that was never run cannot be closed")


async def _ready(items: Iterable[Any]) -> AsyncIterator[Any]:
    for item in items:
        yield item
