"""WebSocket in, steps, WebSocket out: a conversation in which a new question stops the answer to the last one.

    pip install "objectstreaming[server]" websockets
    uvicorn examples.flow_websocket:app
    python -m websockets ws://127.0.0.1:8000/talk

Say something; while it answers, say something else.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from fastapi import FastAPI, WebSocket

from objectstreaming import flow

app = FastAPI()


async def answer(question: str) -> AsyncIterator[str]:
    for word in f"you asked {question} and here is a long answer".split():
        yield word
        await asyncio.sleep(0.1)


@app.websocket("/talk")
async def talk(websocket: WebSocket) -> None:
    stream = flow.from_websocket(websocket)
    stream = flow.map(stream, str.strip)
    stream = flow.filter(stream, bool)
    stream = flow.switch(stream, answer, on_cancel=lambda question: f"[{question}: stopped]")
    await flow.to_websocket(stream, websocket)
