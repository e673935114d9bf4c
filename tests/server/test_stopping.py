"""`stopping`: what a signal does to the streams, the sessions and the server's own handlers."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from deadlines import DEADLINE, until
from fastapi import FastAPI
from starlette.testclient import TestClient
from test_response import CODER, Call, Watched

from objectstreaming.server import FrameResponse, stopping
from objectstreaming.shutdown import SHUTTING_DOWN


class Handler:
    """A server's own handler of SIGTERM."""

    def __init__(self) -> None:
        self.calls: list[int] = []
        self.called = asyncio.Event()

    def __call__(self, number: int, frame: object) -> None:
        self.calls.append(number)
        self.called.set()


@pytest.fixture
def handler() -> Iterator[Handler]:
    handler = Handler()
    before = signal.signal(signal.SIGTERM, handler)
    yield handler
    signal.signal(signal.SIGTERM, before)


async def test_a_signal_ends_the_streams_and_then_reaches_the_server(handler: Handler) -> None:
    watched = Watched()
    call = Call(FrameResponse(watched.waiting_for_ever(), coder=CODER))
    async with stopping()(None):
        task = asyncio.create_task(call.run())
        await call.until(lambda: len(call.sent) > 1)
        os.kill(os.getpid(), signal.SIGTERM)
        await until(lambda: handler.calls or task.done())
        await task
        assert call.control[-1]["error"] == {"code": "unavailable", "message": SHUTTING_DOWN.message}
        async with asyncio.timeout(DEADLINE):
            await handler.called.wait()
        late = await Call(FrameResponse(Watched().waiting_for_ever(), coder=CODER)).run()
        assert late.status == 503
    assert signal.getsignal(signal.SIGTERM) == handler
    assert watched.closed.is_set()
    assert (await Call(FrameResponse([], coder=CODER)).run()).status == 200  # the next application is not stopping


async def test_without_streams_or_again_the_server_gets_the_signal_at_once(handler: Handler) -> None:
    async with stopping()(None):
        signal.raise_signal(signal.SIGTERM)
        assert handler.calls == [signal.SIGTERM]
        signal.raise_signal(signal.SIGTERM)
        assert len(handler.calls) == 2


async def test_a_signal_that_is_ignored_ends_the_streams_all_the_same() -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        async with stopping()(None):
            call = Call(FrameResponse(Watched().waiting_for_ever(), coder=CODER))
            task = asyncio.create_task(call.run())
            await call.until(lambda: len(call.sent) > 1)
            signal.raise_signal(signal.SIGTERM)
            await task
    finally:
        signal.signal(signal.SIGTERM, before)


async def test_a_handler_that_wrapped_ours_stays(handler: Handler) -> None:
    def another(number: int, frame: object) -> None: ...

    async with stopping()(None):
        signal.signal(signal.SIGTERM, another)
    assert signal.getsignal(signal.SIGTERM) is another


def test_the_lifespans_of_store_and_application_are_entered_in_order_and_their_state_is_kept() -> None:
    steps: list[str] = []

    class Store:
        @asynccontextmanager
        async def lifespan(self, app: Any) -> AsyncIterator[None]:
            steps.append("store opens")
            yield
            steps.append("store closes")

    @asynccontextmanager
    async def own(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
        steps.append(f"{app.title} opens")
        yield {"model": 5}
        steps.append(f"{app.title} closes")

    with TestClient(FastAPI(title="app", lifespan=stopping(Store(), then=own))) as client:
        assert client.app_state["model"] == 5
        assert threading.current_thread() is threading.main_thread()  # and the lifespan is not in it
    assert steps == ["store opens", "app opens", "app closes", "store closes"]
