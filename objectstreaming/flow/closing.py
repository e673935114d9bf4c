"""Closing iterators, stopping tasks, and calling functions that may be sync or async.

Every verb keeps three rules, and each has its one implementation here. Whoever iterates a source closes it, also on an
early exit or a cancel. A task is cancelled *and waited for*, so that nothing is left running after a close. A function
of the user may be sync or async. What it returned decides, not how it was defined: a lambda that returns a coroutine is
awaited too.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any, TypeVar, cast

__all__ = ["aclose", "call", "stop"]

T = TypeVar("T")


async def aclose(iterator: AsyncIterator[Any]) -> None:
    """Close an async iterator, if it can be closed."""
    close = getattr(iterator, "aclose", None)
    if close is not None:
        await close()


async def call(function: Callable[..., T | Awaitable[T]], *arguments: Any) -> T:
    """Call a function that may be sync or async."""
    result = function(*arguments)
    if isinstance(result, Awaitable):
        return cast("T", await result)
    return result


async def stop(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks and wait until every one has ended and has run its cleanup.

    If the caller is cancelled meanwhile, that is raised afterwards, as `asyncio.TaskGroup` does: otherwise the tasks
    would be left running.
    """
    waiting = {task for task in tasks if not task.done()}
    for task in waiting:
        task.cancel()
    cancelled: asyncio.CancelledError | None = None
    while waiting:
        try:
            _, waiting = await asyncio.wait(waiting)
        except asyncio.CancelledError as error:
            cancelled = error
            waiting = {task for task in waiting if not task.done()}
    if cancelled is not None:
        raise cancelled
