"""`DuplexSession`: exchanges on a `DuplexStream`, one after the other. Either side can interrupt one (SPEC section 7,
"The duplex session").

**How it works.** One `run_duplex` is one exchange: our symbols and our `stream_end` are sent, the peer's arrive. It is
over when both ends have passed, or when either side interrupts. It has three tasks:

    sender -> _send -> stream              cancelled by an interrupt of either side
    stream -> _read -> unread              looks at each item when it arrives, also while the receiver is busy
    unread -> _receive -> receiver         one item at a time

    interrupt()          cancel all three; send `interrupt`; drop what arrives, up to the peer's `interrupt`
    `interrupt` arrives  if we wait for one: it is the peer's answer, and what follows it belongs to the next exchange
                         otherwise: cancel the sender, answer with `interrupt`, drop the symbols that were not taken,
                         pass the event to the receiver, and return from run_duplex

So after an interrupt both sides have dropped everything that was sent before it, whoever was first. Two interrupts that
cross answer each other. Nobody waits for the answer: `run_duplex` returns at once, and the next exchange drops what is
out of date.

Items of the next exchange that arrive early stay in `unread` for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Awaitable, Callable, Generator
from typing import Any, TypeAlias

from ..errors import HTTP_STATUS, ObjectStreamError, StreamError, StreamIncomplete
from ..flow.closing import aclose, call, stop
from .stream import DuplexStream
from .symbol import StreamEvent, StreamItem, Symbol
from .unread import Arrival, Unread

__all__ = ["DuplexSession", "Receiver", "Sender"]

Sender: TypeAlias = Callable[[], AsyncIterable[StreamItem]]
Receiver: TypeAlias = Callable[[StreamItem], Awaitable[Any] | Any]


class DuplexSession:
    """Exchanges on a stream. A connection has one session.

    >>> from objectstreaming.duplex import DuplexSession, Symbol, memory_pair
    >>> async def main():
    ...     ours, theirs = memory_pair()
    ...     heard = asyncio.Queue()
    ...     async def ask():
    ...         yield Symbol.text("frame?")
    ...     async def answer():
    ...         question = await heard.get()
    ...         yield Symbol.text(f"You asked: {question.text_value}")
    ...     asking, answering = DuplexSession(ours), DuplexSession(theirs)
    ...     answering.on_symbol = heard.put
    ...     async with ours, theirs:
    ...         await asyncio.gather(asking.run_duplex(ask, receiver=show), answering.run_duplex(answer))
    >>> def show(item):
    ...     print(item.text_value if isinstance(item, Symbol) else item.type)
    >>> asyncio.run(main())
    connected
    You asked: frame?
    stream_end

    `on_symbol` and `on_event` are functions, sync or async, for the items that arrive. The session reads on while
    one is busy, so that it notices an `interrupt` at once. When 8 MiB wait to be taken, the peer has to wait.

    Args:
        stream: of one connection; whoever made it connects and disconnects it.
    """

    def __init__(self, stream: DuplexStream) -> None:
        self.stream = stream
        self.on_symbol: Callable[[Symbol], Any] | None = None
        self.on_event: Callable[[StreamEvent], Any] | None = None
        self._interrupted = False
        self._unanswered = 0
        self._unread = Unread()
        self._exchange: _Exchange | None = None
        self._interrupts: set[asyncio.Task[None]] = set()  # that are being sent

    @property
    def interrupted(self) -> bool:
        """Whether the latest exchange was interrupted by either side, and `reset` has not been called since."""
        return self._interrupted

    async def run_duplex(self, sender: Sender, receiver: Receiver | None = None) -> None:
        """One exchange: send, then `stream_end`, and pass everything that arrives to the receiver.

        Returns when the `stream_end` of both sides has passed, when either side interrupts, or when the peer has left
        before the exchange has begun.

        An error of either direction stops the other and is raised: one of the sender, of the receiver or of the stream.
        The peer is interrupted then, so that the connection can still be used. If the last exchange was interrupted and
        is not over yet, this waits for it.

        Args:
            sender: a function that returns an async iterable of the items to send.
            receiver: a function, sync or async, that is called with each item; without one symbols go to `on_symbol`
                and events to `on_event`.

        Raises:
            StreamError: The peer sent an `error` event.
            StreamIncomplete: The peer left in the middle.
            RuntimeError: An exchange is running, the last one was interrupted and `reset` not called, or there is
                neither a receiver nor `on_symbol`.
        """
        while (before := self._exchange) is not None:
            if not before.halted or before.is_current():
                raise RuntimeError("an exchange is running on this session already")
            await before.over.wait()
        if self._interrupted:
            raise RuntimeError("the exchange before this one was interrupted: call reset() first")
        if receiver is None and self.on_symbol is None:
            raise RuntimeError("there is neither a receiver nor on_symbol: the peer's symbols would be lost")
        exchange = self._exchange = _Exchange(self, sender, receiver)
        try:
            if self._interrupts:
                await asyncio.wait(self._interrupts)  # nothing of this exchange is sent before them
            await exchange.run()
        except BaseException:
            if exchange.is_half_done() and self.stream.is_connected:
                self._unread.keep(_is_lasting)
                self._unanswered += 1
                self._send_interrupt()
            raise
        finally:
            if not exchange.halted and exchange.interrupted:
                self._unread.keep(_is_lasting)
            self._exchange = None
            exchange.over.set()

    def interrupt(self, played_ms: float | None = None) -> Awaitable[None]:
        """Stop the exchange (barge-in), at once. Await what it returns to wait until `run_duplex` has returned.

        The sender and the receiver are cancelled, and `run_duplex` returns normally. The peer gets an `interrupt`. What
        was received but not yet given to the receiver is dropped, up to the peer's answer. May be called from any task
        or callback of the event loop, also from the sender and the receiver. If it is awaited, it raises what the
        stream failed with.

        Args:
            played_ms: how many milliseconds of the peer's sound were played, if that is known.
        """
        exchange = self._exchange
        self._interrupted = True
        self._unread.keep(_is_lasting)
        self._unanswered += 1
        sent = self._send_interrupt(None if played_ms is None else {"played_ms": played_ms})
        if exchange is None:
            return _Interruption(sent, None)
        exchange.halt()
        return _Interruption(sent, None if exchange.is_current() else exchange.over)

    def reset(self) -> None:
        """Allow the next exchange on the same connection.

        Raises:
            RuntimeError: An exchange is running.
        """
        if self._exchange is not None and not self._exchange.halted:
            raise RuntimeError("an exchange is running: interrupt it or wait for its end")
        self._interrupted = False

    def _send_interrupt(self, data: Any = None) -> asyncio.Task[None]:
        # A task of the session: an exchange that is cancelled must not take it along, because the peer counts on it.
        task = asyncio.get_running_loop().create_task(
            self.stream.send(StreamEvent("interrupt", data)),
            name="objectstreaming duplex interrupt",
        )
        self._interrupts.add(task)
        task.add_done_callback(self._interrupt_sent)
        return task

    def _interrupt_sent(self, task: asyncio.Task[None]) -> None:
        self._interrupts.discard(task)
        if not task.cancelled():
            task.exception()  # retrieved: if nobody awaits it, the next exchange fails with the same error


class _Interruption(Awaitable[None]):
    """What `interrupt` returns. It need not be awaited, and cancelling its reader does not take the interrupt back."""

    def __init__(self, sent: asyncio.Task[None], over: asyncio.Event | None) -> None:
        self._sent = sent
        self._over = over

    def __await__(self) -> Generator[Any, None, None]:
        return self._wait().__await__()

    async def _wait(self) -> None:
        await asyncio.wait([self._sent])
        if self._over is not None:
            await self._over.wait()
        self._sent.result()


class _Exchange:
    """One `run_duplex`."""

    def __init__(self, session: DuplexSession, sender: Sender, receiver: Receiver | None) -> None:
        self._session = session
        self._stream = session.stream
        self._sender = sender
        self._receiver = receiver
        self._loop = asyncio.get_running_loop()
        self._runner = asyncio.current_task()
        self._stopped: asyncio.Future[None] = self._loop.create_future()
        self._sending: asyncio.Task[None] | None = None
        self._reading: asyncio.Task[None] | None = None
        self._receiving: asyncio.Task[None] | None = None
        self._begun = False
        self._news = asyncio.Event()
        """Something for the receiver has arrived, or nothing more will."""
        self._interrupt: StreamEvent | None = None
        """The peer's `interrupt`, after which nothing more is read."""
        self._at_end = False
        """The stream has ended or failed."""
        self.halted = False
        """We have interrupted."""
        self.over = asyncio.Event()
        self.sent = False
        """Our `stream_end` has been sent."""
        self.whole = False
        """The peer's `stream_end` was given to the receiver."""

    @property
    def interrupted(self) -> bool:
        """Whether either side has interrupted this exchange."""
        return self.halted or self._interrupt is not None

    def is_half_done(self) -> bool:
        """Whether it has started, and is neither complete nor interrupted."""
        return self._sending is not None and not self.interrupted and not (self.sent and self.whole)

    async def run(self) -> None:
        create = self._loop.create_task
        sending = self._sending = create(self._send(), name="objectstreaming duplex sender")
        reading = self._reading = create(self._read(), name="objectstreaming duplex session reader")
        receiving = self._receiving = create(self._receive(), name="objectstreaming duplex receiver")
        try:
            waiting: set[asyncio.Future[None]] = {sending, receiving, self._stopped}
            while not self._stopped.done():
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for task in (receiving, sending):
                    if task in done and not task.cancelled():
                        task.result()
                if receiving in done or (self.sent and self.whole):
                    break
        finally:
            await stop([sending, reading, receiving])

    # Each task is cancelled where it waits. A sender that catches this and goes on gives no more items.

    def _stop_sending(self) -> None:
        if self._sending is not None and self._sending is not asyncio.current_task():
            self._sending.cancel()

    def halt(self) -> None:
        """Interrupt: give and send nothing more. May be called from the sender and the receiver."""
        self.halted = True
        self._stop_sending()
        if self._reading is not None:
            self._reading.cancel()  # what follows belongs to the next exchange
        self._stop()

    def _stop(self) -> None:
        if not self._stopped.done():
            self._stopped.set_result(None)

    def is_current(self) -> bool:
        """Whether the current task is one that `run` waits for, or `run` itself."""
        return asyncio.current_task() in (self._runner, self._sending, self._receiving)

    async def _send(self) -> None:
        items = aiter(self._sender())
        try:
            async for item in items:
                if self.interrupted:
                    return
                self._begun = True
                if not await self._is_sent(self._stream.send(item)):
                    return
        finally:
            await aclose(items)
        if not self.interrupted:
            self.sent = await self._is_sent(self._stream.send_end())

    async def _is_sent(self, sending: Awaitable[None]) -> bool:
        try:
            await sending
        except ObjectStreamError:
            if self._stream.is_connected:
                raise
            return False  # the peer has gone: `_receive` raises how, after the items that came before
        return True

    async def _read(self) -> None:
        unread = self._session._unread
        items = self._stream.receive()
        try:
            while self._interrupt is None:
                await unread.wait_for_room()
                item = await anext(items, None)
                if item is None:
                    break
                self._sort(item)
                self._news.set()
        except Exception as error:  # noqa: BLE001 - the receiver raises it, after the items before it
            unread.put(error)
        finally:
            await aclose(items)
            if not self.interrupted:
                self._at_end = True
                if not self.sent:
                    self._stop_sending()  # nobody is left to hear it
            self._news.set()

    def _sort(self, item: StreamItem) -> None:
        """Look at an item when it arrives."""
        session = self._session
        if not isinstance(item, StreamEvent) or item.type != "interrupt":
            if not session._unanswered or _is_lasting(item):
                session._unread.put(item)
        elif session._unanswered:
            session._unanswered -= 1
        else:
            # It overtakes what the receiver has not taken: only what is no part of a question or answer is still given.
            self._interrupt = item
            session._interrupted = True
            session._unread.keep(_is_lasting if self.whole else _is_no_speech)
            self._stop_sending()
            session._send_interrupt()

    async def _receive(self) -> None:
        unread = self._session._unread
        while True:
            while not self.whole and (arrival := unread.take()) is not None:
                await self._take(arrival)
                if self.halted:
                    return
            if self.whole and self.sent:
                return
            if self._interrupt is not None:
                await self._give(self._interrupt)
                return
            if self._at_end:
                break
            self._news.clear()
            await self._news.wait()
        while (arrival := unread.take()) is not None:  # after the peer's whole answer; we are not done
            if _is_lasting(arrival):
                await self._take(arrival)
        if self._begun:
            raise StreamIncomplete("the peer left in the middle of an exchange")

    async def _take(self, arrival: Arrival) -> None:
        if isinstance(arrival, Exception):
            raise arrival
        if _is_lasting(arrival):
            await self._give(arrival)
            return
        self._begun = True
        await self._give(arrival)
        if isinstance(arrival, StreamEvent):
            self.whole = arrival.type == "stream_end"
            if arrival.type == "error":
                raise _peer_error(arrival.data)

    async def _give(self, item: StreamItem) -> None:
        session = self._session
        if self._receiver is not None:
            await call(self._receiver, item)
        elif isinstance(item, Symbol):
            assert session.on_symbol is not None
            await call(session.on_symbol, item)
        elif session.on_event is not None:
            await call(session.on_event, item)


def _is_lasting(arrival: Arrival) -> bool:
    """Whether this is about the connection, so that no interrupt cancels it."""
    return isinstance(arrival, Exception) or (
        isinstance(arrival, StreamEvent) and arrival.type in ("connected", "disconnected")
    )


def _is_no_speech(arrival: Arrival) -> bool:
    """Whether this is no part of what the peer was saying. The same is dropped by a stream that sends `interrupt`."""
    return not isinstance(arrival, Symbol) and not (isinstance(arrival, StreamEvent) and arrival.type == "stream_end")


def _peer_error(data: Any) -> StreamError:
    members = data if isinstance(data, dict) else {}
    code, message = members.get("code"), members.get("message")
    known = code if isinstance(code, str) and code in HTTP_STATUS else "unknown"
    error = StreamError(known, message if isinstance(message, str) else "")
    error.from_peer = True
    return error
