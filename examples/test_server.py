"""Tests of one's own, for server.py: what it streams, and what a client does when the network fails.

pip install 'objectstreaming[server,client,testing]' pytest
pytest examples/test_server.py
"""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from server import app

from objectstreaming import JsonCoder, ObjectStreamError
from objectstreaming.client import aopen_stream
from objectstreaming.testing import Crumble, Cut, FaultyApp, StreamingASGITransport

pytestmark = pytest.mark.anyio
QUESTION = {"question": "how are you"}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def ask(app: Any) -> list[str]:
    transport = StreamingASGITransport(app)  # gives each chunk when the application sends it
    async with (
        httpx.AsyncClient(transport=transport, base_url="http://test") as http,
        aopen_stream(http, "POST", "/ask", params=QUESTION, coder=JsonCoder()) as stream,
    ):
        return [payload["answer"] async for header, payload in stream]


async def test_a_word_is_a_message() -> None:
    assert await ask(app) == ["how", "are", "you"]


async def test_pieces_of_any_size_give_the_same() -> None:
    for size in range(1, 20):
        assert await ask(FaultyApp(app, Crumble(size))) == ["how", "are", "you"]


async def test_no_cut_is_taken_for_an_end() -> None:
    for at in range(0, 150, 7):
        with pytest.raises(ObjectStreamError):
            await ask(FaultyApp(app, Cut(at, clean=True)))
