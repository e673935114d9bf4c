"""Applications whose streams are stored, in a uvicorn of this process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from fastapi import FastAPI, Header
from starlette.responses import Response

from objectstreaming import JsonCoder
from objectstreaming.server import FrameResponse, error_handlers
from objectstreaming.store import Store

FRAMES = {"accept": "application/vnd.objectstreaming;v=1"}
EVENTS = {"accept": "text/event-stream"}


def current_user(authorization: str = Header("")) -> str:
    return authorization


def make_app(store: Store, sources: list[Any] | None = None, **options: Any) -> FastAPI:
    """`POST /ask` streams the next of `sources`, or `count` messages; `PUT /ask/{id}` starts or joins a stream."""
    app = FastAPI(lifespan=store.lifespan, exception_handlers=error_handlers)

    def source(count: int) -> Any:
        return sources.pop(0) if sources else _counting(count)

    @app.post("/ask")
    async def ask(count: int = 3) -> Response:
        return FrameResponse(source(count), coder=JsonCoder(), store=store, **options)

    @app.post("/mine")
    async def mine(authorization: str = Header("")) -> Response:
        return FrameResponse(source(3), coder=JsonCoder(), store=store, owner=authorization, **options)

    @app.put("/ask/{id}")
    async def put(id: str) -> Response:
        return FrameResponse(source(3), coder=JsonCoder(), store=store, id=id, **options)

    app.include_router(store.router("/streams", coders=[JsonCoder()]), prefix="/api")
    app.include_router(store.router("/owned", owner=current_user, coders=[JsonCoder()]))
    return app


async def _counting(count: int) -> AsyncIterator[Any]:
    for n in range(count):
        yield {"n": n}, "x" * (n * 37 % 300)
        if n % 5 == 0:
            await asyncio.sleep(0.001)


@asynccontextmanager
async def serving(app: FastAPI) -> AsyncIterator[int]:
    """The port of a server for the application."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="critical", timeout_graceful_shutdown=2))
    server.capture_signals = _no_signals  # type: ignore[method-assign,assignment]
    task = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110  it does not say when
        await asyncio.sleep(0.005)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await task


class _no_signals:  # noqa: N801  it stands for a method
    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


__all__ = ["EVENTS", "FRAMES", "current_user", "make_app", "serving"]
