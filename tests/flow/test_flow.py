"""The promises of every verb of `objectstreaming.flow`: lazy, closed, honest. Each test runs with every verb."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from deadlines import until
from sources import Source, cancel, read, run, turns

from objectstreaming import flow


async def same(item: Any) -> Any:
    return item


def only(item: Any) -> AsyncIterable[Any]:
    return flow.from_iterable([item])


# Every verb, each used so that the same items come out as went in.
VERBS: dict[str, Callable[[AsyncIterable[Any]], Any]] = {
    "buffer": lambda s: flow.buffer(s, 2),
    "concat": lambda s: flow.concat(s),
    "concat first of two": lambda s: flow.concat(s, flow.from_iterable(())),
    "concat second of two": lambda s: flow.concat(flow.from_iterable(()), s),
    "concat of a list": lambda s: flow.concat([s]),
    "concat in sequence": lambda s: flow.concat(flow.from_iterable(()), s, prefetch=0),
    "enumerate": lambda s: flow.map(flow.enumerate(s), lambda pair: pair[1]),
    "filter": lambda s: flow.filter(s, lambda item: True),
    "flatten": lambda s: flow.flatten(flow.map(s, lambda item: [item])),
    "flatten of async": lambda s: flow.flatten(flow.map(s, only)),
    "map": lambda s: flow.map(s, lambda item: item),
    "map async": lambda s: flow.map(s, same),
    "map_concurrent": lambda s: flow.map_concurrent(s, same, limit=2),
    "merge": lambda s: flow.merge(s),
    "merge of two": lambda s: flow.merge(s, flow.from_iterable(())),
    "merge of a list": lambda s: flow.merge([s, flow.from_iterable(())]),
    "merge_latest": lambda s: flow.map(flow.merge_latest({"it": s}), lambda latest: latest["it"]),
    "on_silence": lambda s: flow.on_silence(s, 3600, lambda: "nothing was said"),
    "partition": lambda s: flow.partition(s, lambda item: True)[0],
    "rate_limit": lambda s: flow.rate_limit(s, rate=1e9),
    "recover": lambda s: flow.recover(s, KeyError, lambda error: None),
    "split": lambda s: flow.split(s)[0],
    "split in one": lambda s: flow.split(s, 1)[0],
    "switch": lambda s: flow.switch(_slowly(s), only),
    "switch with outputs": lambda s: flow.switch(_slowly(s), lambda stream: stream, outputs=1)[0],
    "tap": lambda s: flow.tap(s, lambda item: None),
    "timeout": lambda s: flow.timeout(s, 3600),
    "until": lambda s: flow.until(s, asyncio.Event()),
}


async def _slowly(source: AsyncIterable[Any]) -> AsyncIterator[Any]:
    """Slowly enough for a switch to give all of each sub-flow before the next item."""
    async with aclosing(aiter(source)) as items:  # type: ignore[type-var]
        async for item in items:
            yield item
            await turns(20)


every_verb = pytest.mark.parametrize("verb", VERBS.values(), ids=VERBS.keys())


@every_verb
async def test_nothing_runs_before_the_first_pull(verb: Any) -> None:
    source = Source([1, 2])
    stream = verb(source)
    await turns()
    assert not source.begun
    assert await flow.collect(stream) == [1, 2]


@every_verb
async def test_any_object_is_an_item(verb: Any) -> None:
    class EqualToAll:
        def __eq__(self, other: object) -> bool:
            return True

        def __hash__(self) -> int:
            return 0

    items = [None, 0, "", ValueError("an item"), np.arange(3), EqualToAll(), StopAsyncIteration(), ...]
    got = await flow.collect(verb(Source(items)))
    assert len(got) == len(items)
    assert all(one is other for one, other in zip(got, items, strict=True))


@every_verb
async def test_at_its_end_the_source_is_closed(verb: Any) -> None:
    source = Source([1])
    await flow.collect(verb(source))
    assert source.closed


@every_verb
@pytest.mark.parametrize("then_silent", [False, True])
async def test_leaving_early_closes_the_source(verb: Any, then_silent: bool) -> None:
    source = Source([1, 2, 3], then_silent=then_silent)
    async with aclosing(verb(source)) as stream:
        async for _ in stream:
            break
    assert source.closed


@every_verb
async def test_a_stream_dropped_without_closing_is_closed_by_the_loop(verb: Any) -> None:
    source = Source([1, 2, 3], then_silent=True)
    stream = verb(source)
    await anext(stream)
    del stream
    gc.collect()
    await until(lambda: source.closed)


@every_verb
async def test_an_error_comes_after_the_items_before_it_and_is_the_error_itself(verb: Any) -> None:
    error = RuntimeError("the microphone is gone")
    source = Source([1, 2], error)
    assert await read(verb(source)) == [1, 2, error]
    assert source.closed


@every_verb
async def test_a_slow_reader_gets_the_error_too(verb: Any) -> None:
    """Not a CancelledError, which is what a yield inside a task group would give it (PEP 789)."""
    error = LookupError()
    assert await read(verb(Source([1, 2], error)), paces=[20]) == [1, 2, error]


@every_verb
async def test_a_cancel_of_the_reader_is_a_cancel_and_closes_the_source(verb: Any) -> None:
    source = Source([1], then_silent=True)
    waiting = asyncio.Event()

    async def read() -> None:
        async with aclosing(verb(source)) as stream:
            async for _ in stream:
                waiting.set()

    reader = asyncio.create_task(read())
    await waiting.wait()
    await turns()
    await cancel(reader)
    assert source.closed


@every_verb
async def test_a_cancel_before_the_first_item_arrives(verb: Any) -> None:
    source = Source([], then_silent=True)
    reader = asyncio.create_task(flow.collect(verb(source)))
    await turns()
    await cancel(reader)
    assert source.closed


@every_verb
async def test_an_empty_source_gives_an_empty_stream(verb: Any) -> None:
    assert await flow.collect(verb(flow.from_iterable(()))) == []


@every_verb
async def test_a_source_may_use_timeouts_of_its_own(verb: Any) -> None:
    """A timeout cancels the task that has entered it. That task must run the source to the end."""

    async def retrying() -> AsyncIterator[str]:
        for _ in range(3):
            try:
                async with asyncio.timeout(0.001):
                    await asyncio.get_running_loop().create_future()
            except TimeoutError:
                yield "too late"

    assert await flow.collect(verb(retrying())) == ["too late"] * 3


@every_verb
def test_nothing_polls(verb: Any) -> None:
    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        half_an_hour = flow.timeout(verb(flow.concat(only(1), flow.endless())), 1800)
        assert isinstance((await read(half_an_hour))[-1], TimeoutError)
        assert loop.time() == 1800
        assert loop.jumps == 1  # directly to the end of the half hour

    run(main)


READ_AHEAD = {
    "buffer": 3,
    "split": 32,
    "split in one": 32,
    "partition": 32,
    "map_concurrent": 2,
    "switch with outputs": 10_000,  # it holds only the newest one: an item is a barge-in, also while nobody reads
}
"""How many items a verb may ask for beyond those that were read. All others: one (that of a task) or none."""


@every_verb
async def test_a_reader_that_stalls_stalls_the_source(verb: Any, request: pytest.FixtureRequest) -> None:
    source = Source(range(10_000))
    async with aclosing(verb(source)) as stream:
        for _ in range(3):
            await anext(stream)
        await turns(200)
        name = request.node.callspec.id
        bound = 1024 if name == "concat second of two" else READ_AHEAD.get(name, 1)
        assert len(source.given) <= 3 + bound


async def test_what_is_not_a_stream_is_refused() -> None:
    for verb in VERBS.values():
        with pytest.raises(TypeError, match=r"__aiter__|async iterable"):
            await flow.collect(verb([1, 2]))  # type: ignore[arg-type]


def test_the_modules_use_asyncio_only_and_importing_needs_no_extra() -> None:
    for path in Path(flow.__file__).parent.glob("*.py"):
        text = path.read_text()
        for name in ("starlette", "fastapi", "anyio", "trio"):
            assert f"\nimport {name}" not in text
            assert f"\nfrom {name}" not in text


async def test_from_iterable_closes_a_generator() -> None:
    closed = []

    def numbers() -> Iterable[int]:
        try:
            yield 1
            yield 2
        finally:
            closed.append(True)

    async with aclosing(flow.from_iterable(numbers())) as stream:
        assert await anext(stream) == 1
    assert closed


@pytest.mark.parametrize(
    ("options", "times"),
    [
        ({}, [0, 0.5, 1.0, 1.5]),
        ({"delay_first": True}, [0.5, 1.0, 1.5, 2.0]),
        ({"delay_end": False}, [0, 0.5, 1.0, 1.0]),
    ],
)
def test_from_iterable_sleeps_between_items(options: dict[str, bool], times: list[float]) -> None:
    async def main() -> list[float]:
        loop = asyncio.get_running_loop()
        at = [loop.time() async for _ in flow.from_iterable("abc", delay=0.5, **options)]
        return [*at, loop.time()]

    assert run(main) == pytest.approx(times)


def test_from_iterable_does_not_swallow_a_cancel() -> None:
    async def main() -> None:
        reading = asyncio.create_task(flow.drain(flow.from_iterable("abc", delay=60)))
        await turns()
        await cancel(reading)

    run(main)


async def test_sinks_close_what_they_read() -> None:
    for sink in (flow.collect, flow.drain):
        source = Source([1], then_silent=True)
        task = asyncio.create_task(sink(source))
        await turns()
        await cancel(task)
        assert source.closed
    assert await flow.drain(flow.from_iterable([None, None])) == 2


@pytest.mark.skipif(not hasattr(asyncio, "eager_task_factory"), reason="eager tasks came with Python 3.12")
@every_verb
def test_eager_tasks_change_nothing(verb: Any) -> None:
    async def main() -> None:
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined]
        error = LookupError()
        assert await read(verb(Source([1, None, 3], error))) == [1, None, 3, error]

    run(main)
