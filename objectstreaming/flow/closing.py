"""How what was opened is closed: iterators, tasks, and results that may have to be awaited.

Every verb obeys the same three rules, and this room holds the one copy of each. A source is closed by whoever iterates
it, also on an early exit or a cancel. A task is cancelled *and waited for*, so that nothing runs on after a close. A
function given by the user may be sync or async, told by what it returned and not by how it was defined: a lambda that
returns a coroutine is awaited too.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any, TypeVar, cast

__all__ = ["aclose", "call", "stop"]

T = TypeVar("T")


async def aclose(iterator: AsyncIterator[Any]) -> None:
    """Close an async iterator, if it is of the kind that can be closed."""
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
    """Cancel tasks and wait until every one has ended, its cleanup run.

    A cancel of the caller that comes meanwhile is raised afterwards, as `asyncio.TaskGroup` does it: leaving earlier
    would leave the tasks behind.
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
