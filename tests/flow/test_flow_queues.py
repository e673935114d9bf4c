"""enqueue and dequeue: the end and the error of a stream come through a queue, and nothing is mistaken for them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
from deadlines import DEADLINE
from hypothesis import given
from hypothesis import strategies as st
from sources import Source, cancel, read, run, turns

from objectstreaming import flow


@pytest.fixture(autouse=True)
async def _nothing_is_left_running(anyio_backend: str) -> AsyncIterator[None]:
    yield
    left = [task for task in asyncio.all_tasks() if not task.done() and "TestRunner." not in repr(task)]
    assert left == []


@given(items=st.lists(st.none() | st.integers(), max_size=30), maxsize=st.integers(0, 3), fails=st.booleans())
def test_what_goes_in_comes_out_and_then_the_end_or_the_error(items: list[Any], maxsize: int, fails: bool) -> None:
    async def main() -> None:
        error = LookupError()
        queue: asyncio.Queue[Any] = asyncio.Queue(maxsize)
        writing = asyncio.create_task(flow.enqueue(Source(items, error if fails else None), queue))
        assert await read(flow.dequeue(queue)) == items + [error] * fails
        assert (await asyncio.gather(writing, return_exceptions=True))[0] is (error if fails else None)
        await asyncio.wait_for(queue.join(), DEADLINE)

    run(main)


class EqualToAll:
    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 0


async def test_no_item_is_taken_for_the_end() -> None:
    items = [None, np.arange(3), EqualToAll(), ValueError("an item"), ""]
    queue: asyncio.Queue[Any] = asyncio.Queue()
    await flow.enqueue(flow.from_iterable(items), queue)
    got = await flow.collect(flow.dequeue(queue))
    assert all(one is other for one, other in zip(got, items, strict=True))


async def test_a_given_end_is_compared_by_identity() -> None:
    queue: asyncio.Queue[Any] = asyncio.Queue()
    await flow.enqueue(flow.from_iterable([EqualToAll(), np.arange(3)]), queue, end=None)
    assert len(await flow.collect(flow.dequeue(queue, end=None))) == 2


async def test_the_end_of_an_empty_stream_is_put_too() -> None:
    queue: asyncio.Queue[Any] = asyncio.Queue()
    await flow.enqueue(flow.from_iterable(()), queue)
    assert await flow.collect(flow.dequeue(queue)) == []


async def test_a_given_end_comes_after_an_error_too() -> None:
    error = LookupError()
    queue: asyncio.Queue[Any] = asyncio.Queue()
    with pytest.raises(LookupError):
        await flow.enqueue(Source([1], error), queue, end=None)
    assert await flow.collect(flow.dequeue(queue, end=None)) == [1]


@pytest.mark.parametrize("maxsize", [0, 1, 3])
async def test_a_writer_cancelled_at_a_full_queue_does_not_hang_and_its_reader_gets_an_error(maxsize: int) -> None:
    source = Source(range(5), then_silent=True)
    queue: asyncio.Queue[Any] = asyncio.Queue(maxsize)
    writing = asyncio.create_task(flow.enqueue(source, queue))
    await turns()
    await cancel(writing)
    assert source.closed
    *got, error = await read(flow.dequeue(queue))
    assert got == list(range(5))[: len(got)]
    assert isinstance(error, EOFError)
    await asyncio.wait_for(queue.join(), DEADLINE)


async def test_a_full_queue_holds_the_writer_back() -> None:
    source = Source(range(100))
    queue: asyncio.Queue[Any] = asyncio.Queue(2)
    writing = asyncio.create_task(flow.enqueue(source, queue))
    await turns(50)
    assert len(source.given) == 3  # two in the queue, and one that waits for room
    assert await flow.drain(flow.dequeue(queue)) == 100
    await writing


@pytest.mark.parametrize("error", [None, LookupError()])
async def test_a_writer_cancelled_when_only_the_end_is_left_to_put_does_not_leave_its_reader_waiting(
    error: Any,
) -> None:
    queue: asyncio.Queue[Any] = asyncio.Queue(1)
    writing = asyncio.create_task(flow.enqueue(Source([1], error), queue))
    await turns()
    await cancel(writing)
    [told] = await read(flow.dequeue(queue))
    assert isinstance(told, LookupError if error else EOFError)
