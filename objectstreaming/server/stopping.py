"""`stopping`: a lifespan that ends every stream when the server is told to stop.

**Why a signal.** A server that gets SIGTERM stops accepting, waits until its responses have ended, and only then runs
the lifespan's shutdown. A stream may run for hours, so the wait is long or ends in a cut. No ASGI message announces the
stop. The signal is the only thing that does, so its handler is wrapped while the application runs: first the streams
are ended, then the server's own handler runs.

**Who gets the signal.** Servers install their handlers before they start the lifespan, so wrapping at start-up finds
them (uvicorn, gunicorn's uvicorn workers, granian, hypercorn with `--workers 0`). hypercorn's worker processes get no
signal: their parent sets an event that an application cannot see. Their streams run until `--graceful-timeout`, and end
then because they are cancelled. docs/stopping.md says more, docs/deployment.md has the measurements.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from types import FrameType
from typing import Any, Final, Protocol, TypeAlias

from ..shutdown import end_streams
from ..shutdown import stopping as process

__all__ = ["stopping"]

Lifespan: TypeAlias = Callable[[Any], AbstractAsyncContextManager[Any]]

SIGNALS: Final = ("SIGINT", "SIGTERM", "SIGBREAK")

HEAD_START: Final = 0.1
"""Seconds between the end of the streams and the server's own handler. uvicorn's closes WebSockets at once, with no
time to send anything."""

DEFAULT_AFTER: Final = 1.0
"""Seconds until a signal that no server handles ends the process, as it would have without `stopping`."""


class _Store(Protocol):
    def lifespan(self, app: Any, /) -> AbstractAsyncContextManager[Any]: ...


def stopping(store: _Store | None = None, *, then: Lifespan | None = None) -> Lifespan:
    """A lifespan for FastAPI or Starlette: SIGTERM and SIGINT end every stream of the process at once.

    Streams and duplex sessions end with `unavailable` ("the server is shutting down"), requests whose body is still
    being read are answered with 503, and so is every stream that is asked for afterwards.

    It works where the lifespan runs in the main thread, which is the one that gets signals. Elsewhere, as in a test
    client, only `store` and `then` run.

    Args:
        store: a store of resumable streams, whose lifespan is entered first.
        then: the application's own lifespan, if it has one; its state is passed on.

    Returns:
        What `FastAPI(lifespan=)` takes.

    >>> from fastapi import FastAPI
    >>> app = FastAPI(lifespan=stopping())
    """

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[Mapping[str, Any]]:
        state: dict[str, Any] = {}
        async with AsyncExitStack() as entered:
            for inner in (None if store is None else store.lifespan, then):
                if inner is not None:
                    state.update(await entered.enter_async_context(inner(app)) or {})
            if threading.current_thread() is threading.main_thread():
                entered.enter_context(_Signals())
            yield state

    return lifespan


class _Signals(contextlib.AbstractContextManager[None]):
    """While entered, the signals to stop end the streams first."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._before: dict[int, Any] = {}

    def __enter__(self) -> None:
        for name in SIGNALS:
            number = getattr(signal, name, None)
            if number is not None:
                before = signal.getsignal(number)
                if before is not None:  # a handler that is not Python's cannot be called
                    self._before[number] = before
                    signal.signal(number, self._stop)

    def __exit__(self, *exc: object) -> None:
        for number, before in self._before.items():
            if signal.getsignal(number) == self._stop:  # otherwise somebody has wrapped ours, or replaced it
                signal.signal(number, before)
        process.begun = False

    def _stop(self, number: int, frame: FrameType | None) -> None:
        again = process.begun
        process.begun = True
        told = end_streams()
        before = self._before[number]
        if before == signal.SIG_IGN:
            return
        if before == signal.SIG_DFL:
            self._later(DEFAULT_AFTER, self._do_default, number)
        elif told and not again:
            self._later(HEAD_START, before, number, frame)
        else:
            before(number, frame)

    def _later(self, seconds: float, function: Callable[..., object], *args: Any) -> None:
        self._loop.call_soon_threadsafe(self._loop.call_later, seconds, function, *args)

    @staticmethod
    def _do_default(number: int) -> None:
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
