"""Interrupts overtake at both ends, leave nothing stale, and need not be awaited."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest
from deadlines import DEADLINE, repeat_until_stuck, until
from fake_clock import FakeClock
from test_duplex_contract import Link, link, our_tasks, take  # noqa: F401 - link is a fixture
from test_duplex_session import Asker, Speaker, notes, whole

from objectstreaming import StreamIncomplete
from objectstreaming.duplex import DuplexSession, DuplexStream, StreamEvent, StreamItem, Symbol, memory_pair
from objectstreaming.duplex.unread import UNREAD

pytestmark = pytest.mark.usefixtures("anyio_backend")


class SlowListener(Speaker):
    """A server that waits at each symbol of sound until it may go on. It answers from the first word on."""

    def __init__(self, stream: DuplexStream) -> None:
        self.held = 0
        self.go_on = asyncio.Semaphore(0)
        super().__init__(stream)

    async def _hear(self, item: StreamItem) -> None:
        if isinstance(item, Symbol) and item.text_value is None:
            self.held += 1
            await self.go_on.acquire()
        elif isinstance(item, Symbol):
            self._question.set_result(item.text_value or "")
        elif item.type == "interrupt":
            self.interrupts.append(item.data)


async def talk_into(session: DuplexSession, symbols: int, size: int = 640) -> asyncio.Task[None]:
    """Begin an exchange: a word and then sound, and no end."""
    spoken = asyncio.Event()

    async def speak() -> AsyncIterator[Symbol]:
        yield Symbol.text("talk")
        for n in range(symbols):
            yield Symbol.audio(bytes(size), note=str(n))
        spoken.set()
        await asyncio.get_running_loop().create_future()

    talking = asyncio.create_task(session.run_duplex(speak, lambda item: None))
    await asyncio.wait_for(spoken.wait(), DEADLINE)
    return talking


@pytest.mark.parametrize(("symbols", "size"), [(100, 640), (1000, 640), (100, 64_000)])
async def test_an_interrupt_overtakes_the_symbols_that_the_receiver_has_not_taken(
    link: Link,  # noqa: F811
    symbols: int,
    size: int,
) -> None:
    near, far = await link.pair()
    server, client = SlowListener(far), DuplexSession(near)
    talking = await talk_into(client, symbols, size)
    await until(lambda: server.held == 1 and len(server.made) > 0)
    client.interrupt(played_ms=7)
    await until(lambda: server.closed == 1)
    assert server.held == 1, "the sender is stopped while the receiver is still at its first symbol"
    server.go_on.release()
    await until(lambda: server.interrupts == [{"played_ms": 7}])
    assert server.held == 1, "no other symbol of the abandoned question is given"
    await talking
    client.reset()
    asker = Asker(near)
    asker.session = client
    assert await asker.ask("again") == whole("again")


def test_a_slow_listener_is_interrupted_within_one_symbol() -> None:
    """The report: 100 symbols wait before a receiver that takes 0.1 s for each."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        near, far = memory_pair(heartbeat=3600.0)
        stopped: list[float] = []

        class Server(Speaker):
            async def _hear(self, item: StreamItem) -> None:
                if isinstance(item, Symbol) and item.text_value is None:
                    await asyncio.sleep(0.1)
                elif isinstance(item, Symbol):
                    self._question.set_result(item.text_value or "")

            async def _answer(self) -> AsyncIterator[Symbol]:
                question = await self._question
                try:
                    for _ in range(2 if question == "again" else 10_000):
                        yield Symbol.audio(bytes(320), note=question)
                        await asyncio.sleep(0.01)
                finally:
                    stopped.append(loop.time())

        async with near, far:
            server, client = Server(far), DuplexSession(near)
            talking = await talk_into(client, 100)
            await asyncio.sleep(0.35)
            interrupted = loop.time()
            await client.interrupt()
            await talking
            client.reset()
            heard: list[StreamItem] = []

            async def ask() -> AsyncIterator[Symbol]:
                yield Symbol.text("again")

            await client.run_duplex(ask, heard.append)
            assert stopped[0] - interrupted < 0.01
            assert notes(heard) == ["again", "again", "stream_end"]
            assert loop.time() - interrupted < 0.2
            server.running.cancel()
            await asyncio.wait([server.running])

    with asyncio.Runner(loop_factory=FakeClock) as runner:
        runner.run(main())


