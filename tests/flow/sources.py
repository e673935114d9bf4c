"""Sources that record what is done to them, for the tests of `objectstreaming.flow`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Coroutine, Iterable
from contextlib import aclosing
from typing import Any

from fake_clock import FakeClock


class Source:
    """A source that records what it gave, and whether it began, was cancelled and was closed."""

    def __init__(
        self, items: Iterable[Any] = (), error: BaseException | None = None, turns: int = 0, then_silent: bool = False
    ) -> None:
        self.items, self.error, self.turns, self.then_silent = items, error, turns, then_silent
        self.begun = self.closed = self.cancelled = False
        self.given: list[Any] = []
        self.stream = self._stream()

    def __aiter__(self) -> AsyncIterator[Any]:
        return self.stream

    async def _stream(self) -> AsyncIterator[Any]:
        self.begun = True
        try:
            for item in self.items:
                for _ in range(self.turns):
                    await asyncio.sleep(0)
                self.given.append(item)
                yield item
            if self.error is not None:
                raise self.error
            if self.then_silent:
                await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        finally:
            try:
                await asyncio.sleep(0)  # a cleanup that takes some time is waited for
            finally:
                self.closed = True


def run(main: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """Run on a fake clock, and check that no task is left."""

    async def checked() -> Any:
        result = await main()
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return result

    with asyncio.Runner(loop_factory=FakeClock) as runner:
        return runner.run(checked())


async def cancel(task: asyncio.Task[Any]) -> None:
    """Cancel a task, which must then end as cancelled."""
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()


async def turns(count: int = 10) -> None:
    """Let the event loop run `count` times."""
    for _ in range(count):
        await asyncio.sleep(0)


async def read(stream: AsyncIterable[Any], paces: list[int] | None = None, limit: int | None = None) -> list[Any]:
    """Read the items; an error is the last one. Leaves after `limit` items.

    `paces`: how many turns of the loop to wait before each item, in rotation.
    """
    got: list[Any] = []
    async with aclosing(aiter(stream)) as items:  # type: ignore[type-var]
        try:
            while limit is None or len(got) < limit:
                await turns(paces[len(got) % len(paces)] if paces else 0)
                got.append(await anext(items))
        except StopAsyncIteration:
            pass
        except Exception as error:  # noqa: BLE001  the tests look at it
            got.append(error)
    return got
