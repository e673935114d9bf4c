"""A task that reads one source into the bounded buffers of its readers: the engine of split, partition, buffer, concat.

**How it works.** A source that has more than one reader, or that runs ahead of its reader, needs a task of its own. If
the reader that waits ran the source, a cancel of that reader would be thrown into the source and end it for all the
others. Timeouts and cancel scopes inside the source would belong to a task that changes from item to item.

    source -> pump -> outlet.items -> Branch -> reader
                   -> outlet.items -> Branch -> reader

The pump starts when a branch asks for its first item. It reads while some outlet wants more (it holds fewer than
`ahead` items; in a partition: its reader waits) and none is full (holds `maxsize`). Otherwise it waits on a future. It
computes once a round how many items it may take before it has to check again, so that an item of a fast source costs
one append for each outlet. A reader that finds its buffer empty wakes the pump, and so does one that takes from a
buffer that has blocked the pump. Nothing polls.

Branches refer to the pump, but the pump does not refer to the branches. When the last branch is closed, or is no longer
referenced, the pump is cancelled and closes the source in its own task.
"""

from __future__ import annotations

import asyncio
import copy
import logging
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable
from types import TracebackType
from typing import Any, Final, Generic, Literal, TypeVar

from .arguments import check_stream
from .closing import aclose, call, stop

__all__ = ["AHEAD", "MAXSIZE", "Branch", "Pump", "WhenFull"]

T = TypeVar("T")

WhenFull = Literal["wait", "drop_oldest", "fail"]
"""What happens with an item for a branch whose buffer is full."""

AHEAD: Final = 32
"""How many items a split or partition reads ahead of its fastest reader, so that many items share one task switch."""
MAXSIZE: Final = 1024
"""How many items a branch may be behind before its `when_full` applies, by default."""

WARN_SECONDS: Final = 10.0
"""How long a full branch may hold up the others before a warning is logged."""

logger = logging.getLogger("objectstreaming.flow")

_UNBOUNDED: Final = 1 << 62


class Outlet(Generic[T]):
    """The buffer of one branch, as the pump sees it."""

    __slots__ = ("error", "items", "open", "traceback", "waiter")

    def __init__(self, maxlen: int | None) -> None:
        self.items: deque[T] = deque(maxlen=maxlen)
        self.waiter: asyncio.Future[None] | None = None
        self.open = True
        self.error: BaseException | None = None
        self.traceback: TracebackType | None = None

    def wake(self) -> None:
        waiter, self.waiter = self.waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def end(self, error: BaseException | None) -> None:
        """Nothing comes after the items that are here, except `error` if there is one."""
        self.open = False
        if error is not None:
            self.error, self.traceback = error, error.__traceback__
        self.wake()


