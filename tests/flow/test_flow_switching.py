"""switch: a new item stops the flow of the one before."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator
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


def speak(answers: Answers) -> Any:
    """A sub-flow with two outputs, of one answer: the words and the sound."""

    def subflow(questions: AsyncIterable[str]) -> tuple[AsyncIterable[str], AsyncIterable[bytes]]:
        words, spoken = flow.split(flow.flatten(flow.map(questions, answers)))
        return words, flow.map(spoken, str.encode)

    return subflow


async def test_a_sub_flow_that_takes_a_stream_may_give_several() -> None:
    answers = Answers()
    words, sound = flow.switch(flow.from_iterable(["why"]), speak(answers), outputs=2)
    assert await asyncio.gather(flow.collect(words), flow.collect(sound)) == [["why0", "why1"], [b"why0", b"why1"]]
    assert answers.record == ["begin why", "end why"]


async def test_a_new_item_stops_every_output_and_nothing_of_the_old_flow_is_read_after_it() -> None:
    questions: asyncio.Queue[Any] = asyncio.Queue()
    answers = Answers(items=100, then_silent=True)
    words, sound = flow.switch(
        flow.dequeue(questions, end=None),
        speak(answers),
        outputs=2,
        on_cancel=[lambda question: f"{question} stopped", None],
    )
    questions.put_nowait("a")
    assert [await anext(words), await anext(sound)] == ["a0", b"a0"]
    await turns(50)  # more of the first answer is ready on both
    questions.put_nowait("b")
    await turns(50)
    assert [await anext(words), await anext(words), await anext(sound)] == ["a stopped", "b0", b"b0"]
    await turns(50)
    assert answers.record == ["begin a", "end a", "begin b"]
    await words.aclose()
    await sound.aclose()
    assert answers.record[-1] == "end b"


async def test_cancel_stops_every_output() -> None:
    barge_in: asyncio.Queue[Any] = asyncio.Queue()
    answers = Answers(then_silent=True)
    outputs = flow.switch(
        flow.from_iterable(["why"]), speak(answers), outputs=2, cancel=flow.dequeue(barge_in, end=None)
    )
    reading = [asyncio.create_task(flow.collect(output)) for output in outputs]
    await turns(30)
    barge_in.put_nowait("stop")
    assert await asyncio.gather(*reading) == [["why0", "why1"], [b"why0", b"why1"]]
    assert answers.record == ["begin why", "end why"]


async def test_a_new_item_stops_the_flow_while_nobody_reads() -> None:
    questions: asyncio.Queue[Any] = asyncio.Queue()
    answers = Answers(items=100, then_silent=True)
    words, sound = flow.switch(flow.dequeue(questions, end=None), speak(answers), outputs=2)
    questions.put_nowait("a")
    assert [await anext(words), await anext(sound)] == ["a0", b"a0"]
    questions.put_nowait("b")
    await turns(100)
    assert answers.record == ["begin a", "end a", "begin b"]
    await words.aclose()
    await sound.aclose()


async def test_an_output_that_is_closed_does_not_hold_up_the_others() -> None:
    questions: asyncio.Queue[Any] = asyncio.Queue()
    answers = Answers(items=3)
    words, sound = flow.switch(flow.dequeue(questions, end=None), speak(answers), outputs=2)
    await sound.aclose()
    reading = asyncio.create_task(flow.collect(words))
    for question in ("a", "b", None):
        questions.put_nowait(question)
        await turns(100)
    assert await reading == [f"{question}{n}" for question in "ab" for n in range(3)]


async def test_outputs_may_end_at_different_times() -> None:
    def subflow(questions: AsyncIterable[str]) -> tuple[AsyncIterable[str], AsyncIterable[str]]:
        short, long = flow.split(questions)
        return short, flow.flatten(flow.map(long, lambda question: [question] * 3))

    short, long = flow.switch(flow.from_iterable(["a"]), subflow, outputs=2)
    assert await flow.collect(short) == ["a"]
    assert await flow.collect(long) == ["a", "a", "a"]


async def test_an_error_of_one_stream_is_raised_in_every_output_and_stops_the_others() -> None:
    error = LookupError()
    other = Source(["x"], then_silent=True)
    outputs = flow.switch(flow.from_iterable(["why"]), lambda stream: (Source([], error, turns=20), other), outputs=2)
    assert await asyncio.gather(*map(read, outputs)) == [[error], ["x", error]]
    assert other.closed


@given(
    gaps=st.lists(st.integers(0, 12), max_size=6),
    paces=st.lists(st.lists(st.integers(0, 3), max_size=3), min_size=2, max_size=2),
    items=st.integers(0, 4),
)
def test_outputs_never_go_back_and_have_the_last_flow_whole(
    gaps: list[int], paces: list[list[int]], items: int
) -> None:
    async def main() -> None:
        async def questions() -> AsyncIterator[str]:
            for number, gap in enumerate(gaps):
                await turns(gap)
                yield str(number)

        answers = Answers(items)
        words, sound = flow.switch(questions(), speak(answers), outputs=2)
        got, heard = await asyncio.gather(read(words, paces[0]), read(sound, paces[1]))
        for whole in (got, [item.decode() for item in heard]):
            numbers = [int(item[: len(item) - 1]) for item in whole]
            assert numbers == sorted(numbers)
            if gaps:
                assert whole[len(whole) - items :] == [f"{len(gaps) - 1}{n}" for n in range(items)]
        begun = [line.split()[1] for line in answers.record if line.startswith("begin")]
        for number in begun:
            assert answers.record[answers.record.index(f"begin {number}") + 1] == f"end {number}"

    run(main)


async def test_an_error_of_the_sub_flow_is_raised_in_every_output() -> None:
    error = LookupError()

    def broken(questions: Any) -> Any:
        raise error

    words, sound = flow.switch(flow.from_iterable(["why"]), broken, outputs=2)
    assert await asyncio.gather(read(words), read(sound)) == [[error], [error]]


async def test_the_number_of_streams_has_to_be_right() -> None:
    for gives, number in ((lambda stream: stream, 1), (lambda stream: flow.split(stream, 3), 3)):
        words, sound = flow.switch(flow.from_iterable(["why"]), gives, outputs=2)
        errors = await asyncio.gather(read(words), read(sound))
        assert {str(error) for (error,) in errors} == {f"the sub-flow gave {number} streams, where outputs is 2"}
    with pytest.raises(ValueError, match="at least 1"):
        flow.switch(flow.from_iterable(()), lambda stream: (), outputs=0)
    with pytest.raises(ValueError, match="2 members"):
        flow.switch(flow.from_iterable(()), speak(Answers()), outputs=2, on_cancel=[None])


async def test_a_sub_flow_that_gives_no_stream_is_refused_with_advice() -> None:
    with pytest.raises(TypeError, match=r"async iterable: .* from_iterable\(\[item\]\)"):
        await flow.collect(flow.switch(flow.from_iterable(["why"]), len))  # type: ignore[arg-type]
