"""A `DuplexStream` over anything that carries messages of bytes. Each direction is a stream of version 1
(SPEC section 7, "The duplex session").

**How it works.** Two tasks serve a connection, as long as it lasts.

    send -> outbox -> writer -> pipe -> peer        open first, pings in silences, end last
    receive <- inbox <- reader <- pipe <- peer      frames in any pieces

Both mailboxes are bounded. If the peer does not read, the pipe fills, then the outbox, and then `send` waits. If the
program does not call `receive`, the inbox fills, the reader stops reading, and the peer waits. `send` encodes a symbol,
so that its caller gets the error if it cannot be sent. The writer counts it, so that it may still be dropped in
between.

A connection ends in one of three ways, and `receive` shows which:

* The peer's `end` arrives. The inbox ends, and our own `end` is sent.
* The connection fails: bytes arrive that are not a stream, or nothing arrives for three heartbeats, or the connection
  is closed without an `end`. The inbox ends with that error, `send` raises it, and our `end` tells it to the peer, if
  the peer still reads.
* `disconnect` is called. The outbox is written, then our `end`. What still arrives is read and dropped until the peer's
  `end`: the last bytes of a side that closes with bytes unread may be lost (RFC 9293, section 3.6.1).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from types import TracebackType
from typing import Any, Final, Literal

from ..coders import Coder
from ..errors import (
    EncodeError,
    FrameError,
    FrameTooLarge,
    IdleTimeout,
    ObjectStreamError,
    PayloadError,
    ProtocolError,
    StreamError,
    StreamIncomplete,
)
from ..flow.closing import stop
from ..frames import Limits
from ..observe import Observer, Outcome, ReadWatch, StreamRecord, Watch, observing
from ..protocol import HEARTBEATS, StreamDecoder, StreamEncoder
from .coder import SymbolCoder
from .mailbox import Mailbox
from .stream import DuplexStream
from .symbol import StreamEvent, StreamItem

__all__ = ["SUBPROTOCOL", "FramedStream", "Pipe"]

logger = logging.getLogger("objectstreaming.duplex")

SUBPROTOCOL: Final = "objectstreaming.v1"
"""The WebSocket subprotocol (SPEC section 6.4, "WebSocket")."""

_ITEMS: Final = 32
_BYTES: Final = 1024 * 1024
"""How much each mailbox holds at most. A single symbol may be larger."""

_LONGEST_HEARTBEAT: Final = 300.0
"""Upper bound of the heartbeat that a peer may announce, unless our own is longer."""


class Pipe(ABC):
    """What carries the messages of one connection. `PipeClosed` is raised where the peer has gone."""

    @abstractmethod
    async def send(self, message: bytes) -> None:
        """Send a message. Waits while the peer does not read."""

    @abstractmethod
    async def receive(self) -> bytes | None:
        """The next message; `None` when the connection is closed or broken. No message is lost when this is
        cancelled."""

    @abstractmethod
    async def close(self, error: ObjectStreamError | None = None) -> None:
        """Close, and tell the peer why if the pipe can."""

    def abort(self) -> None:  # noqa: B027 - not every pipe can
        """Close without waiting for anything."""


class PipeClosed(Exception):
    """The peer has gone."""


class FramedStream(DuplexStream):
    """A duplex stream of frames. A backend opens the pipe.

    Args:
        heartbeat: seconds of silence after which a ping is sent.
        metadata: what our `open` frame carries.
        limits: the largest frame and header, in both directions; by default 16 MiB and 64 KiB.
        patience: how many seconds `disconnect` waits for the peer.
        observer: is told of both directions, each of which is a stream (`objectstreaming.observe`).
        coder: makes frames of the items, and items of frames, for a protocol of one's own; by default a `SymbolCoder`.

    Raises:
        ValueError: `heartbeat` or `patience` is not more than 0.
    """

    _method = "MEMORY"
    _shown_url = ""
    _scope: Mapping[str, Any] | None = None

    def __init__(
        self,
        *,
        heartbeat: float = 15.0,
        metadata: Mapping[str, Any] | None = None,
        limits: Limits | None = None,
        patience: float = 5.0,
        observer: Observer | None = None,
        coder: Coder[StreamItem, None] | None = None,
    ) -> None:
        if not heartbeat > 0 or not patience > 0:
            raise ValueError(f"heartbeat and patience are seconds, more than 0, not {heartbeat} and {patience}")
        self._heartbeat = heartbeat
        self._metadata = dict(metadata) if metadata is not None else None
        self._limits = limits if limits is not None else Limits()
        self._patience = patience
        self._observer = observer
        self._coder = coder if coder is not None else SymbolCoder()
        # Only encodes, and refuses what the peer would refuse. The writer has an encoder of its own, which counts.
        self._checked = StreamEncoder(self._coder, None, limits=self._limits)
        self._pipe: Pipe | None = None
        self._inbox: Mailbox[StreamItem | PayloadError] | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._alive = False
        self._connecting = asyncio.Lock()

    @abstractmethod
    async def _open(self) -> Pipe:
        """Open the pipe of a new connection."""

    # ---------------------------------------------------------------------------------------- the connection

    async def connect(self) -> None:
        async with self._connecting:
            if self._pipe is not None:
                return
            encoder = StreamEncoder(self._coder, limits=self._limits)
            opening = encoder.open(heartbeat=self._heartbeat, metadata=self._metadata)
            self._pipe = await self._open()
            self._inbox = Mailbox(items=_ITEMS, size=_BYTES)
            self._outbox: Mailbox[tuple[bytes, bool]] = Mailbox(items=_ITEMS, size=_BYTES)
            self._end_error: StreamError | None = None  # what our `end` frame will carry
            self._failure: ObjectStreamError | None = None  # what the connection failed with
            self._failure_raised = False  # send or receive has raised it
            self._flushed = False
            self._alive = True
            self._sent, self._received = self._watches()
            loop = asyncio.get_running_loop()
            writer = loop.create_task(self._write(self._pipe, encoder, opening), name="objectstreaming duplex writer")
            reader = loop.create_task(self._read(self._pipe, writer), name="objectstreaming duplex reader")
            self._tasks = [writer, reader]

    def _watches(self) -> tuple[Watch | None, ReadWatch | None]:
        """Of both directions."""
        observers = observing(self._observer)
        if observers is None:
            return None, None

        def record(kind: Literal["sent", "received"]) -> StreamRecord:
            return StreamRecord(self._method, self._shown_url, self._coder.name, scope=self._scope, kind=kind)

        return Watch(record("sent"), observers), ReadWatch(record("received"), observers)

    async def disconnect(self) -> None:
        if self._pipe is None or not self._tasks:
            return
        assert self._inbox is not None
        (writer, reader), self._tasks = self._tasks, []
        pipe = self._pipe
        self._alive = False
        failure, peer_left = self._failure, self._outbox.over
        self._inbox.discard()
        self._outbox.end(write_error=EncodeError("this stream is disconnected"))
        try:
            await asyncio.wait([writer], timeout=self._patience)
            if writer.done():
                await asyncio.wait([reader], timeout=self._patience)
        finally:
            if not reader.done():
                pipe.abort()
            await stop([writer, reader])
            self._inbox.end()
            self._pipe = None
        if failure is not None and not self._failure_raised:
            self._failure_raised = True
            raise failure
        if not self._flushed and not peer_left:
            raise self._failure or IdleTimeout("the peer did not read what was still to be sent")

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            await self.disconnect()
            return
        # The block failed, so the peer must not take our end for a success.
        if self._pipe is not None and self._tasks:
            self._end_error = self._end_error or _public(error)
            self._outbox.drop(lambda entry: entry[1])
        with contextlib.suppress(ObjectStreamError):  # the block's own error is raised
            await self.disconnect()

    @property
    def is_connected(self) -> bool:
        return self._alive

    def _give_up(self, why: StreamError) -> None:
        """End the connection with an error: `send` and `receive` raise it, and our `end` tells it to the peer."""
        if self._inbox is None or not self._alive:
            return
        self._alive = False
        self._failure = why
        self._end_error = why
        self._outbox.drop(lambda entry: True)
        self._inbox.end(read_error=why)
        self._outbox.end(write_error=why)

    # ------------------------------------------------------------------------------------------------ sending

    async def send(self, item: StreamItem) -> None:
        wire = self._checked.data(item, None)
        if self._pipe is None:
            raise EncodeError("this stream is not connected")
        outbox = self._outbox
        try:
            if isinstance(item, StreamEvent) and item.type == "interrupt":
                if self._sent is not None:
                    self._sent.record.interrupts += 1
                outbox.drop(lambda entry: entry[1])
                if len(outbox) < 2 * _ITEMS:  # otherwise it waits too: a peer can make us send any number of them
                    outbox.put_now((wire, False), len(wire))
                    return
            droppable = not isinstance(item, StreamEvent) or item.type == "stream_end"
            await outbox.put((wire, droppable), len(wire))
        except ObjectStreamError as error:
            self._failure_raised = self._failure_raised or error is self._failure
            raise

    async def send_end(self) -> None:
        await self.send(StreamEvent("stream_end"))

    @property
    def is_unsent(self) -> bool:
        """Whether symbols, or a `stream_end`, wait to be written, which an `interrupt` would drop."""
        return self._pipe is not None and self._outbox.holds(lambda entry: entry[1])

    async def _write(self, pipe: Pipe, encoder: StreamEncoder[StreamItem, None], opening: bytes) -> None:
        watch = self._sent
        if watch is None:
            await self._write_all(pipe.send, encoder, opening)
            return

        async def send(message: bytes) -> None:
            since, before = watch.clock(), watch.record.frames
            await pipe.send(message)
            watch.wrote(len(message), encoder.position, messages=encoder.position > before, since=since)

        watch.started()
        try:
            await self._write_all(send, encoder, opening)
        finally:
            if not self._flushed:  # the peer has gone, or has not read what was left to be sent
                watch.ended("left", "canceled", encoder.position)
            elif self._end_error is None:
                watch.ended("ok", None, encoder.position)
            else:
                watch.ended("failed", self._end_error.code, encoder.position)

    async def _write_all(
        self, send: Callable[[bytes], Awaitable[None]], encoder: StreamEncoder[StreamItem, None], opening: bytes
    ) -> None:
        outbox = self._outbox
        try:
            await send(opening)
            while True:
                try:
                    async with asyncio.timeout(None if len(outbox) else self._heartbeat):
                        entry = await outbox.get()
                except TimeoutError:
                    if self._sent is not None:
                        self._sent.record.pings += 1
                    await send(encoder.ping())
                    continue
                if entry is None:
                    break
                await send(encoder.encoded(entry[0]))
            await send(encoder.end(error=self._end_error))
            self._flushed = True
        except Exception as error:
            if not isinstance(error, PipeClosed):
                logger.exception("a duplex connection failed")
            # Senders must not wait any longer. How the connection ended is for the reader to say: the peer's own `end`
            # may still be in the pipe.
            self._alive = False
            outbox.drop(lambda entry: True)
            outbox.end(write_error=StreamIncomplete("the connection broke while sending"))

    # ---------------------------------------------------------------------------------------------- receiving

    async def receive(self) -> AsyncIterator[StreamItem]:
        if self._inbox is None:
            raise RuntimeError("this stream was never connected: there is nothing to receive")
        inbox = self._inbox
        while True:
            try:
                item = await inbox.get()
            except ObjectStreamError:
                self._failure_raised = True
                raise
            if item is None:
                return
            if isinstance(item, PayloadError):
                raise item
            yield item

    async def _read(self, pipe: Pipe, writer: asyncio.Task[None]) -> None:
        assert self._inbox is not None
        failure: ObjectStreamError | None = None
        try:
            await self._read_observed(pipe, self._inbox)
        except ObjectStreamError as error:
            failure = error
        except Exception:
            logger.exception("a duplex connection failed")
            failure = StreamError("internal", "internal error")
        self._alive = False
        self._outbox.drop(lambda entry: True)
        if failure is None:
            self._inbox.end()
            self._outbox.end(write_error=EncodeError("the peer has left"))
        else:
            self._failure = failure
            self._end_error = self._end_error or _public(failure)
            self._inbox.end(read_error=failure)
            self._outbox.end(write_error=failure)
        await asyncio.wait([writer], timeout=self._patience)
        await pipe.close(failure)

    async def _read_observed(self, pipe: Pipe, inbox: Mailbox[StreamItem | PayloadError]) -> None:
        decoder = StreamDecoder(self._coder, limits=self._limits, require_end=True)
        watch = self._received
        if watch is None:
            await self._read_messages(pipe, inbox, decoder)
            return
        outcome: tuple[Outcome, str | None] = ("left", "canceled")
        watch.started()
        try:
            await self._read_messages(pipe, inbox, decoder)
            outcome = ("ok", None)
        except Exception as error:
            outcome = ("failed", error.code if isinstance(error, ObjectStreamError) else "internal")
            raise
        finally:
            watch.record.pings = decoder.pings
            watch.ended(*outcome, decoder.received)

    async def _read_messages(
        self,
        pipe: Pipe,
        inbox: Mailbox[StreamItem | PayloadError],
        decoder: StreamDecoder[StreamItem, None],
    ) -> None:
        watch = self._received
        unopened = decoder.metadata
        opened = False
        while not decoder.ended:
            if watch is not None:
                watch.reads()
            silence = HEARTBEATS * min(decoder.heartbeat or self._heartbeat, max(_LONGEST_HEARTBEAT, self._heartbeat))
            try:
                async with asyncio.timeout(silence):
                    message = await pipe.receive()
            except TimeoutError:
                raise IdleTimeout(f"nothing arrived for {silence:g} s, not even a ping", decoder.position) from None
            if message is None:
                decoder.finish()
                break
            if len(message) > self._limits.frame:
                raise FrameTooLarge(f"a message of {len(message)} bytes, where {self._limits.frame} are allowed")
            decoder.feed(message)
            is_read = False
            while True:
                item: StreamItem | PayloadError | None = None
                before = decoder.offset
                try:
                    found = decoder.next_message()
                    item = found[0] if found is not None else None
                except PayloadError as error:
                    item = error
                if watch is not None:
                    if not is_read:
                        is_read = True
                        watch.read(len(message), decoder.received)
                    if isinstance(item, StreamEvent) and item.type == "interrupt":
                        watch.record.interrupts += 1
                if not opened and decoder.metadata is not unopened:
                    opened = True
                    await inbox.put(StreamEvent("connected", decoder.metadata), 0)
                if not opened and (item is not None or decoder.ended):
                    raise ProtocolError("invalid_control", "the stream does not begin with open", 0)
                if item is None:
                    break
                await inbox.put(item, decoder.offset - before)
        await inbox.put(StreamEvent("disconnected", decoder.trailers), 0)


def _public(error: BaseException) -> StreamError:
    """What the peer is told of an error: everything about its own bytes, nothing about our own faults."""
    if isinstance(error, StreamError) and error.from_peer:
        return StreamError("unavailable", "a service behind this one failed")
    if isinstance(error, StreamError):
        return error
    if isinstance(error, asyncio.CancelledError | KeyboardInterrupt):
        return StreamError("canceled", "the exchange was given up")
    if isinstance(error, FrameError | PayloadError | ProtocolError):
        return StreamError("invalid_argument", str(error))
    if isinstance(error, IdleTimeout):
        return StreamError("deadline_exceeded", str(error))
    if isinstance(error, StreamIncomplete):
        return StreamError("data_loss", str(error))
    return StreamError("internal", "internal error")
