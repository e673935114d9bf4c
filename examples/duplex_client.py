"""Barge in: ask a server to count, stop it at five, and ask again on the same connection.

python examples/duplex_client.py
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from objectstreaming.duplex import DuplexSession, Symbol, WebSocketClientStream


async def main() -> None:
    async with WebSocketClientStream("http://127.0.0.1:8000/duplex") as stream:
        session = DuplexSession(stream)

        async def ask(how_far: str) -> None:
            async def question() -> AsyncIterator[Symbol]:
                yield Symbol.text(how_far)

            await session.run_duplex(question)

        async def listen(symbol: Symbol) -> None:
            print(symbol.text_value)
            if symbol.text_value == "5":
                await session.interrupt(played_ms=50)

        session.on_symbol = listen
        await ask("100000")
        print("interrupted:", session.interrupted)
        session.reset()
        await ask("3")


asyncio.run(main())
