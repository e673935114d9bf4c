"""What the code of others, a synthesizer or a model, has given or raised, as a value.

An exception that is no `Exception` does harm where it is raised in a task: asyncio ends its event loop with a
`SystemExit`, and takes a `CancelledError` for the cancellation of the task, although nobody has cancelled it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from contextlib import aclosing
from typing import TypeVar

import msgspec

__all__ = ["Failed", "guarded", "guarded_items", "outcome"]

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
