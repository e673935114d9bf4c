"""Sources: what a response's messages come from, pumped into a bounded buffer of which the sender takes all.

**Theory of operation.** Each stream has a pump that runs its source and writes each message, encoded, into an outbox.
The sender takes all that is there, sends it in one write, and looks again; when it finds nothing it waits for a bell,
which the pump rings with the next frame. So whatever the source can give without waiting goes out together, for the
sender gets its turn only when the source waits, when the outbox is full, or when the source has had the loop for
`SLICE` seconds; and nothing that is ready is held back. A full outbox stops the pump until the sender has emptied it:
that is how a slow reader slows the source, and why it costs the server a bounded number of bytes. It is full when
another frame like the last would not fit: all of it is then one write, and no frame is left to go out in its own.

Stepping `__anext__` by hand inside the sender's own task would spare a task switch a batch. It is not done, because the
sender would have to send while the source is suspended somewhere inside a step: a deadline of `asyncio.timeout()` or an
anyio scope that the source has open would then cancel the sending instead of the waiting. In a task of its own the
source runs, waits, is cancelled and is closed as any coroutine is, always in that one task and with the request's
context variables.

A sync source runs on a thread of its own, from `iter()` to `close()`: what it opens there (a SQLite connection, a GPU
context) is closed there. Not on a pool's: a pool of forty threads is forty stalled readers away from standing still.
The thread is a daemon, so that a source which never returns cannot keep the process from ending.

Cancelling means: an async source gets one `CancelledError` where it waits, or `GeneratorExit` at its `yield`, and then
as long as it needs to clean up; a sync source gets `GeneratorExit` at its `yield`, as soon as it comes to one.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from typing import Any, ClassVar, Final, Generic, TypeAlias, TypeVar

from ..coders import Coder
from ..errors import EncodeError
from ..frames import BytesLike, Frame, Limits
from ..protocol import StreamDecoder, StreamEncoder

__all__ = ["BATCH", "AsyncPump", "Pump", "Source", "ThreadPump", "Writer", "pump_for"]

H = TypeVar("H")
P = TypeVar("P")

Source: TypeAlias = AsyncIterable[tuple[H, P] | Frame | BytesLike] | Iterable[tuple[H, P] | Frame | BytesLike]

BATCH: Final = 64 * 1024
"""Bytes of a write, and of an outbox: the high-water mark of uvicorn and of asyncio's transports."""

SLICE: Final = 0.005
"""Seconds that a source which never waits may keep the event loop; the interpreter's own switch interval."""

PATIENCE: Final = 2.0
"""Seconds that a sync source is waited for when its stream is over and it is still busy between two `yield`s."""

logger: Final = logging.getLogger("objectstreaming.server")


# ---------------------------------------------------------------------------------------------------- writing


class Writer(Generic[H, P]):
    """Turns what a source gives into data frames: `(header, payload)`, a `Frame`, or bytes of frames in any pieces.

    Bytes go through a `StreamDecoder`: data frames are counted and pass untouched, control frames of the stream they
    come from are obeyed and dropped, its error and its being cut off are raised here.
    """

    def __init__(self, encoder: StreamEncoder[H, P], coder: Coder[H, P], limits: Limits | None = None) -> None:
        self.message = encoder.data
        self._frame = encoder.frame
        self._coder = coder
        self._limits = limits
        self._relay: StreamDecoder[Frame, None] | None = None

    @property
    def trailers(self) -> dict[str, Any] | None:
        """The trailers of the stream that is relayed, if there is one and it had an end."""
        return None if self._relay is None else self._relay.trailers

    def frames(self, item: Any) -> Iterator[bytes]:
        """Each data frame in `item`; on an error, after the good frames before it."""
        if isinstance(item, Frame):
            yield self._frame(item)
        elif isinstance(item, bytes | bytearray | memoryview):
            if self._relay is None:
                self._relay = StreamDecoder(_Verbatim(self._coder.name), limits=self._limits)
            for frame, _ in self._relay.feed(item):
                yield self._frame(frame)
        elif isinstance(item, tuple) and len(item) == 2:
            yield self.message(item[0], item[1])
        else:
            raise EncodeError(f"a source gives (header, payload), Frame or bytes, not {type(item).__name__}")

    def finish(self) -> None:
        """The source is exhausted. Raises what `StreamDecoder.finish` does, if it gave bytes."""
        if self._relay is not None:
            self._relay.finish()


