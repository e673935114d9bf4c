"""One stream to several readers: split, partition.

The branches share one task, which starts at the first pull, reads at most a few items ahead of the fastest branch, and
keeps for each branch what it has not yet read. That buffer is bounded. By default a branch that is 1,024 items behind
makes the others wait for it, so the branches are to be read at the same time (`asyncio.gather`, a task group). To read
them one after the other, choose `maxsize=None` and hold the whole stream in memory; to let a slow branch lose, choose
another `when_full`.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable
from typing import TypeVar

from .pump import MAXSIZE, Branch, Pump, WhenFull

__all__ = ["partition", "split"]

T = TypeVar("T")


def split(
    source: AsyncIterable[T],
    n: int = 2,
    with_copy: bool = False,
    *,
    maxsize: int | None = MAXSIZE,
    when_full: WhenFull = "wait",
) -> tuple[Branch[T], ...]:
    """Give every item to every one of `n` branches, in order, whatever their paces.

    >>> import asyncio
    >>> from objectstreaming.flow import collect, from_iterable, split
    >>> async def main():
    ...     log, model = split(from_iterable(["hello", "world"]))
    ...     return await asyncio.gather(collect(log), collect(model))
    >>> asyncio.run(main())
    [['hello', 'world'], ['hello', 'world']]

    `with_copy`: every branch gets a deep copy of its own, for readers that change what they read. An error of the
    source is raised in every branch, after the items before it. A branch that is closed, or dropped, frees the others
    of it; the last one closes the source.

    `maxsize` is the number of items a branch may lag behind the fastest, `None` for no bound: needed to read one
    branch to its end before the next. `when_full` says what becomes of an item for a branch that lags that far:
    `"wait"`: the fast ones wait for it, and a warning is logged if it is not read for 10 s; `"drop_oldest"`: it loses
    its oldest item (`maxsize=1`: it always sees the latest); `"fail"`: it gets what it has, then `BufferError`, and
    the others go on.

    At most `min(32, maxsize)` items are read ahead of the fastest branch. Raises `ValueError` if n < 1 or maxsize < 1.
    """
    if n < 1:
        raise ValueError(f"cannot split a stream into {n} branches")
    pump = Pump(source, n, maxsize=maxsize, when_full=when_full, with_copy=with_copy)
    return tuple(Branch(pump, outlet) for outlet in pump.outlets)


def partition(
    source: AsyncIterable[T],
    predicate: Callable[[T], object] | Callable[[T], Awaitable[object]],
    *,
    maxsize: int | None = MAXSIZE,
    when_full: WhenFull = "wait",
) -> tuple[Branch[T], Branch[T]]:
    """Give each item to one of two branches: the first if `predicate(item)` is true, else the second.

    >>> import asyncio
    >>> from objectstreaming.flow import collect, from_iterable, partition
    >>> async def main():
    ...     even, odd = partition(from_iterable([1, 2, 3, 4]), lambda n: n % 2 == 0)
    ...     return await asyncio.gather(collect(even), collect(odd))
    >>> asyncio.run(main())
    [[2, 4], [1, 3]]

    The predicate may be sync or async; it is called once an item. An error of it, or of the source, is raised in both
    branches, after the items before it. Items for a closed branch are dropped. `maxsize` and `when_full` are those of
    `split`.
    """
    pump = Pump(source, 2, maxsize=maxsize, when_full=when_full, choose=predicate)
    true, false = pump.outlets
    return Branch(pump, true), Branch(pump, false)
