"""Several streams to one reader: concat, merge, merge_latest."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Hashable, Iterable, Mapping
from typing import Any, TypeVar, overload

from .arguments import streams_of
from .closing import aclose, stop
from .junction import Junction
from .pump import MAXSIZE, Branch, Pump

__all__ = ["concat", "merge", "merge_latest"]

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)


@overload
def concat(
    *sources: AsyncIterable[T], prefetch: int | None = None, maxsize: int | None = MAXSIZE
) -> AsyncGenerator[T, None]: ...
@overload
def concat(
    sources: Iterable[AsyncIterable[T]], /, *, prefetch: int | None = None, maxsize: int | None = MAXSIZE
) -> AsyncGenerator[T, None]: ...
def concat(*sources: Any, prefetch: int | None = None, maxsize: int | None = MAXSIZE) -> AsyncGenerator[Any, None]:
    """All items of the first source, then all of the second, and so on.

    >>> import asyncio
    >>> from objectstreaming.flow import collect, concat, from_iterable
    >>> asyncio.run(collect(concat(from_iterable("ab"), from_iterable("cd"))))
    ['a', 'b', 'c', 'd']

    If a source that runs ahead fails, its error is raised after its items, when it is its turn. Closing stops all.

    Args:
        *sources: the streams, or one iterable of them: `concat(pages)` is `concat(*pages)`.
        prefetch: how many later sources run while one is read. `None`: all run from the beginning, so that two slow
            sources take the time of the slower one. 0: no source is started before the one before it has ended.
        maxsize: how many items a source that runs ahead may hold before it waits; `None`: no bound.

    Raises:
        ValueError: `prefetch` is negative, or `maxsize` less than 1.
        TypeError: A source is not a stream.
    """
    streams = streams_of(sources)
    if prefetch is not None and prefetch < 0:
        raise ValueError(f"prefetch must be at least 0, or None for all, not {prefetch}")
    ahead = len(streams) if prefetch is None else prefetch
    pumps = [Pump(source, 1, maxsize=maxsize, ahead=MAXSIZE if maxsize is None else maxsize) for source in streams]
    return _concat(streams, pumps, ahead)


async def _concat(sources: tuple[AsyncIterable[T], ...], pumps: list[Pump[T]], ahead: int) -> AsyncGenerator[T, None]:
    try:
        for at, source in enumerate(sources):
            for pump in pumps[at + 1 : at + 1 + ahead]:
                pump.start()
            # A source that was not started ahead is read without a task.
            iterator = aiter(source) if pumps[at].task is None else Branch(pumps[at], pumps[at].outlets[0])
            try:
                async for item in iterator:
                    yield item
            finally:
                await aclose(iterator)
    finally:
        started = [pump for pump in pumps if pump.task is not None]
        for pump in started:
            pump.detach(pump.outlets[0])
        await stop(pump.task for pump in started if pump.task is not None)
        for pump in started:
            pump.raise_failure()


@overload
def merge(*sources: AsyncIterable[T], stop_on_first: bool = False) -> AsyncGenerator[T, None]: ...
@overload
def merge(sources: Iterable[AsyncIterable[T]], /, *, stop_on_first: bool = False) -> AsyncGenerator[T, None]: ...
def merge(*sources: Any, stop_on_first: bool = False) -> AsyncGenerator[Any, None]:
    """The items of all sources as they come. The order within a source is kept.

    >>> import asyncio
    >>> from objectstreaming.flow import collect, from_iterable, merge
    >>> sorted(asyncio.run(collect(merge(from_iterable("ab"), from_iterable("cd")))))
    ['a', 'b', 'c', 'd']

    Each source runs in a task of its own and is at most one item ahead. The first error is raised as it is, after the
    items that came before it, and the other sources are stopped. If a source is cancelled from within, only that source
    ends.

    Args:
        *sources: the streams, or one iterable of them: `merge(senses)` is `merge(*senses)`.
        stop_on_first: end with the source that ends first; by default with the last.

    Raises:
        TypeError: A source is not a stream.
    """
    return _merge(streams_of(sources), stop_on_first)


async def _merge(sources: tuple[AsyncIterable[T], ...], stop_on_first: bool) -> AsyncGenerator[T, None]:
    junction: Junction[T] = Junction()
    ready = junction.ready
    running = len(sources)
    loop = asyncio.get_running_loop()
    try:
        for source in sources:
            junction.open(source)
        while running:
            if not ready:
                waiter = junction.waiter = loop.create_future()
                handed = await waiter
                if handed is not None:
                    yield handed[0]
                    continue
            lane = ready.popleft()
            if lane.full:
                yield lane.take()
            elif lane.error is not None:
                raise lane.error
            else:
                running -= 1
                if stop_on_first:
                    return
    finally:
        await junction.close()


def merge_latest(sources: Mapping[K, AsyncIterable[Any]], *, each: bool = False) -> AsyncGenerator[dict[K, Any], None]:
    """The latest item of each source, as a dict. There is one dict for every item of the first source.

    >>> import asyncio
    >>> from objectstreaming.flow import collect, from_iterable, merge_latest
    >>> frames, slides = from_iterable([1, 2], delay=0.01), from_iterable(["a"])
    >>> asyncio.run(collect(merge_latest({"frame": frames, "slide": slides})))[-1]
    {'frame': 2, 'slide': 'a'}

    A source that has given nothing yet has no key in it: None is an item like any other. An error of any source is
    raised. Every dict is a new object.

    Args:
        sources: each under the key that its items have in the dict.
        each: give a dict for every item of any source, and end with the last source. By default the first source alone
            decides: a dict for each of its items, and the end with its end.

    Raises:
        ValueError: There are no sources.
    """
    if not sources:
        raise ValueError("merge_latest needs at least one source")
    return _merge_latest(dict(sources), each)


async def _merge_latest(sources: dict[K, AsyncIterable[Any]], each: bool) -> AsyncGenerator[dict[K, Any], None]:
    junction: Junction[Any] = Junction()
    latest: dict[K, Any] = {}
    try:
        keys = {junction.open(source): key for key, source in sources.items()}
        first = junction.lanes[0]
        while keys:
            await junction.wait()
            lane = junction.ready.popleft()
            if lane.full:
                latest[keys[lane]] = lane.take()
                if each or lane is first:
                    yield {key: latest[key] for key in sources if key in latest}
            elif lane.error is not None:
                raise lane.error
            elif lane is first and not each:
                return
            else:
                del keys[lane]
    finally:
        await junction.close()
