"""What the code of others, a synthesizer or a model, has given or raised, as a value.

An exception that is no `Exception` does harm where it is raised in a task: asyncio ends its event loop with a
`SystemExit`, and takes a `CancelledError` for the cancellation of the task, although nobody has cancelled it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Coroutine
from contextlib import aclosing
from typing import Any, Final, TypeVar

import msgspec

__all__ = ["Failed", "guarded", "guarded_items", "outcome", "outcome_within"]

GRACE: Final = 1.0
"""How many seconds are waited for what was cancelled."""
MOST_LEFT: Final = 8
"""How many calls may be left behind at a time, in the whole process."""
_left: Final[set[asyncio.Task[Any]]] = set()

T = TypeVar("T")


class Failed(msgspec.Struct, frozen=True):
    """The exception that came instead of a result."""

    error: BaseException


async def outcome(work: Awaitable[T]) -> T | Failed:
    """What `work` gives, or what it raises. Only the cancellation of the task that waits here is raised.

    >>> async def leave():
    ...     raise SystemExit(3)
    >>> asyncio.run(outcome(leave()))
    Failed(error=SystemExit(3))
    """
    try:
        return await work
    except GeneratorExit:
        raise
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        return Failed(RuntimeError("it was cancelled from within"))
    except BaseException as error:  # noqa: BLE001 - it is raised to the one who waits
        return Failed(error)


async def outcome_within(work: Coroutine[Any, Any, T], seconds: float) -> T | Failed:
    """As `outcome`, and `work` is cancelled when its time is over, or when the task that waits here is cancelled.

    Work that does not end then, because it swallows its cancellation, is left behind after a second. While eight are
    left behind, nothing more is begun.

    Raises:
        TimeoutError: The time is over.
    """
    _left.difference_update([task for task in _left if task.get_loop().is_closed()])
    if len(_left) >= MOST_LEFT:
        work.close()
        return Failed(RuntimeError(f"{len(_left)} calls that were cancelled have not ended yet"))
    task = asyncio.ensure_future(outcome(work))
    try:
        await asyncio.wait([task], timeout=seconds)
        if task.done():
            return task.result()
        raise TimeoutError
    finally:
        if not task.done():
            task.cancel()
            try:
                await asyncio.wait([task], timeout=GRACE)
            finally:
                if not task.done():
                    _left.add(task)
                    task.add_done_callback(_left.discard)


async def guarded(work: Awaitable[T]) -> T:
    """What `work` gives. What it raises and is no `Exception` comes as a `RuntimeError`."""
    result = await outcome(work)
    if not isinstance(result, Failed):
        return result
    if isinstance(result.error, Exception):
        raise result.error
    raise RuntimeError(f"ended by {result.error!r}") from result.error


async def guarded_items(items: AsyncIterator[T]) -> AsyncGenerator[T]:
    """The same items, which it closes at its end, and what they raise as `guarded` does.

    >>> async def model():
    ...     yield "One. "
    ...     raise SystemExit(3)
    >>> async def main():
    ...     async for token in guarded_items(model()):
    ...         print(token)
    >>> asyncio.run(main())
    Traceback (most recent call last):
        ...
    RuntimeError: ended by SystemExit(3)
    """
    async with aclosing(items):  # type: ignore[type-var]
        while True:
            try:
                item = await guarded(anext(items))
            except StopAsyncIteration:
                return
            yield item
