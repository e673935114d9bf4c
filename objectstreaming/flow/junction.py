"""Several sources, one task each, and one reader. The engine of merge and switch.

**How it works.** Each lane is the task of one source. It takes one item from the source, stores it, and takes no other
until the reader has taken this one. There is no queue: the lane itself holds the item, and the junction holds a list of
lanes in the order in which their items came.

    source -> Lane.item --.
    source -> Lane.item ----> Junction.ready -> reader
    source -> Lane.item --'

If the reader waits when an item comes, it gets the item directly and the lane continues at once. Such an item costs one
step of each task. If the reader is busy, the lane stores the item and lets the event loop run once: a reader that keeps
up has then taken it. Only if it has not, the lane waits on a future. Nothing polls, and no source is more than one item
ahead of the reader.

An end or an error is an entry in the same list, so that the items before it are read before it. A source that is
cancelled from within ends as if it were exhausted.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterable, Generator, Iterable
from types import coroutine
from typing import Generic, TypeVar

from .arguments import check_stream
from .closing import aclose, stop

__all__ = ["Junction", "Lane"]

T = TypeVar("T")


@coroutine
def _one_turn() -> Generator[None, None, None]:
    """Let the event loop run once (`asyncio.sleep(0)` without a coroutine around it)."""
    yield


class Lane(Generic[T]):
    """One source of a junction. `full`: an item waits to be taken. `ended`: no more will come."""

    __slots__ = ("ended", "error", "full", "item", "junction", "parked", "stopped", "task")

    item: T

    def __init__(self, junction: Junction[T], source: AsyncIterable[T]) -> None:
        self.junction = junction
        self.full = False
        self.ended = False
        self.stopped = False
        self.error: Exception | None = None
        self.parked: asyncio.Future[None] | None = None
        self.task = asyncio.get_running_loop().create_task(self._run(source))

    def take(self) -> T:
        """The item. From now on the source may give the next one."""
        item = self.item
        del self.item
        self.full = False
        parked = self.parked
        if parked is not None:
            self.parked = None
            if not parked.done():
                parked.set_result(None)
        return item

    async def _run(self, source: AsyncIterable[T]) -> None:
        try:
            await self._read(source)
        except asyncio.CancelledError:
            pass  # the task ends at once, which is what a cancel asks for
        except Exception as error:  # noqa: BLE001  the reader gets it, after the items before it
            self.error = error
        self.ended = True
        self.junction.arrive(self)

    async def _read(self, source: AsyncIterable[T]) -> None:
        iterator = aiter(source)
        junction = self.junction
        ready = junction.ready
        loop = asyncio.get_running_loop()
        try:
            async for item in iterator:
                waiter = junction.waiter
                if waiter is not None:  # the reader waits for an item: it gets this one
                    junction.waiter = None
                    if not waiter.done():
                        waiter.set_result((item,))
                        continue
                self.item = item
                self.full = True
                ready.append(self)
                if junction.watcher is not None:
                    junction.notify()
                await _one_turn()
                if self.full:
                    if self.stopped:  # the source caught the cancel and continued
                        return
                    self.parked = loop.create_future()
                    await self.parked
        finally:
            await aclose(iterator)


class Junction(Generic[T]):
    """Where the lanes meet. `ready` has an entry for each item, end or error that was not taken yet, in order."""

    __slots__ = ("lanes", "ready", "waiter", "watcher")

    def __init__(self) -> None:
        self.ready: deque[Lane[T]] = deque()
        self.waiter: asyncio.Future[tuple[T] | None] | None = None  # of a reader that is given the next item
        self.watcher: asyncio.Future[None] | None = None  # of a reader that looks into `ready` itself
        self.lanes: list[Lane[T]] = []

    def open(self, source: AsyncIterable[T]) -> Lane[T]:
        check_stream(source)
        lane = Lane(self, source)
        self.lanes.append(lane)
        return lane

    def arrive(self, lane: Lane[T]) -> None:
        self.ready.append(lane)
        waiter, self.waiter = self.waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
        self.notify()

    def notify(self) -> None:
        watcher, self.watcher = self.watcher, None
        if watcher is not None and not watcher.done():
            watcher.set_result(None)

    async def wait(self) -> None:
        """Wait until `ready` has an entry."""
        if not self.ready:
            self.watcher = asyncio.get_running_loop().create_future()
            await self.watcher

    async def close(self, lanes: Iterable[Lane[T]] | None = None) -> None:
        """Stop these lanes, or all. Their sources are closed when this returns, and their items are dropped.

        An error of a source's closing is raised.
        """
        closing = list(self.lanes if lanes is None else lanes)
        running = [lane for lane in closing if not lane.ended]
        for lane in running:
            lane.stopped = lane.full = True
        try:
            await stop(lane.task for lane in running)
        finally:
            self.lanes = [lane for lane in self.lanes if lane not in closing]
            kept = [lane for lane in self.ready if lane not in closing]
            self.ready.clear()
            self.ready.extend(kept)
        for lane in running:
            if lane.error is not None:
                raise lane.error
