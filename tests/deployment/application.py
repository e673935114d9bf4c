"""The application that the deployment tests serve, as `application:app`. `LAYERS` names the middleware around it."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import Response, StreamingResponse
from starlette.websockets import WebSocket

from objectstreaming import JsonCoder, StreamError
from objectstreaming.duplex import DuplexSession, WebSocketServerStream
from objectstreaming.server import FrameResponse, RequestBody, doctor_route, error_handlers, stopping

CODER: JsonCoder[Any, Any] = JsonCoder()

HEARTBEAT = 0.5

app = FastAPI(lifespan=stopping(), exception_handlers=error_handlers)
running = 0


async def ticks(count: int = 1_000_000, seconds: float = 0.05) -> AsyncIterator[Any]:
    global running
    running += 1
    try:
        for n in range(count):
            yield {"n": n}, {"at": time.time()}
            await asyncio.sleep(seconds)
    finally:
        running -= 1


async def silence() -> AsyncIterator[Any]:
    async for item in ticks(1):
        yield item
        await asyncio.Event().wait()


def sync_ticks() -> Iterator[Any]:
    global running
    running += 1
    try:
        for n in range(1_000_000):
            yield {"n": n}, {"at": time.time()}
            time.sleep(0.05)
    finally:
        running -= 1


async def failing() -> AsyncIterator[Any]:
    yield {"n": 0}, {"at": time.time()}
    await asyncio.sleep(0.2)
    raise StreamError("unavailable", "the model fell over")


class Timeout:
    """Cancels what takes longer than its time, as timeout middleware does."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope.get("path") != "/cancelled":
            await self.app(scope, receive, send)
            return
        async with asyncio.timeout(0.3):
            await self.app(scope, receive, send)


async def in_time() -> AsyncIterator[None]:
    async with asyncio.timeout(0.3):
        yield


SOURCES: dict[str, Callable[[], Any]] = {"ticks": ticks, "silence": silence, "sync": sync_ticks}


@app.get("/stream/{kind}")
async def stream(kind: str) -> FrameResponse:
    return FrameResponse(SOURCES[kind](), coder=CODER, heartbeat=None)


@app.get("/whole")
async def whole() -> FrameResponse:
    return FrameResponse(ticks(4, 0.2), coder=CODER)


@app.get("/failure")
async def failure() -> FrameResponse:
    return FrameResponse(failing(), coder=CODER)


@app.get("/deadline")
async def deadline() -> FrameResponse:
    return FrameResponse(ticks(), coder=CODER, max_duration=0.3)


@app.get("/cancelled")
async def cancelled() -> FrameResponse:
    return FrameResponse(ticks(), coder=CODER)


@app.get("/dependency")
async def dependency(_: Annotated[None, Depends(in_time, scope="request")]) -> FrameResponse:
    return FrameResponse(ticks(), coder=CODER)


@app.get("/beating")
async def beating() -> FrameResponse:
    """Three seconds of silence, with heartbeats."""

    async def source() -> AsyncIterator[Any]:
        yield {"n": 0}, None
        await asyncio.sleep(3)
        yield {"n": 1}, None

    return FrameResponse(source(), coder=CODER, heartbeat=HEARTBEAT)


@app.get("/bare")
async def bare() -> StreamingResponse:
    """What `/doctor` gives, of a response that knows nothing of proxies."""

    async def source() -> AsyncIterator[bytes]:
        began = time.perf_counter()
        for gap in (0.0, 0.03, 0.03, 0.03, 0.1, 0.25, 0.6, 0.25):
            await asyncio.sleep(gap)
            yield CODER.encode({"sent": time.perf_counter() - began}, None)

    return StreamingResponse(source(), media_type="application/octet-stream")


@app.post("/unread")
async def unread() -> FrameResponse:
    return FrameResponse(silence(), coder=CODER, heartbeat=None)


@app.post("/upload")
async def upload(request: Request) -> dict[str, int]:
    return {"bytes": sum([len(chunk) async for chunk in RequestBody(request)])}


@app.websocket("/duplex")
async def duplex(websocket: WebSocket) -> None:
    async with WebSocketServerStream(websocket) as stream:
        await DuplexSession(stream).run_duplex(silent_symbols, lambda item: None)


async def silent_symbols() -> AsyncIterator[Any]:
    await asyncio.Event().wait()
    yield


@app.get("/running")
async def how_many() -> int:
    return running


app.router.routes.append(doctor_route(heartbeat=HEARTBEAT))

layers = os.environ.get("LAYERS", "")
app.add_middleware(Timeout)
if "gzip" in layers:
    app.add_middleware(GZipMiddleware, minimum_size=1)
    app.add_middleware(CORSMiddleware, allow_origins=["*"])
if "base" in layers:

    @app.middleware("http")
    async def pass_on(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        return await call_next(request)
