"""Exchanges: overlap, interruption from either side, errors, and the clean exchange after each. On every backend."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from deadlines import DEADLINE
from test_duplex_contract import Link, link, our_tasks, take, texts  # noqa: F401 - link is a fixture

from objectstreaming import PayloadError, StreamError, StreamIncomplete, encode_frame
from objectstreaming.duplex import DuplexSession, DuplexStream, StreamEvent, StreamItem, Symbol

pytestmark = pytest.mark.usefixtures("anyio_backend")


async def say(*words: str) -> AsyncIterator[Symbol]:
    for word in words:
        yield Symbol.text(word)


class Speaker:
    """A server: answers each question, word by word, until the client has left. Records what it did."""

    def __init__(self, stream: DuplexStream) -> None:
        self.session = DuplexSession(stream)
        self.made: list[str] = []
        self.closed = 0
        self.interrupts: list[Any] = []
        self.errors: list[Exception] = []
        self.running = asyncio.create_task(self._run())

    async def _run(self) -> None:
        while self.session.stream.is_connected:
            self._question: asyncio.Future[str] = asyncio.get_running_loop().create_future()
            self._words: list[str] = []
            try:
                await self.session.run_duplex(self._answer, self._hear)
            except (StreamError, StreamIncomplete) as error:
                self.errors.append(error)
            self.session.reset()

    async def _hear(self, item: StreamItem) -> None:
        if isinstance(item, Symbol):
            self._words.append(item.text_value or "")
        elif item.type == "stream_end":
            self._question.set_result(" ".join(self._words))
        elif item.type == "interrupt":
            self.interrupts.append(item.data)

    async def _answer(self) -> AsyncIterator[Symbol]:
        question = await self._question
        try:
            if question == "fail":
                raise StreamError("not_found", "no such thing")
            for n in range(10_000 if question == "talk" else 3):
                self.made.append(f"{question} {n}")
                yield Symbol.audio(bytes(320), note=f"{question} {n}")
        finally:
            self.closed += 1


def notes(items: list[StreamItem]) -> list[str]:
    return [item.metadata["note"] if isinstance(item, Symbol) else item.type for item in items]


class Asker:
    """A client that records the items it receives. After twenty it stops reading, as a slow player does."""

    def __init__(self, stream: DuplexStream) -> None:
        self.session = DuplexSession(stream)
        self.items: list[StreamItem] = []
        self.enough = asyncio.Event()

    async def ask(self, *words: str) -> list[str]:
        self.items = []
        await asyncio.wait_for(self.session.run_duplex(lambda: say(*words), self.hear), DEADLINE)
        return notes([item for item in self.items if not isinstance(item, StreamEvent) or item.type != "connected"])

    async def hear(self, item: StreamItem) -> None:
        self.items.append(item)
        if isinstance(item, Symbol) and len(self.items) > 20:
            self.enough.set()
            await asyncio.Event().wait()


def whole(question: str) -> list[str]:
    return [*(f"{question} {n}" for n in range(3)), "stream_end"]


async def test_exchanges_follow_one_another_on_one_connection(link: Link) -> None:  # noqa: F811
    near, far = await link.pair()
    speaker, asker = Speaker(far), Asker(near)
    for question in ("one", "two", "three"):
        assert await asker.ask(question) == whole(question)
    assert not asker.session.interrupted
    await near.disconnect()
    await asyncio.wait_for(speaker.running, DEADLINE)
    assert not speaker.errors
    await far.disconnect()
    assert not our_tasks()


async def test_sending_and_receiving_overlap(link: Link) -> None:  # noqa: F811
    """Each side's second symbol waits for the other's first one. If the sides took turns, neither would ever end."""
    near, far = await link.pair()
    order: list[str] = []

    async def exchange(stream: DuplexStream, name: str) -> None:
        come = asyncio.Event()

        async def sender() -> AsyncIterator[Symbol]:
            yield Symbol.text(f"{name} 1")
            await come.wait()
            order.append(f"{name} has heard while speaking")
            yield Symbol.text(f"{name} 2")

        session = DuplexSession(stream)
        session.on_symbol = lambda symbol: come.set()
        await session.run_duplex(sender)

    await asyncio.wait_for(asyncio.gather(exchange(near, "near"), exchange(far, "far")), DEADLINE)
    assert sorted(order) == ["far has heard while speaking", "near has heard while speaking"]


async def test_an_interrupt_stops_the_answer_and_the_next_exchange_is_clean(link: Link) -> None:  # noqa: F811
    near, far = await link.pair()
    speaker, asker = Speaker(far), Asker(near)
    for _ in range(3):
        asker.enough.clear()
        asking = asyncio.create_task(asker.ask("talk"))
        await asyncio.wait_for(asker.enough.wait(), DEADLINE)
        await asyncio.wait_for(asker.session.interrupt(played_ms=120), DEADLINE)
        assert asking.done(), "run_duplex has not returned when interrupt has"
        heard = await asking  # normally
        assert len(heard) <= 21
        assert asker.session.interrupted
        asker.session.reset()
        # The receiver of the new answer gets nothing of the old one, and all of the new one.
        assert await asker.ask("again") == whole("again")
    assert speaker.interrupts == [{"played_ms": 120}] * 3
    assert not speaker.errors


async def test_an_interrupt_stops_generation_within_a_frame(link: Link) -> None:  # noqa: F811
    """The peer's sender is closed when the interrupt arrives, and gives nothing after it."""
    near, far = await link.pair()
    made_at_interrupt: list[int] = []
    stopped = asyncio.Event()

    class Watched(Speaker):
        async def _hear(self, item: StreamItem) -> None:
            if isinstance(item, StreamEvent) and item.type == "interrupt":
                made_at_interrupt.append(len(self.made))
                stopped.set()
            await super()._hear(item)

    speaker, asker = Watched(far), Asker(near)
    asking = asyncio.create_task(asker.ask("talk"))
    await asyncio.wait_for(asker.enough.wait(), DEADLINE)
    await asker.session.interrupt()
    await asking
    await asyncio.wait_for(stopped.wait(), DEADLINE)
    asker.session.reset()
    assert await asker.ask("again") == whole("again")
    made = [word for word in speaker.made if word.startswith("talk")]
    assert len(made) - made_at_interrupt[0] <= 1
    assert speaker.closed == 2