class _Verbatim(Coder[Frame, None]):
    """Frames as they are, under the name of the coder that made them."""

    name: ClassVar[str] = ""

    def __init__(self, name: str) -> None:
        self.name = name  # type: ignore[misc]

    def encode(self, header: Frame, payload: None) -> bytes:
        return bytes(header)

    def decode(self, frame: Frame) -> tuple[Frame, None]:
        return frame, None


# ---------------------------------------------------------------------------------------------------- pumping


class Pump(ABC):
    """Runs a source in the background and keeps what it gives until it is taken.

    `ring` is called on the event loop when there is something to take and the last `take` gave nothing, and when the
    source has ended. After that `finished` is true, and `error` what it ended with, if with an error.
    """

    def __init__(self, source: Any, writer: Writer[Any, Any], ring: Callable[[], None], batch: int = BATCH) -> None:
        self._source = source
        self._writer = writer
        self._ring = ring
        self._batch = batch
        self._outbox: deque[bytes] = deque()
        self._held = 0
        self._awaited = True  # the sender waits for the bell: it has taken all, or has not begun
        self._stopped = False
        self.finished = False
        self.error: BaseException | None = None

    @property
    def held(self) -> int:
        """How many bytes wait to be taken."""
        return self._held

    @abstractmethod
    def start(self) -> None:
        """Begin to run the source."""

    @abstractmethod
    def take(self) -> bytes:
        """What the source has given, up to a batch and at least one frame; `b""` if nothing is there."""

    @abstractmethod
    def stop(self) -> None:
        """Nothing more is wanted: no frame is written after this, and the source is told to end."""

    @abstractmethod
    async def closed(self) -> None:
        """Wait until the source has ended and been closed. To be called after `stop`, or once `finished`."""

    def _over(self, error: BaseException | None) -> None:
        self.finished = True
        self.error = error
        if self._stopped and isinstance(error, Exception):  # nobody asks for it any more
            logger.error("a stream's source failed while it was being closed", exc_info=error)
        self._ring()

    def _put(self, item: Any) -> int:
        """Write an item that is no pair; pairs the pumps write in their loops. The size of its last frame."""
        size = 0
        for frame in self._writer.frames(item):
            self._outbox.append(frame)
            size = len(frame)
            self._held += size
        return size

    def _take(self) -> bytes:
        outbox = self._outbox
        if not outbox:
            self._awaited = True
            return b""
        if self._held <= self._batch:
            taken = b"".join(outbox)
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
        return b"".join(parts)


class AsyncPump(Pump):
    """Runs an async source in a task of its own."""

    def start(self) -> None:
        self._room = asyncio.Event()
        self._task = asyncio.create_task(self._run())

    def take(self) -> bytes:
        taken = self._take()
        if not self._outbox:
            self._room.set()
        return taken

    def stop(self) -> None:
        self._stopped = True
        if not self.finished:
            self._task.cancel()

    async def closed(self) -> None:
        if not self._task.done():
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        error: BaseException | None = None
        try:
            await self._drain()
        except (Exception, asyncio.CancelledError) as caught:  # noqa: BLE001  kept, for the sender to tell
            error = caught
        except BaseException as caught:  # SystemExit and its like: a failure too, and not only ours to know
            error = caught
            raise
        finally:
            self._over(error)

    async def _drain(self) -> None:
        iterator: AsyncIterator[Any] = aiter(self._source)
        message, outbox, batch, now = self._writer.message, self._outbox, self._batch, time.monotonic
        append = outbox.append
        try:
            since = now()
            async for item in iterator:
                if self._stopped:
                    break
                if self._awaited:
                    self._awaited = False
                    self._ring()  # it is heard once the source waits, or the outbox is full
                if type(item) is tuple and len(item) == 2:
                    header, payload = item
                    frame = message(header, payload)
                    append(frame)
                    size = len(frame)
                    self._held += size
                else:
                    size = self._put(item)
                if self._held + size > batch:
                    while outbox:
                        self._room.clear()
                        await self._room.wait()
                    since = now()
                elif now() - since > SLICE:
                    await asyncio.sleep(0)
                    since = now()
            else:
                self._writer.finish()
        finally:
            close = getattr(iterator, "aclose", None)
            if close is not None:
                await close()