class Pump(Generic[T]):
    """Reads `source` once and gives each item to all outlets, or to the one that `choose` selects."""

    def __init__(
        self,
        source: AsyncIterable[T],
        outlets: int,
        *,
        maxsize: int | None,
        when_full: WhenFull = "wait",
        ahead: int = AHEAD,
        with_copy: bool = False,
        choose: Callable[[T], Any] | None = None,
    ) -> None:
        if maxsize is not None and maxsize < 1:
            raise ValueError(f"maxsize must be at least 1, or None for no bound, not {maxsize}")
        if when_full not in ("wait", "drop_oldest", "fail"):
            raise ValueError(f"when_full must be 'wait', 'drop_oldest' or 'fail', not {when_full!r}")
        check_stream(source)
        self.source = source
        self.maxsize = _UNBOUNDED if maxsize is None else maxsize
        self.ahead = min(ahead, self.maxsize)
        self.when_full = when_full
        self.with_copy = with_copy
        self.choose = choose
        self.outlets: list[Outlet[T]] = [
            Outlet(maxsize if when_full == "drop_oldest" else None) for _ in range(outlets)
        ]
        self.task: asyncio.Task[None] | None = None
        self.loop: asyncio.AbstractEventLoop | None = None
        self.parked: asyncio.Future[None] | None = None
        self.blocked = False  # parked because a buffer is full, not because nobody wants more
        self.warned = False

    def start(self) -> None:
        """Begin to read, if it has not begun yet. Called when a branch is asked for an item."""
        if self.task is None:
            self.loop = asyncio.get_running_loop()
            self.task = self.loop.create_task(self._run())

    def wake(self) -> None:
        parked, self.parked = self.parked, None
        if parked is not None:
            self.blocked = False
            if not parked.done():
                parked.set_result(None)

    def detach(self, outlet: Outlet[T]) -> None:
        """A reader has left: its buffer is emptied and no longer holds up the others."""
        outlet.items.clear()
        outlet.end(None)
        outlet.error = outlet.traceback = None
        self.wake()

    @property
    def abandoned(self) -> bool:
        return not any(outlet.open for outlet in self.outlets)

    async def stop(self) -> None:
        """Stop reading. The source is closed when this returns. An error of its closing is raised."""
        task = self.task
        if task is None:
            if isinstance(self.source, AsyncIterator):  # closed although we never began: it may be a branch
                await aclose(self.source)
        elif not task.done():
            await stop([task])
            self.raise_failure()

    def raise_failure(self) -> None:
        """Raise the error of the source's closing. The readers do not get it: they have left."""
        task = self.task
        if task is not None and not task.cancelled() and (error := task.exception()) is not None:
            raise error

    async def _run(self) -> None:
        error: BaseException | None = None
        try:
            await self._read()
        except asyncio.CancelledError as cancelled:
            error = cancelled  # the source's own, which the readers get; or ours, when there are no readers any more
        except Exception as failed:
            if self.abandoned:
                raise  # from the closing of the source: whoever closed it gets it
            error = failed
        except BaseException as stopped:  # SystemExit and its like: not a clean end for the readers
            error = stopped
            raise
        finally:
            for outlet in self.outlets:
                if outlet.open:
                    outlet.end(error)

    async def _read(self) -> None:
        outlets = self.outlets
        iterator = self.source.__aiter__()
        plain = self.choose is None and not self.with_copy and self.when_full != "fail"
        try:
            while (budget := self._budget()) <= 0:
                if budget < 0:
                    return
                await self._park()
            async for item in iterator:
                if plain:
                    for outlet in outlets:
                        if outlet.open:
                            outlet.items.append(item)
                            if outlet.waiter is not None:
                                outlet.wake()
                else:
                    await self._give(item)
                budget -= 1
                while budget <= 0:
                    budget = self._budget()
                    if budget < 0:
                        return
                    if budget == 0:
                        await self._park()
                    else:
                        await asyncio.sleep(0)  # a source that never waits must let other tasks run
        finally:
            await aclose(iterator)

    async def _give(self, item: T) -> None:
        """Give an item to the outlets, where more is to be done than to append it."""
        outlets = self.outlets
        if self.choose is not None:
            outlets = outlets[:1] if await call(self.choose, item) else outlets[1:]
        outlets = [outlet for outlet in outlets if outlet.open]
        # All copies first: if one fails, no branch has the item.
        items = [copy.deepcopy(item) for _ in outlets] if self.with_copy else [item] * len(outlets)
        for outlet, given in zip(outlets, items, strict=True):
            if self.when_full == "fail" and len(outlet.items) >= self.maxsize:
                outlet.end(
                    BufferError(
                        f"this branch is more than {self.maxsize} items behind: read the branches at the same time,"
                        " or pass a larger maxsize"
                    )
                )
            else:
                outlet.items.append(given)
                outlet.wake()

    def _budget(self) -> int:
        """How many items may be taken before the next check: 0 is none now, -1 is none ever."""
        held = [len(outlet.items) for outlet in self.outlets if outlet.open]
        if not held:
            return -1
        if self.choose is None:
            want = self.ahead - min(held)
        else:  # an outlet may be empty because no item is for it: what counts is whether its reader waits
            want = self.ahead if any(outlet.waiter is not None for outlet in self.outlets) else 0
        if self.when_full != "wait":
            return max(0, min(want, MAXSIZE))
        room = self.maxsize - max(held)
        self.blocked = room <= 0
        return max(0, min(room, want, MAXSIZE))

    async def _park(self) -> None:
        loop = asyncio.get_running_loop()
        parked = self.parked = loop.create_future()
        if not self.blocked or len(self.outlets) == 1 or self.warned:
            await parked
            return
        warning = loop.call_later(WARN_SECONDS, self._warn)
        try:
            await parked
        finally:
            warning.cancel()

    def _warn(self) -> None:
        # Waiting is correct. But waiting for a reader that never comes looks the same, so there is one warning.
        self.warned = True
        logger.warning(
            "a branch is %d items behind and was not read for %.0f s, and the others wait for it: read the branches"
            " at the same time, close this one, or choose another maxsize or when_full",
            self.maxsize,
            WARN_SECONDS,
        )


class Branch(AsyncIterator[T]):
    """One reader's end of a pump: an async iterator with `aclose()`.

    Once it is closed, or no longer referenced, it does not hold up the others. A branch that has ended, failed or been
    closed stays so.
    """

    __slots__ = ("__weakref__", "_items", "_outlet", "_pump")

    def __init__(self, pump: Pump[T], outlet: Outlet[T]) -> None:
        self._pump = pump
        self._outlet = outlet
        self._items = outlet.items

    def __aiter__(self) -> Branch[T]:
        return self

    async def __anext__(self) -> T:
        items = self._items
        if items:
            if self._pump.blocked:
                self._pump.wake()
            return items.popleft()
        outlet = self._outlet
        while not items:
            if not outlet.open:
                if outlet.error is None:
                    raise StopAsyncIteration
                # Every branch raises the same exception. Its traceback must not grow with the other readers' frames.
                raise outlet.error.with_traceback(outlet.traceback)
            if outlet.waiter is not None:
                raise RuntimeError("two tasks read one branch at the same time")
            self._pump.start()
            if items or not outlet.open:
                continue  # an eager task (Python 3.12) has read already
            self._pump.wake()
            outlet.waiter = asyncio.get_running_loop().create_future()
            try:
                await outlet.waiter
            finally:
                outlet.waiter = None
        if self._pump.blocked:
            self._pump.wake()
        return items.popleft()

    def take_ready(self) -> list[T]:
        """All items that are here already."""
        ready = list(self._items)
        self._items.clear()
        if ready and self._pump.blocked:
            self._pump.wake()
        return ready

    async def aclose(self) -> None:
        """Leave. The last branch to leave closes the source, and it is closed when this returns."""
        outlet, pump = self._outlet, self._pump
        if outlet.open or pump.task is not None:
            pump.detach(outlet)
            if pump.abandoned:
                await pump.stop()

    def __del__(self) -> None:
        outlet, pump = self._outlet, self._pump
        if not outlet.open:
            return
        if pump.loop is None:
            outlet.end(None)
        elif not pump.loop.is_closed():
            # The garbage collector may run on any thread.
            pump.loop.call_soon_threadsafe(_leave, pump, outlet)


def _leave(pump: Pump[Any], outlet: Outlet[Any]) -> None:
    pump.detach(outlet)
    if pump.abandoned and pump.task is not None:
        pump.task.cancel()
