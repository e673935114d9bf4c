"""Waiting in tests: for events and conditions, with a deadline that only a test which fails ever reaches."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final

DEADLINE: Final = 60.0
"""Seconds. Long, because on a busy machine a thread may get its turn late."""

_PAUSE: Final = 0.002


async def until(condition: Callable[[], object]) -> None:
    """Let other tasks and threads run until the condition holds. For what no event announces."""
    async with asyncio.timeout(DEADLINE):
        while not condition():  # noqa: ASYNC110  no event announces it
            await asyncio.sleep(_PAUSE)


def wait_until(condition: Callable[[], object]) -> None:
    """`until` for a test without an event loop."""
    latest = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < latest, "the condition does not come true"
        time.sleep(_PAUSE)


async def is_stuck(task: asyncio.Future[Any]) -> bool:
    """Whether a task waits although everything it could wait for had its turn.

    For tests whose both ends run in this event loop: the loop's turns are counted, not seconds, so that a busy machine
    does not make a task look stuck that is only slow.
    """
    for _ in range(_MANY_TURNS):
        await asyncio.sleep(0.001)
        if task.done():
            return False
    return True


async def repeat_until_stuck(call: Callable[[int], Coroutine[Any, Any, object]], *, most: int = 1_000) -> int:
    """Await `call(0)`, `call(1)`, ... until one is stuck; it is cancelled. How many were not. Fails if none of `most`
    is."""
    for number in range(most):
        calling = asyncio.ensure_future(call(number))
        if await is_stuck(calling):
            calling.cancel()
            await asyncio.wait([calling])
            return number
        await calling
    raise AssertionError(f"none of {most} calls waits")


_MANY_TURNS: Final = 150
