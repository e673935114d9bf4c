"""A server that counts aloud, and may be interrupted: each number is a symbol, until somebody speaks.

pip install "objectstreaming[server]" websockets
uvicorn --app-dir examples --ws-ping-interval 0 duplex_server:app
python examples/duplex_client.py
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from fastapi import FastAPI, WebSocket

from objectstreaming import StreamIncomplete
from objectstreaming.duplex import DuplexSession, StreamEvent, StreamItem, Symbol, WebSocketServerStream

app = FastAPI()


class Turn:
    """One question, and its answer."""

    def __init__(self) -> None:
        self.words: list[str] = []
        self.asked = asyncio.Event()

    def hear(self, item: StreamItem) -> None:
        if isinstance(item, Symbol):
            self.words.append(item.text_value or "")
        elif item.type == "stream_end":
            self.asked.set()
        elif isinstance(item, StreamEvent) and item.type == "interrupt":
            print("stopped, after they had heard", item.data)

    async def answer(self) -> AsyncIterator[Symbol]:
        await self.asked.wait()
        for n in range(1, int(" ".join(self.words)) + 1):
            yield Symbol.text(str(n))
            await asyncio.sleep(0.01)


@app.websocket("/duplex")
async def duplex(websocket: WebSocket) -> None:
    async with WebSocketServerStream(websocket) as stream:
        session = DuplexSession(stream)
        with contextlib.suppress(StreamIncomplete):  # the client may leave in the middle of an answer
            while stream.is_connected:
                turn = Turn()
                await session.run_duplex(turn.answer, turn.hear)
                session.reset()
