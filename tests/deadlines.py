"""Waiting in tests: for events and conditions, with a deadline that only a test which fails ever reaches."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

DEADLINE: Final = 60.0
"""Seconds. Long, because on a busy machine a thread may get its turn late."""

_PAUSE: Final = 0.002


async def until(condition: Callable[[], object]) -> None:
    """Let other tasks and threads run until the condition holds. For what no event announces."""
    async with asyncio.timeout(DEADLINE):
        while not condition():
            await asyncio.sleep(_PAUSE)


def wait_until(condition: Callable[[], object]) -> None:
    """`until` for a test without an event loop."""
    latest = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < latest, "the condition does not come true"
        time.sleep(_PAUSE)
