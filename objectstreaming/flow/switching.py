"""A flow for the latest item only: switch.

With one output the reader runs it, and with several a task, because the outputs are read independently.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, TypeVar, overload

from .closing import call
from .ends import from_iterable
from .junction import Junction, Lane
from .pump import Branch, Pump

__all__ = ["switch"]

T = TypeVar("T")
U = TypeVar("U")


@overload
def switch(
    source: AsyncIterable[T],
    subflow: Callable[[T], AsyncIterable[U]],
    *,
    cancel: AsyncIterable[Any] | None = None,
    on_cancel: Callable[[T], U | Awaitable[U]] | None = None,
) -> AsyncGenerator[U, None]: ...
@overload
def switch(
    source: AsyncIterable[T],
    subflow: Callable[[AsyncIterator[T]], Sequence[AsyncIterable[Any]]],
    *,
    outputs: int,
    cancel: AsyncIterable[Any] | None = None,
    on_cancel: Sequence[Callable[[T], Any] | None] | None = None,
) -> tuple[Branch[Any], ...]: ...
def switch(
    source: AsyncIterable[Any],
    subflow: Callable[[Any], Any],
    *,
    outputs: int | None = None,
    cancel: AsyncIterable[Any] | None = None,
    on_cancel: Any = None,
) -> Any:
    """Run `subflow(item)` for the latest item. A new item stops the running flow, as speech interrupts an answer.

    >>> import asyncio
    >>> from objectstreaming.flow import collect, from_iterable, switch
    >>> async def answer(question):
    ...     yield f"{question}: let me think"
    ...     await asyncio.sleep(0.05)
    ...     yield f"{question}: here it is"
    >>> questions = from_iterable(["one", "two"], delay=0.02, delay_end=False)
    >>> asyncio.run(collect(switch(questions, answer, on_cancel=lambda question: f"{question}: stopped")))
    ['one: let me think', 'one: stopped', 'two: let me think', 'two: here it is']

    When a flow is stopped, its items that were not read yet are dropped, and its cleanup is awaited. After the last
    item the running flow is read to its end. The end of `cancel` has no effect. An error of any of them is raised at
    once and stops the others.

    With `outputs=n` the sub-flow is called with a stream of the one item, gives `n` streams, and so does `switch`:

    >>> from objectstreaming.flow import map, split
    >>> def speak(questions):
    ...     texts, spoken = split(questions)
    ...     return texts, map(spoken, str.encode)
    >>> async def main():
    ...     texts, sounds = switch(from_iterable(["one"]), speak, outputs=2)
    ...     return await asyncio.gather(collect(texts), collect(sounds))
    >>> asyncio.run(main())
    [['one'], [b'one']]

    A new item stops all streams of the running flow, also while nobody reads, and an output drops what was not read of
    it. The outputs have to be read at the same time, as the branches of a split.

    Args:
        subflow: makes the flow of an item: an async iterable. With `outputs` it takes a stream of the one item, and
            gives `outputs` streams.
        outputs: how many streams come out; `None`: one, which is returned alone.
        cancel: each of its items stops the running flow.
        on_cancel: makes the item, of that of the stopped flow, that comes in its place; sync or async. With `outputs` a
            sequence, one function or `None` for each.

    Raises:
        ValueError: `outputs` is less than 1, or `on_cancel` or what the sub-flow gives does not have as many members.
    """
    if outputs is None:
        return _switch(source, subflow, cancel, on_cancel)
    if outputs < 1:
        raise ValueError(f"outputs must be at least 1, not {outputs}")
    stopped = [None] * outputs if on_cancel is None else list(on_cancel)
    if len(stopped) != outputs:
        raise ValueError(f"on_cancel must have {outputs} members, one for each output, not {len(stopped)}")

    flows = _Flows(source, outputs, subflow, cancel, stopped)
    return tuple(Branch(flows, outlet) for outlet in flows.outlets)


class _Flows(Pump[Any]):
    """The flows of a switch with several outputs.

    The task of the pump listens to the source, however busy the readers of the outputs are. So a flow that is stopped
    is stopped for all outputs at once, and none of its items is left for any. What a stream of the flow gives goes into
    the outlet of its output when that is empty.
    """

    def __init__(
        self,
        source: AsyncIterable[Any],
        outputs: int,
        subflow: Callable[[AsyncIterator[Any]], Any],
        cancel: AsyncIterable[Any] | None,
        on_cancel: list[Callable[[Any], Any] | None],
    ) -> None:
        super().__init__(source, outputs, maxsize=1)
        self.subflow = subflow
        self.cancel = cancel
        self.on_cancel = on_cancel
        self.junction: Junction[Any] = Junction()
        self.running: dict[Lane[Any], int] = {}  # the streams of the running flow, and the outputs they belong to
        self.current: Any = None  # the item of the running flow
        self.blocked = True  # so that a branch wakes us whenever it takes an item

    def wake(self) -> None:
        """A branch has taken an item, waits for one, or was closed."""
        self.junction.notify()

    async def _read(self) -> None:
        junction, running = self.junction, self.running
        try:
            items = junction.open(self.source)
            cancels = junction.open(self.cancel) if self.cancel is not None else None
            more = True
            while more or running:
                await junction.wait()
                while junction.ready:
                    lane = junction.ready.popleft()
                    if lane is items or lane is cancels:
                        if lane.full:
                            item = lane.take()
                            if lane is items or running:
                                await self._stop_flow()
                            if lane is items:
                                self._begin_flow(item)
                            continue
                        more = more and lane is not items
                    if lane.error is not None:
                        raise lane.error
                    if lane.ended:
                        running.pop(lane, None)
                while unwanted := [lane for lane, n in running.items() if not self.outlets[n].open]:
                    for lane in unwanted:
                        del running[lane]
                    await junction.close(unwanted)
                self._give_items(more)
        finally:
            await junction.close()

    def _begin_flow(self, item: Any) -> None:
        streams = self.subflow(from_iterable([item]))
        if isinstance(streams, AsyncIterable):
            streams = (streams,)
        if len(streams) != len(self.outlets):
            raise ValueError(f"the sub-flow gave {len(streams)} streams, where outputs is {len(self.outlets)}")
        self.current = item
        for n, stream in enumerate(streams):
            if self.outlets[n].open:
                self.running[self.junction.open(stream)] = n

    async def _stop_flow(self) -> None:
        stopped = dict(self.running)
        self.running.clear()
        for outlet in self.outlets:
            outlet.items.clear()
        await self.junction.close(stopped)
        for n in stopped.values():
            function, outlet = self.on_cancel[n], self.outlets[n]
            if function is not None and outlet.open:
                outlet.items.append(await call(function, self.current))
                outlet.wake()

    def _give_items(self, more: bool) -> None:
        for lane, n in self.running.items():
            outlet = self.outlets[n]
            if lane.full and not outlet.items:
                outlet.items.append(lane.take())
                outlet.wake()
        if not more:
            for n, outlet in enumerate(self.outlets):
                if outlet.open and n not in self.running.values():
                    outlet.end(None)


async def _switch(
    source: AsyncIterable[T],
    subflow: Callable[[T], AsyncIterable[Any]],
    cancel: AsyncIterable[Any] | None,
    on_cancel: Callable[[T], Any] | None,
) -> AsyncGenerator[Any, None]:
    junction: Junction[Any] = Junction()
    running: Lane[Any] | None = None
    current: Any = None
    more = True
    try:
        items = junction.open(source)
        cancels = junction.open(cancel) if cancel is not None else None
        while more or running is not None:
            await junction.wait()
            lane = junction.ready.popleft()
            if not lane.full:
                if lane.error is not None:
                    raise lane.error
                if lane is items:
                    more = False
                elif lane is running:
                    running = None
            elif lane is running:
                # Not if the flow is about to be stopped.
                if not (items.full or (cancels is not None and cancels.full)):
                    yield lane.take()
            else:
                item = lane.take()
                if running is not None:
                    stopped, running = running, None
                    await junction.close([stopped])
                    if on_cancel is not None:
                        yield await call(on_cancel, current)
                if lane is items:
                    current = item
                    running = junction.open(subflow(item))
    finally:
        await junction.close()
