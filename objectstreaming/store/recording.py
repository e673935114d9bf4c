"""`Recording`: one source, run in this process and written into a store.

**How it works.** One task takes what the source has ready, appends it to the stream's log, and waits for the store
before it takes more: so the source runs at the store's speed. It depends on no request; readers come and go. When the
source is silent it renews the lease with an append of nothing. It ends with its source, or when

    the log was ended by another       a stop, or the verdict that this process is dead: the source is closed
    the log is full                    the frames that still fit are stored, and the end is `resource_exhausted`
    nobody has read it for so long     `canceled`
    `stop` was called                  what is ready is stored, and the error
    the store has lost too much        `data_loss`
    the store is away for too long     nothing can be stored; the readers in this process are told

**Healing.** A store that has lost what it had acknowledged says so: `Gone`, or `Conflict` with an earlier position.
Then the log is created again, if necessary, and what is missing is given again from the tail, as one entry. The store
may vanish again during any of that. Therefore healing is not a sequence of steps, but a loop around one attempt.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeAlias

from ..coders import Coder
from ..errors import StreamError
from ..frames import Limits
from ..protocol import StreamEncoder
from ..server.problems import public_error, report
from ..server.sources import Writer, runner_for
from ..shutdown import running, stopping
from .end import DEAD, LOST, SHUTTING_DOWN, UNREACHABLE, End
from .reader import answered
from .tail import BATCH, Tail
from .verbs import About, Conflict, Fenced, Full, Gone, Lease, Sealed, Unavailable, Unread, Verbs
from .walk import skip_frames, take_frames

__all__ = ["Recording", "Trailers"]

Trailers: TypeAlias = Mapping[str, Any] | Callable[[], Mapping[str, Any] | None]

logger: Final = logging.getLogger("objectstreaming.store")

SHUTDOWN_SECONDS: Final = 1.0
"""How long the last frames and the end may take to be stored when the event loop is being stopped."""

FIRST_RETRY_SECONDS: Final = 0.01
LAST_RETRY_SECONDS: Final = 1.0
"""Between two attempts to store: at first, doubled each time, at last."""


class _Over(Exception):
    """Nothing more is written. `end` is to be stored; `None`: the log has one, or none can be stored."""

    def __init__(self, end: End | None) -> None:
        super().__init__(end)
        self.end = end


class Recording:
    """A stream that this process writes. `store.record` makes it."""

    def __init__(
        self,
        store: Verbs,
        id: str,
        about: About,
        source: Any,
        coder: Coder[Any, Any],
        *,
        trailers: Trailers | None = None,
        limits: Limits | None = None,
        max_duration: float | None = None,
        background: Callable[[], Awaitable[Any]] | None = None,
    ) -> None:
        self.id = id
        self._store = store
        self._about = about
        self._lease = Lease(id, about.token)
        self._trailers = trailers
        self._max_duration = max_duration
        self._background = background
        self._changed = asyncio.Event()  # by the source, the end of the tail, a timer, or stop()
        self._writer = Writer(StreamEncoder(coder, limits=limits), coder, limits)
        self._runner = runner_for(source, self._writer, self._changed.set, BATCH)
        self._loop = asyncio.get_running_loop()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._tail: Tail
        self._task: asyncio.Task[None]
        self._stopped: End | None = None
        self._cause: BaseException | None = None  # what the source has failed with
        self._stored_at = self._loop.time()
        self._renewal_due = False

    async def start(self) -> asyncio.Task[None]:
        """Create the log, and run. Raises `StreamError`: `already_exists`, `unavailable`."""
        tail = await answered(lambda: self._store.create(self.id, self._about))
        if tail is None:
            raise StreamError("already_exists", "there is a stream with this id")
        self._tail = tail
        self._tail.listeners.add(self._on_tail)
        self._task = self._loop.create_task(self._run(), name=f"objectstreaming recording {self.id}")
        return self._task

    def stop(self, why: StreamError) -> None:
        """End the stream with an error, after what is ready.

        Args:
            why: the error.
        """
        if self._stopped is None:
            self._stopped = End.failed(why)
            self._changed.set()

    def stop_from_anywhere(self, why: StreamError) -> None:
        """`stop`, from another thread or a signal handler.

        Args:
            why: the error.
        """
        self._loop.call_soon_threadsafe(self.stop, why)

    async def ended(self) -> End:
        """Wait until the stream has ended, its source is closed, and `background` has run.

        Returns:
            How it ended, as far as this process knows.
        """
        if not self._task.done():
            await asyncio.wait([self._task])
        if self._tail.end is not None:
            return self._tail.end
        return LOST if self._tail.failure is None else End.failed(self._tail.failure)

    # ------------------------------------------------------------------------------------------- the task

    async def _run(self) -> None:
        self._set_timer("renewal", self._store.renew, self._on_renewal)
        if self._max_duration is not None:
            expired = StreamError("deadline_exceeded", f"the stream took longer than {self._max_duration:g} s")
            self._set_timer("duration", self._max_duration, self.stop, expired)
        started = False
        running.add(self)
        if stopping.begun:  # while the log was created
            self.stop(SHUTTING_DOWN.failure())
        try:
            try:
                self._runner.start()
                started = True
            except RuntimeError:  # no more threads
                end: End | None = End("unavailable", "the server is overloaded")
            else:
                end = await self._write()
                self._runner.stop()
            if end is not None:
                self._report(end)
                await self._seal(end)
        except asyncio.CancelledError:
            await self._seal_on_shutdown()
            raise
        except Exception:
            logger.exception("a stream cannot be stored")
            self._tail.fail(StreamError("internal", "internal error"))
        finally:
            running.discard(self)
            for timer in self._timers.values():
                timer.cancel()
            if started:
                self._runner.stop()
                await self._runner.closed()
            self._tail.listeners.discard(self._on_tail)
            self._tail.release()
            if self._background is not None:
                await self._background()

    async def _write(self) -> End | None:
        """Store what the source gives. The end that is to be stored; `None`: there is one, or none can be stored."""
        runner, tail = self._runner, self._tail
        try:
            while not tail.over:
                self._changed.clear()
                if self._stopped is not None:
                    runner.stop()
                over = runner.finished or (self._stopped is not None and runner.idle)
                batch = runner.take()
                last = over and not runner.held
                if batch:
                    await self._append(batch)
                elif self._renewal_due:
                    await self._persist(tail.position, b"")
                self._renewal_due = False
                if last:
                    return self._stopped or self._end_of_source()
                if not runner.held:
                    await self._changed.wait()
        except _Over as over_with:
            return over_with.end
        return None

    def _end_of_source(self) -> End:
        error = self._runner.error
        if error is None:
            try:
                trailers = self._trailers() if callable(self._trailers) else self._trailers
                return End.succeeded(self._writer.trailers if trailers is None else trailers)
            except Exception as caught:  # noqa: BLE001  the trailers' function is the caller's
                error = caught
        self._cause = error
        return End.failed(public_error(error))

    def _report(self, end: End) -> None:
        if end.code:
            what, position = f"the stored stream {self.id}", self._tail.position
            cause = self._cause or end.failure()
            report(what, "failed", end.code, cause=cause, position=position, known=end.code == "canceled", log=logger)

    async def _append(self, batch: bytes) -> None:
        """Store what was taken last."""
        largest = self._store.largest
        if largest is not None and len(batch) > largest:
            # A batch is so large only if it is one frame.
            raise _Over(End("resource_exhausted", f"a frame of {len(batch)} bytes; the store takes {largest} at most"))
        position = self._tail.position
        try:
            await self._persist(self._runner.taken, batch)
        except Full as full:
            count, _, size = take_frames(batch[: full.room], len(batch))
            if count:
                await self._persist(position + count, batch[:size])
            raise _Over(End("resource_exhausted", "the stream has become larger than what is kept of one")) from None

    async def _seal(self, end: End) -> None:
        try:
            await self._persist(self._tail.position, b"", end)
        except (_Over, Full) as failure:
            if isinstance(failure, _Over) and failure.end is None:
                return
            with contextlib.suppress(_Over):  # the log is not whole, and cannot be made whole
                await self._persist(self._tail.position, b"", LOST)

    async def _seal_on_shutdown(self) -> None:
        """The task is cancelled: the event loop is being stopped. Store the end, if that is possible at once."""
        self._runner.stop()
        try:
            async with asyncio.timeout(SHUTDOWN_SECONDS):
                while not self._runner.idle or self._runner.held:
                    self._changed.clear()
                    if batch := self._runner.take():
                        await self._append(batch)
                    else:
                        await self._changed.wait()
                await self._seal(SHUTTING_DOWN)
        except Exception:
            logger.exception("a stream was cancelled, and its end cannot be stored")

    # ------------------------------------------------------------------------------------------- the store

    async def _persist(self, upto: int, data: bytes, end: End | None = None) -> None:
        """Have the log hold everything up to the tail's position, then `data`, then `end`.

        Raises `_Over`; `Full`, with the room that is left for `data`.
        """
        store, tail = self._store, self._tail
        before = held = tail.position  # how much the store is known to hold
        gone = False
        restored = b""
        retries: _Retries | None = None
        while not tail.over:
            try:
                if gone:
                    if await store.create(self.id, self._about, tail.first) is None:
                        raise Fenced
                    gone, held = False, tail.first
                if end is None or held < upto:
                    # An append whose answer was lost may have put a part of data into the tail.
                    restored = tail.since(held) if held < tail.position else b""
                    rest = skip_frames(data, tail.position - before)
                    await store.append(self._lease, held, upto, restored + rest)
                    held = upto
                if end is not None:
                    # A success says that the log is whole. An error may be stored wherever the log stands.
                    position = None if end.code else upto
                    stands = await store.seal(self.id, end, lease=self._lease, position=position)
                    assert stands is not None, "only a verdict can be refused"
                    tail.close(stands)
                self._stored_at = self._loop.time()
            except Sealed as sealed:
                if sealed.end == DEAD:
                    logger.warning("a stream was taken for dead and ended: did the event loop stand still?")
                tail.close(sealed.end)
                raise _Over(None) from None
            except Fenced:
                logger.error("another process writes a stream with the id of one of ours")
                tail.fail(StreamError("aborted", "another process writes a stream with this id"))
                raise _Over(None) from None
            except Unread:
                raise _Over(End("canceled", "nobody has read the stream")) from None
            except Full as full:
                raise Full(full.room - len(restored)) from None
            except Conflict as conflict:
                if not tail.first <= conflict.position <= tail.position:
                    raise _Over(LOST) from None
                held = conflict.position
            except Gone:
                gone = True
            except Unavailable:
                pass
            else:
                return
            if retries is None:
                retries = _Retries(self._loop, store.patience)
            if not await retries.another():
                logger.error("the store does not answer; a stream is given up")
                tail.fail(UNREACHABLE.failure())
        raise _Over(None)

    # ------------------------------------------------------------------------------- the tail and the timers

    def _on_tail(self) -> None:
        if self._tail.over:
            self._changed.set()

    def _on_renewal(self) -> None:
        silent = self._loop.time() - self._stored_at
        renew = self._store.renew
        if silent >= 0.999 * renew:  # a timer may fire a clock tick early
            silent = 0.0
            self._renewal_due = True
            self._changed.set()
        self._set_timer("renewal", renew - silent, self._on_renewal)

    def _set_timer(self, name: str, seconds: float, function: Callable[..., object], *args: Any) -> None:
        self._timers[name] = self._loop.call_later(seconds, function, *args)


class _Retries:
    """Pauses between attempts: none before the second, then longer and longer ones, until patience is at its end."""

    def __init__(self, loop: asyncio.AbstractEventLoop, patience: float) -> None:
        self._loop = loop
        self._patience = patience
        self._since = 0.0
        self._pause = 0.0

    async def another(self) -> bool:
        """Pause, and say whether to try again."""
        if not self._pause:
            self._since = self._loop.time()
            self._pause = FIRST_RETRY_SECONDS
            await asyncio.sleep(0)
            return True
        await asyncio.sleep(self._pause * random.uniform(0.5, 1.0))  # noqa: S311  no secret
        self._pause = min(2 * self._pause, LAST_RETRY_SECONDS)
        return self._loop.time() - self._since <= self._patience
