"""One stream in, one stream out, item by item: map, map_concurrent, filter, flatten, tap, enumerate.

A function given to one of these may be sync or async. If it returns an awaitable, that is awaited. A sync function runs
on the event loop, so it must not block.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Generator, Iterable
from inspect import iscoroutinefunction
from typing import Any, TypeVar, overload

from .closing import aclose, stop

__all__ = ["enumerate", "filter", "flatten", "map", "map_concurrent", "tap"]

T = TypeVar("T")
U = TypeVar("U")


@overload
def map(  # noqa: A001  the verb's name, in a namespace of its own
    source: AsyncIterable[T], function: Callable[[T], Awaitable[U]]
) -> AsyncGenerator[U, None]: ...
@overload
def map(source: AsyncIterable[T], function: Callable[[T], U]) -> AsyncGenerator[U, None]: ...  # noqa: A001
def map(source: AsyncIterable[Any], function: Callable[[Any], Any]) -> AsyncGenerator[Any, None]:  # noqa: A001
    """`function(item)` for every item, one after the other.

    >>> import asyncio
    >>> from objectstreaming.flow import collect, from_iterable, map
    >>> asyncio.run(collect(map(from_iterable(["A", "B"]), str.lower)))
    ['a', 'b']

    To drop items use `filter`: None is an item like any other.

    Args:
        function: sync or async; the next item waits for it.
    """
    return _map_async(source, function) if iscoroutinefunction(function) else _map(source, function)


async def _map(source: AsyncIterable[Any], function: Callable[[Any], Any]) -> AsyncGenerator[Any, None]:
    iterator = aiter(source)
    plain: type | None = None  # the last type that was not awaitable: the check costs more than the rest of the step
    try:
        async for item in iterator:
            result = function(item)
            if type(result) is not plain:
                if isinstance(result, Awaitable):
                    result = await result
                else:
                    plain = type(result)
            yield result
    finally:
        await aclose(iterator)


async def _map_async(
    source: AsyncIterable[Any], function: Callable[[Any], Awaitable[Any]]
) -> AsyncGenerator[Any, None]:
    iterator = aiter(source)
    try:
        async for item in iterator:
            yield await function(item)
    finally:
        await aclose(iterator)


def map_concurrent(
    source: AsyncIterable[T], function: Callable[[T], Awaitable[U]], limit: int = 16
) -> AsyncGenerator[U, None]:
    """`await function(item)` for several items at once. The results come in the order of the items.

    >>> import asyncio
    >>> from objectstreaming.flow import collect, from_iterable, map_concurrent
    >>> async def fetch(page):
    ...     await asyncio.sleep(0.01)
    ...     return page * 10
    >>> asyncio.run(collect(map_concurrent(from_iterable([1, 2, 3]), fetch)))
    [10, 20, 30]

    A call counts from its start until its result is read. So a slow reader, or a slow call whose turn it is, holds new
    calls back. A result is given as soon as all results before it are, however slow the source is. The error of a call
    is raised in its place. The calls after it are cancelled and awaited.

    Args:
        function: an async function.
        limit: how many calls run at once, at most.

    Raises:
        ValueError: `limit` is less than 1.
    """
    if limit < 1:
        raise ValueError(f"limit must be at least 1, not {limit}")
    return _map_concurrent(source, function, limit)


async def _map_concurrent(
    source: AsyncIterable[T], function: Callable[[T], Awaitable[U]], limit: int
) -> AsyncGenerator[U, None]:
    calls: deque[asyncio.Task[U]] = deque()
    free = asyncio.Semaphore(limit)
    changed = asyncio.Event()  # a call began, or the source came to its end

    async def call(item: T) -> U:
        return await function(item)

    async def begin_calls() -> None:
        iterator = aiter(source)
        try:
            await free.acquire()
            async for item in iterator:
                calls.append(asyncio.create_task(call(item)))
                changed.set()
                await free.acquire()
        finally:
            await aclose(iterator)

    starter = asyncio.create_task(begin_calls())
    starter.add_done_callback(lambda _: changed.set())
    try:
        while True:
            if calls:
                result = await calls[0]
                calls.popleft()
                free.release()
                yield result
            elif starter.done():
                starter.result()
                return
            else:
                changed.clear()
                await changed.wait()
    finally:
        running = not starter.done()
        await stop([starter])  # first, so that no more calls begin
        await stop(calls)
        for ended in calls:
            if not ended.cancelled():
                ended.exception()  # retrieved, so that asyncio does not log it: the first error in order is raised
        if not starter.cancelled() and (error := starter.exception()) is not None and running:
            raise error


def filter(  # noqa: A001
    source: AsyncIterable[T], predicate: Callable[[T], object] | Callable[[T], Awaitable[object]]
) -> AsyncGenerator[T, None]:
    """The items for which `predicate(item)` is true.

    >>> import asyncio
    >>> from objectstreaming.flow import collect, filter, from_iterable
    >>> asyncio.run(collect(filter(from_iterable(range(6)), lambda n: n % 2)))
    [1, 3, 5]

    Args:
        predicate: a function, sync or async.
    """
    return _filter(source, predicate)


async def _filter(source: AsyncIterable[T], predicate: Callable[[T], Any]) -> AsyncGenerator[T, None]:
    iterator = aiter(source)
    try:
        async for item in iterator:
            keep = predicate(item)
            if keep is True or (keep is not False and (await keep if isinstance(keep, Awaitable) else keep)):
                yield item
    finally:
        await aclose(iterator)


async def flatten(source: AsyncIterable[Iterable[T] | AsyncIterable[T]]) -> AsyncGenerator[T, None]:
    """The items of each item. An item may be an iterable or an async iterable.

    >>> import asyncio
    >>> from objectstreaming.flow import collect, flatten, from_iterable
    >>> asyncio.run(collect(flatten(from_iterable([[1, 2], from_iterable([3])]))))
    [1, 2, 3]

    Each inner one is closed before the next begins.
    """
    outer = aiter(source)
    try:
        async for items in outer:
            if isinstance(items, AsyncIterable):
                inner = aiter(items)
                try:
                    async for item in inner:
                        yield item
                finally:
                    await aclose(inner)
            else:
                plain = iter(items)
                try:
                    for item in plain:
                        yield item
                finally:
                    if isinstance(plain, Generator):
                        plain.close()
    finally:
        await aclose(outer)


async def tap(
    source: AsyncIterable[T], function: Callable[[T], object] | Callable[[T], Awaitable[object]]
) -> AsyncGenerator[T, None]:
    """Every item unchanged, after `function(item)` was called: to log, to count, to measure.

    >>> import asyncio
    >>> from objectstreaming.flow import drain, from_iterable, tap
    >>> asyncio.run(drain(tap(from_iterable("ab"), print)))
    a
    b
    2

    Args:
        function: sync or async; what it returns is not looked at.
    """
    iterator = aiter(source)
    try:
        async for item in iterator:
            result = function(item)
            if result is not None and isinstance(result, Awaitable):
                await result
            yield item
    finally:
        await aclose(iterator)


async def enumerate(source: AsyncIterable[T], start: int = 0) -> AsyncGenerator[tuple[int, T], None]:  # noqa: A001
    """Pairs of number and item.

    >>> import asyncio
    >>> from objectstreaming.flow import collect, enumerate, from_iterable
    >>> asyncio.run(collect(enumerate(from_iterable("ab"), start=1)))
    [(1, 'a'), (2, 'b')]

    Args:
        start: the first number.
    """
    iterator = aiter(source)
    number = start
    try:
        async for item in iterator:
            yield number, item
            number += 1
    finally:
        await aclose(iterator)
