"""Faults of a network, made on purpose: a stream is cut, it stalls, it arrives in small pieces.

The place of a fault is counted in bytes, so that a test can put it at each byte in turn. The same faults work on any
iterable of chunks (`inject`) and on an ASGI application (`FaultyApp`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from .asgi import ASGIApp, Message, Receive, Send

__all__ = ["Crumble", "Cut", "Fault", "FaultyApp", "Stall", "inject"]


@dataclass(frozen=True)
class Cut:
    """The connection breaks, with `ConnectionResetError`.

    Args:
        at: after how many bytes.
        clean: the stream ends as if it were complete instead, as behind a proxy or a middleware that swallows
            exceptions.
    """

    at: int
    clean: bool = False


@dataclass(frozen=True)
class Stall:
    """Nothing comes for a while.

    Args:
        at: after how many bytes.
        seconds: how long; `math.inf`, for ever, only works with asynchronous chunks.
    """

    at: int
    seconds: float


@dataclass(frozen=True)
class Crumble:
    """No chunk is larger than `size` bytes, and each is sent alone."""

    size: int = 1


Fault: TypeAlias = Cut | Stall | Crumble


def inject(chunks: Iterable[bytes], *faults: Fault) -> Iterator[bytes]:
    """The chunks, with these faults.

    >>> list(inject([b"abc", b"defg"], Crumble(2), Cut(6, clean=True)))
    [b'ab', b'c', b'de', b'f']
    >>> list(inject([b"abc", b"defg"], Cut(6)))
    Traceback (most recent call last):
    ConnectionResetError: cut after 6 bytes, as the test demands

    Args:
        chunks: of any size.
        *faults: `Cut`, `Stall` and `Crumble`, in any order.
    """
    plan = _Plan(faults)
    for chunk in chunks:
        for step in plan.steps(chunk):
            if isinstance(step, Stall):
                time.sleep(step.seconds)
            else:
                yield step
        if plan.has_cut:
            return


class FaultyApp:
    """An ASGI application around another one. The faults happen to the bodies of its responses.

    To those of all its responses, also where a client resumes: `docs/testing.md` shows how to cut only the first.

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

    Args:
        app: the ASGI application.
        *faults: `Cut`, `Stall` and `Crumble`, for each response.
    """

    def __init__(self, app: ASGIApp, *faults: Fault) -> None:
        self.app = app
        self.faults = faults

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        plan = _Plan(self.faults)

        async def faulty_send(message: Message) -> None:
            body = message.get("body", b"")
            if message["type"] != "http.response.body" or not isinstance(body, bytes | bytearray | memoryview):
                await send(message)
                return
            if plan.has_cut:
                plan.check()
                return
            for step in plan.steps(bytes(body)):
                if isinstance(step, Stall):
                    await asyncio.sleep(step.seconds)
                else:
                    await send({"type": "http.response.body", "body": step, "more_body": True})
            if plan.has_cut or not message.get("more_body", False):
                await send({"type": "http.response.body", "body": b"", "more_body": False})

        await self.app(scope, receive, faulty_send)
        plan.check()  # again, because the application may have caught it as the error of a client that left


class _Plan:
    """Where the faults of one stream are, and whether it has been cut."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        faults = list(faults)
        self._coming: Final = sorted(
            (fault for fault in faults if not isinstance(fault, Crumble)), key=lambda at: at.at
        )
        self._size = min((fault.size for fault in faults if isinstance(fault, Crumble)), default=0)
        self._passed = 0
        self._cut: Cut | None = None

    @property
    def has_cut(self) -> bool:
        return self._cut is not None

    def check(self) -> None:
        """Raises `ConnectionResetError` if the stream was cut, unless it was a clean cut."""
        if self._cut is not None and not self._cut.clean:
            raise ConnectionResetError(f"cut after {self._cut.at} bytes, as the test demands")

    def steps(self, chunk: bytes) -> Iterator[bytes | Stall]:
        """What the next chunk becomes. Raises as `check` does; a clean cut ends it."""
        while self._coming and self._coming[0].at <= self._passed + len(chunk):
            fault = self._coming.pop(0)
            before = fault.at - self._passed
            yield from self._crumbs(chunk[:before])
            chunk = chunk[before:]
            self._passed = fault.at
            if isinstance(fault, Cut):
                self._cut = fault
                self.check()
                return
            yield fault
        yield from self._crumbs(chunk)
        self._passed += len(chunk)

    def _crumbs(self, chunk: bytes) -> Iterator[bytes]:
        size = self._size or len(chunk) or 1
        for at in range(0, len(chunk), size):
            yield chunk[at : at + size]
