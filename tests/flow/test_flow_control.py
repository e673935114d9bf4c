"""timeout, recover, until, rate_limit, switch: a stream that is silent, fails, is stopped, is paced, is interrupted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sources import Source, cancel, read, run, turns

from objectstreaming import flow


@pytest.fixture(autouse=True)
async def _nothing_is_left_running(anyio_backend: str) -> AsyncIterator[None]:
    yield
    left = [task for task in asyncio.all_tasks() if not task.done() and "TestRunner." not in repr(task)]
    assert left == []


def test_timeout_fires_on_a_silent_source() -> None:
    async def main() -> None:
        source = Source([1], then_silent=True)
        *got, error = await read(flow.timeout(source, 30))
        assert got == [1]
        assert isinstance(error, TimeoutError)
        assert str(error) == "no item within 30 s"
        assert asyncio.get_running_loop().time() == pytest.approx(30)
        assert source.closed

    run(main)


def test_timeout_is_for_each_item_and_not_for_the_whole() -> None:
    async def main() -> None:
        assert await flow.drain(flow.timeout(flow.from_iterable(range(100), delay=20), 30)) == 100

    run(main)


def test_timeout_does_not_count_the_readers_time() -> None:
    async def main() -> None:
        async for _ in flow.timeout(flow.from_iterable(range(3)), 30):
            await asyncio.sleep(3600)

    run(main)


def test_timeout_leaves_a_timeout_of_the_source_as_it_is() -> None:
    async def main() -> None:
        error = TimeoutError("the source's own")
        assert await read(flow.timeout(Source([1], error), 30)) == [1, error]

    run(main)


def test_timeout_leaves_a_timeout_around_it_as_it_is() -> None:
    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(10) as outer:
                await flow.drain(flow.timeout(Source(then_silent=True), 30))
        assert outer.expired()

    run(main)


@pytest.mark.parametrize("seconds", [0, -1, float("nan")])
def test_no_time_is_a_value_error(seconds: float) -> None:
    with pytest.raises(ValueError, match="seconds"):
        flow.timeout(flow.empty(), seconds)


HANDLERS: list[tuple[Callable[[Any], Any], list[Any]]] = [
    (lambda error: None, []),
    (lambda error: "sorry", ["sorry"]),
    (lambda error: 0, [0]),
    (lambda error: [1, 2], [[1, 2]]),
    (lambda error: iter([1, 2]), [1, 2]),
    (lambda error: flow.from_iterable([1, 2]), [1, 2]),
    (lambda error: str(error), ["broken"]),
]


@pytest.mark.parametrize(("handler", "expected"), HANDLERS)
@pytest.mark.parametrize("asynchronous", [False, True])
async def test_recover_goes_on_with_what_the_handler_gives(
    handler: Callable[[Any], Any], expected: list[Any], asynchronous: bool
) -> None:
    async def waiting(error: Exception) -> Any:
        assert source.closed
        return handler(error)

    source = Source(["item"], RuntimeError("broken"))
    got = await read(flow.recover(source, RuntimeError, waiting if asynchronous else handler))
    assert got == ["item", *expected]


async def test_recover_lets_other_errors_pass() -> None:
    error = KeyError()
    assert await read(flow.recover(Source([], error), (ValueError, IndexError), lambda _: "no")) == [error]


async def test_an_error_of_the_handler_or_of_what_it_gave_is_raised() -> None:
    error = LookupError()

    def failing(_: Exception) -> None:
        raise error

    assert await read(flow.recover(Source([], RuntimeError()), RuntimeError, failing)) == [error]
    rest = Source([1], error)
    assert await read(flow.recover(Source([], RuntimeError()), RuntimeError, lambda _: rest)) == [1, error]
    assert rest.closed


async def test_until_ends_at_once_though_the_source_is_silent() -> None:
    stop = asyncio.Event()
    source = Source([1], then_silent=True)
    reading = asyncio.create_task(flow.collect(flow.until(source, stop)))
    await turns()
    assert not reading.done()
    stop.set()
    assert await reading == [1]
    assert source.cancelled
    assert source.closed


async def test_until_ends_between_items_too() -> None:
    stop = asyncio.Event()
    got = []
    async for item in flow.until(flow.from_iterable(range(10)), stop):
        got.append(item)
        if item == 3:
            stop.set()
    assert got == [0, 1, 2, 3]


async def test_until_an_event_that_is_set_already_gives_nothing() -> None:
    stop = asyncio.Event()
    stop.set()
    source = Source([1])
    assert await flow.collect(flow.until(source, stop)) == []
    assert not source.begun


def test_until_is_not_mistaken_for_a_timeout_around_it() -> None:
    async def main() -> None:
        stop = asyncio.Event()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(10):
                await flow.drain(flow.until(Source(then_silent=True), stop))

    run(main)


def leaving_times(stream: AsyncIterator[Any]) -> list[float]:
    async def main() -> list[float]:
        loop = asyncio.get_running_loop()
        return [loop.time() async for _ in stream]

    return run(main)


def test_rate_limit_spaces_the_items() -> None:
    assert leaving_times(flow.rate_limit(flow.from_iterable("abcd"), 2)) == pytest.approx([0, 0.5, 1.0, 1.5])


def test_rate_limit_counts_what_an_item_costs() -> None:
    sound = flow.from_iterable([bytes(32_000), bytes(16_000), bytes(1)])
    assert leaving_times(flow.rate_limit(sound, 32_000, cost=len)) == pytest.approx([0, 1.0, 1.5])


def test_rate_limit_runs_ahead_of_the_clock_by_the_listeners_buffer() -> None:
    assert leaving_times(flow.rate_limit(flow.from_iterable("abcd"), 1, ahead=2)) == pytest.approx([0, 0, 0, 1])


def test_rate_limit_does_not_make_up_for_a_slow_source() -> None:
    async def late() -> AsyncIterator[int]:
        yield 1
        await asyncio.sleep(60)
        yield 2
        yield 3

    assert leaving_times(flow.rate_limit(late(), 1)) == pytest.approx([0, 60, 61])


@pytest.mark.parametrize("options", [(0,), (-1,), (float("inf"),), (float("nan"),), (1, None, -1)])
def test_no_rate_is_a_value_error(options: Any) -> None:
    with pytest.raises(ValueError, match="rate"):
        flow.rate_limit(flow.empty(), *options)


class Answers:
    """Sub-flows that record what happens to them."""

    def __init__(self, items: int = 2, then_silent: bool = False) -> None:
        self.record: list[str] = []
        self.items, self.then_silent = items, then_silent

    async def __call__(self, question: Any) -> AsyncIterator[str]:
        self.record.append(f"begin {question}")
        try:
            for n in range(self.items):
                await asyncio.sleep(0)
                yield f"{question}{n}"
            if self.then_silent:
                await asyncio.get_running_loop().create_future()
        finally:
            try:
                await turns(5)
            finally:
                self.record.append(f"end {question}")


async def test_a_new_item_stops_the_running_flow_and_waits_for_its_cleanup() -> None:
    questions: asyncio.Queue[Any] = asyncio.Queue()
    answers = Answers(then_silent=True)
    async with aclosing(flow.switch(flow.dequeue(questions, end=None), answers)) as stream:
        for question in "ab":
            questions.put_nowait(question)
            assert [await anext(stream), await anext(stream)] == [f"{question}0", f"{question}1"]
        questions.put_nowait("c")
        assert await anext(stream) == "c0"
        assert answers.record == ["begin a", "end a", "begin b", "end b", "begin c"]
    assert answers.record[-1] == "end c"


async def test_the_last_flow_is_read_to_its_end() -> None:
    answers = Answers()
    assert await flow.collect(flow.switch(flow.from_iterable(["only"]), answers)) == ["only0", "only1"]
    assert answers.record == ["begin only", "end only"]


async def test_items_of_a_stopped_flow_that_were_not_read_are_dropped() -> None:
    questions: asyncio.Queue[Any] = asyncio.Queue()
    stream = flow.switch(flow.dequeue(questions, end=None), Answers(items=100))
    questions.put_nowait("a")
    assert await anext(stream) == "a0"
    await turns()  # a1 waits to be read
    questions.put_nowait("b")
    await turns()
    assert await anext(stream) == "b0"
    await stream.aclose()


async def test_the_item_of_on_cancel_comes_between_the_flows() -> None:
    questions: asyncio.Queue[Any] = asyncio.Queue()

    async def stopped(question: str) -> str:
        assert answers.record[-1] == f"end {question}"
        return f"{question} stopped"

    answers = Answers(then_silent=True)
    stream = flow.switch(flow.dequeue(questions, end=None), answers, on_cancel=stopped)
    questions.put_nowait("a")
    assert [await anext(stream), await anext(stream)] == ["a0", "a1"]
    questions.put_nowait("b")
    assert [await anext(stream), await anext(stream)] == ["a stopped", "b0"]
    await stream.aclose()


async def test_a_cancel_stream_stops_the_running_flow_and_has_no_effect_without_one() -> None:
    questions: asyncio.Queue[Any] = asyncio.Queue()
    barge_in: asyncio.Queue[Any] = asyncio.Queue()
    answers = Answers(then_silent=True)
    stream = flow.switch(
        flow.dequeue(questions, end=None),
        answers,
        cancel=flow.dequeue(barge_in, end=None),
        on_cancel=lambda question: f"{question} stopped",
    )
    barge_in.put_nowait("idle: nothing to stop")
    reading = asyncio.create_task(read(stream))
    await turns()
    questions.put_nowait("a")
    await turns()
    barge_in.put_nowait(None)
    await turns()
    assert not reading.done()
    questions.put_nowait("b")
    await turns(20)
    questions.put_nowait(None)
    await turns()
    await cancel(reading)
    assert answers.record == ["begin a", "end a", "begin b", "end b"]


async def test_a_cancelled_flow_leaves_the_stream_open_for_the_next_item() -> None:
    questions: asyncio.Queue[Any] = asyncio.Queue()
    barge_in: asyncio.Queue[Any] = asyncio.Queue()
    answers = Answers(then_silent=True)
    stream = flow.switch(flow.dequeue(questions, end=None), answers, cancel=flow.dequeue(barge_in, end=None))
    reading = asyncio.create_task(flow.collect(stream))
    questions.put_nowait("a")
    await turns(20)
    barge_in.put_nowait("stop")
    await turns(20)
    assert answers.record == ["begin a", "end a"]
    questions.put_nowait(None)
    assert await reading == ["a0", "a1"]


@pytest.mark.parametrize("where", ["source", "subflow", "cancel"])
async def test_an_error_is_raised_at_once_and_stops_the_others(where: str) -> None:
    error = LookupError()
    answers = Answers(then_silent=True)
    source = Source(["a"], turns=2, then_silent=True)
    options: dict[str, Any] = {}
    if where == "source":
        source = Source(["a"], error)
    elif where == "cancel":
        options["cancel"] = Source([], error, turns=20)

    def subflow(item: str) -> Any:
        return Source([], error) if where == "subflow" else answers(item)

    *_, last = await read(flow.switch(source, subflow, **options))
    assert last is error
    assert source.closed
    begun = sum(line.startswith("begin") for line in answers.record)
    assert begun == sum(line.startswith("end") for line in answers.record)


@given(
    gaps=st.lists(st.integers(0, 12), max_size=8),
    pace=st.lists(st.integers(0, 3), max_size=4),
    items=st.integers(0, 4),
)
def test_switch_never_runs_two_flows_and_never_goes_back(gaps: list[int], pace: list[int], items: int) -> None:
    async def main() -> None:
        async def questions() -> AsyncIterator[int]:
            for number, gap in enumerate(gaps):
                await turns(gap)
                yield number

        answers = Answers(items)
        got = await read(flow.switch(questions(), answers), pace)
        numbers = [int(item[: len(item) - 1]) for item in got]
        assert numbers == sorted(numbers)
        begun = [line.split()[1] for line in answers.record if line.startswith("begin")]
        for number in begun:
            at = answers.record.index(f"begin {number}")
            assert answers.record[at + 1] == f"end {number}"
        if gaps:
            last = len(gaps) - 1
            assert got[len(got) - items :] == [f"{last}{n}" for n in range(items)]

    run(main)
