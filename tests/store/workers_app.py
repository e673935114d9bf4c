"""An application for several workers: `STORE` in the environment is the folder of its FileStore."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Any

from fastapi import FastAPI

from objectstreaming import JsonCoder
from objectstreaming.server import FrameResponse, stopping
from objectstreaming.store import FileStore


def make() -> FastAPI:
    store = FileStore(os.environ["STORE"])
    app = FastAPI(lifespan=stopping(store))

    async def source(count: int) -> AsyncIterator[Any]:
        for n in range(count):
            yield {"n": n}, "x" * (n * 37 % 300)
            if n % 5 == 0:
                await asyncio.sleep(0.001)
        if count == 1:  # it goes on until its process is killed
            await asyncio.Event().wait()

    @app.post("/ask")
    async def ask(count: int) -> FrameResponse:
        return FrameResponse(source(count), coder=JsonCoder(), store=store, metadata={"process": os.getpid()})

    app.include_router(store.router("/streams", coders=[JsonCoder()]))
    return app
