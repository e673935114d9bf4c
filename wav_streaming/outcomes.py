"""What the code of others, a synthesizer or a model, has given or raised, as a value.

An exception that is no `Exception` does harm where it is raised in a task: asyncio ends its event loop with a
`SystemExit`, and takes a `CancelledError` for the cancellation of the task, although nobody has cancelled it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

import msgspec

__all__ = ["Failed", "outcome"]

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