class ThreadPump(Pump):
    """Runs a sync source on a thread of its own."""

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._returned = asyncio.Event()
        self._lock = threading.Lock()
        self._room = threading.Condition(self._lock)
        context = contextvars.copy_context()
        threading.Thread(target=context.run, args=(self._run,), name="objectstreaming source", daemon=True).start()

    def take(self) -> bytes:
        with self._lock:
            taken = self._take()
            if not self._outbox:
                self._room.notify()
        return taken

    def stop(self) -> None:
        with self._lock:
            self._stopped = True
            self._room.notify()

    async def closed(self) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                await self._returned.wait()
        except TimeoutError:
            logger.warning("a sync source is still busy %g s after its stream was over; it is left to end", PATIENCE)

    def _run(self) -> None:
        error: BaseException | None = None
        try:
            iterator = iter(self._source)
            try:
                self._drain(iterator)
            finally:
                close = getattr(iterator, "close", None)
                if close is not None:
                    close()
        except BaseException as caught:  # noqa: BLE001  a thread has nobody else to tell
            error = caught
        self._call(self._done, error)

    def _drain(self, iterator: Iterable[Any]) -> None:
        message, outbox, batch, lock = self._writer.message, self._outbox, self._batch, self._lock
        append = outbox.append
        for item in iterator:
            try:
                # Encoded under the lock, so that no frame is counted after stop(): the sender waits for one at most.
                with lock:
                    if self._stopped:
                        return
                    if type(item) is tuple and len(item) == 2:
                        header, payload = item
                        frame = message(header, payload)
                        append(frame)
                        size = len(frame)
                        self._held += size
                    else:
                        size = self._put(item)
            finally:  # what came before an error is there, too
                # Not under the lock: the sender wakes up at once, and the two would take turns at each frame.
                if self._awaited:
                    self._awaited = False
                    self._call(self._ring)
            if self._held + size > batch:
                with lock:
                    while outbox and not self._stopped:
                        self._room.wait()
        with lock:
            if not self._stopped:
                self._writer.finish()

    def _call(self, function: Callable[..., None], *args: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(function, *args)
        except RuntimeError:  # the loop is closed: the server is gone, and nobody is left to be told
            self._stopped = True

    def _done(self, error: BaseException | None) -> None:
        self._returned.set()
        self._over(error)


def pump_for(source: Any, writer: Writer[Any, Any], ring: Callable[[], None], batch: int = BATCH) -> Pump:
    """The pump for a source: async if it is async, or all there already; a thread for any other iterable."""
    if isinstance(source, bytes | bytearray | memoryview):
        source = _ready((source,))
    elif isinstance(source, list | tuple):
        source = _ready(source)
    if isinstance(source, AsyncIterable):
        return AsyncPump(source, writer, ring, batch)
    if isinstance(source, Iterable):
        return ThreadPump(source, writer, ring, batch)
    raise TypeError(f"a source is an iterable or async iterable of messages, not {type(source).__name__}")


async def _ready(items: Iterable[Any]) -> AsyncIterator[Any]:
    for item in items:
        yield item
