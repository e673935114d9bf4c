"""What every test of the flow verbs checks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest


@pytest.fixture(autouse=True)
async def no_task_is_left_running(anyio_backend: str) -> AsyncIterator[None]:
    yield
    left = [task for task in asyncio.all_tasks() if not task.done() and "TestRunner." not in repr(task)]
    assert left == []
