"""Streams into queues and out of them: enqueue, dequeue.

The end of a stream has to pass through the queue. It is None, as in most programs that use queues so, and an item that
is None passes as a private object. So no item can be taken for the end. An error of the source passes as a private
object too. If only one side uses this module, `end` says which object is the end for both sides, and nothing else is
put. It is compared by identity, not by equality.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable
from typing import Any, Final, TypeVar

from .closing import aclose

__all__ = ["dequeue", "enqueue"]

T = TypeVar("T")


class _Failure:
    """The end of a stream that failed with `error`."""

    __slots__ = ("error",)

    def __init__(self, error: Exception) -> None:
        self.error = error


_NONE_ITEM: Final = object()
_NOT_GIVEN: Final = object()


async def enqueue(source: AsyncIterable[T], queue: asyncio.Queue[T], *, end: object = _NOT_GIVEN) -> None:
    """Put every item into the queue, then the end. Waits while the queue is full.

    >>> import asyncio
    >>> from objectstreaming.flow import collect, dequeue, enqueue, from_iterable
    >>> async def main():
    ...     queue = asyncio.Queue(maxsize=1)
    ...     writing = asyncio.create_task(enqueue(from_iterable("ab"), queue))
    ...     return await collect(dequeue(queue)), await writing
    >>> asyncio.run(main())
    (['a', 'b'], None)

    An error of the source is raised here and, unless `end` was given, by `dequeue` too, after the items before it. A
    given `end` is put after an error too, so that no reader waits for ever. When this is cancelled it does not wait for
    room: in a full queue the end replaces the newest item, because the stream is broken in any case, and `dequeue`
    raises `EOFError`.

    Args:
        source: an error of it is raised here too.
        queue: a bounded one holds the source back.
        end: the object that marks the end; by default `None`.
    """
    iterator = aiter(source)
    marked: asyncio.Queue[Any] = queue  # also carries the end
    private = end is _NOT_GIVEN
    mark: object = None if private else end
    failure: Exception | None = None
    try:
        try:
            try:
                async for item in iterator:
                    await marked.put(_NONE_ITEM if private and item is None else item)
            finally:
                await aclose(iterator)
        except Exception as error:  # noqa: BLE001  raised below, after the reader has the end
            failure = error
            if private:
                mark = _Failure(error)
        await marked.put(mark)
    except asyncio.CancelledError:
        if private and mark is None:
            mark = _Failure(EOFError("the writer of the queue was cancelled before its end"))
        _put_in_any_case(marked, mark)
        raise
    if failure is not None:
        raise failure


def _put_in_any_case(queue: asyncio.Queue[Any], mark: object) -> None:
    if queue.full():
        kept = [queue.get_nowait() for _ in range(queue.qsize())][:-1]
        for item in kept:
            queue.put_nowait(item)
            queue.task_done()
        queue.put_nowait(mark)
        queue.task_done()
    else:
        queue.put_nowait(mark)


async def dequeue(queue: asyncio.Queue[T], *, end: object = _NOT_GIVEN) -> AsyncGenerator[T, None]:
    """The items of a queue up to its end. Calls `task_done()` for each.

    >>> import asyncio
    >>> from objectstreaming.flow import collect, dequeue
    >>> async def main():
    ...     queue = asyncio.Queue()
    ...     for item in ("a", "b", None):
    ...         queue.put_nowait(item)
    ...     return await collect(dequeue(queue))
    >>> asyncio.run(main())
    ['a', 'b']

    Args:
        queue: is read by this alone.
        end: the object that marks the end; by default `None`.

    Raises:
        Exception: The error that the source of `enqueue` raised.
    """
    arrivals: asyncio.Queue[Any] = queue
    mark = None if end is _NOT_GIVEN else end
    while True:
        item: Any = await arrivals.get()
        queue.task_done()
        if item is mark:
            return
        if isinstance(item, _Failure):
            raise item.error
        if item is _NONE_ITEM:
            item = None
        yield item
