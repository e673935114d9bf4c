"""An application of stored streams for tests/soak/streams.py. `STORE` is a folder or the URL of a Redis."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Any

from fastapi import FastAPI

from objectstreaming import JsonCoder
from objectstreaming.server import FrameResponse, stopping
from objectstreaming.store import FileStore, Keep, RedisStore


def make() -> FastAPI:
    where, lease = os.environ["STORE"], float(os.environ["LEASE"])
    keep = Keep(bytes=64 * 2**20)
    store = RedisStore(where, keep=keep, lease=lease) if "://" in where else FileStore(where, keep=keep, lease=lease)
    app = FastAPI(lifespan=stopping(store))
    closed: dict[str, int] = {"closed": 0}

    async def source(count: int, size: int, pause: float, silence: float) -> AsyncIterator[Any]:
        try:
            for n in range(count):
                yield {"n": n}, "x" * (n * 37 % size)
                if pause:
                    await asyncio.sleep(pause)
            await asyncio.sleep(silence)
            yield {"n": count}, ""
        finally:
            closed["closed"] += 1

    def response(id: str | None, count: int, size: int, pause: float, silence: float) -> FrameResponse:
        return FrameResponse(
            source(count, size, pause, silence),
            coder=JsonCoder(),
            store=store,
            id=id,
            heartbeat=0.5,
            metadata={"process": os.getpid()},
        )

    @app.post("/ask")
    async def ask(count: int, size: int = 300, pause: float = 0, silence: float = 0) -> FrameResponse:
        return response(None, count, size, pause, silence)

    @app.put("/ask/{id}")
    async def begin(id: str, count: int, size: int = 300, pause: float = 0, silence: float = 0) -> FrameResponse:
        return response(id, count, size, pause, silence)

    @app.get("/closed")
    async def sources() -> dict[str, int]:
        return closed

    app.include_router(store.router("/streams", coders=[JsonCoder()], heartbeat=0.5))
    return app
