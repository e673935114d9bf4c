"""timeout, on_silence, recover, until, rate_limit: a stream that is silent, fails, is stopped, is paced."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from sources import Source, read, run, turns

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


def test_on_silence_gives_an_item_for_each_silence_and_goes_on() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()

        async def caller() -> AsyncIterator[str]:
            yield "hello"
            await asyncio.sleep(25)
            yield "I am still here"

        heard = [(loop.time(), item) async for item in flow.on_silence(caller(), 10, lambda: "still there?")]
        assert heard == [(0, "hello"), (10, "still there?"), (20, "still there?"), (25, "I am still here")]

    run(main)


def test_the_readers_own_time_is_no_silence() -> None:
    async def main() -> None:
        stream = flow.on_silence(flow.from_iterable("abc", delay=1, delay_end=False), 10, lambda: "?")
        got = []
        async for item in stream:
            got.append(item)
            await asyncio.sleep(60)
        assert got == ["a", "b", "c"]

    run(main)


@pytest.mark.parametrize(
    "verb",
    [
        lambda source: flow.on_silence(source, 3600, lambda: "?"),
        lambda source: flow.buffer(source, 5),
        lambda source: flow.buffer(source, 5, "".join),
        lambda source: flow.split(source, 1)[0],
        lambda source: flow.partition(source, bool)[0],
        lambda source: flow.switch(source, lambda stream: stream, outputs=1)[0],
    ],
    ids=["on_silence", "buffer", "buffer with join", "split", "partition", "switch with outputs"],
)
def test_a_reader_with_a_limit_of_its_own_can_ask_these_again(verb: Any) -> None:
    """StopAsyncIteration is the end, and never a silence."""

    async def main() -> None:
        stream = verb(flow.from_iterable("ab", delay=1))
        heard: list[str] = []
        while True:
            try:
                async with asyncio.timeout(0.4):
                    heard.append(await anext(stream))
            except TimeoutError:
                heard.append("-")
            except StopAsyncIteration:
                break
        assert heard == ["a", "-", "-", "b", "-", "-"]
        await stream.aclose()

    run(main)


def test_the_item_for_a_silence_may_be_made_by_an_async_function_and_its_error_is_raised() -> None:
    async def main() -> None:
        async def make() -> str:
            await asyncio.sleep(1)
            return "?"

        assert await read(flow.on_silence(Source(then_silent=True), 10, make), limit=2) == ["?", "?"]
        source = Source(then_silent=True)
        (error,) = await read(flow.on_silence(source, 10, lambda: {}["nothing"]))
        assert isinstance(error, KeyError)
        assert source.closed

    run(main)


def test_a_timeout_of_the_source_is_no_silence() -> None:
    async def main() -> None:
        (error,) = await read(flow.on_silence(flow.timeout(flow.endless(), 5), 10, lambda: "?"))
        assert isinstance(error, TimeoutError)

    run(main)


@pytest.mark.parametrize("seconds", [0, -1, float("nan")])
def test_on_silence_needs_a_time(seconds: float) -> None:
    with pytest.raises(ValueError, match="more than 0"):
        flow.on_silence(flow.from_iterable(()), seconds, lambda: None)


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
        flow.timeout(flow.from_iterable(()), seconds)


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
        flow.rate_limit(flow.from_iterable(()), *options)
