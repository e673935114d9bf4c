"""How fast `objectstreaming.flow` moves items, beside its peers: map, split and merge.

    python benchmarks/flow.py [items] [rounds]

Peers that are not installed are left out (`pip install asyncstdlib aiostream genai-processors`). Every round runs every
contender once, in turn, so that a noisy moment hits all of them; the medians are compared. `x` is the peer's time over
ours: more than 1, and ours is the faster.

`ready` is a source that never waits, `waiting` one that lets the event loop go round once an item, as a socket does.
Beside each stands a bare async generator that does the same with nothing around it; for split and merge it is the least
that is right for these sources alone: it drops what cancellation, errors, bounds and early exits ask for.
"""

from __future__ import annotations

import asyncio
import gc
import statistics
import sys
import time
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from typing import Any

from objectstreaming import flow

Run = Callable[[int], Awaitable[int]]


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


def contenders() -> dict[str, dict[str, Run]]:
    """What is measured: row -> contender -> a function that moves so many items."""
    rows: dict[str, dict[str, Run]] = {}
    for kind in (ready, waiting):
        rows[f"map, {kind.__name__}"] = {
            "ours": lambda n, kind=kind: read(flow.map(kind(n), step)),
            "bare": lambda n, kind=kind: read(bare_map(kind(n))),
        }
        rows[f"map async, {kind.__name__}"] = {
            "ours": lambda n, kind=kind: read(flow.map(kind(n), async_step)),
            "bare": lambda n, kind=kind: read(bare_async_map(kind(n))),
        }
        rows[f"split 2, {kind.__name__}"] = {
            "ours": lambda n, kind=kind: read_all(*flow.split(kind(n))),
            "bare": lambda n, kind=kind: read_all(*bare_split(kind(n))),
        }
        rows[f"merge 2, {kind.__name__}"] = {
            "ours": lambda n, kind=kind: read(flow.merge(kind(n // 2), kind(n // 2))),
            "bare": lambda n, kind=kind: read(bare_merge(kind(n // 2), kind(n // 2))),
        }
        rows[f"merge 8, {kind.__name__}"] = {
            "ours": lambda n, kind=kind: read(flow.merge(*(kind(n // 8) for _ in range(8)))),
            "bare": lambda n, kind=kind: read(bare_merge(*(kind(n // 8) for _ in range(8)))),
        }
        add_asyncstdlib(rows, kind)
        add_aiostream(rows, kind)
        add_genai(rows, kind)
    return rows


def add_asyncstdlib(rows: dict[str, dict[str, Run]], kind: Callable[[int], AsyncIterator[int]]) -> None:
    try:
        import asyncstdlib
    except ImportError:
        return
    name = kind.__name__
    rows[f"map, {name}"]["asyncstdlib"] = lambda n: read(asyncstdlib.map(step, kind(n)))
    rows[f"map async, {name}"]["asyncstdlib"] = lambda n: read(asyncstdlib.map(async_step, kind(n)))
    # Without a lock its tee breaks when a branch pulls while another waits for the source.
    rows[f"split 2, {name}"]["asyncstdlib"] = lambda n: read_all(*asyncstdlib.tee(kind(n), lock=asyncio.Lock()))


def add_aiostream(rows: dict[str, dict[str, Run]], kind: Callable[[int], AsyncIterator[int]]) -> None:
    try:
        from aiostream import stream
    except ImportError:
        return
    name = kind.__name__

    async def streamed(made: Any) -> int:
        async with made.stream() as streamer:
            return await read(streamer)

    rows[f"map, {name}"]["aiostream"] = lambda n: streamed(stream.map(kind(n), step))
    rows[f"map async, {name}"]["aiostream"] = lambda n: streamed(stream.map(kind(n), async_step, task_limit=1))
    rows[f"merge 2, {name}"]["aiostream"] = lambda n: streamed(stream.merge(kind(n // 2), kind(n // 2)))
    rows[f"merge 8, {name}"]["aiostream"] = lambda n: streamed(stream.merge(*(kind(n // 8) for _ in range(8))))


def add_genai(rows: dict[str, dict[str, Run]], kind: Callable[[int], AsyncIterator[int]]) -> None:
    try:
        from genai_processors import context, streams
    except ImportError:
        return
    name = kind.__name__

    async def split(count: int) -> int:
        async with context.context():
            return await read_all(*streams.split(kind(count)))

    rows[f"split 2, {name}"]["genai"] = split
    rows[f"merge 2, {name}"]["genai"] = lambda n: read(streams.merge(kind(n // 2), kind(n // 2)))
    rows[f"merge 8, {name}"]["genai"] = lambda n: read(streams.merge(*(kind(n // 8) for _ in range(8))))
    # As bounded as ours: one item in flight a source. Without it the queue takes in whole sources before the reader.
    for ways in (2, 8):
        rows[f"merge {ways}, {name}"]["genai bounded"] = lambda n, ways=ways: read(
            streams.merge(*(kind(n // ways) for _ in range(ways)), queue_maxsize=ways)
        )


async def seconds(run: Run, items: int) -> float:
    gc.collect()
    start = time.perf_counter()
    moved = await run(items)
    taken = time.perf_counter() - start
    assert moved % items == 0, f"{moved} of {items} items"  # split counts each branch's
    return taken


async def main(items: int, rounds: int) -> None:
    rows = contenders()
    times: dict[tuple[str, str], list[float]] = {}
    for _ in range(rounds):
        for row, runs in rows.items():
            for name, run in runs.items():
                times.setdefault((row, name), []).append(await seconds(run, items))
    peers = ["bare", "asyncstdlib", "aiostream", "genai", "genai bounded"]
    print(f"{items} items, median of {rounds} rounds; ns an item, and each peer's time over ours\n")
    print(f"{'':22}{'ours':>8}" + "".join(f"{peer:>20}" for peer in peers))
    for row, runs in rows.items():
        ours = statistics.median(times[row, "ours"])
        line = f"{row:22}{ours / items * 1e9:8.0f}"
        for peer in peers:
            if peer in runs:
                theirs = statistics.median(times[row, peer])
                line += f"{theirs / items * 1e9:11.0f} {theirs / ours:7.2f}x"
            else:
                line += f"{'-':>20}"
        print(line)


if __name__ == "__main__":
    asyncio.run(main(*(int(argument) for argument in (sys.argv[1:] + ["20000", "9"][len(sys.argv) - 1 :]))))
