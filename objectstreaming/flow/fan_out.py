"""One stream to several readers: split, partition.

The branches share one task. It starts when the first item is asked for, reads at most a few items ahead of the fastest
branch, and keeps for each branch the items that it has not read yet. That buffer is bounded. By default the others wait
for a branch that is 1,024 items behind, so read the branches at the same time (`asyncio.gather`, a task group). To read
them one after the other, choose `maxsize=None`: the whole stream is then in memory. To let a slow branch lose items,
choose another `when_full`.
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
    """Give every item to each of `n` branches, in order, however fast each is read.

    >>> import asyncio
    >>> from objectstreaming.flow import collect, from_iterable, split
    >>> async def main():
    ...     log, model = split(from_iterable(["hello", "world"]))
    ...     return await asyncio.gather(collect(log), collect(model))
    >>> asyncio.run(main())
    [['hello', 'world'], ['hello', 'world']]

    An error of the source is raised in every branch, after the items before it. A branch that is closed, or is no
    longer referenced, does not hold the others up any more. The last one closes the source.

    At most `min(32, maxsize)` items are read ahead of the fastest branch.

    Args:
        source: is read once, by a task, which starts when a branch is asked for its first item.
        n: how many branches.
        with_copy: give every branch a deep copy of its own, for readers that change the items.
        maxsize: how many items a branch may be behind the fastest one. `None`: no bound, which is needed to read one
            branch to its end before the next.
        when_full: what happens for a branch that is that far behind. `"wait"`: the fast ones wait for it, and a warning
            is logged if it is not read for 10 s. `"drop_oldest"`: it loses its oldest item; with `maxsize=1` it always
            sees the latest. `"fail"`: it gets what it has, then `BufferError`, and the others continue.

    Raises:
        ValueError: `n` or `maxsize` is less than 1.
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
    """Give each item to one of two branches: to the first if `predicate(item)` is true, otherwise to the second.

    >>> import asyncio
    >>> from objectstreaming.flow import collect, from_iterable, partition
    >>> async def main():
    ...     even, odd = partition(from_iterable([1, 2, 3, 4]), lambda n: n % 2 == 0)
    ...     return await asyncio.gather(collect(even), collect(odd))
    >>> asyncio.run(main())
    [[2, 4], [1, 3]]

    An error of the source or the predicate is raised in both branches, after the items before it. Items for a closed
    branch are dropped.

    Args:
        predicate: a function, sync or async, that is called once for each item.
        maxsize: as for `split`.
        when_full: as for `split`.

    Returns:
        The branch of the items for which it is true, and the other.
    """
    pump = Pump(source, 2, maxsize=maxsize, when_full=when_full, choose=predicate)
    true, false = pump.outlets
    return Branch(pump, true), Branch(pump, false)
