"""`DuplexSession`: exchanges on a `DuplexStream`, one after the other. Either side can interrupt one (SPEC section 7,
"The duplex session").

**How it works.** One `run_duplex` is one exchange: our symbols and our `stream_end` are sent, the peer's arrive. It is
over when both ends have passed, or when either side interrupts.

    interrupt()          cancel the sender; send `interrupt`; drop what arrives, up to the peer's `interrupt`
    `interrupt` arrives  if we wait for one: it is the peer's answer, and what follows it belongs to the next exchange
                         otherwise: cancel the sender, answer with `interrupt`, and return from run_duplex

So after an interrupt both sides have dropped everything that was sent before it, whoever was first. Two interrupts that
cross answer each other. Nobody waits for the answer: `run_duplex` returns at once, and the next exchange drops what is
out of date.

Our sender may still run after the peer's end has arrived. Reading continues then, because the peer may still interrupt.
Items of the next exchange that arrive early are kept for it, up to `EARLY`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterable, Awaitable, Callable
from contextlib import aclosing
from typing import Any, Final, TypeAlias

from ..errors import HTTP_STATUS, ObjectStreamError, StreamError, StreamIncomplete
from ..flow.closing import aclose, call, stop
from .stream import DuplexStream
from .symbol import StreamEvent, StreamItem, Symbol

__all__ = ["DuplexSession", "Receiver", "Sender"]

Sender: TypeAlias = Callable[[], AsyncIterable[StreamItem]]
Receiver: TypeAlias = Callable[[StreamItem], Awaitable[Any] | Any]

EARLY: Final = 32


class DuplexSession:
    """Exchanges on `stream`. Whoever made the stream connects and disconnects it. A connection has one session.

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

    `on_symbol` and `on_event` are functions, sync or async, for the items that arrive. A slow one makes the peer wait.
    """

    def __init__(self, stream: DuplexStream) -> None:
        self.stream = stream
        self.on_symbol: Callable[[Symbol], Any] | None = None
        self.on_event: Callable[[StreamEvent], Any] | None = None
        self._interrupted = False
        self._unanswered = 0
        self._early: deque[StreamItem] = deque()
        self._exchange: _Exchange | None = None

    @property
    def interrupted(self) -> bool:
        """Whether the latest exchange was interrupted by either side, and `reset` has not been called since."""
        return self._interrupted

    async def run_duplex(self, sender: Sender, receiver: Receiver | None = None) -> None:
        """One exchange: send what `sender()` gives, then `stream_end`, and pass everything that arrives to `receiver`.

        Without a receiver symbols go to `on_symbol` and events to `on_event`. Returns when the `stream_end` of both
        sides has passed, when either side interrupts, or when the peer has left before the exchange has begun.

        An error of either direction stops the other and is raised: an error of the sender or the receiver; what the
        stream failed with; `StreamError`, if the peer sends an `error` event; `StreamIncomplete`, if the peer leaves in
        the middle. The peer is interrupted then, so that the connection can still be used. Raises `RuntimeError` if an
        exchange is running, if the last one was interrupted and `reset` not called, and if neither a receiver nor
        `on_symbol` is there for the symbols.
        """
        if self._exchange is not None:
            raise RuntimeError("an exchange is running on this session already")
        if self._interrupted:
            raise RuntimeError("the exchange before this one was interrupted: call reset() first")
        if receiver is None and self.on_symbol is None:
            raise RuntimeError("there is neither a receiver nor on_symbol: the peer's symbols would be lost")
        exchange = self._exchange = _Exchange(self, sender, receiver)
        try:
            await exchange.run()
        except BaseException:
            finished = exchange.sent and exchange.whole
            if not finished and not self._interrupted and self.stream.is_connected:
                self._early.clear()
                self._unanswered += 1
                with contextlib.suppress(ObjectStreamError):
                    await self.stream.send(StreamEvent("interrupt"))
            raise
        finally:
            self._exchange = None
            exchange.over.set()

    async def interrupt(self, played_ms: float | None = None) -> None:
        """Stop the exchange (barge-in). `run_duplex` returns normally, and has returned when this does.

        The sender is cancelled. The peer gets an `interrupt`, with `played_ms`, the milliseconds of its sound that were
        played, if that is known. What was received but not yet given to the receiver is dropped, up to the peer's
        answer. May be called from any task, also from the sender and the receiver. Raises what the stream failed with.
        """
        exchange = self._exchange
        self._interrupted = True
        self._early.clear()
        self._unanswered += 1
        if exchange is not None:
            exchange.stop_sending()
        try:
            data = None if played_ms is None else {"played_ms": played_ms}
            await self.stream.send(StreamEvent("interrupt", data))
        finally:
            if exchange is not None:
                exchange.stop()
                if not exchange.is_current():
                    await exchange.over.wait()

    def reset(self) -> None:
        """Allow the next exchange on the same connection. Raises `RuntimeError` while one is running."""
        if self._exchange is not None:
            raise RuntimeError("an exchange is running: interrupt it or wait for its end")
        self._interrupted = False


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
        self._tasks: list[asyncio.Task[None]] = []
        self._begun = False
        self.over = asyncio.Event()
        self.sent = False
        """Our `stream_end` has been sent."""
        self.whole = False
        """The peer's `stream_end` has arrived."""

    async def run(self) -> None:
        sending = self._loop.create_task(self._send(), name="objectstreaming duplex sender")
        receiving = self._loop.create_task(self._receive(), name="objectstreaming duplex receiver")
        self._tasks = [sending, receiving]
        try:
            waiting: set[asyncio.Future[None]] = {sending, receiving, self._stopped}
            while not self._stopped.done():
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for task in (receiving, sending):
                    if task in done and not task.cancelled():
                        task.result()
                if receiving in done or (sending in done and self.whole):
                    break
        finally:
            await stop(self._tasks)

    # Each task is cancelled where it waits. A sender that catches this and goes on gives no more items.

    def stop_sending(self) -> None:
        if self._tasks and self._tasks[0] is not asyncio.current_task():
            self._tasks[0].cancel()

    def stop(self) -> None:
        if not self._stopped.done():
            self._stopped.set_result(None)

    def is_current(self) -> bool:
        """Whether the current task is one that `run` waits for, or `run` itself."""
        current = asyncio.current_task()
        return current is self._runner or current in self._tasks

    async def _send(self) -> None:
        items = aiter(self._sender())
        try:
            async for item in items:
                if self._session.interrupted:
                    return
                self._begun = True
                await self._stream.send(item)
        finally:
            await aclose(items)
        if not self._session.interrupted:
            await self._stream.send_end()
            self.sent = True

    async def _receive(self) -> None:
        session = self._session
        while session._early and not self.whole:
            await self._take(session._early.popleft())
            await self._pause()
        async with aclosing(self._stream.receive()) as items:  # type: ignore[type-var]
            async for item in items:
                await self._take(item)
                await self._pause()
        if not self.sent or not self.whole:
            if self._begun:
                raise StreamIncomplete("the peer left in the middle of an exchange")
            self.stop()

    async def _pause(self) -> None:
        """If everything that follows belongs to the next exchange, wait until this one is over and cancels this
        task."""
        session = self._session
        if session.interrupted or (self.whole and len(session._early) >= EARLY):
            await self._loop.create_future()

    async def _take(self, item: StreamItem) -> None:
        session = self._session
        kind = item.type if isinstance(item, StreamEvent) else None
        if kind in ("connected", "disconnected"):
            await self._give(item)
        elif session._unanswered:
            session._unanswered -= kind == "interrupt"
        elif kind == "interrupt":
            await self._interrupted_by_peer(item)
        elif self.whole:
            session._early.append(item)
        else:
            self._begun = True
            await self._give(item)
            self.whole = kind == "stream_end"
            if kind == "error":
                assert isinstance(item, StreamEvent)
                raise _peer_error(item.data)
            if self.whole and self.sent:
                self.stop()

    async def _interrupted_by_peer(self, item: StreamItem) -> None:
        session = self._session
        session._interrupted = True
        session._early.clear()
        self.stop_sending()
        await self._stream.send(StreamEvent("interrupt"))
        await self._give(item)
        self.stop()

    async def _give(self, item: StreamItem) -> None:
        session = self._session
        if self._receiver is not None:
            await call(self._receiver, item)
        elif isinstance(item, Symbol):
            assert session.on_symbol is not None
            await call(session.on_symbol, item)
        elif session.on_event is not None:
            await call(session.on_event, item)


def _peer_error(data: Any) -> StreamError:
    members = data if isinstance(data, dict) else {}
    code, message = members.get("code"), members.get("message")
    known = code if isinstance(code, str) and code in HTTP_STATUS else "unknown"
    return StreamError(known, message if isinstance(message, str) else "")
