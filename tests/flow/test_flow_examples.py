"""The flows of examples/flow_*.py do what they say."""

from __future__ import annotations

import asyncio
import os
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import uvicorn
import websockets

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_files_lower_case_and_even_and_odd_lines(tmp_path: Path) -> None:
    source = tmp_path / "talk.txt"
    source.write_text("One\nTwo\nThree\n")
    paths = {"PYTHONPATH": str(EXAMPLES.parent)}
    subprocess.run([sys.executable, EXAMPLES / "flow_files.py", source], check=True, env={**os.environ, **paths})
    assert (tmp_path / "talk.lower.txt").read_text() == "one\ntwo\nthree\n"
    assert (tmp_path / "talk.even.txt").read_text() == "Two\n"
    assert (tmp_path / "talk.odd.txt").read_text() == "One\nThree\n"


async def test_model_split_concat_merge_gather() -> None:
    names = runpy.run_path(str(EXAMPLES / "flow_model.py"))
    log, answer = await names["logged"](names["flow"].from_iterable(["why", "how"]))
    assert log == ["why", "how"]
    assert answer == ["you", "asked", "why", "you", "asked", "how"]
    assert await names["both_pages"]() == [
        f"{name}: {line} line" for name in ("one", "two") for line in ("first", "last")
    ]
    senses = await names["both_senses"]()
    assert [sense for sense in senses if sense.startswith("image")] == ["image 0", "image 1", "image 2"]
    assert [sense for sense in senses if sense.startswith("sound")] == ["sound 0", "sound 1", "sound 2"]
    assert senses[0] == "sound 0"


async def test_websocket_a_new_question_stops_the_answer_to_the_last() -> None:
    app: Any = runpy.run_path(str(EXAMPLES / "flow_websocket.py"))["app"]
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", ws="websockets-sansio"))
    serving = asyncio.create_task(server.serve())
    try:
        while not server.started:  # noqa: ASYNC110  uvicorn has no event for it
            await asyncio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        async with websockets.connect(f"ws://127.0.0.1:{port}/talk") as connection:
            await connection.send("  why  ")
            assert [await connection.recv(), await connection.recv()] == ["you", "asked"]
            await connection.send("  ")
            await connection.send("how")
            heard: list[Any] = []
            while heard[-1:] != ["answer"]:
                heard.append(await connection.recv())
            at = heard.index("[why: stopped]")
            assert " ".join(heard[at + 1 :]) == "you asked how and here is a long answer"
            assert at <= 3
    finally:
        server.should_exit = True
        await serving
