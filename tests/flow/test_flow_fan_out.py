"""split and partition: every branch gets its items, in order, whatever the others do."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sources import Source, cancel, read, run, turns

from objectstreaming import flow

paces = st.lists(st.integers(0, 3), max_size=4)


@given(
    items=st.lists(st.none() | st.integers(), max_size=60),
    readers=st.lists(paces, min_size=1, max_size=4),
    source_turns=st.integers(0, 2),
    maxsize=st.none() | st.integers(1, 8),
    fails=st.booleans(),
)
def test_every_branch_sees_every_item_in_order_then_the_error(
    items: list[Any], readers: list[list[int]], source_turns: int, maxsize: int | None, fails: bool
) -> None:
    async def main() -> None:
        error = LookupError()
        source = Source(items, error if fails else None, turns=source_turns)
        branches = flow.split(source, len(readers), maxsize=maxsize)
        got = await asyncio.gather(*(read(branch, pace) for branch, pace in zip(branches, readers, strict=True)))
        assert got == [items + [error] * fails] * len(readers)
        assert source.closed

    run(main)


@given(count=st.integers(0, 200), n=st.integers(1, 4), fails=st.booleans())
def test_the_branches_may_be_read_one_after_the_other(count: int, n: int, fails: bool) -> None:
    async def main() -> None:
        error = LookupError()
        for branch in flow.split(Source(range(count), error if fails else None), n, maxsize=None):
            assert await read(branch) == [*range(count), *[error] * fails]

    run(main)


async def test_within_the_bound_they_may_by_default_too() -> None:
    one, other = flow.split(flow.from_iterable(range(1000)))
    assert await flow.collect(one) == list(range(1000))
    assert await flow.collect(other) == list(range(1000))


@given(
    items=st.lists(st.integers(), max_size=60),
    one=st.tuples(paces, st.integers(0, 60)),
    other=paces,
    maxsize=st.none() | st.integers(1, 8),
)
def test_a_branch_that_is_closed_frees_the_other(
    items: list[int], one: tuple[list[int], int], other: list[int], maxsize: int | None
) -> None:
    async def main() -> None:
        a, b = flow.split(Source(items), maxsize=maxsize)
        pace, limit = one
        left, stayed = await asyncio.gather(read(a, pace, limit), read(b, other))
        assert left == items[:limit]
        assert stayed == items

    run(main)


async def test_a_branch_that_is_dropped_frees_the_other() -> None:
    a, b = flow.split(flow.from_iterable(range(100)), maxsize=1)
    reading = asyncio.create_task(flow.collect(b))
    await turns()
    assert not reading.done()
    del a
    gc.collect()
    assert await reading == list(range(100))


async def test_a_branch_dropped_before_anything_ran_frees_the_other() -> None:
    assert await flow.collect(flow.split(flow.from_iterable(range(100)), maxsize=1)[1]) == list(range(100))


async def test_the_last_branch_to_close_closes_the_source() -> None:
    source = Source([1, 2], then_silent=True)
    a, b = flow.split(source)
    await anext(a)
    await a.aclose()
    assert not source.closed
    assert await anext(b) == 1
    await b.aclose()
    assert source.closed
    await b.aclose()
    with pytest.raises(StopAsyncIteration):
        await anext(b)


async def test_closing_a_split_that_never_ran_lets_go_of_the_branch_it_would_have_read() -> None:
    a, b = flow.split(flow.from_iterable(range(100)), maxsize=1)
    for branch in flow.split(a):
        await branch.aclose()
    assert await flow.collect(b) == list(range(100))


async def test_a_reader_that_is_cancelled_leaves_the_source_to_the_others() -> None:
    wire: asyncio.Queue[Any] = asyncio.Queue()
    a, b = flow.split(flow.dequeue(wire, end=None))
    first = asyncio.create_task(flow.collect(a))
    second = asyncio.create_task(flow.collect(b))
    await turns()
    await cancel(first)
    for item in (1, 2, None):
        wire.put_nowait(item)
    assert await second == [1, 2]


async def test_a_wait_for_a_branch_may_be_given_up_and_taken_up_again() -> None:
    wire: asyncio.Queue[Any] = asyncio.Queue()
    (branch,) = flow.split(flow.dequeue(wire), 1)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.001):
            await anext(branch)
    wire.put_nowait("late")
    assert await anext(branch) == "late"
    await branch.aclose()


async def test_two_tasks_on_one_branch_are_an_error() -> None:
    (branch,) = flow.split(Source([], then_silent=True), 1)
    first = asyncio.create_task(flow.collect(branch))
    await turns()
    with pytest.raises(RuntimeError, match="two tasks"):
        await anext(branch)
    await cancel(first)


async def test_a_reader_waiting_while_its_branch_is_closed_sees_the_end() -> None:
    source = Source([], then_silent=True)
    (branch,) = flow.split(source, 1)
    reading = asyncio.create_task(flow.drain(branch))
    await turns()
    await branch.aclose()
    assert await reading == 0
    assert source.closed


async def test_with_copy_gives_each_branch_items_of_its_own() -> None:
    original = {"words": ["one"]}
    a, b = flow.split(flow.from_iterable([original]), with_copy=True)
    [one], [other] = await asyncio.gather(flow.collect(a), flow.collect(b))
    one["words"].append("two")
    assert other == original == {"words": ["one"]}


async def test_without_it_they_share_them() -> None:
    item = object()
    a, b = flow.split(flow.from_iterable([item]))
    assert await anext(a) is await anext(b) is item
    await asyncio.gather(a.aclose(), b.aclose())


async def test_an_item_that_cannot_be_copied_is_an_error_in_every_branch() -> None:
    class Uncopyable:
        def __deepcopy__(self, memo: object) -> Uncopyable:
            raise LookupError

    a, b = flow.split(flow.from_iterable([1, Uncopyable()]), with_copy=True)
    for got in await asyncio.gather(read(a), read(b)):
        assert got[0] == 1
        assert isinstance(got[1], LookupError)


@pytest.mark.parametrize("n", [0, -1])
def test_no_branches_is_a_value_error(n: int) -> None:
    with pytest.raises(ValueError, match="branches"):
        flow.split(flow.from_iterable(()), n)


@pytest.mark.parametrize("options", [{"maxsize": 0}, {"when_full": "explode"}])
def test_options_are_checked_at_once(options: Any) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        flow.split(flow.from_iterable(()), **options)


async def test_a_branch_never_read_holds_no_more_than_its_bound() -> None:
    source = Source(range(100_000))
    a, b = flow.split(source)
    reading = asyncio.create_task(flow.drain(a))
    await turns(5000)
    assert not reading.done()
    assert len(source.given) == 1024
    await b.aclose()
    assert await reading == 100_000


def test_a_branch_that_holds_up_the_others_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        a, b = flow.split(flow.from_iterable(range(100)), maxsize=3)
        reading = asyncio.create_task(flow.drain(a))
        for waited, logged in ((9, 0), (2, 1), (3600, 1)):
            await asyncio.sleep(waited)
            assert len(caplog.records) == logged
        assert "read the branches at the same time" in caplog.text
        await b.aclose()
        assert await reading == 100

    run(main)


def test_a_slow_branch_that_is_read_is_not(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        a, b = flow.split(flow.from_iterable(range(100)), maxsize=3)
        reading = asyncio.create_task(flow.drain(a))
        async for _ in b:
            await asyncio.sleep(9)
        assert await reading == 100
        assert caplog.records == []

    run(main)


async def test_any_branch_may_be_the_only_one_that_is_read() -> None:
    first, second = flow.split(flow.from_iterable(range(10)))
    assert await flow.collect(second) == list(range(10))
    await first.aclose()


async def test_drop_oldest_keeps_the_latest_and_does_not_hold_up_the_others() -> None:
    fast, slow = flow.split(flow.from_iterable(range(100)), maxsize=3, when_full="drop_oldest")
    assert await flow.collect(fast) == list(range(100))
    assert await flow.collect(slow) == [97, 98, 99]


async def test_fail_ends_the_branch_that_lags_and_no_other() -> None:
    fast, slow = flow.split(flow.from_iterable(range(100)), maxsize=3, when_full="fail")
    assert await flow.collect(fast) == list(range(100))
    *got, error = await read(slow)
    assert got == [0, 1, 2]
    assert isinstance(error, BufferError)
    assert "same time" in str(error)


async def test_fail_spares_a_branch_that_is_just_full() -> None:
    fast, slow = flow.split(flow.from_iterable(range(3)), maxsize=3, when_full="fail")
    assert await flow.collect(fast) == await flow.collect(slow) == [0, 1, 2]


async def test_the_traceback_of_each_branch_shows_the_source_and_no_other_reader() -> None:
    depths = []
    for branch in flow.split(Source([], LookupError()), 5):
        with pytest.raises(LookupError) as caught:
            await anext(branch)
        depths.append(len(caught.traceback))
    assert len(set(depths)) == 1


async def test_an_error_in_the_closing_of_the_source_is_raised_where_it_is_closed() -> None:
    async def leaky() -> AsyncIterator[int]:
        try:
            yield 1
            await asyncio.get_running_loop().create_future()
        finally:
            raise LookupError("the file would not close")

    a, b = flow.split(leaky())
    assert await anext(a) == await anext(b) == 1
    await a.aclose()
    with pytest.raises(LookupError):
        await b.aclose()


async def even(number: int) -> bool:
    await asyncio.sleep(0)
    return number % 2 == 0


@given(
    items=st.lists(st.integers(), max_size=60),
    one=paces,
    other=paces,
    maxsize=st.none() | st.integers(1, 8),
    fails=st.booleans(),
    asynchronous=st.booleans(),
)
def test_partition_gives_each_item_to_the_branch_it_belongs_to(
    items: list[int], one: list[int], other: list[int], maxsize: int | None, fails: bool, asynchronous: bool
) -> None:
    async def main() -> None:
        error = LookupError()
        source = Source(items, error if fails else None)
        predicate: Any = even if asynchronous else lambda number: number % 2 == 0
        evens, odds = flow.partition(source, predicate, maxsize=maxsize)
        got = await asyncio.gather(read(evens, one), read(odds, other))
        assert got[0] == [n for n in items if n % 2 == 0] + [error] * fails
        assert got[1] == [n for n in items if n % 2] + [error] * fails
        assert source.closed

    run(main)


async def test_an_error_of_the_predicate_reaches_both() -> None:
    def fussy(item: int) -> bool:
        if item == 3:
            raise LookupError
        return item > 1

    source = Source([1, 2, 3, 4])
    true, false = flow.partition(source, fussy)
    (*yes, first), (*no, second) = await asyncio.gather(read(true), read(false))
    assert (yes, no) == ([2], [1])
    assert first is second
    assert source.closed


async def test_a_lambda_that_returns_a_coroutine_is_awaited() -> None:
    evens, odds = flow.partition(flow.from_iterable([1, 2]), lambda n: even(n))
    assert await asyncio.gather(read(evens), read(odds)) == [[2], [1]]


async def test_items_for_a_closed_side_are_dropped() -> None:
    true, false = flow.partition(flow.from_iterable(range(100)), lambda n: n >= 50, maxsize=1)
    await false.aclose()
    assert await flow.collect(true) == list(range(50, 100))


async def test_partition_reads_ahead_for_a_reader_that_waits_and_not_for_one_that_is_absent() -> None:
    source = Source(range(100_000))
    true, false = flow.partition(source, lambda n: n % 2)
    for n in range(1, 100, 2):
        assert await anext(true) == n
        await turns()
        assert len(source.given) <= n + 1 + 32
    await asyncio.gather(true.aclose(), false.aclose())
    assert source.closed


def test_a_source_that_exits_is_not_a_clean_end_for_any_branch() -> None:
    ends: list[Any] = []

    async def reader(branch: Any) -> None:
        try:
            await flow.drain(branch)
            ends.append("clean")
        except BaseException as error:
            ends.append(type(error))
            raise

    async def main() -> None:
        await asyncio.gather(*(reader(branch) for branch in flow.split(Source([1], SystemExit()))))

    with pytest.raises(SystemExit):
        asyncio.run(main())
    assert "clean" not in ends
