"""Sources and sinks in memory: from_iterable, endless; collect, drain."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Generator, Iterable
from typing import Any, Final, NoReturn, TypeVar

from .closing import aclose

__all__ = ["collect", "drain", "endless", "from_iterable"]

T = TypeVar("T")

_NOTHING: Final[tuple[Any, ...]] = ()


async def from_iterable(
    items: Iterable[T], delay: float | None = None, *, delay_first: bool = False, delay_end: bool = True
) -> AsyncGenerator[T, None]:
    """The items of an iterable, one after the other.

    >>> import asyncio
    >>> from objectstreaming.flow import collect, from_iterable
    >>> asyncio.run(collect(from_iterable("abc")))
    ['a', 'b', 'c']

    Read a blocking generator on a thread of its own.

    Args:
        items: must not block. A generator is closed on an early exit.
        delay: seconds to sleep between items; 0 lets other tasks run after each item. `None`: no other
            task runs between items.
        delay_first: whether to sleep before the first item too.
        delay_end: whether to sleep after the last item too.
    """
    iterator = iter(items)
    pause = delay is not None and delay_first
    try:
        if delay is None:
            for item in iterator:
                yield item
            return
        for item in iterator:
            if pause:
                await asyncio.sleep(delay)
            pause = True
            yield item
        if delay_end:
            await asyncio.sleep(delay)
    finally:
        if isinstance(iterator, Generator):
            iterator.close()


async def endless() -> AsyncGenerator[NoReturn, None]:
    """A stream without items that ends only when it is cancelled. It keeps a flow running without input.

    >>> import asyncio
    >>> from objectstreaming.flow import endless, timeout
    >>> async def main():
    ...     async for _ in timeout(endless(), 0.01):
    ...         print("never")
    >>> asyncio.run(main())
    Traceback (most recent call last):
    TimeoutError: no item within 0.01 s
    """
    await asyncio.get_running_loop().create_future()
    for nothing in _NOTHING:
        yield nothing


async def collect(source: AsyncIterable[T]) -> list[T]:
    """All items, as a list. The whole stream is held in memory.

    >>> import asyncio
    >>> from objectstreaming.flow import collect, from_iterable
    >>> asyncio.run(collect(from_iterable([1, None, 2])))
    [1, None, 2]
    """
    iterator = aiter(source)
    try:
        return [item async for item in iterator]
    finally:
        await aclose(iterator)


async def drain(source: AsyncIterable[Any]) -> int:
    """Read to the end and keep nothing. Returns the number of items.

    >>> import asyncio
    >>> from objectstreaming.flow import drain, from_iterable
    >>> asyncio.run(drain(from_iterable("abc")))
    3
    """
    iterator = aiter(source)
    count = 0
    try:
        async for _ in iterator:
            count += 1
    finally:
        await aclose(iterator)
    return count
