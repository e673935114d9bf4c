"""concat, merge, merge_latest: several streams become one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sources import Source, read, run, turns

from objectstreaming import flow

paces = st.lists(st.integers(0, 3), max_size=4)
# Each source: how many items, how many turns of the loop before each.
sources = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 2)), max_size=5)


def made(shapes: list[tuple[int, int]], **options: Any) -> list[Source]:
    return [Source([(at, n) for n in range(count)], turns=t, **options) for at, (count, t) in enumerate(shapes)]


@given(
    shapes=sources,
    pace=paces,
    prefetch=st.none() | st.integers(0, 3),
    maxsize=st.none() | st.integers(1, 5),
    fails=st.booleans(),
)
def test_concat_keeps_the_order_of_sources_and_items(
    shapes: list[tuple[int, int]], pace: list[int], prefetch: int | None, maxsize: int | None, fails: bool
) -> None:
    async def main() -> None:
        error = LookupError()
        streams = made(shapes)
        expected: list[Any] = [item for stream in streams for item in stream.items]
        if fails:
            streams.append(Source(["last"], error))
            streams.append(Source(["never"]))
            expected += ["last", error]
        assert await read(flow.concat(*streams, prefetch=prefetch, maxsize=maxsize), pace) == expected
        assert all(stream.closed for stream in streams if stream.begun)

    run(main)


async def test_concat_runs_all_sources_from_the_first_pull() -> None:
    one, two, three = (Source([n], turns=5) for n in range(3))
    stream = flow.concat(one, two, three)
    assert not any(source.begun for source in (one, two, three))
    assert await anext(stream) == 0
    assert two.begun
    assert three.begun
    assert await flow.collect(stream) == [1, 2]


def test_concat_takes_the_time_of_the_slowest() -> None:
    async def main() -> float:
        pages = [flow.from_iterable([page], delay=60.0, delay_first=True) for page in "abc"]
        assert await flow.collect(flow.concat(*pages)) == ["a", "b", "c"]
        return asyncio.get_running_loop().time()

    assert run(main) == pytest.approx(120.0)  # the 60 s before the item and the 60 s after it, once


async def test_concat_in_sequence_touches_a_source_only_after_the_one_before_it() -> None:
    one, two = Source([1, 2]), Source([3])
    async for item in flow.concat(one, two, prefetch=0):
        assert two.begun == (item == 3)
        assert one.closed == (item == 3)


async def test_concat_prefetch_is_how_many_sources_run_ahead() -> None:
    streams = [Source([n]) for n in range(4)]
    stream = flow.concat(*streams, prefetch=1)
    for n in range(4):
        assert await anext(stream) == n
        await turns()
        assert [source.begun for source in streams] == [at <= n + 1 for at in range(4)]
    await stream.aclose()


async def test_concat_raises_the_early_error_of_a_later_source_in_its_turn() -> None:
    error = LookupError()
    slow, broken, endless = Source([1, 2, 3], turns=20), Source(["before"], error), Source(then_silent=True)
    assert await read(flow.concat(slow, broken, endless)) == [1, 2, 3, "before", error]
    assert endless.cancelled
    assert endless.closed


async def test_concat_closed_early_stops_all_and_drops_errors_that_were_not_reached() -> None:
    one, two, three = Source([1], then_silent=True), Source([2], then_silent=True), Source([], LookupError())
    async with aclosing(flow.concat(one, two, three)) as stream:
        await anext(stream)
        await turns()
    assert one.closed
    assert two.closed
    assert three.closed


async def test_concat_holds_a_bounded_part_of_later_sources() -> None:
    later = Source(range(10_000))
    stream = flow.concat(Source([1], then_silent=True), later, maxsize=10)
    await anext(stream)
    await turns(100)
    assert len(later.given) == 10
    await stream.aclose()


def test_options_are_checked_at_once() -> None:
    with pytest.raises(ValueError, match="prefetch"):
        flow.concat(flow.from_iterable(()), prefetch=-1)
    with pytest.raises(ValueError, match="maxsize"):
        flow.concat(flow.from_iterable(()), maxsize=0)
    with pytest.raises(ValueError, match="at least one"):
        flow.merge_latest({})


@pytest.mark.parametrize("verb", [flow.concat, flow.merge])
async def test_of_nothing_comes_nothing(verb: Any) -> None:
    assert await flow.collect(verb()) == []


@given(shapes=sources, pace=paces)
def test_merge_gives_every_item_and_keeps_the_order_within_a_source(
    shapes: list[tuple[int, int]], pace: list[int]
) -> None:
    async def main() -> None:
        streams = made(shapes)
        got = await read(flow.merge(*streams), pace)
        assert sorted(got) == [item for stream in streams for item in stream.items]
        for at, stream in enumerate(streams):
            assert [item for item in got if item[0] == at] == stream.items
            assert stream.closed

    run(main)


@given(shapes=sources.filter(bool), pace=paces, limit=st.integers(0, 30))
def test_merge_is_one_item_ahead_in_each_source_and_stopping_early_never_hangs(
    shapes: list[tuple[int, int]], pace: list[int], limit: int
) -> None:
    async def main() -> None:
        streams = made(shapes, then_silent=True)
        total = sum(count for count, _ in shapes)
        taken: list[Any] = []
        async with aclosing(flow.merge(*streams)) as stream:
            while len(taken) < min(limit, total):
                await turns(pace[len(taken) % len(pace)] if pace else 0)
                taken.append(await anext(stream))
                for at, source in enumerate(streams):
                    assert len(source.given) <= sum(item[0] == at for item in taken) + 1
        assert all(source.closed for source in streams if source.begun)

    run(main)


async def test_merge_gives_what_is_there_while_another_source_is_silent() -> None:
    silent, wire = Source(then_silent=True), asyncio.Queue[Any]()
    async with aclosing(flow.merge(silent, flow.dequeue(wire))) as stream:
        for item in range(3):
            wire.put_nowait(item)
            assert await anext(stream) == item


async def test_merge_lets_no_source_starve_another() -> None:
    """Two sources never wait and one does: each gets its turn."""
    hungry = [Source(["a"] * 10_000), Source(["b"] * 10_000)]
    got = []
    async with aclosing(flow.merge(*hungry, Source(["c"] * 10, turns=3))) as stream:
        while got.count("c") < 10:
            got.append(await anext(stream))
    assert min(got.count("a"), got.count("b")) >= 10
    assert len(got) < 1000


async def test_merge_can_stop_on_the_first_end() -> None:
    short, long = Source([1, 2]), Source(["x"], then_silent=True)
    assert sorted(await flow.collect(flow.merge(short, long, stop_on_first=True)), key=str) == [1, 2, "x"]
    assert long.cancelled
    assert long.closed


@pytest.mark.parametrize("pace", [0, 20])
async def test_merge_raises_the_error_bare_and_stops_the_others(pace: int) -> None:
    error = LookupError()
    fine, broken = Source(["x"], then_silent=True), Source([1], error)
    *got, last = await read(flow.merge(fine, broken), [pace])
    assert sorted(got, key=str) == [1, "x"]
    assert last is error
    assert fine.closed


async def test_merge_with_several_errors_raises_the_first_and_none_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    first, second = LookupError(), LookupError()
    got = await read(flow.merge(Source([], first), Source([], second)))
    assert got == [first]
    await turns()
    assert caplog.records == []


async def test_a_source_that_is_cancelled_ends_only_itself() -> None:
    gone = Source([1], asyncio.CancelledError())
    going_on = Source(["a", "b"], turns=10)
    assert await read(flow.merge(gone, going_on)) == [1, "a", "b"]
    assert await read(flow.merge(Source([1], asyncio.CancelledError()))) == [1]


async def test_a_source_that_catches_its_cancel_and_continues_is_stopped_too() -> None:
    async def stubborn() -> AsyncIterator[str]:
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                yield "not now"

    async with aclosing(flow.merge(stubborn(), flow.from_iterable([1]))) as stream:
        assert await anext(stream) == 1
        await turns()


async def test_an_error_in_a_sources_cleanup_is_not_lost() -> None:
    async def leaky() -> AsyncIterator[int]:
        try:
            await asyncio.get_running_loop().create_future()
            yield 1
        finally:
            raise LookupError("the file would not close")

    stream = flow.merge(leaky(), flow.from_iterable([1]))
    await anext(stream)
    with pytest.raises(LookupError):
        await stream.aclose()


async def test_a_second_cancel_does_not_leave_tasks_behind() -> None:
    released = asyncio.Event()

    async def slow_to_close() -> AsyncIterator[int]:
        try:
            yield 1
            await asyncio.get_running_loop().create_future()
        finally:
            await released.wait()

    reader = asyncio.create_task(flow.drain(flow.merge(slow_to_close(), flow.from_iterable(()))))
    await turns()
    for _ in range(2):
        reader.cancel()
        await turns()
    assert not reader.done()
    released.set()
    await asyncio.wait([reader])
    assert reader.cancelled()


def feed(*items: Any) -> tuple[asyncio.Queue[Any], Any]:
    queue: asyncio.Queue[Any] = asyncio.Queue()
    for item in items:
        queue.put_nowait(item)
    return queue, flow.dequeue(queue, end=...)


async def test_merge_latest_gives_a_dict_for_every_item_of_the_first_source() -> None:
    frames, first = feed()
    slides, second = feed()
    async with aclosing(flow.merge_latest({"frame": first, "slide": second})) as stream:
        frames.put_nowait(1)
        assert await anext(stream) == {"frame": 1}
        for slide in ("a", "b", None):
            slides.put_nowait(slide)
            await turns()
        reading = asyncio.ensure_future(anext(stream))
        await turns(20)
        assert not reading.done()
        frames.put_nowait(2)
        assert await reading == {"frame": 2, "slide": None}
        frames.put_nowait(...)
        with pytest.raises(StopAsyncIteration):
            await anext(stream)


async def test_merge_latest_each_gives_one_for_every_item_and_ends_with_the_last_source() -> None:
    stream = flow.merge_latest({"a": Source([1]), "b": Source(["x", "y"], turns=10)}, each=True)
    assert await flow.collect(stream) == [{"a": 1}, {"a": 1, "b": "x"}, {"a": 1, "b": "y"}]


async def test_merge_latest_dicts_are_new_ones_in_the_order_of_the_sources() -> None:
    stream = flow.merge_latest({"a": Source([1], turns=10), "b": Source(["x"])}, each=True)
    first, second = await flow.collect(stream)
    first["b"] = "changed"
    assert list(second.items()) == [("a", 1), ("b", "x")]


async def test_merge_latest_raises_the_error_of_any_source_and_closes_all() -> None:
    error = LookupError()
    fine = Source([], then_silent=True)
    assert await read(flow.merge_latest({"fine": fine, "broken": Source([], error)})) == [error]
    assert fine.closed


async def test_merge_latest_left_early_closes_all() -> None:
    main, other = Source([1], then_silent=True), Source(["x"], then_silent=True)
    async with aclosing(flow.merge_latest({"main": main, "other": other})) as stream:
        await anext(stream)
        await turns()
    assert main.closed
    assert other.closed


@pytest.mark.parametrize("verb", [flow.merge, flow.concat])
@pytest.mark.parametrize("collection", [list, tuple, iter], ids=["list", "tuple", "iterator"])
async def test_one_iterable_of_streams_is_taken_like_the_streams(verb: Any, collection: Any) -> None:
    streams = [flow.from_iterable("ab"), flow.from_iterable("cd"), flow.from_iterable(())]
    assert sorted(await flow.collect(verb(collection(streams)))) == ["a", "b", "c", "d"]
    assert await flow.collect(verb([])) == []
    assert await flow.collect(verb()) == []


async def microphone() -> AsyncIterator[bytes]:
    yield b""


async def answer() -> bytes:
    return b""


@pytest.mark.parametrize("verb", [flow.merge, flow.concat])
@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        (
            lambda: [[flow.from_iterable(())], [flow.from_iterable(())]],
            r"list; it holds streams: .* unpack it: merge\(\*streams\)",
        ),
        (lambda: [flow.from_iterable(()), [flow.from_iterable(())]], "it holds streams"),
        (lambda: [flow.from_iterable(()), "ab"], r"str; for one item as a stream use from_iterable\(\[item\]\)"),
        (lambda: ["ab"], "str; for one item"),
        (lambda: [[1, 2]], "int; for one item"),
        (lambda: [flow.from_iterable(()), [1, 2]], r"list; for its items as a stream use from_iterable\(items\)"),
        (lambda: [microphone], r"function; call it: microphone\(\)"),
        (lambda: [[microphone]], r"call it: microphone\(\)"),
        (lambda: [answer()], r"coroutine; answer\(\) returns no stream but a coroutine: await it"),
        (lambda: [None], "NoneType"),
    ],
)
def test_what_is_not_a_stream_is_refused_at_once_and_the_slip_is_named(verb: Any, arguments: Any, advice: str) -> None:
    with pytest.raises(TypeError, match=advice):
        verb(*arguments())
