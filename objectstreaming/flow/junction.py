"""Lanes that meet: one task a source, one item in flight each, and one reader. The engine of merge and switch.

**Theory of operation.** Each lane's task pulls an item, lays it down, and pulls no further until it was taken. There is
no queue in between: the lane itself holds the item, and the junction a list of lanes in the order their items came.

    source -> Lane.item --.
    source -> Lane.item ----> Junction.ready -> reader
    source -> Lane.item --'

A reader that waits when an item comes is handed it, and the lane goes on at once: such an item costs one step of either
task. If the reader is busy, the lane lays the item down and lets the event loop go round once, for a reader that keeps
up has then taken it; only when it has not does the lane park on a future of its own. Nothing polls, and no source is
ever more than one item ahead of what the reader has.

An end or an error takes its place in the same list, so that what came before it is read before it. A source that is
cancelled from within ends as if it were exhausted.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterable, Generator, Iterable
from types import coroutine
from typing import Generic, TypeVar

from .closing import aclose, stop

__all__ = ["Junction", "Lane"]

T = TypeVar("T")


@coroutine
def _one_turn() -> Generator[None, None, None]:
    """Let the event loop go round once (`asyncio.sleep(0)` without a coroutine around it)."""
    yield


class Lane(Generic[T]):
    """One source on its way to the junction. `full`: an item waits to be taken. `ended`: none will come any more."""

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
        """The item; from here on the source is asked for its next."""
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
            pass  # the task ends here and now; whoever cancelled it gets what was asked for
        except Exception as error:  # noqa: BLE001  told to the reader, in its place
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
                if waiter is not None:  # the reader waits for just this: handed over, it is in flight no more
                    junction.waiter = None
                    if not waiter.done():
                        waiter.set_result((item,))
                        continue
                self.item = item
                self.full = True
                ready.append(self)
                if junction.bell is not None:
                    junction.ring()
                await _one_turn()
                if self.full:
                    if self.stopped:  # by a cancel which the source caught and went on
                        return
                    self.parked = loop.create_future()
                    await self.parked
        finally:
            await aclose(iterator)


class Junction(Generic[T]):
    """What has arrived and was not yet taken: `ready`, an entry for each item, end or error, in the order they came."""

    __slots__ = ("bell", "lanes", "ready", "waiter")

    def __init__(self) -> None:
        self.ready: deque[Lane[T]] = deque()
        self.waiter: asyncio.Future[tuple[T] | None] | None = None  # a reader that takes an item by hand
        self.bell: asyncio.Future[None] | None = None  # one that only wants to know
        self.lanes: list[Lane[T]] = []

    def open(self, source: AsyncIterable[T]) -> Lane[T]:
        lane = Lane(self, source)
        self.lanes.append(lane)
        return lane

    def arrive(self, lane: Lane[T]) -> None:
        self.ready.append(lane)
        waiter, self.waiter = self.waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
        self.ring()

    def ring(self) -> None:
        bell, self.bell = self.bell, None
        if bell is not None and not bell.done():
            bell.set_result(None)

    async def wait(self) -> None:
        """Until `ready` has something."""
        if not self.ready:
            self.bell = asyncio.get_running_loop().create_future()
            await self.bell

    async def close(self, lanes: Iterable[Lane[T]] | None = None) -> None:
        """Stop these lanes, or all; their sources are closed when this returns, what they had laid down is dropped.

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