@pytest.mark.parametrize("caller", ["receiver", "sender"])
async def test_the_receiver_and_the_sender_may_interrupt(link: Link, caller: str) -> None:  # noqa: F811
    near, far = await link.pair()
    Speaker(far)
    session = DuplexSession(near)
    heard: list[StreamItem] = []
    come = asyncio.Event()

    async def receiver(item: StreamItem) -> None:
        heard.append(item)
        come.set()
        if caller == "receiver" and isinstance(item, Symbol):
            await session.interrupt()

    async def sender() -> AsyncIterator[Symbol]:
        yield Symbol.text("talk")
        if caller == "sender":
            await come.wait()
            await session.interrupt()
            yield Symbol.text("this is not sent any more")

    await asyncio.wait_for(session.run_duplex(sender, receiver), DEADLINE)
    assert session.interrupted
    assert sum(isinstance(item, Symbol) for item in heard) <= 1
    session.reset()
    heard.clear()
    caller = ""
    await asyncio.wait_for(session.run_duplex(lambda: say("again"), receiver), DEADLINE)
    assert notes(heard) == whole("again")


async def test_run_duplex_returns_normally_when_the_peer_interrupts(link: Link) -> None:  # noqa: F811
    near, far = await link.pair()
    speaker = Speaker(far)
    asker = Asker(near)
    asking = asyncio.create_task(asker.ask("tell", "me"))
    await asking
    # Now the server interrupts while the client is still asking.
    session, spoken = asker.session, asyncio.Event()

    async def endless() -> AsyncIterator[Symbol]:
        while True:
            yield Symbol.text("and")
            spoken.set()
            await asyncio.sleep(0)

    asking = asyncio.create_task(session.run_duplex(endless, asker.hear))
    await asyncio.wait_for(spoken.wait(), DEADLINE)
    await speaker.session.interrupt()
    await asyncio.wait_for(asking, DEADLINE)
    assert session.interrupted
    assert isinstance(asker.items[-1], StreamEvent)
    assert asker.items[-1].type == "interrupt"
    session.reset()
    assert await asker.ask("again") == whole("again")


