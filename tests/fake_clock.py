"""An event loop with a clock of its own, for tests of what happens after a while."""

from __future__ import annotations

import asyncio
import selectors
from typing import Any

import pytest

__all__ = ["FakeClock", "on_a_fake_clock"]


class FakeClock(asyncio.SelectorEventLoop):
    """An event loop whose clock jumps to the next timer whenever nothing is ready: an hour takes no time.

    For tests that run in this loop alone: it does not wait for threads or other processes.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self.jumps = 0
        loop = self

        class Jump(selectors.DefaultSelector):  # type: ignore[valid-type,misc]
            def select(self, timeout: float | None = None) -> Any:
                found = super().select(0 if timeout is not None else None)
                if not found and timeout:
                    loop.now += timeout
                    loop.jumps += 1
                return found

        super().__init__(Jump())

    def time(self) -> float:
        return self.now


on_a_fake_clock = pytest.mark.parametrize(
    "anyio_backend", [pytest.param(("asyncio", {"loop_factory": FakeClock}), id="fake clock")]
)
"""Runs an asynchronous test in a `FakeClock`."""
