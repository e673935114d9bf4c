"""Two workers of uvicorn with one FileStore: readers go on at either, also when the one that writes is killed."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from cutting_proxy import CuttingProxy
from deadlines import wait_until

from objectstreaming import JsonCoder, StreamError
from objectstreaming.client import aopen_stream


@contextmanager
def started(folder: Path, *arguments: str) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """The port and the process of a uvicorn with the application."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", "--factory", "workers_app:make", "--port", str(port), *arguments]
    server = subprocess.Popen(
        [*command, "--log-level", "critical"],
        cwd=Path(__file__).parent,
        env={**os.environ, "STORE": str(folder)},
        start_new_session=True,
    )

    def answers() -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{port}/openapi.json", timeout=1).is_success
        except httpx.TransportError:
            return False

    try:
        wait_until(answers)
        yield port, server
    finally:
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)  # a session of its own: the server and its workers
        server.wait()


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with started(tmp_path_factory.mktemp("streams"), "--workers", "2") as (port, _):
        yield port


async def test_readers_that_are_cut_go_on_at_either_worker(port: int) -> None:
    async with CuttingProxy(lambda: port, random.Random(1), 30_000) as proxy, httpx.AsyncClient() as http:

        async def ask() -> list[Any]:
            url = f"{proxy.url}/ask?count=400"
            async with aopen_stream(http, "POST", url, coder=JsonCoder(), resume=True) as stream:
                return await stream.read_all()

        async with asyncio.timeout(60):
            answers = await asyncio.gather(*(ask() for _ in range(8)))
        assert answers == [[({"n": n}, "x" * (n * 37 % 300)) for n in range(400)]] * 8
        assert proxy.cuts > 8


async def test_when_the_worker_that_writes_is_killed_its_readers_are_told(port: int) -> None:
    async with httpx.AsyncClient() as http, asyncio.timeout(30):
        url = f"http://127.0.0.1:{port}/ask?count=1"
        async with aopen_stream(http, "POST", url, coder=JsonCoder(), resume=True) as stream:
            assert (await anext(stream))[0] == {"n": 0}
            os.kill(stream.metadata["process"], signal.SIGKILL)
            with pytest.raises(StreamError, match="has died") as ended:
                await anext(stream)
        assert ended.value.code == "unavailable"
        assert stream.position == 1


async def test_a_server_that_is_told_to_stop_ends_what_it_writes(tmp_path: Path) -> None:
    with started(tmp_path) as (port, server):
        async with httpx.AsyncClient() as http, asyncio.timeout(30):
            url = f"http://127.0.0.1:{port}/ask?count=1"
            async with aopen_stream(http, "POST", url, coder=JsonCoder(), resume=True) as stream:
                await anext(stream)
                server.send_signal(signal.SIGTERM)
                with pytest.raises(StreamError, match="shutting down"):
                    await anext(stream)
            await asyncio.to_thread(server.wait)
    [kept] = tmp_path.glob("*.frames")  # noqa: ASYNC240  a small folder
    assert b'"unavailable"' in kept.read_bytes()
