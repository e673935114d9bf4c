"""A flow for the latest item only: switch.

With several outputs it is made of other verbs: each output is a switch of its own, over a branch of one split.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, NamedTuple, TypeVar, overload

from .closing import call
from .ends import from_iterable
from .fan_out import split
from .junction import Junction, Lane
from .steps import map  # noqa: A004

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
) -> tuple[AsyncGenerator[Any, None], ...]: ...
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

    An item of `cancel` stops the running flow too; without a running flow it does nothing. When a flow is stopped, its
    items that were not read yet are dropped, and its cleanup is awaited. Then comes the item `on_cancel(item)`, if
    `on_cancel` is given, and then the next flow begins. After the last item the running flow is read to its end. The
    end of `cancel` has no effect. An error of any of them is raised at once and stops the others.

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

    Each output changes to the stream of the newest flow by itself, and drops what it has of the one before, so read all
    outputs. `on_cancel` is then a sequence of `n` functions, one for each output, or None for no item. An error of a
    stream is raised in its output. Raises `ValueError` if outputs < 1, or `on_cancel` or what the sub-flow gives does
    not have `n` members.
    """
    if outputs is None:
        return _switch(source, subflow, cancel, on_cancel)
    if outputs < 1:
        raise ValueError(f"outputs must be at least 1, not {outputs}")
    stopped = [None] * outputs if on_cancel is None else list(on_cancel)
    if len(stopped) != outputs:
        raise ValueError(f"on_cancel must have {outputs} members, one for each output, not {len(stopped)}")

    def begin(item: Any) -> _Flow:
        streams = subflow(from_iterable([item]))
        if isinstance(streams, AsyncIterable):
            streams = (streams,)
        if len(streams) != outputs:
            raise ValueError(f"the sub-flow gave {len(streams)} streams, where outputs is {outputs}")
        return _Flow(item, tuple(streams))

    # An output that is behind has no use for a flow that was replaced already.
    flows = split(map(source, begin), outputs, maxsize=1, when_full="drop_oldest")
    cancels = [None] * outputs if cancel is None else split(cancel, outputs, maxsize=1, when_full="drop_oldest")
    return tuple(_switch(flows[n], _stream_of(n), cancels[n], _message_of(stopped[n])) for n in range(outputs))


class _Flow(NamedTuple):
    item: Any
    streams: tuple[AsyncIterable[Any], ...]


def _stream_of(n: int) -> Callable[[_Flow], AsyncIterable[Any]]:
    return lambda flow: flow.streams[n]


def _message_of(on_cancel: Callable[[Any], Any] | None) -> Callable[[_Flow], Any] | None:
    return None if on_cancel is None else lambda flow: on_cancel(flow.item)


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