async def test_an_interrupt_overtakes_the_microphone_that_was_left_open(link: Link) -> None:  # noqa: F811
    """The question is whole, its answer is being sent, and symbols of the next question have arrived already."""
    near, far = await link.pair()
    server = Speaker(far)
    await near.send(Symbol.text("talk"))
    await near.send_end()
    for n in range(500):
        await near.send(Symbol.text(f"early {n}"))
    received = await take(near, 2)
    await near.send(StreamEvent("interrupt"))
    while not isinstance(received[-1], StreamEvent) or received[-1].type != "interrupt":
        received += await take(near, 1)
    assert server.closed == 1
    assert await Asker(near).ask("again") == whole("again")


async def test_metadata_and_errors_before_an_interrupt_are_given_before_it() -> None:
    near, far = memory_pair()
    async with near, far:
        heard: list[str] = []
        go_on = asyncio.Event()

        async def hear(item: StreamItem) -> None:
            heard.append(item.type if isinstance(item, StreamEvent) else "symbol")
            if heard[-1] == "symbol":
                await go_on.wait()

        async def silent() -> AsyncIterator[Symbol]:
            await asyncio.get_running_loop().create_future()
            yield Symbol.text("")

        session = DuplexSession(far)
        running = asyncio.create_task(session.run_duplex(silent, hear))
        items = [Symbol.text("a"), Symbol.text("b"), StreamEvent("metadata", {"language": "en"}), Symbol.text("c")]
        for item in [*items, StreamEvent("stream_end")]:
            await near.send(item)
        await until(lambda: "symbol" in heard)
        await near.send(StreamEvent("interrupt"))
        await until(lambda: session.interrupted)
        go_on.set()
        await asyncio.wait_for(running, DEADLINE)
        assert heard == ["connected", "symbol", "metadata", "interrupt"]


async def test_what_is_received_ahead_is_bounded_in_bytes() -> None:
    near, far = memory_pair()
    async with near, far:
        session = DuplexSession(far)
        symbol = Symbol.audio(bytes(100_000))

        async def stall(item: StreamItem) -> None:
            if isinstance(item, Symbol):
                await asyncio.get_running_loop().create_future()

        async def silent() -> AsyncIterator[Symbol]:
            await asyncio.get_running_loop().create_future()
            yield symbol

        running = asyncio.create_task(session.run_duplex(silent, stall))
        sent = await repeat_until_stuck(lambda _: near.send(symbol))
        assert UNREAD < sent * len(symbol.data) < UNREAD + 4 * 1024 * 1024
        running.cancel()
        await asyncio.wait([running])


async def test_a_peer_that_leaves_stops_the_sender_while_the_receiver_is_busy(link: Link) -> None:  # noqa: F811
    near, far = await link.pair()
    server = SlowListener(far)
    talking = await talk_into(DuplexSession(near), 100)
    await until(lambda: server.held == 1)
    talking.cancel()
    await asyncio.wait([talking])
    await near.disconnect()
    await until(lambda: server.closed == 1)
    assert server.held == 1
    for _ in range(200):
        server.go_on.release()
    await asyncio.wait_for(server.running, DEADLINE)
    assert not server.errors or "left in the middle" in str(server.errors[0])


async def test_interrupt_need_not_be_awaited(link: Link) -> None:  # noqa: F811
    near, far = await link.pair()
    speaker, asker = Speaker(far), Asker(near)
    asking = asyncio.create_task(asker.ask("talk"))
    await asyncio.wait_for(asker.enough.wait(), DEADLINE)
    asker.session.interrupt()
    assert asker.session.interrupted
    heard = await asking  # normally
    assert len(heard) <= 21
    asker.session.reset()
    assert await asker.ask("again") == whole("again")
    assert speaker.interrupts == [None]
    assert not our_tasks() & {"objectstreaming duplex interrupt"}