async def test_interrupts_that_cross_answer_each_other(link: Link) -> None:  # noqa: F811
    near, far = await link.pair()
    sessions = DuplexSession(near), DuplexSession(far)
    begun = [asyncio.Event(), asyncio.Event()]

    def run(n: int) -> asyncio.Task[None]:
        async def talk() -> AsyncIterator[Symbol]:
            while True:
                yield Symbol.audio(bytes(320), note="old")
                begun[n].set()
                await asyncio.sleep(0)

        return asyncio.create_task(sessions[n].run_duplex(talk, lambda item: None))

    running = [run(0), run(1)]
    for event in begun:
        await asyncio.wait_for(event.wait(), DEADLINE)
    await asyncio.wait_for(asyncio.gather(*(session.interrupt() for session in sessions)), DEADLINE)
    await asyncio.wait_for(asyncio.gather(*running), DEADLINE)
    for session in sessions:
        session.reset()
    heard: list[list[StreamItem]] = [[], []]
    await asyncio.wait_for(
        asyncio.gather(
            sessions[0].run_duplex(lambda: say("a", "b"), heard[0].append),
            sessions[1].run_duplex(lambda: say("c"), heard[1].append),
        ),
        DEADLINE,
    )
    for items in heard:  # nobody may have read the first event before the interrupts, which drop none
        items[:] = [item for item in items if not (isinstance(item, StreamEvent) and item.type == "connected")]
    assert texts(heard[0]) == ["c", "stream_end"]
    assert texts(heard[1]) == ["a", "b", "stream_end"]


async def test_an_interrupt_between_exchanges_is_answered_by_the_next(link: Link) -> None:  # noqa: F811
    near, far = await link.pair()
    speaker, asker = Speaker(far), Asker(near)
    assert await asker.ask("one") == whole("one")
    await asker.session.interrupt(played_ms=3)  # the answer is complete, and is still being played
    asker.session.reset()
    assert await asker.ask("two") == whole("two")
    assert speaker.interrupts == [{"played_ms": 3}]


async def test_an_interrupt_works_after_the_question_and_behind_early_items(link: Link) -> None:  # noqa: F811
    near, far = await link.pair()
    speaker = Speaker(far)
    await near.send(Symbol.text("talk"))
    await near.send_end()
    await near.send(Symbol.text("early"))
    received: list[StreamItem] = []
    while len(received) < 3:  # the answer has begun
        received += await take(near, 1)
    await near.send(StreamEvent("interrupt"))
    while not isinstance(received[-1], StreamEvent):
        received += await take(near, 1)
    assert received[-1].type == "interrupt"
    assert speaker.closed == 1
    assert await Asker(near).ask("again") == whole("again")


async def test_items_that_come_early_belong_to_the_next_exchange(link: Link) -> None:  # noqa: F811
    near, far = await link.pair()
    speaker = Speaker(far)
    for n in range(100):
        await near.send(Symbol.text(str(n)))
        await near.send_end()
        if n % 10 == 9:
            received = await take(near, 40)
            assert notes(received) == [note for m in range(n - 9, n + 1) for note in whole(str(m))]
    assert not speaker.errors


async def test_an_error_of_the_sender_stops_the_receiver_and_the_peer(link: Link) -> None:  # noqa: F811
    near, far = await link.pair()
    speaker, asker = Speaker(far), Asker(near)

    async def broken() -> AsyncIterator[Symbol]:
        yield Symbol.text("half a question")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await asyncio.wait_for(asker.session.run_duplex(broken, asker.hear), DEADLINE)
    assert our_tasks() <= {"objectstreaming duplex reader", "objectstreaming duplex writer"} | {
        "objectstreaming duplex sender",
        "objectstreaming duplex session reader",
        "objectstreaming duplex receiver",
        "objectstreaming duplex interrupt",  # being sent
    }
    # The half question is not the beginning of the next one.
    assert await asker.ask("again") == whole("again")
    assert speaker.interrupts == [None]


