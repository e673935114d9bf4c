"""`objectstreaming.flow` beside its peers: map, split and merge. A message is an item.

Peers that are not installed are left out (`pip install asyncstdlib aiostream genai-processors`). `ready` is a source
that never waits; `waiting` yields to the event loop once an item, as a socket does. `bare` is an async generator that
does the same job with nothing around it. For split and merge it is only just correct, and only for these sources: it
has no cancellation, errors, bounds or early exits.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any

from objectstreaming import flow

Source = Callable[[int], AsyncIterator[int]]
Run = Callable[[int], Awaitable[int]]
"""Moves so many items, and gives how many came out."""

PEERS = ("bare", "asyncstdlib", "aiostream", "genai", "genai bounded")


async def ready(count: int) -> AsyncIterator[int]:
    for item in range(count):
        yield item


async def waiting(count: int) -> AsyncIterator[int]:
    for item in range(count):
        await asyncio.sleep(0)
        yield item


async def read(stream: AsyncIterable[Any]) -> int:
    count = 0
    async for _ in stream:
        count += 1
    return count


async def read_all(*streams: AsyncIterable[Any]) -> int:
    return sum(await asyncio.gather(*map(read, streams)))


def step(item: int) -> int:
    return item + 1


async def async_step(item: int) -> int:
    return item + 1


async def bare_map(source: AsyncIterable[int]) -> AsyncIterator[int]:
    async for item in source:
        yield step(item)


async def bare_async_map(source: AsyncIterable[int]) -> AsyncIterator[int]:
    async for item in source:
        yield await async_step(item)


def bare_split(source: AsyncIterator[int]) -> list[AsyncIterator[int]]:
    buffers: list[deque[int]] = [deque(), deque()]
    pulling = asyncio.Lock()

    async def branch(mine: deque[int]) -> AsyncIterator[int]:
        while True:
            if not mine:
                async with pulling:
                    if not mine:
                        try:
                            item = await anext(source)
                        except StopAsyncIteration:
                            return
                        for buffer in buffers:
                            buffer.append(item)
            yield mine.popleft()

    return [branch(buffer) for buffer in buffers]


async def bare_merge(*sources: AsyncIterable[int]) -> AsyncIterator[int]:
    queue: asyncio.Queue[Any] = asyncio.Queue()

    async def pump(source: AsyncIterable[int]) -> None:
        async for item in source:
            queue.put_nowait(item)
        queue.put_nowait(queue)

    tasks = [asyncio.create_task(pump(source)) for source in sources]
    running = len(tasks)
    while running:
        item = await queue.get()
        if item is queue:
            running -= 1
        else:
            yield item


def jobs(source: Source) -> dict[str, dict[str, Run]]:
    """job -> contender -> what is measured"""

    def sources(count: int, ways: int) -> list[AsyncIterator[int]]:
        return [source(count // ways) for _ in range(ways)]

    found: dict[str, dict[str, Run]] = {
        "map": {
            "ours": lambda n: read(flow.map(source(n), step)),
            "bare": lambda n: read(bare_map(source(n))),
        },
        "map async": {
            "ours": lambda n: read(flow.map(source(n), async_step)),
            "bare": lambda n: read(bare_async_map(source(n))),
        },
        "split 2": {
            "ours": lambda n: read_all(*flow.split(source(n))),
            "bare": lambda n: read_all(*bare_split(source(n))),
        },
    }
    for ways in (2, 8):
        found[f"merge {ways}"] = {
            "ours": lambda n, ways=ways: read(flow.merge(*sources(n, ways))),
            "bare": lambda n, ways=ways: read(bare_merge(*sources(n, ways))),
        }
    with suppress(ImportError):
        import asyncstdlib

        found["map"]["asyncstdlib"] = lambda n: read(asyncstdlib.map(step, source(n)))
        found["map async"]["asyncstdlib"] = lambda n: read(asyncstdlib.map(async_step, source(n)))
        # Without a lock its tee breaks when a branch pulls while another waits for the source.
        found["split 2"]["asyncstdlib"] = lambda n: read_all(*asyncstdlib.tee(source(n), lock=asyncio.Lock()))
    with suppress(ImportError):
        from aiostream import stream

        async def streamed(made: Any) -> int:
            async with made.stream() as streamer:
                return await read(streamer)

        found["map"]["aiostream"] = lambda n: streamed(stream.map(source(n), step))
        found["map async"]["aiostream"] = lambda n: streamed(stream.map(source(n), async_step, task_limit=1))
        for ways in (2, 8):
            found[f"merge {ways}"]["aiostream"] = lambda n, ways=ways: streamed(stream.merge(*sources(n, ways)))
    with suppress(ImportError):
        from genai_processors import context, streams

        async def split(count: int) -> int:
            async with context.context():
                return await read_all(*streams.split(source(count)))

        found["split 2"]["genai"] = split
        for ways in (2, 8):
            found[f"merge {ways}"]["genai"] = lambda n, ways=ways: read(streams.merge(*sources(n, ways)))
            # Bounded as ours is: one item in flight for each source. Without a bound whole sources are queued first.
            found[f"merge {ways}"]["genai bounded"] = lambda n, ways=ways: read(
                streams.merge(*sources(n, ways), queue_maxsize=ways)
            )
    return found


def cases(items: int) -> dict[str, tuple[Callable[[], Any], int]]:
    runner = asyncio.Runner()

    async def checked(run: Run) -> None:
        moved = await run(items)
        assert moved % items == 0, f"{moved} of {items} items"  # split counts those of each branch

    return {
        f"flow/{job}, {source.__name__}/-/{name}": (lambda run=run: runner.run(checked(run)), items)
        for source in (ready, waiting)
        for job, runs in jobs(source).items()
        for name, run in runs.items()
    }
