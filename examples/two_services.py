"""Two services: one asks the other, changes each message as it comes, and passes it on.

    uvicorn --app-dir examples server:app --port 8000          # the one that answers
    uvicorn --app-dir examples two_services:app --port 8001    # this one

Leaving this service leaves the other one too. If the other one fails or is cut, this stream ends with `unavailable`.
What the other one said is for us, and not for our client.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from fastapi import FastAPI, Request

from objectstreaming import JsonCoder, ObjectStreamError, StreamError
from objectstreaming.client import aopen_stream
from objectstreaming.server import FrameResponse, error_handlers


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
    async with httpx.AsyncClient(base_url="http://127.0.0.1:8000") as other:
        yield {"other": other}


app = FastAPI(lifespan=lifespan, exception_handlers=error_handlers)


@app.post("/shout", response_class=FrameResponse.of(JsonCoder()))
async def shout(question: str, request: Request) -> AsyncIterator[tuple[dict[str, Any], dict[str, Any]]]:
    asked = {"question": question}
    try:
        async with aopen_stream(request.state.other, "POST", "/ask", params=asked, coder=JsonCoder()) as stream:
            async for header, payload in stream:
                yield header, {"answer": payload["answer"].upper()}
    except (ObjectStreamError, httpx.HTTPError) as error:
        raise StreamError("unavailable", "the other service failed") from error
