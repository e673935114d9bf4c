"""A server in FastAPI's own style. Run it: uvicorn --app-dir examples server:app"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from fastapi import FastAPI

from objectstreaming import JsonCoder
from objectstreaming.server import FrameResponse, error_handlers

app = FastAPI(exception_handlers=error_handlers)


@app.post("/ask", response_class=FrameResponse.of(JsonCoder()))
async def ask(question: str) -> AsyncIterator[tuple[dict[str, Any], dict[str, Any]]]:
    for word in question.split():
        yield {"status": "success"}, {"answer": word}