async def test_interrupt_reset_and_the_next_exchange_follow_without_a_pause(link: Link) -> None:  # noqa: F811
    """As document 001 has it: interrupt() and reset() are ordinary functions."""
    near, far = await link.pair()
    Speaker(far)
    asker = Asker(near)
    old = asyncio.create_task(asker.ask("talk"))
    await asyncio.wait_for(asker.enough.wait(), DEADLINE)
    asker.session.interrupt()
    asker.session.reset()
    asker.items = []
    fresh: list[StreamItem] = []

    async def ask() -> AsyncIterator[Symbol]:
        yield Symbol.text("again")

    await asyncio.wait_for(asker.session.run_duplex(ask, fresh.append), DEADLINE)
    assert notes(fresh) == whole("again")
    assert old.done()
    assert not asker.session.interrupted


async def test_a_callback_of_the_event_loop_may_interrupt(link: Link) -> None:  # noqa: F811
    near, far = await link.pair()
    Speaker(far)
    asker = Asker(near)
    asking = asyncio.create_task(asker.ask("talk"))
    await asyncio.wait_for(asker.enough.wait(), DEADLINE)
    asyncio.get_running_loop().call_soon(asker.session.interrupt, 120)
    await asking
    assert asker.session.interrupted


async def test_an_interrupt_that_cannot_be_sent_raises_only_if_it_is_awaited() -> None:
    near, far = memory_pair()
    async with near, far:
        session = DuplexSession(near)
    session.interrupt()
    with pytest.raises(Exception, match=r"disconnected|not connected"):
        await session.interrupt()


async def test_the_receiver_cannot_begin_the_next_exchange() -> None:
    near, far = memory_pair()
    async with near, far:
        session = DuplexSession(near)

        async def silent() -> AsyncIterator[Symbol]:
            await asyncio.get_running_loop().create_future()
            yield Symbol.text("")

        async def hear(item: StreamItem) -> None:
            session.interrupt()
            session.reset()
            await session.run_duplex(silent, hear)

        with pytest.raises(RuntimeError, match="running"):
            await session.run_duplex(silent, hear)


@pytest.mark.parametrize("link", ["client", "server"], indirect=True)
async def test_sixty_interrupts_at_random_moments_leave_nothing_stale(link: Link) -> None:  # noqa: F811
    near, far = await link.pair()
    speaker, session = Speaker(far), DuplexSession(near)
    chance = random.Random(7)
    for number in range(60):
        heard: list[StreamItem] = []
        enough = asyncio.Event()
        limit = chance.randrange(40)

        async def hear(item: StreamItem, heard: Any = heard, enough: Any = enough, limit: int = limit) -> None:
            heard.append(item)
            await asyncio.sleep(0)
            if len(heard) >= limit:
                enough.set()

        async def ask(word: str) -> AsyncIterator[Symbol]:
            yield Symbol.text(word)

        asking = asyncio.create_task(session.run_duplex(lambda: ask("talk"), hear))
        if limit:
            await asyncio.wait_for(enough.wait(), DEADLINE)
        for _ in range(chance.randrange(10)):
            await asyncio.sleep(0)
        interruption = session.interrupt()
        before = len(heard)
        if chance.random() < 0.5:
            await interruption
        await asyncio.wait_for(asking, DEADLINE)
        assert len(heard) == before, "the receiver is given nothing after an interrupt"
        session.reset()
        fresh: list[StreamItem] = []
        await asyncio.wait_for(session.run_duplex(lambda n=number: ask(f"q{n}"), fresh.append), DEADLINE)  # type: ignore[misc]
        assert [note for note in notes(fresh) if note != "connected"] == whole(f"q{number}")
    assert not speaker.errors


async def test_a_backend_whose_reading_is_cancelled_from_within_ends_the_exchange() -> None:
    class Broken(DuplexStream):
        is_connected = True

        async def connect(self) -> None: ...
        async def disconnect(self) -> None: ...
        async def send(self, item: StreamItem) -> None: ...
        async def send_end(self) -> None: ...
        async def receive(self) -> AsyncIterator[StreamItem]:
            yield Symbol.text("half")
            raise asyncio.CancelledError

    async def silent() -> AsyncIterator[Symbol]:
        await asyncio.get_running_loop().create_future()
        yield Symbol.text("")

    with pytest.raises(StreamIncomplete, match="in the middle"):
        await asyncio.wait_for(DuplexSession(Broken()).run_duplex(silent, lambda item: None), DEADLINE)
