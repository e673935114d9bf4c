"""`at` in control frames: for clients that ask for it, and for no other."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from objectstreaming import FrameDecoder, JsonCoder
from objectstreaming.server import FrameResponse
from objectstreaming.server.timing import TimedEncoder
from objectstreaming.store import MemoryStore
from objectstreaming.testing import StreamingASGITransport

ACCEPT = {"Accept": "application/vnd.objectstreaming;v=1"}
ASKING = {**ACCEPT, "Prefer": "at"}


def messages() -> Iterator[tuple[dict[str, Any], Any]]:
    yield {}, 1
    yield {}, 2


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    store = MemoryStore()
    app = FastAPI()
    app.include_router(store.router("/streams"))

    @app.get("/plain")
    async def plain() -> FrameResponse:
        return FrameResponse(messages(), coder=JsonCoder())

    @app.get("/stored")
    async def stored() -> FrameResponse:
        return FrameResponse(messages(), coder=JsonCoder(), store=store)

    async with (
        store.lifespan(app),
        httpx.AsyncClient(transport=StreamingASGITransport(app), base_url="http://server") as http,
    ):
        yield http


async def controls(http: httpx.AsyncClient, path: str, headers: dict[str, str]) -> list[dict[str, Any]]:
    response = await http.get(path, headers=headers)
    headers_of_frames = [frame.header for frame in FrameDecoder().feed(response.content)]
    return [header["$stream"] for header in headers_of_frames if "$stream" in header]


@pytest.mark.parametrize("path", ["/plain", "/stored"])
async def test_whoever_asks_is_told_when_a_response_opened_and_ended(http: httpx.AsyncClient, path: str) -> None:
    opening, *_, end = await controls(http, path, ASKING)
    assert 0 <= opening["at"] <= end["at"]
    assert end["frames"] == 2


@pytest.mark.parametrize("headers", [ACCEPT, {**ACCEPT, "Prefer": "respond-async"}, {"Prefer": "at"}])
async def test_nobody_else_is(http: httpx.AsyncClient, headers: dict[str, str]) -> None:
    for path in ("/plain", "/stored"):
        assert [control for control in await controls(http, path, headers) if "at" in control] == []


async def test_a_stored_end_has_no_time_of_another_response(http: httpx.AsyncClient) -> None:
    opening, *_ = await controls(http, "/stored", ASKING)
    _, again = await controls(http, opening["resume"], ACCEPT)
    assert again == {"type": "end", "frames": 2}


def test_the_open_frame_says_when_it_is_sent() -> None:
    times = iter([10.0, 10.0, 10.5, 10.75])
    encoder = TimedEncoder(JsonCoder(), clock=lambda: next(times))
    encoder.open(heartbeat=15)
    wire = encoder.opening() + encoder.end()
    assert [frame.header["$stream"]["at"] for frame in FrameDecoder().feed(wire)] == [500_000, 750_000]
