"""What networks do to a stream, on purpose: it is cut, it stalls, it comes in crumbs.

A fault counts bytes, so that a test can put it at each byte in turn. The same faults go around any iterable of chunks
(`inject`, `ainject`) and around an ASGI application (`FaultyApp`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from .asgi import ASGIApp, Message, Receive, Send

__all__ = ["Crumble", "Cut", "Fault", "FaultyApp", "Stall", "ainject", "inject"]


@dataclass(frozen=True)
class Cut:
    """Nothing comes after `at` bytes. As a broken connection, `ConnectionResetError`; or, if `clean`, as an end that
    looks like success: what a proxy, or a middleware that swallows exceptions, makes of it.
    """

    at: int
    clean: bool = False


@dataclass(frozen=True)
class Stall:
    """After `at` bytes nothing comes for `seconds`; `math.inf` is for ever, where the chunks are asynchronous."""

    at: int
    seconds: float


@dataclass(frozen=True)
class Crumble:
    """No chunk is larger than `size` bytes, and each is sent by itself."""

    size: int = 1


Fault: TypeAlias = Cut | Stall | Crumble


def inject(chunks: Iterable[bytes], *faults: Fault) -> Iterator[bytes]:
    """The chunks, with the faults in them.

    >>> list(inject([b"abc", b"defg"], Crumble(2), Cut(6, clean=True)))
    [b'ab', b'c', b'de', b'f']
    >>> list(inject([b"abc", b"defg"], Cut(6)))
    Traceback (most recent call last):
    ConnectionResetError: cut after 6 bytes, as the test wants it
    """
    plan = _Plan(faults)
    for chunk in chunks:
        for step in plan.steps(chunk):
            if isinstance(step, Stall):
                time.sleep(step.seconds)
            elif isinstance(step, Cut):
                if step.clean:
                    return
                raise _reset(step)
            else:
                yield step


async def ainject(chunks: AsyncIterable[bytes], *faults: Fault) -> AsyncIterator[bytes]:
    """`inject` for an asynchronous iterable."""
    plan = _Plan(faults)
    async for chunk in chunks:
        for step in plan.steps(chunk):
            if isinstance(step, Stall):
                await asyncio.sleep(step.seconds)
            elif isinstance(step, Cut):
                if step.clean:
                    return
                raise _reset(step)
            else:
                yield step


class FaultyApp:
    """An ASGI application around another, whose response bodies suffer the faults.

    >>> import httpx
    >>> from objectstreaming.testing import StreamingASGITransport
    >>> async def app(scope, receive, send):
    ...     await send({"type": "http.response.start", "status": 200, "headers": []})
    ...     await send({"type": "http.response.body", "body": b"a whole body"})
    >>> async def ask():
    ...     async with httpx.AsyncClient(transport=StreamingASGITransport(FaultyApp(app, Cut(7)))) as client:
    ...         return await client.get("http://test/")
    >>> asyncio.run(ask())
    Traceback (most recent call last):
    httpx.RemoteProtocolError: peer closed connection without sending complete message body
    """

    def __init__(self, app: ASGIApp, *faults: Fault) -> None:
        self.app = app
        self.faults = faults

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        plan = _Plan(self.faults)
        cut: Cut | None = None

        async def faulty_send(message: Message) -> None:
            nonlocal cut
            body = message.get("body", b"")
            if message["type"] != "http.response.body" or not isinstance(body, bytes | bytearray | memoryview):
                await send(message)
                return
            if cut is not None:
                if cut.clean:
                    return
                raise _reset(cut)
            for step in plan.steps(bytes(body)):
                if isinstance(step, Stall):
                    await asyncio.sleep(step.seconds)
                elif isinstance(step, Cut):
                    cut = step
                    if not cut.clean:
                        raise _reset(cut)
                    await send({"type": "http.response.body", "body": b"", "more_body": False})
                    return
                else:
                    await send({"type": "http.response.body", "body": step, "more_body": True})
            if not message.get("more_body", False):
                await send({"type": "http.response.body", "body": b"", "more_body": False})

        await self.app(scope, receive, faulty_send)
        if cut is not None and not cut.clean:  # and the application took it for a client that left
            raise _reset(cut)


def _reset(cut: Cut) -> ConnectionResetError:
    return ConnectionResetError(f"cut after {cut.at} bytes, as the test wants it")


class _Plan:
    """Where in one stream the faults are."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        faults = list(faults)
        self._coming: Final = sorted(
            (fault for fault in faults if not isinstance(fault, Crumble)), key=lambda at: at.at
        )
        self._size = min((fault.size for fault in faults if isinstance(fault, Crumble)), default=0)
        self._passed = 0

    def steps(self, chunk: bytes) -> Iterator[bytes | Stall | Cut]:
        """What becomes of the next chunk. Nothing is to be asked for after a `Cut`."""
        while self._coming and self._coming[0].at <= self._passed + len(chunk):
            fault = self._coming.pop(0)
            before = fault.at - self._passed
            yield from self._crumbs(chunk[:before])
            chunk = chunk[before:]
            self._passed = fault.at
            yield fault
        yield from self._crumbs(chunk)
        self._passed += len(chunk)

    def _crumbs(self, chunk: bytes) -> Iterator[bytes]:
        size = self._size or len(chunk) or 1
        for at in range(0, len(chunk), size):
            yield chunk[at : at + size]
