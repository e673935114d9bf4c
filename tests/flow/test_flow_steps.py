"""map, map_concurrent, filter, flatten, tap, enumerate, buffer, rechunk."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sources import Source, read, run, turns

from objectstreaming import flow


@pytest.fixture(autouse=True)
async def _nothing_is_left_running(anyio_backend: str) -> AsyncIterator[None]:
    yield
    left = [task for task in asyncio.all_tasks() if not task.done() and "TestRunner." not in repr(task)]
    assert left == []


async def double(item: int) -> int:
    await asyncio.sleep(0)
    return item * 2


class Doubler:
    async def __call__(self, item: int) -> int:
        return item * 2


FUNCTIONS = [lambda item: item * 2, double, lambda item: double(item), Doubler()]


@pytest.mark.parametrize("function", FUNCTIONS, ids=["sync", "async", "a lambda that returns a coroutine", "object"])
async def test_map_takes_any_function(function: Any) -> None:
    assert await flow.collect(flow.map(flow.from_iterable([1, 2, 3]), function)) == [2, 4, 6]


async def test_map_awaits_what_can_be_awaited_and_only_that() -> None:
    def mixed(item: int) -> Any:
        return double(item) if item % 2 else item

    assert await flow.collect(flow.map(flow.from_iterable([0, 1, 2, 3, 3, 4]), mixed)) == [0, 2, 2, 6, 6, 4]


@pytest.mark.parametrize("verb", [flow.map, flow.filter, flow.tap, flow.map_concurrent])
async def test_an_error_of_the_function_comes_in_its_place_and_closes_the_source(verb: Any) -> None:
    error = LookupError()

    async def fussy(item: int) -> int:
        if item == 3:
            raise error
        return item

    source = Source([1, 2, 3, 4], then_silent=True)
    assert await read(verb(source, fussy)) == [1, 2, error]
    assert source.closed


@pytest.mark.parametrize("predicate", [lambda n: n % 2, lambda n: n % 2 == 1, lambda n: odd(n)])
async def test_filter_keeps_what_the_predicate_finds_true(predicate: Any) -> None:
    assert await flow.collect(flow.filter(flow.from_iterable(range(6)), predicate)) == [1, 3, 5]


async def odd(number: int) -> bool:
    return number % 2 == 1


async def test_tap_waits_for_an_async_function_before_the_item_goes_on() -> None:
    log: list[Any] = []

    async def note(item: int) -> None:
        await asyncio.sleep(0)
        log.append(item)

    async with aclosing(flow.tap(flow.from_iterable([1, 2]), note)) as stream:
        while (item := await anext(stream, None)) is not None:
            log.append(f"got {item}")
    assert log == [1, "got 1", 2, "got 2"]


async def test_flatten_takes_plain_and_async_ones_and_closes_each_before_the_next() -> None:
    closed = []

    def plain() -> Iterator[int]:
        try:
            yield 1
        finally:
            closed.append("plain")

    inner = Source([2])
    outer = [plain(), inner, [], (3,), {4: "key"}]
    assert await flow.collect(flow.flatten(flow.from_iterable(outer))) == [1, 2, 3, 4]
    assert closed == ["plain"]
    assert inner.closed


async def test_leaving_flatten_closes_the_inner_stream_too() -> None:
    inner, outer = Source([1, 2]), None
    outer = Source([inner])
    async with aclosing(flow.flatten(outer)) as stream:
        await anext(stream)
    assert inner.closed
    assert outer.closed


async def test_enumerate_counts_from_start() -> None:
    assert await flow.collect(flow.enumerate(flow.from_iterable("ab"), 7)) == [(7, "a"), (8, "b")]


@given(items=st.lists(st.integers(0, 5), max_size=40), limit=st.integers(1, 6), source_turns=st.integers(0, 2))
def test_map_concurrent_keeps_the_order_and_the_limit(items: list[int], limit: int, source_turns: int) -> None:
    async def main() -> None:
        running = most = 0

        async def work(item: int) -> int:
            nonlocal running, most
            running += 1
            most = max(most, running)
            await turns(item)
            running -= 1
            return item

        assert await flow.collect(flow.map_concurrent(Source(items, turns=source_turns), work, limit)) == items
        assert most <= limit

    run(main)


def test_map_concurrent_takes_the_time_of_the_slowest() -> None:
    async def main() -> float:
        async def work(seconds: float) -> float:
            await asyncio.sleep(seconds)
            return seconds

        assert await flow.collect(flow.map_concurrent(flow.from_iterable([3.0, 1.0, 2.0]), work)) == [3.0, 1.0, 2.0]
        return asyncio.get_running_loop().time()

    assert run(main) == pytest.approx(3.0)


async def test_map_concurrent_gives_a_result_at_once_though_the_source_is_silent() -> None:
    async with aclosing(flow.map_concurrent(Source([1], then_silent=True), double)) as stream:
        assert await anext(stream) == 2


async def test_map_concurrent_gives_the_results_before_an_error_of_the_source() -> None:
    error = LookupError()
    assert await read(flow.map_concurrent(Source([1, 2], error), double)) == [2, 4, error]


async def test_map_concurrent_stops_calls_and_waits_for_their_cleanup() -> None:
    ended = []

    async def work(item: int) -> int:
        try:
            if item == 0:
                raise LookupError
            await asyncio.get_running_loop().create_future()
        finally:
            await asyncio.sleep(0)
            ended.append(item)
        return item

    *got, error = await read(flow.map_concurrent(Source(range(4), then_silent=True), work))
    assert got == []
    assert isinstance(error, LookupError)
    assert sorted(ended) == [0, 1, 2, 3]


async def test_map_concurrent_raises_the_first_error_and_logs_none(caplog: pytest.LogCaptureFixture) -> None:
    async def fail(item: int) -> None:
        raise LookupError(item)

    [error] = await read(flow.map_concurrent(Source([1, 2, 3]), fail))
    assert str(error) == "1"
    await turns()
    assert caplog.records == []


def test_options_are_checked_at_once() -> None:
    with pytest.raises(ValueError, match="limit"):
        flow.map_concurrent(flow.from_iterable(()), double, limit=0)
    with pytest.raises(ValueError, match="maxsize"):
        flow.buffer(flow.from_iterable(()), 0)
    for sizes in ({}, {"max_size": 0}, {"min_size": 0}, {"max_size": 1, "min_size": 2}):
        with pytest.raises(ValueError, match="size"):
            flow.rechunk(flow.from_iterable(()), **sizes)


async def test_buffer_reads_ahead_as_far_as_it_may_while_the_reader_is_busy() -> None:
    source = Source(range(100))
    async with aclosing(flow.buffer(source, 5)) as stream:
        for taken in range(1, 20):
            await anext(stream)
            await turns()
            assert len(source.given) == taken + 5


@given(items=st.lists(st.text(max_size=3), max_size=40), pace=st.lists(st.integers(0, 3), max_size=4))
def test_buffer_joins_what_waits_and_loses_nothing(items: list[str], pace: list[int]) -> None:
    async def main() -> None:
        got = await read(flow.buffer(Source(items, turns=1), 4, join="".join), pace)
        assert "".join(got) == "".join(items)

    run(main)


async def test_buffer_joins_all_that_came_since_the_last_pull() -> None:
    wire: asyncio.Queue[Any] = asyncio.Queue()
    async with aclosing(flow.buffer(flow.dequeue(wire), None, join=b"".join)) as stream:
        wire.put_nowait(b"a")
        assert await anext(stream) == b"a"
        for data in (b"b", b"c", b"d"):
            wire.put_nowait(data)
        await turns()
        assert await anext(stream) == b"bcd"


@given(
    items=st.lists(st.binary(max_size=10), max_size=20),
    sizes=st.tuples(st.none() | st.integers(1, 12), st.none() | st.integers(1, 12)).filter(
        lambda sizes: any(sizes) and (None in sizes or sizes[0] >= sizes[1])
    ),
    text=st.booleans(),
)
def test_rechunk_changes_sizes_and_nothing_else(
    items: list[bytes], sizes: tuple[int | None, int | None], text: bool
) -> None:
    async def main() -> None:
        parts: list[Any] = [item.decode("latin-1") for item in items] if text else items
        got = await flow.collect(flow.rechunk(flow.from_iterable(parts), *sizes))
        nothing: Any = "" if text else b""
        assert nothing.join(got) == nothing.join(parts)
        most, least = sizes
        assert all(len(piece) >= (least or 1) for piece in got[:-1])
        assert all(len(piece) <= most for piece in got if most)
        if least is None:
            assert len(got) == sum(-(-len(part) // (most or 1)) for part in parts)  # cut, never joined

    run(main)


async def test_rechunk_gives_a_whole_piece_without_waiting_for_more() -> None:
    async with aclosing(flow.rechunk(Source([b"abcde"], then_silent=True), 2, 2)) as stream:
        assert [await anext(stream), await anext(stream)] == [b"ab", b"cd"]


async def test_an_unbounded_buffer_over_a_source_that_never_waits_lets_the_loop_go_round() -> None:
    async with aclosing(flow.buffer(Source(iter(int, 1)), None)) as stream:
        await anext(stream)
        await turns()