async def test_an_error_of_the_receiver_stops_the_sender_and_the_peer(link: Link) -> None:  # noqa: F811
    near, far = await link.pair()
    speaker, asker = Speaker(far), Asker(near)
    closed = asyncio.Event()

    async def sender() -> AsyncIterator[Symbol]:
        try:
            yield Symbol.text("word")
            await asyncio.Event().wait()
        finally:
            closed.set()

    def receiver(item: StreamItem) -> None:
        raise KeyError("in the receiver")

    with pytest.raises(KeyError):
        await asyncio.wait_for(asker.session.run_duplex(sender, receiver), DEADLINE)
    assert closed.is_set()
    assert await asker.ask("again") == whole("again")
    assert not speaker.errors


async def test_an_error_event_of_the_peer_is_raised(link: Link) -> None:  # noqa: F811
    near, far = await link.pair()
    asker = Asker(near)
    asking = asyncio.create_task(asker.ask("what?"))
    assert texts(await take(far, 2)) == ["what?", "stream_end"]
    await far.send(StreamEvent("error", {"code": "unavailable", "message": "the model is gone"}))
    with pytest.raises(StreamError, match="unavailable: the model is gone"):
        await asking


async def test_a_cancelled_exchange_is_cancelled_and_leaves_the_connection_usable(link: Link) -> None:  # noqa: F811
    near, far = await link.pair()
    speaker, asker = Speaker(far), Asker(near)
    asking = asyncio.create_task(asker.ask("talk"))
    await asyncio.wait_for(asker.enough.wait(), DEADLINE)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert await asker.ask("again") == whole("again")
    assert speaker.closed == 2


async def test_a_peer_that_leaves_in_the_middle_is_an_error(link: Link) -> None:  # noqa: F811
    near, far = await link.pair()
    asker = Asker(near)
    asking = asyncio.create_task(asker.ask("what?"))
    await take(far, 2)
    await far.disconnect()
    with pytest.raises(StreamIncomplete, match="left in the middle"):
        await asking


async def test_a_peer_that_vanishes_in_the_middle_is_an_error(link: Link) -> None:  # noqa: F811
    near, raw = await link.raw()
    asking = asyncio.create_task(Asker(near).ask("what?"))
    assert await raw.receive()
    raw.vanish()
    with pytest.raises(StreamIncomplete, match="without its end"):
        await asyncio.wait_for(asking, DEADLINE)


async def test_an_event_that_cannot_be_read_ends_the_exchange_and_not_the_connection(link: Link) -> None:  # noqa: F811
    near, raw = await link.raw()
    asking = asyncio.create_task(Asker(near).ask("what?"))
    event = {"kind": "event", "type": "metadata", "timestamp": "2026-11-20T12:00:00Z"}
    await raw.send(encode_frame(b'{"$stream":{"type":"open","v":1}}') + encode_frame(event, b"nope"))
    with pytest.raises(PayloadError):
        await asyncio.wait_for(asking, DEADLINE)
    assert near.is_connected


async def test_wrong_use_is_an_error(link: Link) -> None:  # noqa: F811
    near, far = await link.pair()
    session = DuplexSession(near)
    with pytest.raises(RuntimeError, match="neither a receiver nor on_symbol"):
        await session.run_duplex(lambda: say("a"))
    running = asyncio.create_task(session.run_duplex(lambda: say("a"), lambda item: None))
    await take(far, 1)
    with pytest.raises(RuntimeError, match="an exchange is running"):
        await session.run_duplex(lambda: say("a"), lambda item: None)
    with pytest.raises(RuntimeError, match="an exchange is running"):
        session.reset()
    await session.interrupt()
    await running
    with pytest.raises(RuntimeError, match=r"reset\(\) first"):
        await session.run_duplex(lambda: say("a"), lambda item: None)
